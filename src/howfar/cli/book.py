"""Commands on notebooks and the book."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from howfar.cli.app import BOOK, app
from howfar.cli.common import results, write_text


@app.command(rich_help_panel=BOOK)
def notebook(
    source: Annotated[Path, typer.Argument(help="A notebook of notebooks/.")],
    out: Annotated[Path, typer.Argument(help="The executed notebook.")],
    study: Annotated[str, typer.Option(help="The study it shows.")] = "",
) -> None:
    """Execute a notebook by papermill; figures go to book/_figures."""
    from howfar.book.execute import execute_notebook

    execute_notebook(source, out, study=study or None, results=results())


@app.command(rich_help_panel=BOOK)
def book() -> None:
    """Build the book from the executed notebooks."""
    from howfar.book.build import build_book

    build_book(results(), app)


@app.command(rich_help_panel=BOOK)
def inputs(
    out: Annotated[Path | None, typer.Option(help="Write the table here, as Markdown.")] = None,
) -> None:
    """Run the catalogue of good and bad inputs, and show what each ends in."""
    from howfar.book.inputs_page import inputs_page

    text = inputs_page()
    if out is None:
        typer.echo(text)
    else:
        write_text(out, text)
