"""Small archives of named files: sealed, and the same bytes each time they are written."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from howfar.core import sealed
from howfar.core.atomic import whole
from howfar.core.errors import HowfarError, damaged_file, no_such_file

_EPOCH = (1980, 1, 1, 0, 0, 0)  # a zip's own first day: no clock changes the bytes
_MOST = 1 << 28  # bytes that a file of an archive may have when unpacked
#: Values are kept to this part of their row's range, or finer.
PARTS = 4096


def write(path: Path, files: Mapping[str, bytes]) -> None:
    """Write files into an archive, whole or not at all."""
    with whole(path) as part:
        with zipfile.ZipFile(part, "w") as archive:
            for name, content in files.items():
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_LZMA)
        sealed.seal_archive(part)


def read(path: Path, names: tuple[str, ...], do: str) -> dict[str, bytes]:
    """Read an archive of exactly these files; HowfarError, ending in `do`, for any other."""
    expected = f"an archive of {' and '.join(names)}, as howfar writes it"
    try:
        sealed.require(path)
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if tuple(each.filename for each in members) != names:
                raise ValueError("other files inside")
            if max(each.file_size for each in members) > _MOST:
                raise ValueError(f"a file of more than {_MOST:,} bytes inside")
            return {each.filename: archive.read(each) for each in members}
    except FileNotFoundError as error:
        raise no_such_file(path, expected, do) from error
    except (PermissionError, IsADirectoryError, MemoryError):
        raise
    except HowfarError as error:
        raise damaged_file(path, error.found, expected, do) from error
    except Exception as error:  # a crafted archive may raise anything
        words = str(error).partition("\n")[0] or type(error).__name__
        raise damaged_file(path, words, expected, do) from error


def rounded(values: np.ndarray) -> np.ndarray:
    """Round each row to 1/4,096 of its range or finer; float64, as constant rows stay.

    Steps are powers of two, which pack well; r changes by less than 5e-4, with long tails too.
    """
    values = np.asarray(values, float)
    given = np.isfinite(values)
    top = np.where(given, values, -np.inf).max(axis=1)
    bottom = np.where(given, values, np.inf).min(axis=1)
    spread = given.any(axis=1) & (top > bottom)
    step = np.exp2(np.floor(np.log2(np.where(spread, top - bottom, PARTS) / PARTS)))[:, None]
    return np.where(spread[:, None], np.round(values / step) * step, values)


def array_bytes(values: np.ndarray) -> bytes:
    """Write a matrix as a .npy file."""
    content = io.BytesIO()
    np.save(content, np.ascontiguousarray(values, "<f8"), allow_pickle=False)
    return content.getvalue()


def read_array(content: bytes) -> np.ndarray:
    """Read what `array_bytes` has written; ValueError for anything else."""
    stream = io.BytesIO(content)
    values = np.load(stream, allow_pickle=False)
    if values.dtype != np.dtype("<f8") or values.ndim != 2 or stream.read(1):
        raise ValueError("no matrix of numbers")
    return values
