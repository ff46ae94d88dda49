"""Linear models of every gene of a study: predictions of people who didn't train, and weights.

``results/<study>/baseline/`` gets, for each model,
``<model>.parquet`` (table `individuals`: each person's prediction, made without them),
``<model>.weights.parquet`` (gene_id, variant, chrom, pos (1-based), ref, alt, weight per copy of
the alternative allele; weights of 0 left out) and
``<model>.genes.parquet`` (gene_id, status, parts_fitted, parts, n_people, n_variants, n_selected,
intercept, h2, h2_se, seconds of CPU, details as JSON): a prediction is the
intercept plus the sum of weight x dosage.
The exported weights are of a fit on everybody who may train: all people with nested folds, the
training people of a fixed split. Statuses and n_people are those of that fit.

Each gene is a unit of the cache, so that a killed run goes on where it stopped and a changed key
never meets old values.
"""

from __future__ import annotations

import json
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as arrow

from howfar.cohort.files import input_files
from howfar.cohort.opened import OpenCohort
from howfar.core import provenance, sealed
from howfar.core.errors import HowfarError, NotMade
from howfar.core.progress import track
from howfar.core.registry import LINEAR_MODELS
from howfar.core.threads import one_thread
from howfar.genome.intervals import Gene
from howfar.linear import folds
from howfar.linear.base import Fit, fitter, null_fit
from howfar.linear.cis import CisData, CisOptions, cis_data, training
from howfar.results import cache, tables
from howfar.results.cache import Key, MemoryUnits, Unit, Units
from howfar.results.predictions import Predictions
from howfar.study.schema import Study

_KEPT_BYTES = 1 << 28  # of dosages that the models of a study share
_SITE = ("chrom", "pos", "ref", "alt")


@dataclass(frozen=True)
class Plan:
    """Options of a fit of all genes.

    split: 'nested', 'fraction:0.8', 'people:FILE' (the names of those who train, one per line),
    'population:EUR>AFR', with ':N' for N training people at the end, or 'classes:AFR', where a
    gene's class decides (`folds.by_class`).
    """

    model: str
    cis: CisOptions = field(default_factory=CisOptions)
    split: str = "nested"
    folds: int = 5
    seed: int = 1


def plan_of(study: Study, model: str, split: str = "nested") -> Plan:
    """Plan a model as the study file's `baselines` says."""
    options = study.baselines
    cis = CisOptions(options.window, options.min_maf, options.max_missing, options.variant_types)
    return Plan(model, cis, split, options.folds, options.seed)


def make_split(cohort: OpenCohort, plan: Plan, gene: Gene | None = None) -> folds.Split:
    """Split the cohort's people as the plan says; by class as that of the gene says.

    Raises HowfarError for a split that can't be made of this cohort.
    """
    kind, _, rest = plan.split.partition(":")
    if kind == "classes":
        return _class_split(cohort, plan, rest, gene or cohort.genes[0])
    if kind == "nested":
        return folds.nested(len(cohort.samples), plan.folds, plan.seed)
    try:
        if kind == "fraction":
            return folds.by_fraction(len(cohort.samples), float(rest), plan.seed)
        if kind == "people":
            return folds.by_people(cohort.samples, Path(rest).read_text().split())
        if kind == "population" and cohort.populations is not None:
            pair, _, count = rest.partition(":")
            groups = cohort.populations.loc[cohort.samples].to_numpy()
            people = int(count) if count else None
            return folds.by_population(groups, *pair.split(">", 1), people, plan.seed)
    except (ValueError, TypeError, OSError) as error:
        raise _bad_split(plan.split) from error
    raise _bad_split(plan.split)


def _class_split(cohort: OpenCohort, plan: Plan, test: str, gene: Gene) -> folds.Split:
    groups = cohort.populations
    if groups is None or not (groups.loc[cohort.samples] == test).any():
        raise _bad_split(plan.split)
    contigs = folds.gene_classes([g.chrom for g in cohort.genes], folds.CLASS_SHARES)
    seed = plan.seed + zlib.crc32(gene.gene_id.encode())  # every gene's people are drawn anew
    return folds.by_class(contigs[gene.chrom], groups.loc[cohort.samples].to_numpy(), test, seed)


