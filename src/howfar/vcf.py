"""A VCF or BCF file of genotypes, read region by region through cyvcf2."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from cyvcf2 import VCF

from .bgzf import indexed
from .errors import HowfarError
from .intervals import Interval
from .reference import Reference
from .variants import (
    SEVERAL_SETS,
    Genotypes,
    RawCalls,
    VariantSource,
    is_resolved,
    kept_alleles,
)

_BASES = frozenset((b"A", b"C", b"G", b"T"))


class VariantFile(VariantSource):
    """A VCF or BCF file, read region by region through cyvcf2.

    `indexed` says what happens without an index. A file with the FORMAT field DS and no GT gives
    dosages alone. Not safe to share between threads.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._opened = indexed(self.path)
        self._all = self._open(None)
        people, contigs, fields = _header(self._all, self.path)
        super().__init__(self.path, people, contigs)
        self.counts["indexes of genotypes made anew"] += self._opened != self.path
        self._some: tuple[tuple[int, ...], VCF] | None = None
        self._has_calls, self._has_sets = "GT" in fields, "PS" in fields
        if not self.samples or not fields & {"GT", "DS"}:
            raise HowfarError(
                str(self.path),
                found="no genotypes (no sample column, or no FORMAT field GT or DS)",
                expected="a VCF or BCF file with a call per person",
                do="Use the file with genotypes, not the sites-only one.",
            )

    def close(self) -> None:
        """Close the file."""
        self._all.close()
        if self._some is not None:
            self._some[1].close()

    def read(self, interval: Interval, reference: Reference, **options) -> Genotypes:
        """As `VariantSource.read`; HowfarError for a file of dosages alone."""
        if not self._has_calls:
            raise HowfarError(
                str(self.path),
                found="dosages (FORMAT field DS) and no calls (GT)",
                expected="calls, as haplotypes are asked for",
                do="Use the file with phased calls; this one serves baselines and eQTL mapping.",
            )
        return super().read(interval, reference, **options)

    def cluster_start(self, chrom: str, position: int) -> int:
        """As `VariantSource.cluster_start`."""
        name = self._contig(chrom)
        while position > 0:
            starts = [
                record.start
                for record in self._query(self._all, name, position, position + 1)
                if any(is_resolved(a) for a in _spelled(record, self.path)[1])
                and record.start + len(record.REF) > position
            ]
            first = min([position, *starts])
            if first == position:
                break
            position = first
        return position

    def _open(self, samples: list[str] | None) -> VCF:
        try:
            return VCF(str(self._opened), samples=samples)
        except Exception as error:  # cyvcf2 raises bare Exception and OSError alike
            raise HowfarError(
                str(self.path),
                found=f"a file that htslib can't open ({error})",
                expected="a bgzipped VCF or a BCF file with sample names that differ",
                do="Check it with `bcftools view -h`.",
            ) from error

    def _query(self, handle: VCF, name: str, start: int, end: int):
        if end <= max(start, 0):
            return
        records = iter(handle(f"{name}:{max(start, 0) + 1}-{end}"))
        last = start
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # cyvcf2 warns of a contig without records
                record = next(records, None)
            while record is not None:
                last = record.start
                yield record
                record = next(records, None)
        except HowfarError:
            raise
        except Exception as error:  # cyvcf2 raises a bare Exception for a line it can't read
            raise HowfarError(
                f"{self.path}, the record after {name}:{last + 1}",
                found=f"a line that htslib can't read ({error})",
                expected="a VCF record with one call per person",
                do=f"Look at it with `bcftools view -H -r {name}:{last + 1}- {self.path.name}`.",
            ) from error

    def _handle(self, columns: np.ndarray) -> tuple[VCF, np.ndarray]:
        """A reader and the places of `columns` in what it returns; few people have their own."""
        if len(columns) * 2 > len(self.samples):
            return self._all, columns
        ordered = tuple(sorted(int(c) for c in columns))
        if self._some is None or self._some[0] != ordered:
            self._some = (ordered, self._open([self.samples[c] for c in ordered]))
        return self._some[1], np.searchsorted(ordered, columns)

    def _fetch(
        self,
        interval: Interval,
        reference: Reference,
        columns: np.ndarray,
        alleles: str,
        counts: Counter[str],
    ) -> RawCalls:
        handle, places = self._handle(columns)
        people = len(handle.samples)
        ordered = np.array_equal(places, np.arange(people))
        starts, kept, rows, sets = [], [], [], []
        for record in self._query(handle, self._contig(interval.chrom), *_bounds(interval)):
            names = _alleles_of(record, self.path, interval, alleles, counts)
            if names is None:
                continue
            row = (self._calls_of(record, counts) if self._has_calls
                   else self._stated(record, people, len(names) - 1))  # fmt: skip
            if row is not None:
                starts.append(record.start)
                kept.append(names)
                rows.append(row if ordered else row[places])
                if self._has_calls and self._has_sets:
                    sets.append(_phase_sets(record, people)[places])
        if sets:
            counts[SEVERAL_SETS] += _several(sets, rows)
        if not self._has_calls:
            return RawCalls(starts, kept, np.zeros((len(rows), len(columns), 3), np.int16), rows)
        empty = np.zeros((0, len(columns), 3), np.int16)
        return RawCalls(starts, kept, np.stack(rows) if rows else empty)

    def _calls_of(self, record, counts: Counter[str]) -> np.ndarray | None:
        """int16 (P, 3): two alleles (-1 missing, -2 none) and phase; None without GT."""
        try:
            array = np.asarray(record.genotype.array())
        except Exception:  # cyvcf2 raises a bare Exception for a record without GT
            counts["records without genotypes"] += 1
            return None
        if array.shape[1] == 3:
            return array
        wide = np.full((len(array), 3), -2, np.int16)
        wide[:, 0], wide[:, 2] = array[:, 0], array[:, -1]
        if array.shape[1] > 3:
            wide[:, 1] = array[:, 1]
            if (array[:, 2:-1] != -2).any():
                raise HowfarError(
                    f"{self.path}, record {record.CHROM}:{record.POS}",
                    found=f"a call with {array.shape[1] - 1} alleles",
                    expected="one or two alleles a call",
                    do="Leave polyploid calls out of the file.",
                )
        return wide

    def _stated(self, record, people: int, alts: int) -> np.ndarray:
        """float32 (P, alts): the field DS of a record of so many people, NaN where missing."""
        try:
            found = record.format("DS")
        except (KeyError, ValueError):
            found = None
        if found is None:
            return np.full((people, alts), np.nan, np.float32)
        if found.dtype.kind not in "fiu":
            raise HowfarError(
                f"{self.path}, header, FORMAT field DS",
                found="a field of text",
                expected="numbers: Number=A, Type=Float",
                do="Correct the line ##FORMAT=<ID=DS,...> with `bcftools reheader`.",
            )
        good = found.shape[1] == alts and not ((found < 0) | (found > 2)).any()
        if not good:
            raise HowfarError(
                f"{self.path}, record {record.CHROM}:{record.POS}, field DS",
                found=f"{found.shape[1]} value(s) a person from {np.nanmin(found):.4g} to "
                f"{np.nanmax(found):.4g}",
                expected=f"{alts} value(s), one per ALT, from 0 to 2",
                do="Repair the record, or use the file with calls.",
            )
        return found


