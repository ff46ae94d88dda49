"""Block bootstrap, and the weighted statistics that it draws."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import scipy  # whose parts are imported as they are used

from howfar.stats.correlation import FLAT, centred, r_of_moments


def block_bootstrap(
    values: np.ndarray,
    blocks: np.ndarray,
    statistic: Callable[..., float | np.ndarray] = np.mean,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    weighted: bool = False,
) -> tuple[float | np.ndarray, float | np.ndarray]:
    """Compute a statistic's interval, resampling whole blocks, as genes aren't independent.

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
    widened = np.sqrt(len(names) / (len(names) - 1)) * scipy.stats.t.ppf(
        (1 - level) / 2, len(names) - 1
    )
    tail = scipy.stats.norm.cdf(widened)
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
        return _OF_BLOCKS[statistic](values, code, _counts(picked))
    step = max(1, 2_000_000 // max(len(values), blocks))
    parts = (picked[i : i + step] for i in range(0, len(picked), step))
    return np.concatenate([statistic(values, _counts(part)[:, code]) for part in parts])


def _counts(picked: np.ndarray) -> np.ndarray:
    """Count how often each draw (row of `picked`) has each block: float64 (draws, blocks)."""
    draws, blocks = picked.shape
    offset = np.arange(draws)[:, None] * blocks
    counts = np.bincount((picked + offset).ravel(), minlength=draws * blocks)
    return counts.reshape(draws, blocks).astype(float)


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average `values` (genes,) or (genes, k) by each row of `weights` (draws, genes)."""
    total = weights.sum(axis=1)
    return weights @ values / (total if values.ndim == 1 else total[:, None])


def weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Take medians (draws,) of `values` (genes,), each repeated as often as `weights` say."""
    order = np.argsort(values)
    reached = np.cumsum(weights[:, order], axis=1)
    total = reached[:, -1:]
    lower = (reached < np.floor((total + 1) / 2)).sum(axis=1)
    upper = (reached < np.floor(total / 2) + 1).sum(axis=1)
    return (values[order[lower]] + values[order[upper]]) / 2


def weighted_pearson(pairs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute Pearson r (draws,) of the columns of `pairs` (genes, 2); NaN for a constant one."""
    return _weighted_r(pairs[None, :, 0], pairs[None, :, 1], weights)


def weighted_spearman(pairs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute Spearman's rho (draws,) of the columns of `pairs` (genes, 2), ranked in each draw."""
    return _weighted_r(*(_weighted_ranks(pairs[:, i], weights) for i in (0, 1)), weights)


def _weighted_r(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = weights.sum(axis=1, keepdims=True)
    a = x - (weights * x).sum(axis=1, keepdims=True) / total
    b = y - (weights * y).sum(axis=1, keepdims=True) / total
    wa = weights * a
    xx, yy, xy = (wa * a).sum(axis=1), (weights * b * b).sum(axis=1), (wa * b).sum(axis=1)
    flat = (xx <= FLAT**2 * (weights * x**2).sum(axis=1)) | (
        yy <= FLAT**2 * (weights * y**2).sum(axis=1)
    )
    r = np.clip(xy / np.sqrt(np.where(flat, 1, xx * yy)), -1, 1)
    return np.where(flat, np.nan, r)


def _weighted_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Take mid-ranks (draws, genes) of `values` (genes,), each repeated `weights` times."""
    _, code = np.unique(values, return_inverse=True)
    order = np.argsort(code, kind="stable")
    firsts = np.flatnonzero(np.diff(code[order], prepend=-1))
    tied = np.add.reduceat(weights[:, order], firsts, axis=1)
    return (np.cumsum(tied, axis=1) - (tied - 1) / 2)[:, code]


# Correlations of resampled blocks from sums over each block: the cost of a draw depends on the
# number of blocks and not on the number of genes. Beyond this many, weights of genes are cheaper.
_MOST_BLOCKS = 40


def _pearson_of_blocks(pairs: np.ndarray, code: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`weighted_pearson` (draws,) of rows in blocks `code`, each drawn `counts` (draws, blocks)."""
    x, y = (centred(column) for column in pairs.T)
    sums = [np.bincount(code, v, counts.shape[1]) for v in (x * x, y * y, x * y, x, y)]
    xx, yy, xy, sx, sy = (counts @ total for total in sums)
    n = counts @ np.bincount(code, minlength=counts.shape[1])
    return r_of_moments(xx, yy, xy, sx / n, sy / n, n)


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
    """Count rows of each block below each row, ties half: (blocks, rows)."""
    below = np.empty((blocks, len(values)))
    for block in range(blocks):
        ordered = np.sort(values[code == block])
        left, right = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
        below[block] = (left + right) / 2
    return below


def _cubic(
    first: np.ndarray, second: np.ndarray, code: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Sum count x (counts . first) x (counts . second) over rows, for each draw."""
    total = np.zeros(len(counts))
    for block in range(counts.shape[1]):
        inside = code == block
        form = first[:, inside] @ second[:, inside].T
        total += counts[:, block] * np.einsum("da,da->d", counts @ form, counts)
    return total


_OF_BLOCKS = {weighted_pearson: _pearson_of_blocks, weighted_spearman: _spearman_of_blocks}
