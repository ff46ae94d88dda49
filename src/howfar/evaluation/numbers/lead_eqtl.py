"""Numbers of the lead eQTLs and of the study's own cis-eQTL map."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar import stats
from howfar.evaluation.features import values_of
from howfar.results import tables
from howfar.results.number_rows import Rows
from howfar.stats.blocks import blocks_of

_SOURCE = "features.parquet"
#: Features of the lead eQTL whose medians are given.
FEATURES = ("lead_eqtl_distance", "lead_eqtl_r", "lead_eqtl_maf", "lead_eqtl_log10p")
_NEAR = 1000  # bp
_FDR = 0.05


def add_numbers(rows: Rows, result: tables.Tables) -> None:
    """Medians of distance, |r|, frequency and -log10 p; shares near the TSS and below 0."""
    for feature in FEATURES:
        table = values_of(result["features"], feature)
        if table.empty:
            continue
        values, ids = table["value"], table["gene_id"]
        size = "absolute " if feature == "lead_eqtl_r" else ""
        estimates = [
            (
                feature,
                values.abs() if size else values,
                stats.weighted_median,
                f"Median over genes of the {size}{feature} ({tables.FEATURES[feature]})",
            )
        ]
        if feature == "lead_eqtl_distance":
            near = "Share of genes whose lead eQTL is less than 1,000 bp from the TSS"
            estimates.append(("within_1kb", values < _NEAR, stats.weighted_mean, near))
            text = "Largest distance of a lead eQTL from the TSS, bp."
            rows.add("lead_eqtl.farthest", values.max(), len(ids), text, _SOURCE)
        if feature == "lead_eqtl_r":
            low = "Share of genes whose lead eQTL has a negative r"
            estimates.append(("negative", values < 0, stats.weighted_mean, low))
        for what, numbers, statistic, text in estimates:
            blocks, unit = blocks_of(rows.genes, ids)
            numbers, draws = np.asarray(numbers, float), rows.draws
            ends = stats.block_bootstrap(
                numbers, blocks, statistic, draws, rows.seed, weighted=True
            )
            value = statistic(numbers, np.ones((1, len(ids))))[0]
            text = f"{text}; interval by bootstrap over {unit}."
            rows.add(f"lead_eqtl.{what}", value, len(ids), text, _SOURCE, ends)


def lead_and_full(summary: pd.DataFrame, across: pd.DataFrame) -> pd.DataFrame:
    """run_id, gene_id, r with only the lead variant, and r of the whole prediction.

    The latter within populations ('centred') where known, as the map has them as covariates.
    """
    names = {"method": "run_id", "group": "gene_id", "value": "lead_only"}
    alone = summary[summary["set"] == "eqtl_lead_only"].rename(columns=names)
    population = "centred" if (across["population"] == "centred").any() else "pooled"
    full = across.loc[across["population"] == population, ["run_id", "gene_id", "pearson"]]
    columns = ["run_id", "gene_id", "lead_only", "ci_low", "ci_high", "n"]
    return alone[columns].merge(full, on=["run_id", "gene_id"]).dropna(subset=["pearson"])


def add_map(rows: Rows, result: tables.Tables) -> None:
    """Genes with an eQTL, genes with two signals, and the lead variant alone beside the whole."""
    q = values_of(result["features"], "lead_eqtl_q")["value"]
    if len(q):
        text = f"Genes with an eQTL at q <= {_FDR}."
        rows.add("eqtl.genes", (q <= _FDR).sum(), len(q), text, _SOURCE)
    summary = result["summary"]
    counts = summary[summary["set"] == "eqtl_signals"]
    if len(counts):
        share = counts.loc[counts["x"] >= 2, "value"].sum() / counts["value"].sum()
        n = counts["value"].sum()
        text = "Share of genes with two independent signals or more."
        rows.add("eqtl.two_signals", share, n, text, "summary.parquet")
    for run, part in lead_and_full(summary, result["across"]).groupby("run_id"):
        key, source = f"{run}.eqtl_lead_only", "summary.parquet, across.parquet"
        right = (part["lead_only"] > 0).sum()
        text = "Genes to whose lead eQTL the network gives the right sign."
        rows.add(f"{key}.right_sign", right, len(part), text, source)
        for column, words in (("pearson", "the whole prediction"), ("lead_only", "it alone")):
            rows.over_genes(
                f"{key}.mean_{column}",
                np.asarray(part[column], float),
                part["gene_id"],
                stats.weighted_mean,
                f"Mean over genes with a lead eQTL in the network's window of r of {words}",
                source,
            )
