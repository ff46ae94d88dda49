"""Commands of the board of models."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from howfar.cli.app import EVALUATION, app
from howfar.cli.common import open_study, place, results, say, say_counts, write_frame
from howfar.core.errors import HowfarError

_SEEN = "no, in part, yes or unknown."


@app.command(rich_help_panel=EVALUATION)
def submit(
    out: Annotated[Path, typer.Option("--out", help="Bundle to write, .zip.")],
    study: Annotated[str, typer.Option("--study", help="An evaluated study, or its file.")] = "",
    run: Annotated[str, typer.Option("--run", help="Its run, or linear model.")] = "",
    table: Annotated[
        Path | None,
        typer.Option("--table", help="In place of a run: gene_id x person, .csv .tsv .parquet."),
    ] = None,
    task: Annotated[str, typer.Option("--task", help="The study's own if left out.")] = "",
    label: Annotated[str, typer.Option("--label", help="What the board calls the model.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="network, linear or other.")] = "",
    licence: Annotated[str, typer.Option("--licence", help="Of the predictions.")] = "",
    made: Annotated[str, typer.Option("--made", help="How they were made, in a line.")] = "",
    people_seen: Annotated[
        str,
        typer.Option(help=f"Trained on expression of the task's people (out of fold: no)? {_SEEN}"),
    ] = "unknown",
    genes_seen: Annotated[
        str, typer.Option(help=f"Trained on expression of the task's genes? {_SEEN}")
    ] = "unknown",
    name: Annotated[str, typer.Option("--name", help="Of its file; made of the label.")] = "",
) -> None:
    """Write predictions for a public task as a bundle for the board.

    Genes and people stand in it as numbers of the task. `howfar score` checks and scores it.
    """
    from howfar.board.submit import submit, submit_run
    from howfar.cohort.expression import read_expression

    said = {"label": label, "kind": kind, "licence": licence, "made": made, "name": name}
    said |= {"people_seen": people_seen, "genes_seen": genes_seen}
    if bool(study) == bool(table):
        raise HowfarError(
            "--study and --table",
            found="both" if study else "neither",
            expected="one of them",
            do="Give --study and --run, or --table and --task.",
        )
    if table:
        written = submit(task, read_expression(table).values, out, **said)
    else:
        with open_study(study) as opened:
            written = submit_run(opened, run, out, results(), task, **said)
    say_counts(Counter(written.counts))
    say(str(written).replace(str(out), place(out)))


@app.command(rich_help_panel=EVALUATION)
def score(
    bundle: Annotated[Path, typer.Argument(help="What `howfar submit` has written.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Table to write: .csv or .json.")
    ] = None,
) -> None:
    """Check a bundle, and score it beside the board's: look-up, nulls, linear models, rank."""
    from howfar.board.score import score_in

    scored = score_in(bundle, results())
    say(str(scored))
    write_frame(out, scored.table, float_format="%.6g")
