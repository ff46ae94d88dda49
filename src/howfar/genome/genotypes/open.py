"""Genotypes from whatever files a user has, behind one interface: `open_variants`.

A path is that of a VCF or BCF file, of PLINK 1's ``.bed`` or PLINK 2's ``.pgen``, the prefix of
PLINK files, of VCF Zarr, of a table of dosages (the eQTL Catalogue's, PrediXcan's), or a template
with ``{chrom}``, one file of any of these kinds per contig. Which of them a file is, its first
bytes say, and not its name.
"""

from __future__ import annotations

import codecs
import glob
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from howfar.core.errors import HowfarError
from howfar.core.text import starts_with
from howfar.genome.genotypes.base import Genotypes, VariantSource
from howfar.genome.genotypes.bgzf import VCF_START
from howfar.genome.genotypes.dosage_table import DosageTable, people_file, starts_as_dosages
from howfar.genome.genotypes.plink_tables import pgen_ends, together
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.genotypes.vcf_zarr import is_zarr
from howfar.genome.intervals import Interval, Variant
from howfar.genome.reference import Reference, match_contig

_PLINK = {".bed": "plink1", ".pgen": "plink2"}
_PLINK_STARTS = {"plink1": (b"\x6c\x1b\0", b"\x6c\x1b\1"), "plink2": (b"\x6c\x1b",)}
_VCF_STARTS = (VCF_START, codecs.BOM_UTF8 + VCF_START, b"BCF", b"\x1f\x8b")
_PLACE = "{chrom}"


def open_variants(path: str | Path) -> VariantSource:
    """The genotypes at `path`, opened; see the module for the kinds of path.

    Raises HowfarError for files that are missing, broken, or of no kind known here.

    Examples
    --------
    >>> import howfar as hf
    >>> from howfar.simulate.example import FOLDER
    >>> list(hf.open_variants(FOLDER / "variants.vcf.gz").samples[:2])
    ['D0001', 'D0002']
    """
    kind = kind_of(path)
    if kind == "template":
        return SplitVariants(path)
    if kind == "plink1":
        from howfar.genome.genotypes.plink1 import PlinkFile

        return PlinkFile(path)
    if kind == "plink2":
        from howfar.genome.genotypes.plink2 import PgenFile

        return PgenFile(path)
    if kind == "zarr":
        from howfar.genome.genotypes.vcf_zarr import ZarrFile

        return ZarrFile(path)
    return DosageTable(path) if kind == "dosages" else VariantFile(path)


def kind_of(path: str | Path) -> str:
    """Tell 'vcf' (or BCF), 'plink1', 'plink2', 'zarr', 'dosages' or 'template' by the first bytes.

    The name tells of a file that isn't there or begins like none, so that a message fits.
    """
    text = str(path)
    if _PLACE in text:
        return "template"
    file = Path(text)
    if is_zarr(file):
        return "zarr"
    if starts_as_dosages(file):
        return "dosages"
    if starts_with(file, *_VCF_STARTS):
        return "vcf"
    for kind, starts in _PLINK_STARTS.items():
        if starts_with(file, *starts):
            return kind
    if file.suffix in _PLINK:
        return _PLINK[file.suffix]
    beside = [kind for end, kind in _PLINK.items() if Path(text + end).is_file()]
    if len(beside) == 1:
        return beside[0]
    if file.is_file() or text.endswith((".vcf", ".vcf.gz", ".vcf.bgz", ".bcf")):
        return "vcf"
    raise HowfarError(
        text,
        found="both a .bed and a .pgen file of this prefix" if beside else "no such file",
        expected="a VCF or BCF file, PLINK files (.bed, .pgen or their prefix), VCF Zarr, a "
        "table of dosages, or a name with {chrom} in place of the contig",
        do="Name the file with its ending." if beside else "Correct the path of the variants.",
    )


def default_unphased(path: str | Path) -> str:
    """What is done with unphased calls where nobody says: 'dosage' for PLINK 1, else 'error'."""
    kind = kind_of(path)
    if kind == "template":
        return default_unphased(next(iter(split_files(path).values())))
    return "dosage" if kind == "plink1" else "error"


