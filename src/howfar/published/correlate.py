"""Correlations across people and within people, from individual-level predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .. import stats


def across(
    run_id: str, predicted: np.ndarray, observed: np.ndarray, genes, groups: np.ndarray, seed
) -> pd.DataFrame:
    """Rows of the `across` table for one run.

    predicted, observed: (genes, people), NaN where missing. groups: (people,) population names.
    Rows: 'pooled', each population, 'centred' (population means removed, one degree of freedom
    each beyond the first) and 'permuted' (predictions permuted within population, per gene).
    A population with fewer than 3 pairs for a gene has no row; a constant prediction has r NaN.
    """
    paired = ~(np.isnan(predicted) | np.isnan(observed))
    x, y = np.where(paired, predicted, np.nan), np.where(paired, observed, np.nan)
    names = np.unique(groups)
    extra = np.sum([paired[:, groups == g].any(axis=1) for g in names], axis=0) - 1
    none = np.zeros(len(x), int)
    views = {"pooled": (x, y, none)}
    views |= {str(g): (x[:, groups == g], y[:, groups == g], none) for g in names}
    views["centred"] = (centred(x, groups), centred(y, groups), np.maximum(extra, 0))
    views["permuted"] = (permuted(x, groups, np.random.default_rng(seed)), y, none)
    parts = [_rows(genes, population, *view) for population, view in views.items()]
    return pd.concat(parts, ignore_index=True).assign(run_id=run_id)


def centred(x: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """`x` less each population's mean per gene, exactly 0 where only rounding is left."""
    rest = stats.centre_within(x, groups)
    # A constant prediction leaves about 1e-16 of its level, which would correlate with anything.
    return np.where(np.abs(rest) <= 1e-13 * np.abs(x), 0.0, rest)


def permuted(x: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`x` with each gene's values permuted within population among the people who have one."""
    mixed = np.full(x.shape, np.nan)
    for row, values in enumerate(x):
        have = np.flatnonzero(~np.isnan(values))
        mixed[row, have] = values[stats.permute_within(have, groups[have], rng)]
    return mixed


def _rows(genes, population: str, x: np.ndarray, y: np.ndarray, extra: np.ndarray) -> pd.DataFrame:
    """One population's rows; `extra`: covariates removed beyond the overall mean."""
    r, n = stats.pearson_rows(x, y)
    p = stats.correlation_p(r, n - 2 - extra)
    low, high = stats.fisher_interval(r, n - extra)
    frame = pd.DataFrame(
        {
            "gene_id": list(genes),
            "population": population,
            "n": n,
            "pearson": r,
            "spearman": stats.spearman_rows(x, y)[0],
            "p": p,
            "q": stats.benjamini_hochberg(p),
            "ci_low": low,
            "ci_high": high,
        }
    )
    return frame[frame["n"] >= stats.MIN_PAIRS]


def within(
    run_id: str, predicted: np.ndarray, observed: np.ndarray, groups: np.ndarray
) -> pd.DataFrame:
    """Rows of the `within` table: across genes, for each person, ranked by r in the population."""
    r, n = stats.pearson_rows(predicted.T, observed.T)
    rho, _ = stats.spearman_rows(predicted.T, observed.T)
    frame = pd.DataFrame({"population": groups, "n_genes": n, "pearson": r, "spearman": rho})
    frame = frame[frame["pearson"].notna()]
    frame["rank"] = (
        frame.groupby("population")["pearson"].rank(ascending=False, method="first").astype(int)
    )
    return frame.assign(run_id=run_id)


def individuals(
    run_id: str, predicted: np.ndarray, observed: np.ndarray, genes, samples
) -> pd.DataFrame:
    """Rows of the `individuals` table: every gene and person with both values."""
    gene, person = np.nonzero(~(np.isnan(predicted) | np.isnan(observed)))
    return pd.DataFrame(
        {
            "run_id": run_id,
            "gene_id": np.asarray(genes, object)[gene],
            "sample": np.asarray(samples, object)[person],
            "predicted": predicted[gene, person],
            "observed": observed[gene, person],
        }
    )
