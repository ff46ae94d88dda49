"""Progress lines of long work, and prefetching."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TextIO, TypeVar

T = TypeVar("T")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def track(
    items: Iterable[T],
    total: int,
    what: str,
    *,
    done: int = 0,
    every: float = 5.0,
    stream: TextIO | None = None,
) -> Iterator[T]:
    """Yield `items`, printing e.g. ``predict: 40/240 genes, 3.1/s, 1:05 left``.

    `done` of `total` were finished by an earlier run and don't count for the rate. The last line
    is always printed, so that a log tells how the work ended.
    """
    out = stream or sys.stderr
    start = last = time.monotonic()
    unit = what.split()[-1]
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        finished = done + count
        if now - last >= every or finished == total:
            rate = count / max(now - start, 1e-9)
            left = _clock((total - finished) / rate)
            print(f"{what}: {finished}/{total}, {rate:.3g} {unit}/s, {left} left", file=out)
            last = now


def ahead(items: Iterable[T]) -> Iterator[T]:
    """Prefetch: compute the next item in a thread while the caller works on the last.

    For work that waits on two things in turn: reading files, and a device. An error of `items`
    is raised where its item would have come.
    """
    source = iter(items)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(list, islice(source, 1))
        while item := coming.result():
            coming = pool.submit(list, islice(source, 1))
            yield item[0]
