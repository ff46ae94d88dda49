"""Table `within`: correlation across genes within each person."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from howfar import stats
from howfar.cohort.panel import Panel
from howfar.evaluation.alignment import align
from howfar.evaluation.inputs import Inputs, Table
from howfar.results import tables
from howfar.results.predictions import Predictions


def make(inputs: Inputs) -> Table:
    """Table `within` of all runs."""
    return Table("within", within_table(inputs.panel, inputs.runs))


def within_table(panel: Panel, runs: Iterable[Predictions]) -> pd.DataFrame:
    """Table `within`: correlation across genes within each person, people sorted by r.

    `population` is the person's ('pooled' where unknown), `rank` counts from 1 at the highest
    Pearson r of the population; nobody is named. Runs without a reference prediction are left
    out: such a model is told each gene's level by the people it was trained on.
    """
    parts = []
    for run in runs:
        predicted, observed, groups = align(panel, run)
        if predicted is None or run.reference.isna().all():
            continue
        x, y = predicted.to_numpy(float).T, observed.to_numpy(float).T
        (r, n), (rho, _) = stats.pearson_rows(x, y), stats.spearman_rows(x, y)
        part = pd.DataFrame({"n_genes": n, "pearson": r, "spearman": rho})
        part["population"] = "pooled" if panel.populations is None else groups
        # Ties by value too: the order of the samples is not to show in anybody's rank.
        order = ["pearson", "spearman", "n_genes"]
        part = part.sort_values(order, ascending=False, na_position="last")
        part["rank"] = part.groupby("population").cumcount() + 1
        parts.append(part.assign(run_id=run.run_id))
    return tables.stack("within", parts, "evaluation")
