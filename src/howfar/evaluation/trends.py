"""Trends of a statistic with a feature of genes, in bins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from howfar import stats
from howfar.core.errors import HowfarError
from howfar.results import tables

#: Quantile bins of a feature in which mean r is given.
TREND_BINS = 6


def with_feature(result: tables.Tables, run_id: str, feature: str) -> pd.DataFrame:
    """Pooled rows of `across` of a run with the column `feature`; genes with both only."""
    across, features = result["across"], result["features"]
    rows = across[(across["run_id"] == run_id) & (across["population"] == "pooled")]
    return joined(rows, features[features["feature"] == feature], feature)


def joined(rows: pd.DataFrame, features: pd.DataFrame, feature: str) -> pd.DataFrame:
    """Rows of `across` with the column `feature`, whose rows are `features`; genes with both."""
    values = features.drop_duplicates("gene_id").set_index("gene_id")["value"]
    found = rows["gene_id"].map(values).to_numpy(float)
    both = rows["pearson"].notna().to_numpy() & ~np.isnan(found)
    return rows.assign(**{feature: found})[both].reset_index(drop=True)


def binned_trend(
    feature: np.ndarray,
    r: np.ndarray,
    blocks: np.ndarray,
    bins: int | Sequence[float] = TREND_BINS,
    draws: int = 2000,
    seed: int = 1,
) -> pd.DataFrame:
    """Mean of `r` in bins of `feature`, with intervals by block bootstrap.

    bins: edges (ascending; a bin is closed below and open above, the last closed on both sides),
    or how many quantile bins. Genes without either value or outside the edges are left out.
    Returns low, high, centre (median of the feature), mean, ci_low, ci_high and n_genes; a bin
    without genes has missing values.
    """
    feature, r, blocks = np.asarray(feature, float), np.asarray(r, float), np.asarray(blocks)
    kept = np.isfinite(feature) & ~np.isnan(r)  # -log10 p of a perfect correlation is infinite
    feature, r, blocks = feature[kept], r[kept], blocks[kept]
    if isinstance(bins, int | np.integer) and feature.size:
        edges = np.unique(np.quantile(feature, np.linspace(0, 1, int(bins) + 1)))
    else:
        edges = np.atleast_1d(np.asarray(bins, float))
    if edges.size < 2 or (np.diff(edges) <= 0).any():
        raise HowfarError(
            "bins of a trend",
            found=f"{edges.size} edges",
            expected="two or more, ascending",
            do="Correct the edges; a feature with one value has no trend.",
        )
    code = np.digitize(feature, edges[1:-1])
    inside = (feature >= edges[0]) & (feature <= edges[-1])
    rows = []
    for b in range(edges.size - 1):
        chosen = inside & (code == b)
        values = r[chosen]
        ci = (np.nan, np.nan)
        if chosen.any():
            ci = stats.block_bootstrap(
                values, blocks[chosen], stats.weighted_mean, draws, seed, weighted=True
            )
        rows.append(
            {
                "low": edges[b],
                "high": edges[b + 1],
                "centre": np.median(feature[chosen]) if chosen.any() else np.nan,
                "mean": values.mean() if chosen.any() else np.nan,
                "ci_low": ci[0],
                "ci_high": ci[1],
                "n_genes": int(chosen.sum()),
            }
        )
    return pd.DataFrame(rows)
