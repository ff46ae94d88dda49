"""Commands to start with: run everything, fetch, simulate."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from howfar.cli.app import START, app
from howfar.cli.common import (
    GENES,
    VARIANTS,
    StudyOption,
    open_study,
    place,
    results,
    say,
    write_text,
)
from howfar.core.errors import HowfarError, wrong_option
from howfar.core.project import book_folder, from_folder, resolve


@app.command(rich_help_panel=START)
def run(
    study: Annotated[list[str] | None, typer.Option("--study", help="Repeat for several.")] = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Every study that the book shows; one that brings tables (demo_kind) is drawn "
            "from them, and made by --study alone.",
        ),
    ] = False,
    to: Annotated[str, typer.Option(help="tables, notebooks or book.")] = "tables",
    cores: Annotated[
        int, typer.Option(min=1, help="CPU cores to use; of a cluster: by each network.")
    ] = os.cpu_count() or 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Estimate forward passes, hours and disk; run none.")
    ] = False,
    profile: Annotated[
        str, typer.Option(help="local, slurm, cloud (not tried), or a Snakemake profile.")
    ] = "",
    shards: Annotated[
        int, typer.Option(min=1, help="Jobs that share the genes of each run (several GPUs, say).")
    ] = 1,
) -> None:
    """Run all steps of a study; a run that was interrupted continues where it stopped."""
    from howfar.cohort.files import require_inputs
    from howfar.doctor.looks import require_looks
    from howfar.simulate.worlds import setting_note
    from howfar.study.reading import load_study
    from howfar.study.schema import study_names
    from howfar.workflow import needs, plan
    from howfar.workflow import run as run_workflow

    names = [n for n in study_names() if load_study(n).notebooks] if every else study
    if not names:
        raise HowfarError(
            "howfar run",
            found="no study",
            expected="--study NAME, or --all",
            do=f"Name one of {', '.join(study_names())}, or a study file of your own.",
        )
    if dry_run:
        from howfar.prediction.estimate import estimate

        studies = [load_study(name) for name in names]
        for each in studies:
            if each.cohort and not (each.simulate or every):
                require_inputs(each)
        rows = estimate(studies, results()).fillna("")
        none = "No network is run in these studies: they have none, or their tables are published."
        typer.echo(none if rows.empty else rows.to_string(index=False))
        if all(plan(name, results()).possible for name in names):
            extra = ["--dry-run"]
            run_workflow(
                names, results(), cores=cores, target=to, shards=shards, extra=extra, draws=every
            )
        return
    needs.fetch_missing(names, results())
    if not every:
        needs.require(names, results())
        for name in names:
            require_looks(load_study(name), results())
    for note in filter(None, (setting_note(load_study(name)) for name in names)):
        typer.echo(note, err=True)
    status = run_workflow(
        names, results(), cores=cores, target=to, shards=shards, profile=profile, draws=every
    )
    if status == 0:
        _say_what_is_where([load_study(name).name for name in names], to)
    raise typer.Exit(status)


def _say_what_is_where(names: list[str], target: str) -> None:
    if target == "book":
        typer.echo(f"the book: {place(book_folder() / '_build' / 'html' / 'index.html')}")
        return
    kinds = ["tables"] if target == "tables" else ["tables", "notebooks", "figures"]
    for name in names:
        here = [kind for kind in kinds if (results() / name / kind).is_dir()]
        typer.echo(f"{name}: {', '.join(here) or 'predictions'} in {place(results() / name)}")


def _file(what: str) -> typer.models.OptionInfo:
    return typer.Option(help=f"{what.rstrip('.')}; left out: to be filled in.", show_default=False)


@app.command(rich_help_panel=START)
def template(
    name: Annotated[str, typer.Argument(help="Of the study: small letters, digits, _.")] = "mine",
    models: Annotated[
        list[str] | None,
        typer.Option("--model", help="A network to run; repeatable. Left out: linear models."),
    ] = None,
    reference: Annotated[str, _file("FASTA")] = "",
    variants: Annotated[str, _file(VARIANTS)] = "",
    genes: Annotated[str, _file(GENES)] = "",
    expression: Annotated[str, _file("BED, GCT, CSV or Parquet")] = "",
    samples: Annotated[str, _file("Table of sample and population, optional")] = "",
    kind: Annotated[
        str, typer.Option(help="haploid (as yeast) or inbred (as rats); left out: people.")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="Left out: NAME.yaml here.")] = None,
) -> None:
    """Write a study file to fill in: every key, its default, and what it means."""
    given = {
        "reference": reference,
        "variants": variants,
        "genes": genes,
        "expression": expression,
        "samples": samples,
    }
    files = {key: path for key, path in given.items() if path}
    out = _write_study(name, models, files, {}, out, kind)
    typer.echo(f"{place(out)}; next: howfar doctor --study {place(out)}")


@app.command(rich_help_panel=START)
def init(
    name: Annotated[str, typer.Argument(help="Of the study: small letters, digits, _.")],
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Your files, or folders of them: genotypes, expression, genes, FASTA, people, "
            "covariates.",
            show_default=False,
        ),
    ],
    models: Annotated[
        list[str] | None,
        typer.Option("--model", help="A network to run; repeatable. Left out: linear models."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Left out: NAME.yaml here.")] = None,
) -> None:
    """Write a study file from your files; say what each one is, and what is left to fill in."""
    from howfar.cohort.recognise import recognise
    from howfar.doctor.looks import look_at
    from howfar.study.reading import load_study

    found = recognise(paths)
    files = {file.role: str(file.path) for file in found.files if file.role}
    keys = {key: value for key, (value, _) in found.keys.items()}
    out = _write_study(name, models, files, keys, out)
    for file in found.files:
        say(f"{file.role or '-':<11} {place(file.path)}: {file.seen}")
    if not all(file.role for file in found.files):
        typer.echo(
            "files marked - are not used; to use one, name it in the study file: "
            "howfar doctor says what is wrong with it"
        )
    for key, (value, why) in found.keys.items():
        say(f"{key}: {value}, as {why}")
    for look in look_at(load_study(str(out))):
        say(f"{look.what}: {look.seen}")
    typer.echo(f"left to fill in, in {place(out)}:")
    described = {"title, summary, reality": "what the pages say of your data"}
    for key, what in (found.left | described).items():
        say(f"  {key}: {what}")
    if not files.get("variants") or not files.get("expression"):
        return
    typer.echo(f"next: howfar doctor --study {place(out)}")


def _write_study(
    name: str,
    models: list[str] | None,
    files: dict[str, str],
    keys: dict[str, str],
    out: Path | None,
    kind: str = "",
) -> Path:
    """Write the template with the user's files and keys of `cohort`; return where."""
    from howfar.models.registry import MODELS
    from howfar.study.reading import load_study
    from howfar.study.template import KINDS, TemplateRun, fill_template

    if kind not in ("", *KINDS):
        raise wrong_option("--kind", kind, f"one of {', '.join(KINDS)}")
    out = out or Path(f"{name}.yaml")
    if out.exists():
        raise HowfarError(
            str(out),
            found="a file that is there already",
            expected="a new file",
            do="Name another study, or another file by --out.",
        )
    for model in models or ():
        if model not in MODELS:
            raise wrong_option("--model", model, f"one of {', '.join(MODELS)}")
    runs = [TemplateRun(m, MODELS[m].title, MODELS[m].card.run) for m in models or ()]
    files = {key: _from(out, path) for key, path in files.items()}
    write_text(out, fill_template(name, runs, files, keys, kind))
    try:
        load_study(str(out))
    except HowfarError:
        out.unlink()
        raise
    return out


