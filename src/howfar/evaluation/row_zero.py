"""Row zero: what no model of sequence is needed for, beside which every correlation is to be read.

Across genes the look-up: other people's mean expression. Across people the common variant nearest
to the TSS, its slope learnt from other people. What follows from the tables alone, the sign coin
and random weights, is in `howfar.evaluation.numbers.row_zero`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar import stats
from howfar.cohort.panel import Panel
from howfar.eqtl.lead import lead_snp_prediction
from howfar.evaluation.lead_snp import near
from howfar.stats.blocks import blocks_of
from howfar.study.schema import Evaluation

#: Set of table `summary`; its methods.
ROW_ZERO = "row_zero"
LOOKUP, PAIRS, TISSUE, NEAREST = "lookup", "lookup_pairs", "lookup_tissue", "nearest_variant"
_DRAWS = 1000
_ROUNDING = 1e-13  # share of a sum of squares below which its variance is rounding


def rows(panel: Panel, options: Evaluation) -> pd.DataFrame:
    """Rows of table `summary` of a panel: look-up between populations, and the nearest variant."""
    found = [*_lookups(panel, options.seed)]
    if panel.dosages is not None:
        found.append(_nearest(panel, options))
    return pd.DataFrame([each for each in found if each])


def entry(method: str, group: str, value: float, n: int, ends, units: str) -> dict:
    """One row of the set."""
    row = {"set": ROW_ZERO, "method": method, "group": group, "value": float(value), "n": int(n)}
    return row | {"ci_low": float(ends[0]), "ci_high": float(ends[1]), "units": units}


def lookup(method: str, group: str, pairs: pd.DataFrame, genes: pd.DataFrame, seed: int) -> dict:
    """Look-up over genes: Pearson r of the two columns of `pairs`, by gene_id."""
    pairs = pairs.dropna()
    blocks, _ = blocks_of(genes, pairs.index)
    values = pairs.to_numpy(float)
    ends = stats.block_bootstrap(
        values, blocks, stats.weighted_pearson, _DRAWS, seed, weighted=True
    )
    r = stats.weighted_pearson(values, np.ones((1, len(values))))[0]
    return entry(method, group, r, len(values), ends, "Pearson r over genes")


def _lookups(panel: Panel, seed: int) -> list[dict]:
    """From the largest population to each other; between random halves where there is one."""
    groups = pd.Series(panel.groups, index=panel.expression.columns)
    counts = groups.value_counts()
    if len(counts) == 1:
        half = np.random.default_rng(seed).permutation(len(groups)) % 2
        groups = pd.Series(np.where(half, "one half", "the other half"), index=groups.index)
        counts = groups.value_counts()
    found = []
    first, *others = sorted(counts.index, key=lambda name: (-counts[name], str(name)))
    for other in others:
        if min(counts[first], counts[other]) < stats.MIN_PAIRS or len(panel.expression) < 3:
            continue
        name = f"{first} to {other}"
        theirs = panel.expression.loc[:, groups == other]
        known = panel.expression.loc[:, groups == first].mean(axis=1)
        pairs = pd.DataFrame({"known": known, "theirs": theirs.mean(axis=1)})
        found.append(lookup(LOOKUP, name, pairs, panel.genes, seed))
        found.append(_over_pairs(name, known, theirs, panel.genes, seed))
    return found


def _over_pairs(name: str, known: pd.Series, theirs: pd.DataFrame, genes, seed: int) -> dict:
    """The same over all pairs of a gene and a person, who have one look-up value a gene."""
    sums = pair_sums(known.to_numpy(float)[:, None], theirs.to_numpy(float))
    blocks, _ = blocks_of(genes, known.index)
    ends = stats.block_bootstrap(sums, blocks, r_of_sums, _DRAWS, seed, weighted=True)
    r = r_of_sums(sums, np.ones((1, len(sums))))[0]
    return entry(PAIRS, name, r, len(sums), ends, "Pearson r over pairs of a gene and a person")


def pair_sums(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sums over each gene's pairs (n, x, y, x^2, y^2, xy), of which `r_of_sums` makes r.

    x, y: (genes, people), or a column; NaN is left out.
    """
    x, y = np.broadcast_arrays(x, y)
    given = ~np.isnan(y) & ~np.isnan(x)
    x, y = np.where(given, x, 0), np.where(given, y, 0)
    return np.column_stack([np.sum(part, axis=1) for part in (given, x, y, x * x, y * y, x * y)])


def r_of_sums(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute r over all pairs (draws,) of genes with `pair_sums`, weighted.

    NaN where a side is constant: what its sums differ by is rounding.
    """
    n, x, y, xx, yy, xy = (weights @ sums).T
    with np.errstate(invalid="ignore", divide="ignore"):
        of_x, of_y = xx - x * x / n, yy - y * y / n
        varies = (of_x > _ROUNDING * xx) & (of_y > _ROUNDING * yy)
        return np.where(varies, (xy - x * y / n) / np.sqrt(of_x * of_y), np.nan)


def _nearest(panel: Panel, options: Evaluation) -> dict | None:
    """Mean r across people of the common variant nearest to the TSS, its slope out of fold."""
    tss, found = panel.genes.set_index("gene_id")["tss"], {}
    for gene in panel.expression.index:
        dosages, variants = near(*panel.dosages(gene), int(tss[gene]), options.cis_window)
        p = np.nanmean(dosages, axis=0) / 2 if len(variants) else np.empty(0)
        common = np.flatnonzero(np.minimum(p, 1 - p) >= options.min_maf)
        if not len(common):
            continue
        distance = [abs(variants[i].start0 - (int(tss[gene]) - 1)) for i in common]
        place = common[int(np.argmin(distance))]
        y = panel.expression.loc[gene].to_numpy(float)
        x, _ = lead_snp_prediction(
            dosages[:, [place]], y, options.folds, options.seed, options.min_maf
        )
        found[gene] = stats.pearson_rows(x, y)[0][0]
    r = pd.Series(found, dtype=float).fillna(0)
    if len(r) < 2:
        return None
    blocks, _ = blocks_of(panel.genes, r.index)
    ends = stats.block_bootstrap(
        r.to_numpy(), blocks, stats.weighted_mean, _DRAWS, options.seed, weighted=True
    )
    words = "mean over genes of r across people"
    return entry(NEAREST, "out of fold", r.mean(), len(r), ends, words)
