"""Checks of a VCF file's lines as text, since htslib lets pass what no record can be.

A row with more calls than people, an empty cell or an empty ALT is read by htslib without a word,
and a call that is none, or a record out of order, is refused without its line.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from howfar.core.errors import HowfarError

_REPAIR = "Repair the line; the program that wrote the file may have been stopped."
_SORT = "Run `bcftools sort` on the file."
_LEADING = (
    "Give the text without them, such as 0|1 for |0|1: what GNU "
    r"`sed -E '/^#/!s#\t[|/]([0-9.])#\t\1#g'` prints."
)
_HEADER = "Write the header anew with `bcftools reheader`."
_TABS = r"Put tabs in place of the blanks: what GNU `sed -E '/^##/!s# +#\t#g'` prints."
_NAMES = b"#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT".split()
_FIXED = len(_NAMES)
_BASES = rb"[ACGTNRYSWKMBDHVUacgtnryswkmbdhvu]+"
_ALT = rb"(?:" + _BASES + rb"|\*|<[^<>\s]+>|[^\t,]*[\[\]][^\t,]*|\.[A-Za-z]+|[A-Za-z]+\.)"
_START = re.compile(
    rb"(?P<chrom>[^\t]+)\t(?P<pos>[0-9]+)\t[^\t]+\t(?P<ref>" + _BASES + rb")\t"
    rb"(?:\.|" + _ALT + rb"(?:," + _ALT + rb")*)(?:\t|$)"
)
_CALL = rb"(?:\.|[0-9]++)(?:[|/](?:\.|[0-9]++))*+"
_CALLS = re.compile(rb"(?:\t" + _CALL + rb"(?::[^\t]*+)?+)*+")
# What nearly every call is, `0|1`, `.|.` or `2/0`, becomes `0|0`, so that a row of them is found
# good by one comparison.
_PLAIN = bytes.maketrans(b"123456789./", b"0000000000|")


class LineCheck:
    """Checks a VCF's text line by line; HowfarError, naming the line, for one that is no record.

    `records` counts the records that were good.
    """

    def __init__(self, path: Path, copied: bool = False) -> None:
        """Check the text of `path`, a name for messages.

        copied: it is copied without a byte order mark at its start and the empty lines at its
        end, which htslib can't read, so that they may be there.
        """
        self.records = 0
        self._path, self._rest, self._number, self._width = path, b"", 0, 0
        self._copied, self._empty = copied, 0
        self._plain = b""
        self._chrom, self._pos = b"", 0
        self._seen: set[bytes] = set()

    def feed(self, chunk: bytes) -> None:
        """Check the next bytes of the file."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self.line(line)

    def end(self) -> None:
        """Check the last line, where no line end follows it."""
        if self._rest:
            self.line(self._rest)
        self._rest = b""
        if self._empty and not self._copied:
            raise self._blank()

    def jump(self) -> None:
        """Forget the records before, as the next line comes from another place of the file."""
        self._chrom, self._pos = b"", 0
        self._seen.clear()

    def line(self, line: bytes) -> None:
        """Check the next line, without its line end."""
        self._number += 1
        line = line.removesuffix(b"\r")
        if not line:
            self._empty += 1
            return
        if self._empty:
            self._number -= 1
            raise self._blank()
        if self._number == 1 and self._copied:
            line = line.removeprefix(codecs.BOM_UTF8)
        if line.startswith(b"#"):
            self._header(line)
        else:
            self._record(line)

    def _header(self, line: bytes) -> None:
        if self._width:
            raise self._wrong("a header line below the header", "a record")
        if line.startswith(b"#CHROM"):
            if b"\t" not in line:
                raise self._wrong("columns without tabs between", "tabs", _TABS)
            self._columns(line.split(b"\t"))

    def _record(self, line: bytes) -> None:
        if not self._width:
            raise self._wrong("a record", "the line #CHROM of the header before it", _HEADER)
        width = line.count(b"\t") + 1
        if width != self._width:
            raise self._wrong(f"{width} columns", f"{self._width}, as in the header")
        if b"\t\t" in line or line.endswith(b"\t"):
            raise self._wrong("an empty cell", "a value in each, or '.' where missing")
        start = _START.match(line)
        if not start:
            raise self._wrong(*_what(line))
        self._order(start["chrom"], int(start["pos"]))
        self._calls(line)
        self.records += 1

    def _blank(self) -> HowfarError:
        self._number -= self._empty - 1
        return self._wrong("an empty line", "a record", "Remove the line.")

    def _columns(self, names: list[bytes]) -> None:
        fixed = min(len(names), _FIXED)
        if fixed < _FIXED - 1 or names[:fixed] != _NAMES[:fixed]:
            shown = " ".join(name[:20].decode(errors="replace") for name in names[:fixed])
            raise self._wrong(f"the columns {shown}", b" ".join(_NAMES).decode(), _HEADER)
        last = {name: column for column, name in enumerate(names, start=1)}
        for column, name in enumerate(names, start=1):
            if last[name] != column:
                found = f"one name in the columns {column} and {last[name]}"
                raise self._wrong(found, "sample names that differ", _HEADER)
        self._width = len(names)
        self._plain = b"\t0|0" * (self._width - _FIXED)

    def _order(self, chrom: bytes, pos: int) -> None:
        if chrom != self._chrom and chrom in self._seen:
            found = f"contig {chrom.decode(errors='replace')!r} a second time, apart"
        elif chrom == self._chrom and pos < self._pos:
            found = f"position {pos} after {self._pos}"
        else:
            self._seen.add(chrom)
            self._chrom, self._pos = chrom, pos
            return
        raise self._wrong(found, "records sorted by contig and position", _SORT)

    def _calls(self, line: bytes) -> None:
        cells = line.split(b"\t", _FIXED)
        if len(cells) <= _FIXED or not re.match(rb"GT(?::|$)", cells[_FIXED - 1]):
            return
        calls = line[-len(cells[_FIXED]) - 1 :]
        if calls.translate(_PLAIN) == self._plain or _CALLS.fullmatch(calls):
            return
        column, bad = _first_bad(calls)
        found = f"the call {bad!r} in column {_FIXED + column}"
        if bad[:1] in ("|", "/") and _CALLS.fullmatch(b"\t" + bad[1:].encode()):
            leading = "a call without '|' or '/' before it, which VCF 4.4 allows and few tools read"
            raise self._wrong(found, leading, _LEADING)
        raise self._wrong(found, "allele numbers or '.', with '|' or '/' between, as in 0|1")

    def _wrong(self, found: str, expected: str, do: str = _REPAIR) -> HowfarError:
        where = f"{self._path}, line {self._number}"
        return HowfarError(where, found=found, expected=expected, do=do)


def _what(line: bytes) -> tuple[str, str]:
    """Return what is wrong with the first columns of a line, and what they should be."""
    cells = [cell[:20].decode("utf-8", "replace") for cell in line.split(b"\t", 5)[:5]]
    if not re.fullmatch("[0-9]+", cells[1]):
        return f"POS {cells[1]!r}", "a whole number"
    return f"REF {cells[3]!r}, ALT {cells[4]!r}", "bases; ALT also '*', '.', <DEL> or a breakend"


def _first_bad(calls: bytes) -> tuple[int, str]:
    """Return the column, 1-based among the calls, and the text of the first that is no call."""
    cells = enumerate(calls.split(b"\t")[1:], start=1)
    column, cell = next((n, c) for n, c in cells if not _CALLS.fullmatch(b"\t" + c))
    return column, cell[:20].decode("utf-8", "replace")
