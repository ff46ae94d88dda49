"""Numbers of gradients beside mutagenesis."""

from __future__ import annotations

import numpy as np

from howfar import stats
from howfar.evaluation.gene_detail import BY_GRADIENT, LINEAR
from howfar.results import tables
from howfar.results.number_rows import Rows

_SOURCE = "summary.parquet"


def add_numbers(rows: Rows, result: tables.Tables) -> None:
    """Per run: median over genes of r over variants, and of r of sums with the prediction."""
    table = result["summary"]
    for run, part in table[table["set"] == BY_GRADIENT].groupby("method"):
        by_gene = part.groupby("group")[["x", "value"]]
        r = by_gene.apply(lambda each: np.corrcoef(each["x"], each["value"])[0, 1]).dropna()
        if len(r):
            text = "Median over genes of Pearson r over variants of the effect by mutagenesis and "
            text += "by gradient."
            key = f"{run}.gradient.variants.r"
            rows.over_genes(key, r, r.index, stats.weighted_median, text, _SOURCE)
    for run, part in table[table["set"] == LINEAR].groupby("method"):
        part = part.dropna(subset=["x", "value"]).set_index("group")
        for column, by in (("x", "mutagenesis"), ("value", "gradient")) if len(part) else ():
            text = "Median over genes of r across people of the sum of effects of variants, by "
            text += f"{by}, with the prediction."
            key = f"{run}.gradient.linear.{by}"
            rows.over_genes(key, part[column], part.index, stats.weighted_median, text, _SOURCE)
