"""Numbers of the controls that follow from the tables alone: the sign coin, the look-up."""

from __future__ import annotations

import numpy as np

from howfar.evaluation.row_zero import ROW_ZERO
from howfar.results import tables
from howfar.results.number_rows import NOWHERE, Rows


def add_numbers(rows: Rows, result: tables.Tables) -> None:
    """The mean r of a run whose signs were tossed, and the rows of set `row_zero`."""
    table = result["across"].dropna(subset=["pearson"])
    table = table[table["population"] == "pooled"]
    for run, part in table.groupby("run_id"):
        r = part["pearson"].to_numpy(float)
        if len(r) < 2:
            continue
        half = 1.96 * np.sqrt((r**2).sum()) / len(r)
        text = "Mean over genes of r across people, were the sign of each gene's r tossed; its "
        text += "95 % range, genes taken as independent."
        rows.add(f"{run}.across.pooled.sign_coin", 0, len(r), text, "across.parquet", (-half, half))
    summary = result["summary"]
    for row in summary[summary["set"] == ROW_ZERO].itertuples():
        key = f"row_zero.{row.method}.{row.group.replace(' ', '_')}"
        ends = (row.ci_low, row.ci_high) if row.ci_low < row.ci_high else NOWHERE
        text = f"Without a model, {row.method.replace('_', ' ')}, {row.group}: {row.units}."
        rows.add(key, row.value, row.n, text, "summary.parquet", ends)
