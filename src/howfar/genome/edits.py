"""Edits: variants as replacements of reference bases on one haplotype."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from howfar.genome.genotypes.base import Genotypes, is_resolved


@dataclass(frozen=True, slots=True)
class Gap:
    """Where an allele changes the length: `deleted` bases go from `offset` on, `inserted` come.

    offset: relative to the start of REF; the bases are inserted before it.
    """

    offset: int
    deleted: int
    inserted: bytes


@dataclass(frozen=True, slots=True)
class Edit:
    """One allele in reference coordinates relative to the start of REF.

    substitutions: (offset, byte) of bases replaced. gap: None where the length stays.
    """

    substitutions: tuple[tuple[int, int], ...]
    gap: Gap | None


@lru_cache(maxsize=65536)
def is_anchored_indel(ref: bytes, alt: bytes) -> bool:
    """Whether `alt` only inserts or only deletes bases after a first base shared with `ref`."""
    if ref[:1] != alt[:1] or len(ref) == len(alt):
        return False
    front, back = _count_shared(ref, alt)
    return front + back == min(len(ref), len(alt))


def _count_shared(ref: bytes, alt: bytes) -> tuple[int, int]:
    """Count the bases shared in front, and after those, at the end."""
    shorter = min(len(ref), len(alt))
    front = 0
    while front < shorter and ref[front] == alt[front]:
        front += 1
    back = 0
    while back < shorter - front and ref[-1 - back] == alt[-1 - back]:
        back += 1
    return front, back


# The same few pairs of bases make up nearly all variants, of every gene and person.
@lru_cache(maxsize=65536)
def edit_of(ref: bytes, alt: bytes) -> Edit:
    """Align `alt` to `ref`: the substitutions and the gap that turn one into the other.

    Alleles of one length are compared base by base. In others, shared bases in front are matched
    first, as VCF pads alleles there, then those at the end; the rest is matched from its left, and
    what one of them has more is the gap.
    """
    front, back = (0, 0) if len(ref) == len(alt) else _count_shared(ref, alt)
    old, new = ref[front : len(ref) - back], alt[front : len(alt) - back]
    paired = min(len(old), len(new))
    substitutions = tuple((front + i, new[i]) for i in range(paired) if old[i] != new[i])
    if len(old) == len(new):
        return Edit(substitutions, None)
    return Edit(substitutions, Gap(front + paired, len(old) - paired, new[paired:]))


def edits_of(genotypes: Genotypes) -> dict[tuple[int, int], Edit]:
    """The edit of each allele that can be applied, by (record, number of the allele)."""
    return {
        (v, k): edit_of(alleles[0], alleles[k])
        for v, alleles in enumerate(genotypes.alleles)
        for k in range(1, len(alleles))
        if is_resolved(alleles[k]) or (v, k) in genotypes.ambiguous
    }
