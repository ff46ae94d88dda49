"""The gene-specific null: how well random weights on a gene's variants predict its expression.

Sasse et al. 2023 judge a gene's correlation |r| against correlations r_k of expression with random
linear combinations of the same variants, which share its linkage and its population structure.
With m and s the mean and SD of K of them, three rules are named here:

`as_published`: T = (|r| - m) / sqrt(s / K), K = 50. An SD stands in the place of a variance.
`standard_error`: T = (|r| - m) / (s / sqrt(K)). A mistake for judging one gene: it tells how well
m is known, and more draws make every gene significant.
`calibrated`: the share of r_k that reach |r|; `calibrated_from_moments` where only m and s are
public.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from howfar.core.errors import HowfarError

PUBLISHED_DRAWS = 50
_CHUNK = 1000


def gene_null(
    dosages: np.ndarray,
    observed: np.ndarray,
    draws: int = 10_000,
    seed: int = 1,
    absolute: bool = False,
) -> np.ndarray:
    """Draw |Pearson r| of expression with random linear combinations of a gene's variants.

    dosages: (people, variants), missing calls NaN (taken at the variant's mean). observed:
    (people,), NaN where missing (left out). The weights are N(0, 1) for each variant on its
    dosage as counted, or |N(0, 1)| with `absolute`. Returns float64 (draws,); 0 where the
    combination doesn't vary, as in Sasse et al. 2023.
    """
    genotype, expression = _prepare(dosages, observed)
    rng = np.random.default_rng(seed)
    if absolute or genotype.shape[1] <= len(genotype):
        return _by_weights(genotype, expression, draws, rng, absolute)
    return _by_axes(genotype, expression, draws, rng)


def _prepare(dosages: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre genotypes (people, variants) and scale expression to length 1, of people with both."""
    dosages, observed = np.asarray(dosages, float), np.asarray(observed, float)
    if dosages.ndim != 2 or len(dosages) != len(observed):
        raise HowfarError(
            "gene-specific null",
            found=f"dosages of shape {dosages.shape} for {observed.shape} people",
            expected="dosages (people, variants) in the order of the expression",
            do="Align people first.",
        )
    kept = ~np.isnan(observed)
    genotype, expression = dosages[kept], observed[kept]
    missing = np.isnan(genotype)
    called = np.maximum((~missing).sum(axis=0), 1)
    mean = np.where(missing, 0, genotype).sum(axis=0) / called
    genotype = genotype - mean
    # Rounding leaves a constant column of dosages at about 1e-16 of its level.
    genotype[missing | (np.abs(genotype) <= 1e-12 * np.abs(mean))] = 0
    expression = expression - expression.mean() if len(expression) else expression
    length = np.linalg.norm(expression)
    return genotype, expression / length if length > 0 else np.zeros_like(expression)


def _by_weights(genotype, expression, draws: int, rng, absolute: bool) -> np.ndarray:
    """Draw r_k from the weights themselves: |w . G'y| / sqrt(w G'G w), y of length 1."""
    products, with_expression = genotype.T @ genotype, genotype.T @ expression
    parts = []
    for first in range(0, draws, _CHUNK):
        w = rng.standard_normal((min(_CHUNK, draws - first), genotype.shape[1]))
        if absolute:
            np.abs(w, out=w)
        parts.append(_ratio(w @ with_expression, np.einsum("ij,ij->i", w @ products, w)))
    return np.concatenate(parts)


def _by_axes(genotype, expression, draws: int, rng) -> np.ndarray:
    """Draw r_k for N(0, 1) weights of many variants on the principal axes of the people.

    With G = U S V' the combination G w is U S (V' w), and V' w is again N(0, 1) on each axis: so
    the cost of a draw is the number of people, whatever the number of variants.
    """
    value, axis = np.linalg.eigh(genotype @ genotype.T)
    if not value.size or value[-1] <= 0:
        return np.zeros(draws)
    kept = value > value[-1] * 1e-10
    along = (expression @ axis[:, kept]).astype(np.float32)
    if along.size == 1:  # all variants in perfect linkage: every combination is the same one
        return np.full(draws, min(float(abs(expression @ axis[:, -1])), 1.0))
    drawn = rng.standard_normal((draws, along.size), dtype=np.float32)
    drawn *= np.sqrt(value[kept]).astype(np.float32)
    return _ratio(drawn @ along, np.einsum("ij,ij->i", drawn, drawn)).astype(float)


def _ratio(product: np.ndarray, squared_length: np.ndarray) -> np.ndarray:
    varies = squared_length > 0
    length = np.sqrt(np.where(varies, squared_length, 1))
    return np.minimum(np.where(varies, np.abs(product) / length, 0), 1)


def as_published(
    r: np.ndarray, mean: np.ndarray, sd: np.ndarray, draws: int = PUBLISHED_DRAWS
) -> np.ndarray:
    """Compute p of |r| as Sasse et al. 2023: T = (|r| - m) / sqrt(s / K), upper t tail, K - 1 df.

    r: correlations of either sign; mean, sd: of the null's |r_k|. p = 1 where T < 0; NaN stays.
    """
    return _upper_tail(r, mean, np.sqrt(np.asarray(sd, float) / draws), draws)


def standard_error(
    r: np.ndarray, mean: np.ndarray, sd: np.ndarray, draws: int = PUBLISHED_DRAWS
) -> np.ndarray:
    """Compute p of |r| with the standard error of the null's mean: a mistake for one gene.

    Kept to show its size. Arguments as `as_published`.
    """
    return _upper_tail(r, mean, np.asarray(sd, float) / np.sqrt(draws), draws)


def _upper_tail(r, mean, scale, draws: int) -> np.ndarray:
    above = np.abs(np.asarray(r, float)) - np.asarray(mean, float)
    scale = np.where(np.asarray(scale) > 0, scale, np.nan)
    return np.where(above < 0, 1.0, stats.t.sf(above / scale, draws - 1))


def calibrated(r: float, null: np.ndarray) -> float:
    """Compute p of |r| from the draws themselves: (1 + #{r_k >= |r|}) / (K + 1); NaN for NaN r.

    Exact when the prediction is exchangeable with the draws (Phipson and Smyth 2010). As good as
    equal counts as equal: with one variant every r_k is that of any prediction, up to rounding,
    and predictions are in single precision.
    """
    if np.isnan(r):
        return float("nan")
    return float((1 + np.count_nonzero(null >= abs(r) - 1e-6)) / (len(null) + 1))


def calibrated_from_moments(
    r: np.ndarray, mean: np.ndarray, sd: np.ndarray, draws: int = PUBLISHED_DRAWS
) -> np.ndarray:
    """Compute p of |r| from the null's mean and SD alone: a new draw's prediction interval.

    T = (|r| - m) / (s sqrt(1 + 1/K)), upper tail of t with K - 1 df. Takes the |r_k| as normal;
    they are skewed to the right, so that a p far in the tail is too small.
    """
    scale = np.asarray(sd, float) * np.sqrt(1 + 1 / draws)
    above = np.abs(np.asarray(r, float)) - np.asarray(mean, float)
    return stats.t.sf(above / np.where(scale > 0, scale, np.nan), draws - 1)


RULES = {
    "as_published": as_published,
    "standard_error": standard_error,
    "calibrated_from_moments": calibrated_from_moments,
}
