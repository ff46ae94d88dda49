"""Align a run's predictions with a panel's expression."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar.cohort.panel import Panel
from howfar.core.errors import HowfarError
from howfar.results.predictions import Predictions


def align(
    panel: Panel, run: Predictions
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray] | tuple[None, None, None]:
    """Predictions and expression on the genes and people of both, and the people's groups."""
    if run.people is None:
        return None, None, None
    genes = run.people.index.intersection(panel.expression.index, sort=False)
    shared = panel.expression.columns.isin(run.people.columns)
    people = panel.expression.columns[shared]
    if not len(genes) or not len(people):
        raise HowfarError(
            f"run {run.run_id}",
            found=f"{len(genes)} genes and {len(people)} people in common with the expression",
            expected="predictions and expression of the same genes and people",
            do="Check gene-id versions and sample names.",
        )
    return run.people.loc[genes, people], panel.expression.loc[genes, people], panel.groups[shared]
