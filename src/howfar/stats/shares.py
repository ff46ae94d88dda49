"""Intervals of a share: of independent hits, and of hits in clusters such as a gene's variants."""

from __future__ import annotations

import numpy as np
import scipy


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """Compute Wilson's 95 % interval of hits / trials; NaN without trials."""
    if not trials:
        return float("nan"), float("nan")
    low, high = scipy.stats.binomtest(int(hits), int(trials)).proportion_ci(0.95, "wilson")
    return float(low), float(high)


def clustered_share_interval(
    hits: np.ndarray, totals: np.ndarray, level: float = 0.95
) -> tuple[float, float]:
    """Compute the interval of sum(hits) / sum(totals), clusters taken as drawn, not their members.

    hits, totals: (clusters,). The exact binomial interval (Clopper and Pearson 1934) of as many
    independent trials as the clusters are worth by their variance, never more than there are
    (Korn and Graubard 1998, Survey Methodology 24:193). With clusters of one it is the exact one
    but for that estimate. NaN for fewer than two clusters.
    """
    hits, totals = np.asarray(hits, float), np.asarray(totals, float)
    hits, totals = hits[totals > 0], totals[totals > 0]
    clusters, n, x = len(totals), totals.sum(), hits.sum()
    if clusters < 2:
        return float("nan"), float("nan")
    share = x / n
    variance = clusters / (clusters - 1) * ((hits - share * totals) ** 2).sum() / n**2
    worth = n
    if variance > 0:
        tail = (1 + level) / 2
        fewer = (scipy.stats.t.ppf(tail, n - 1) / scipy.stats.t.ppf(tail, clusters - 1)) ** 2
        worth = min(n, share * (1 - share) / variance * fewer)
    found, rest = share * worth, (1 - share) * worth
    low = scipy.stats.beta.ppf((1 - level) / 2, found, rest + 1) if x > 0 else 0.0
    high = scipy.stats.beta.ppf((1 + level) / 2, found + 1, rest) if x < n else 1.0
    return float(low), float(high)
