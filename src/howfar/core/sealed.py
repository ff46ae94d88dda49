"""Sealed files: what howfar keeps carries the SHA-256 of its own bytes, checked before reading.

The seal is a mark and a digest that stand somewhere in the file: in a Parquet file's metadata, a
member of a JSON object, the comment of a zip archive (.npz, .pt), the header of a safetensors file.
The digest is that of the file with zeros in the seal's place, so that one check serves every
format, and finds what formats don't check themselves: a flipped bit in a number, a name or a type.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from howfar.core.atomic import whole
from howfar.core.errors import HowfarError, damaged_file, no_such_file

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as arrow

_MARK = "howfar-sha256:"
_ZEROS = "0" * 64
#: What a writer puts into a file for `seal` to fill in.
BLANK = _MARK + _ZEROS
#: The mark with one byte changed, and how far from a file's ends it is looked for.
_ALMOST = re.compile(
    b"|".join(
        re.escape(_MARK[:i]).encode() + b"[^%c]" % ord(c) + re.escape(_MARK[i + 1 :]).encode()
        for i, c in enumerate(_MARK)
    ),
    re.DOTALL,
)
_END = 1 << 16
#: The key under which formats with named values hold it.
KEY = "seal"


def seal(path: Path) -> None:
    """Fill in the blank seal that a file was written with; HowfarError where it has none."""
    digest, at = _digest(path)
    if at < 0:
        raise damaged_file(path, "no place for its checksum", "a file written with a blank seal")
    with path.open("r+b") as handle:
        handle.seek(at)
        handle.write(digest.encode())


def seal_archive(path: Path) -> None:
    """Seal a zip archive (.npz, .pt), in its comment."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = BLANK.encode()
    seal(path)


class Older(HowfarError):
    """A file of ours from before files were sealed."""


def is_sealed(path: Path) -> bool:
    """Whether a file has a seal, and so was written by us."""
    with _mapped(path) as content:
        return _place(content) >= 0


def check(path: str | Path) -> None:
    """HowfarError where a sealed file holds other bytes than were written.

    A file without a seal, such as one of the user's own, is left alone.
    """
    _state(path)


def require(path: str | Path) -> None:
    """HowfarError for a file of ours with other bytes than were written; Older without a seal."""
    if not _state(path):
        raise Older(
            str(path),
            found="a file of an older version of howfar, or a damaged file (it has no checksum)",
            expected="one of this version",
            do="Delete it and run the command again; what it held is made anew.",
        )


def _state(path: str | Path) -> bool:
    status = os.stat(path)
    return _check(str(path), status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=4096)
def _check(path: str, size: int, changed: int, inode: int) -> bool:
    """Whether there is a seal, which fits; HowfarError where it doesn't, or its mark is damaged."""
    digest, at = _digest(Path(path))
    with open(path, "rb") as handle:
        if at >= 0:
            handle.seek(at)
            if handle.read(len(digest)) == digest.encode():
                return True
        else:
            ends = handle.read(_END)
            handle.seek(max(0, size - _END))
            if not _ALMOST.search(ends + handle.read()):
                return False
    raise damaged_file(path, "its checksum doesn't fit", "the bytes that were written")


@contextmanager
def _mapped(path: Path) -> Iterator[bytes | mmap.mmap]:
    with path.open("rb") as handle:
        if os.fstat(handle.fileno()).st_size == 0:
            yield b""
            return
        with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content


def _place(content: bytes | mmap.mmap) -> int:
    """Where the seal's digest stands, or -1. The last mark counts, as a file may tell of seals."""
    at = content.rfind(_MARK.encode())
    return at if at < 0 else at + len(_MARK)


def _digest(path: Path) -> tuple[str, int]:
    """Return the SHA-256 of a file with zeros for its seal, and where that stands, or -1."""
    with _mapped(path) as content:
        at = _place(content)
        if at < 0:
            return "", -1
        with memoryview(content) as bytes_:
            whole_file = hashlib.sha256(bytes_[:at])
            whole_file.update(_ZEROS.encode())
            whole_file.update(bytes_[at + len(_ZEROS) :])
        return whole_file.hexdigest(), at


# --- JSON ------------------------------------------------------------------------------------


def write_json(path: str | Path, values: Mapping[str, Any]) -> None:
    """Write an object as sealed JSON, whole or not at all."""
    text = json.dumps({**values, KEY: BLANK}, indent=1, sort_keys=True)
    with whole(path) as part:
        part.write_text(text + "\n", "utf-8")
        seal(part)


def read_json(path: str | Path) -> dict[str, Any]:
    """Return the object in a JSON file of ours; HowfarError where it is damaged (see `require`)."""
    check(path)
    try:
        values = json.loads(Path(path).read_text("utf-8"))
    except ValueError as error:
        raise damaged_file(path, error, "a JSON object") from error
    if not isinstance(values, dict):
        raise damaged_file(path, f"a JSON {type(values).__name__}", "a JSON object")
    require(path)
    del values[KEY]
    return values


# --- Parquet ---------------------------------------------------------------------------------


@contextmanager
def parquet_writer(
    path: str | Path,
    schema: arrow.Schema,
    metadata: Mapping[bytes, bytes] | None = None,
    **more: Any,
) -> Iterator[Any]:
    """Open a sealed Parquet file to write tables of `schema` to, whole or not at all.

    more: options of ``pyarrow.parquet.ParquetWriter``.
    """
    import pyarrow.parquet as parquet

    full = {**(schema.metadata or {}), **(metadata or {}), KEY.encode(): BLANK.encode()}
    schema = schema.with_metadata(full)
    options = {"compression": "zstd", "write_page_checksum": True} | more
    with whole(path) as part:
        with parquet.ParquetWriter(part, schema, **options) as writer:
            yield writer
        seal(part)


def write_parquet(
    path: str | Path,
    table: arrow.Table,
    metadata: Mapping[bytes, bytes] | None = None,
    **more: Any,
) -> None:
    """Write a table as a sealed Parquet file, whole or not at all; more: as `parquet_writer`."""
    with parquet_writer(path, table.schema, metadata, **more) as writer:
        writer.write_table(table)


def read_parquet(path: str | Path, **options: Any) -> pd.DataFrame:
    """Return the rows of a Parquet file, `options` as of pandas; HowfarError where it is damaged.

    Pages with checksums are compared with them, in files of others too.
    """
    import pandas as pd

    with _readable(path):
        return pd.read_parquet(path, page_checksum_verification=True, **options)


def read_own_parquet(path: str | Path, **options: Any) -> pd.DataFrame:
    """Return the rows of a Parquet file of ours (see `require`), `options` as of pandas."""
    frame = read_parquet(path, **options)
    require(path)
    return frame


def read_parquet_metadata(path: str | Path) -> dict[bytes, bytes]:
    """Return the metadata of a Parquet file; HowfarError where it is damaged."""
    import pyarrow.parquet as parquet

    with _readable(path):
        return dict(parquet.read_schema(path).metadata or {})


@contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    """Raise what pyarrow says of a damaged file as a HowfarError; lack of permission as it is."""
    try:
        check(path)
        yield
    except (HowfarError, PermissionError, MemoryError):
        raise
    except FileNotFoundError as error:
        do = "Run the command that writes it again."
        raise no_such_file(path, "a Parquet file", do) from error
    except Exception as error:  # odd metadata may raise anything
        words = str(error).partition("\n")[0] or type(error).__name__
        raise damaged_file(path, words, "a Parquet file") from error
