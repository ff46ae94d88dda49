"""Numbers of single loci: effects of variants beside an eQTL scan."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar.evaluation.locus import (
    RANKINGS,
    log10p_limit,
    most_measured,
    top_size,
    top_variants,
)
from howfar.results import tables
from howfar.results.number_rows import Rows
from howfar.stats import top_overlap

_SOURCE = "effects.parquet"


def add_numbers(rows: Rows, result: tables.Tables) -> None:
    """Per gene: the scan, and each run's rank correlation and top variants shared with it."""
    for gene, table in result["effects"].groupby("gene_id"):
        measured = most_measured(table)
        if len(measured):
            _add_scan(rows, f"locus.{gene}", measured)
            _add_runs(rows, gene, measured)
    _add_outside(rows, result["summary"])


def _add_scan(rows: Rows, key: str, table: pd.DataFrame) -> None:
    scan = table.drop_duplicates("variant").dropna(subset=["p"])
    limit, n = log10p_limit(len(scan)), len(scan)
    words = f"of the eQTL scan of {table['gene_id'].iloc[0]}"
    for what, value, text in (
        ("limit", limit, f"Bonferroni limit of -log10 p {words}."),
        ("passed", (scan["log10p"] > limit).sum(), f"Variants beyond that limit, {words}."),
        ("highest", scan["log10p"].max(), f"Highest -log10 p {words}."),
    ):
        rows.add(f"{key}.{what}", value, n, text, _SOURCE)


def _add_runs(rows: Rows, gene: str, table: pd.DataFrame) -> None:
    scan = table.drop_duplicates("variant").dropna(subset=["p"])
    size = top_size(len(scan))
    best = top_variants(scan, "log10p", size)
    for run, part in table.groupby("run_id", sort=False):
        shared = len(top_variants(part, "size", size) & best)
        text = f"Of the {size} largest |effect| of {gene}, among the {size} with the lowest p."
        key = f"{run}.locus.{gene}"
        rows.add(f"{key}.top", shared, len(scan), text, _SOURCE)
    for row in top_overlap.rank_agreement(table, rows.seed).itertuples():
        text = f"Spearman rho over variants of {gene} of |effect| with -log10 p; interval by "
        text += f"bootstrap over blocks of {top_overlap.BLOCK // 1000} kb."
        ends = (row.ci_low, row.ci_high)
        rows.add(f"{row.run_id}.locus.{gene}.rho", row.rho, row.n, text, _SOURCE, ends)


def _add_outside(rows: Rows, summary: pd.DataFrame) -> None:
    """At how many sizes of the lists the shared variants leave the range of chance."""
    table = summary.set_index(["group", "set", "method", "x"]).sort_index()
    for group, chance in RANKINGS.items():
        for run in summary.loc[summary["set"] == chance, "method"].unique():
            seen = table.loc[(group, "overlap", run), "value"]
            ends = table.loc[(group, chance, run), ["ci_low", "ci_high"]]
            for what, outside in (
                ("above", seen > ends["ci_high"]),
                ("below", seen < ends["ci_low"]),
            ):
                text = f"Sizes of the top lists at which they share {what} the range of chance, "
                text += f"ranked by: {group}."
                key = f"{run}.locus.overlap.{group}.{what}"
                rows.add(key, np.sum(outside), len(seen), text, "summary.parquet")
