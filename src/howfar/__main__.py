"""``python -m howfar``: the command line."""

from .cli import main

main()
