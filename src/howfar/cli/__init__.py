"""The command line: each command calls the library and prints."""

from howfar.cli.app import main

__all__ = ["main"]
