"""Comparison of stacked regressors: expression of (gene, person) pairs from a few features.

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
from howfar.core.registry import STACKED
from howfar.core.threads import one_thread
from howfar.eqtl import lead
from howfar.linear.base import fitter
from howfar.prediction import transform
from howfar.prediction.store import find_store, finished_genes, require_store
from howfar.results import cache
from howfar.results.cache import Key, Unit
from howfar.results.policy import require_fitting
from howfar.stacking.pairs import INNER_FOLDS, Pairs, Rows, folds, inner_folds, units
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
#: Fewest pairs that are stacked on.
MIN_PAIRS = 100
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
    """Average `values` (rows, k) per gene (count, k) over training rows; over all without any."""
    means = np.zeros((count, values.shape[1]))
    for code in np.unique(gene):
        rows = gene == code
        known = rows & train
        means[code] = values[known if known.any() else rows].mean(axis=0)
    return means


def prepared(pairs: Pairs, target: str, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Prepare features and target of all rows, gene means taken off for 'deviation'.

    Means are over training rows. A gene without one is centred on its own rows: for features that
    uses nothing but genotypes; for the target it only sets what its predictions are compared with.
    """
    if target == "level":
        return pairs.x, pairs.y
    count = len(pairs.gene_ids)
    x = pairs.x - by_gene(pairs.x, pairs.gene, train, count)[pairs.gene]
    return x, pairs.y - by_gene(pairs.y[:, None], pairs.gene, train, count)[pairs.gene, 0]


def scores(
    pairs: Pairs, trained: np.ndarray, model: str, seed: int = 1, everybody: bool = False
) -> np.ndarray:
    """Compute a polygenic score of each row (rows,), by the linear model of that name.

    trained: rows of training. Rows of people out of training are scored by all training rows of
    their gene, training rows by the other inner folds, as a score of the people it was fitted to
    looks better than it is. With `everybody` all rows are scored by all: the leak.
    """
    if pairs.dosages is None:
        raise HowfarError(
            "polygenic scores as features",
            found="no genotypes",
            expected="a cohort with them",
            do="Use the network's features alone.",
        )
    fit, score = fitter(model), np.zeros(len(pairs.y))
    people = int(pairs.person.max()) + 1
    fold = np.random.default_rng(seed).permutation(np.arange(people) % INNER_FOLDS)
    for code in range(len(pairs.gene_ids)):
        rows = np.flatnonzero(pairs.gene == code)
        dosages = pairs.dosages(code)
        for fitted, scored in _parts(rows, pairs.person, trained, fold, everybody):
            weights = fit(dosages[pairs.person[fitted]], pairs.y[fitted], seed)
            score[scored] = weights.predict(dosages[pairs.person[scored]])
    return score


def _parts(rows, person, trained, fold, everybody: bool) -> Iterator[Rows]:
    """Yield (rows to fit, rows to score) of one gene."""
    if everybody:
        yield rows, rows
        return
    inside, inner = rows[trained[rows]], fold[person[rows[trained[rows]]]]
    yield inside, rows[~trained[rows]]
    for k in range(INNER_FOLDS):
        yield inside[inner != k], inside[inner == k]


def _with_score(
    pairs: Pairs, train: np.ndarray, options: Options, everybody: bool = False
) -> Pairs:
    column = scores(pairs, train, options.score, options.seed, everybody)
    x = np.column_stack([pairs.x, column])
    return replace(pairs, x=x, names=[*pairs.names, "score"])


@dataclass(frozen=True)
class Predicted:
    """Out-of-fold predictions of the rows of `Pairs`.

    truth: (rows,), the target as each row's fold defines it. by_model: model to (rows,).
    fold: (rows,), int.
    """

    truth: np.ndarray
    by_model: dict[str, np.ndarray]
    fold: np.ndarray


def predictions(
    pairs: Pairs, target: str, split: str, features: str, models: Sequence[str], options: Options
) -> Predicted:
    """Predict every row out of fold by each model."""
    from howfar.stacking import regressors  # scikit-learn is slow to import

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
    truth, by_model = np.empty(len(pairs.y)), {name: np.empty(len(pairs.y)) for name in models}
    for k in range(options.folds):
        train = fold != k
        scored = _with_score(pairs, train, options) if features == "score" else pairs
        x, y = prepared(scored, target, train)
        truth[~train] = y[~train]
        inner = inner_folds(unit[train], options.seed)
        for name in models:
            model = regressors.make(name, inner, options.seed).fit(x[train], y[train])
            by_model[name][~train] = model.predict(x[~train])
    return Predicted(truth, by_model, fold)


