"""A VCF or BCF file of genotypes, read region by region through cyvcf2."""

from __future__ import annotations

import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from cyvcf2 import VCF

from howfar.core.errors import HowfarError
from howfar.genome.genotypes.base import (
    BESIDE_CALLS,
    SEVERAL_SETS,
    SYMBOLIC,
    Genotypes,
    RawCalls,
    VariantSource,
    is_resolved,
    is_symbolic,
    kept_alleles,
)
from howfar.genome.genotypes.bgzf import indexed
from howfar.genome.genotypes.regions import RegionCheck
from howfar.genome.intervals import Interval
from howfar.genome.reference import NoSuchContig, Reference, match_contig

_BASES = frozenset((b"A", b"C", b"G", b"T"))
_REACH = 1 << 14  # bp to the left in which records that END makes too short are looked for


class VariantFile(VariantSource):
    """A VCF or BCF file, read region by region through cyvcf2.

    `indexed` says what happens without an index. A file without the FORMAT field GT gives dosages
    alone: DS, else the sum of HDS, else what GP makes one expect (the latter two of records of one
    ALT). Not safe to share between threads.

    Examples
    --------
    >>> import howfar as hf
    >>> from howfar.simulate.example import FOLDER
    >>> len(hf.VariantFile(FOLDER / "variants.vcf.gz").samples)
    20
    """

    flip_advice = (
        "Turn them round and leave out what can't be: `bcftools +fixref FILE -Oz -o NEW.vcf.gz -- "
        "-f FASTA -m flip -d`."
    )

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._opened = indexed(self.path)
        self._text = RegionCheck(self.path, self._opened)
        self._all = self._open(None)
        header = _read_header(self._all, self.path)
        # What the header names may lack records, or have them under another name.
        self._header = header.contigs
        super().__init__(self.path, header.people, self._text.index.with_records(header.contigs))
        self.counts["indexes of genotypes made anew"] += self._opened != self.path
        self._some: tuple[tuple[int, ...], VCF, np.ndarray] | None = None
        self._names: dict[str, str] = {}
        fields = header.fields
        self._has_calls = "GT" in fields or not fields  # a bare header leaves out what htslib knows
        self._has_sets = self._has_calls and "PS" in fields
        self._reach = _REACH if header.may_end else 0
        self._provisional = header.provisional
        self._stating = [name for name in _STATING if name in fields]
        if not self.samples or not (self._has_calls or self._stating):
            raise _no_genotypes(self.path, len(self.samples), fields)
        if not self._contigs:
            raise _no_records(self.path)

    def close(self) -> None:
        """Close the file."""
        self._text.close()
        self._all.close()
        if self._some is not None:
            self._some[1].close()  # twice does no harm

    def read(self, interval: Interval, reference: Reference, **options: Any) -> Genotypes:
        """As `VariantSource.read`; HowfarError for a file of dosages alone."""
        if not self._has_calls:
            raise HowfarError(
                str(self.path),
                found=f"dosages (FORMAT field {self._stating[0]}) and no calls (GT)",
                expected="calls, as haplotypes are asked for",
                do="Use the file with phased calls; this one serves baselines and eQTL mapping."
                + (_FROM_HDS if "HDS" in self._stating else ""),
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
            ]
            first = min([position, *starts])
            if first == position:
                break
            position = first
        return position

    def ids(self, interval: Interval) -> dict[str, int]:
        """As `VariantSource.ids`; several ids of a record stand with semicolons between."""
        name = self._contig(interval.chrom)
        records = self._query(self._all, name, interval.start, interval.end)
        return {each: r.POS for r in records if r.ID for each in r.ID.split(";")}

    @property
    def record_count(self) -> int:
        """As `VariantSource.record_count`, from the index."""
        try:
            return int(self._all.num_records)
        except ValueError:
            return 0

    def check_records(self) -> Iterator[int]:
        """As `VariantSource.check_records`, in the order of the file."""
        counts: Counter[str] = Counter()
        with closing(self._open(None)) as handle:
            for number, record in enumerate(self._parsed(handle, "the start", 0), start=1):
                anywhere = Interval(record.CHROM, 0, record.end)
                names = _alleles_of(record, self.path, anywhere, "all", counts)
                row = self._row(record, len(self.samples), names, counts) if names else None
                if names and row is not None and self._has_calls:
                    self._check_alleles(row[:, :2], names, f"{record.CHROM}:{record.POS}")
                yield number

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

    def _query(
        self, handle: VCF, name: str, start: int, end: int, counts: Counter[str] | None = None
    ) -> Iterator[Any]:
        """Yield htslib's records whose REF overlaps 0-based [start, end), their text checked.

        For htslib a record ends where INFO/END says, which may be before the end of its REF: so
        more is asked of it. It may also be after: what then reaches into the region has symbolic
        alleles, which are counted as they are where the record starts inside.
        """
        start = max(start, 0)
        if end <= start:
            return
        first = max(start - self._reach, 0)
        self._text.check(self._header, name, first, end)
        for record in self._parsed(handle(f"{name}:{first + 1}-{end}"), name, first + 1):
            ref, alts = _spelled(record, self.path)
            if record.start >= start or record.start + len(ref) > start:
                yield record
            elif counts is not None and record.end > start:
                counts[SYMBOLIC] += sum(map(is_symbolic, alts))

    def _parsed(self, records: Iterable[Any], name: str, last: int) -> Iterator[Any]:
        """Yield htslib's records; HowfarError for one it can't read, by the place before it."""
        records = iter(records)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # cyvcf2 warns of a contig without records
                record = next(records, None)
            while record is not None:
                name, last = record.CHROM, record.POS
                yield record
                record = next(records, None)
        except HowfarError:
            raise
        except Exception as error:  # cyvcf2 raises a bare Exception for a line it can't read
            raise HowfarError(
                f"{self.path}, the record after {name}:{last}",
                found=f"a line that htslib can't read ({error})",
                expected="a VCF record with one call per person",
                do=f"Look at it with `bcftools view -H -r {name}:{last}- {self.path.name}`.",
            ) from error

    def _handle(self, columns: np.ndarray) -> tuple[VCF, np.ndarray]:
        """A reader and the places of `columns` in what it returns; few people have their own.

        htslib takes a '^', a ',' or a lone '-' in a name for its list syntax: where it returns
        others than were asked for, everybody is read.
        """
        if len(columns) * 2 > len(self.samples):
            return self._all, columns
        ordered = tuple(sorted(int(c) for c in columns))
        if self._some is None or self._some[0] != ordered:
            names = [self.samples[c] for c in ordered]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that not all were found
                reader = self._open(names)
            self._some = (ordered, reader, np.arange(len(ordered)))
            if reader.samples != names:
                reader.close()
                self._some = (ordered, self._all, np.array(ordered))
        _, reader, places = self._some
        return reader, places[np.searchsorted(ordered, columns)]

    def _contig(self, chrom: str) -> str:
        if chrom not in self._names:
            self._names[chrom] = self._matched_contig(chrom)
        return self._names[chrom]

    def _matched_contig(self, chrom: str) -> str:
        name = match_contig(chrom, self._contigs, str(self.path), "no record of it, only of")
        others = [contig for contig in self._contigs if contig != name]
        with suppress(NoSuchContig):
            raise HowfarError(
                f"{self.path}, contig {chrom!r}",
                found=f"records under two names, {name} and {match_contig(chrom, others, '')}",
                expected="one name for a contig",
                do="Give its records one name with `bcftools annotate --rename-chrs`, and sort.",
            )
        return name

    def _fetch(
        self,
        interval: Interval,
        reference: Reference | None,
        columns: np.ndarray,
        alleles: str,
        counts: Counter[str],
    ) -> RawCalls:
        handle, places = self._handle(columns)
        everybody = np.array_equal(places, np.arange(len(handle.samples)))
        start, end = max(interval.start, 0), max(interval.end, 0)
        read = RawCalls([], [], np.zeros((0, len(columns), 3), np.int16), [])
        rows, sets = [], []
        name = self._contig(interval.chrom)
        for record in self._query(handle, name, start, end, counts):
            names = _alleles_of(record, self.path, interval, alleles, counts)
            row = None if names is None else self._row(record, len(handle.samples), names, counts)
            if names is None or row is None:
                continue
            self._count_marks(record, counts)
            read.starts.append(record.start)
            read.alleles.append(names)
            rows.append(row if everybody else row[places])
            if self._has_sets:
                sets.append(_phase_sets(record, len(handle.samples))[places])
        if sets:
            counts[SEVERAL_SETS] += _count_several_sets(sets, rows)
        if not self._has_calls:
            shape = (len(rows), len(columns), 3)
            return replace(read, matrix=np.zeros(shape, np.int16), stated=rows)
        return replace(read, matrix=np.stack(rows) if rows else read.matrix, stated=None)

    def _row(
        self, record: Any, people: int, names: tuple[bytes, ...], counts: Counter[str]
    ) -> np.ndarray | None:
        """Calls (P, 3) of a record, or its dosages (P, ALTs) where the file has no calls."""
        if self._has_calls:
            return self._calls_of(record, counts)
        return self._stated(record, people, len(names) - 1)

    def _count_marks(self, record: Any, counts: Counter[str]) -> None:
        """Count what a record that is used says against itself, or that isn't used of it."""
        if self._provisional and record.INFO.get("PR"):
            counts["records whose REF is provisional (INFO field PR)"] += 1
        if record.FILTER is not None:  # neither PASS nor '.'
            counts["records that do not pass FILTER, used"] += 1
        if record.end < record.start + len(record.REF):
            counts["records whose INFO/END lies before the end of REF, which is used"] += 1
        if self._stating and self._has_calls and not set(self._stating).isdisjoint(record.FORMAT):
            counts[BESIDE_CALLS] += 1

    def _calls_of(self, record: Any, counts: Counter[str]) -> np.ndarray | None:
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

    def _stated(self, record: Any, people: int, alts: int) -> np.ndarray:
        """float32 (P, alts): the dosages of a record of so many people, NaN where missing."""
        for name in self._stating:
            try:
                values = record.format(name)
            except (KeyError, ValueError):
                values = None
            if values is not None:
                return self._copies(record, name, values, alts)
        return np.full((people, alts), np.nan, np.float32)

    def _copies(self, record: Any, name: str, values: np.ndarray, alts: int) -> np.ndarray:
        """float32 (P, alts): copies of the ALTs by the FORMAT field `name`, its `values` (P, n)."""
        if values.dtype.kind not in "fiu":
            raise HowfarError(
                f"{self.path}, header, FORMAT field {name}",
                found="a field of text",
                expected=f"numbers: Number={_STATING[name].number}, Type=Float",
                do=f"Correct the line ##FORMAT=<ID={name},...> with `bcftools reheader`.",
            )
        field = _STATING[name]
        copies = field.copies(values) if name == "DS" or alts == 1 else values[:, :0]
        if copies.shape[1] != alts or ((values < 0) | (values > field.top)).any():
            raise HowfarError(
                f"{self.path}, record {record.CHROM}:{record.POS}, field {name}",
                found=f"{values.shape[1]} value(s) a person from {np.nanmin(values):.4g} to "
                f"{np.nanmax(values):.4g}, for {alts} ALT",
                expected=f"{field.expected}, from 0 to {field.top}",
                do="Repair the record, or use the file with calls.",
            )
        return copies


