"""Estimators on arrays: correlations with missing values, intervals, spread, block bootstrap.

Matrices are (genes, people) unless said otherwise. Missing values are NaN and are left out pair by
pair, row by row. A row without variation has no correlation: NaN, with its n kept.
"""

from __future__ import annotations

import numpy as np
import scipy

from howfar.core.errors import HowfarError

#: Fewest complete pairs for which a correlation is given; two points always lie on a line.
MIN_PAIRS = 3
_SMALLEST_P = np.finfo(float).tiny
#: Rounding leaves a centred constant row at about 1e-16 of its level; below this it is constant.
FLAT = 1e-13


def pearson_rows(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute Pearson r of each row of `x` with the same row of `y` over their complete pairs.

    x, y: (rows, columns), or (columns,) to be used for every row. Returns r, float64 (rows,), NaN
    for fewer than 3 pairs or a constant row, and n, int64 (rows,), the number of complete pairs.
    """
    x, y, paired = _paired(x, y)
    return _pearson_of_pairs(x, y, paired), paired.sum(axis=1)


def spearman_rows(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute Spearman's rho of each row of `x` with the same row of `y`; as `pearson_rows`.

    Ranks are taken among the complete pairs of a row; ties share their mean rank.
    """
    x, y, paired = _paired(x, y)
    return _pearson_of_pairs(_ranks(x, paired), _ranks(y, paired), paired), paired.sum(axis=1)


def _paired(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y = np.atleast_2d(np.asarray(x, float)), np.atleast_2d(np.asarray(y, float))
    if x.shape[1] != y.shape[1] or 1 != min(len(x), len(y)) != max(len(x), len(y)):
        raise HowfarError(
            "correlation of rows",
            found=f"shapes {x.shape} and {y.shape}",
            expected="two matrices of one shape (genes, people)",
            do="Align genes and people first.",
        )
    x, y = np.broadcast_arrays(x, y)
    if np.isinf(x).any() or np.isinf(y).any():
        raise HowfarError(
            "correlation of rows",
            found=f"{int(np.isinf(x).sum() + np.isinf(y).sum())} infinite values",
            expected="finite values, or NaN where missing",
            do="Check the transform that made them (a logarithm of zero?).",
        )
    return x, y, ~(np.isnan(x) | np.isnan(y))


def _ranks(values: np.ndarray, paired: np.ndarray) -> np.ndarray:
    # Unpaired entries sort behind every paired one and so don't shift any rank.
    return scipy.stats.rankdata(np.where(paired, values, np.inf), axis=1)


def _pearson_of_pairs(x: np.ndarray, y: np.ndarray, paired: np.ndarray) -> np.ndarray:
    n = paired.sum(axis=1)
    (a, flat_a), (b, flat_b) = _unit_rows(x, paired, n), _unit_rows(y, paired, n)
    r = np.clip((a * b).sum(axis=1), -1, 1)
    return np.where((n < MIN_PAIRS) | flat_a | flat_b, np.nan, r)


def _unit_rows(
    values: np.ndarray, paired: np.ndarray, n: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Centre rows over their pairs and scale them to length 1 (0 elsewhere); which are flat."""
    mean = np.where(paired, values, 0).sum(axis=1) / np.maximum(n, 1)
    centred = np.where(paired, values - mean[:, None], 0)
    # Scaling by the largest entry first keeps squares of tiny and huge values in range.
    largest = np.abs(centred).max(axis=1, initial=0)
    flat = largest <= FLAT * np.abs(mean)
    centred = centred / np.where(flat, 1, largest)[:, None]
    length = np.sqrt((centred**2).sum(axis=1))
    return centred / np.where(flat, 1, length)[:, None], flat


def correlation_p(r: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Compute two-sided p of correlations, no association: t = r sqrt(df / (1 - r^2)), exact t.

    df: n - 2, less the covariates removed from both sides. Never 0: values below the smallest
    normal double (2.2e-308) are given as that; `correlation_log10p` has the true size. NaN where
    df < 1.
    """
    r, df = np.broadcast_arrays(np.asarray(r, float), np.asarray(df, float))
    usable = np.where(df >= 1, df, np.nan)
    p = scipy.special.betainc(usable / 2, 0.5, (1 - r) * (1 + r))
    return np.where(np.isnan(p), np.nan, np.maximum(p, _SMALLEST_P))


def correlation_log10p(r: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Compute -log10 of the p of `correlation_p`, in logarithms; infinite only for r = +-1.

    For small x = 1 - r^2, I_x(a, 1/2) = x^a (1-x)^(1/2) / (a B(a, 1/2)) 2F1(a + 1/2, 1; a + 1; x)
    (DLMF 8.17.8).
    """
    r, df = np.broadcast_arrays(np.asarray(r, float), np.asarray(df, float))
    a, x = np.where(df >= 1, df, np.nan) / 2, (1 - r) * (1 + r)
    with np.errstate(divide="ignore"):
        direct = np.log(scipy.special.betainc(a, 0.5, x))
        series = a * np.log(x) + 0.5 * np.log1p(-x) - np.log(a) - scipy.special.betaln(a, 0.5)
    tail = series + np.log(scipy.special.hyp2f1(a + 0.5, 1, a + 1, np.minimum(x, 0.99)))
    return np.maximum(-np.where(direct < -600, tail, direct) / np.log(10), 0)


def fisher_interval(
    r: np.ndarray, n: np.ndarray, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Compute a correlation's interval: tanh(atanh r -+ z / sqrt(n - 3)), Fisher 1921.

    n: people, less covariates removed. NaN for n <= 3. For normal data: far from
    r = 0 too narrow with a rare allele or skewed expression. Spearman's rho needs a wider one.
    """
    r, n = np.broadcast_arrays(np.asarray(r, float), np.asarray(n, float))
    half = scipy.stats.norm.ppf((1 + level) / 2) / np.sqrt(np.where(n > 3, n - 3, np.nan))
    with np.errstate(divide="ignore"):
        z = np.arctanh(r)
    return np.tanh(z - half), np.tanh(z + half)


def smallest_detectable_r(n: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """Find the smallest true |r| that a two-sided test at `alpha` has `power` to see in n people.

    tanh((z_{1-alpha/2} + z_power) / sqrt(n - 3)); the other tail's chance is left out.
    """
    if n <= 3:
        return float("nan")
    return float(
        np.tanh((scipy.stats.norm.isf(alpha / 2) + scipy.stats.norm.ppf(power)) / np.sqrt(n - 3))
    )


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Compute Benjamini-Hochberg q of each p; NaN stays NaN and isn't counted."""
    from statsmodels.stats.multitest import multipletests  # slow to import

    p = np.asarray(p, float)
    q, given = np.full(p.shape, np.nan), ~np.isnan(p)
    if given.any():
        q[given] = multipletests(p[given], method="fdr_bh")[1]
    return q


def centre_within(x: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Take each group's mean off `x` (genes, people); NaN is left out and stays NaN."""
    centred = np.array(x, float)
    for group in np.unique(groups):
        columns = np.asarray(groups) == group
        part = centred[:, columns]
        given = ~np.isnan(part)
        mean = np.where(given, part, 0).sum(axis=1) / np.maximum(given.sum(axis=1), 1)
        centred[:, columns] = part - mean[:, None]
    return centred


def permute_within(columns: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Permute `columns` (people,) within each group of `groups` (people,)."""
    columns, groups = np.asarray(columns), np.asarray(groups)
    permuted = columns.copy()
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        permuted[members] = columns[rng.permutation(members)]
    return permuted


def centred(values: np.ndarray) -> np.ndarray:
    """Take the mean off `values`, leaving 0 where only rounding is left."""
    rest = values - values.mean()
    return rest if np.abs(rest).max() > FLAT * np.abs(values).max() else np.zeros(len(values))


def r_of_moments(xx, yy, xy, mx, my, n) -> np.ndarray:
    """Compute r from sums of squares and products and from means; NaN where a side is constant.

    Centre both sides first, or large means leave nothing of the squares but rounding.
    """
    a, b, c = xx - n * mx**2, yy - n * my**2, xy - n * mx * my
    flat = (a <= 1e-13 * xx) | (b <= 1e-13 * yy)
    return np.where(flat, np.nan, np.clip(c / np.sqrt(np.where(flat, 1, a * b)), -1, 1))