def _phase_sets(record, people: int) -> np.ndarray:
    """int64 (P,): the field PS of a record of so many people, 0 where it states none."""
    try:
        found = record.format("PS")
    except (KeyError, ValueError):
        found = None
    if found is None or found.dtype.kind not in "iu":
        return np.zeros(people, np.int64)
    return np.maximum(found[:, 0].astype(np.int64), 0)  # a missing number is negative


def _several(sets: list[np.ndarray], rows: list[np.ndarray]) -> int:
    """How many people have phased heterozygotes in more than one phase set.

    sets: of each record, (P,). rows: its calls, (P, 3) as in `RawCalls`.
    """
    number, calls = np.stack(sets), np.stack(rows)
    used = (calls[..., 2] == 1) & (calls[..., 0] != calls[..., 1]) & (number > 0)
    low = np.where(used, number, np.iinfo(np.int64).max).min(axis=0)
    return int((np.where(used, number, 0).max(axis=0) > low).sum())


def _bounds(interval: Interval) -> tuple[int, int]:
    return max(interval.start, 0), max(interval.end, 0)


def _header(handle: VCF, path: Path) -> tuple[list[str], list[str], set[str]]:
    """(people, contigs, ids of FORMAT fields) that a file's header names."""
    try:
        fields = {h["ID"] for h in handle.header_iter() if h["HeaderType"] == "FORMAT"}
        return list(handle.samples), list(handle.seqnames), fields
    except UnicodeDecodeError as error:
        raise HowfarError(
            f"{path}, header",
            found="bytes that are no UTF-8 text",
            expected="names of people and contigs in UTF-8",
            do="Write the header anew with `bcftools reheader`.",
        ) from error


def _alleles_of(
    record, path: Path, interval: Interval, wanted: str, counts: Counter[str]
) -> tuple[bytes, ...] | None:
    """The alleles of a record of `path`, or None where it is left out; counts why."""
    ref, alts = _spelled(record, path)
    if record.start + len(ref) <= interval.start or not alts:
        return None
    names = (ref, *alts)
    if len(ref) == 1 and len(names) == 2 and names[1] in _BASES:  # nearly every record
        return names
    return kept_alleles(names, f"{path}, record {record.CHROM}:{record.POS}", wanted, counts)


def _spelled(record, path: Path) -> tuple[bytes, list[bytes]]:
    """(REF, ALTs) of a record of `path`, upper case."""
    try:
        return record.REF.upper().encode(), [alt.upper().encode() for alt in record.ALT]
    except UnicodeDecodeError as error:
        raise HowfarError(
            f"{path}, record {record.CHROM}:{record.POS}",
            found="bytes in REF or ALT that are no text",
            expected="alleles spelt with A, C, G, T and N, or symbolic ones",
            do="Fetch the file again, or repair the record.",
        ) from error