def _no_genotypes(path: Path, people: int, fields: set[str]) -> HowfarError:
    others = ", ".join(sorted(fields)[:6])
    return HowfarError(
        str(path),
        found="no genotypes: "
        + (f"{people} people, FORMAT fields {others}" if people else "no sample column"),
        expected="a VCF or BCF file whose header names calls (GT) or dosages (DS, HDS or GP)",
        do="Export the file again with GT or DS."
        if people
        else "Use the file with genotypes, not the sites-only one.",
    )


def _sum_haplotypes(values: np.ndarray) -> np.ndarray:
    """float32 (P, 1): copies by the dosages of one or two haplotypes, (P, 1 or 2).

    One haplotype counts twice, as haploid calls do.
    """
    if values.shape[1] > 2:
        return values[:, :0]
    second = values[:, -1:] if values.shape[1] == 2 else values
    alone = np.isnan(second) & ~np.isnan(values[:, :1])
    return np.where(alone, 2 * values[:, :1], values[:, :1] + second).astype(np.float32)


def _expect_copies(values: np.ndarray) -> np.ndarray:
    """float32 (P, 1): copies to expect by the probabilities of 0, 1 and 2, or of 0 and 1, copies.

    (P, 2 or 3); those of a person have a sum of 1 but for rounding, else the copies are missing.
    """
    if values.shape[1] not in (2, 3):
        return values[:, :0]
    haploid = np.isnan(values[:, 2]) if values.shape[1] == 3 else np.ones(len(values), bool)
    total = np.nansum(values, axis=1)
    last = np.zeros(len(values)) if values.shape[1] == 2 else np.nan_to_num(values[:, 2])
    copies = np.where(haploid, 2 * values[:, 1], values[:, 1] + 2 * last) / np.maximum(total, 0.5)
    return np.where(np.abs(total - 1) < 0.05, copies, np.nan).astype(np.float32)[:, None]


