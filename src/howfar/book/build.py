"""Build the book by Jupyter Book."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import typer

from howfar.book.figure_block import copy_files
from howfar.book.pages import prepare
from howfar.core.errors import HowfarError
from howfar.core.project import book_folder


def build_book(results: Path, app: typer.Typer) -> Path:
    """Write the generated pages and build the HTML book, warnings being errors.

    results: the results folder. app: the command line, whose commands a page lists. Returns the
    first page.
    """
    root = book_folder().parent
    prepare(results, app, root / "book")
    shutil.rmtree(root / "book" / "_build", ignore_errors=True)  # or stale pages stay
    command = ["build", "book", "--config", "_config.yml", "--path-output", "book"]
    flags = ["-W", "-n", "--keep-going", "--quiet"]
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    done = subprocess.run(
        [jupyter_book, *command, *flags], cwd=root, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise HowfarError(
            str(root / "book"),
            found=f"a failed build:\n{done.stdout[-4000:]}{done.stderr[-4000:]}",
            expected="a build without warnings",
            do="Correct the page named above.",
        )
    copy_files(root / "book", results)
    return root / "book" / "_build" / "html" / "index.html"
