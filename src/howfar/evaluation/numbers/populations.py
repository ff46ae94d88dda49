"""Numbers of removing population means: genes whose r changes sign."""

from __future__ import annotations

import pandas as pd
from scipy.stats import binomtest

from howfar import stats
from howfar.evaluation.populations import centring
from howfar.results import tables
from howfar.results.number_rows import Rows

_SOURCE = "across.parquet"


def add_numbers(rows: Rows, result: tables.Tables) -> None:
    """Share of genes whose r changes sign: of all, and of those significant among all people."""
    for run, table in centring(result["across"]).groupby("run_id"):
        key, ids = f"{run}.centring", table["gene_id"]
        text = "Pearson r over genes of r among all people with r, population means removed"
        pairs = table[["pooled", "centred"]]
        rows.over_genes(f"{key}.r", pairs, ids, stats.weighted_pearson, text, _SOURCE)
        words = {"all": "all genes", "significant": "genes with q of r at most 0.05"}
        for name, part in (("all", table), ("significant", table[table["significant"]])):
            if len(part):
                _add_share(rows, f"{key}.flips.{name}", part, words[name])


def _add_share(rows: Rows, key: str, part: pd.DataFrame, words: str) -> None:
    text = f"Share of {words} whose r changes sign when population means are removed"
    count, n = int(part["flips"].sum()), len(part)
    if 0 < count < n:
        rows.over_genes(key, part["flips"], part["gene_id"], stats.weighted_mean, text, _SOURCE)
        return
    # Resampling zeros gives only zeros, which would say that the share is known to be 0.
    exact = binomtest(count, n).proportion_ci(0.95)
    ends = (exact.low, exact.high)
    rows.add(key, count / n, n, f"{text}; exact binomial interval.", _SOURCE, ends)
