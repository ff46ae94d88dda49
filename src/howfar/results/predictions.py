"""A run's predictions as the evaluation reads them."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Predictions:
    """One run's predictions.

    `people`: gene_id x sample, or None where only the reference was predicted. `reference`: of the
    reference genome, by gene_id. `regions`: the model's 'train', 'valid' or 'test' by gene_id, or
    None where unknown.
    """

    run_id: str
    people: pd.DataFrame | None
    reference: pd.Series
    regions: pd.Series | None = None
