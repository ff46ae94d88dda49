"""Blocks of neighbouring genes, which a bootstrap draws together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

#: Fewest blocks for which chromosomes (then 1-Mb regions) carry a bootstrap.
MIN_BLOCKS = 5


def blocks_of(genes: pd.DataFrame, gene_ids: Sequence[str]) -> tuple[np.ndarray, str]:
    """Find each gene's block for a block bootstrap, and what a block is, in words.

    Chromosomes; where the genes lie on fewer than 5, regions of 1 Mb; where those are fewer than 5
    (or positions are unknown), genes, which takes them as independent.
    """
    # Called thousands of times: plain arrays, in which -1, a gene that isn't there, finds the last.
    places = pd.Index(genes["gene_id"]).get_indexer(pd.Index(gene_ids))
    chrom = np.append(genes["chrom"].to_numpy(dtype=object), None)[places]
    known = bool(pd.notna(chrom).all())
    if known and len(set(chrom)) >= MIN_BLOCKS:
        return chrom, "chromosomes"
    tss = np.append(pd.to_numeric(genes["tss"]).to_numpy(dtype=float, na_value=np.nan), np.nan)
    tss = tss[places]
    if known and np.isfinite(tss).all():
        regions = [f"{c}:{int(t) // 1_000_000}" for c, t in zip(chrom, tss, strict=True)]
        if len(set(regions)) >= MIN_BLOCKS:
            return np.asarray(regions, dtype=object), "1-Mb regions"
    return np.asarray(gene_ids, dtype=object), "genes, taken as independent"
