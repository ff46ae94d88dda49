"""Train a network on a cohort's people, and keep what it became as a run like any other."""

from __future__ import annotations

import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar import stats
from howfar.cohort.files import input_files
from howfar.cohort.opened import OpenCohort
from howfar.core import sealed
from howfar.core.atomic import only_one, whole
from howfar.core.errors import HowfarError, wrong_option
from howfar.core.extras import require_module
from howfar.core.project import resolve, results_folder
from howfar.core.provenance import digest
from howfar.core.versions import versions_of
from howfar.fetch.licences import bound
from howfar.results import policy, tables
from howfar.stats.blocks import blocks_of
from howfar.study.schema import Run
from howfar.training.recipe import Recipe, recipe_of
from howfar.training.splits import SplitOptions, Splits, split

CONFIG, TENSORS, SCORES = "config.json", "weights.safetensors", "scores.parquet"
MADE_OF = "made_of.json"
#: What begins the names of SAGE-net's convolutions.
_TRUNK = ("net.conv0.", "net.convlayers.")
#: Packages whose version a training depends on.
LAYERS = ("cohort", "genome", "training")
#: Groups of (gene, person) that a training is scored on.
GROUPS = ("seen people", "unseen people", "other population", "unseen genes")


@dataclass(frozen=True)
class Estimate:
    """What a training takes: steps of the optimiser, seconds of each, hours, bytes of memory."""

    steps: int
    seconds: float
    hours: float
    memory: int
    trained: int


@dataclass(frozen=True)
class FineTuned:
    """A trained network: its folder, its definition, and r by gene and group."""

    folder: Path
    config: dict[str, Any]
    scores: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """Mean r by group with its 95 % interval, and how many genes and people.

        Block bootstrap over genes, as in all tables.
        """
        genes = self.scores.reindex(columns=["gene_id", "chrom", "tss"])
        rows, genes = [], genes.drop_duplicates("gene_id")
        for group in GROUPS:
            here = self.scores[self.scores["group"] == group]
            r = here["r"].to_numpy(float)
            if not len(r):
                continue
            low, high = stats.block_bootstrap(r, blocks_of(genes, here["gene_id"])[0])
            rows.append((group, r.mean(), low, high, len(r), int(here["n"].median())))
        names = ["group", "r", "ci_low", "ci_high", "genes", "people"]
        return pd.DataFrame(rows, columns=names)


def folder_of(results: str | Path, study: str, name: str) -> Path:
    """Where the run folder of a training lies."""
    return results_folder(results) / study / "finetune" / name


def split_options(given: Mapping[str, Any]) -> SplitOptions:
    """Return options of the splits; HowfarError for one that isn't there or of another kind."""
    kinds = {field.name: type(field.default) for field in fields(SplitOptions)}
    for name, value in given.items():
        kind = kinds.get(name)
        if kind is None:
            raise wrong_option("options of the splits", name, f"one of {', '.join(kinds)}")
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise wrong_option(f"option {name}", value, f"such as {SplitOptions(**{})!r}")
    return SplitOptions(**given)


def fine_tune(
    cohort: OpenCohort,
    strategy: str,
    run: str | Run | None = None,
    *,
    results: str | Path = "results",
    name: str | None = None,
    options: Mapping[str, Any] | None = None,
    splits: Mapping[str, Any] | None = None,
    as_published: bool = False,
    devices: int = 1,
    device: str = "auto",
    anew: bool = False,
    say: Callable[[str], None] = print,
) -> FineTuned:
    """Train a network on a cohort's people.

    Parameters
    ----------
    cohort
        Of `howfar.open_cohort`, with expression; where `run` names one, of a study with runs.
    strategy
        A name of ``howfar finetune --help``.
    run
        The run whose network training begins from; the study's first where left out. `sagenet`
        needs none.
    results, name
        The results folder, and the training's name in it, by default strategy and run.
    options
        In the place of the strategy's defaults; see `howfar.training.recipe.Recipe`.
    splits
        Who and what is held out; see `howfar.training.splits.SplitOptions`.
    as_published
        Start from the study's own settings.
    devices, device
        Processes, one on each device, and their kind: 'auto', 'cpu' or 'cuda'.
    anew
        Another training of that name is put in this one's place, not refused.

    Returns
    -------
    FineTuned
        Its `folder` is the `weights` of a run with ``model: fine-tuned``.

    Examples
    --------
    >>> import howfar as hf
    >>> cohort = hf.example_cohort()
    >>> try:
    ...     hf.fine_tune(cohort, "pair_regression")
    ... except hf.HowfarError as error:
    ...     print(error.found)
    no run to begin from
    """
    prepared = prepare(cohort, strategy, run, name, options, splits, as_published)
    folder = folder_of(results, cohort.study.name, prepared.name)
    if int(os.environ.get("LOCAL_RANK", 0)):  # started by the first process, which holds the lock
        return _train(prepared, folder, devices, device, say)
    with only_one(folder.with_name(f".{prepared.name}.lock"), "`howfar finetune` of this name"):
        if anew and _is_other(prepared, folder):
            shutil.rmtree(folder)
        return _train(prepared, folder, devices, device, say)


