"""CPU seconds of a piece of work, so that other work on the machine doesn't count."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def cpu_seconds(work: Callable[[], T], repeats: int = 1) -> tuple[float, T]:
    """Return the fewest CPU seconds of `repeats` calls (at least one), and what the last gave."""
    fewest = float("inf")
    for left in reversed(range(repeats)):
        begun = time.process_time()
        given = work()
        fewest = min(fewest, time.process_time() - begun)
        if left:
            del given  # its memory is given back outside the clock
    return fewest, given
