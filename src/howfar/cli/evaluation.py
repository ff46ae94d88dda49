"""Commands that make result tables and take them elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from howfar.cli.app import EVALUATION, app
from howfar.cli.common import (
    StudyOption,
    open_study,
    place,
    results,
    say,
    say_counts,
    write_frame,
    write_text,
)
from howfar.core.errors import HowfarError
from howfar.core.registry import DRIVER_RULES


@app.command(rich_help_panel=EVALUATION)
def evaluate(
    study: StudyOption,
    drawn: Annotated[
        bool, typer.Option("--drawn", help="Take the tables that the study brings (drawn_from).")
    ] = False,
) -> None:
    """Make a study's result tables, from predictions or from published tables.

    Needs no weights: what is known of a network stands beside its predictions.
    """
    from howfar.doctor import mixups
    from howfar.evaluation import study_tables
    from howfar.evaluation.inputs import read_inputs
    from howfar.evaluation.numbers import headline
    from howfar.evaluation.study_tables import write_numbers
    from howfar.results.export import take_tables
    from howfar.results.tables import load

    with open_study(study) as opened:
        if drawn:
            take_tables(opened, results())
        elif opened.published:
            from howfar.published import write_tables

            write_numbers(opened, results(), write_tables(opened, results()))
        else:
            inputs = read_inputs(opened, results())
            say_counts(study_tables.write_tables(opened, results(), inputs))
            runs = [*(each.predictions for each in inputs.linear), inputs.lead_snp[0]]
            found = mixups.look(results() / opened.name, inputs.cohort, inputs.panel, runs)
            say(found.sentence())
            for further in list(opened.cohort.tissues)[1:]:
                folder = results() / opened.name / "tissues" / further / "tables"
                typer.echo(f"tables of {further} in {place(folder)}")
        tables = load(opened.name, results())
        filled = [name for name, frame in tables.items() if len(frame)]
        typer.echo(f"{', '.join(filled)} in {place(results() / opened.name / 'tables')}")
        typer.echo(headline(tables))


@app.command(rich_help_panel=EVALUATION)
def drivers(
    study: StudyOption,
    run: Annotated[str, typer.Option(help="A run, or a linear model; the first if left out.")] = "",
    rule: Annotated[str, typer.Option(help=f"Of {', '.join(DRIVER_RULES)}.")] = "",
    out: Annotated[Path | None, typer.Option("--out", "--csv", help="Write the rows here.")] = None,
) -> None:
    """Find the few variants that carry a run's predictions, by a study's rule.

    Of a network: in the genes of `howfar effects`. Table `drivers`, which `howfar evaluate` makes
    of every run, takes the rule of the study file (`evaluation.drivers`). First it says in how many
    genes single effects add up to the prediction; the file has this r beside each driver, and
    whether the eQTL supports it.
    """
    from howfar.evaluation.drivers import approximations, chosen_run, drivers_of
    from howfar.evaluation.inputs import read_inputs
    from howfar.evaluation.run_comparison import TRUSTED, driver_types, mains

    with open_study(study) as opened:
        rule = rule or opened.evaluation.drivers
        inputs = read_inputs(opened, results())
        name = chosen_run(inputs, run)
        sums = approximations(inputs, [name]).set_index("gene_id")["value"]
        table = drivers_of(inputs, [name], rule)
        say_counts(inputs.cohort.warnings)
        kinds = driver_types(table).value_counts()
        say(
            f"{name}: the sum of single effects follows the prediction (r > {TRUSTED}) in "
            f"{int((sums > TRUSTED).sum()):,} of {len(sums):,} genes, median r {sums.median():.3f}"
        )
        say(
            f"{name}, rule {rule}: {len(table):,} drivers in {len(mains(table)):,} genes; "
            f"{kinds.get('supported', 0):,} have the sign of the eQTL's slope, "
            f"{kinds.get('unsupported', 0):,} the other, {kinds.get('neither', 0):,} neither"
        )
        if out:
            known = {"type": driver_types(table), "linear_r": table["gene_id"].map(sums)}
            write_frame(out, table.assign(**known), float_format="%.9g")
            typer.echo(f"drivers in {place(out)}")


@app.command(rich_help_panel=EVALUATION)
def motifs(
    study: StudyOption,
    out: Annotated[Path, typer.Option("--out", "--csv", help="Write the groups here.")],
    run: Annotated[str, typer.Option(help="A run, or a linear model; the first if left out.")] = "",
    jaspar: Annotated[
        bool,
        typer.Option(help="Name JASPAR's nearest motif; the first time TOMTOM is compiled."),
    ] = True,
) -> None:
    """Group the sequences at a run's drivers, and test whether unsupported drivers share patterns.

    Drivers are those of table `drivers`, 13 bases of the reference around each, grouped by common
    stretches (Sasse et al. 2023, S10). Each group is tested for unsupported against supported.
    """
    from howfar.attribution import driver_motifs
    from howfar.cohort.opened import OpenCohort
    from howfar.evaluation.run_comparison import driver_types
    from howfar.results import tables

    with open_study(study) as opened:
        made = tables.load(opened.name, results())
        table = tables.empty("drivers") if made is None else made["drivers"]
        named = run or next(iter(table["run_id"]), "")
        table = table[table["run_id"] == named]
        letters = driver_motifs.windows(OpenCohort(opened).reference, list(table["variant"]))
        groups, patterns = driver_motifs.groups(letters, list(driver_types(table)))
        if jaspar and patterns:
            found = driver_motifs.nearest(patterns, driver_motifs.jaspar())
            groups = groups.merge(found, on="group")
        write_frame(out, groups, float_format="%.6g")
        say(f"{named}: {len(table):,} drivers, {len(groups):,} groups of two or more")
        typer.echo(f"groups in {place(out)}")


@app.command(rich_help_panel=EVALUATION)
def numbers(
    study: Annotated[str, typer.Argument(help="A study's name, or its YAML file.")],
    out: Annotated[Path | None, typer.Option("--out", "--csv", help="Write id,value here.")] = None,
) -> None:
    """Every number that a figure or a sentence shows: id,value."""
    from howfar.results import tables
    from howfar.study.reading import load_study
    from howfar.study.schema import study_file

    # Tables taken elsewhere (`howfar export`) need no study file.
    file = study_file(study)
    name = load_study(study).name if file.is_file() or str(file) == study else study
    loaded = tables.load(name, results())
    if loaded is None:
        raise HowfarError(
            str(results() / name),
            found="no result tables",
            expected=f"the tables of study {name}",
            do=f"Run `howfar run --study {study}`.",
        )
    text = loaded["numbers"][["id", "value"]].to_csv(index=False)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_text(out, text)
        typer.echo(f"{len(loaded['numbers']):,} numbers in {place(out)}")


@app.command(rich_help_panel=EVALUATION)
def diff(
    a: Annotated[Path, typer.Argument(help="A results folder, or what `howfar export` wrote.")],
    b: Annotated[Path, typer.Argument(help="Another one.")],
    tolerance: Annotated[
        float, typer.Option(min=0, help="Largest relative difference that isn't one.")
    ] = 1e-6,
    out: Annotated[
        Path | None, typer.Option("--out", "--csv", help="Write all that changed here.")
    ] = None,
) -> None:
    """Say which numbers changed between two results folders, and why.

    Compares result tables (except those of single people) and the data behind figures. The cause
    is what differs in the tables' provenance: inputs, options, versions of packages, code. Exit
    status: 0 nothing changed, 1 something did, 2 the folders can't be compared.
    """
    from howfar.results.difference import describe
    from howfar.results.difference import diff as compare

    found = compare(a, b, tolerance)
    typer.echo(describe(found))
    write_frame(out, found.moved)
    if found:
        raise typer.Exit(1)


@app.command(rich_help_panel=EVALUATION)
def export(
    study: StudyOption,
    to: Annotated[Path, typer.Option("--to", help="Folder to write; may be another machine's.")],
    summary: Annotated[
        bool,
        typer.Option(
            help="Only tables, without people, numbers of five digits: a small folder to commit, "
            "from which a book is drawn (`drawn_from` of a study's file)."
        ),
    ] = False,
    crate: Annotated[
        bool,
        typer.Option(
            "--crate",
            help="With figures, and as an RO-Crate: each file with what it is, size and SHA-256, "
            "inputs by name and SHA-256; for an archive.",
        ),
    ] = False,
) -> None:
    """Copy what figures need: result tables and descriptions of predictions.

    Points of people go along, without identifiers, only where the study's file says
    `individuals: public`; linear weights only where it says `weights: shareable`. Notebooks and
    `howfar numbers` run from the folder as from a results folder (--results FOLDER).
    """
    from howfar.results.export import export_study, export_summary

    if summary and crate:
        raise HowfarError(
            "--summary, --crate",
            found="both",
            expected="one of them",
            do="Leave one out: a crate holds the tables whole.",
        )
    with open_study(study) as opened:
        if summary:
            copied = export_summary(opened, results(), to)
        else:
            copied = export_study(opened, results(), to, crate)
    size = sum(path.stat().st_size for path in copied)
    say(f"{len(copied)} files, {size / 1e6:.1f} MB, in {place(to)}")
