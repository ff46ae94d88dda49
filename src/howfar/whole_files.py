"""Writing a file or folder whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import no_room


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