def _bad_split(found: str) -> HowfarError:
    return HowfarError(
        "option split",
        found=repr(found),
        expected="nested, fraction:0.8, people:FILE, population:EUR>AFR[:people] or classes:AFR, "
        "the last two with a sample table",
        do="Correct --split.",
    )


# --- one gene --------------------------------------------------------------------------------


@dataclass(frozen=True)
class GeneFit:
    """Fits of one gene, as its unit of the cache keeps them.

    predicted: float64 (people,), each person's prediction by a fit that they didn't train, NaN
    where nobody predicts. fold: int64 (people,), the part that predicts, -1 for none. kept: int64,
    places among the gene's variants that the exported fit uses; weights: float64, theirs per copy
    of the alternative allele. row: the gene's line of the table of genes.
    """

    predicted: np.ndarray
    fold: np.ndarray
    kept: np.ndarray
    weights: np.ndarray
    row: dict[str, str | int | float]


@dataclass(frozen=True)
class _TrainedFit:
    """A fit with the dosages (people, kept) that it predicts from; kept: places of its variants."""

    fit: Fit
    x: np.ndarray
    kept: np.ndarray


def _train(data: CisData, y: np.ndarray, trains: np.ndarray, plan: Plan) -> _TrainedFit:
    trains = trains & ~np.isnan(y)
    x, kept = training(data.dosages, trains, plan.cis.min_maf)
    if trains.any() and len(kept):
        fit = fitter(plan.model)(x[trains], y[trains], plan.seed)
    else:
        status = "no_variants" if trains.any() else "too_few_people"
        fit = null_fit(x[trains], y[trains], status)
    return _TrainedFit(fit, x, kept)


def out_of_fold(
    data: CisData, y: np.ndarray, split: folds.Split, plan: Plan
) -> tuple[np.ndarray, list[_TrainedFit]]:
    """Fit each part of a split: predictions of who didn't train it (people,), and the fits.

    With several parts predictions are deviations from the mean of those who trained.
    """
    predicted, fits = np.full(len(y), np.nan), []
    for trains, held in split.parts:
        trained = _train(data, y, trains, plan)
        predicted[held] = trained.fit.predict(trained.x[held])
        # A single split has one level for everybody, which correlations don't see.
        if len(split.parts) > 1 and not np.isnan(y[trains]).all():
            predicted[held] -= float(np.nanmean(y[trains]))
        fits.append(trained)
    return predicted, fits


def fit_gene(data: CisData, y: np.ndarray, split: folds.Split, plan: Plan) -> GeneFit:
    """Fit one gene: predictions of those who didn't train, and weights to export.

    y: (people,), NaN where missing. Out-of-fold predictions are deviations from the mean of the
    people trained on: that mean is lower where those held out are higher, and so would give a
    negative r by itself.
    """
    start = time.process_time()
    predicted, fits = out_of_fold(data, y, split, plan)
    if len(split.parts) > 1:
        trains = np.ones(len(y), bool)
        trained = _train(data, y, trains, plan)
    else:
        trains, trained = split.parts[0][0], fits[0]
    exported = trained.fit
    details = {name: float(value) for name, value in exported.details.items()}
    row = {
        "gene_id": data.gene.gene_id,
        "status": exported.status,
        "parts_fitted": sum(each.fit.status == "fitted" for each in fits),
        "parts": len(fits),
        "n_selected": int(np.count_nonzero(exported.weights)),
        "intercept": float(exported.intercept),
        "h2": details.get("h2", np.nan),
        "h2_se": details.get("h2_se", np.nan),
        "details": json.dumps(details, sort_keys=True),
        "n_people": int((trains & ~np.isnan(y)).sum()),
        "n_variants": len(trained.kept),
        "seconds": time.process_time() - start,
    }
    return GeneFit(predicted, split.fold(), trained.kept, exported.weights, row)


# --- all genes -------------------------------------------------------------------------------


def key_of(cohort: OpenCohort, plan: Plan) -> Key:
    """Return the cache key of a model's predictions and weights."""
    kind, _, path = plan.split.partition(":")
    listed = kind == "people" and Path(path).is_file()
    # A list of people counts by what it holds, wherever it lies.
    options = asdict(replace(plan, split=kind) if listed else plan)
    inputs = {"people who train": path} if listed else {}
    return cache.cohort_key(cohort, "baseline", options, ["eqtl", "linear"], inputs=inputs)


def folder_of(results: str | Path, study: str) -> Path:
    """Return the folder of a study's linear models."""
    return Path(results) / study / "baseline"