@dataclass(frozen=True)
class _DosageField:
    """A FORMAT field that states dosages.

    number: of values, as the header has it. top: the largest value. copies: makes (P, ALTs) of the
    values (P, n), or no column where their number can't be right. expected: for messages.
    """

    number: str
    top: int
    copies: Callable[[np.ndarray], np.ndarray]
    expected: str


# The best first, as a file may have several.
_STATING = {
    "DS": _DosageField("A", 2, np.asarray, "one value per ALT"),
    "HDS": _DosageField("2", 1, _sum_haplotypes, "one ALT and one or two values"),
    "GP": _DosageField(
        "G", 1, _expect_copies, "one ALT and the probabilities of its copies, two or three"
    ),
}
_FROM_HDS = (
    " `plink2 --vcf FILE dosage=HDS --hard-call-threshold 0.499 --export vcf bgz` writes phased "
    "calls from HDS."
)


def _phase_sets(record: Any, people: int) -> np.ndarray:
    """int64 (P,): the field PS of a record of so many people, 0 where it states none."""
    try:
        sets = record.format("PS")
    except (KeyError, ValueError):
        sets = None
    if sets is None:
        return np.zeros(people, np.int64)
    if sets.dtype.kind not in "iu":  # text, as some headers have it: a number for each word
        words = ("" if str(word) == "." else str(word) for word in sets.ravel()[:people])
        return np.array([zlib.crc32(word.encode()) for word in words], np.int64)
    numbers: np.ndarray = sets[:, 0].astype(np.int64)
    return numbers.clip(min=0)  # a missing number is negative


