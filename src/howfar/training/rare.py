"""Rare alleles replaced by the common one, to ask what a training learned from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def without_rare(
    windows: np.ndarray,
    genes: Sequence[str],
    training: np.ndarray,
    training_genes: Sequence[str],
    threshold: float = 0.05,
) -> np.ndarray:
    """Replace bases that are rare among the training haplotypes by the most frequent there.

    windows, training: one-hot (rows, 2, length, 4); genes: of each row. A base with a frequency
    below `threshold` at its place becomes the most frequent one, and so does an N (all zeros; A
    where nobody has a base). Genes that were not trained are left alone. Frequencies are float16,
    as in the study, so a frequency of 0.05 is compared as float16 has it.
    """
    out = windows.copy()
    names, trained = np.asarray(genes), np.asarray(training_genes)
    for gene in np.unique(trained):
        rows = np.flatnonzero(names == gene)
        if not len(rows):
            continue
        haplotypes = training[trained == gene].reshape(-1, *training.shape[2:])
        frequency = haplotypes.astype(np.float64).mean(axis=0).astype(np.float16)
        major = np.eye(4, dtype=windows.dtype)[frequency.argmax(axis=1)]
        here = windows[rows]
        common = (here * (frequency >= np.float16(threshold))).any(axis=-1)
        out[rows] = np.where(common[..., None], here, major)
    return out
