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

Each gene is finished by itself, in a folder named by all that defines the work, so that a killed
run goes on where it stopped and a changed definition never meets old values.
"""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as arrow
import pyarrow.parquet as parquet

from howfar.cohort.files import input_files
from howfar.cohort.opened import OpenCohort
from howfar.core import provenance
from howfar.core.atomic import file_name, whole
from howfar.core.errors import HowfarError
from howfar.core.progress import track
from howfar.core.provenance import digest as file_digest
from howfar.core.provenance import sha256_of
from howfar.core.registry import LINEAR_MODELS
from howfar.core.threads import one_thread
from howfar.genome.intervals import Gene
from howfar.linear import folds
from howfar.linear.base import Fit, fitter, null_fit
from howfar.linear.cis import CisData, CisOptions, cis_data, training
from howfar.results import tables
from howfar.results.predictions import Predictions
from howfar.study.schema import Study

VERSION = 2
_ARRAYS = ("predicted", "fold", "weights", "kept")


@dataclass(frozen=True)
class Plan:
    """What is fitted and how. split: 'nested', 'fraction:0.8', 'people:FILE' (the names of those
    who train, one a line), 'population:EUR>AFR', with ':N' for N training people at the end, or
    'classes:AFR', where a gene's class decides (`folds.by_class`).
    """

    model: str
    cis: CisOptions = field(default_factory=CisOptions)
    split: str = "nested"
    folds: int = 5
    seed: int = 1


def plan_of(study: Study, model: str, split: str = "nested") -> Plan:
    """The plan of a model, as the study file's `baselines` says."""
    given = study.baselines
    cis = CisOptions(given.window, given.min_maf, given.max_missing, given.variant_types)
    return Plan(model, cis, split, given.folds, given.seed)


def make_split(cohort: OpenCohort, plan: Plan, gene: Gene | None = None) -> folds.Split:
    """The split that a plan names, for the cohort's people; of classes, that of the gene."""
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


def _fitted(data: CisData, y: np.ndarray, trains: np.ndarray, plan: Plan):
    """(fit, dosages (people, kept), kept) of the training people with expression."""
    trains = trains & ~np.isnan(y)
    x, kept = training(data.dosages, trains, plan.cis.min_maf)
    if not trains.any():
        return null_fit(x[trains], y[trains], "too_few_people"), x, kept
    if not len(kept):
        return null_fit(x[trains], y[trains], "no_variants"), x, kept
    return fitter(plan.model)(x[trains], y[trains], plan.seed), x, kept


def fit_gene(data: CisData, y: np.ndarray, split: folds.Split, plan: Plan) -> dict:
    """Predictions and weights of one gene; y (people,), NaN where missing.

    Out-of-fold predictions are deviations from the mean of the people trained on: that mean is
    lower where those held out are higher, and so would give a negative r by itself.
    Returns predicted (people,), NaN where nobody predicts; fold (people,); kept and weights of the
    exported fit; and `row`, its line of the gene table.
    """
    start = time.process_time()
    predicted, fits = np.full(len(y), np.nan), []
    for trains, held in split.parts:
        fit, x, kept = _fitted(data, y, trains, plan)
        predicted[held] = fit.predict(x[held]) - _level(y, trains, len(split.parts))
        fits.append(fit)
    exported = fit
    if len(split.parts) > 1:
        trains = np.ones(len(y), bool)
        exported, _, kept = _fitted(data, y, trains, plan)
    row = _row(data.gene, exported, fits) | {
        "n_people": int((trains & ~np.isnan(y)).sum()),
        "n_variants": len(kept),
        "seconds": time.process_time() - start,
    }
    return {
        "predicted": predicted,
        "fold": split.fold(),
        "kept": kept,
        "weights": exported.weights,
        "row": row,
    }


def _level(y: np.ndarray, trains: np.ndarray, parts: int) -> float:
    """The mean that a fold's predictions stand on; 0 for a single split, where it is one."""
    return 0.0 if parts == 1 or np.isnan(y[trains]).all() else float(np.nanmean(y[trains]))


def _row(gene: Gene, exported: Fit, fits: list[Fit]) -> dict:
    details = {name: float(value) for name, value in exported.details.items()}
    return {
        "gene_id": gene.gene_id,
        "status": exported.status,
        "parts_fitted": sum(fit.status == "fitted" for fit in fits),
        "parts": len(fits),
        "n_selected": int(np.count_nonzero(exported.weights)),
        "intercept": float(exported.intercept),
        "h2": details.get("h2", np.nan),
        "h2_se": details.get("h2_se", np.nan),
        "details": json.dumps(details, sort_keys=True),
    }


