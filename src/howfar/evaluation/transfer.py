"""What a linear model is worth with fewer people to train on, and in another population.

Both on a stated subset of genes, each gene's models trained and judged on the same people. In a
simulated cohort, whose true genetic values and noise are known, the accuracy that theory expects
of BLUP stands beside what it reaches: `expected_r`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from howfar import stats
from howfar.cohort.files import input_files
from howfar.cohort.opened import OpenCohort
from howfar.cohort.panel import Panel
from howfar.core.errors import HowfarError
from howfar.core.project import resolve
from howfar.core.registry import LINEAR_MODELS
from howfar.core.threads import one_thread
from howfar.linear.base import Fit, fitter
from howfar.linear.cis import training
from howfar.results import cache
from howfar.results.cache import Key
from howfar.stats.blocks import blocks_of
from howfar.study.schema import Study

#: Sets of table `summary` that this module writes. x: people trained on.
TRAINING, CALIBRATION, TRANSFER, LOSS = (
    "training_people",
    "calibration",
    "transfer",
    "transfer_loss",
)
#: What only a known truth gives, beside the models.
KNOWN = {"truth": "True genetic value", "expected": "BLUP, expected"}


@dataclass(frozen=True)
class Options:
    """genes: how many are used, drawn by `seed` (0: all). held: share of people to test on.

    sizes: shares of the other people to train on. draws: of people, results averaged over them.
    """

    genes: int = 60
    models: tuple[str, ...] = ("blup", "enet", "prs_pt")
    sizes: tuple[float, ...] = (0.125, 0.25, 0.5, 1.0)
    held: float = 0.4
    draws: int = 3
    min_maf: float = 0.05
    seed: int = 1


@dataclass(frozen=True)
class Truth:
    """A simulation's truth: genetic value (gene x sample); by gene its noise's SD, additive h2."""

    value: pd.DataFrame
    noise_sd: pd.Series
    h2: pd.Series


@dataclass(frozen=True)
class Task:
    """Who trains (indices of people) and who is tested, by name of the people tested."""

    name: str
    train: np.ndarray
    tests: dict[str, np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """One gene, task, group tested and model: r there, and what calibration needs of it.

    covariance, variance: of prediction with expression, and of the prediction, times people.
    """

    gene: str
    task: str
    tested: str
    model: str
    trained: int
    r: float
    covariance: float = 0.0
    variance: float = 0.0


# --- who trains, who is tested -----------------------------------------------------------------


def size_tasks(people: int, options: Options) -> list[Task]:
    """Nested training sets of growing size and the same people to test, `draws` times."""
    tasks = []
    for draw in range(options.draws):
        order = np.random.default_rng((options.seed, draw)).permutation(people)
        held, others = np.split(order, [held_out(people, options)])
        counts = [max(2, round(share * len(others))) for share in options.sizes]
        tasks += [Task(str(n), others[:n], {"everybody": held}) for n in counts]
    return tasks


def held_out(people: int, options: Options) -> int:
    """How many of so many people are tested on; HowfarError for fewer than a correlation needs."""
    held = round(options.held * people)
    if held < stats.MIN_PAIRS:
        raise HowfarError(
            "people to train and test on",
            found=f"{people}, of whom a share of {options.held:g}, that is {held}, to test on",
            expected=f"{stats.MIN_PAIRS} or more, as correlations are taken across people",
            do="Add people, or leave `linear_baselines` out of the study's `notebooks`.",
        )
    return held


def population_tasks(groups: np.ndarray, options: Options) -> list[Task]:
    """Training in each population, tests in all, numbers matched to the smallest population.

    Populations too small for 3 people to be tested on are left out.
    """
    names, counts = np.unique(groups, return_counts=True)
    large = np.round(options.held * counts) >= stats.MIN_PAIRS
    names, counts = names[large], counts[large]
    smallest = int(counts.min(initial=len(groups)))
    held = round(options.held * smallest)
    train, tasks = smallest - held, []
    for draw in range(options.draws if len(names) > 1 else 0):
        rng = np.random.default_rng((options.seed, draw, 1))
        order = {name: rng.permutation(np.flatnonzero(groups == name)) for name in names}
        tests = {name: people[train : train + held] for name, people in order.items()}
        tasks += [Task(str(name), order[name][:train], tests) for name in names]
    return tasks


# --- one gene ----------------------------------------------------------------------------------


def outcomes(
    gene: str,
    dosages: np.ndarray,
    y: np.ndarray,
    tasks: Sequence[Task],
    options: Options,
    known: tuple[np.ndarray, float, float] | None = None,
) -> list[Outcome]:
    """Every task of one gene by every model.

    dosages: (people, variants), NaN where missing; y: (people,), NaN where missing. known: true
    genetic values (people,), SD of the noise, additive heritability; then the true value is judged
    on the same people, and BLUP's expected r is given. A constant prediction has r = 0; among fewer
    than 3 people, people of one expression, or by a fit on too few, r is missing.
    """
    found = []
    for task in tasks:
        train = task.train[np.isfinite(y[task.train])]
        x, _ = training(dosages, train, options.min_maf)
        fits = {m: fitter(m)(x[train], y[train], options.seed) for m in options.models}
        for name, test in task.tests.items():
            test = test[np.isfinite(y[test])]
            made = {model: _of_fit(fit, x[test], y[test]) for model, fit in fits.items()}
            if known is not None and len(test) >= stats.MIN_PAIRS:
                made["truth"] = _judged(known[0][test], y[test])
                made["expected"] = (expected_r(x, *known, train, test),)
            found += [Outcome(gene, task.name, name, m, len(train), *v) for m, v in made.items()]
    return found


def _of_fit(fit: Fit, x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    if fit.status == "too_few_people":
        return float("nan"), 0.0, 0.0
    return _judged(fit.predict(x), y)


def _judged(p: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    if len(y) < stats.MIN_PAIRS or np.ptp(y) == 0:
        return float("nan"), 0.0, 0.0
    r, _ = stats.pearson_rows(p, y)
    if np.isnan(r[0]):  # a constant prediction: what centring leaves of it is rounding
        return 0.0, 0.0, 0.0
    p = p - p.mean()
    return float(r[0]), float(p @ y), float(p @ p)


def expected_r(
    x: np.ndarray, value: np.ndarray, noise: float, h2: float, train: np.ndarray, test: np.ndarray
) -> float:
    """r with expression that BLUP is expected to have among `test` when trained on `train`.

    x: dosages (people, variants); value: true genetic values (people,); noise: SD. BLUP is A y of
    the training people, A = K21 (K11 + (1 - h2) / h2)^-1 with the kinship K of x. With y = value +
    noise its covariance with new expression is that of A value with the value, and its variance
    that of A value plus noise^2 |A|^2; r is their ratio. Nothing in it has seen expression.
    """
    sd = x[train].std(axis=0)
    z = ((x - x[train].mean(axis=0)) / np.where(sd > 0, sd, 1))[:, sd > 0]
    if not z.shape[1] or h2 <= 0:
        return 0.0
    inner = z[train] @ z[train].T / z.shape[1] + (1 - h2) / h2 * np.eye(len(train))
    a = np.linalg.solve(inner, z[train] @ z[test].T / z.shape[1]).T
    a, there = a - a.mean(axis=0), value[test] - value[test].mean()
    signal = a @ value[train]
    predicted = signal @ signal + noise**2 * (a**2).sum()
    observed = there @ there + noise**2 * (len(test) - 1)
    return float(signal @ there / np.sqrt(predicted * observed))


# --- tables --------------------------------------------------------------------------------------


def transfer(
    panel: Panel, options: Options | None = None, truth: Truth | None = None
) -> pd.DataFrame:
    """Rows of table `summary`: sets TRAINING, CALIBRATION, and with populations TRANSFER, LOSS.

    Values are means over genes of r, averaged over draws of people; intervals by block bootstrap
    over genes; n: genes with an r. x: people trained on, the median over genes where some lack
    expression. LOSS: r of a model trained in the population tested less that of one
    trained in the other, on the same people tested.
    CALIBRATION: slope of expression on prediction within genes, 1 for predictions that are right
    on average.
    """
    options = options or Options()
    sizes = size_tasks(panel.expression.shape[1], options)
    moves = population_tasks(panel.groups, options)
    by_size, by_move = [], []
    for gene in _chosen(panel, options):
        dosages = np.asarray(panel.dosages(gene)[0], float)
        y = panel.expression.loc[gene].to_numpy(float)
        known = _known(truth, gene, panel.expression.columns)
        by_size += outcomes(gene, dosages, y, sizes, options, known)
        by_move += outcomes(gene, dosages, y, moves, options, known)
    mean = _Means(panel.genes, options.seed)
    parts = [_training_rows(by_size, mean), _calibration_rows(by_size, mean)]
    if by_move:
        parts += [_transfer_rows(by_move, mean), _loss_rows(by_move, mean)]
    return pd.concat(parts, ignore_index=True).assign(replicate=1)


def _known(truth: Truth | None, gene: str, samples) -> tuple[np.ndarray, float, float] | None:
    if truth is None:
        return None
    value = truth.value.loc[gene, samples].to_numpy(float)
    return value, float(truth.noise_sd[gene]), float(truth.h2[gene])


def _chosen(panel: Panel, options: Options) -> list[str]:
    """Genes with variants to work on, a random part of them where `genes` is set."""
    given = [g for g in panel.expression.index if panel.dosages(g)[0].shape[1]]
    if not given:
        raise HowfarError(
            "genes to train linear models on",
            found=f"no variant in the window of any of {len(panel.expression)} genes",
            expected="genes with variants",
            do="Check contig names and positions, or enlarge `evaluation.cis_window`.",
        )
    if not 0 < options.genes < len(given):
        return given
    picked = np.random.default_rng(options.seed).choice(len(given), options.genes, replace=False)
    return [given[i] for i in np.sort(picked)]


@dataclass(frozen=True)
class _Means:
    """Means over genes with their block-bootstrap intervals, as columns of `summary`."""

    genes: pd.DataFrame
    seed: int

    def __call__(self, values: pd.Series) -> dict:
        """values: by gene_id; genes without a value are left out."""
        values = values.dropna()
        return self.of(values.to_numpy(float), values.index, stats.weighted_mean)

    def of(self, values: np.ndarray, ids, statistic: Callable) -> dict:
        """Any weighted statistic of rows (genes, k)."""
        if not len(values):
            return {"value": np.nan, "n": 0, "ci_low": np.nan, "ci_high": np.nan}
        blocks, _ = blocks_of(self.genes, ids)
        value = statistic(values, np.ones((1, len(values))))[0]
        ends = stats.block_bootstrap(values, blocks, statistic, seed=self.seed, weighted=True)
        return {"value": value, "n": len(ids), "ci_low": ends[0], "ci_high": ends[1]}


def label(model: str) -> str:
    """How figures name a model of these tables."""
    return KNOWN.get(model) or LINEAR_MODELS[model].help


def _frame(rows: list[Outcome]) -> pd.DataFrame:
    return pd.DataFrame([vars(row) for row in rows])


def _trained(part: pd.DataFrame) -> float:
    """The median number of people that the fits with an r were trained on."""
    given = part[part["r"].notna()]
    return (part if given.empty else given)["trained"].median()


def _by_size(table: pd.DataFrame):
    """Groups of equal model and number of people asked to train."""
    return table.assign(asked=table["task"].astype(int)).groupby(["model", "asked"])


def _training_rows(rows: list[Outcome], mean: _Means) -> pd.DataFrame:
    found = []
    for (model, _), part in _by_size(_frame(rows)):
        key = {"set": TRAINING, "method": label(model), "group": "people not trained on"}
        key["x"] = _trained(part)
        found.append(key | mean(part.groupby("gene")["r"].mean()))
    return pd.DataFrame(found).assign(units="mean r over genes; x in people")


def _calibration_rows(rows: list[Outcome], mean: _Means) -> pd.DataFrame:
    found, table = [], _frame(rows)
    for (model, _), part in _by_size(table[~table["model"].isin(KNOWN) & table["r"].notna()]):
        sums = part.groupby("gene")[["covariance", "variance"]].sum()
        key = {"set": CALIBRATION, "method": label(model), "x": _trained(part)}
        found.append(key | mean.of(sums.to_numpy(), sums.index, _slope))
    return pd.DataFrame(found).assign(group="people not trained on", units="slope; x in people")


def _slope(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    covariance, variance = (weights @ values).T
    return np.where(variance > 0, covariance / np.where(variance > 0, variance, 1), np.nan)


def _transfer_rows(rows: list[Outcome], mean: _Means) -> pd.DataFrame:
    found = []
    for (model, source, target), part in _frame(rows).groupby(["model", "task", "tested"]):
        key = {"set": TRANSFER, "method": label(model), "group": f"{source} → {target}"}
        n = {"x": _trained(part)}
        found.append(key | n | mean(part.groupby("gene")["r"].mean()))
    return pd.DataFrame(found).assign(units="mean r over genes; x in people")


def _loss_rows(rows: list[Outcome], mean: _Means) -> pd.DataFrame:
    """r trained where tested less r trained elsewhere, same people tested: paired by gene."""
    table = _frame(rows)
    table = table[table["model"] != "truth"]
    r = table.groupby(["model", "task", "tested", "gene"])["r"].mean()
    found = []
    for (model, source, target), part in table.groupby(["model", "task", "tested"]):
        if source != target:
            key = {"set": LOSS, "method": label(model), "group": f"{source} → {target}"}
            lost = r[model, target, target] - r[model, source, target]
            found.append(key | {"x": _trained(part)} | mean(lost))
    return pd.DataFrame(found).assign(units="difference of mean r; x in people")


# --- a study -------------------------------------------------------------------------------------


def path_of(results: str | Path, study: str) -> Path:
    """Where `howfar transfer` writes a study's rows of table `summary`."""
    return Path(results) / study / "transfer" / "summary.parquet"


