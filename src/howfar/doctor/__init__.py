"""What is installed, here, missing, stale; and whether models reproduce published values."""
