"""Table `individuals`: predicted and observed values of each person."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from howfar.cohort.panel import Panel
from howfar.evaluation.alignment import align
from howfar.evaluation.inputs import LEAD_SNP, Inputs, Table
from howfar.results import tables
from howfar.results.predictions import Predictions


def make(inputs: Inputs) -> Table:
    """Table `individuals` of all runs; may be private."""
    folds = {LEAD_SNP: inputs.lead_snp[1]}
    folds |= {each.run_row["run_id"]: each.folds for each in inputs.linear}
    return Table("individuals", individuals_table(inputs.panel, inputs.runs, folds))


def individuals_table(
    panel: Panel, runs: Iterable[Predictions], folds: dict[str, pd.DataFrame] | None = None
) -> pd.DataFrame:
    """Table `individuals`: every prediction beside the expression it is for; may be private.

    folds: run_id to the fold (gene_id x sample) in which each prediction was held out.
    """
    parts = []
    for run in runs:
        predicted, observed, _ = align(panel, run)
        if predicted is None:
            continue
        genes, people = predicted.shape
        fold = (folds or {}).get(run.run_id)
        part = pd.DataFrame(
            {
                "run_id": run.run_id,
                "gene_id": np.repeat(predicted.index.to_numpy(), people),
                "sample": np.tile(predicted.columns.to_numpy(), genes),
                "predicted": predicted.to_numpy(float).ravel(),
                "observed": observed.to_numpy(float).ravel(),
            }
        )
        if fold is not None:
            part["fold"] = fold.loc[predicted.index, predicted.columns].to_numpy().ravel()
        parts.append(part)
    return tables.stack("individuals", parts, "evaluation")
