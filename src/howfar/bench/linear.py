"""Seconds per gene of the linear models, against the programs one would use instead.

One core each, in one process or one after the other, on the same genotypes and expression; seconds
of CPU time, so that other work on the machine doesn't count. Predictions are compared in the same
run. FUSION's times are those stated with Rastogi et al. 2024, for 400 genes on other machines.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
import warnings
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.bench.clock import cpu_seconds
from howfar.core.errors import HowfarError
from howfar.core.registry import LINEAR_MODELS
from howfar.core.threads import one_thread
from howfar.eqtl.lead import filled, minor_frequency
from howfar.genome.genes import read_genes
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.intervals import Gene, Interval
from howfar.genome.reference import Reference
from howfar.linear import folds
from howfar.linear.base import fitter, standardise

#: Seconds stated for FUSION's 400 genes, by model: of the linear ones a range, of which the lower
#: end stands here.
FUSION = dict.fromkeys(("top1", "lasso", "enet", "blup"), 1_310.0) | {"bslmm": 117_197.0}
FUSION_GENES = 400
FUSION_NOTE = "FUSION as stated: 1,310 to 1,673 s a linear model, 117,197 s BSLMM, 400 genes"
GENES_OF_A_STUDY, CORES = 3_259, 2  # of Huang et al. 2023, on the machine that the plan is for
_HERITABILITY, _CAUSAL = 0.2, 3
_WINDOW, _MIN_MAF, _FOLDS = 196_608, 0.05, 5


@dataclass(frozen=True)
class Row:
    """One comparison. seconds, other_seconds: CPU. difference: largest of predictions, in SD of
    expression; r: of the predictions; hours: of all genes of a study, see `note`.
    """

    model: str
    task: str
    people: int
    variants: float
    genes: int
    seconds: float
    other: str = ""
    other_seconds: float = np.nan
    times_as_fast: float = np.nan
    difference: float = np.nan
    r: float = np.nan
    hours: float = np.nan
    note: str = ""


def measure(
    reference: str | Path,
    variants: str | Path,
    genes: str | Path,
    *,
    models: list[str] | None = None,
    large: int = 2_900,
    seed: int = 1,
) -> pd.DataFrame:
    """Return the table: one row per model and program it is compared with.

    large: how many variants (minor allele frequency 5% or more, from the start of the file on) the
    path of scikit-learn is timed on; 0: it is not. Expression is simulated.
    """
    for model in models or ():
        fitter(model)
    with one_thread(), Reference(reference) as fasta, VariantFile(variants) as file:
        listed = read_genes(genes)
        data = [_of_gene(fasta, file, gene, seed + i) for i, gene in enumerate(listed)]
        _compile(*data[0])
        rows = [_nested(model, data, seed) for model in models or list(LINEAR_MODELS)]
        rows += [
            row for row in (_gemma_row(m, *data[0], seed) for m in models or LINEAR_MODELS) if row
        ]
        if large:
            many = _many(fasta, file, listed[0], large, seed)
            both = [m for m in models or LINEAR_MODELS if m in _SCIKIT]
            rows += [_against_scikit_learn(model, *many, seed) for model in both]
    stamp = {"date": datetime.now(UTC).date().isoformat(), "machine": f"{os.cpu_count()} cores"}
    return pd.DataFrame([asdict(row) for row in rows]).assign(**stamp)


def _simulated(x: np.ndarray, seed: int) -> np.ndarray:
    """Simulate expression (people,) from a few of the variants and noise; h2 as `_HERITABILITY`."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(x.shape[1], min(_CAUSAL, x.shape[1]), replace=False)
    part = standardise(x[:, chosen], np.zeros(len(x))).z.sum(axis=1)
    noise = rng.normal(scale=np.sqrt(1 - _HERITABILITY), size=len(x))
    return part / max(part.std(), 1e-12) * np.sqrt(_HERITABILITY) + noise


def _common(fasta: Reference, file: VariantFile, interval: Interval) -> np.ndarray:
    x = filled(file.dosages(interval, fasta)[0]).astype(float)
    return x[:, minor_frequency(x) >= _MIN_MAF]


def _of_gene(fasta: Reference, file: VariantFile, gene: Gene, seed: int):
    around = gene.window(_WINDOW)
    end = min(around.end, fasta.length(gene.chrom))
    x = _common(fasta, file, Interval(gene.chrom, max(around.start, 0), end))
    if not x.shape[1]:
        raise HowfarError(
            f"gene {gene.gene_id}",
            found="no variant of 5% in its window",
            expected="some",
            do="Use genes of the region that the variant file covers.",
        )
    return x, _simulated(x, seed)


def _many(fasta: Reference, file: VariantFile, gene: Gene, count: int, seed: int):
    x = _common(fasta, file, Interval(gene.chrom, 0, fasta.length(gene.chrom)))[:, :count]
    return x, _simulated(x, seed)


def _compile(x: np.ndarray, y: np.ndarray) -> None:
    """Import and compile everything before it is timed."""
    for model in LINEAR_MODELS:
        fitter(model)(x[:60, :20], y[:60], 1)