def _from(study: Path, path: str) -> str:
    """A path of the command line as one of the study file."""
    if Path(path).is_absolute() or path.startswith("~"):
        return path
    relative = Path(os.path.relpath(path, study.resolve().parent))
    meant = resolve(from_folder(relative, study.resolve().parent))
    # `results/...` of a study file is in the results folder in use, which may be another one.
    return str(relative) if meant.resolve() == Path(path).resolve() else str(Path(path).absolute())


@app.command(rich_help_panel=START)
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Studies and models, e.g. huang2023 sasse2023 region xpresso enformer basenji2 "
            "expecto."
        ),
    ],
    quick: Annotated[
        bool, typer.Option(help="Fetch only what the study files of these studies need.")
    ] = False,
    accept_licence: Annotated[
        bool,
        typer.Option(
            "--accept-licence",
            help="Agree to a licence that has to be agreed to (ExPecto, AlphaGenome).",
        ),
    ] = False,
) -> None:
    """Fetch public files and weights of models, checked by SHA-256, with their licences.

    A large file that was cut off is continued. HOWFAR_MIRROR=FOLDER reads
    FOLDER/owner/repository/commit/path, or FOLDER/host/path, instead of the network.
    """
    from howfar.fetch import catalogue, fetching, licences
    from howfar.workflow.needs import needed, source_groups

    words = needed(names) if quick else names
    wanted = [source.id for source in catalogue.select(words, source_groups(names))]
    folder = results() / "sources"
    lacking = catalogue.missing(wanted, folder)
    if announced := licences.announce(lacking):
        typer.echo(announced, err=True)
    accepted = accept_licence or _agrees(licences.licences_to_accept(lacking))
    report = fetching.fetch(wanted, folder=folder, accepted=accepted)
    typer.echo(report.summary())
    raise typer.Exit(0 if report.ok else 1)


def _terminal() -> bool:
    return sys.stdin.isatty()


def _agrees(names: list[str]) -> bool:
    """Ask on a terminal; without one nothing is agreed to, and the fetch says what to do."""
    from howfar.fetch.licences import CONSENT

    if not (names and _terminal()):
        return False
    for name in names:
        words, address = CONSENT[name]
        typer.echo(f"Licence {name}: {words}.\nIts text: {address}", err=True)
        typer.confirm("Do you agree to it?", abort=True, err=True)
    return True


@app.command(rich_help_panel=START)
def simulate(study: StudyOption) -> None:
    """Simulate the cohort of a study whose file has a `simulate` block."""
    from howfar.simulate.worlds import setting_note, simulate_study

    with open_study(study) as opened:
        if note := setting_note(opened):
            typer.echo(note, err=True)
        typer.echo(f"the simulated cohort is in {place(simulate_study(opened))}")


@app.command(rich_help_panel=START)
def train(study: StudyOption) -> None:
    """Train the demo world's model on its reference genome (never on people)."""
    from howfar.simulate.worlds import train_study

    with open_study(study) as opened:
        for weights in train_study(opened):
            typer.echo(f"weights in {place(weights)}")