def genes_of(cohort: OpenCohort, model: str, gene: str | None = None) -> list[Gene]:
    """List the genes with expression; so many, drawn, where `baselines.genes` says so."""
    genes = cohort.measured(cohort.genes_to_run(gene), "to train linear models on")
    count = cohort.study.baselines.genes.get(model)
    if gene or count is None or count >= len(genes):
        return genes
    rng = np.random.default_rng(cohort.study.baselines.seed)
    return [genes[i] for i in sorted(rng.choice(len(genes), count, replace=False))]


class GeneReader:
    """Genes' genotypes, read once for several models that fit the same variants.

    room: bytes of dosages that are kept in memory; genes beyond are read for each model.
    """

    def __init__(self, cohort: OpenCohort, room: int = 0) -> None:
        self._cohort, self._room = cohort, room
        self._kept: dict[tuple[str, CisOptions], CisData] = {}
        # As a cohort counts what it meets in a gene once, however often it reads the gene.
        self._counts: dict[tuple[str, CisOptions], Counter[str]] = {}

    def read(self, gene: Gene, options: CisOptions) -> tuple[CisData, Counter[str]]:
        """Return a gene's genotypes, and what was counted as they were read for the first time."""
        name = gene.gene_id, options
        if name in self._kept:
            return self._kept[name], self._counts[name]
        with self._cohort.counted() as counts:
            data = cis_data(self._cohort, gene, options)
        if data.dosages.nbytes <= self._room:
            self._room -= data.dosages.nbytes
            self._kept[name] = data
        return data, self._counts.setdefault(name, counts)


@dataclass(frozen=True)
class _Work:
    """Work on one model: every process has its own, as open files can't be shared."""

    cohort: OpenCohort
    plan: Plan
    units: Units | MemoryUnits
    genes: GeneReader

    def finish(self, gene: Gene) -> None:
        """Fit a gene and write its unit."""
        y = self.cohort.expression.values.loc[gene.gene_id, self.cohort.samples].to_numpy(float)
        data, counts = self.genes.read(gene, self.plan.cis)
        fit = fit_gene(data, y, make_split(self.cohort, self.plan, gene), self.plan)
        variants = data.variants.iloc[fit.kept]
        arrays = {"predicted": fit.predicted, "fold": fit.fold, "weights": fit.weights}
        sites = {c: variants[c].to_numpy(str if c != "pos" else int) for c in _SITE}
        self.units.write(gene.gene_id, arrays | sites, counts, row=fit.row)


_worker: list[_Work] = []


def _start_worker(study: Study, plan: Plan, units: Units) -> None:
    cohort = OpenCohort(study)
    _worker.append(_Work(cohort, plan, units, GeneReader(cohort)))
    one_thread()


def _in_worker(gene: Gene) -> None:
    _worker[0].finish(gene)


def _finish(work: _Work, genes: Sequence[Gene], cores: int) -> Iterator[None]:
    if cores <= 1 or len(genes) < 2:
        with one_thread():  # for all, as each look for the libraries takes as long as a small fit
            yield from map(work.finish, genes)
        return
    arguments = (work.cohort.study, work.plan, work.units)
    with ProcessPoolExecutor(cores, initializer=_start_worker, initargs=arguments) as pool:
        yield from pool.map(_in_worker, genes)


@dataclass(frozen=True)
class FittedGenes:
    """The table of genes of a model (see the module's text), and what was counted."""

    rows: pd.DataFrame
    counts: Counter[str]


def run(
    study: Study, plan: Plan, results: str | Path, gene: str | None = None, cores: int = 1
) -> FittedGenes:
    """Fit what isn't finished and write the three tables of a model.

    gene (id or name): only that one is fitted, and no table written.
    """
    return next(run_all(study, [plan], results, gene, cores))


def run_all(
    study: Study,
    plans: Sequence[Plan],
    results: str | Path,
    gene: str | None = None,
    cores: int = 1,
) -> Iterator[FittedGenes]:
    """Do as `run` for several models, one after the other; the cohort is opened once."""
    cohort = OpenCohort(study)
    reader = GeneReader(cohort, _KEPT_BYTES if len(plans) > 1 else 0)
    counts: Counter[str] | None = None
    for plan in plans:
        fitter(plan.model)
        make_split(cohort, plan)
        units = Units.open(folder_of(results, study.name), plan.model, key_of(cohort, plan))
        genes = genes_of(cohort, plan.model, gene)
        if counts is None:  # of the files; each gene's are kept with its unit
            counts = Counter(cohort.warnings)
        work = _Work(cohort, plan, units, reader)
        yield _run(work, genes, counts, cores, folder=None if gene else units.folder.parent)


