"""What is trained on, from the expression of one gene in all people of a study."""

from __future__ import annotations

import numpy as np
from scipy import stats


def z_scores(values: np.ndarray) -> np.ndarray:
    """Standardise each gene over people by the population SD: float32 (genes, people)."""
    centred = values - values.mean(axis=1, keepdims=True)
    return (centred / values.std(axis=1, keepdims=True)).astype(np.float32)


def percentiles(values: np.ndarray) -> np.ndarray:
    """Rank each gene's people in percent, ties averaged: float64 (genes, people)."""
    return 100 * stats.rankdata(values, axis=1) / values.shape[1]
