"""Whether a TBI or CSI index belongs to a VCF or BCF file.

htslib reads a region from wherever the index points: with an index of another file it finds no
record there and says nothing, and a cohort without variants would be the result. So the places
that the index names are looked at before it is used.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pysam

_CONTIGS = 50  # looked at, at most
_MOST = 1 << 27  # bytes that the shared part of a BCF record may plausibly have


def index_belongs(path: Path, index: Path) -> bool:
    """Whether records start where the index has each contig's first, and end where its last does.

    path: a bgzipped VCF or a BCF file. index: its .tbi or .csi file.
    """
    try:
        names, spans = _spans(gzip.decompress(index.read_bytes()))
        with pysam.BGZFile(str(path), "r") as handle:
            bcf = handle.read(3) == b"BCF"
            fits = _bcf_record if bcf else _vcf_record
            return all(
                fits(handle, begin, number, names) and _ends_well(handle, end, fits, number, names)
                for number, begin, end in spans[:_CONTIGS]
            )
    except (OSError, EOFError, zlib.error, struct.error, ValueError, IndexError):
        return False


Span = tuple[int, int, int]


def _spans(data: bytes) -> tuple[list[str], list[Span]]:
    """Contig names (none in the CSI of a BCF) and, per contig with records, its virtual offsets."""
    csi = data[:4] == b"CSI\1"
    if not csi and data[:4] != b"TBI\1":
        raise ValueError("no index")
    if csi:
        _, depth, size = struct.unpack_from("<3i", data, 4)
        aux, at = data[16 : 16 + size], 16 + size
        names = _names(aux[28:]) if size > 28 else []
        extra = ((1 << (depth + 1) * 3) - 1) // 7 + 1
        (count,), at = struct.unpack_from("<i", data, at), at + 4
    else:
        count, *_, size = struct.unpack_from("<8i", data, 4)
        names, at, extra = _names(data[36 : 36 + size]), 36 + size, 37_450
    return names, list(_contigs(data, at, count, csi, extra))


def _names(data: bytes) -> list[str]:
    return [name.decode() for name in data.split(b"\0")[:-1]]


def _contigs(data: bytes, at: int, count: int, csi: bool, extra: int) -> Iterator[Span]:
    for number in range(count):
        (bins,), at = struct.unpack_from("<i", data, at), at + 4
        begins, ends = [], []
        for _ in range(bins):
            (bin_,), at = struct.unpack_from("<I", data, at), at + 4 + 8 * csi
            (chunks,), at = struct.unpack_from("<i", data, at), at + 4
            offsets = struct.unpack_from(f"<{2 * chunks}Q", data, at)
            at += 16 * chunks
            if bin_ != extra:  # that one holds statistics
                begins += offsets[::2]
                ends += offsets[1::2]
        if not csi:
            (linear,), at = struct.unpack_from("<i", data, at), at + 4
            at += 8 * linear
        if begins:
            yield number, min(begins), max(ends)


def _vcf_record(handle: pysam.BGZFile, offset: int, number: int, names: list[str]) -> bool:
    """Whether a record of that contig starts at the virtual offset."""
    handle.seek(offset)
    cells = handle.readline().decode().split("\t")
    return len(cells) >= 8 and cells[0] == names[number] and cells[1].isdigit()


def _bcf_record(handle: pysam.BGZFile, offset: int, number: int, _: list[str]) -> bool:
    handle.seek(offset)
    shared, _, contig = struct.unpack("<IIi", handle.read(12))
    return 24 <= shared < _MOST and contig == number


def _ends_well(handle: pysam.BGZFile, offset: int, fits, number: int, names: list[str]) -> bool:
    """Whether the file, or the contig's records, end at the virtual offset."""
    handle.seek(offset)
    if not handle.read(1):
        return True
    if fits is _bcf_record:
        handle.seek(offset)
        shared, _, contig = struct.unpack("<IIi", handle.read(12))
        return 24 <= shared < _MOST and contig != number
    handle.seek(offset)
    cells = handle.readline().decode().split("\t")
    return len(cells) >= 8 and cells[0] != names[number] and cells[1].isdigit()
