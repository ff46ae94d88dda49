"""The steps that recipes of expression have in common: normalisation, weights, components.

Matrices are frames gene x sample, complete. TMM: Robinson and Oshlack 2010; voom: Law et al. 2014.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy

from howfar.core.errors import HowfarError

MILLION = 1e6
#: Eigenvalues below this part of the largest are rounding.
_NULL = 1e-12


def to_tpm(rpkm: pd.DataFrame) -> pd.DataFrame:
    """Transcripts per million: each sample's RPKM scaled to a sum of one million."""
    return rpkm / rpkm.sum() * MILLION


def tmm_factors(counts: pd.DataFrame) -> pd.Series:
    """TMM normalisation factors by sample, with a product of 1 (Robinson and Oshlack 2010).

    The reference is the sample whose upper quartile is nearest to the mean; 30 % of log ratios
    and 5 % of mean intensities trimmed, as edgeR does. Its rules for sparse samples too: where
    most upper quartiles are 0 the reference has the largest sum of square roots, and a sample
    that shares no gene with the reference has the factor 1.
    """
    expressed = counts[(counts > 0).any(axis=1)]  # edgeR takes quartiles without empty genes
    with np.errstate(divide="ignore", invalid="ignore"):  # samples without a gene in common
        factors = _tmm().fit(expressed.T).get_norm_factors(expressed.T)
    return pd.Series(np.asarray(factors, float), index=counts.columns)


def _tmm() -> Any:
    """rnanorm's TMM with the rules for sparse samples, which it lacks."""
    from rnanorm import TMM

    class SparseTMM(TMM):  # type: ignore[misc]  # rnanorm has no annotations
        """TMM with edgeR's choice of the reference; 1 for samples that share nothing with it."""

        def _get_ref(self, X: np.ndarray) -> np.ndarray:
            upper = np.percentile(X, 75, axis=1) / X.sum(axis=1)
            if np.median(upper) < 1e-20:
                chosen = np.argmax(np.sqrt(X).sum(axis=1))
            else:
                chosen = np.argmin(np.abs(upper - upper.mean()))
            return np.asarray(X[chosen])

        def _get_norm_factors(self, X: np.ndarray) -> np.ndarray:
            factors = super()._get_norm_factors(X)
            return np.where(np.isfinite(factors), factors, 1.0)

    return SparseTMM()


def log2_cpm(counts: pd.DataFrame, library: pd.Series) -> pd.DataFrame:
    """log2((count + 0.5) / (library + 1) x 10^6), as voom takes it."""
    return np.log2((counts + 0.5) / (library + 1) * MILLION)