@dataclass(frozen=True)
class Prepared:
    """A training before its network is opened."""

    cohort: OpenCohort
    name: str
    recipe: Recipe
    splits: Splits
    base: dict[str, Any] | None
    alleles: str
    made_of: dict[str, Any]


def prepare(
    cohort: OpenCohort,
    strategy: str,
    run: str | Run | None = None,
    name: str | None = None,
    options: Mapping[str, Any] | None = None,
    splits: Mapping[str, Any] | None = None,
    as_published: bool = False,
) -> Prepared:
    """Define a training: recipe, splits, and the network that it begins from; see `fine_tune`."""
    recipe = recipe_of(strategy, options or {}, as_published)
    chosen, study = split_options(splits or {}), cohort.study
    genes = cohort.measured(cohort.genes, "to train on")
    populations = cohort.populations
    groups = None if populations is None else populations.loc[cohort.samples].to_dict()
    made = split(genes, cohort.samples, groups, chosen)
    base, alleles = None, cohort.settings.alleles
    if recipe.task != "gene_and_person":
        first = next(iter(study.runs), None)
        of_run = first if run is None else study.run(run) if isinstance(run, str) else run
        if of_run is not None:
            policy.require_fitting(study, [of_run], "fine-tuning")
            weights = of_run.weights and str(resolve(of_run.weights))
            options_of = {k: str(v) if isinstance(v, Path) else v
                          for k, v in of_run.network_options.items()}  # fmt: skip
            base = {"run": of_run.id, "model": of_run.model, "weights": weights}
            base |= {"options": options_of, "tracks": of_run.tracks}
            if inherited := bound(policy.licence_of_run(of_run)):
                base["licence"] = inherited
            alleles = of_run.alleles or alleles
    default = strategy if base is None else f"{base['run']}-{strategy}"
    start = None
    if recipe.start:
        start = digest(_started(Path(recipe.start), recipe, made) / TENSORS)
    made_of = {
        "start": start,
        "base": base,
        "recipe": asdict(recipe),
        "splits": asdict(made),
        "alleles": alleles,
        "inputs": {role: digest(path) for role, path in input_files(study).items()},
        "versions": versions_of(*LAYERS),
    }
    return Prepared(cohort, name or default, recipe, made, base, alleles, made_of)


def _loop(prepared: Prepared, device: str) -> Any:
    """Build network, data and loop of a training."""
    require_module("lightning")
    from howfar.training.build import build
    from howfar.training.data import TrainingData
    from howfar.training.loop import Loop

    built = build(prepared.base, prepared.recipe, "cpu" if device == "auto" else device)
    if start := prepared.recipe.start:
        from howfar.models.weights.checkpoint import read_tensors
        from howfar.training.fine_tuned import load_changed

        tensors = read_tensors(Path(start) / TENSORS)
        trunk = {n: t for n, t in tensors.items() if n.startswith(_TRUNK)}
        load_changed(built.network, trunk, Path(start) / TENSORS)
    data = TrainingData(
        prepared.cohort,
        prepared.cohort.genes,
        prepared.splits,
        prepared.recipe,
        built.reads,
        prepared.alleles,
    )
    return built, Loop(built, data, prepared.recipe)


