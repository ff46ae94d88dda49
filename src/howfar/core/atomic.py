"""Atomic writes and safe file names."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from howfar.core.errors import no_room


def file_name(text: str) -> str:
    """An identifier as the name of one file: itself but for slashes, written as in addresses.

    Different identifiers have different names, and none leads to another folder.
    """
    if set(text) <= {"."}:
        return text.replace(".", "%2E")
    return text.replace("%", "%25").replace("/", "%2F")


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A name to write `path` under; what was written takes its place at the end.

    Of a failure nothing is left, and `path` stays as it was. A folder can take the place of an
    empty one alone. Folders above `path` are made. An OSError of a disk without room names `path`,
    whatever library wrote to it.
    """
    path = Path(path)
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        if error.filename == str(part) or (no_room(error) and error.filename is None):
            error.filename = str(path)
        raise
    finally:
        shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
