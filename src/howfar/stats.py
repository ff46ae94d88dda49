"""Estimators on arrays: correlations with missing values, intervals, spread, block bootstrap.

Matrices are (genes, people) unless said otherwise. Missing values are NaN and are left out pair by
pair, row by row. A row without variation has no correlation: NaN, with its n kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from .errors import HowfarError

#: Fewest complete pairs for which a correlation is given; two points always lie on a line.
MIN_PAIRS = 3
_SMALLEST_P = np.finfo(float).tiny
# Rounding leaves a centred constant row at about 1e-16 of its level; below this it is constant.
_FLAT = 1e-13


# --- correlation -----------------------------------------------------------------------------


def pearson_rows(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pearson r of each row of `x` with the same row of `y` over their complete pairs.

    x, y: (rows, columns), or (columns,) to be used for every row. Returns r, float64 (rows,), NaN
    for fewer than 3 pairs or a constant row, and n, int64 (rows,), the number of complete pairs.
    """
    x, y, paired = _paired(x, y)
    return _pearson_of_pairs(x, y, paired), paired.sum(axis=1)


def spearman_rows(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spearman's rho of each row of `x` with the same row of `y`; as `pearson_rows`.

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
    return stats.rankdata(np.where(paired, values, np.inf), axis=1)


def _pearson_of_pairs(x: np.ndarray, y: np.ndarray, paired: np.ndarray) -> np.ndarray:
    n = paired.sum(axis=1)
    (a, flat_a), (b, flat_b) = _unit_rows(x, paired, n), _unit_rows(y, paired, n)
    r = np.clip((a * b).sum(axis=1), -1, 1)
    return np.where((n < MIN_PAIRS) | flat_a | flat_b, np.nan, r)


def _unit_rows(values: np.ndarray, paired: np.ndarray, n: np.ndarray):
    """Rows centred over their pairs and scaled to length 1 (0 elsewhere), and which are flat."""
    mean = np.where(paired, values, 0).sum(axis=1) / np.maximum(n, 1)
    centred = np.where(paired, values - mean[:, None], 0)
    # Scaling by the largest entry first keeps squares of tiny and huge values in range.
    largest = np.abs(centred).max(axis=1, initial=0)
    flat = largest <= _FLAT * np.abs(mean)
    centred = centred / np.where(flat, 1, largest)[:, None]
    length = np.sqrt((centred**2).sum(axis=1))
    return centred / np.where(flat, 1, length)[:, None], flat


def correlation_p(r: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Two-sided p of correlations under no association: t = r sqrt(df / (1 - r^2)), exact t.

    df: n - 2, less the covariates removed from both sides. Never 0: values below the smallest
    normal double (2.2e-308) are given as that; `correlation_log10p` has the true size. NaN where
    df < 1.
    """
    r, df = np.broadcast_arrays(np.asarray(r, float), np.asarray(df, float))
    usable = np.where(df >= 1, df, np.nan)
    p = special.betainc(usable / 2, 0.5, (1 - r) * (1 + r))
    return np.where(np.isnan(p), np.nan, np.maximum(p, _SMALLEST_P))


def correlation_log10p(r: np.ndarray, df: np.ndarray) -> np.ndarray:
    """-log10 of the p of `correlation_p`, worked in logarithms; infinite only for r = +-1.

    For small x = 1 - r^2, I_x(a, 1/2) = x^a (1-x)^(1/2) / (a B(a, 1/2)) 2F1(a + 1/2, 1; a + 1; x)
    (DLMF 8.17.8).
    """
    r, df = np.broadcast_arrays(np.asarray(r, float), np.asarray(df, float))
    a, x = np.where(df >= 1, df, np.nan) / 2, (1 - r) * (1 + r)
    with np.errstate(divide="ignore"):
        direct = np.log(special.betainc(a, 0.5, x))
        series = a * np.log(x) + 0.5 * np.log1p(-x) - np.log(a) - special.betaln(a, 0.5)
    tail = series + np.log(special.hyp2f1(a + 0.5, 1, a + 1, np.minimum(x, 0.99)))
    return np.maximum(-np.where(direct < -600, tail, direct) / np.log(10), 0)


def fisher_interval(
    r: np.ndarray, n: np.ndarray, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Interval of a correlation: tanh(atanh r -+ z / sqrt(n - 3)), Fisher 1921.

    n: people, less covariates removed. NaN for n <= 3. For normal data; Spearman's rho needs a
    slightly wider one.
    """
    r, n = np.broadcast_arrays(np.asarray(r, float), np.asarray(n, float))
    half = stats.norm.ppf((1 + level) / 2) / np.sqrt(np.where(n > 3, n - 3, np.nan))
    with np.errstate(divide="ignore"):
        z = np.arctanh(r)
    return np.tanh(z - half), np.tanh(z + half)


def smallest_detectable_r(n: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true |r| that a two-sided test at `alpha` finds with `power` among n people.

    tanh((z_{1-alpha/2} + z_power) / sqrt(n - 3)); the other tail's chance is left out.
    """
    if n <= 3:
        return float("nan")
    return float(np.tanh((stats.norm.isf(alpha / 2) + stats.norm.ppf(power)) / np.sqrt(n - 3)))


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg q of each p over those that are given; NaN stays NaN and isn't counted."""
    p = np.asarray(p, float)
    q, given = np.full(p.shape, np.nan), ~np.isnan(p)
    order = np.argsort(p[given])
    m = order.size
    scaled = p[given][order] * m / np.arange(1, m + 1)
    stepped = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    q[given] = stepped[np.argsort(order)]
    return q


# --- groups of people ------------------------------------------------------------------------


def centre_within(x: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """`x` (genes, people) less each group's mean per gene; NaN is left out and stays NaN."""
    centred = np.array(x, float)
    for group in np.unique(groups):
        columns = np.asarray(groups) == group
        part = centred[:, columns]
        given = ~np.isnan(part)
        mean = np.where(given, part, 0).sum(axis=1) / np.maximum(given.sum(axis=1), 1)
        centred[:, columns] = part - mean[:, None]
    return centred


def permute_within(columns: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`columns` (people,) in a random order within each group of `groups` (people,)."""
    columns, groups = np.asarray(columns), np.asarray(groups)
    permuted = columns.copy()
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        permuted[members] = columns[rng.permutation(members)]
    return permuted


# --- intervals over genes --------------------------------------------------------------------


def block_bootstrap(
    values: np.ndarray,
    blocks: np.ndarray,
    statistic: Callable[[np.ndarray], float | np.ndarray] = np.mean,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float | np.ndarray, float | np.ndarray]:
    """Interval of a statistic over genes, resampling whole blocks, as genes aren't independent.

    values: (genes,) or (genes, k); rows with NaN are left out. blocks: (genes,), chromosome or
    region of each. statistic: of the resampled rows; may return a vector. Returns low and high.
    The percentiles are widened for the number of blocks B, Phi(sqrt(B / (B - 1)) t_{B-1}), as the
    plain percentile interval is too narrow for few blocks (Hesterberg 2015, "expanded
    percentile"). NaN for fewer than two blocks.
    """
    values, blocks = np.asarray(values, float), np.asarray(blocks)
    kept = ~np.isnan(values.reshape(len(values), -1)).any(axis=1)
    names, code = np.unique(blocks[kept], return_inverse=True)
    if len(names) < 2:
        shape = np.shape(statistic(values[kept])) if kept.any() else ()
        return (np.full(shape, np.nan)[()],) * 2
    order = np.argsort(code, kind="stable")
    results = _resampled(values[kept][order], np.bincount(code), statistic, draws, seed)
    widened = np.sqrt(len(names) / (len(names) - 1)) * stats.t.ppf((1 - level) / 2, len(names) - 1)
    tail = stats.norm.cdf(widened)
    low, high = np.nanquantile(results, [tail, 1 - tail], axis=0)
    return low[()], high[()]


def _resampled(sorted_values, sizes, statistic, draws, seed) -> np.ndarray:
    """The statistic in `draws` resamples of blocks; rows lie block by block, of `sizes`."""
    rng = np.random.default_rng(seed)
    starts = np.cumsum(sizes) - sizes
    results = []
    for _ in range(draws):
        picked = rng.integers(0, len(sizes), len(sizes))
        lengths = sizes[picked]
        ends = np.cumsum(lengths)
        rows = np.repeat(starts[picked] - (ends - lengths), lengths) + np.arange(ends[-1])
        results.append(statistic(sorted_values[rows]))
    return np.asarray(results, float)


def pearson(pairs: np.ndarray) -> float:
    """Pearson r of two columns (genes, 2); NaN rows left out."""
    return float(pearson_rows(pairs[:, 0], pairs[:, 1])[0][0])


def spearman(pairs: np.ndarray) -> float:
    """Spearman's rho of two columns (genes, 2); NaN rows left out."""
    return float(spearman_rows(pairs[:, 0], pairs[:, 1])[0][0])


# --- spread of correlations over genes -------------------------------------------------------


@dataclass(frozen=True)
class Spread:
    """How far correlations differ between genes beyond sampling.

    `observed_sd`, `sampling_sd`: SD of r over genes, and the SD that sampling alone gives at these
    n if every gene had the mean r. `true_sd`: SD of the true correlation between genes; 0 where
    the genes differ no more than sampling makes them. `share_negative`: genes with r < 0.
    `share_truly_negative`: of a normal distribution with the true mean and SD; r between genes is
    more peaked than that with longer tails, and a gene without cis-effects is truly 0, so this
    is a summary and no count. *_ci: (low, high) by block bootstrap.
    """

    genes: int
    observed_sd: float
    sampling_sd: float
    true_mean: float
    true_sd: float
    true_sd_ci: tuple[float, float]
    share_negative: float
    share_truly_negative: float
    share_truly_negative_ci: tuple[float, float]


def spread(
    r: np.ndarray, n: np.ndarray, blocks: np.ndarray, draws: int = 2000, seed: int = 0
) -> Spread:
    """The spread of correlations `r` (genes,) from `n` (genes,) people each.

    On Fisher's scale z = atanh r has the sampling variance 1 / (n - 3). The variance of the true z
    between genes is DerSimonian and Laird's (1986): (Q - (G - 1)) / (W - sum(w^2) / W) with
    w = n - 3, W = sum(w), Q = sum(w (z - z_mean)^2); its mean is weighted by 1 / (1/w + variance).
    `true_mean` and `true_sd` are brought back to r at the mean: tanh, and times 1 - mean^2.
    """
    r, n, blocks = np.asarray(r, float), np.asarray(n, float), np.asarray(blocks)
    kept = ~np.isnan(r) & (n > 3)
    r, n, blocks = r[kept], n[kept], blocks[kept]
    if r.size < 2:
        nan = float("nan")
        return Spread(int(r.size), nan, nan, nan, nan, (nan, nan), nan, nan, (nan, nan))
    rows = np.column_stack([r, n])
    true_mean, true_sd, negative = _true_spread(rows)
    low, high = block_bootstrap(rows, blocks, _true_spread, draws, seed)
    return Spread(
        genes=int(r.size),
        observed_sd=float(r.std(ddof=1)),
        sampling_sd=float(np.sqrt(np.mean((1 - r.mean() ** 2) ** 2 / (n - 1)))),
        true_mean=float(true_mean),
        true_sd=float(true_sd),
        true_sd_ci=_pair(low, high, 1),
        share_negative=float((r < 0).mean()),
        share_truly_negative=float(negative),
        share_truly_negative_ci=_pair(low, high, 2),
    )


def _pair(low: np.ndarray, high: np.ndarray, i: int) -> tuple[float, float]:
    return float(low[i]), float(high[i])


def _true_spread(rows: np.ndarray) -> np.ndarray:
    """True mean r, SD of true r and normal share below 0, of rows (r, n)."""
    z = np.arctanh(np.clip(rows[:, 0], -1 + 1e-9, 1 - 1e-9))
    w = rows[:, 1] - 3
    total = w.sum()
    excess = (w * (z - (w * z).sum() / total) ** 2).sum() - (len(z) - 1)
    scale = total - (w**2).sum() / total
    variance = max(excess / scale, 0.0) if scale > 0 else 0.0
    weight = 1 / (1 / w + variance)
    mean = (weight * z).sum() / weight.sum()
    below = stats.norm.cdf(-mean / np.sqrt(variance)) if variance > 0 else float(mean < 0)
    mean_r = np.tanh(mean)
    return np.array([mean_r, np.sqrt(variance) * (1 - mean_r**2), below])
