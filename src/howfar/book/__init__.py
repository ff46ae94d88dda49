"""The book: notebooks executed, generated pages, and the build."""
