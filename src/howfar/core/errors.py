"""One shape for every message that stops the work."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from howfar.core.counts import counted


class HowfarError(Exception):
    """Input or state that can't give a right answer.

    The message always has four parts, so that a reader can act on it without reading code:
    where (file and line or record), what was found, what was expected, what to do.

    Examples
    --------
    >>> import howfar as hf
    >>> try:
    ...     hf.load_study("no_such_study")
    ... except hf.HowfarError as error:
    ...     print(error.found)
    no such file
    """

    def __init__(self, where: str, *, found: str, expected: str, do: str) -> None:
        self.where, self.do = str(where), do
        self.found, self.expected = counted(found), counted(expected)
        super().__init__(self.where)

    def __str__(self) -> str:
        return f"{self.where}: found {self.found}; expected {self.expected}. {self.do}"

    def __reduce__(self) -> tuple[Any, ...]:  # an error of another process comes back whole
        return _made, (type(self), self.where, self.found, self.expected, self.do)


class NotMade(HowfarError):
    """A result that isn't there yet, or was made from other files or options."""


def _made(kind: type[HowfarError], where: str, found: str, expected: str, do: str) -> HowfarError:
    return kind(where, found=found, expected=expected, do=do)


def no_such_file(
    path: str | Path, expected: str, do: str = "Correct the path in the study file or the command."
) -> HowfarError:
    """The error for a file that isn't there."""
    return HowfarError(str(path), found="no such file", expected=expected, do=do)


def wrong_option(name: str, found: object, expected: str, do: str = "") -> HowfarError:
    """The error for an option (``--score``, a key) whose value `found` can't be used."""
    return HowfarError(name, found=repr(found), expected=expected, do=do or f"Correct {name}.")


def damaged_file(
    path: str | Path,
    trouble: object,
    expected: str,
    do: str = "Delete it and run the command again; what it held is made anew.",
) -> HowfarError:
    """The error for a file of ours that can't be read as it was written."""
    return HowfarError(str(path), found=f"a damaged file ({trouble})", expected=expected, do=do)


@contextmanager
def about(place: str | Path) -> Iterator[None]:
    """Puts `place` before the `where` of a HowfarError from inside that names no file.

    place: a file, or a file and a place in it ("study.yaml, run enformer"). An option of the
    command line is a place of its own and stays as it is.
    """
    try:
        yield
    except HowfarError as error:
        if not _is_complete(error.where):
            error.where = f"{place}, {error.where}"
        raise


#: A file by its looks: a path with a folder, or one word with a suffix. Whether it is there plays
#: no part, as a message must not depend on what lies in the current folder.
_FILE = re.compile(r"\S*/.*|\S+\.[A-Za-z]\w*|.*/.*\.[A-Za-z]\w*")


def _is_complete(where: str) -> bool:
    """Whether `where` begins with an option of the command line or a file."""
    first = where.split(", ")[0].split(" against ")[0]
    return first.startswith("--") or _FILE.fullmatch(first) is not None


def refused_option(error: TypeError) -> str:
    """What Python says of an argument that a function doesn't take, in words."""
    name = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    return f"the option {name[1]!r}" if name else str(error)


_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def no_room(error: OSError) -> bool:
    """Whether the disk, or the room that a user may take on it, is full."""
    return error.errno in _ROOM


def _in_words(error: OSError) -> str:
    if isinstance(error, NotADirectoryError | FileExistsError):
        return "a file where a folder should be"
    text = os.strerror(error.errno) if error.errno else str(error)
    return text[:1].lower() + text[1:]


def of_memory(error: MemoryError) -> HowfarError:
    """Return a HowfarError for a MemoryError."""
    return HowfarError(
        "the memory of this machine",
        found=f"none left ({error})" if str(error) else "none left",
        expected="room for the next step",
        do="End other programs, or ask for less at once (batch_size, cores, tracks); finished "
        "parts are kept.",
    )


def of_file_system(error: OSError) -> HowfarError:
    """Return a HowfarError for an OSError."""
    where = error.filename or error.filename2 or "a file of the results folder"
    full = no_room(error)
    return HowfarError(
        str(where),
        found=_in_words(error),
        expected="room on the disk" if full else "a file or folder that can be read and written",
        do="Make room, or name another results folder; finished parts are kept."
        if full
        else "Correct the path or its permissions.",
    )
