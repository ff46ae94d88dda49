"""Does the main driver's direction foretell that of r, in people who gave neither?

Within one set of people it does nearly by construction: where one variant carries a prediction,
the sign of r is the sign of the variant's effect times that of its slope. So the slope is taken
from one half of the people, r from the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from howfar import stats
from howfar.cohort.panel import Panel
from howfar.eqtl.lead import filled
from howfar.evaluation.alignment import align
from howfar.evaluation.run_comparison import STRONG
from howfar.results.predictions import Predictions
from howfar.stats.blocks import blocks_of

#: Set of table `summary`; group: whose slope it is.
DRIVER_HALVES, SAME, OTHERS = "driver_halves", "the same people", "other people"
_SPLITS = 10


def rows(panel: Panel, networks: Sequence[Predictions], seed: int = 1) -> pd.DataFrame:
    """Rows of table `summary`: share of genes whose main driver foretells the sign of r.

    The main driver of a gene is the variant that correlates most with the run's prediction. It
    foretells where effect and slope have the same sign and r is positive, or neither. Genes with
    |r| above `STRONG` among the people whose r it is, over `_SPLITS` random halves; interval by
    block bootstrap over genes.
    """
    parts = [_of_run(panel, run, seed) for run in networks if panel.dosages is not None]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _of_run(panel: Panel, run: Predictions, seed: int) -> pd.DataFrame:
    predicted, observed, groups = align(panel, run)
    if predicted is None:
        return pd.DataFrame()
    order = panel.expression.columns.get_indexer(predicted.columns)
    found = {SAME: {}, OTHERS: {}}
    for gene in predicted.index:
        x, y = predicted.loc[gene].to_numpy(float), observed.loc[gene].to_numpy(float)
        dosages = filled(panel.dosages(gene)[0][order].astype(float))
        there = ~(np.isnan(x) | np.isnan(y))
        x, y, dosages = x[there], y[there], dosages[there]
        driver = _main_driver(x, dosages) if len(x) >= 2 * stats.MIN_PAIRS else None
        if driver is None:
            continue
        x, y, g = stats.centre_within(np.stack([x, y, driver]), groups[there])
        rng = np.random.default_rng(seed)
        halves = [rng.permutation(len(x)) for _ in range(_SPLITS)]
        for name, hits in _agreement(x, y, g, halves).items():
            found[name][gene] = hits
    return _shares(panel.genes, run.run_id, found)


def _main_driver(x: np.ndarray, dosages: np.ndarray) -> np.ndarray | None:
    """Dosages of the variant that carries most of a prediction, counted so that it raises it."""
    if not dosages.shape[1]:
        return None
    r, _ = stats.pearson_rows(dosages.T, np.broadcast_to(x, dosages.T.shape))
    if np.isnan(r).all():
        return None
    place = int(np.nanargmax(np.abs(r)))
    return dosages[:, place] * np.sign(r[place])


def _agreement(x, y, driver, halves: list[np.ndarray]) -> dict[str, tuple[int, int]]:
    """Count halves in which |r| is clear, and those of them whose sign the slope has."""
    ones, others = zip(*(np.array_split(order, 2) for order in halves), strict=True)
    of_r = np.stack(ones)
    r = stats.pearson_rows(x[of_r], y[of_r])[0]
    clear = np.abs(r) > STRONG
    found = {}
    for name, of_slope in {SAME: ones, OTHERS: others}.items():
        slopes = np.array([driver[people] @ y[people] for people in of_slope])
        found[name] = int((slopes * r > 0)[clear].sum()), int(clear.sum())
    return found


def _shares(genes: pd.DataFrame, run: str, found: dict[str, dict]) -> pd.DataFrame:
    lines = []
    for name, hits in found.items():
        table = pd.DataFrame(hits, index=["hits", "clear"]).T.query("clear > 0")
        if not len(table):
            continue
        blocks, _ = blocks_of(genes, table.index)
        values = table.to_numpy(float)
        low, high = stats.block_bootstrap(values, blocks, _ratio, 1000, weighted=True)
        value = _ratio(values, np.ones((1, len(values))))[0]
        lines.append((DRIVER_HALVES, run, name, value, len(table), low, high))
    columns = ["set", "method", "group", "value", "n", "ci_low", "ci_high"]
    return pd.DataFrame(lines, columns=columns).assign(units="share of genes with clear r")


def _ratio(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    hits, clear = (weights @ values).T
    return hits / np.maximum(clear, 1)
