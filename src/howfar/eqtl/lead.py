"""The lead cis-eQTL of a gene, and the simplest baseline: prediction by that one variant.

Both use marginal ordinary least squares of expression on dosage, one variant at a time (`scan`),
which `eqtl.gene` uses too to map a whole study.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from howfar.core.errors import HowfarError
from howfar.genome.intervals import Variant
from howfar.stats import correlation_log10p, correlation_p
from howfar.stats.svd import thin_svd


@dataclass(frozen=True)
class LeadEqtl:
    """The variant most correlated with a gene's expression.

    `distance`: bp from the TSS to the variant's first base, unsigned. `slope`, `se`: expression per
    copy of the alternative allele, and its standard error. `r`: Pearson's (partial, if covariates
    were given). `p`: nominal, two-sided, not corrected for the number of variants tried (`tried`).
    `log10p`: -log10 p. `maf`: among the people with expression. `n`: those people.
    """

    variant: Variant
    distance: int
    slope: float
    se: float
    r: float
    p: float
    log10p: float
    maf: float
    n: int
    tried: int


@dataclass(frozen=True)
class Scan:
    """Ordinary least squares of expression on each variant by itself, covariates removed.

    Arrays (variants,), NaN for a variant without variation beyond the covariates: `r` (partial
    Pearson), `slope` and `se` (expression per copy of the alternative allele), `t`, `p` and
    `log10p` (-log10 p, which never underflows), two-sided. `df`: people, less the rank of
    intercept and covariates, less 1.
    """

    r: np.ndarray
    slope: np.ndarray
    se: np.ndarray
    t: np.ndarray
    p: np.ndarray
    log10p: np.ndarray
    df: int


def scan(genotype: np.ndarray, expression: np.ndarray, basis: np.ndarray) -> Scan:
    """Compute nominal statistics of every variant.

    genotype: (people, variants) float64 without missing values (see `filled`). expression:
    (people,), complete. basis: of `covariate_basis`. At least one degree of freedom is needed.
    """
    df = len(expression) - basis.shape[1] - 1
    if df < 1:
        raise HowfarError(
            "eQTL scan",
            found=f"{len(expression)} people, {basis.shape[1]} independent covariates with the "
            "intercept",
            expected="more people than covariates, by 2 at least",
            do="Leave out covariates.",
        )
    r, slope = partial(genotype, expression, basis)
    rest = (1 - r) * (1 + r)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = r * np.sqrt(df / rest)
    gg = (residuals(genotype, basis) ** 2).sum(axis=0)
    ee = float((residuals(expression, basis) ** 2).sum())
    se = np.sqrt(rest * ee / (df * np.where(np.isnan(r), np.nan, gg)))
    return Scan(r, slope, se, t, correlation_p(r, df), correlation_log10p(r, df), df)


def lead_eqtl(
    dosages: np.ndarray,
    variants: Sequence[Variant],
    tss: int,
    expression: np.ndarray,
    min_maf: float = 0.05,
    covariates: np.ndarray | None = None,
) -> LeadEqtl | None:
    """Find the lead cis-eQTL of one gene; None if no variant qualifies.

    dosages: (people, variants), copies of the alternative allele, missing NaN (taken at the mean).
    tss: 1-based. expression: (people,), missing NaN (left out). covariates: (people, k), removed
    from expression and dosages by least squares, for instance populations as 0/1 columns.
    Among equal |r| (perfect linkage) the variant nearest to the TSS is taken, then the first.
    """
    genotype = _checked(dosages, variants, expression)
    kept = ~np.isnan(expression)
    genotype, y = filled(genotype[kept]), np.asarray(expression, float)[kept]
    maf = minor_frequency(genotype)
    common = np.flatnonzero((maf >= min_maf) & (maf > 0))
    covariates = None if covariates is None else np.asarray(covariates, float)[kept]
    basis = covariate_basis(covariates, len(y))
    if len(y) - basis.shape[1] < 2 or not common.size:
        return None
    statistics = scan(genotype[:, common], y, basis)
    if np.isnan(statistics.r).all():
        return None
    distance = np.array([abs(variants[i].start0 - (tss - 1)) for i in common])
    best = strongest(statistics.r, distance)
    numbers = ("slope", "se", "r", "p", "log10p")
    return LeadEqtl(
        variant=variants[common[best]],
        distance=int(distance[best]),
        **{name: float(getattr(statistics, name)[best]) for name in numbers},
        maf=float(maf[common[best]]),
        n=len(y),
        tried=int(common.size),
    )


def lead_snp_prediction(
    dosages: np.ndarray,
    expression: np.ndarray,
    folds: int = 5,
    seed: int = 1,
    min_maf: float = 0.05,
) -> tuple[np.ndarray, np.ndarray]:
    """Predict every person's expression out of fold by the lead SNP alone.

    dosages: (people, variants); expression: (people,), NaN where missing: such people are
    predicted too, but never trained on. For each fold the lead SNP (largest |r|) and its slope b
    come from the other folds: prediction = mean + b (dosage - training mean dosage), where the
    mean is over everyone. A mean per training set would tell the held-out people apart from it,
    and so give a negative r by itself. Returns predictions, float64 (people,), NaN where a fold
    has no variant to use, and fold numbers from 0, int64 (people,). One seed gives the same folds
    for every gene.
    """
    genotype, y = _checked(dosages, None, expression), np.asarray(expression, float)
    people = len(y)
    if not 2 <= folds <= people:
        raise HowfarError(
            "lead-SNP prediction",
            found=f"{folds} folds for {people} people",
            expected="at least 2 folds, and no more than people",
            do="Change `evaluation.folds` in the study file.",
        )
    fold = np.random.default_rng(seed).permutation(np.arange(people) % folds)
    measured, predicted = ~np.isnan(y), np.full(people, np.nan)
    level = y[measured].mean() if measured.any() else np.nan
    for k in range(folds):
        train, held = measured & (fold != k), fold == k
        predicted[held] = level + _from_training(genotype, y, train, held, min_maf)
    return predicted, fold


def _from_training(genotype, y, train, held, min_maf: float) -> np.ndarray:
    """Predict b (dosage - training mean) of the held-out people; NaN if no variant qualifies."""
    g = filled(genotype[train])
    maf = minor_frequency(g)
    common = np.flatnonzero((maf >= min_maf) & (maf > 0))
    if train.sum() < 3 or not common.size:
        return np.full(int(held.sum()), np.nan)
    r, slope = partial(g[:, common], y[train], covariate_basis(None, len(g)))
    if np.isnan(r).all():
        return np.full(int(held.sum()), np.nan)
    best = strongest(r, np.zeros(common.size))
    column, mean = genotype[held, common[best]], column_means(genotype[train])[common[best]]
    return slope[best] * np.where(np.isnan(column), 0.0, column - mean)


def _checked(dosages, variants, expression) -> np.ndarray:
    genotype = np.asarray(dosages, float)
    count = genotype.shape[-1] if variants is None else len(variants)
    if genotype.ndim != 2 or genotype.shape != (len(expression), count):
        raise HowfarError(
            "lead eQTL",
            found=f"dosages of shape {genotype.shape}",
            expected=f"({len(expression)} people, {count} variants)",
            do="Align people and variants first.",
        )
    return genotype


def column_means(genotype: np.ndarray) -> np.ndarray:
    """Average each variant's dosage over the people with a call, 0 without any: (variants,)."""
    missing = np.isnan(genotype)
    total = np.where(missing, 0, genotype).sum(axis=0, dtype=float)
    return total / np.maximum((~missing).sum(axis=0), 1)


