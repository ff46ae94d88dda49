"""Main memory of networks: kept from layer to layer.

glibc gives each freed block of some size back to the system and takes it anew, page by page, for
the next layer. Over long sequences that takes as long as the arithmetic.
"""

from __future__ import annotations

import ctypes
import os
import platform
from functools import lru_cache
from typing import Any

# mallopt(3): options, and values in bytes, of which the largest is that of a C int
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT = {_MMAP_THRESHOLD: 1 << 30, _TRIM_THRESHOLD: 2**31 - 1}


def keep_freed() -> bool:
    """Have this process keep freed blocks of up to 1 GiB for itself; whether that was done.

    It isn't where the C library is another one, or where MALLOC_ variables or GLIBC_TUNABLES set
    the user's own wish. The process stays as large as it once was.
    """
    asked = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    library = _glibc()
    if library is None or asked:
        return False
    return all(library.mallopt(option, value) for option, value in _KEPT.items())


def give_back() -> None:
    """Give what is free back to the system, so that memory in use can be measured."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@lru_cache(maxsize=1)
def _glibc() -> Any:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