def _out_of_fold(model: str, x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    predicted = np.empty(len(y))
    for trains, held in folds.nested(len(y), _FOLDS, seed).parts:
        predicted[held] = fitter(model)(x[trains], y[trains], seed).predict(x[held])
    return predicted


def _nested(model: str, data: list, seed: int) -> Row:
    """Time all genes, everybody predicted out of fold, with FUSION's stated time beside."""
    seconds, _ = cpu_seconds(lambda: [_out_of_fold(model, x, y, seed) for x, y in data])
    per_gene = seconds / len(data)
    stated = FUSION.get(model, np.nan) / FUSION_GENES
    return Row(
        model,
        "nested 5-fold, per gene",
        people=len(data[0][1]),
        variants=float(np.mean([x.shape[1] for x, _ in data])),
        genes=len(data),
        seconds=per_gene,
        other="FUSION, stated, one fit" if model in FUSION else "",
        other_seconds=stated,
        hours=per_gene * GENES_OF_A_STUDY / CORES / 3600,
        note=f"hours: {GENES_OF_A_STUDY} genes on {CORES} cores"
        + (f"; {FUSION_NOTE}" if model in FUSION else ""),
    )


#: What scikit-learn calls a model, and its part of l1.
_SCIKIT = {"lasso": ("LassoCV", {}), "enet": ("ElasticNetCV", {"l1_ratio": 0.5})}


def _against_scikit_learn(model: str, x: np.ndarray, y: np.ndarray, seed: int) -> Row:
    """Time a 5-fold cross-validated path of penalties and the fit at the best of them."""
    from sklearn import linear_model

    std, (name, options) = standardise(x, y), _SCIKIT[model]
    z, fold = std.z, folds.inner_folds(std.z, y, _FOLDS, seed)
    pairs = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(_FOLDS)]
    seconds, ours = cpu_seconds(lambda: fitter(model)(x, y, seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says itself that small penalties don't converge
        slow = getattr(linear_model, name)(**options, alphas=100, cv=pairs)
        other_seconds, theirs = cpu_seconds(lambda: slow.fit(z, std.y))
        exact = getattr(linear_model, name.removesuffix("CV"))(
            ours.details["alpha"], **options, tol=1e-10, max_iter=100_000
        ).fit(z, std.y)
    predicted = (ours.predict(x) - std.y_mean) / std.y_sd
    apart = np.abs(predicted - exact.predict(z)).max()
    return Row(
        model,
        "5-fold cross-validated path of 100 penalties",
        *(len(y), x.shape[1], 1, seconds, f"scikit-learn {name}", other_seconds),
        times_as_fast=other_seconds / seconds,
        difference=float(apart),
        r=float(np.corrcoef(predicted, theirs.predict(z))[0, 1]),
        note=f"penalty {ours.details['alpha']:.6g}, scikit-learn's {theirs.alpha_:.6g}; difference "
        "to scikit-learn at this penalty and a tolerance of 1e-10; r to its own choice at its "
        f"default tolerance; our largest duality gap 1e-7; {os.getloadavg()[0]:.1f} jobs on the "
        "machine",
    )


# --- GEMMA -----------------------------------------------------------------------------------

_GEMMA = {"blup": ("2", []), "bslmm": ("1", ["-w", "5000", "-s", "30000", "-seed", "1"])}


def _gemma_row(model: str, x: np.ndarray, y: np.ndarray, seed: int) -> Row | None:
    """Time one fit on four fifths of the people, the others predicted; None without GEMMA."""
    if model not in _GEMMA or not shutil.which("gemma"):
        return None
    held = folds.fold_of(len(y), _FOLDS, seed) == 0
    seconds, ours = cpu_seconds(lambda: fitter(model)(x[~held], y[~held], seed))
    std = standardise(x[~held], y[~held])
    other_seconds, beta = _gemma(std.z, std.y, model)
    theirs, predicted = std.fit(beta).predict(x[held]), ours.predict(x[held])
    return Row(
        model,
        "one fit, four fifths of the people",
        *(len(y), x.shape[1], 1, seconds, "GEMMA", other_seconds),
        times_as_fast=other_seconds / seconds,
        difference=float(np.abs(predicted - theirs).max() / y.std()),
        r=float(np.corrcoef(predicted, theirs)[0, 1]),
        note=f"GEMMA -bslmm {_GEMMA[model][0]}; ours: {ours.status}",
    )


def _gemma(z: np.ndarray, y: np.ndarray, model: str) -> tuple[float, np.ndarray]:
    """Return CPU seconds and effects per standardised dosage of GEMMA's `-bslmm`."""
    number, more = _GEMMA[model]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = [f"v{i}" for i in range(z.shape[1])]
        table = pd.DataFrame(z.T, index=names)
        table.insert(0, "alt", "A")
        table.insert(1, "ref", "C")
        table.to_csv(folder / "g.txt", header=False, float_format="%.8g")
        np.savetxt(folder / "p.txt", y, "%.10g")
        words = ["gemma", "-g", "g.txt", "-p", "p.txt", "-bslmm", number, "-notsnp", *more]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [*words, "-outdir", ".", "-o", "out"], cwd=folder, capture_output=True, text=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise HowfarError(
                "gemma", found=done.stderr[-300:], expected="a finished run", do="Leave GEMMA out."
            )
        found = pd.read_csv(folder / "out.param.txt", sep="\t").set_index("rs").reindex(names)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    included = (found["beta"] * found["gamma"]).fillna(0) if "gamma" in found else 0.0
    return seconds, (found["alpha"].fillna(0) + included).to_numpy(float)