def filled(genotype: np.ndarray) -> np.ndarray:
    """Fill missing dosages (people, variants) with the variant's mean."""
    return np.where(np.isnan(genotype), column_means(genotype), genotype)


def minor_frequency(genotype: np.ndarray) -> np.ndarray:
    """Compute the minor allele frequency of each column of complete dosages (people, variants)."""
    # By copies: 1 - 0.9 is less than 0.1, and the same variant could be rare by one allele alone.
    copies, most = genotype.sum(axis=0), 2 * len(genotype)
    return np.minimum(copies, most - copies) / max(most, 1)


def covariate_basis(covariates: np.ndarray | None, people: int) -> np.ndarray:
    """Build orthonormal columns (people, rank) that span the intercept and the covariates."""
    ones = np.ones((people, 1))
    design = ones if covariates is None else np.hstack([ones, covariates])
    # One column's units are no reason to take another for rounding error.
    size = np.sqrt((design**2).sum(axis=0))
    u, value, _ = thin_svd(design / np.where(size > 0, size, 1))
    return u[:, value > value[:1] * 1e-10]


def residuals(values: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Remove what the orthonormal `basis` spans from `values` (people,) or (people, columns)."""
    rest = values - basis @ (basis.T @ values)
    return rest - basis @ (basis.T @ rest)  # twice: rounding left by large means goes too


def varies(rest: np.ndarray, y: np.ndarray) -> bool:
    """Tell whether `rest`, what covariates leave of `y` (people,), is more than rounding."""
    return float(rest @ rest) > 1e-24 * max(float(y @ y), 1e-300)


def partial(
    genotype: np.ndarray, y: np.ndarray, basis: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute r and slope of `y` on each column, `basis` removed from both; NaN for flat ones."""
    g, e = residuals(genotype, basis), residuals(y, basis)
    gg, ee, ge = (g**2).sum(axis=0), float(e @ e), e @ g
    # What is left of a column that the covariates explain is rounding error.
    moves = gg > 1e-12 * np.maximum((genotype**2).sum(axis=0), 1e-300)
    moves &= varies(e, y)
    safe = np.where(moves, gg, 1)
    r = np.where(moves, np.clip(ge / np.sqrt(safe * max(ee, 1e-300)), -1, 1), np.nan)
    return r, np.where(moves, ge / safe, np.nan)


def strongest(r: np.ndarray, distance: np.ndarray) -> int:
    """Index the largest |r|; among equals (perfect linkage) the nearest, then the first."""
    size = np.abs(r)
    ties = np.flatnonzero(size >= np.nanmax(size) - 1e-12)
    return int(ties[np.argmin(distance[ties])])
