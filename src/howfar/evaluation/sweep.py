"""Linear models with wider windows, fewer people and other limits on allele frequency.

Everybody is predicted out of fold, the same people at every setting; with fewer people, a share of
those of the other folds trains, drawn anew for each seed. One thing is changed at a time, all else
is as the study's `baselines` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from howfar import stats
from howfar.cohort.files import input_files
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.core.progress import track
from howfar.core.registry import LINEAR_MODELS
from howfar.core.threads import one_thread
from howfar.genome.intervals import Gene
from howfar.linear import baseline
from howfar.linear.cis import CisOptions, cis_data
from howfar.linear.folds import Split
from howfar.results import cache
from howfar.results.cache import Key, Units
from howfar.stats.blocks import blocks_of
from howfar.study.schema import Study

#: What can be swept, and the set of table `summary`, whose x is it.
SETS = {"window": "sweep_window", "people": "sweep_people", "maf": "sweep_maf"}
UNITS = {"window": "bp in total", "people": "people trained on", "maf": "least frequency"}
_FACTORS = {"bp": 1, "kb": 1_000, "mb": 1_000_000}


@dataclass(frozen=True)
class Options:
    """window: bp in total; people: shares of those who could train; maf: least frequencies.

    seeds: draws of people. genes: so many, drawn by the study's seed; 0: all.
    """

    models: tuple[str, ...]
    window: tuple[int, ...] = ()
    people: tuple[float, ...] = ()
    maf: tuple[float, ...] = ()
    seeds: tuple[int, ...] = (1, 2, 3)
    genes: int = 0


@dataclass(frozen=True)
class Setting:
    """One fit of a gene: what is swept, its value, the seed of the draw of people."""

    kind: str
    value: float
    seed: int = 1


def read_sweeps(texts: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Read 'window=10kb,1Mb', 'people=20%,100%' and 'maf=0.01,0.05': values by what is swept."""
    found: dict[str, tuple[float, ...]] = {}
    for text in texts:
        kind, _, values = text.partition("=")
        try:
            read = tuple(_read(kind, word.strip()) for word in values.split(","))
        except (KeyError, ValueError) as error:
            raise HowfarError(
                "--sweep",
                found=repr(text),
                expected="window=10kb,...,1Mb, people=20%,...,100% or maf=0.01,0.05",
                do="Correct it; one --sweep for each thing that is changed.",
            ) from error
        found[kind] = tuple(sorted(set(read)))
    return found


def _read(kind: str, word: str) -> float:
    if kind == "window":
        number = word.rstrip("bkmBKM")
        value = float(number) * _FACTORS[word[len(number) :].lower() or "bp"]
        least, most = 1, 1e9
    elif kind == "people":
        value = float(word.removesuffix("%")) / (100 if word.endswith("%") else 1)
        least, most = 1e-6, 1
    else:
        value, least, most = float(word), 0, {"maf": 0.4999}[kind]
    if not least <= value <= most:
        raise ValueError(word)
    return round(value) if kind == "window" else value


def settings_of(options: Options) -> list[Setting]:
    """List all fits of a gene; draws are made of people alone, and of everybody once."""
    found = [Setting(k, v) for k in ("window", "maf") for v in getattr(options, k)]
    for share in options.people:
        found += [Setting("people", share, s) for s in options.seeds[: None if share < 1 else 1]]
    return found


def fewer(split: Split, share: float, seed: int) -> Split:
    """Let a share of each part's people train, drawn by `seed`; those predicted stay.

    Who trains at a smaller share trains at a larger one, too.
    """
    parts = []
    for number, (trains, held) in enumerate(split.parts):
        order = np.random.default_rng((seed, number)).permutation(np.flatnonzero(trains))
        drawn = np.zeros(len(trains), bool)
        drawn[order[: max(1, round(share * len(order)))]] = True
        parts.append((drawn, held))
    return Split(split.name, tuple(parts))


