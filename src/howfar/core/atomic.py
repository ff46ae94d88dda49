"""Atomic writes, safe file names, inputs that stay as they are, and one command at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import socket
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from howfar.core.errors import HowfarError, no_room

#: Files that the command at work reads: `whole` writes over none of them.
_inputs: list[Path] = []
#: Endings of what belongs to an input: indexes after its whole name, PLINK's files after a prefix.
_INDEXES = (".fai", ".gzi", ".tbi", ".csi")
_PLINK = (".bed", ".bim", ".fam", ".pgen", ".pvar", ".pvar.zst", ".psam")
#: Names this machine in the names of half-made files, as its process numbers are its own.
_MACHINE = f"{zlib.crc32(socket.gethostname().encode()):08x}"
_PART = re.compile(rf"\..+\.{_MACHINE}-(\d+)\.part")


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
    whatever library wrote to it. HowfarError where `path` is an input (see `keep_inputs`).
    """
    path = Path(path)
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    _refuse_input(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        if error.filename == str(part) or (no_room(error) and error.filename is None):
            error.filename = str(path)
        raise
    finally:
        shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """The name under which this process writes `path` till it is whole; see `sweep`."""
    return path.with_name(f".{path.name}.{_MACHINE}-{os.getpid()}.part")


def sweep(folder: Path) -> None:
    """Delete what killed processes of this machine left half-made in a folder and below it."""
    for path in folder.rglob(".*.part"):
        match = _PART.fullmatch(path.name)
        if match and not _is_alive(int(match[1])):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


@contextmanager
def keep_inputs(paths: Iterable[Path]) -> Iterator[None]:
    """Take files as inputs: until the end, `whole` writes over none of them.

    So are the indexes beside them, PLINK's files of one prefix, and a folder's files. A link to an
    input, symbolic or hard, and a path through a linked folder count as the input.
    """
    before = len(_inputs)
    _inputs.extend(each for path in paths for each in _with_others(path.absolute()))
    try:
        yield
    finally:
        del _inputs[before:]


def _with_others(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir():
        yield from (each for each in path.rglob("*") if each.is_file())
    prefix = path.with_suffix("") if path.suffix in _PLINK else path
    names = [path.name + end for end in _INDEXES] + [prefix.name + end for end in _PLINK]
    with suppress(OSError):  # a name too long to be a file's
        yield from (each for name in names if (each := path.parent / name).is_file())


def _refuse_input(path: Path) -> None:
    if not path.exists():
        return
    for each in _inputs:
        with suppress(OSError):
            if os.path.samefile(path, each):
                raise HowfarError(
                    str(path),
                    found="a path to write to that is an input"
                    + ("" if path.absolute() == each else f", {each}, by another name or a link"),
                    expected="a new file, or one that howfar made",
                    do="Write to another path; inputs stay as they are.",
                )


@contextmanager
def only_one(lock: Path, what: str, do: str = "Wait for it to end.") -> Iterator[IO[str]]:
    """Hold a lock file, whose handle is given; HowfarError where another process holds it.

    what: the command at work, for the message, which names its process too. Nothing is written to
    the file, and no link is followed. The system frees it when the last process with the handle
    ends, however that happens.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HowfarError(
                str(lock.parent),
                found=f"another {what} at work here{_holder(handle)}",
                expected="one at a time",
                do=do,
            ) from error
        yield handle


def _holder(handle: IO[str]) -> str:
    """Name the process that holds a lock, where the system says it (Linux)."""
    with suppress(OSError, ValueError):
        inode = os.fstat(handle.fileno()).st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            _, kind, *_, process, file, _, _ = line.split()
            if kind == "FLOCK" and file.endswith(f":{inode}"):
                return f", process {process}"
    return ""
