"""Commands on notebooks and the book."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from howfar.cli.app import BOOK, app
from howfar.cli.common import place, results, write_text
from howfar.core.project import executed_notebook, figures_folder


@app.command(rich_help_panel=BOOK)
def notebook(
    source: Annotated[str, typer.Argument(help="A notebook's name, or a file.")],
    out: Annotated[
        Path | None,
        typer.Argument(
            help="The executed notebook; left out: in the folder notebooks of the study's results."
        ),
    ] = None,
    study: Annotated[str, typer.Option(help="The study it shows, or its YAML file.")] = "",
) -> None:
    """Execute a notebook by papermill; figures go to the folder figures of the study's results."""
    from howfar.book.execute import execute_notebook, find_notebook
    from howfar.study.reading import load_study

    file = find_notebook(source)
    name = load_study(study).name if study else ""
    out = out or executed_notebook(results(), file.stem, name)
    execute_notebook(file, out, study=study or None, results=results())
    typer.echo(f"{place(out)}, figures in {place(figures_folder(results(), name or 'book'))}")


@app.command(rich_help_panel=BOOK)
def book() -> None:
    """Build the book from the executed notebooks."""
    from howfar.book.build import build_book

    typer.echo(place(build_book(results(), app)))


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
        typer.echo(place(out))