# --- all genes -------------------------------------------------------------------------------


def definition(cohort: OpenCohort, plan: Plan) -> dict:
    """All that decides the values."""
    inputs = input_files(cohort.study)
    listed = plan.split.partition(":")[2] if plan.split.startswith("people:") else None
    return {
        "study": cohort.study.name,
        "plan": asdict(plan),
        "version": VERSION,
        "people": sha256_of(listed) if listed and Path(listed).is_file() else None,
        "samples": hashlib.sha256("\n".join(cohort.samples).encode()).hexdigest(),
        "inputs": {role: file_digest(path) for role, path in inputs.items()},
    }


def folder_of(results: str | Path, study: str) -> Path:
    """Where a study's linear models lie."""
    return Path(results) / study / "baseline"


def genes_of(cohort: OpenCohort, model: str, gene: str | None = None) -> list[Gene]:
    """The genes with expression; of models that `baselines.genes` restricts, so many, drawn."""
    genes = cohort.measured(cohort.genes_to_run(gene), "to train linear models on")
    count = cohort.study.baselines.genes.get(model)
    if gene or count is None or count >= len(genes):
        return genes
    rng = np.random.default_rng(cohort.study.baselines.seed)
    return [genes[i] for i in sorted(rng.choice(len(genes), count, replace=False))]


def _part_of(parts: Path, gene: Gene) -> Path:
    return parts / f"{file_name(gene.gene_id)}.npz"


def _one(cohort: OpenCohort, plan: Plan, gene: Gene, parts: Path) -> None:
    """Fit a gene and leave its file, whole or not at all."""
    y = cohort.expression.values.loc[gene.gene_id, cohort.samples].to_numpy(float)
    with cohort.counted() as counts:
        data = cis_data(cohort, gene, plan.cis)
    with one_thread():
        made = fit_gene(data, y, make_split(cohort, plan, gene), plan)
    variants = data.variants.iloc[made["kept"]]
    with whole(_part_of(parts, gene)) as part, part.open("wb") as handle:
        np.savez(
            handle,
            **{name: made[name] for name in _ARRAYS},
            row=json.dumps(made["row"]),
            counts=json.dumps({what: int(n) for what, n in sorted(counts.items()) if n}),
            **{c: variants[c].to_numpy(str if c != "pos" else int) for c in _SITE},
        )


_SITE = ("chrom", "pos", "ref", "alt")
_worker: dict = {}


def _start_worker(study: Study, plan: Plan, parts: Path) -> None:
    _worker.update(cohort=OpenCohort(study), plan=plan, parts=parts)


def _in_worker(gene: Gene) -> None:
    _one(_worker["cohort"], _worker["plan"], gene, _worker["parts"])


def _done(
    cohort: OpenCohort, plan: Plan, todo: Sequence[Gene], parts: Path, cores: int
) -> Iterator:
    if cores <= 1 or len(todo) < 2:
        for gene in todo:
            yield _one(cohort, plan, gene, parts)
        return
    with ProcessPoolExecutor(
        cores, initializer=_start_worker, initargs=(cohort.study, plan, parts)
    ) as pool:
        yield from pool.map(_in_worker, todo)


def run(
    study: Study, plan: Plan, results: str | Path, gene: str | None = None, cores: int = 1
) -> tuple[pd.DataFrame, Counter]:
    """Fit what isn't finished and write the three tables; returns the gene table and the counts.

    gene (id or name): only that one is fitted, and no table written.
    """
    cohort = OpenCohort(study)
    fitter(plan.model)
    make_split(cohort, plan)
    made_of = definition(cohort, plan)
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]
    folder = folder_of(results, study.name)
    parts = folder / f"{plan.model}-{digest}.parts"
    parts.mkdir(parents=True, exist_ok=True)
    genes = genes_of(cohort, plan.model, gene)
    todo = [g for g in genes if not _part_of(parts, g).is_file()]
    done = len(genes) - len(todo)
    about_files = Counter(cohort.warnings)
    work = _done(cohort, plan, todo, parts, cores)
    for _ in track(work, len(genes), f"{plan.model}: genes", done=done):
        pass
    found = [_part(_part_of(parts, g)) for g in genes]
    rows = pd.DataFrame([json.loads(str(part["row"])) for part in found])
    counts = _counts(about_files, found, rows)
    if gene is None:
        _write(folder, plan.model, cohort, genes, found, rows, made_of, counts)
    return rows, counts


