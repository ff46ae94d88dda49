"""Regressors stacked on predictions: expression of (gene, person) pairs from a few features.

Features are a network's outputs (each bin and track of each run) and, optionally, a polygenic
score of the gene. One model is fitted to all genes together, as in projects that put a regressor
on top of a network, and judged under three splits of the same pairs:

- 'pairs': pairs held out at random. The gene's other people are in training, so a model that
  only recognises genes looks good: it is a leak for both questions below.
- 'people': people never seen; every gene is known from others.
- 'genes': genes never seen, whole chromosomes held out.

Two targets: 'level', expression as it is, most of whose variance lies between genes; 'deviation',
from the gene's mean over training people, which is what differs between people. All that is
learnt (normalisation, penalties, scores, gene means) comes from the training part of a fold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from howfar import stats
from howfar.cohort.files import input_files
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.core.threads import one_thread
from howfar.eqtl import lead
from howfar.linear.base import fitter
from howfar.prediction import transform
from howfar.prediction.store import find_store, finished_genes, require_store
from howfar.results import cache
from howfar.results.cache import Key, Unit
from howfar.stacking.pairs import _INNER, Pairs, _check_size, _drawn, _inner, folds, group_of, units
from howfar.stacking.regressors import MODELS, installed, make
from howfar.stats.blocks import blocks_of
from howfar.study.schema import Study

#: (target, split, features) of the book: the same question with and without the leak.
DESIGNS = (
    ("level", "pairs", "network"),
    ("level", "people", "network"),
    ("level", "genes", "network"),
    ("deviation", "pairs", "score_of_all"),
    ("deviation", "people", "score"),
    ("deviation", "people", "network"),
    ("deviation", "genes", "network"),
)


#: What is measured, each a `set` of table `summary` after the prefix 'stacking.'.
MEASURES = ("pearson", "r2", "mse", "r_people")


@dataclass(frozen=True)
class Options:
    """genes, people: how many are used, drawn by `seed` (0: all). score: a linear model."""

    genes: int = 60
    people: int = 150
    folds: int = 3
    seed: int = 1
    score: str = "prs_pt"
    models: tuple[str, ...] = ()  # empty: all that are installed


def by_gene(values: np.ndarray, gene: np.ndarray, train: np.ndarray, count: int) -> np.ndarray:
    """Mean of `values` (rows, k) per gene (count, k) over training rows; over all without any."""
    found = np.empty((count, values.shape[1]))
    for code in range(count):
        mine = gene == code
        known = mine & train
        found[code] = values[known if known.any() else mine].mean(axis=0) if mine.any() else 0.0
    return found


def prepared(pairs: Pairs, target: str, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features and target of all rows, gene means taken off for 'deviation'.

    Means are over training rows. A gene without one is centred on its own rows: for features that
    uses nothing but genotypes; for the target it only sets what its predictions are held against.
    """
    if target == "level":
        return pairs.x, pairs.y
    count = len(pairs.gene_ids)
    x = pairs.x - by_gene(pairs.x, pairs.gene, train, count)[pairs.gene]
    return x, pairs.y - by_gene(pairs.y[:, None], pairs.gene, train, count)[pairs.gene, 0]


def scores(
    pairs: Pairs, trained: np.ndarray, model: str, seed: int = 1, everybody: bool = False
) -> np.ndarray:
    """A polygenic score of each row (rows,), by the linear model of that name.

    trained: rows of training. Rows of people out of training are scored by all training rows of
    their gene, training rows by the other inner folds, as a score of the people it was fitted to
    looks better than it is. With `everybody` all rows are scored by all: the leak.
    """
    if pairs.dosages is None:
        raise HowfarError(
            "polygenic scores as features", found="no genotypes", expected="a cohort with them",
            do="Use the network's features alone.",
        )  # fmt: skip
    fit, found = fitter(model), np.zeros(len(pairs.y))
    people = int(pairs.person.max()) + 1
    fold = np.random.default_rng(seed).permutation(np.arange(people) % _INNER)
    for code in range(len(pairs.gene_ids)):
        rows = np.flatnonzero(pairs.gene == code)
        dosages = pairs.dosages(code)
        for fitted, scored in _parts(rows, pairs.person, trained, fold, everybody):
            made = fit(dosages[pairs.person[fitted]], pairs.y[fitted], seed)
            found[scored] = made.predict(dosages[pairs.person[scored]])
    return found


def _parts(rows, person, trained, fold, everybody: bool) -> Iterator[tuple]:
    """(rows to fit, rows to score) of one gene."""
    if everybody:
        yield rows, rows
        return
    inside, inner = rows[trained[rows]], fold[person[rows[trained[rows]]]]
    yield inside, rows[~trained[rows]]
    for k in range(_INNER):
        yield inside[inner != k], inside[inner == k]


