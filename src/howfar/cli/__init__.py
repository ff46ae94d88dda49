"""The command line: each command calls the library and prints."""

from howfar.cli import start, cohort, networks, linear, evaluation, book, checks, bench  # noqa: F401, I001
from howfar.cli.app import main

__all__ = ["main"]
