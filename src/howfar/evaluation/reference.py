"""Table `reference`: predictions from the reference genome beside mean expression."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from howfar.cohort.panel import Panel
from howfar.evaluation.inputs import Inputs, Table
from howfar.results import tables
from howfar.results.predictions import Predictions


def make(inputs: Inputs) -> Table:
    """Table `reference` of all runs."""
    return Table("reference", reference_table(inputs.panel, inputs.runs))


def reference_table(panel: Panel, runs: Iterable[Predictions]) -> pd.DataFrame:
    """Table `reference`: each run's prediction for the reference beside mean expression.

    The mean is over the people with expression, in the panel's units and scale. Genes without
    expression are kept with a missing mean.
    """
    observed = panel.expression.mean(axis=1)
    parts = [
        pd.DataFrame(
            {
                "run_id": run.run_id,
                "gene_id": run.reference.index,
                "prediction": run.reference.to_numpy(float),
                "observed_mean": observed.reindex(run.reference.index).to_numpy(),
                "region": None
                if run.regions is None
                else run.regions.reindex(run.reference.index).to_numpy(),
            }
        )
        for run in runs
        if run.reference.notna().any()
    ]
    return tables.stack("reference", parts, "evaluation")
