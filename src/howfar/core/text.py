"""Text: files, plain or gzip-compressed, with clear errors; and words as pages show them."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from howfar.core.errors import HowfarError, no_such_file


def lines_of(path: str | Path, expected: str) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, which may be gzip-compressed, without their line ends.

    expected: what the file should be, for messages. Raises HowfarError for a file that isn't
    there, that is cut short, or that is no text.
    """
    path = Path(path)
    if not path.is_file():
        raise no_such_file(path, expected)
    try:
        opener = gzip.open if is_gzip(path) else open
        with opener(path, "rt", encoding="utf-8-sig") as handle:
            for number, line in enumerate(handle, start=1):
                if "\0" in line:
                    raise _zero_byte(path, number)
                yield line.rstrip("\n")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise HowfarError(
            str(path),
            found=f"an unreadable file ({_describe(error)})",
            expected=f"{expected}: UTF-8 text, plain or gzip-compressed",
            do="Check that the file is whole and named after what it is.",
        ) from error


def is_gzip(path: Path) -> bool:
    """Whether the file starts as gzip does; bgzip is a kind of gzip."""
    return starts_with(path, b"\x1f\x8b")


#: First bytes of files that are no text.
PARQUET, SQLITE, HDF5 = b"PAR1", b"SQLite format 3\0", b"\x89HDF\r\n\x1a\n"


def starts_with(path: Path, *starts: bytes) -> bool:
    """Whether the first bytes of a file, if it is there, are one of `starts`.

    A file's content tells its format; its name may be wrong.
    """
    if not path.is_file():
        return False
    with path.open("rb") as handle:
        return handle.read(max(map(len, starts))).startswith(starts)


def _describe(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "bytes that are no UTF-8 text"
    if isinstance(error, EOFError):
        return "its end is missing"
    return "no gzip-compressed data" if isinstance(error, gzip.BadGzipFile) else str(error)


def separator_of(header: str) -> str | None:
    """Return what separates a header's cells: tab, ',', ';' or blanks (' '); else None."""
    if "\t" in header:
        return "\t"
    if ";" in header or "," in header:
        return ";" if header.count(";") > header.count(",") else ","
    return " " if re.search(r"\S\s+\S", header) else None


def words_of(line: str) -> list[str]:
    """Split a line at blanks, but for those inside quotation marks."""
    return re.findall(r'"[^"]*"|\S+', line)


def cells_of(line: str, sep: str, where: str) -> list[str]:
    """Split a line of a table into cells, outer blanks removed; a quoted cell may hold `sep`."""
    if sep == " ":
        return [word.strip('"').strip() for word in words_of(line)]
    try:
        cells = next(csv.reader([line], delimiter=sep), []) or [""]  # none in an empty line
        return [cell.strip() for cell in cells]
    except csv.Error as error:
        raise HowfarError(
            where,
            found=f"a line that can't be split ({error})",
            expected="a row of a table",
            do="Correct the line; the separator may be another one.",
        ) from error


def stem_of(path: Path) -> str:
    """Return a file's name in lower case without a final .gz or .bgz, for telling formats apart."""
    return path.name.lower().removesuffix(".gz").removesuffix(".bgz")


def _zero_byte(path: Path, number: int) -> HowfarError:
    return HowfarError(
        f"{path}, line {number}",
        found="a byte of value 0",
        expected="text",
        do="Check that the file is whole, and no binary or UTF-16 file.",
    )


# --- words as pages show them ------------------------------------------------------------------

_MARKS = re.compile(r"([\\`*_{}\[\]<>#!|~$&])")


def as_markdown(text: str) -> str:
    """Escape text so that Markdown, HTML in it included, shows it as it is, on one line."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))


def as_sentence(text: str) -> str:
    """Escape text as `as_markdown` does, but leave what stands between backticks as code."""
    parts = " ".join(text.split()).split("`")
    return "".join(as_code(p) if i % 2 else _MARKS.sub(r"\\\1", p) for i, p in enumerate(parts))


def as_code(text: str) -> str:
    """Write text as Markdown's code, fenced by more backticks than stand in it."""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"
