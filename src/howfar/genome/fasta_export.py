"""Personal windows as files: FASTA, or checksums to compare with another tool's windows."""

from __future__ import annotations

import csv
import hashlib
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from howfar.core.atomic import whole
from howfar.core.errors import HowfarError
from howfar.genome.genes import on_contigs
from howfar.genome.genotypes.base import VariantSource
from howfar.genome.intervals import Gene
from howfar.genome.reference import Reference
from howfar.genome.windows import Windows, build_windows

CHECKSUM_COLUMNS = ("gene", "sample", "haplotype", "context", "variants", "sha256")
_LINE = 60  # bases a line, as samtools writes
_BLOCK = 65_280  # bytes of text in a block, as bgzip has them
_MEMBER = bytes.fromhex("1f8b08040000000000ff060042430200")  # gzip, with the extra field BC


@dataclass
class Request:
    """Which windows to write.

    contexts: window lengths, bp. variant_sets: of 'snv' and 'all'. samples: default all of the
    file. The other options are those of `build_windows`.
    """

    reference: Reference
    variants: VariantSource
    genes: Sequence[Gene]
    contexts: Sequence[int]
    variant_sets: Sequence[str] = ("snv",)
    samples: Sequence[str] | None = None
    unphased: str | None = None
    max_ref_mismatch: float = 0.01
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Leave out genes on contigs that a file lacks; where names repeat, take the ids.

        Names do in GENCODE (Y_RNA and others); they name the records of the file.
        """
        kept, left = on_contigs(self.genes, self.reference, self.variants)
        self.counts.update(left)
        times = Counter(gene.name for gene in kept)
        self.genes = [
            replace(gene, name=gene.gene_id) if times[gene.name] > 1 else gene for gene in kept
        ]
        named = sum(n for n in times.values() if n > 1)
        self.counts["genes named by their ids, as several have their name"] += named
        twice = [name for name, n in Counter(g.name for g in self.genes).items() if n > 1]
        if twice:
            raise HowfarError(
                "names of the genes",
                found=f"the name(s) {', '.join(twice[:5])} more than once, one of them an id",
                expected="names that differ, as they name the records of the file",
                do="Give each gene its own name, or its gene id as name.",
            )

    def windows(self) -> Iterator[tuple[int, str, Windows]]:
        """(context, variant set, windows) gene by gene; adds to `counts`."""
        for gene in self.genes:
            for context in self.contexts:
                for variant_set in self.variant_sets:
                    windows = build_windows(
                        self.reference,
                        self.variants,
                        gene,
                        context,
                        samples=self.samples,
                        alleles=variant_set,
                        unphased=self.unphased,
                        max_ref_mismatch=self.max_ref_mismatch,
                    )
                    self.counts.update(windows.counts)
                    yield context, variant_set, windows


class _Blocks:
    """bgzip's format: gzip members that state their size (SAM specification, section 4.1).

    pysam writes it too, but says of a full disk only that it failed, and with a traceback.
    """

    def __init__(self, handle: BinaryIO) -> None:
        """handle: the file, written from where it stands."""
        self._handle, self._waiting = handle, b""

    def write(self, data: bytes) -> None:
        """Add data; whole blocks are written."""
        self._waiting += data
        while len(self._waiting) >= _BLOCK:
            self._block(self._waiting[:_BLOCK])
            self._waiting = self._waiting[_BLOCK:]

    def finish(self) -> None:
        """Write what waits, and the empty block that marks the end."""
        if self._waiting:
            self._block(self._waiting)
        self._waiting = b""
        self._block(b"")

    def _block(self, data: bytes) -> None:
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = packer.compress(data) + packer.flush()
        size = len(_MEMBER) + 2 + len(body) + 8 - 1
        end = struct.pack("<II", zlib.crc32(data), len(data))
        self._handle.write(_MEMBER + struct.pack("<H", size) + body + end)


def write_fasta(path: str | Path, request: Request) -> int:
    """Write every haplotype window to a bgzipped FASTA file; returns the number of records.

    A header is ``>gene=G|sample=S|haplotype=1|context=N|variants=V``, each value escaped so
    that no other '|' or space occurs. Forward strand, upper case. Whole or not at all.
    """
    written = 0
    with whole(path) as part, part.open("wb") as handle:
        blocks = _Blocks(handle)
        for context, variant_set, windows in request.windows():
            wrapped = [_wrap(row.tobytes()) for row in windows.sequences]
            for sample, haplotype, row in haplotypes_of(windows):
                header = _header(windows.gene, sample, haplotype, context, variant_set)
                blocks.write(header.encode() + wrapped[row])
                written += 1
        blocks.finish()
    return written


def write_checksums(path: str | Path, request: Request) -> int:
    """Write the SHA-256 of every haplotype window as CSV; returns the number of rows.

    Columns: gene (the `name` column of the gene table), sample, haplotype (1, 2), context (bp),
    variants ('snv' or 'all'), sha256 of the upper-case forward-strand window. Whole or not at all.
    """
    with whole(path) as part, part.open("w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(CHECKSUM_COLUMNS)
        rows = list(_checksum_rows(request))
        writer.writerows(rows)
    return len(rows)


def haplotypes_of(windows: Windows) -> Iterable[tuple[str, int, int]]:
    """(sample, haplotype 1 or 2, row of `windows.sequences`) for each haplotype."""
    for sample, rows in zip(windows.samples, windows.index.tolist(), strict=True):
        for haplotype, row in enumerate(rows, start=1):
            yield sample, haplotype, row


def _checksum_rows(request: Request) -> Iterator[tuple[str, str, int, int, str, str]]:
    for context, variant_set, windows in request.windows():
        digests = [hashlib.sha256(row.tobytes()).hexdigest() for row in windows.sequences]
        for sample, haplotype, row in haplotypes_of(windows):
            yield windows.gene.name, sample, haplotype, context, variant_set, digests[row]


def _escape(text: str) -> str:
    return "".join(c if c.isalnum() or c in "._-:+" else f"%{ord(c):02X}" for c in text)


def _header(gene: Gene, sample: str, haplotype: int, context: int, variant_set: str) -> str:
    return (
        f">gene={_escape(gene.name)}|sample={_escape(sample)}|haplotype={haplotype}"
        f"|context={context}|variants={variant_set}\n"
    )


def _wrap(sequence: bytes) -> bytes:
    lines = (sequence[i : i + _LINE] for i in range(0, len(sequence), _LINE))
    return b"\n".join(lines) + b"\n"