def _part(path: Path) -> dict[str, np.ndarray]:
    """A finished gene's arrays by name; HowfarError for a damaged file."""
    try:
        with np.load(path) as arrays:
            return dict(arrays)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise HowfarError(
            str(path),
            found=f"a damaged file ({error})",
            expected="what was fitted for a gene",
            do="Delete the file and run the command again; the gene is fitted anew.",
        ) from error


def _counts(about_files: Counter, found: list, rows: pd.DataFrame) -> Counter:
    """What was counted of the files and of all genes, whichever process fitted them."""
    parts = [Counter(json.loads(str(part["counts"]))) for part in found if "counts" in part]
    left = rows.loc[rows["status"] != "fitted", "status"].str.replace("_", " ")
    skipped = Counter(f"genes not fitted: {why}" for why in left)
    return about_files + sum(parts, Counter()) + skipped


def _write(folder, model, cohort, genes, found, rows, made_of, counts) -> None:
    """The three tables of a model, `individuals` last: who finds it finds all."""
    block = provenance.block(made_of, input_files(cohort.study), seed=made_of["plan"]["seed"],
                             warnings=counts)  # fmt: skip
    weights = [_weights(gene, part) for gene, part in zip(genes, found, strict=True)]
    _save(folder / f"{model}.weights.parquet", pd.concat(weights, ignore_index=True), block)
    _save(folder / f"{model}.genes.parquet", rows, block)
    observed = cohort.expression.values.loc[[g.gene_id for g in genes], cohort.samples]
    frame = pd.DataFrame(
        {
            "run_id": model,
            "gene_id": np.repeat(observed.index.to_numpy(), len(cohort.samples)),
            "sample": np.tile(cohort.samples, len(genes)),
            "predicted": np.concatenate([part["predicted"] for part in found]),
            "observed": observed.to_numpy(float).ravel(),
            "fold": np.concatenate([part["fold"] for part in found]),
        }
    )
    frame = frame[frame["fold"] >= 0]
    tables.write(folder / f"{model}.parquet", "individuals", frame, block)


def _weights(gene: Gene, part) -> pd.DataFrame:
    frame = pd.DataFrame({name: part[name] for name in _SITE} | {"weight": part["weights"]})
    frame = frame[frame["weight"] != 0]
    names = [f"{c}:{p}:{r}:{a}" for c, p, r, a in frame[list(_SITE)].itertuples(index=False)]
    frame.insert(0, "variant", pd.Series(names, index=frame.index, dtype=object))
    frame.insert(0, "gene_id", gene.gene_id)
    return frame


def _save(path: Path, frame: pd.DataFrame, block: dict) -> None:
    table = arrow.Table.from_pandas(frame, preserve_index=False)
    text = json.dumps({"table": path.name.split(".", 1)[1]} | block, sort_keys=True)
    table = table.replace_schema_metadata(
        {**(table.schema.metadata or {}), b"howfar": text.encode()}
    )
    with whole(path) as part:
        parquet.write_table(table, part, compression="zstd")


# --- for the evaluation ----------------------------------------------------------------------


@dataclass(frozen=True)
class Baseline:
    """A finished model as the evaluation takes it: predictions, folds, its row of table `runs`."""

    predictions: Predictions
    folds: pd.DataFrame
    run: dict


def finished(cohort: OpenCohort, results: str | Path) -> list[Baseline]:
    """The models of the study's `baselines`, in their order.

    Raises HowfarError where one is missing or was made from other files, people or options.
    """
    return [_finished(cohort, model, results) for model in cohort.study.baselines.models]


def _finished(cohort: OpenCohort, model: str, results: str | Path) -> Baseline:
    path = folder_of(results, cohort.study.name) / f"{model}.parquet"
    plan = plan_of(cohort.study, model)
    block = tables.read_provenance(path)["parameters"] if path.is_file() else None
    wanted = json.loads(json.dumps(definition(cohort, plan)))
    if block != wanted:
        raise HowfarError(
            str(path),
            found="no such file"
            if block is None
            else "predictions made in another way: "
            + ", ".join(sorted(k for k in wanted if wanted[k] != block.get(k))),
            expected="predictions from the study's files, people and options",
            do=f"Run `howfar baseline --study {cohort.study.handle} --models {model}`.",
        )
    long = tables.read(path, "individuals")
    predicted, fold = (
        long.pivot(index="gene_id", columns="sample", values=v) for v in ("predicted", "fold")
    )
    missing = pd.Series(np.nan, index=predicted.index, dtype=float)
    return Baseline(Predictions(model, predicted, missing), fold, run_row(cohort, plan))


def run_row(cohort: OpenCohort, plan: Plan) -> dict:
    """A model's row of table `runs`."""
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