def _run(
    work: _Work, genes: Sequence[Gene], counts: Counter[str], cores: int, folder: Path | None
) -> FittedGenes:
    """Fit one model, and write its tables into a folder, if any. counts: of the files."""
    cohort, plan, units = work.cohort, work.plan, work.units
    todo = [g for g in genes if not units.has(g.gene_id)]
    done = len(genes) - len(todo)
    for _ in track(_finish(work, todo, cores), len(genes), f"{plan.model}: genes", done=done):
        pass
    finished_units = [units.read(g.gene_id) for g in genes]
    rows = pd.DataFrame([unit.notes["row"] for unit in finished_units])
    left = rows.loc[rows["status"] != "fitted", "status"].str.replace("_", " ")
    counts = sum((unit.counts for unit in finished_units), counts)
    counts = counts + Counter(f"genes not fitted: {why}" for why in left)
    if folder is not None:
        commits = dict(Counter(unit.commit for unit in finished_units))
        more = {"seed": plan.seed, "commits": commits}
        block = provenance.block(units.key, input_files(cohort.study), counts, **more)
        individuals = _individuals(plan.model, cohort, genes, finished_units)
        _write(folder, plan.model, individuals, _weights(genes, finished_units), rows, block)
    return FittedGenes(rows, counts)


def _write(
    folder: Path,
    model: str,
    individuals: pd.DataFrame,
    weights: pd.DataFrame,
    rows: pd.DataFrame,
    block: dict,
) -> None:
    """Write the three tables of a model, `individuals` last: who finds it finds all."""
    for name, frame in {"weights": weights, "genes": rows}.items():
        table = arrow.Table.from_pandas(frame, preserve_index=False)
        path = folder / f"{model}.{name}.parquet"
        tables.write_arrow(path, table, {"table": f"{name}.parquet"} | block)
    tables.write(folder / f"{model}.parquet", "individuals", individuals, block)


def _individuals(
    model: str, cohort: OpenCohort, genes: Sequence[Gene], units: Sequence[Unit]
) -> pd.DataFrame:
    """Lay out table `individuals` of those whom a fit predicts, genes in the order given."""
    observed = cohort.expression.values.loc[[g.gene_id for g in genes], cohort.samples]
    frame = pd.DataFrame(
        {
            "run_id": model,
            "gene_id": np.repeat(observed.index.to_numpy(), len(cohort.samples)),
            "sample": np.tile(cohort.samples, len(genes)),
            "predicted": np.concatenate([unit.arrays["predicted"] for unit in units]),
            "observed": observed.to_numpy(float).ravel(),
            "fold": np.concatenate([unit.arrays["fold"] for unit in units]),
        }
    )
    return frame[frame["fold"] >= 0]


def _weights(genes: Sequence[Gene], units: Sequence[Unit]) -> pd.DataFrame:
    """Lay out the table of weights other than 0."""
    columns = (*_SITE, "weights")
    parts = [
        pd.DataFrame({"gene_id": gene.gene_id} | {name: unit.arrays[name] for name in columns})
        for gene, unit in zip(genes, units, strict=True)
    ]
    frame = pd.concat(parts, ignore_index=True).rename(columns={"weights": "weight"})
    frame = frame[frame["weight"] != 0].reset_index(drop=True)
    names = [f"{c}:{p}:{r}:{a}" for c, p, r, a in frame[list(_SITE)].itertuples(index=False)]
    frame.insert(1, "variant", pd.Series(names, dtype=object))
    return frame


# --- in Python and for the evaluation --------------------------------------------------------


@dataclass(frozen=True)
class LinearPredictions:
    """Predictions of a linear model as an evaluation takes them.

    folds: gene_id x sample, the part that predicts each person. run_row: of table `runs`.
    weights: the table of the module's text.
    """

    predictions: Predictions
    folds: pd.DataFrame
    run_row: dict[str, str | int | None]
    weights: pd.DataFrame


