"""Compiled functions, kept on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable

import numba

#: Sums may be reordered (so that they are vectorised); infinities and NaN keep their meaning.
_FAST = {"reassoc", "contract", "arcp", "nsz"}


def compiled(function: Callable) -> Callable:
    """`function` compiled by numba when first called.

    The compiled code is kept beside the package, else in the user's cache folder or
    NUMBA_CACHE_DIR; where none of them can be written to, it is made again by each process.
    """
    try:
        return numba.njit(cache=True, fastmath=_FAST)(function)
    except RuntimeError:  # numba found no folder to write to
        return numba.njit(fastmath=_FAST)(function)
