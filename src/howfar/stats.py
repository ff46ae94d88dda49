"""Estimators on arrays: correlations with missing values, intervals, spread, block bootstrap.

Matrices are (genes, people) unless said otherwise. Missing values are NaN and are left out pair by
pair, row by row. A row without variation has no correlation: NaN, with its n kept.
"""

from __future__ import annotations

import warnings
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
    from statsmodels.stats.multitest import multipletests  # slow to import

    p = np.asarray(p, float)
    q, given = np.full(p.shape, np.nan), ~np.isnan(p)
    if given.any():
        q[given] = multipletests(p[given], method="fdr_bh")[1]
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
    statistic: Callable[..., float | np.ndarray] = np.mean,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    weighted: bool = False,
) -> tuple[float | np.ndarray, float | np.ndarray]:
    """Interval of a statistic over genes, resampling whole blocks, as genes aren't independent.

    values: (genes,) or (genes, k); rows with NaN are left out. blocks: (genes,), chromosome or
    region of each. statistic: of the resampled rows; may return a vector. With `weighted` it takes
    the rows and weights (draws, genes), how often each gene was drawn, and returns (draws, ...):
    much faster, and what `weighted_mean`, `weighted_pearson` and `weighted_spearman` are for.
    Returns low and high. The percentiles are widened for the number of blocks B, to
    Phi(sqrt(B / (B - 1)) t_{B-1}), as the plain percentile interval is too narrow for few blocks
    (Hesterberg 2015, "expanded percentile"). NaN for fewer than two blocks.
    """
    values, blocks = np.asarray(values, float), np.asarray(blocks)
    kept = ~np.isnan(values.reshape(len(values), -1)).any(axis=1)
    values = values[kept]
    names, code = np.unique(blocks[kept], return_inverse=True)
    if len(names) < 2:
        shape = _shape_of(values, statistic, weighted)
        return np.full(shape, np.nan)[()], np.full(shape, np.nan)[()]
    picked = np.random.default_rng(seed).integers(0, len(names), (draws, len(names)))
    resample = _weighted_results if weighted else _row_results
    results = resample(values, code, picked, statistic)
    widened = np.sqrt(len(names) / (len(names) - 1)) * stats.t.ppf((1 - level) / 2, len(names) - 1)
    tail = stats.norm.cdf(widened)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no draw has a value: none has an interval
        low, high = np.nanquantile(results, [tail, 1 - tail], axis=0)
    return low[()], high[()]


def _shape_of(values: np.ndarray, statistic, weighted: bool) -> tuple[int, ...]:
    if not len(values):
        return ()
    if weighted:
        return np.shape(statistic(values, np.ones((1, len(values)))))[1:]
    return np.shape(statistic(values))


def _row_results(values, code, picked, statistic) -> np.ndarray:
    """The statistic of the rows of each draw's blocks (rows sorted by block, then gathered)."""
    ordered, sizes = values[np.argsort(code, kind="stable")], np.bincount(code)
    starts = np.cumsum(sizes) - sizes
    results = []
    for chosen in picked:
        lengths = sizes[chosen]
        ends = np.cumsum(lengths)
        rows = np.repeat(starts[chosen] - (ends - lengths), lengths) + np.arange(ends[-1])
        results.append(statistic(ordered[rows]))
    return np.asarray(results, float)