def _count_several_sets(sets: list[np.ndarray], rows: list[np.ndarray]) -> int:
    """Count the people who have phased heterozygotes in more than one phase set.

    sets: of each record, (P,). rows: its calls, (P, 3) as in `RawCalls`.
    """
    number, calls = np.stack(sets), np.stack(rows)
    used = (calls[..., 2] == 1) & (calls[..., 0] != calls[..., 1]) & (number > 0)
    low = np.where(used, number, np.iinfo(np.int64).max).min(axis=0)
    return int((np.where(used, number, 0).max(axis=0) > low).sum())


@dataclass(frozen=True)
class _Header:
    """What a file's header names. fields: ids of FORMAT. provisional: it has PLINK's INFO PR.

    may_end: records may have INFO/END: it is named, or no field of INFO is.
    """

    people: list[str]
    contigs: list[str]
    fields: set[str]
    provisional: bool
    may_end: bool


def _read_header(handle: VCF, path: Path) -> _Header:
    try:
        kinds = ("FORMAT", "INFO")
        types = {(h.type, h["ID"]): h["Type"] for h in handle.header_iter() if h.type in kinds}
        fields, infos = ({name for kind, name in types if kind == k} for k in kinds)
        _check_type(path, types.get(("FORMAT", "GT"), "String"))
        may_end = "END" in infos or not infos
        people, contigs = list(handle.samples), list(handle.seqnames)
        return _Header(people, contigs, fields, "PR" in infos, may_end)
    except UnicodeDecodeError as error:
        raise HowfarError(
            f"{path}, header",
            found="bytes that are no UTF-8 text",
            expected="names of people and contigs in UTF-8",
            do="Write the header anew with `bcftools reheader`.",
        ) from error


def _check_type(path: Path, kind: str) -> None:
    """Raise HowfarError for calls that the header declares as numbers, which htslib can't read."""
    if kind != "String":
        raise HowfarError(
            f"{path}, header, FORMAT field GT",
            found=f"Type={kind}",
            expected="Type=String",
            do="Correct the line ##FORMAT=<ID=GT,...> with `bcftools reheader`.",
        )


def _no_records(path: Path) -> HowfarError:
    return HowfarError(
        str(path),
        found="a header and no record",
        expected="records of people's genotypes",
        do="Fetch or make the file again; it may have been cut behind its header.",
    )


def _alleles_of(
    record: Any, path: Path, interval: Interval, wanted: str, counts: Counter[str]
) -> tuple[bytes, ...] | None:
    """Return the alleles of a record of `path`, or None where it is left out; counts why."""
    ref, alts = _spelled(record, path)
    if record.start + len(ref) <= interval.start or not alts:
        return None
    names = (ref, *alts)
    if len(ref) == 1 and len(names) == 2 and names[1] in _BASES:  # nearly every record
        return names
    return kept_alleles(names, f"{path}, record {record.CHROM}:{record.POS}", wanted, counts)


def _spelled(record: Any, path: Path) -> tuple[bytes, list[bytes]]:
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
