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
    place = genes.set_index("gene_id").reindex(gene_ids)
    chrom, tss = place["chrom"].astype("string"), pd.to_numeric(place["tss"])
    if chrom.nunique() >= MIN_BLOCKS and chrom.notna().all():
        return chrom.to_numpy(dtype=object), "chromosomes"
    if chrom.notna().all() and tss.notna().all():
        regions = chrom + ":" + (tss.astype("Int64") // 1_000_000).astype("string")
        if regions.nunique() >= MIN_BLOCKS:
            return regions.to_numpy(dtype=object), "1-Mb regions"
    return np.asarray(gene_ids, dtype=object), "genes, taken as independent"