def sweep_gene(
    cohort: OpenCohort, gene: Gene, model: str, settings: Sequence[Setting]
) -> tuple[np.ndarray, np.ndarray]:
    """Return r out of fold and how many people trained a fit (mean over folds), by setting.

    A constant prediction has r = 0; where expression has no variance, r is missing.
    """
    y = cohort.expression.values.loc[gene.gene_id, cohort.samples].to_numpy(float)
    plan, there = baseline.plan_of(cohort.study, model), np.isfinite(y)
    split, data = baseline.make_split(cohort, plan), {}
    r, trained = np.full(len(settings), np.nan), np.zeros(len(settings))
    for k, setting in enumerate(settings):
        cis, parts = plan.cis, split
        if setting.kind == "window":
            cis = replace(cis, window=int(setting.value))
        elif setting.kind == "maf":
            cis = replace(cis, min_maf=setting.value)
        else:
            parts = fewer(split, setting.value, setting.seed)
        read = replace(cis, min_maf=CisOptions().min_maf)
        if read not in data:
            data = {read: cis_data(cohort, gene, read)}
        predicted, _ = baseline.out_of_fold(data[read], y, parts, replace(plan, cis=cis))
        trained[k] = np.mean([(trains & there).sum() for trains, _ in parts.parts])
        if there.sum() >= stats.MIN_PAIRS and np.ptp(y[there]) > 0:
            r[k] = np.nan_to_num(stats.pearson_rows(predicted[there], y[there])[0][0])
    return r, trained


def rows_of(table: pd.DataFrame, genes: pd.DataFrame, people: int, seed: int) -> pd.DataFrame:
    """Rows of table `summary`: mean r over genes by seed, and `.mean` over seeds with intervals.

    table: model, kind, value, seed, gene_id, r, trained. x: the value; of `people`, how many
    trained a fit, the median over genes.
    """
    out = []
    table = table.dropna(subset=["r"])
    for (model, kind, value), part in table.groupby(["model", "kind", "value"], sort=False):
        key = {
            "method": LINEAR_MODELS[model].help,
            "group": f"{people} people, out of fold",
            "x": part["trained"].median() if kind == "people" else value,
            "units": f"mean r over genes; x: {UNITS[kind]}",
        }
        for replicate, one in part.groupby("seed"):
            each = {"set": SETS[kind], "replicate": replicate, "n": len(one)}
            out.append(key | each | {"value": one["r"].mean()})
        r = part.groupby("gene_id")["r"].mean()
        low, high = stats.block_bootstrap(
            r.to_numpy(), blocks_of(genes, r.index)[0], np.mean, seed=seed
        )
        mean = {"set": f"{SETS[kind]}.mean", "replicate": 1, "n": len(r)}
        out.append(key | mean | {"value": r.mean(), "ci_low": low, "ci_high": high})
    return pd.DataFrame(out)


# --- a study -------------------------------------------------------------------------------------


def path_of(results: str | Path, study: str) -> Path:
    """Where `howfar baseline --sweep` writes a study's rows of table `summary`."""
    return Path(results) / study / "sweep" / "summary.parquet"


def key_of(cohort: OpenCohort, options: dict) -> Key:
    """Return the cache key of rows, or of one model's fits; options: as of `Options`."""
    chosen = cohort.study.baselines.model_dump(exclude={"models", "genes"})
    return cache.cohort_key(
        cohort, "sweep", options | {"baselines": chosen}, ["eqtl", "linear", "stats", "evaluation"]
    )


def load(cohort: OpenCohort, results: str | Path) -> pd.DataFrame:
    """The rows that `run` wrote, with whichever options; none where they are out of date."""
    return cache.read_rows(path_of(results, cohort.study.name), partial(key_of, cohort))


def run(study: Study, results: str | Path, options: Options) -> Path:
    """Sweep a study's linear models; finished genes are kept. Return the path of the rows."""
    cohort, path = OpenCohort(study), path_of(results, study.name)
    key = key_of(cohort, asdict(options))
    if cache.is_current(path, key):
        return path
    genes = cohort.measured(cohort.genes, "to train linear models on")
    if 0 < options.genes < len(genes):
        drawn = np.random.default_rng(study.baselines.seed)
        genes = [genes[i] for i in np.sort(drawn.choice(len(genes), options.genes, replace=False))]
    settings, parts = settings_of(options), []
    for model in options.models:
        own = asdict(replace(options, models=(model,), genes=0))
        units = Units.open(path.parent, model, key_of(cohort, own))
        for gene in track(genes, len(genes), f"{model}: genes"):
            if not units.has(gene.gene_id):
                with one_thread():
                    r, trained = sweep_gene(cohort, gene, model, settings)
                units.write(gene.gene_id, {"r": r, "trained": trained})
            kept = units.read(gene.gene_id).arrays
            of_gene = pd.DataFrame([asdict(s) for s in settings])
            of_gene = of_gene.assign(model=model, gene_id=gene.gene_id, r=kept["r"])
            parts.append(of_gene.assign(trained=kept["trained"]))
    table = pd.concat(parts, ignore_index=True)
    rows = rows_of(table, cohort.panel().genes, len(cohort.samples), study.baselines.seed)
    return cache.write_rows(path, rows, key, input_files(study), seed=study.baselines.seed)
