"""Genotypes of VCF Zarr, as bio2zarr (`vcf2zarr convert`) writes it: a folder, or one zip file.

Read through zarr, an extra of the package (`pip install 'howfar[zarr]'`), chunk by chunk. Of the
specification (versions 0.4, 0.5; Zarr formats 2 and 3) these arrays are used: sample_id, contig_id,
variant_contig, variant_position (1-based), variant_allele (padded by ''), variant_id,
variant_filter, call_genotype (-1 missing, -2 pads a call of fewer alleles) and
call_genotype_phased; without calls call_DS, whose copies of ALT serve what needs no haplotypes.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError
from howfar.core.text import starts_with
from howfar.genome.genotypes.base import BESIDE_CALLS, MISSING, Genotypes, RawCalls
from howfar.genome.genotypes.dosage_table import no_haplotypes
from howfar.genome.genotypes.plink_tables import check_people
from howfar.genome.genotypes.sites import SiteSource
from howfar.genome.intervals import Interval
from howfar.genome.reference import Reference

_ROOTS = (".zgroup", "zarr.json")
_ZIP = b"PK\x03\x04"
_NEEDED = ("sample_id", "contig_id", "variant_contig", "variant_position", "variant_allele")
_MAKE = "vcf2zarr convert"
_DO = f"Copy the store again, or make it anew with `{_MAKE}`."


def is_zarr(path: Path) -> bool:
    """Whether a path is a Zarr group: a folder, or a zip file of one."""
    if path.is_dir():
        return any((path / name).is_file() for name in _ROOTS)
    if not starts_with(path, _ZIP):
        return False
    try:
        with zipfile.ZipFile(path) as packed:
            return bool(set(_ROOTS) & set(packed.namelist()))
    except zipfile.BadZipFile:
        return False


class ZarrFile(SiteSource):
    """A VCF Zarr store. path: its folder, or its zip file.

    A chunk that isn't there is an error where the store has no value for it.
    """

    list_samples = "the array sample_id"
    sort_advice = f"Sort the VCF with `bcftools sort`, and run `{_MAKE}` on that."

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self._group = _open(path)
        lacking = [name for name in _NEEDED if name not in self._group]
        self._called = "call_genotype" in self._group
        if lacking or not (self._called or "call_DS" in self._group):
            raise HowfarError(
                str(path),
                found=f"a Zarr store without {', '.join(lacking) or 'calls'}",
                expected="VCF Zarr, with calls (call_genotype) or dosages (call_DS)",
                do=f"Make it with `{_MAKE}`, or correct the path of the variants.",
            )
        self.path = path
        people = [str(name) for name in self._values("sample_id")]
        check_people(path, pd.Series(people))
        contigs = np.array([str(name) for name in self._values("contig_id")], object)
        chrom = contigs[self._values("variant_contig").astype(np.int64)]
        position = self._values("variant_position").astype(np.int64)
        super().__init__(path, people, path, pd.DataFrame({"chrom": chrom, "pos": position}))

    def read(self, interval: Interval, reference: Reference, **options: Any) -> Genotypes:
        """As `VariantSource.read`; HowfarError for a store of dosages alone."""
        if not self._called:
            raise no_haplotypes(self.path)
        return super().read(interval, reference, **options)

    def ids(self, interval: Interval) -> dict[str, int]:
        """As `VariantSource.ids`; none where the store has no variant_id."""
        sites = self._sites(interval.chrom)
        near = sites.near(interval.start, interval.end)
        if "variant_id" not in self._group or not len(near):
            return {}
        names = np.concatenate([part for _, part in self._parts_of("variant_id", sites.rows[near])])
        places = (sites.starts[near] + 1).tolist()
        return {str(n): p for n, p in zip(names, places, strict=True) if n not in ("", ".")}

    def _alleles(self, table: pd.DataFrame) -> list[tuple[bytes, ...]]:
        rows = table.index.to_numpy()
        parts = [part for _, part in self._parts_of("variant_allele", rows)]
        named = [tuple(str(a).upper().encode() for a in row if a) for p in parts for row in p]
        if not all(named):
            bad = next(row for row, names in zip(rows, named, strict=True) if not names)
            raise self._damaged(f"no REF of variant {bad + 1}")
        return named

    def _fetch(
        self,
        interval: Interval,
        reference: Reference | None,
        columns: np.ndarray,
        alleles: str,
        counts: Counter[str],
    ) -> RawCalls:
        sites, chosen, names = self._wanted(interval, alleles, counts)
        rows = sites.rows[chosen]
        counts["records that do not pass FILTER, used"] += self._failing(rows)
        if self._called:
            counts[BESIDE_CALLS] += len(rows) if "call_DS" in self._group else 0
            stated, matrix = None, self._read_calls(rows, columns)
        else:
            stated = list(self._stated(rows, columns, [len(a) - 1 for a in names]))
            matrix = np.zeros((len(rows), len(columns), 3), np.int16)
            for calls, copies in zip(matrix, stated, strict=True):
                calls[np.isnan(copies).any(axis=1), :2] = MISSING
        return RawCalls(sites.starts[chosen].tolist(), names, matrix, stated)

    def _read_calls(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """int16 (V, P, 3): two alleles (-1 missing, -2 none) and whether they are phased."""
        matrix = np.full((len(rows), len(columns), 3), -2, np.int16)
        if not self._called:
            return matrix
        for places, calls in self._parts_of("call_genotype", rows, columns):
            if calls.shape[2] > 2 and (calls[..., 2:] != -2).any():
                raise HowfarError(
                    f"{self.path}, variant {rows[places][0] + 1} or near it",
                    found=f"calls of {calls.shape[2]} alleles",
                    expected="one or two alleles a call",
                    do="Leave out people of other ploidy.",
                )
            matrix[places, :, : min(2, calls.shape[2])] = calls[..., :2]
        matrix[..., 2] = 0
        if "call_genotype_phased" in self._group:
            for places, phased in self._parts_of("call_genotype_phased", rows, columns):
                matrix[places, :, 2] = phased
        return matrix

    def _stated(
        self, rows: np.ndarray, columns: np.ndarray, alts: list[int]
    ) -> Iterator[np.ndarray]:
        """float32 (P, ALTs) copies of each variant's ALTs."""
        numbers = iter(zip(rows, alts, strict=True))
        for _, part in self._parts_of("call_DS", rows, columns):
            for copies in part.reshape(*part.shape[:2], -1).astype(np.float32):
                row, alt = next(numbers)
                if copies.shape[1] < alt or (copies < 0).any() or (copies > 2).any():
                    raise HowfarError(
                        f"{self.path}, variant {row + 1}",
                        found=f"dosages (call_DS) from {np.nanmin(copies):g} to "
                        f"{np.nanmax(copies):g}, {copies.shape[1]} for {alt} ALT",
                        expected="one from 0 to 2 for each ALT",
                        do="Make the store from a VCF whose DS are dosages.",
                    )
                yield copies[:, :alt]

    def _failing(self, rows: np.ndarray) -> int:
        """How many of the variants carry a filter other than PASS."""
        if "variant_filter" not in self._group or not len(rows):
            return 0
        others = [str(name) != "PASS" for name in self._values("filter_id")]
        parts = self._parts_of("variant_filter", rows)
        return sum(int(part[:, others].any(axis=1).sum()) for _, part in parts)

    def _values(self, name: str) -> np.ndarray:
        """A whole array."""
        array = self._group[name]
        rows = np.arange(array.shape[0])
        parts = [part for _, part in self._parts_of(name, rows)]
        return np.concatenate(parts) if parts else np.asarray(array[:])

    def _parts_of(
        self, name: str, rows: np.ndarray, columns: np.ndarray | None = None
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """(places among `rows`, the array's values there), by chunks; columns: of people."""
        array = self._group[name]
        size = array.chunks[0]
        order = np.asarray(rows, np.int64)
        cuts = np.flatnonzero(np.diff(order // size)) + 1
        for part in np.split(np.arange(len(order)), cuts) if len(order) else ():
            inside = order[part]
            first, last = int(inside.min()), int(inside.max())
            self._require_chunks(array, name, first // size)
            try:
                values = np.asarray(array[first : last + 1])[inside - first]
            except (ValueError, RuntimeError, OSError, KeyError) as error:
                raise self._damaged(f"{name}: {error}") from error
            every = columns is None or np.array_equal(columns, np.arange(len(self.samples)))
            yield slice(int(part[0]), int(part[-1]) + 1), values if every else values[:, columns]

    def _require_chunks(self, array: Any, name: str, first: int) -> None:
        """HowfarError where a chunk is cut short, or isn't there and the array states no value."""
        stated = array.metadata.fill_value not in (None, "")
        blosc = any(type(each).__name__ == "Blosc" for each in array.compressors)
        shape = [-(-n // size) for n, size in zip(array.shape[1:], array.chunks[1:], strict=True)]
        for place in np.ndindex(*shape):
            key = f"{name}/{array.metadata.encode_chunk_key((first, *place))}"
            if self._names is not None:  # of a zip file, which has checksums
                here = key in self._names
            else:
                here = (self.path / key).is_file()
                if here and blosc and _cut_short(self.path / key):
                    raise self._damaged(f"{key} is cut short")
            if not here and not stated:
                raise self._damaged(f"no {key}")

    @cached_property
    def _names(self) -> frozenset[str] | None:
        """What a zip file holds; None for a folder."""
        if self.path.is_dir():
            return None
        with zipfile.ZipFile(self.path) as packed:
            return frozenset(packed.namelist())

    def _damaged(self, trouble: str) -> HowfarError:
        return HowfarError(
            str(self.path),
            found=f"a store that is damaged or cut short ({trouble})",
            expected="VCF Zarr, whole",
            do=_DO,
        )


def _cut_short(chunk: Path) -> bool:
    """Whether a chunk of Zarr format 2 isn't as long as Blosc's header says, which reads on."""
    with chunk.open("rb") as handle:
        head = handle.read(16)
    return len(head) < 16 or int.from_bytes(head[12:], "little") != chunk.stat().st_size


def _open(path: Path) -> Any:
    try:
        import zarr
    except ImportError as error:
        raise HowfarError(
            str(path),
            found="VCF Zarr, and no package zarr to read it",
            expected="the package's extra `zarr`",
            do="Run `pip install 'howfar[zarr]'`, or make a VCF with `vcztools view`.",
        ) from error
    try:
        store = path if path.is_dir() else zarr.storage.ZipStore(path, mode="r")
        return zarr.open_group(store, mode="r")
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise HowfarError(
            str(path), found=f"no readable Zarr store ({error})", expected="VCF Zarr", do=_DO
        ) from error
