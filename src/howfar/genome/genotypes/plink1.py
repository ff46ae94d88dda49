"""Genotypes of PLINK 1 files: `.bed` (calls), `.bim` (variants) and `.fam` (people).

Such a file doesn't say which of its two alleles is the genome's: the FASTA does, record by
record. It carries no phase either, hence `unphased: dosage` unless something else is asked for.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError
from howfar.genome.genotypes.base import MISSING, RawCalls, VariantSource, kept_alleles
from howfar.genome.intervals import Interval
from howfar.genome.reference import Reference, match_contig

_MAGIC, _VARIANT_MAJOR = b"\x6c\x1b", 1
_NO_ALLELE = (b"0", b".")
_NUMBERED = {"X": "23", "Y": "24", "M": "26", "MT": "26"}  # PLINK's numbers of human contigs
_SHARED = ("XY", "PAR1", "PAR2")  # where PLINK puts the pseudoautosomal regions of X
_SHARED_NUMBER = "25"
_AT_ONCE = 1000  # variants whose calls a full check holds at a time
_PALINDROMES = (frozenset((b"A", b"T")), frozenset((b"C", b"G")))
_A2, _A1, _NEITHER, _UNSURE = range(4)  # which allele of the .bim is the reference's


class Sites:
    """The variants of one contig, by position.

    rows: their places in the file. starts: 0-based, ascending, (V,). alleles: per variant, as the
    file has them. longest: bp of the longest of them, (V,), the most that a variant may span.
    """

    def __init__(self, rows: np.ndarray, starts: np.ndarray, alleles: list[tuple[bytes, ...]]):
        self.rows, self.starts, self.alleles = rows, starts, alleles
        self.longest = np.array([max(map(len, a)) for a in alleles], np.int64)
        self._ends = starts + self.longest
        self._reach = np.maximum.accumulate(self._ends)

    def near(self, start: int, end: int) -> np.ndarray:
        """Indices of the variants that may overlap 0-based half-open [start, end)."""
        if end <= start:
            return np.zeros(0, np.int64)
        low = int(np.searchsorted(self._reach, start, side="right"))
        high = int(np.searchsorted(self.starts, end, side="left"))
        return np.arange(low, max(low, high))[self._ends[low:high] > start]

    def cluster_start(self, position: int) -> int:
        """As `VariantSource.cluster_start`, a variant being taken as long as its longest allele."""
        while position > 0:
            over = self.near(position, position + 1)
            first = min(position, int(self.starts[over].min(initial=position)))
            if first == position:
                break
            position = first
        return position


class SiteSource(VariantSource):
    """A source whose variants stand in a table of their own, all of it in memory.

    sites_path: that file. table: its variants, with columns chrom, pos (1-based) and those of the
    alleles, which `_alleles` of a kind of file reads; the index is the place in the file. Those
    without a place on the genome (contig 0 or a position below 1) are left out, as in PLINK.
    Variants of the pseudoautosomal regions, which PLINK keeps apart as XY, PAR1 and PAR2, are X's.
    """

    def __init__(self, path: Path, people: Sequence[str], sites_path: Path, table: pd.DataFrame):
        self.sites_path = sites_path
        self._table = table[(table["pos"] > 0) & (table["chrom"] != "0")]
        self._by_contig: dict[str, Sites] = {}
        super().__init__(path, people, self._table["chrom"].unique())

    def _alleles(self, table: pd.DataFrame) -> list[tuple[bytes, ...]]:
        """Alleles of the variants of a part of the table, upper case."""
        raise NotImplementedError

    def _sites(self, chrom: str) -> Sites:
        if chrom not in self._by_contig:
            self._by_contig[chrom] = self._load(self._parts(chrom))
        return self._by_contig[chrom]

    def _load(self, names: list[str]) -> Sites:
        parts = [self._table[self._table["chrom"] == name] for name in names]
        for part in parts:
            self._check_sorted(part)
        table = pd.concat(parts).sort_values("pos", kind="stable") if parts[1:] else parts[0]
        starts = table["pos"].to_numpy(np.int64) - 1
        return Sites(table.index.to_numpy(), starts, self._alleles(table))

    def _check_sorted(self, table: pd.DataFrame) -> None:
        starts = table["pos"].to_numpy(np.int64)
        back = np.flatnonzero(np.diff(starts) < 0)
        if len(back):
            raise HowfarError(
                f"{self.sites_path}, variant {table.index[back[0] + 1] + 1}",
                found=f"position {starts[back[0] + 1]} after {starts[back[0]]}",
                expected="variants sorted by contig and position",
                do="Run `plink2 --sort-vars --make-pgen`, and make the files anew from that.",
            )

    @property
    def record_count(self) -> int:
        """As `VariantSource.record_count`: the variants that have a place on the genome."""
        return len(self._table)

    def check_records(self) -> Iterator[int]:
        """As `VariantSource.check_records`, contig by contig."""
        columns, number = np.arange(len(self.samples)), 0
        for name, table in self._table.groupby("chrom", sort=False):
            sites = self._load([str(name)])
            for row, alleles in zip(sites.rows, sites.alleles, strict=True):
                where = f"{self.sites_path}, variant {row + 1}"
                named = (a for a in alleles if a not in _NO_ALLELE)
                kept_alleles((b"N", *named), where, "all", Counter())
            for first in range(0, len(table), _AT_ONCE):
                rows = sites.rows[first : first + _AT_ONCE]
                self._read_calls(rows, columns)
                yield from range(number + 1, number + 1 + len(rows))
                number += len(rows)

    def _read_calls(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Read the calls of people `columns` at variants `rows`, both places in the file."""
        raise NotImplementedError

    def cluster_start(self, chrom: str, position: int) -> int:
        """As `VariantSource.cluster_start`; it may lie farther left, which does no harm."""
        return self._sites(chrom).cluster_start(position)

    def _contig(self, chrom: str) -> str:
        bare = _bare(chrom)
        codes = [bare, _NUMBERED.get(bare), *((*_SHARED, _SHARED_NUMBER) if bare == "X" else ())]
        have = {_bare(c): c for c in reversed(self._contigs)}
        names = [have[code] for code in codes if code in have]
        if chrom in self._contigs or not names:
            return match_contig(chrom, self._contigs, str(self.sites_path))
        return names[0]

    def _parts(self, chrom: str) -> list[str]:
        """The file's names of contig `chrom`: its own, and for X those of its shared regions."""
        name = self._contig(chrom)
        if _bare(chrom) != "X":
            return [name]
        numbered = _bare(name) in (_NUMBERED["X"], _SHARED_NUMBER)  # else 25 may be an autosome
        shared = (*_SHARED, _SHARED_NUMBER) if numbered else _SHARED
        return [name, *(c for c in self._contigs if c != name and _bare(c) in shared)]


