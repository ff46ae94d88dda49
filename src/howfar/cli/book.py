"""Commands on notebooks and the book."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from howfar.cli.app import BOOK, app
from howfar.cli.common import StudyOption, open_study, place, results, write_text
from howfar.core.errors import HowfarError
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


@app.command(rich_help_panel=BOOK)
def explore(
    study: StudyOption,
    out: Annotated[Path | None, typer.Option(help="A new folder for the pages.")] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Show them on this machine until Ctrl-C, keep nothing.")
    ] = False,
    port: Annotated[int, typer.Option(help="Port to serve on; a free one if left out.")] = 0,
) -> None:
    """Write a study's pages gene by gene, and a report of its cohort in one file.

    `genes.html` finds each gene by name or id: r of each model, null, ceiling, eQTL, drivers,
    effects; `report.html` holds all of it. Both open without a server. Points of single people are
    in them only where the study's file says `individuals: public`.
    """
    import functools
    import tempfile
    from contextlib import suppress
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    from howfar.book import genes

    if (out is None) == (not serve):
        raise HowfarError(
            "howfar explore",
            found="both --out and --serve" if serve else "neither --out nor --serve",
            expected="one of them",
            do="Write the pages with `--out FOLDER`, or look at them with `--serve`.",
        )
    with open_study(study) as opened:
        source = genes.need_source(opened, results())
    if out is not None:
        for page in genes.write_page(source, out):
            typer.echo(place(page))
        return
    with tempfile.TemporaryDirectory() as folder:
        genes.write_page(source, Path(folder) / "pages")
        handler = functools.partial(SimpleHTTPRequestHandler, directory=f"{folder}/pages")
        with (
            ThreadingHTTPServer(("127.0.0.1", port), handler) as server,
            suppress(KeyboardInterrupt),
        ):
            address = f"http://127.0.0.1:{server.server_address[1]}"
            typer.echo(f"{address}/genes.html and {address}/report.html, until Ctrl-C")
            server.serve_forever()
