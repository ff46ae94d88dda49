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
from howfar.results import tables
from howfar.study.schema import Run
from howfar.training.recipe import Recipe, recipe_of
from howfar.training.splits import SplitOptions, Splits, split

CONFIG, TENSORS, SCORES = "config.json", "weights.safetensors", "scores.parquet"
_MADE_OF = "made_of.json"
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
        """Mean r by group with its 95 % interval over genes, and how many genes and people."""
        rows = []
        for group in GROUPS:
            here = self.scores[self.scores["group"] == group]
            r = here["r"].to_numpy(float)
            if not len(r):
                continue
            error = 1.96 * r.std(ddof=1) / np.sqrt(len(r)) if len(r) > 1 else np.nan
            n = int(here["n"].median())
            rows.append((group, r.mean(), r.mean() - error, r.mean() + error, len(r), n))
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
            weights = of_run.weights and str(resolve(of_run.weights))
            options_of = {k: str(v) if isinstance(v, Path) else v
                          for k, v in of_run.network_options.items()}  # fmt: skip
            base = {"run": of_run.id, "model": of_run.model, "weights": weights}
            base |= {"options": options_of, "tracks": of_run.tracks}
            alleles = of_run.alleles or alleles
    default = strategy if base is None else f"{base['run']}-{strategy}"
    made_of = {
        "base": base,
        "recipe": asdict(recipe),
        "splits": asdict(made),
        "alleles": alleles,
        "inputs": {role: digest(path) for role, path in input_files(study).items()},
        "versions": versions_of("cohort", "genome", "training"),
    }
    return Prepared(cohort, name or default, recipe, made, base, alleles, made_of)


def _loop(prepared: Prepared, device: str) -> Any:
    """Build network, data and loop of a training."""
    require_module("lightning")
    from howfar.training.build import build
    from howfar.training.data import TrainingData
    from howfar.training.loop import Loop

    built = build(prepared.base, prepared.recipe, "cpu" if device == "auto" else device)
    data = TrainingData(
        prepared.cohort,
        prepared.cohort.genes,
        prepared.splits,
        prepared.recipe,
        built.reads,
        prepared.alleles,
    )
    return built, Loop(built, data, prepared.recipe)


def _is_other(prepared: Prepared, folder: Path) -> bool:
    """Whether a folder holds a training with other options or of other files."""
    made = folder / _MADE_OF
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
        sealed.write_json(folder / _MADE_OF, prepared.made_of)
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
    scores = score(prepared, predict(loop))
    import pyarrow

    table = pyarrow.Table.from_pandas(scores, preserve_index=False)
    tables.write_arrow(folder / SCORES, table, {"made_of": prepared.made_of["versions"]})
    return load(folder)


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
                    batch.windows.to(loop.device),
                    batch.rows.to(loop.device),
                    loop.table,
                    loop.share,
                )
                for batch in everybody(data, gene)
            ]
            values = torch.cat(parts).float().cpu().numpy()
            values = values[:, 1] if values.ndim == 2 else values
            found[gene] = values.reshape(-1, len(data.cohort.samples)).mean(axis=0)
    return pd.DataFrame.from_dict(found, orient="index", columns=data.cohort.samples)


def score(prepared: Prepared, predicted: pd.DataFrame) -> pd.DataFrame:
    """Correlate predictions with expression, of each gene in each of `GROUPS`."""
    observed = prepared.cohort.require_expression("to score").values
    rows = []
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
            rows.append((gene, group, int(n[0]), float(np.nan_to_num(r[0]))))
    return pd.DataFrame(rows, columns=["gene_id", "group", "n", "r"])


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