def _with_score(
    pairs: Pairs, train: np.ndarray, options: Options, everybody: bool = False
) -> Pairs:
    column = scores(pairs, train, options.score, options.seed, everybody)
    x = np.column_stack([pairs.x, column])
    return replace(pairs, x=x, names=[*pairs.names, "score"])


def predictions(
    pairs: Pairs, target: str, split: str, features: str, models: Sequence[str], options: Options
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Out-of-fold predictions of every row by each model.

    Returns the target (rows,) as each row's fold defines it, model to prediction (rows,), and the
    fold of each row.
    """
    if split == "genes" and features == "score":
        raise HowfarError(
            "polygenic scores of genes never seen",
            found="no expression to train them on",
            expected="features that need none",
            do="Use the network's features alone for genes never seen.",
        )
    if features == "score_of_all":
        pairs = _with_score(pairs, np.ones(len(pairs.y), bool), options, everybody=True)
    unit = units(pairs, split)
    fold = folds(unit, options.folds, options.seed)
    truth, found = np.empty(len(pairs.y)), {name: np.empty(len(pairs.y)) for name in models}
    for k in range(options.folds):
        train = fold != k
        scored = _with_score(pairs, train, options) if features == "score" else pairs
        x, y = prepared(scored, target, train)
        truth[~train] = y[~train]
        inner = _inner(unit[train], options.seed)
        for name in models:
            model = make(name, inner, options.seed).fit(x[train], y[train])
            found[name][~train] = model.predict(x[~train])
    return truth, found, fold


def moments(pairs: Pairs, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Per gene (genes, 7): n, sums of p, y, pp, yy, py, and of squared errors.

    Both are centred over all pairs first. A prediction that varies 1e-13 times less than the truth
    does is rounding, and so constant.
    """
    errors, truth = (predicted - truth) ** 2, stats.centred(truth)
    predicted = stats.centred(predicted)
    if np.abs(predicted).max() <= 1e-13 * np.abs(truth).max():
        predicted = np.zeros_like(predicted)
    columns = [np.ones_like(truth), predicted, truth, predicted**2, truth**2, predicted * truth,
               errors]  # fmt: skip
    count = len(pairs.gene_ids)
    return np.column_stack([np.bincount(pairs.gene, c, minlength=count) for c in columns])


def of_moments(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson r, R2 and mean squared error over pairs (draws, 3), genes weighted (draws, genes).

    r is missing for a constant prediction or truth, R2 for a constant truth.
    """
    n, p, y, pp, yy, py, squares = (weights @ values).T
    r = stats.r_of_moments(pp, yy, py, p / n, y / n, n)
    spread = yy - y**2 / n
    spread = np.where(spread > 1e-13 * yy, spread, np.nan)
    return np.column_stack([r, 1 - squares / spread, squares / n])


def _varies(values: np.ndarray) -> bool:
    return bool(np.ptp(values) > 1e-13 * np.abs(values).max())


def r_people(
    pairs: Pairs, truth: np.ndarray, predicted: np.ndarray, fold: np.ndarray
) -> np.ndarray:
    """r across people of each gene (genes,), within folds, their mean weighted by people.

    Between folds both sides differ by their training part, which says nothing about people. A
    constant prediction counts as 0; folds of fewer than 3 people or of one truth are left out, and
    a gene without any other has NaN.
    """
    found = np.full(len(pairs.gene_ids), np.nan)
    for code in range(len(found)):
        mine = np.flatnonzero(pairs.gene == code)
        parts = [mine[fold[mine] == k] for k in np.unique(fold[mine])]
        parts = [p for p in parts if len(p) >= stats.MIN_PAIRS and _varies(truth[p])]
        if parts:
            r = [stats.pearson_rows(predicted[p], truth[p])[0][0] for p in parts]
            found[code] = np.average(np.nan_to_num(r), weights=[len(p) for p in parts])
    return found


def summarise(
    pairs: Pairs, genes: pd.DataFrame, truth, predicted, fold, draws: int = 1000, seed: int = 1
) -> pd.DataFrame:
    """set, value, n, ci_low, ci_high of each of `MEASURES`; intervals by block bootstrap.

    n: pairs; for 'r_people' genes.
    """
    blocks, _ = blocks_of(genes, pairs.gene_ids)
    sums, r = moments(pairs, truth, predicted), r_people(pairs, truth, predicted, fold)
    value = [*of_moments(sums, np.ones((1, len(sums))))[0], _mean_given(r)]
    low, high = stats.block_bootstrap(sums, blocks, of_moments, draws, seed, weighted=True)
    ends = stats.block_bootstrap(r, blocks, stats.weighted_mean, draws, seed, weighted=True)
    return pd.DataFrame(
        {
            "set": [f"stacking.{name}" for name in MEASURES],
            "value": value,
            "n": [len(truth)] * 3 + [int((~np.isnan(r)).sum())],
            "ci_low": [*low, ends[0]],
            "ci_high": [*high, ends[1]],
        }
    )


def _mean_given(values: np.ndarray) -> float:
    given = values[~np.isnan(values)]
    return float(given.mean()) if given.size else float("nan")


def compare(
    pairs: Pairs,
    genes: pd.DataFrame,
    options: Options | None = None,
    designs: Sequence[tuple[str, str, str]] = DESIGNS,
) -> pd.DataFrame:
    """Rows of table `summary`: every model under every design (target, split, features).

    genes: table `genes`, for the blocks of the bootstrap. x is the number of folds.
    """
    options = options or Options()
    _check_size(pairs)
    models = options.models or tuple(installed())
    if pairs.dosages is None:
        designs = [d for d in designs if d[2] == "network"]
    parts = []
    for design in designs:
        truth, found, fold = predictions(pairs, *design, models, options)
        for name, predicted in found.items():
            rows = summarise(pairs, genes, truth, predicted, fold, seed=options.seed)
            parts.append(rows.assign(method=MODELS[name], group=group_of(*design)))
    return pd.concat(parts, ignore_index=True).assign(x=options.folds, replicate=1, units="")


def pairs_of(study, results: str | Path, options: Options) -> tuple[Pairs, pd.DataFrame]:
    """The pairs of a study's cohort with the features of all its runs, and its table `genes`.

    A feature is one bin of one track of one run, transformed as the run says.
    """
    from howfar.cohort.panel import make_panel

    cohort = OpenCohort(study)
    panel = make_panel(cohort)
    rng = np.random.default_rng(options.seed)
    chosen = _drawn(rng, len(panel.expression), options.genes)
    people = _drawn(rng, len(cohort.samples), options.people)
    observed = panel.expression.iloc[chosen, people].to_numpy(float)
    ids = list(panel.expression.index[chosen])
    x, names = network_features(study, cohort, results, ids)
    x = x[:, people]
    complete = np.isfinite(observed) & np.isfinite(x).all(axis=2)
    gene, person = np.nonzero(complete)
    blocks, _ = blocks_of(panel.genes, ids)

    def dosages(code: int) -> np.ndarray:
        """(people, variants) of a gene, missing calls as their mean."""
        return lead.filled(np.asarray(panel.dosages(ids[code])[0], float)[people])

    made = Pairs(x[complete], observed[complete], gene, person, ids, blocks, names, dosages)
    return made, panel.genes


def network_features(study, cohort, results, gene_ids) -> tuple[np.ndarray, list[str]]:
    """(genes, people, features) of all runs of the study, and the features' names."""
    parts, names = [], []
    for run in study.runs:
        store = require_store(cohort, run, results)
        finished_genes(cohort, run, store)
        values = [_gene_features(store.read(gene), run.transform) for gene in gene_ids]
        parts.append(np.stack(values))
        names += [f"{run.id}: {i}" for i in range(parts[-1].shape[2])]
    return np.concatenate(parts, axis=2), names


def _gene_features(unit: Unit, steps: Sequence[str]) -> np.ndarray:
    """(people, bins x tracks): the run's transform, of each bin and track by itself."""
    people = unit.arrays["values"][unit.arrays["index"]]
    places = np.ndindex(people.shape[2:])
    return np.column_stack(
        [transform.transform(people[:, :, [b], t : t + 1], steps) for b, t in places]
    )


def path_of(results: str | Path, study: str) -> Path:
    """Where `howfar stack` writes a study's rows of table `summary`."""
    return Path(results) / study / "stacking" / "summary.parquet"


def key_of(cohort: OpenCohort, results: str | Path, options: dict) -> Key:
    """Return the cache key of the rows: the runs' raw values and transforms count too."""
    runs = {}
    for run in cohort.study.runs:
        store = find_store(cohort, run, results)
        runs[run.id] = [None if store is None else store.path.name, list(run.transform)]
    evaluation = cohort.study.evaluation
    settings = {"window": evaluation.cis_window, "study_min_maf": evaluation.min_maf, "runs": runs}
    layers = ["linear", "prediction", "stacking", "stats"]
    return cache.cohort_key(cohort, "stack", options | settings, layers)


def load(cohort: OpenCohort, results: str | Path) -> pd.DataFrame:
    """Return the rows that `stack` wrote, with whichever options; none where they are stale."""
    path = path_of(results, cohort.study.name)
    return cache.read_rows(path, partial(key_of, cohort, results))


def stack(study: Study, results: str | Path, options: Options | None = None) -> Path:
    """Compare the stacked models on a study's cohort; writes rows of table `summary`.

    Rows on disk are taken up where all that decides them is unchanged. Returns their path.
    """
    options = options or Options()
    options = replace(options, models=tuple(dict.fromkeys(options.models)) or tuple(installed()))
    cohort, path = OpenCohort(study), path_of(results, study.name)
    key = key_of(cohort, results, asdict(options))
    if not cache.is_current(path, key):
        with one_thread():
            rows = compare(*pairs_of(study, results, options), options)
        cache.write_rows(path, rows, key, input_files(cohort.study), seed=options.seed)
    return path
