"""Genotype files whose variants stand in a table of their own, as PLINK's do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError
from howfar.genome.genotypes.base import VariantSource, kept_alleles
from howfar.genome.intervals import Interval
from howfar.genome.reference import match_contig

NO_ALLELE = (b"0", b".")
_AT_ONCE = 1000  # variants whose calls a full check holds at a time
_NUMBERED = {"X": "23", "Y": "24", "M": "26", "MT": "26"}  # PLINK's numbers of human contigs
_SHARED = ("XY", "PAR1", "PAR2")  # where PLINK puts the pseudoautosomal regions of X
_SHARED_NUMBER = "25"


class Sites:
    """The variants of one contig, by position.

    rows: their places in the file. starts: 0-based, ascending, (V,). alleles: per variant, as the
    file has them. longest: bp of the longest of them, (V,), the most that a variant may span.
    """

    def __init__(
        self, rows: np.ndarray, starts: np.ndarray, alleles: list[tuple[bytes, ...]]
    ) -> None:
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

    sites_path: that file. table: its variants, with columns chrom, pos (1-based), id (if any) and
    those of the alleles, which `_alleles` of a kind of file reads; the index is the place in the
    file. Those without a place on the genome (contig 0 or a position below 1) are left out, as in
    PLINK. Variants of the pseudoautosomal regions, which it keeps apart as XY, PAR1 and PAR2, are
    X's.
    """

    sort_advice = "Run `plink2 --sort-vars --make-pgen`, and make the files anew from that."

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
                do=self.sort_advice,
            )

    def _wanted(
        self, interval: Interval, alleles: str, counts: Counter[str]
    ) -> tuple[Sites, np.ndarray, list[tuple[bytes, ...]]]:
        """(the contig's sites; indices and alleles of those of `interval` that are kept)."""
        sites = self._sites(interval.chrom)
        kept, names = [], []
        for v in sites.near(max(interval.start, 0), interval.end):
            spelled = sites.alleles[v]
            if spelled[1:] == (b".",) or sites.starts[v] + len(spelled[0]) <= interval.start:
                continue
            where = f"{self.sites_path}, variant {sites.rows[v] + 1}"
            if kept_alleles(spelled, where, alleles, counts) is not None:
                kept.append(v)
                names.append(spelled)
        return sites, np.array(kept, np.int64), names

    def ids(self, interval: Interval) -> dict[str, int]:
        """As `VariantSource.ids`; none where the table has no ids."""
        sites = self._sites(interval.chrom)
        table = self._table.loc[sites.rows[sites.near(interval.start, interval.end)]]
        return dict(zip(table["id"], table["pos"], strict=True)) if "id" in table else {}

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
                named = (a for a in alleles if a not in NO_ALLELE)
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
