"""The spread of a correlation over genes: of the estimates, and beyond sampling error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from howfar.stats.bootstrap import block_bootstrap


@dataclass(frozen=True)
class Spread:
    """How far correlations differ between genes beyond sampling.

    `mean`, `observed_sd`: of r over genes. `sampling_sd`: the SD that sampling alone gives at
    these n if every gene had the mean r. `true_sd`: SD of the true correlation between genes; 0
    where they differ no more than sampling makes them. `share_negative`: genes with r < 0.
    How many are truly negative can't be told from these: with the same mean and SD of the true r
    it can be half of the genes or one in thirty. *_ci: by block bootstrap.
    """

    genes: int
    observed_sd: float
    sampling_sd: float
    mean: float
    true_sd: float
    true_sd_ci: tuple[float, float]
    share_negative: float


def spread(
    r: np.ndarray, n: np.ndarray, blocks: np.ndarray, draws: int = 2000, seed: int = 0
) -> Spread:
    """Estimate the spread of correlations `r` (genes,) from `n` (genes,) people each.

    `true_sd`^2 is the variance of r less the mean of its sampling variance (1 - r^2)^2 / (n - 1),
    a method of moments that assumes no shape.
    """
    r, n, blocks = np.asarray(r, float), np.asarray(n, float), np.asarray(blocks)
    kept = ~np.isnan(r) & (n > 3)
    r, n, blocks = r[kept], n[kept], blocks[kept]
    if r.size < 2:
        nan = float("nan")
        return Spread(int(r.size), nan, nan, nan, nan, (nan, nan), nan)
    rows = np.column_stack([r, n])
    low, high = block_bootstrap(rows, blocks, _sd_beyond_sampling, draws, seed, weighted=True)
    return Spread(
        genes=int(r.size),
        observed_sd=float(r.std(ddof=1)),
        sampling_sd=float(np.sqrt(np.mean((1 - r.mean() ** 2) ** 2 / (n - 1)))),
        mean=float(r.mean()),
        true_sd=float(_sd_beyond_sampling(rows, np.ones((1, r.size)))[0]),
        true_sd_ci=(float(low), float(high)),
        share_negative=float((r < 0).mean()),
    )


def _sd_beyond_sampling(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Estimate the SD of true r (draws,) of rows (r, n), weighted."""
    r, n = rows.T
    genes = weights.sum(axis=1)
    mean = weights @ r / genes
    observed = (weights @ r**2 - genes * mean**2) / np.maximum(genes - 1, 1)
    sampling = weights @ ((1 - r**2) ** 2 / (n - 1)) / genes
    return np.sqrt(np.maximum(observed - sampling, 0))
