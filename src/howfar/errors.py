"""One shape for every message that stops the work."""

from __future__ import annotations

import errno


class HowfarError(Exception):
    """Input or state that can't give a right answer.

    The message always has four parts, so that a reader can act on it without reading code:
    where (file and line or record), what was found, what was expected, what to do.
    """

    def __init__(self, where: str, *, found: str, expected: str, do: str) -> None:
        self.where, self.found, self.expected, self.do = str(where), found, expected, do
        super().__init__(f"{where}: found {found}; expected {expected}. {do}")


_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def of_file_system(error: OSError) -> HowfarError:
    """What the file system refused, in the four parts of a message."""
    where = error.filename or error.filename2 or "a file of the results folder"
    full = error.errno in _ROOM
    return HowfarError(
        str(where),
        found=f"{error.strerror or error} ({type(error).__name__})",
        expected="room on the disk" if full else "a file or folder that can be read and written",
        do="Make room, or name another results folder; finished parts are kept."
        if full
        else "Correct the path or its permissions.",
    )
