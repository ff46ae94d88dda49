"""Numbers of trends: r across people against features of the gene."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar import stats
from howfar.evaluation.trends import TREND_BINS, binned_trend, joined
from howfar.results import tables
from howfar.results.number_rows import Rows
from howfar.stats.blocks import blocks_of

_SOURCE = "across.parquet, features.parquet"


def add_numbers(rows: Rows, result: tables.Tables) -> None:
    """Spearman's rho of r with each feature, and mean r in bins of the feature."""
    across = result["across"]
    valued = dict(list(result["features"].groupby("feature")))  # by name
    for _, run in across[across["population"] == "pooled"].groupby("run_id", sort=False):
        for feature, values in valued.items():
            table = joined(run, values, feature)
            if len(table) >= 10 and table[feature].nunique() > 1:
                key = f"{run['run_id'].iloc[0]}.trend.{feature}"
                _add_trend(rows, key, feature, table)


def has_bins(table: pd.DataFrame, feature: str) -> bool:
    """Whether there are genes enough for means in bins of the feature."""
    return len(table) >= 5 * TREND_BINS and table[feature].nunique() > TREND_BINS


def _add_trend(rows: Rows, key: str, feature: str, table: pd.DataFrame) -> None:
    r, units = table["pearson"].to_numpy(float), tables.FEATURES.get(feature, feature)
    for what, word, values in (("r", "r", r), ("abs_r", "|r|", np.abs(r))):
        rows.over_genes(
            f"{key}.{what}",
            np.column_stack([table[feature].to_numpy(float), values]),
            table["gene_id"],
            stats.weighted_spearman,
            f"Spearman rho over genes of {feature} ({units}) with {word} over people",
            _SOURCE,
        )
    if has_bins(table, feature):
        _add_bins(rows, key, feature, table)


def _add_bins(rows: Rows, key: str, feature: str, table: pd.DataFrame) -> None:
    blocks, unit = blocks_of(rows.genes, table["gene_id"])
    trend = binned_trend(table[feature], table["pearson"], blocks, draws=rows.draws, seed=rows.seed)
    for i, row in enumerate(trend.itertuples(), start=1):
        genes = f"the genes with {feature} from {row.low:.6g} to {row.high:.6g} "
        genes += f"(quantile bin {i} of {len(trend)})"
        rows.add(
            f"{key}.bin{i}.mean_r",
            row.mean,
            row.n_genes,
            f"Mean r over people of {genes}; interval by bootstrap over {unit}.",
            _SOURCE,
            (row.ci_low, row.ci_high),
        )
        text = f"Median {feature} of {genes}; in place of an interval the bin's edges."
        ends = (row.low, row.high)
        rows.add(f"{key}.centre{i}", row.centre, row.n_genes, text, _SOURCE, ends)