def _truth_files(study: Study) -> list[Path]:
    """The true genetic values and the genes' truth of a simulation that wrote both; else none."""
    if not study.simulate:
        return []
    folder = resolve(study.cohort.reference).parent
    files = [folder / name for name in ("truth_values.parquet", "truth_genes.csv")]
    return files if all(path.is_file() for path in files) else []


def key_of(cohort: OpenCohort, options: dict) -> Key:
    """Return the cache key of the rows, a simulation's truth included."""
    evaluation = cohort.study.evaluation
    settings = {"window": evaluation.cis_window, "study_min_maf": evaluation.min_maf}
    truth = {f"truth {path.name}": path for path in _truth_files(cohort.study)}
    return cache.cohort_key(
        cohort, "transfer", options | settings, ["linear", "stats", "evaluation"], inputs=truth
    )


def load(cohort: OpenCohort, results: str | Path) -> pd.DataFrame:
    """The rows that `run` wrote, with whichever options; none where they are out of date."""
    path = path_of(results, cohort.study.name)
    return cache.read_rows(path, partial(key_of, cohort))


def run(study: Study, results: str | Path, options: Options | None = None) -> Path:
    """Training size and transfer between populations on a study's cohort.

    Rows on disk are taken up where all that decides them is unchanged. Returns their path.
    """
    options = options or Options(min_maf=study.evaluation.min_maf)
    options = replace(options, models=tuple(dict.fromkeys(options.models)))
    if not options.models:
        raise HowfarError(
            "--models",
            found="none",
            expected="one linear model at least",
            do="Name one, such as --models blup.",
        )
    cohort, path = OpenCohort(study), path_of(results, study.name)
    key = key_of(cohort, asdict(options))
    if not cache.is_current(path, key):
        with one_thread():
            rows = _of_cohort(cohort, options)
        cache.write_rows(path, rows, key, input_files(cohort.study), seed=options.seed)
    return path


def _of_cohort(cohort: OpenCohort, options: Options) -> pd.DataFrame:
    from howfar.cohort.known_values import true_values

    truth, files = None, _truth_files(cohort.study)
    if files:
        genes = pd.read_csv(files[1]).set_index("gene_id")
        truth = Truth(true_values(cohort.study), genes["sd_noise"], genes["h2_additive"])
    return transfer(cohort.panel(), options, truth)
