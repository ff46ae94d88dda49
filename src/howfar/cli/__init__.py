"""The command line: each command calls the library and prints."""
# ruff: noqa: F401, I001

from howfar.cli import start, cohort, networks, training, linear, evaluation, book, checks, bench
from howfar.cli import training_data, board
from howfar.cli.app import main

__all__ = ["main"]
