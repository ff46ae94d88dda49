"""One gene's locus: effects of its variants beside an eQTL scan."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar.stats import top_overlap

#: Size of the lists of top variants that are compared; of fewer than 100 variants, a fifth.
TOP = 50
#: How the lists are ranked, and the set of `summary` that says what chance gives.
RANKINGS = {"combined": "overlap_shuffled", "model": "overlap_rotated"}
_FEW = 10  # variants with an effect and a p, at least


def most_measured(effects: pd.DataFrame) -> pd.DataFrame:
    """Rows of `effects` with an effect, of the gene and source with most p-values; else none.

    Adds `log10p` (-log10 p) and `size` (|effect|).
    """
    if len(effects) < _FEW:  # as of most genes
        return effects.iloc[:0]
    table = effects.dropna(subset=["effect", "distance"])
    given = table.dropna(subset=["p"])
    counts = given.groupby(["gene_id", "source"]).size() / max(given["run_id"].nunique(), 1)
    if counts.empty or counts.max() < _FEW:
        return table.iloc[:0]
    gene, source = counts.idxmax()
    rows = table[(table["gene_id"] == gene) & (table["source"] == source)]
    return rows.assign(log10p=-np.log10(rows["p"]), size=rows["effect"].abs())


def top_size(variants: int) -> int:
    """Length of a list of the top variants among so many."""
    return TOP if variants >= 2 * TOP else max(1, variants // 5)


def top_variants(table: pd.DataFrame, column: str, size: int) -> set[str]:
    """The variants of the `size` highest values of a column."""
    return set(table.loc[top_overlap.top(table[column], size), "variant"])


def log10p_limit(variants: int) -> float:
    """-log10 of the Bonferroni limit of p for so many variants."""
    return -np.log10(0.05 / variants)


def overlap_rows(effects: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Rows of `summary`: overlaps of top lists in the locus with most p-values; else none."""
    rows = most_measured(effects)
    return rows if rows.empty else top_overlap.curves(rows[effects.columns], seed=seed)
