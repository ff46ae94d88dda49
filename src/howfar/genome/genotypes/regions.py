"""Checks of the records of a region, before their calls are used.

htslib ends a region's records quietly where a block of the file is broken or a line can't be read,
so that a damaged file would pass for a region with fewer variants. Hence the runs of records that
the index names for a region are first read here, decompressed and checked as text; the rest of
the file, which may be hours of reading, is left alone.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pysam

from howfar.core.errors import HowfarError
from howfar.genome.genotypes.bgzf import broken_block, index_beside, is_checked, read_through
from howfar.genome.genotypes.index import Chunk, Index, read_index
from howfar.genome.genotypes.vcf_text import LineCheck

_NAME_LINES = 1 << 28  # bytes of a file that is read from its start to tell a bad line's number
_LENGTHS = struct.Struct("<II")  # of the two parts of a BCF record


class RegionCheck:
    """Checks what is read of a VCF or BCF file: its header when opened, each region once.

    A file that was checked in full since it was last changed is not checked again. `index`: the
    file's.
    """

    def __init__(self, path: Path, opened: Path) -> None:
        """Check the header of `opened`, the user's file `path` or its indexed stand-in."""
        self._path = path
        self._handle = pysam.BGZFile(str(opened), "r", None)
        self._is_bcf = self._handle.read(3) == b"BCF"
        self._lines = LineCheck(path)
        self.index: Index = read_index(index_beside(opened))
        self._checked: set[Chunk] = set()
        self._skips = is_checked(path)
        if not (self._is_bcf or self._skips):
            self._check_header()

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # behind a broken block closing raises too
            self._handle.close()

    def check(self, contigs: Sequence[str], contig: str, start: int, end: int) -> None:
        """Raise HowfarError for a broken block or a line that is no record around a region.

        contigs: all of the file, in its order. start, end: 0-based half-open. What is read are
        the index's runs of records with one in the region, so a little beyond it too.
        """
        if self._skips or end <= start:
            return
        names = self.index.names or tuple(contigs)  # a BCF's index has numbers alone
        for chunk in self.index.chunks(names.index(contig), start, end):
            if chunk not in self._checked:
                self._check_chunk(chunk, f"{contig}:{start + 1}-{end}")
                self._checked.add(chunk)

    def _check_header(self) -> None:
        self._handle.seek(0)
        for line in self._readlines(None):
            if line and not line.startswith(b"#"):
                return
            self._lines.line(line)
        self._lines.end()

    def _check_chunk(self, chunk: Chunk, region: str) -> None:
        begin, end = chunk
        self._handle.seek(begin)
        if self._is_bcf:
            self._read_records(end)
            return
        # Chunks of different bins may interleave, so order is checked inside each alone.
        self._lines.jump()
        before = b""
        try:
            for line in self._readlines(end):
                self._lines.line(line)
                before = line
            self._lines.end()
        except HowfarError as error:
            if self._path.stat().st_size <= _NAME_LINES:
                read_through(self._path)  # raises, with the number of the file's first bad line
            chrom, pos, *_ = [*before[:200].decode(errors="replace").split("\t"), "", ""]
            after = f"{chrom}:{pos}" if before else f"the first around {region}"
            error.where = f"{self._path}, the record after {after}"
            raise

    def _readlines(self, end: int | None) -> Iterator[bytes]:
        """Lines from here to the virtual offset `end`, without their line ends."""
        at = self._handle.tell()
        try:
            while end is None or at < end:
                line = self._handle.readline()
                before, at = at, self._handle.tell()
                if not line and at == before:
                    return
                yield line
        except (OSError, zlib.error, EOFError) as error:
            raise broken_block(self._path, at) from error

    def _read_records(self, end: int) -> None:
        """Read BCF records to the virtual offset `end`, which shows that their blocks are whole."""
        at = self._handle.tell()
        try:
            while at < end:
                head = self._handle.read(_LENGTHS.size)
                if len(head) < _LENGTHS.size:
                    raise EOFError
                self._handle.read(sum(_LENGTHS.unpack(head)))
                at = self._handle.tell()
        except (OSError, zlib.error, EOFError) as error:
            raise broken_block(self._path, at) from error