@dataclass(frozen=True)
class LinearFit(LinearPredictions):
    """A linear model fitted in memory; genes: the table of the module's text."""

    genes: pd.DataFrame

    @property
    def people(self) -> pd.DataFrame:
        """Predictions, gene_id x sample, each by a fit that the person didn't train."""
        return self.predictions.people


def fit_linear(
    cohort: OpenCohort,
    model: str = "enet",
    genes: Sequence[str] | None = None,
    *,
    split: str = "nested",
    folds: int | None = None,
    seed: int | None = None,
) -> LinearFit:
    """Train a linear model on a cohort's own cis genotypes, in memory.

    Parameters
    ----------
    cohort
        With expression.
    model
        A name of `howfar.core.registry.LINEAR_MODELS`, such as "enet", "blup" or "top1".
    genes
        Gene ids or names; all that have expression where left out.
    split
        Who trains and who is predicted, as `Plan.split`.
    folds, seed
        As the study's `baselines` where left out.

    Returns
    -------
    LinearFit
        `.people` (gene_id x sample), `.weights` and `.genes`.

    Examples
    --------
    >>> import howfar as hf
    >>> fit = hf.fit_linear(hf.example_cohort(), "top1", folds=2)
    >>> fit.people.shape
    (6, 20)
    """
    plan = plan_of(cohort.study, model, split)
    plan = replace(plan, folds=folds or plan.folds, seed=plan.seed if seed is None else seed)
    chosen = cohort.genes_to_run() if genes is None else [cohort.gene(gene) for gene in genes]
    chosen = cohort.measured(chosen, "to train linear models on")
    work = _Work(cohort, plan, MemoryUnits(), GeneReader(cohort))
    for _ in _finish(work, chosen, cores=1):
        pass
    units = [work.units.read(gene.gene_id) for gene in chosen]
    predictions, fold = _wide(model, _individuals(model, cohort, chosen, units))
    rows = pd.DataFrame([unit.notes["row"] for unit in units])
    return LinearFit(predictions, fold, run_row(cohort, plan), _weights(chosen, units), rows)


def _wide(model: str, long: pd.DataFrame) -> tuple[Predictions, pd.DataFrame]:
    """Turn table `individuals` of one model into predictions and folds, gene x sample."""
    people, fold = (
        long.pivot(index="gene_id", columns="sample", values=v) for v in ("predicted", "fold")
    )
    reference = pd.Series(np.nan, index=people.index, dtype=float)  # a linear model has none
    return Predictions(model, people, reference), fold


def finished(cohort: OpenCohort, results: str | Path) -> list[LinearPredictions]:
    """Read the models of the study's `baselines` that are there, in their order.

    Those that are missing or were made from other files, people or options are counted.
    """
    found = []
    for model in cohort.study.baselines.models:
        try:
            found.append(read_finished(cohort, model, results))
        except NotMade as error:
            cohort.warnings[f"linear models left out: {model} ({error.found})"] += 1
    return found


def read_finished(cohort: OpenCohort, model: str, results: str | Path) -> LinearPredictions:
    """Read a linear model of the study's `baselines`; NotMade where there is no current one."""
    path, plan = (
        folder_of(results, cohort.study.name) / f"{model}.parquet",
        plan_of(cohort.study, model),
    )
    differences = key_of(cohort, plan).differences(cache.kept_key(path))
    if differences or not path.is_file():
        raise NotMade(
            str(path),
            found=f"predictions made in another way: {', '.join(differences)}"
            if path.is_file()
            else "no such file",
            expected="predictions from the study's files, people and options",
            do=f"Run `howfar baseline --study {cohort.study.handle} --models {model}`.",
        )
    predictions, fold = _wide(model, tables.read(path, "individuals"))
    weights = sealed.read_own_parquet(path.with_name(f"{model}.weights.parquet"))
    return LinearPredictions(predictions, fold, run_row(cohort, plan), weights)


def run_row(cohort: OpenCohort, plan: Plan) -> dict[str, str | int | None]:
    """Return a model's row of table `runs`."""
    return {
        "run_id": plan.model,
        "study": cohort.study.name,
        "label": LINEAR_MODELS[plan.model].help,
        "kind": "linear",
        "model": plan.model,
        "units": cohort.settings.expression_units,
        "context": plan.cis.window,
        "alleles": plan.cis.variant_types,
        "split": make_split(cohort, plan).name,
        "seed": plan.seed,
    }
