"""Overlapping edits of one haplotype: first come, first applied, as bcftools does."""

from __future__ import annotations

import numpy as np

from howfar.genome.edits import is_anchored_indel
from howfar.genome.genotypes.base import Genotypes, is_resolved


def _drop_unapplicable(wanted: np.ndarray, genotypes: Genotypes) -> None:
    """Zero the calls of ``*`` and symbolic alleles."""
    for v, alleles in enumerate(genotypes.alleles):
        for k in range(1, len(alleles)):
            if not is_resolved(alleles[k]) and (v, k) not in genotypes.ambiguous:
                wanted[v, wanted[v] == k] = 0


def _clusters(genotypes: Genotypes) -> list[np.ndarray]:
    """Runs of two or more records whose REF spans overlap, directly or through another."""
    if len(genotypes) < 2:
        return []
    reach = np.maximum.accumulate(genotypes.ends)
    breaks = np.flatnonzero(genotypes.starts[1:] >= reach[:-1]) + 1
    runs = np.split(np.arange(len(genotypes)), breaks)
    return [run for run in runs if len(run) > 1]


def _first_come(wanted: np.ndarray, members: np.ndarray, genotypes: Genotypes) -> np.ndarray:
    """`wanted` (records of one cluster, H) with the alleles that overlap an earlier one zeroed."""
    applied = wanted.copy()
    crowded = np.flatnonzero((wanted != 0).sum(0) > 1)
    if not len(crowded):
        return applied
    combinations, which = np.unique(wanted[:, crowded], axis=1, return_inverse=True)
    for c in range(combinations.shape[1]):
        combinations[:, c] = _settle(combinations[:, c], members, genotypes)
    applied[:, crowded] = combinations[:, which.ravel()]
    return applied


def _settle(calls: np.ndarray, members: np.ndarray, genotypes: Genotypes) -> np.ndarray:
    """One haplotype's alleles in file order, each kept unless it overlaps one kept before.

    As in ``bcftools consensus``, an insertion or deletion whose first base is REF's may share
    that base with the last base of the variant before, unless that one was an insertion.
    """
    kept = calls.copy()
    last, after_insertion = -1, False
    for i in np.flatnonzero(calls):
        v = members[i]
        ref, alt = genotypes.alleles[v][0], genotypes.alleles[v][calls[i]]
        begin = int(genotypes.starts[v])
        shares = begin == last and is_anchored_indel(ref, alt) and not after_insertion
        if begin <= last and not shares:
            kept[i] = 0
            continue
        last = int(genotypes.ends[v]) - 1
        after_insertion = len(alt) > len(ref)
    return kept
