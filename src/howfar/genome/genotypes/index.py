"""TBI and CSI indexes of VCF and BCF files: whose they are, and where a region's records lie.

htslib reads a region from wherever the index points: with an index of another file it finds no
record there and says nothing, and a cohort without variants would be the result. So the offsets
that the index names are looked at before it is used.

Offsets are virtual, as in the SAM specification (section 4.1.1): the place of a block in the file,
and 16 bits for the place in its text.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pysam

_CONTIGS = 50  # looked at, at most
_MOST = 1 << 27  # bytes that either part of a BCF record may plausibly have
_TBI_SHIFT, _TBI_DEPTH = 14, 5  # bins of 16 kb, 6 levels

Chunk = tuple[int, int]  # virtual offsets of a run of records: its first, and behind its last


@dataclass(frozen=True, slots=True)
class ContigIndex:
    """Where the records of one contig lie.

    bins: chunks by bin number. floors: by bin number, the offset before which no record overlaps
    the bin; for a TBI, the numbers are those of the lowest level's bins.
    """

    bins: dict[int, tuple[Chunk, ...]]
    floors: dict[int, int]

    @property
    def span(self) -> Chunk | None:
        """The first record's offset and the one behind the last; None without records."""
        chunks = [chunk for run in self.bins.values() for chunk in run]
        if not chunks:
            return None
        return min(begin for begin, _ in chunks), max(end for _, end in chunks)


@dataclass(frozen=True)
class Index:
    """A TBI or CSI index. names: contigs, none in the CSI of a BCF. shift, depth: of its bins."""

    names: tuple[str, ...]
    shift: int
    depth: int
    contigs: tuple[ContigIndex, ...]

    def with_records(self, contigs: Sequence[str]) -> list[str]:
        """The contigs that have records. contigs: of a BCF's header, whose index lacks names."""
        names = self.names or tuple(contigs)
        return [name for name, contig in zip(names, self.contigs, strict=False) if contig.span]

    def chunks(self, number: int, start: int, end: int) -> list[Chunk]:
        """Chunks that hold all records of contig `number` that overlap 0-based [start, end)."""
        contig = self.contigs[number]
        floor = max(contig.floors.get(bin_, 0) for bin_ in self._bins(start, start + 1))
        found = {
            chunk
            for bin_ in self._bins(start, end)
            for chunk in contig.bins.get(bin_, ())
            if chunk[1] > floor
        }
        return sorted(found)

    def _bins(self, start: int, end: int) -> Iterator[int]:
        """Numbers of the bins, of every level, that overlap [start, end)."""
        first = 0
        for level in range(self.depth + 1):
            shift = self.shift + 3 * (self.depth - level)
            yield from range(first + (start >> shift), first + (end - 1 >> shift) + 1)
            first += 1 << 3 * level


def read_index(path: Path) -> Index:
    """The index in a .tbi or .csi file; ValueError, struct.error or OSError for a damaged one."""
    data = gzip.decompress(path.read_bytes())
    if data[:4] == b"CSI\1":
        shift, depth, size = struct.unpack_from("<3i", data, 4)
        names = _names(data[16 + 28 : 16 + size])  # none where there is nothing beyond the numbers
        (count,) = struct.unpack_from("<i", data, 16 + size)
        contigs = _csi_contigs(data, 20 + size, count, _bins_in_all(depth) + 1)
        return Index(names, shift, depth, tuple(contigs))
    if data[:4] == b"TBI\1":
        count, *_, size = struct.unpack_from("<8i", data, 4)
        contigs = _tbi_contigs(data, 36 + size, count)
        return Index(_names(data[36 : 36 + size]), _TBI_SHIFT, _TBI_DEPTH, tuple(contigs))
    raise ValueError("no index")


def _names(data: bytes) -> tuple[str, ...]:
    return tuple(name.decode() for name in data.split(b"\0")[:-1])


def _bins_in_all(depth: int) -> int:
    return ((1 << 3 * (depth + 1)) - 1) // 7


def _pairs(offsets: Sequence[int]) -> tuple[Chunk, ...]:
    return tuple(zip(offsets[::2], offsets[1::2], strict=True))


def _csi_contigs(data: bytes, at: int, count: int, statistics: int) -> Iterator[ContigIndex]:
    """statistics: the number of the bin that holds counts in place of chunks."""
    for _ in range(count):
        (bins,), at = struct.unpack_from("<i", data, at), at + 4
        contig = ContigIndex({}, {})
        for _ in range(bins):
            bin_, floor, chunks = struct.unpack_from("<IQi", data, at)
            if bin_ != statistics:
                contig.bins[bin_] = _pairs(struct.unpack_from(f"<{2 * chunks}Q", data, at + 16))
                contig.floors[bin_] = floor
            at += 16 + 16 * chunks
        yield contig


def _tbi_contigs(data: bytes, at: int, count: int) -> Iterator[ContigIndex]:
    lowest = _bins_in_all(_TBI_DEPTH - 1)
    for _ in range(count):
        (bins,), at = struct.unpack_from("<i", data, at), at + 4
        contig = ContigIndex({}, {})
        for _ in range(bins):
            bin_, chunks = struct.unpack_from("<Ii", data, at)
            if bin_ != _bins_in_all(_TBI_DEPTH) + 1:
                contig.bins[bin_] = _pairs(struct.unpack_from(f"<{2 * chunks}Q", data, at + 8))
            at += 8 + 16 * chunks
        (windows,), at = struct.unpack_from("<i", data, at), at + 4
        floors = struct.unpack_from(f"<{windows}Q", data, at)
        contig.floors.update(enumerate(floors, start=lowest))
        at += 8 * windows
        yield contig


def index_belongs(path: Path, index: Path) -> bool:
    """Whether records start where the index has each contig's first, and end where its last does.

    path: a bgzipped VCF or a BCF file. index: its .tbi or .csi file.
    """
    try:
        read = read_index(index)
        spans = [(n, span) for n, contig in enumerate(read.contigs) if (span := contig.span)]
        with pysam.BGZFile(str(path), "r", None) as handle:
            bcf = handle.read(3) == b"BCF"
            if not spans:
                return not _has_records(handle, bcf)
            for number, (begin, end) in spans[:_CONTIGS]:
                contig = number if bcf else read.names[number]
                if contig_at(handle, begin, bcf) != contig:
                    return False
                if not _at_end(handle, end) and contig_at(handle, end, bcf) in (None, contig):
                    return False
    except (OSError, EOFError, zlib.error, struct.error, ValueError, IndexError):
        return False
    return True


def _has_records(handle: pysam.BGZFile, bcf: bool) -> bool:
    """Whether anything follows the header."""
    if bcf:
        handle.seek(5)
        handle.read(*struct.unpack("<I", handle.read(4)))
        return bool(handle.read(1))
    handle.seek(0)
    while (line := handle.readline()).startswith(b"#"):
        pass
    return bool(line)


def _at_end(handle: pysam.BGZFile, offset: int) -> bool:
    handle.seek(offset)
    return not handle.read(1)


def contig_at(handle: pysam.BGZFile, offset: int, bcf: bool) -> str | int | None:
    """Contig of the record at the virtual offset, its number in a BCF; None if there is none."""
    handle.seek(offset)
    if bcf:
        shared, rest, number = struct.unpack("<IIi", handle.read(12))
        return number if 24 <= shared < _MOST and rest < _MOST else None
    cells = handle.readline().decode().split("\t")
    return cells[0] if len(cells) >= 8 and cells[1].isdigit() else None
