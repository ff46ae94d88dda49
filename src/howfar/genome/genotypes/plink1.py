"""Genotypes of PLINK 1 files: `.bed` (calls), `.bim` (variants) and `.fam` (people).

Such a file doesn't say which of its two alleles is the genome's: the FASTA does, record by
record. It carries no phase either, hence `unphased: dosage` unless something else is asked for.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError
from howfar.genome.genotypes.base import MISSING, RawCalls, kept_alleles
from howfar.genome.genotypes.plink_tables import (
    check_people,
    check_positions,
    files_together,
    read_rows,
)
from howfar.genome.genotypes.sites import NO_ALLELE, Sites, SiteSource
from howfar.genome.intervals import Interval
from howfar.genome.reference import Reference

_MAGIC, _VARIANT_MAJOR = b"\x6c\x1b", 1
_MAKE = "plink2 --make-bed"
_BIM = ["chrom", "id", "cm", "pos", "a1", "a2"]
_FAM = ["fid", "iid", "father", "mother", "sex", "phenotype"]
_PALINDROMES = (frozenset((b"A", b"T")), frozenset((b"C", b"G")))
_A2, _A1, _NEITHER, _UNSURE = range(4)  # which allele of the .bim is the reference's


class PlinkFile(SiteSource):
    """PLINK 1 files, read through bed-reader.

    path: the `.bed` file, or the three files' common prefix. People are named by their IID.
    """

    default_unphased = "dosage"
    ref_advice = (
        "Use the FASTA of the files' genome build and forward strand; "
        "`plink2 --ref-from-fa` reports the same."
    )
    list_samples = "the second column of the .fam file"

    def __init__(self, path: str | Path) -> None:
        bed, bim, fam = files_together(path, (".bed", ".bim", ".fam"), _MAKE)
        people = read_rows(fam, _FAM, maker=_MAKE)
        check_people(fam, people["iid"])
        table = _read_bim(bim)
        self._variants = len(table)
        _check_bed(bed, len(people), len(table))
        super().__init__(bed, people["iid"], bim, table)
        self._sides: dict[str, np.ndarray] = {}

    @cached_property
    def _bed(self) -> Any:
        from bed_reader import open_bed

        people, variants = len(self.samples), self._variants
        return open_bed(self.path, iid_count=people, sid_count=variants, num_threads=1)

    def _alleles(self, table: pd.DataFrame) -> list[tuple[bytes, ...]]:
        a1, a2 = (table[c].str.upper().str.encode("ascii", "replace") for c in ("a1", "a2"))
        return list(zip(a1, a2, strict=True))

    def _orientation(self, chrom: str, reference: Reference | None) -> np.ndarray:
        """int8 per variant of the contig: which allele is the FASTA's (`_A2` ... `_UNSURE`).

        Without a FASTA, A2 of all, as PLINK writes REF there if told it.
        """
        if reference is None:
            return np.full(len(self._sites(chrom).starts), _A2, np.int8)
        if chrom not in self._sides:
            self._sides[chrom] = orientation(self._sites(chrom), reference, chrom)
        return self._sides[chrom]

    def _fetch(
        self,
        interval: Interval,
        reference: Reference | None,
        columns: np.ndarray,
        alleles: str,
        counts: Counter[str],
    ) -> RawCalls:
        sites, sides = self._sites(interval.chrom), self._orientation(interval.chrom, reference)
        kept, names = [], []
        for v in sites.near(max(interval.start, 0), interval.end):
            pair = _orient(sites.alleles[v], sides[v], counts)
            if pair is None or sites.starts[v] + len(pair[0]) <= interval.start:
                continue
            where = f"{self.sites_path}, variant {sites.rows[v] + 1}"
            spelled = kept_alleles(pair, where, alleles, counts)
            if spelled is not None:
                kept.append(v)
                names.append(spelled)
        chosen = np.array(kept, np.int64)
        copies = self._read_calls(sites.rows[chosen], columns)
        return RawCalls(
            sites.starts[chosen].tolist(), names, _as_calls(copies, sides[chosen] == _A1)
        )

    def _read_calls(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """int8 (V, P): copies of A1, -127 where missing."""
        if not len(rows):
            return np.zeros((0, len(columns)), np.int8)
        return np.asarray(self._bed.read(index=(columns, rows), dtype="int8", order="F")).T


def _read_bim(path: Path) -> pd.DataFrame:
    """Read the variants, one row each, their place in the file being the index."""
    table = read_rows(path, _BIM, maker=_MAKE)
    table["pos"] = check_positions(path, table)
    same = np.flatnonzero(table["a1"] == table["a2"])
    if len(same):
        raise HowfarError(
            f"{path}, line {same[0] + 1}",
            found=f"the allele {table['a1'].iloc[same[0]]!r} twice",
            expected="two alleles that differ",
            do="Repair the line, or leave the variant out with `plink2 --exclude`.",
        )
    return table


def _check_bed(path: Path, people: int, variants: int) -> None:
    """Raise HowfarError unless the calls are those of so many people and variants."""
    with path.open("rb") as handle:
        head = handle.read(3)
    if head[:2] != _MAGIC or len(head) < 3 or head[2] > 1:
        raise HowfarError(
            str(path),
            found=f"a file that starts with the bytes {head.hex(' ')}",
            expected="6c 1b 01, as a PLINK 1 .bed file does (and no BED file of intervals)",
            do="Correct the path, or make the file anew with `plink2 --make-bed`.",
        )
    if head[2] != _VARIANT_MAJOR:
        raise HowfarError(
            str(path),
            found="calls person by person (third byte 00)",
            expected="calls variant by variant (third byte 01)",
            do="Run `plink1.9 --make-bed` on it, which turns them round.",
        )
    size, expected = path.stat().st_size, 3 + variants * ((people + 3) // 4)
    if size != expected:
        raise HowfarError(
            str(path),
            found=f"{size:,} bytes",
            expected=f"{expected:,}: {variants:,} variants of the .bim file, "
            f"{people:,} people of the .fam file",
            do="Put the three files of one data set side by side, or fetch them again.",
        )


def orientation(sites: Sites, reference: Reference, chrom: str) -> np.ndarray:
    """int8 (V,): which of two alleles (A1, A2) of each variant the FASTA has at its place.

    `_UNSURE` where it has both, as with ``A`` and ``AT``, and alleles elsewhere on the contig
    show that A2 is not always the reference's; where they show that it is, it is here.
    """
    sides = np.full(len(sites.starts), _NEITHER, np.int8)
    if not len(sides):
        return sides
    end = reference.length(chrom)  # a variant beyond it fits nowhere
    low = min(int(sites.starts.min()), end)
    high = max(min(int((sites.starts + sites.longest).max()), end), low)
    around = Interval(chrom, low, high)
    sequence = reference.fetch(around).tobytes()
    if reference.ambiguous(around):
        sequence = reference.spellings(around)[1]
    both = []
    for v, ((a1, a2), at) in enumerate(
        zip(sites.alleles, (sites.starts - low).tolist(), strict=True)
    ):
        one, two = sequence.startswith(a1, at), sequence.startswith(a2, at)
        if one and two:
            both.append(v)
        elif one or two:
            sides[v] = _A1 if one else _A2
    swapped = int((sides == _A1).sum())
    sides[both] = _UNSURE if swapped else _A2
    return sides


def _orient(
    alleles: tuple[bytes, ...], side: int, counts: Counter[str]
) -> tuple[bytes, bytes] | None:
    """Return (REF, ALT) of (A1, A2), or None where it can't be used; counts what was met."""
    a1, a2 = alleles
    if side == _UNSURE:
        counts["indels either allele of which may be REF, left out"] += 1
        return None
    ref, alt = (a1, a2) if side == _A1 else (a2, a1)
    if alt in NO_ALLELE or ref in NO_ALLELE:
        if side == _NEITHER:  # everybody has what the FASTA hasn't: a mismatch like others
            return (a2 if a1 in NO_ALLELE else a1), b"N"
        counts["variants of one allele, left out"] += 1
        return None
    counts["variants whose A1 is REF"] += int(side == _A1)
    counts["palindromic SNVs"] += int(frozenset(alleles) in _PALINDROMES)
    return ref, alt


def _as_calls(copies: np.ndarray, a1_is_ref: np.ndarray) -> np.ndarray:
    """int16 (V, P, 3): unphased calls from copies of A1 (V, P); A1 is ALT unless told so."""
    alt = np.where(a1_is_ref[:, None], 2 - copies, copies).astype(np.int16)
    matrix = np.zeros((*copies.shape, 3), np.int16)
    matrix[..., 0], matrix[..., 1] = alt == 2, alt >= 1
    matrix[copies < 0, :2] = MISSING
    return matrix
