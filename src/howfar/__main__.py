"""``python -m howfar``: the command line."""

from howfar.cli import main

main()