def _weighted_results(values, code, picked, statistic) -> np.ndarray:
    """The weighted statistic, for as many draws at a time as fit in about 16 MB.

    Correlations over few blocks are worked out from sums over the blocks, without any weights.
    """
    blocks = picked.shape[1]
    if statistic in _OF_BLOCKS and blocks <= _MOST_BLOCKS:
        offset = np.arange(len(picked))[:, None] * blocks
        counts = np.bincount((picked + offset).ravel(), minlength=len(picked) * blocks)
        return _OF_BLOCKS[statistic](
            values, code, counts.reshape(len(picked), blocks).astype(float)
        )
    step = max(1, 2_000_000 // max(len(values), blocks))
    parts = []
    for part in (picked[i : i + step] for i in range(0, len(picked), step)):
        offset = np.arange(len(part))[:, None] * blocks
        counts = np.bincount((part + offset).ravel(), minlength=len(part) * blocks)
        parts.append(statistic(values, counts.reshape(len(part), blocks)[:, code].astype(float)))
    return np.concatenate(parts)


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Means (draws,) of `values` (genes,) under each row of `weights` (draws, genes)."""
    return weights @ values / weights.sum(axis=1)


def weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Medians (draws,) of `values` (genes,), each repeated as often as whole `weights` say."""
    order = np.argsort(values)
    reached = np.cumsum(weights[:, order], axis=1)
    total = reached[:, -1:]
    lower = (reached < np.floor((total + 1) / 2)).sum(axis=1)
    upper = (reached < np.floor(total / 2) + 1).sum(axis=1)
    return (values[order[lower]] + values[order[upper]]) / 2


def weighted_pearson(pairs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson r (draws,) of the columns of `pairs` (genes, 2); NaN where one is constant."""
    return _weighted_r(pairs[None, :, 0], pairs[None, :, 1], weights)


def weighted_spearman(pairs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Spearman's rho (draws,) of the columns of `pairs` (genes, 2), ranked anew in each draw."""
    return _weighted_r(*(_weighted_ranks(pairs[:, i], weights) for i in (0, 1)), weights)


def _weighted_r(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = weights.sum(axis=1, keepdims=True)
    a = x - (weights * x).sum(axis=1, keepdims=True) / total
    b = y - (weights * y).sum(axis=1, keepdims=True) / total
    wa = weights * a
    xx, yy, xy = (wa * a).sum(axis=1), (weights * b * b).sum(axis=1), (wa * b).sum(axis=1)
    flat = (xx <= _FLAT**2 * (weights * x**2).sum(axis=1)) | (
        yy <= _FLAT**2 * (weights * y**2).sum(axis=1)
    )
    r = np.clip(xy / np.sqrt(np.where(flat, 1, xx * yy)), -1, 1)
    return np.where(flat, np.nan, r)


def _weighted_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mid-ranks (draws, genes) of `values` (genes,), each repeated `weights` times."""
    _, code = np.unique(values, return_inverse=True)
    order = np.argsort(code, kind="stable")
    firsts = np.flatnonzero(np.diff(code[order], prepend=-1))
    tied = np.add.reduceat(weights[:, order], firsts, axis=1)
    return (np.cumsum(tied, axis=1) - (tied - 1) / 2)[:, code]


# Correlations of resampled blocks from sums over each block: the cost of a draw depends on the
# number of blocks and not on the number of genes.
_MOST_BLOCKS = 40


def _pearson_of_blocks(pairs: np.ndarray, code: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`weighted_pearson` (draws,) of rows in blocks `code`, each drawn `counts` (draws, blocks)."""
    x, y = (centred(column) for column in pairs.T)
    sums = [np.bincount(code, v, counts.shape[1]) for v in (x * x, y * y, x * y, x, y)]
    xx, yy, xy, sx, sy = (counts @ total for total in sums)
    n = counts @ np.bincount(code, minlength=counts.shape[1])
    return r_of_moments(xx, yy, xy, sx / n, sy / n, n)


def centred(values: np.ndarray) -> np.ndarray:
    """`values` less their mean, 0 where only rounding is left."""
    centred = values - values.mean()
    return (
        centred if np.abs(centred).max() > _FLAT * np.abs(values).max() else np.zeros(len(values))
    )


def r_of_moments(xx, yy, xy, mx, my, n) -> np.ndarray:
    """r from sums of squares and products and from means; NaN where a side is constant.

    Centre both sides first, or large means leave nothing of the squares but rounding.
    """
    a, b, c = xx - n * mx**2, yy - n * my**2, xy - n * mx * my
    flat = (a <= 1e-13 * xx) | (b <= 1e-13 * yy)
    return np.where(flat, np.nan, np.clip(c / np.sqrt(np.where(flat, 1, a * b)), -1, 1))


def _spearman_of_blocks(pairs: np.ndarray, code: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`weighted_spearman` (draws,), as `_pearson_of_blocks`.

    A row's mid-rank in a draw is the sum over blocks of how often the block was drawn times how
    many of its rows lie below (ties by half): linear in `counts`. Sums of products of ranks are
    then cubic forms in `counts`, with coefficients that are found once.
    """
    n = counts @ np.bincount(code, minlength=counts.shape[1])
    below = [_below(column, code, counts.shape[1]) for column in pairs.T]
    xx, yy, xy = (_cubic(below[i], below[j], code, counts) for i, j in ((0, 0), (1, 1), (0, 1)))
    return r_of_moments(xx, yy, xy, n / 2, n / 2, n)


def _below(values: np.ndarray, code: np.ndarray, blocks: int) -> np.ndarray:
    """Rows of each block below each row, ties counting half: (blocks, rows)."""
    found = np.empty((blocks, len(values)))
    for block in range(blocks):
        ordered = np.sort(values[code == block])
        left, right = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
        found[block] = (left + right) / 2
    return found


def _cubic(first: np.ndarray, second: np.ndarray, code: np.ndarray, counts: np.ndarray):
    """Sum over rows of count x (counts . first) x (counts . second), for each draw."""
    blocks = counts.shape[1]
    total = np.zeros(len(counts))
    for block in range(blocks):
        inside = code == block
        form = first[:, inside] @ second[:, inside].T
        total += counts[:, block] * np.einsum("da,da->d", counts @ form, counts)
    return total


_OF_BLOCKS = {weighted_pearson: _pearson_of_blocks, weighted_spearman: _spearman_of_blocks}


# --- spread of correlations over genes -------------------------------------------------------


@dataclass(frozen=True)
class Spread:
    """How far correlations differ between genes beyond sampling.

    `mean`, `observed_sd`: of r over genes. `sampling_sd`: the SD that sampling alone gives at
    these n if every gene had the mean r. `true_sd`: SD of the true correlation between genes; 0
    where they differ no more than sampling makes them. `share_negative`: genes with r < 0.
    `share_truly_negative`: of a normal distribution with the true mean and SD; r between genes is
    more peaked than that with longer tails, and a gene without cis-effects is truly 0, so this
    is a summary and no count. *_ci: (low, high) by block bootstrap.
    """

    genes: int
    observed_sd: float
    sampling_sd: float
    mean: float
    true_sd: float
    true_sd_ci: tuple[float, float]
    share_negative: float
    share_truly_negative: float
    share_truly_negative_ci: tuple[float, float]


def spread(
    r: np.ndarray, n: np.ndarray, blocks: np.ndarray, draws: int = 2000, seed: int = 0
) -> Spread:
    """The spread of correlations `r` (genes,) from `n` (genes,) people each.

    `true_sd`^2 is the variance of r less the mean of its sampling variance (1 - r^2)^2 / (n - 1),
    a method of moments that assumes no shape. `share_truly_negative` is of a normal distribution
    of z = atanh r, with the sampling variance 1 / (n - 3) and between genes the variance of
    DerSimonian and Laird (1986): (Q - (G - 1)) / (W - sum(w^2) / W), w = n - 3, W = sum(w),
    Q = sum(w (z - z_mean)^2); its mean is weighted by 1 / (1/w + variance).
    """
    r, n, blocks = np.asarray(r, float), np.asarray(n, float), np.asarray(blocks)
    kept = ~np.isnan(r) & (n > 3)
    r, n, blocks = r[kept], n[kept], blocks[kept]
    if r.size < 2:
        nan = float("nan")
        return Spread(int(r.size), nan, nan, nan, nan, (nan, nan), nan, nan, (nan, nan))
    rows = np.column_stack([r, n])
    (mean, true_sd, negative), *_ = _true_spread(rows, np.ones((1, r.size)))
    low, high = block_bootstrap(rows, blocks, _true_spread, draws, seed, weighted=True)
    return Spread(
        genes=int(r.size),
        observed_sd=float(r.std(ddof=1)),
        sampling_sd=float(np.sqrt(np.mean((1 - r.mean() ** 2) ** 2 / (n - 1)))),
        mean=float(mean),
        true_sd=float(true_sd),
        true_sd_ci=_pair(low, high, 1),
        share_negative=float((r < 0).mean()),
        share_truly_negative=float(negative),
        share_truly_negative_ci=_pair(low, high, 2),
    )


def _pair(low: np.ndarray, high: np.ndarray, i: int) -> tuple[float, float]:
    return float(low[i]), float(high[i])


def _true_spread(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean r, SD of true r and normal share below 0 (draws, 3), of rows (r, n), weighted."""
    mean, variance = _normal_of_z(rows, weights)
    sd = np.sqrt(np.where(variance > 0, variance, 1))
    below = np.where(variance > 0, stats.norm.cdf(-mean / sd), mean < 0)
    return np.column_stack(
        [weighted_mean(rows[:, 0], weights), _sd_beyond_sampling(rows, weights), below]
    )


def _normal_of_z(rows: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance between genes of the true z, DerSimonian and Laird's."""
    z = np.arctanh(np.clip(rows[:, 0], -1 + 1e-9, 1 - 1e-9))
    precision = rows[:, 1] - 3
    w = weights * precision
    total = w.sum(axis=1)
    q = w @ z**2 - (w @ z) ** 2 / total
    scale = total - (w @ precision) / total
    variance = np.maximum((q - (weights.sum(axis=1) - 1)) / scale, 0)
    w = weights / (1 / precision + variance[:, None])
    return w @ z / w.sum(axis=1), variance


def _sd_beyond_sampling(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    r, n = rows.T
    genes = weights.sum(axis=1)
    mean = weights @ r / genes
    observed = (weights @ r**2 - genes * mean**2) / np.maximum(genes - 1, 1)
    sampling = weights @ ((1 - r**2) ** 2 / (n - 1)) / genes
    return np.sqrt(np.maximum(observed - sampling, 0))
