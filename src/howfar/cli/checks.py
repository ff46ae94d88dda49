"""Commands that look: what is here, stale or damaged, and what models reproduce."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from howfar.cli.app import CHECKS, app
from howfar.cli.common import DeviceOption, StudyOption, open_study, results, say
from howfar.core.errors import HowfarError


@app.command(rich_help_panel=CHECKS)
def doctor(
    study: Annotated[
        str,
        typer.Option(
            help="Say what this study lacks, what is out of date and why, and the "
            "bytes of each run."
        ),
    ] = "",
    check: Annotated[
        bool, typer.Option("--check", help="With --study: read its genotype files whole.")
    ] = False,
    mixups: Annotated[
        bool,
        typer.Option("--mixups", help="With --study: does expression fit its genotypes?"),
    ] = False,
    verify: Annotated[
        str, typer.Option(help="A model: compare it with its published predictions.")
    ] = "",
    weights: Annotated[
        Path | None, typer.Option(help="With --verify: other weights than the fetched ones.")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Say what is installed, which device and data are found, and what is missing or out of date.

    With --study, its files are looked at too: contigs, genes and people in common, and each run's
    network with its bins, tracks and weights. The exit status is 1 if something is missing.

    With --check, all records of the study's genotype files are checked: a run checks those that
    it reads.

    With --mixups, each person's expression is compared with everybody's predictions out of fold:
    swapped samples, duplicates, relatives, sexes that differ. Suspects are named in a file of the
    study's private folder alone, and nobody is relabelled; the status is 1 where there are any.
    Every `howfar run` looks too.

    With --verify MODEL: reproduce the published reference predictions of the genes whose whole
    window lies in the real megabase (`howfar fetch MODEL huang2023 region`), say which choice of
    bins, scale and strands fits and how well, and record the verdict.
    """
    from howfar.doctor.report import check_genotypes, examine, verified

    if verify:
        text, fits = verified(verify, weights, device, results())
        typer.echo(text, nl=False)
        raise typer.Exit(0 if fits else 1)
    if (check or mixups) and not study:
        option = "--check" if check else "--mixups"
        raise HowfarError(
            option, found="no study", expected="--study NAME", do="Name the study to look at."
        )
    if mixups:
        from howfar.cohort.opened import OpenCohort
        from howfar.doctor.mixups import look_at_study

        with open_study(study) as opened:
            found = look_at_study(OpenCohort(opened), results())
        say(found.sentence())
        raise typer.Exit(int(bool(found.counts)))
    if not check:
        text, lacking = examine(study or None, results())
        typer.echo(text, nl=False)
        raise typer.Exit(int(lacking))
    with open_study(study) as opened:
        faults = [str(fault) for fault in check_genotypes(opened)]
    typer.echo("\n".join(faults) or "no fault in the genotype files")
    raise typer.Exit(int(bool(faults)))


@app.command(rich_help_panel=CHECKS)
def clean(
    study: StudyOption,
    run: Annotated[str, typer.Option(help="Only what was made for this run or model.")] = "",
    stale: Annotated[bool, typer.Option("--stale", help="Only what is stale.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Remove what was computed for a study, after saying what. Inputs are never touched."""
    from howfar.doctor.kept import list_kept, remove

    with open_study(study) as opened:
        chosen = [
            item
            for item in list_kept(opened, results())
            if (not run or item.run == run) and (item.stale or not stale)
        ]
    if not chosen:
        typer.echo("nothing to remove")
        return
    for item in chosen:
        typer.echo(item.describe())
    if not yes:
        typer.confirm("Remove these?", abort=True, err=True)
    typer.echo(f"removed {sum(remove(item) for item in chosen) / 1e6:.1f} MB")