def _started(folder: Path, recipe: Recipe, splits: Splits) -> Path:
    """Return a training's folder to start from; HowfarError where it knows what is held out here.

    A gene that trained there may not be unseen here, nor a person who trained there be tested.
    """
    config = load(folder).config if (folder / SCORES).is_file() else {"recipe": {}}
    was = config["recipe"]
    found = ""
    if (was.get("strategy"), was.get("input")) != ("sagenet", "reference"):
        found = "no finished training of sagenet with input=reference"
    elif (was["context"], was["train"]) != (recipe.context, "all"):
        found = f"a training of context {was['context']} and train {was['train']}"
    else:
        kinds, people = config["splits"]["genes"], config["splits"]["people"]
        unseen = {g for g, kind in splits.genes.items() if kind == "unseen"}
        if lost := sorted(g for g in unseen if kinds.get(g, "unseen") != "unseen"):
            found = f"a training on gene {lost[0]}, which is unseen here"
        trained = {p for of in people.values() for p in of.get("train", ())}
        tested = {p for g in splits.trained for p in splits.of(g, "test")}
        if lost := sorted(trained & tested):
            found = f"a training on person {lost[0]}, who is tested here"
    if found:
        raise HowfarError(
            str(folder),
            found=found,
            expected=f"a reference model of {recipe.context:,} bp that read nothing held out",
            do="Train one with the same --split: --strategy sagenet --set input=reference.",
        )
    return folder


def _is_other(prepared: Prepared, folder: Path) -> bool:
    """Whether a folder holds a training with other options or of other files."""
    made = folder / MADE_OF
    return made.is_file() and sealed.read_json(made) != prepared.made_of


def _train(
    prepared: Prepared, folder: Path, devices: int, device: str, say: Callable[[str], None]
) -> FineTuned:
    from safetensors.torch import save_file

    if _is_other(prepared, folder):
        raise HowfarError(
            str(folder),
            found="a training with other options or of other files",
            expected="the same training, to go on with or to read",
            do="Give this one another --name, or delete that folder.",
        )
    if (folder / SCORES).is_file():
        return load(folder)
    if not int(os.environ.get("LOCAL_RANK", 0)):
        sealed.write_json(folder / MADE_OF, prepared.made_of)
    built, loop = _loop(prepared, device)
    say(prepared.splits.definition)
    if not (folder / CONFIG).is_file():
        from howfar.training.loop import train

        accelerator = {"cuda": "gpu"}.get(device, device)
        done = train(loop, folder, devices=devices, accelerator=accelerator, say=say)
        if loop.global_rank:
            sys.exit(0)  # the first process goes on alone
        base = prepared.base
        if base is not None:
            base = base | {"weights_sha256": built.model.weights_sha256}
        with whole(folder / TENSORS) as part:
            save_file(done.tensors, part, {sealed.KEY: sealed.BLANK})
            sealed.seal(part)
        config = {
            "base": base,
            "recipe": asdict(prepared.recipe),
            "splits": asdict(prepared.splits),
            "alleles": prepared.alleles,
            "units": _units(prepared),
            "steps": done.steps,
            "epochs": done.epochs,
            "seconds": done.seconds,
        }
        sealed.write_json(folder / CONFIG, config)
    from howfar.models.weights.checkpoint import read_tensors
    from howfar.training.fine_tuned import load_changed

    load_changed(built.network, read_tensors(folder / TENSORS), folder / TENSORS)
    predicted = predict(loop)
    if prepared.recipe.input == "reference":
        _say_across(prepared, predicted, say)
    scores = score(prepared, predicted)
    import pyarrow

    table = pyarrow.Table.from_pandas(scores, preserve_index=False)
    tables.write_arrow(folder / SCORES, table, {"made_of": prepared.made_of["versions"]})
    return load(folder)


