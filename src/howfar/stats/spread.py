"""The spread of a correlation over genes: of the estimates, and beyond sampling error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from howfar.stats.bootstrap import block_bootstrap, weighted_mean


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
    """Estimate the spread of correlations `r` (genes,) from `n` (genes,) people each.

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
    """Estimate mean r, SD of true r, normal share below 0 (draws, 3) of rows (r, n), weighted."""
    mean, variance = _normal_of_z(rows, weights)
    sd = np.sqrt(np.where(variance > 0, variance, 1))
    below = np.where(variance > 0, stats.norm.cdf(-mean / sd), mean < 0)
    return np.column_stack(
        [weighted_mean(rows[:, 0], weights), _sd_beyond_sampling(rows, weights), below]
    )


def _normal_of_z(rows: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate mean and variance between genes of the true z (DerSimonian and Laird)."""
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