def moments(pairs: Pairs, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Sum up each gene (genes, 7): n, sums of p, y, pp, yy, py, and of squared errors.

    Both are centred over all pairs first. A prediction that varies 1e-13 times less than the truth
    does is rounding, and so constant.
    """
    errors, truth = (predicted - truth) ** 2, stats.centred(truth)
    predicted = stats.centred(predicted)
    if np.abs(predicted).max() <= 1e-13 * np.abs(truth).max():
        predicted = np.zeros_like(predicted)
    squares = [predicted**2, truth**2, predicted * truth]
    columns = [np.ones_like(truth), predicted, truth, *squares, errors]
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
    """Correlate people of each gene within folds; r (genes,), the folds' mean by people.

    Between folds both sides differ by their training part, which says nothing about people. A
    constant prediction counts as 0; folds of fewer than 3 people or of one truth are left out, and
    a gene without any other has NaN.
    """
    mean_r = np.full(len(pairs.gene_ids), np.nan)
    for code in range(len(mean_r)):
        rows = np.flatnonzero(pairs.gene == code)
        parts = [rows[fold[rows] == k] for k in np.unique(fold[rows])]
        parts = [p for p in parts if len(p) >= stats.MIN_PAIRS and _varies(truth[p])]
        if parts:
            r = [stats.pearson_rows(predicted[p], truth[p])[0][0] for p in parts]
            mean_r[code] = np.average(np.nan_to_num(r), weights=[len(p) for p in parts])
    return mean_r


def summarise(
    pairs: Pairs, genes: pd.DataFrame, truth, predicted, fold, draws: int = 1000, seed: int = 1
) -> pd.DataFrame:
    """set, value, n, ci_low, ci_high of each of `MEASURES`; intervals by block bootstrap.

    n: pairs; for 'r_people' genes.
    """
    blocks, _ = blocks_of(genes, pairs.gene_ids)
    sums, r = moments(pairs, truth, predicted), r_people(pairs, truth, predicted, fold)
    known = r[~np.isnan(r)]
    value = [*of_moments(sums, np.ones((1, len(sums))))[0], known.mean() if known.size else np.nan]
    low, high = stats.block_bootstrap(sums, blocks, of_moments, draws, seed, weighted=True)
    ends = stats.block_bootstrap(r, blocks, stats.weighted_mean, draws, seed, weighted=True)
    return pd.DataFrame(
        {
            "set": [f"stacking.{name}" for name in MEASURES],
            "value": value,
            "n": [len(truth)] * 3 + [known.size],
            "ci_low": [*low, ends[0]],
            "ci_high": [*high, ends[1]],
        }
    )


def compare(
    pairs: Pairs,
    genes: pd.DataFrame,
    options: Options | None = None,
    designs: Sequence[tuple[str, str, str]] = DESIGNS,
) -> pd.DataFrame:
    """Compute rows of table `summary`: every model under every design (target, split, features).

    genes: table `genes`, for the blocks of the bootstrap. x is the number of folds. Raises
    HowfarError for fewer pairs than `MIN_PAIRS`.
    """
    options = options or Options()
    if len(pairs.y) < MIN_PAIRS:
        raise HowfarError(
            "pairs of gene and person",
            found=f"{len(pairs.y)}, of {len(pairs.gene_ids)} genes and "
            f"{len(np.unique(pairs.person))} people",
            expected=f"at least {MIN_PAIRS}, to fit and judge a model that all genes share",
            do="Use more genes and people.",
        )
    if pairs.dosages is None:
        designs = [d for d in designs if d[2] == "network"]
    parts = []
    for design in designs:
        judged = predictions(pairs, *design, _models(options), options)
        for name, predicted in judged.by_model.items():
            rows = summarise(pairs, genes, judged.truth, predicted, judged.fold, seed=options.seed)
            parts.append(rows.assign(method=STACKED[name].help, group="; ".join(design)))
    return pd.concat(parts, ignore_index=True).assign(x=options.folds, replicate=1, units="")


def _models(options: Options) -> tuple[str, ...]:
    from howfar.stacking import regressors  # scikit-learn is slow to import

    return tuple(dict.fromkeys(options.models)) or tuple(regressors.installed())


def pairs_of(study: Study, results: str | Path, options: Options) -> tuple[Pairs, pd.DataFrame]:
    """Read the pairs of a study's cohort with the features of all its runs, and table `genes`.

    A feature is one bin of one track of one run, transformed as the run says.
    """
    cohort = OpenCohort(study)
    panel = cohort.panel()
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
        """Return (people, variants) of a gene, missing calls as their mean."""
        return lead.filled(np.asarray(panel.dosages(ids[code])[0], float)[people])

    pairs = Pairs(x[complete], observed[complete], gene, person, ids, blocks, names, dosages)
    return pairs, panel.genes


def _drawn(rng: np.random.Generator, count: int, wanted: int) -> np.ndarray:
    """Draw `wanted` of `count` places, in order; all of them for 0 or too many."""
    if not 0 < wanted < count:
        return np.arange(count)
    return np.sort(rng.choice(count, wanted, replace=False))


def network_features(
    study: Study, cohort: OpenCohort, results: str | Path, gene_ids: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """Read (genes, people, features) of all runs of the study, and the features' names."""
    parts, names = [], []
    for run in study.runs:
        store = require_store(cohort, run, results)
        finished = {gene.gene_id for gene in finished_genes(cohort, run, store)}
        if missing := len(set(gene_ids) - finished):
            raise HowfarError(
                f"{store.path}, run {run.id}",
                found=f"no predictions of {missing} of the genes that are compared",
                expected=f"of all {len(gene_ids)}",
                do=f"Run `howfar predict --study {study.handle} --run {run.id}`.",
            )
        values = [_gene_features(store.read(gene), run.transform) for gene in gene_ids]
        parts.append(np.stack(values))
        names += [f"{run.id}: {i}" for i in range(parts[-1].shape[2])]
    return np.concatenate(parts, axis=2), names


def _gene_features(unit: Unit, steps: Sequence[str]) -> np.ndarray:
    """Transform each bin and track by itself as the run says: (people, bins x tracks)."""
    people = unit.arrays["values"][unit.arrays["index"]]
    places = np.ndindex(people.shape[2:])
    return np.column_stack(
        [transform.transform(people[:, :, [b], t : t + 1], steps) for b, t in places]
    )


def path_of(results: str | Path, study: str) -> Path:
    """Return where a study's rows of table `summary` are written."""
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
    options = replace(options, models=_models(options))
    require_fitting(study, study.runs, "stacking")
    cohort, path = OpenCohort(study), path_of(results, study.name)
    key = key_of(cohort, results, asdict(options))
    if not cache.is_current(path, key):
        with one_thread():
            rows = compare(*pairs_of(study, results, options), options)
        cache.write_rows(path, rows, key, input_files(cohort.study), seed=options.seed)
    return path