def _bare(chrom: str) -> str:
    return chrom[3:] if chrom.lower().startswith("chr") else chrom


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
        bed, bim, fam = plink_files(path)
        people = _read_columns(fam, ["fid", "iid", "father", "mother", "sex", "phenotype"])
        check_people(fam, people["iid"])
        table = _read_bim(bim)
        self._variants = len(table)
        _check_bed(bed, len(people), len(table))
        super().__init__(bed, people["iid"], bim, table)
        self._sides: dict[str, np.ndarray] = {}

    @cached_property
    def _bed(self):
        from bed_reader import open_bed

        return open_bed(
            self.path,
            iid_count=len(self.samples),
            sid_count=self._variants,
            num_threads=1,
        )

    def _alleles(self, table: pd.DataFrame) -> list[tuple[bytes, ...]]:
        a1, a2 = (table[c].str.upper().str.encode("ascii", "replace") for c in ("a1", "a2"))
        return list(zip(a1, a2, strict=True))

    def _orientation(self, chrom: str, reference: Reference) -> np.ndarray:
        """int8 per variant of the contig: which allele is the FASTA's (`_A2` ... `_UNSURE`)."""
        if chrom not in self._sides:
            self._sides[chrom] = orientation(self._sites(chrom), reference, chrom)
        return self._sides[chrom]

    def _fetch(
        self,
        interval: Interval,
        reference: Reference,
        columns: np.ndarray,
        alleles: str,
        counts: Counter[str],
    ) -> RawCalls:
        sites, sides = self._sites(interval.chrom), self._orientation(interval.chrom, reference)
        kept, names = [], []
        for v in sites.near(max(interval.start, 0), interval.end):
            oriented = _oriented(sites.alleles[v], sides[v], counts)
            if oriented is None or sites.starts[v] + len(oriented[0]) <= interval.start:
                continue
            where = f"{self.sites_path}, variant {sites.rows[v] + 1}"
            oriented = kept_alleles(oriented, where, alleles, counts)
            if oriented is not None:
                kept.append(v)
                names.append(oriented)
        chosen = np.array(kept, np.int64)
        copies = self._read_calls(sites.rows[chosen], columns)
        return RawCalls(sites.starts[chosen], names, _as_calls(copies, sides[chosen] == _A1))

    def _read_calls(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """int8 (V, P): copies of A1, -127 where missing."""
        if not len(rows):
            return np.zeros((0, len(columns)), np.int8)
        return self._bed.read(index=(columns, rows), dtype="int8", order="F").T


def plink_files(path: str | Path) -> tuple[Path, Path, Path]:
    """The `.bed`, `.bim` and `.fam` file of a `.bed` path or a prefix; HowfarError if missing."""
    return together(path, (".bed", ".bim", ".fam"), "plink2 --make-bed")


def together(path: str | Path, ends: tuple[str, ...], maker: str) -> tuple[Path, ...]:
    """Files that differ in their ending alone, all there; `path` is the first, or their prefix."""
    text = str(path)
    prefix = text[: -len(ends[0])] if text.endswith(ends[0]) else text
    files = tuple(Path(prefix + end) for end in ends)
    missing = [f for f in files if not f.is_file()]
    if missing:
        raise HowfarError(
            str(missing[0]),
            found="no such file",
            expected=f"the files {', '.join(ends)} side by side, with one name",
            do=f"Correct the path of the variants, or make the files with `{maker}`.",
        )
    return files


def check_people(path: Path, names: pd.Series) -> None:
    """Raise HowfarError for a list of people that is empty or has a name twice."""
    repeated = len(names) - names.nunique()
    if repeated or not len(names):
        raise HowfarError(
            str(path),
            found=f"{len(names)} people, {repeated} of whose IIDs stand there before",
            expected="at least one person, and IIDs that differ",
            do="Give each person an IID of their own with `plink2 --update-ids`.",
        )


def check_positions(path: Path, table: pd.DataFrame, skipped: int = 0) -> pd.Series:
    """The column `pos` as whole numbers; HowfarError naming the line of one that is none."""
    numbers = pd.to_numeric(table["pos"], errors="coerce")
    bad = np.flatnonzero(numbers.isna() | (numbers % 1 != 0))
    if len(bad):
        raise HowfarError(
            f"{path}, line {bad[0] + 1 + skipped}",
            found=f"{table['pos'].iloc[bad[0]]!r} as position",
            expected="a whole number, 1-based",
            do="Repair the line; a header that the format doesn't have may stand there.",
        )
    return numbers.astype(np.int64)


def _read_bim(path: Path) -> pd.DataFrame:
    """The variants, one row each, their place in the file being the index."""
    table = _read_columns(path, ["chrom", "id", "cm", "pos", "a1", "a2"])
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


def _read_columns(path: Path, names: list[str]) -> pd.DataFrame:
    """A table of text without header whose lines have just these columns."""
    expected = f"{len(names)} columns a line: {', '.join(names)}"
    do = "Make the files anew with `plink2 --make-bed`."
    try:
        table = pd.read_csv(
            path, sep=r"\s+", header=None, dtype=str, na_filter=False, names=range(len(names) + 1),
            index_col=False, engine="c", quoting=csv.QUOTE_NONE,
        )  # fmt: skip
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        found = f"a table that can't be read ({error})"
        raise HowfarError(str(path), found=found, expected=expected, do=do) from error
    few = (table[len(names) - 1].isna() | (table[len(names) - 1] == "")).to_numpy()
    many = ~(table[len(names)].isna() | (table[len(names)] == "")).to_numpy()
    bad = np.flatnonzero(few | many)
    if len(bad):
        found = "fewer columns" if few[bad[0]] else "more columns"
        where = f"{path}, line {bad[0] + 1}"
        raise HowfarError(where, found=found, expected=expected, do=do)
    return table.iloc[:, : len(names)].set_axis(names, axis=1)


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
    sequence = reference.fetch(Interval(chrom, low, high)).tobytes()
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


def _oriented(
    alleles: tuple[bytes, bytes], side: int, counts: Counter[str]
) -> tuple[bytes, bytes] | None:
    """(REF, ALT), or None where the variant can't be used; counts what was met."""
    a1, a2 = alleles
    if side == _UNSURE:
        counts["indels either allele of which may be REF, left out"] += 1
        return None
    ref, alt = (a1, a2) if side == _A1 else (a2, a1)
    if alt in _NO_ALLELE or ref in _NO_ALLELE:
        if side == _NEITHER:  # everybody has what the FASTA hasn't: a mismatch like others
            return (a2 if a1 in _NO_ALLELE else a1), b"N"
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
