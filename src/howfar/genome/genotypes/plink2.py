"""Genotypes of PLINK 2 files: `.pgen` (calls, phased or not), `.pvar` and `.psam`.

`.bim` and `.fam` files may stand for the latter two, and both may lack their header, as in PLINK.

Read through Pgenlib, an extra of the package (`pip install 'howfar[pgen]'`). REF is the file's;
a call is phased where the file says so.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError
from howfar.genome.genotypes.base import MISSING, RawCalls
from howfar.genome.genotypes.plink_tables import (
    check_people,
    check_positions,
    files_together,
    open_table,
    pgen_ends,
    read_rows,
)
from howfar.genome.genotypes.sites import SiteSource
from howfar.genome.intervals import Interval, Variant
from howfar.genome.reference import Reference

_MAGIC = b"\x6c\x1b"
# Columns of tables without a header, which are those of .bim and .fam.
_BIM = {6: ["#CHROM", "ID", "CM", "POS", "ALT", "REF"], 5: ["#CHROM", "ID", "POS", "ALT", "REF"]}
_FAM = {6: ["#FID", "IID", "PAT", "MAT", "SEX", "PHENO1"]}
_MAKE = "plink2 --make-pgen"
_TOGETHER = f"Put the three files of one data set side by side, or make them with `{_MAKE}`."
_HEAD = struct.Struct("<2sBII")  # magic, storage mode, variants, people


class PgenFile(SiteSource):
    """PLINK 2 files. path: the `.pgen` file, or the three files' common prefix.

    The variants may be compressed (`.pvar.zst`). REF is the second allele of a .bim. Dosages are
    the file's own where it has them beside the calls.
    """

    ref_advice = (
        "Use the FASTA of the files' genome build; where REF is provisional, "
        "`plink2 --ref-from-fa force --make-pgen` sets it."
    )
    list_samples = "the IID column of the .psam file"

    def __init__(self, path: str | Path) -> None:
        pgen, pvar, psam = files_together(path, pgen_ends(path), _MAKE)
        people = _read_table(psam, ("IID",), ("#IID", "#FID"), _FAM)["IID"]
        check_people(psam, people)
        table = _read_pvar(pvar)
        self._variants = len(table)
        numbers = (table["alts"].str.count(",") + 2).to_numpy()
        self._offsets = np.concatenate([[0], np.cumsum(numbers)]).astype(np.uintp)
        super().__init__(pgen, people, pvar, table)
        self._subset: np.ndarray | None = None
        _ = self._reader

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    @cached_property
    def _reader(self) -> Any:
        _check_head(self.path, self._variants, len(self.samples))
        try:
            return _pgenlib(self.path).PgenReader(
                str(self.path).encode(),
                raw_sample_ct=len(self.samples),
                variant_ct=self._variants,
                allele_idx_offsets=self._offsets,
            )
        except RuntimeError as error:
            raise _unreadable(self.path) from error

    def _alleles(self, table: pd.DataFrame) -> list[tuple[bytes, ...]]:
        pairs = zip(table["ref"].str.upper(), table["alts"].str.upper(), strict=True)
        return [(r.encode(), *(a.encode() for a in alts.split(","))) for r, alts in pairs]

    def _fetch(
        self,
        interval: Interval,
        reference: Reference | None,
        columns: np.ndarray,
        alleles: str,
        counts: Counter[str],
    ) -> RawCalls:
        sites, chosen, names = self._wanted(interval, alleles, counts)
        matrix = self._read_calls(sites.rows[chosen], columns)
        return RawCalls(sites.starts[chosen].tolist(), names, matrix)

    def dosages(
        self,
        interval: Interval,
        reference: Reference | None,
        *,
        samples: Sequence[str] | None = None,
        **options: Any,
    ) -> tuple[np.ndarray, list[Variant]]:
        """As `VariantSource.dosages`, from the dosages that the file may have beside calls."""
        values, variants = super().dosages(interval, reference, samples=samples, **options)
        columns = self._columns(samples)
        order = np.searchsorted(self._choose(columns), columns)
        stated = np.empty(len(columns), np.float32)
        for column, (row, allele) in enumerate(self._places(interval, variants)):
            try:
                self._reader.read_dosages(row, stated, allele)
            except RuntimeError as error:
                raise _unreadable(self.path) from error
            values[:, column] = np.where(stated < 0, np.nan, stated)[order]
        return values, variants

    def _places(self, interval: Interval, variants: list[Variant]) -> Iterator[tuple[int, int]]:
        """(row in the file, number of the ALT) of `variants`, which follow the file's order."""
        sites = self._sites(interval.chrom)
        every = (
            (int(sites.rows[v]), k, int(sites.starts[v]), sites.alleles[v][0], alt)
            for v in sites.near(max(interval.start, 0), interval.end)
            for k, alt in enumerate(sites.alleles[v][1:], 1)
        )
        for variant in variants:
            wanted = (variant.start0, variant.ref.encode(), variant.alt.encode())
            yield next((row, k) for row, k, *what in every if tuple(what) == wanted)

    def _choose(self, columns: np.ndarray) -> np.ndarray:
        """Have the reader give these people alone; returns their places in the file, sorted."""
        ordered = np.sort(columns).astype(np.uint32)
        if self._subset is None or not np.array_equal(self._subset, ordered):
            self._reader.change_sample_subset(ordered)
            self._subset = ordered
        return ordered

    def _read_calls(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """int16 (V, P, 3): two alleles (-1 missing) and whether they are phased."""
        shape = (len(rows), len(columns))
        if not len(rows):
            return np.zeros((*shape, 3), np.int16)
        ordered = self._choose(columns)
        alleles = np.zeros((shape[0], 2 * shape[1]), np.int32)
        phased = np.zeros(shape, np.uint8)
        try:
            self._reader.read_alleles_and_phasepresent_list(rows.astype(np.uint32), alleles, phased)
        except RuntimeError as error:
            raise _unreadable(self.path) from error
        pairs = alleles.reshape(*shape, 2)
        matrix = np.concatenate([np.maximum(pairs, MISSING), phased[..., None]], 2)
        return matrix[:, np.searchsorted(ordered, columns)].astype(np.int16)


def _pgenlib(path: Path) -> Any:
    try:
        import pgenlib
    except ImportError as error:
        raise HowfarError(
            str(path),
            found="PLINK 2 files, and no package Pgenlib to read them",
            expected="the package's extra `pgen`",
            do="Run `pip install 'howfar[pgen]'`, or make a VCF with `plink2 --export vcf bgz`.",
        ) from error
    return pgenlib


def _check_head(path: Path, variants: int, people: int) -> None:
    """Raise HowfarError unless the file says to hold the calls of so many variants and people."""
    with path.open("rb") as handle:
        head = handle.read(_HEAD.size)
    if head[:2] != _MAGIC or len(head) < _HEAD.size or head[2] < 2:
        raise HowfarError(
            str(path),
            found=f"a file that starts with the bytes {head[:3].hex(' ')}",
            expected="6c 1b and a third byte of at least 02, as a .pgen file does",
            do=f"Correct the path, or make the file anew with `{_MAKE}`.",
        )
    _, _, here, called = _HEAD.unpack(head)
    if (here, called) != (variants, people):
        raise HowfarError(
            str(path),
            found=f"calls of {here:,} variants and {called:,} people",
            expected=f"{variants:,} variants of the .pvar file and {people:,} people of the .psam",
            do=_TOGETHER,
        )


def _unreadable(path: Path) -> HowfarError:
    return HowfarError(
        str(path),
        found="calls that are damaged or cut short",
        expected="the .pgen file whole",
        do=f"Fetch or copy the file again, or make it with `{_MAKE}`.",
    )


def _read_pvar(path: Path) -> pd.DataFrame:
    """Columns chrom, pos, ref, alts (comma between), id where the file has ids; a row a variant."""
    table = _read_table(path, ("POS", "REF", "ALT"), ("#CHROM",), _BIM)
    skipped = table.attrs["skipped"]
    names = {"#CHROM": "chrom", "POS": "pos", "REF": "ref", "ALT": "alts", "ID": "id"}
    found = table[[name for name in names if name in table]].rename(columns=names)
    found["alts"] = found["alts"].replace("0", ".")
    found["pos"] = check_positions(path, found, skipped)
    return found


def _read_table(
    path: Path, needed: tuple[str, ...], first: tuple[str, ...], plain: dict[int, list[str]]
) -> pd.DataFrame:
    """A PLINK 2 table as text, with its header line's columns; attrs['skipped'] lines before.

    Tabs or blanks stand between the cells; notes above the header begin with '#'. needed: columns
    that must be there ('IID' may be the first, '#IID'). first: what the header may begin with.
    plain: the columns of a table without header, by their number.
    """
    heads = tuple(name.encode() for name in first)
    with open_table(path) as handle:
        skipped = 0
        for line in handle:
            skipped += 1
            if line.startswith(heads) or not line.startswith(b"#"):  # others are notes
                break
        text = line.decode("utf-8", "replace").rstrip("\r\n") if skipped else ""
    tabs = "\t" in text
    header = text.split("\t" if tabs else None) or [""]
    if header[0] not in (*first, *(name[1:] for name in first)) and len(header) in plain:
        header, skipped = plain[len(header)], skipped - 1
    names = ["IID" if n == "#IID" else n for n in header]
    if header[0] not in first or not set(needed) <= set(names):
        raise _no_header(f"{path}, line {skipped}", header, needed, first, plain)
    sep = "\t" if tabs else r"\s+"
    table = read_rows(path, names, maker=_MAKE, skipped=skipped, sep=sep)
    table.attrs["skipped"] = skipped
    return table


def _no_header(
    where: str,
    header: list[str],
    needed: tuple[str, ...],
    first: tuple[str, ...],
    plain: dict[int, list[str]],
) -> HowfarError:
    return HowfarError(
        where,
        found=f"{header[0]!r} at the start of the first line that is no note, of {len(header)} "
        "columns",
        expected=f"a header line that starts with {' or '.join(first)} and has "
        f"{', '.join(needed)}, or none and {' or '.join(map(str, plain))} columns",
        do=f"Make the files anew with `{_MAKE}`.",
    )
