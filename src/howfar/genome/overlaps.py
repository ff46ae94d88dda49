"""Overlapping variants of one haplotype: first come, first applied, as bcftools does."""

from __future__ import annotations

import numpy as np

from howfar.genome.edits import is_anchored_indel
from howfar.genome.genotypes.base import Genotypes, is_resolved


def apply_first_come(wanted: np.ndarray, genotypes: Genotypes) -> np.ndarray:
    """The alleles that each haplotype gets, where its variants overlap those before them.

    Parameters
    ----------
    wanted
        int8 (V, H): allele of each haplotype by the calls, 0 for the reference.
    genotypes
        The V records.

    Returns
    -------
    numpy.ndarray
        int8 (V, H): `wanted` with the alleles that overlap an earlier one set to 0.
    """
    applied = wanted.copy()
    # Most records overlap no other, so only the few clusters are looked at haplotype by haplotype.
    for members in _find_clusters(genotypes):
        applied[members] = _settle_cluster(wanted[members], members, genotypes)
    return applied


def drop_unapplicable(wanted: np.ndarray, genotypes: Genotypes) -> None:
    """Set the calls of ``*`` and symbolic alleles to 0, in place: no bases stand for them."""
    for v, alleles in enumerate(genotypes.alleles):
        for k in range(1, len(alleles)):
            if not is_resolved(alleles[k]) and (v, k) not in genotypes.ambiguous:
                wanted[v, wanted[v] == k] = 0


def _find_clusters(genotypes: Genotypes) -> list[np.ndarray]:
    """Runs of two or more records whose REF spans overlap, directly or through another."""
    if len(genotypes) < 2:
        return []
    # The reach, not the end of the record before: a long deletion overlaps records far behind it.
    reach = np.maximum.accumulate(genotypes.ends)
    breaks = np.flatnonzero(genotypes.starts[1:] >= reach[:-1]) + 1
    runs = np.split(np.arange(len(genotypes)), breaks)
    return [run for run in runs if len(run) > 1]


def _settle_cluster(wanted: np.ndarray, members: np.ndarray, genotypes: Genotypes) -> np.ndarray:
    """`wanted` (records of one cluster, H) with the alleles that overlap an earlier one zeroed."""
    applied = wanted.copy()
    crowded = np.flatnonzero((wanted != 0).sum(0) > 1)
    if not len(crowded):
        return applied
    # People share haplotypes: each combination of alleles is settled once, not for each person.
    combinations, which = np.unique(wanted[:, crowded], axis=1, return_inverse=True)
    for c in range(combinations.shape[1]):
        combinations[:, c] = _settle_haplotype(combinations[:, c], members, genotypes)
    applied[:, crowded] = combinations[:, which.ravel()]
    return applied


def _settle_haplotype(calls: np.ndarray, members: np.ndarray, genotypes: Genotypes) -> np.ndarray:
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
