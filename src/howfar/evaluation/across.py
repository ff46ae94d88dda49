"""Table `across`: correlation over people of prediction and expression, gene by gene."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from howfar import stats
from howfar.cohort.panel import Panel
from howfar.core.threads import one_thread
from howfar.evaluation.alignment import align
from howfar.evaluation.inputs import Inputs, Table
from howfar.results import tables
from howfar.results.predictions import Predictions
from howfar.stats import null


def make(inputs: Inputs) -> Table:
    """Table `across` of all runs."""
    options = inputs.options
    frame = across_table(inputs.panel, inputs.runs, options.null_draws, options.seed)
    return Table("across", frame)


def across_table(
    panel: Panel, runs: Sequence[Predictions], draws: int = 10_000, seed: int = 1
) -> pd.DataFrame:
    """Table `across`: correlation over people of prediction and expression, gene by gene.

    Populations: 'pooled' (everybody); where there is more than one, each of them and 'centred'
    (population means removed from both sides, p and interval with as many fewer degrees of
    freedom); 'permuted' (as 'centred', predictions exchanged between people of one population, so
    that what is left is chance). p: two-sided t; q: Benjamini-Hochberg over the genes of
    the run and population. null_*: gene-specific null of `draws` random weightings of the gene's
    variants, for 'pooled' and only with genotypes; p_null is that of the gene's own null.
    """
    parts = [part for run in runs for part in _across_run(panel, run, seed)]
    table = tables.stack("across", parts, "evaluation")
    if panel.dosages is None or table.empty:
        return table
    return _with_null(panel, table, draws, seed)


def _across_run(panel: Panel, run: Predictions, seed: int) -> Iterable[pd.DataFrame]:
    predicted, observed, groups = align(panel, run)
    if predicted is None:
        return
    genes = predicted.index
    x, y = predicted.to_numpy(float), observed.to_numpy(float)
    yield _correlated(run.run_id, genes, "pooled", x, y)
    names = np.unique(groups)
    moved, removed = _permuted(x, y, groups, seed), 0
    if len(names) > 1:
        for name in names:
            chosen = groups == name
            yield _correlated(run.run_id, genes, name, x[:, chosen], y[:, chosen])
        both = np.isnan(x) | np.isnan(y)
        removed = sum((~both[:, groups == name]).any(axis=1) for name in names) - 1
        x, moved, y = (
            _settled(stats.centre_within(np.where(both, np.nan, each), groups), each)
            for each in (x, moved, y)
        )
        yield _correlated(run.run_id, genes, "centred", x, y, removed)
    yield _correlated(run.run_id, genes, "permuted", moved, y, removed)


def _settled(centred: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Rows that are constant within each group set to 0: what is left of them is rounding."""
    scale = np.nanmax(np.abs(np.nan_to_num(original)), axis=1, keepdims=True)
    rest = np.nanmax(np.abs(np.nan_to_num(centred)), axis=1, keepdims=True)
    return np.where((rest <= 1e-13 * scale) & ~np.isnan(centred), 0.0, centred)


def _permuted(x: np.ndarray, y: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """`x` with people exchanged within groups, among each gene's complete pairs.

    One random order of people serves every gene, so that genes stay as dependent as they are.
    """
    order = np.random.default_rng(seed).permutation(x.shape[1])
    permuted = np.full(x.shape, np.nan)
    for row, given in enumerate(~(np.isnan(x) | np.isnan(y))):
        for group in np.unique(groups[given]):
            members = np.flatnonzero(given & (groups == group))
            permuted[row, members] = x[row, members[np.argsort(order[members])]]
    return permuted


def _correlated(run_id, genes, population, x, y, removed: int | np.ndarray = 0) -> pd.DataFrame:
    r, n = stats.pearson_rows(x, y)
    rho, _ = stats.spearman_rows(x, y)
    few = n - removed < stats.MIN_PAIRS  # as good as two points, which always lie on a line
    r, rho = np.where(few, np.nan, r), np.where(few, np.nan, rho)
    p = np.where(np.isnan(r), np.nan, stats.correlation_p(r, n - 2 - removed))
    low, high = stats.fisher_interval(r, n - removed)
    return pd.DataFrame(
        {
            "run_id": run_id,
            "gene_id": genes,
            "population": population,
            "n": n,
            "pearson": r,
            "spearman": rho,
            "p": p,
            "q": stats.benjamini_hochberg(p),
            "ci_low": low,
            "ci_high": high,
        }
    )


def _with_null(panel: Panel, table: pd.DataFrame, draws: int, seed: int) -> pd.DataFrame:
    """`table` with the null of each gene; a gene's draws are shared by all runs."""
    pooled = table.index[table["population"] == "pooled"]
    found = {column: np.full(len(table), np.nan) for column in ("null_mean", "null_sd", "p_null")}
    pearson = table["pearson"].to_numpy(float)
    with one_thread():
        for gene, rows in table.loc[pooled].groupby("gene_id", sort=False).indices.items():
            at = pooled[rows]
            dosages, _ = panel.dosages(gene)
            r_k = null.gene_null(dosages, panel.expression.loc[gene].to_numpy(float), draws, seed)
            # One variant, or perfect linkage: draws differ by rounding alone.
            sd = r_k.std() if np.ptp(r_k) > 1e-12 else 0.0
            found["null_mean"][at], found["null_sd"][at] = r_k.mean(), sd
            found["p_null"][at] = [null.own_null(r, r_k) for r in pearson[at]]
    return table.assign(**found)
