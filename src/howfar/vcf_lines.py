"""The lines of a VCF file, checked as text, since htslib lets pass what no record can be.

A row with more calls than people, an empty cell or an empty ALT is read by htslib without a word.
"""

from __future__ import annotations

import re
from pathlib import Path

from .errors import HowfarError

_BASES = rb"[ACGTNRYSWKMBDHVUacgtnryswkmbdhvu]+"
_ALT = rb"(?:" + _BASES + rb"|\*|<[^<>\s]+>|[^\t,]*[\[\]][^\t,]*|\.[A-Za-z]+|[A-Za-z]+\.)"
_START = re.compile(
    rb"(?P<chrom>[^\t]+)\t(?P<pos>[0-9]+)\t[^\t]+\t(?P<ref>" + _BASES + rb")\t"
    rb"(?:\.|" + _ALT + rb"(?:," + _ALT + rb")*)(?:\t|$)"
)


class LineCheck:
    """Takes a VCF's bytes in chunks; HowfarError, naming the line, for one that is no record."""

    def __init__(self, path: Path) -> None:
        """path: the file, for messages."""
        self._path, self._rest, self._number, self._width = path, b"", 0, 0

    def feed(self, chunk: bytes) -> None:
        """The next bytes of the file."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._line(line)

    def end(self) -> None:
        """The last line, where no line end follows it."""
        if self._rest:
            self._line(self._rest)
        self._rest = b""

    def _line(self, line: bytes) -> None:
        self._number += 1
        line = line.removesuffix(b"\r")
        if line.startswith(b"#"):
            if self._width:
                raise self._wrong("a header line below the header", "a record")
            if line.startswith(b"#CHROM"):
                self._width = line.count(b"\t") + 1
            return
        width = line.count(b"\t") + 1
        if width != self._width:
            raise self._wrong(f"{width} columns", f"{self._width}, as in the header")
        if b"\t\t" in line or line.endswith(b"\t"):
            raise self._wrong("an empty cell", "a value in each, or '.' where missing")
        if not _START.match(line):
            raise self._wrong(*_what(line))

    def _wrong(self, found: str, expected: str) -> HowfarError:
        return HowfarError(
            f"{self._path}, line {self._number}", found=found, expected=expected,
            do="Repair the line; the program that wrote the file may have been stopped.",
        )  # fmt: skip


def _what(line: bytes) -> tuple[str, str]:
    """(what is wrong with the first columns of a line, what they should be)."""
    cells = [cell[:20].decode("utf-8", "replace") for cell in line.split(b"\t", 5)[:5]]
    if not re.fullmatch("[0-9]+", cells[1]):
        return f"POS {cells[1]!r}", "a whole number"
    return f"REF {cells[3]!r}, ALT {cells[4]!r}", "bases; ALT also '*', '.', <DEL> or a breakend"
