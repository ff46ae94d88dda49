"""What mix-ups of samples are looked for in: out-of-fold predictions, and variants for kinship."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from howfar.cohort.panel import Panel
from howfar.eqtl.lead import minor_frequency
from howfar.evaluation.alignment import align
from howfar.results.predictions import Predictions
from howfar.stats.correlation import pearson_rows

_GENES, _VARIANTS = 150, 6_000  # most genes and variants that kinship is taken from
_COMMON = 0.005  # rarer ones tell strangers who share common haplotypes from one person


def best_run(
    panel: Panel, runs: Sequence[Predictions]
) -> tuple[str, list[str], np.ndarray, np.ndarray]:
    """Choose the out-of-fold predictions with the largest sum of r^2/(1 - r^2).

    Returns the run's id, its genes, its predictions (genes, people) and the expression beside.
    """
    people = panel.expression.columns
    best, largest = None, -1.0
    for run in runs:
        predicted, observed, _ = align(panel, run)
        if predicted is None:
            continue
        p, e = (frame.reindex(columns=people).to_numpy(float) for frame in (predicted, observed))
        r, n = pearson_rows(p, e)
        r2 = np.where(np.isnan(r) | (r < 0), 0, np.minimum(r, 0.99)) ** 2
        signal = float((r2 / (1 - r2) - 1 / np.maximum(n, 1)).clip(0).sum())
        if signal > largest:
            largest, best = signal, (run.run_id, list(predicted.index), p, e)
    none = np.zeros((0, len(people)))
    return best or ("", [], none, none)


def spread_variants(panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    """Dosages (people, variants) of common variants over the genes' windows, and their contigs."""
    genes = list(panel.expression.index)
    chosen = genes[:: max(1, len(genes) // _GENES)]
    columns: dict[str, np.ndarray] = {}
    for gene in chosen if panel.dosages is not None else []:
        dosages, variants = panel.dosages(gene)
        told = np.flatnonzero(minor_frequency(np.nan_to_num(dosages)) >= _COMMON)
        for i in told[:: max(1, len(told) * len(chosen) // _VARIANTS)]:
            columns[str(variants[i])] = dosages[:, i]
    contigs = np.array([name.split(":")[0] for name in columns], object)
    people = panel.expression.shape[1]
    return np.array(list(columns.values())).reshape(len(columns), people).T, contigs
