"""Statistics: correlations, block bootstrap, spread over genes, nulls."""

from howfar.stats.bootstrap import (
    block_bootstrap,
    weighted_mean,
    weighted_median,
    weighted_pearson,
    weighted_spearman,
)
from howfar.stats.correlation import (
    MIN_PAIRS,
    benjamini_hochberg,
    centre_within,
    centred,
    correlation_log10p,
    correlation_p,
    fisher_interval,
    pearson_rows,
    permute_within,
    r_of_moments,
    smallest_detectable_r,
    spearman_rows,
)
from howfar.stats.shares import clustered_share_interval
from howfar.stats.spread import Spread, spread

__all__ = [
    "MIN_PAIRS",
    "Spread",
    "benjamini_hochberg",
    "block_bootstrap",
    "centre_within",
    "centred",
    "clustered_share_interval",
    "correlation_log10p",
    "correlation_p",
    "fisher_interval",
    "pearson_rows",
    "permute_within",
    "r_of_moments",
    "smallest_detectable_r",
    "spearman_rows",
    "spread",
    "weighted_mean",
    "weighted_median",
    "weighted_pearson",
    "weighted_spearman",
]

#: Raised when values change; kept results of an older version are stale (see core.versions).
VERSION = 2