def _say_across(prepared: Prepared, predicted: pd.DataFrame, say: Callable[[str], None]) -> None:
    """Say how a reference model's values go with the genes' means."""
    observed, splits = prepared.cohort.require_expression("to score").values, prepared.splits
    for words, part in (("trained", "train"), ("unseen", "test")):
        genes = [g for g, kind in splits.genes.items() if (kind == "unseen") == (words == "unseen")]
        means = [float(np.nanmean(observed.loc[g, splits.of(g, part)])) for g in genes]
        r = stats.pearson_rows(
            predicted.loc[genes].mean(axis=1).to_numpy()[None], np.array([means])
        )[0]
        say(f"r of means across {len(genes)} {words} genes: {r[0]:.3f}")


def _units(prepared: Prepared) -> str:
    if prepared.recipe.target == "z":
        return "z-score over the people who trained"
    return prepared.cohort.settings.expression_units


def load(folder: str | Path) -> FineTuned:
    """Read what a training left in its folder."""
    folder = Path(folder)
    scores = sealed.read_own_parquet(folder / SCORES)
    return FineTuned(folder, sealed.read_json(folder / CONFIG), scores)


def predict(loop: Any) -> pd.DataFrame:
    """Predict everybody and every gene of the splits with a loop's network, gene_id x sample."""
    import torch

    from howfar.training.data import everybody

    data, found = loop.data, {}
    network = loop.network.eval()
    if getattr(network, "head", True) is None:  # its own heads alone were trained
        return pd.DataFrame(columns=data.cohort.samples)
    with torch.inference_mode():
        for gene in data.splits.genes:
            parts = [
                network.people(
                    batch.windows.to(loop.device), batch.rows.to(loop.device), loop.table
                )
                for batch in everybody(data, gene)
            ]
            values = torch.cat(parts).float().cpu().numpy()
            values = values[:, loop.recipe.column] if values.ndim == 2 else values
            found[gene] = values.reshape(-1, len(data.cohort.samples)).mean(axis=0)
    return pd.DataFrame.from_dict(found, orient="index", columns=data.cohort.samples)


def score(prepared: Prepared, predicted: pd.DataFrame) -> pd.DataFrame:
    """Correlate predictions with expression, of each gene in each of `GROUPS`.

    Columns gene_id, chrom, tss, group, n, r.
    """
    observed, rows = prepared.cohort.require_expression("to score").values, []
    if prepared.recipe.input == "reference":  # one number for everybody
        return pd.DataFrame(columns=["gene_id", "chrom", "tss", "group", "n", "r"])
    genes = {gene.gene_id: gene for gene in prepared.cohort.genes}
    for gene, kind in prepared.splits.genes.items():
        if gene not in predicted.index:
            continue
        parts = {
            "unseen genes": prepared.splits.of(gene, "test"),
            "other population": [],
        }
        if kind != "unseen":
            parts = {
                "seen people": prepared.splits.of(gene, "train"),
                "unseen people": prepared.splits.of(gene, "test"),
                "other population": prepared.splits.of(gene, "population"),
            }
        for group, people in parts.items():
            if len(people) < stats.MIN_PAIRS:
                continue
            x = predicted.loc[[gene], people].to_numpy(float)
            y = observed.loc[[gene], people].to_numpy(float)
            r, n = stats.pearson_rows(x, y)
            # As published, a gene whose prediction is one number for everybody counts as 0.
            place = genes[gene].chrom, genes[gene].tss
            rows.append((gene, *place, group, int(n[0]), float(np.nan_to_num(r[0]))))
    return pd.DataFrame(rows, columns=["gene_id", "chrom", "tss", "group", "n", "r"])


def estimate(prepared: Prepared, device: str = "auto", batches: int = 3) -> Estimate:
    """Measure a training on a few batches, without a step of the optimiser."""
    import torch

    _, loop = _loop(prepared, device)
    loop.train()
    loop.on_train_epoch_start()
    loader, times = loop.train_dataloader(), []
    for _, item in zip(range(batches), loader, strict=False):
        begun = time.perf_counter()
        loss, _ = loop.loss_of(item)
        loss.backward()
        times.append(time.perf_counter() - begun)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if torch.cuda.is_available():
        memory = max(memory, torch.cuda.max_memory_allocated())
    seconds = float(np.median(times)) * prepared.recipe.accumulate
    trained = sum(p.numel() for p in loop.network.parameters() if p.requires_grad)
    return Estimate(loop.steps, seconds, loop.steps * seconds / 3600, int(memory), trained)
