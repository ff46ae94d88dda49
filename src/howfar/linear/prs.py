"""Polygenic scores of a gene: each cis variant's marginal effect, summed over variants.

`fit_prs` takes every variant. `fit_prs_pt` takes index variants only: of variants in linkage
disequilibrium the one with the smallest p (clumping), and of those the ones with p below a
threshold (Purcell et al. 2009, Nature 460:748; PLINK 1.9's --clump, Chang et al. 2015, GigaScience
4:7). Linkage is r2 of dosages; PLINK 1.9 estimates that of haplotypes (by EM), so that pairs near
the limit fall on other sides of it and clumps differ; with its r2 the index variants are the same.
Marginal effects count a signal once for each variant that tags it, so the sum is brought to the
units of expression by one slope, from the same training people; correlations don't change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from howfar import stats
from howfar.core.errors import HowfarError
from howfar.eqtl import lead
from howfar.eqtl.lead import covariate_basis
from howfar.linear.base import Fit, null_fit, obstacle
from howfar.linear.folds import inner_folds

#: Digits to which r is compared: variants in perfect linkage differ by rounding alone.
_DIGITS = 10


@dataclass(frozen=True)
class Clumping:
    """What `fit_prs_pt` chooses from: r2 (linkage disequilibrium) and p, each combination.

    window: bp between an index variant and those it stands for, both ways (None: any distance in
    the cis window). folds: of the training people, to choose by.
    """

    r2: Sequence[float] = (0.1, 0.2, 0.5)
    p: Sequence[float] = (1e-4, 1e-3, 0.01, 0.05, 0.2, 1.0)
    window: int | None = None
    folds: int = 5


@dataclass(frozen=True)
class Marginal:
    """Each variant by itself (variants,): slope (0 where it has none), |r|, p (1 where none)."""

    slope: np.ndarray
    size: np.ndarray
    p: np.ndarray


def marginal(x: np.ndarray, y: np.ndarray) -> Marginal:
    """Ordinary least squares of y (people,) on each column of x (people, variants)."""
    r, slope = lead.partial(x, y, covariate_basis(None, len(y)))
    p = stats.correlation_p(r, len(y) - 2)
    size = np.round(np.nan_to_num(np.abs(r)), _DIGITS)
    return Marginal(np.nan_to_num(slope), size, np.nan_to_num(p, nan=1.0))


def fit_prs(x: np.ndarray, y: np.ndarray, seed: int = 0) -> Fit:
    """Score of all variants by their marginal effects.

    x: float64 (people, variants), dosages without missing values; y: (people,). `seed` is unused.
    details: n_selected, scale (what the summed effects were multiplied by).
    """
    status = obstacle(x, y)
    if status:
        return null_fit(x, y, status)
    return _scaled(x, y, marginal(x, y).slope, {})


def fit_prs_pt(
    x: np.ndarray,
    y: np.ndarray,
    seed: int = 0,
    positions: np.ndarray | None = None,
    options: Clumping | None = None,
) -> Fit:
    """Score of index variants with p at or below a threshold, r2 and p chosen among people given.

    positions: bp of each variant, needed with `options.window`. The choice has the largest mean r
    over inner folds of these people; among equals the sparsest. The variant with the smallest p
    always passes, so that there is a score. details: n_selected, scale, r2, p, inner_r.
    """
    options = options or Clumping()
    status = obstacle(x, y)
    if status:
        return null_fit(x, y, status)
    linked = linkage(x, options, positions)
    r = _inner_r(x, y, linked, seed, options)
    best = max(r, key=lambda key: (round(r[key], _DIGITS), -key[1], -key[0]))
    found = marginal(x, y)
    chosen = select(found, clump(found, linked[best[0]]), best[1])
    more = {"r2": best[0], "p": best[1], "inner_r": float(r[best])}
    return _scaled(x, y, np.where(chosen, found.slope, 0.0), more)


def squared_correlation(x: np.ndarray) -> np.ndarray:
    """r2 of dosages (variants, variants), float32; 0 with a constant variant, itself included."""
    z = (x - x.mean(axis=0)).astype(np.float32)
    size = np.sqrt((z**2).sum(axis=0))
    z /= np.where(size > 1e-5, size, np.inf)
    return (z.T @ z) ** 2


def linkage(
    x: np.ndarray, options: Clumping, positions: np.ndarray | None = None
) -> dict[float, np.ndarray]:
    """For each r2 of `options`: which pairs of variants exceed it and lie within the window."""
    r2 = squared_correlation(x)
    if options.window is not None:
        if positions is None:
            raise HowfarError(
                "clumping of variants",
                found="a window in bp, and no positions",
                expected="the position of each variant",
                do="Give `positions`, or leave the window out.",
            )
        r2[np.abs(np.subtract.outer(positions, positions)) > options.window] = 0.0
    # In single precision r2 is known to some 1e-7: a pair right at the limit isn't beyond it.
    return {each: r2 > each * (1 + 1e-6) for each in options.r2}


def clump(found: Marginal, linked: np.ndarray) -> np.ndarray:
    """Which variants are index variants: booleans (variants,).

    By increasing p (among equals, by order of the columns): a variant that no earlier index
    variant stands for becomes one, and stands for those `linked` to it (variants, variants).
    """
    free, index = found.size > 0, np.zeros(len(found.size), bool)
    for variant in np.argsort(-found.size, kind="stable"):
        if free[variant]:
            index[variant] = True
            free &= ~linked[variant]
    return index


def select(found: Marginal, index: np.ndarray, p: float) -> np.ndarray:
    """Index variants with p at or below a threshold, and the one with the smallest p of all."""
    chosen = index & (found.p <= p)
    chosen[np.argmax(np.where(index, found.size, -1.0))] = True
    return chosen


def _inner_r(x, y, linked, seed: int, options: Clumping) -> dict[tuple, float]:
    """Mean over inner folds of r of score and expression among those left out; (r2, p) to r.

    Linkage is that of all people given: it knows nothing of expression.
    """
    fold = inner_folds(x, y, options.folds, seed)
    total = dict.fromkeys(product(options.r2, options.p), 0.0)
    for k in range(options.folds):
        held = fold == k
        found, left_out = marginal(x[~held], y[~held]), x[held]
        indices = [clump(found, linked[r2]) for r2 in options.r2]
        chosen = [select(found, index, p) for index in indices for p in options.p]
        scores = np.array([left_out @ np.where(c, found.slope, 0.0) for c in chosen])
        r, _ = stats.pearson_rows(scores, y[held])
        for key, value in zip(total, np.nan_to_num(r), strict=True):
            total[key] += value / options.folds
    return total


def _scaled(x: np.ndarray, y: np.ndarray, weights: np.ndarray, details: dict) -> Fit:
    """The score in units of y: intercept and slope of y on x @ weights among these people."""
    score = x @ weights
    centred = score - score.mean()
    spread = float(centred @ centred)
    scale = float(centred @ (y - y.mean())) / spread if spread > 0 else 0.0
    weights = scale * weights
    intercept = float(y.mean() - scale * score.mean())
    counts = {"n_selected": float(np.count_nonzero(weights)), "scale": scale}
    return Fit(weights, intercept, "fitted", details | counts)