def variant_files(path: str | Path) -> dict[str, Path]:
    """The files that `path` means, by a name for each; the first is the one of the calls.

    ``variants`` alone for a VCF; ``variants bim`` and so on for the others of PLINK, ``variants
    20`` for the file of a contig. A file of a kind that isn't there is named too; a template or a
    prefix without any file stands as it is.
    """
    try:
        kind = kind_of(path)
    except HowfarError:
        return {"variants": Path(path)}
    if kind == "template":
        parts = _matches(path)
        each = {c: variant_files(f) for c, f in parts.items()}
        named = {f"{k} {c}": f for c, fs in each.items() for k, f in fs.items()}
        return named or {"variants": Path(path)}
    if kind in ("vcf", "zarr"):
        return {"variants": Path(path)}
    if kind == "dosages":
        beside = people_file(Path(path))
        return {"variants": Path(path)} | ({"variants samples": beside} if beside else {})
    ends = (".bed", ".bim", ".fam") if kind == "plink1" else pgen_ends(path)
    calls, *others = together(path, ends)
    return {"variants": calls} | {
        f"variants {end[1:]}": file for end, file in zip(ends[1:], others, strict=True)
    }


def split_files(path: str | Path) -> dict[str, Path]:
    """The file of each contig of a template with ``{chrom}``; HowfarError if there is none."""
    found = _matches(path)
    if not found:
        raise HowfarError(
            str(path),
            found="no file of that name for any contig",
            expected="one file per contig, whose name has the contig in place of {chrom}",
            do="Correct the path of the variants; `chr{chrom}.vcf.gz` means chr1.vcf.gz, ...",
        )
    return found


def _matches(path: str | Path) -> dict[str, Path]:
    text = str(path)
    if text.count(_PLACE) != 1:
        raise HowfarError(
            text,
            found=f"{{chrom}} {text.count(_PLACE)} times",
            expected="{chrom} once",
            do="Correct the path of the variants.",
        )
    before, after = text.split(_PLACE)
    pattern = re.compile(re.escape(before) + r"(\w+)" + re.escape(after))
    files = sorted(glob.glob(f"{glob.escape(before)}*{glob.escape(after)}"), key=_natural)
    return {m[1]: Path(f) for f in files if (m := pattern.fullmatch(f))}


def _natural(text: str) -> list[tuple[int, str]]:
    return [(len(p), p) if p.isdigit() else (0, p) for p in re.split(r"(\d+)", text)]


class SplitVariants(VariantSource):
    """One file per contig, of any kind, each opened when its contig is first asked for.

    path: a template with ``{chrom}`` in place of the contig. All files must have the same people
    in the same order, which is checked when a file is opened.
    """

    def __init__(self, path: str | Path) -> None:
        self._files = split_files(path)
        self._open: dict[str, VariantSource] = {}
        name = next(iter(self._files))
        first = self._open[name] = open_variants(self._files[name])
        self.default_unphased = first.default_unphased
        super().__init__(Path(path), first.samples, list(self._files))
        self.counts.update(first.counts)

    def close(self) -> None:
        """Close the files."""
        for file in self._open.values():
            file.close()

    @property
    def record_count(self) -> int:
        """As `VariantSource.record_count`, of all files."""
        return sum(self.file_of(contig).record_count for contig in self.contigs)

    def check_records(self) -> Iterator[int]:
        """As `VariantSource.check_records`, file by file."""
        files = (self.file_of(contig).check_records() for contig in self.contigs)
        yield from (number for number, _ in enumerate(chain.from_iterable(files), start=1))

    def read(self, interval: Interval, reference: Reference, **options: Any) -> Genotypes:
        """As `VariantSource.read`, from the contig's file."""
        return self.file_of(interval.chrom).read(interval, reference, **options)

    def dosages(
        self, interval: Interval, reference: Reference | None, **options: Any
    ) -> tuple[np.ndarray, list[Variant]]:
        """As `VariantSource.dosages`, from the contig's file."""
        return self.file_of(interval.chrom).dosages(interval, reference, **options)

    def ids(self, interval: Interval) -> dict[str, int]:
        """As `VariantSource.ids`, from the contig's file."""
        return self.file_of(interval.chrom).ids(interval)

    def cluster_start(self, chrom: str, position: int) -> int:
        """As `VariantSource.cluster_start`, in the contig's file."""
        return self.file_of(chrom).cluster_start(chrom, position)

    def file_of(self, chrom: str) -> VariantSource:
        """Open a contig's file, if it isn't; HowfarError where its people are not the others'."""
        name = match_contig(chrom, self._files, str(self.path))
        if name not in self._open:
            file = open_variants(self._files[name])
            _check_same(file, self.samples, next(iter(self._open.values())).path)
            self._open[name] = file
            self.counts.update(file.counts)
        return self._open[name]


def _check_same(file: VariantSource, people: Sequence[str], other: Path) -> None:
    if file.samples == people:
        return
    elsewhere = len(set(people) ^ set(file.samples))
    raise HowfarError(
        str(file.path),
        found=f"{len(file.samples)} people, "
        + (f"{elsewhere} of whom one file alone has" if elsewhere else "in another order"),
        expected=f"the {len(people)} people of {other.name}, in its order",
        do="Bring the files' people into one order, such as with `bcftools view -S`.",
    )