def voom_weights(
    values: pd.DataFrame, library: pd.Series, covariates: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Precision weights of log2 CPM, gene x sample (Law et al. 2014; limma's voom, span 0.5).

    The square root of each gene's residual SD is smoothed by lowess against its mean log2 count;
    a value's weight is the smooth at its fitted log2 count to the power of -4.
    """
    from statsmodels.nonparametric.smoothers_lowess import lowess

    design = _design(covariates, values.shape[1], "voom")
    y = values.to_numpy(float)
    fitted = y @ np.linalg.pinv(design).T @ design.T
    rank = np.linalg.matrix_rank(design)
    sd = np.sqrt(((y - fitted) ** 2).sum(axis=1) / (y.shape[1] - rank))
    size = np.log2(library.to_numpy(float) + 1) - np.log2(MILLION)
    level = y.mean(axis=1) + size.mean()
    smooth = lowess(np.sqrt(sd), level, frac=0.5, it=3, delta=0.01 * np.ptp(level))
    place, first = np.unique(smooth[:, 0], return_index=True)
    trend = np.interp(fitted + size, place, smooth[first, 1])
    return pd.DataFrame(trend**-4.0, index=values.index, columns=values.columns)


def _design(covariates: pd.DataFrame | None, samples: int, where: str) -> np.ndarray:
    """Intercept and covariates (samples, k); HowfarError without residual degrees of freedom."""
    ones = np.ones((samples, 1))
    design = ones if covariates is None else np.hstack([ones, covariates.to_numpy(float)])
    if design.shape[1] >= samples:
        raise HowfarError(
            where,
            found=f"{design.shape[1] - 1} covariates for {samples} samples",
            expected="fewer covariates than samples, by 2 at least",
            do="Leave out covariates or components.",
        )
    return design


def regressed_out(
    values: pd.DataFrame, covariates: pd.DataFrame, weights: pd.DataFrame | None = None
) -> pd.DataFrame:
    """`values` (gene x sample) less what covariates (sample x k) explain; gene means are kept.

    weights: of each value, for weighted least squares; None for ordinary.
    """
    design = _design(covariates, values.shape[1], "covariates to regress out")
    spread = design[:, 1:].std(axis=0)
    scaled = (design[:, 1:] - design[:, 1:].mean(axis=0)) / np.where(spread > 0, spread, 1)
    x = np.hstack([design[:, :1], scaled])
    y = values.to_numpy(float)
    if weights is None:
        rest = y - y @ np.linalg.pinv(x).T @ x.T
    else:
        root = np.sqrt(weights.to_numpy(float))
        fits = [
            np.linalg.lstsq(x * w[:, None], values_of_gene * w, rcond=1e-10)[0]
            for values_of_gene, w in zip(y, root, strict=True)
        ]
        rest = y - np.array([x @ fit for fit in fits])
    kept = rest - rest.mean(axis=1, keepdims=True) + y.mean(axis=1, keepdims=True)
    return pd.DataFrame(kept, index=values.index, columns=values.columns)


def standardised(values: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """Genes at mean 0 and population SD 1, their means, and their SDs (1 for a constant gene)."""
    mean, sd = values.mean(axis=1), values.std(axis=1, ddof=0)
    sd = sd.where(sd > 0, 1.0)
    return values.sub(mean, axis=0).div(sd, axis=0), mean, sd


def components(matrix: pd.DataFrame, count: int) -> pd.DataFrame:
    """The first principal components' scores of samples x features, centred: sample x count.

    The sign of each makes its largest score positive. Scores have mean 0 and the length of their
    singular value. The smaller side is decomposed.
    """
    centred = matrix.to_numpy(float) - matrix.to_numpy(float).mean(axis=0)
    if centred.shape[0] <= centred.shape[1]:
        return components_of_product(centred @ centred.T, matrix.index, count)
    return components_of_columns(centred, matrix.index, count)


def components_of_columns(centred: np.ndarray, samples: Sequence[str], count: int) -> pd.DataFrame:
    """As `components`, of a centred matrix (samples, features) of fewer features than samples."""
    size, loadings = np.linalg.eigh(centred.T @ centred)
    first = _first(size, count, len(centred))
    return _signed(centred @ loadings[:, first], samples)


def components_of_product(product: np.ndarray, samples: Sequence[str], count: int) -> pd.DataFrame:
    """As `components`, from the product (samples, samples) of a centred matrix with itself."""
    size, vectors = np.linalg.eigh(product)
    first = _first(size, count, len(product))
    return _signed(vectors[:, first] * np.sqrt(np.maximum(size[first], 0)), samples)


def _first(size: np.ndarray, count: int, samples: int) -> np.ndarray:
    """Places of the largest eigenvalues; HowfarError where so many aren't there."""
    if not 0 <= count < samples:
        raise HowfarError(
            "principal components",
            found=f"{count} components of {samples} samples",
            expected="fewer components than samples",
            do="Ask for fewer.",
        )
    there = int((size > max(size.max(initial=0), 0) * _NULL).sum())
    if count > there:  # directions of rounding alone would pass as components
        raise HowfarError(
            "principal components",
            found=f"{count} components asked for, of values that vary in {there} directions",
            expected=f"{there} or fewer",
            do="Ask for fewer, or give more genes or variants.",
        )
    return np.argsort(-size, kind="stable")[:count]


def _signed(scores: np.ndarray, samples: Sequence[str]) -> pd.DataFrame:
    largest = np.abs(scores).argmax(axis=0)
    signs = np.where(scores[largest, np.arange(scores.shape[1])] < 0, -1.0, 1.0)
    return pd.DataFrame(scores * signs, index=samples)


def without_components(values: pd.DataFrame, count: int) -> pd.DataFrame:
    """`values` (gene x sample, genes centred) less their first components over samples."""
    scores = components(values.T, count).to_numpy()
    basis = scores / np.maximum(np.linalg.norm(scores, axis=0), np.finfo(float).tiny)
    rest = values.to_numpy(float) - (values.to_numpy(float) @ basis) @ basis.T
    if np.abs(rest).max() <= 1e-9 * np.abs(values.to_numpy(float)).max():
        raise HowfarError(
            "components of expression to remove",
            found=f"{count}, which leave nothing of {len(values)} genes",
            expected="fewer components than directions in which expression varies",
            do="Ask for fewer.",
        )
    return pd.DataFrame(rest, index=values.index, columns=values.columns)


def r_squared(targets: pd.DataFrame, predictors: pd.DataFrame) -> np.ndarray:
    """Share of each target's variance that the predictors explain together (samples in rows)."""
    x = _design(predictors, len(targets), "components")
    y = targets.to_numpy(float)
    rest = y - x @ np.linalg.pinv(x) @ y
    total = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    unexplained: np.ndarray = (rest**2).sum(axis=0) / np.where(total > 0, total, np.inf)
    return 1 - unexplained


def normal_scores(values: pd.DataFrame) -> pd.DataFrame:
    """Each gene's ranks over samples as normal quantiles, rank / (samples + 1); ties averaged."""
    ranks = scipy.stats.rankdata(values.to_numpy(float), axis=1)
    scores = scipy.stats.norm.ppf(ranks / (values.shape[1] + 1))
    return pd.DataFrame(scores, index=values.index, columns=values.columns)
