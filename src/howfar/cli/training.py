"""Commands that train networks on people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from howfar.cli.app import NETWORKS, app
from howfar.cli.common import (
    DeviceOption,
    KeepWindowsOption,
    StudyOption,
    open_study,
    place,
    results,
    say_counts,
)
from howfar.core.errors import wrong_option
from howfar.core.registry import STRATEGIES

if TYPE_CHECKING:
    from howfar.study.schema import FineTune, Study


def parse_options(words: list[str] | None, option: str) -> dict[str, Any]:
    """Return key=value words as YAML reads them; HowfarError for a word without "="."""
    import yaml

    found = {}
    for word in words or ():
        key, there, value = word.partition("=")
        if not there:
            raise wrong_option(option, word, "KEY=VALUE, such as epochs=3")
        number = value.replace("-", "").replace("+", "").replace(".", "").replace("e", "")
        found[key] = float(value) if "e" in value and number.isdecimal() else yaml.safe_load(value)
    return found


def _made_data(study: Study, strategy: str, given: dict[str, Any]) -> dict[str, Any]:
    """Make what a joint strategy trains on besides people, where the demo world is simulated."""
    options = study.simulate or {}
    hard = options.get("world") == "demo" and options.get("setting", "hard") == "hard"
    if not hard or "data" in given or strategy not in STRATEGIES:
        return {}
    from howfar.core.project import resolve
    from howfar.simulate import besides
    from howfar.training.recipe import recipe_of

    kind = recipe_of(strategy, given).others
    write = {"tracks": besides.write_tracks, "mpra": besides.write_reporters}.get(kind)
    if write is None:
        return {}
    world = resolve(study.cohort.reference).parent
    path = results() / study.name / "finetune" / ("tracks.h5" if kind == "tracks" else "mpra.csv")
    if not path.is_file():
        write(world, path)
    typer.echo(f"made data, by the simulation's own rules: {place(path)}")
    return {"data": str(path)}


@app.command(rich_help_panel=NETWORKS)
def finetune(
    study: StudyOption,
    strategy: Annotated[
        str, typer.Option(help=f"{', '.join(STRATEGIES)}; left out: the study's key `finetune`.")
    ] = "",
    run: Annotated[
        str, typer.Option(help="The run whose network it begins from; the first if left out.")
    ] = "",
    name: Annotated[str, typer.Option(help="Of its folder; RUN-STRATEGY if left out.")] = "",
    train: Annotated[
        str, typer.Option(help="all, head, pointwise, transformer, tower, heads or lora(RANK).")
    ] = "",
    options: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE of the strategy, such as epochs=3; repeatable."),
    ] = None,
    splits: Annotated[
        list[str] | None,
        typer.Option("--split", help="KEY=VALUE: test, validation, population, unseen, genes..."),
    ] = None,
    as_published: Annotated[
        bool, typer.Option("--as-published", help="The study's own settings as defaults.")
    ] = False,
    devices: Annotated[int, typer.Option(min=1, help="Processes, one on each device.")] = 1,
    device: DeviceOption = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say steps, hours and memory; train nothing.")
    ] = False,
    keep_windows: KeepWindowsOption = False,
) -> None:
    """Train a network on a cohort's people. A training that was killed continues where it was.

    Its folder, results/STUDY/finetune/NAME, is the `weights` of a run with `model: fine-tuned`.
    Expression of people who are tested is not read in training.
    """
    from howfar.study.schema import FineTune

    given = parse_options(options, "--set") | ({"train": train} if train else {})
    with open_study(study) as opened:
        if strategy:
            if strategy not in STRATEGIES:
                raise wrong_option("--strategy", strategy, f"one of {', '.join(STRATEGIES)}")
            wanted = [
                FineTune.model_construct(
                    name=name,
                    strategy=strategy,
                    run=run or None,
                    as_published=as_published,
                    options=given,
                    splits=parse_options(splits, "--split"),
                )
            ]
        else:
            wanted = [each for each in opened.finetune if name in ("", each.name)]
            if not wanted:
                do = "Give --strategy, or the study a key `finetune`."
                raise wrong_option("--strategy", strategy, f"one of {', '.join(STRATEGIES)}", do)
        for each in wanted:
            _train(opened, each, devices, device, dry_run, not strategy, keep_windows)


def _train(
    study: Study,
    wanted: FineTune,
    devices: int,
    device: str,
    dry_run: bool,
    anew: bool,
    keep: bool,
) -> None:
    from howfar.cohort.opened import OpenCohort
    from howfar.results.kept_windows import keep_windows
    from howfar.training import fine_tune

    cohort = OpenCohort(study)
    if keep:
        keep_windows(cohort, results())
    given = wanted.options | _made_data(study, wanted.strategy, wanted.options)
    if dry_run:
        prepared = fine_tune.prepare(
            cohort, wanted.strategy, wanted.run, "", given, wanted.splits, wanted.as_published
        )
        found = fine_tune.estimate(prepared, device)
        typer.echo(prepared.splits.definition)
        typer.echo(
            f"{found.trained:,} weights train; {found.steps:,} steps of {found.seconds:.2g} s: "
            f"{found.hours:.2g} h; {found.memory / 1e9:.1f} GB of memory"
        )
        return
    done = fine_tune.fine_tune(
        cohort,
        wanted.strategy,
        wanted.run,
        results=results(),
        name=wanted.name or None,
        options=given,
        splits=wanted.splits,
        as_published=wanted.as_published,
        devices=devices,
        device=device,
        anew=anew,
        say=typer.echo,
    )
    say_counts(cohort.warnings)
    for row in done.summary.itertuples():
        typer.echo(
            f"{row.group}: mean r {row.r:.3f} ({row.ci_low:.3f} to {row.ci_high:.3f}), "
            f"{row.genes} genes, {row.people} people"
        )
    typer.echo(f"{done.config['steps']:,} steps, {done.config['seconds']:.0f} s")
    typer.echo(place(done.folder))
