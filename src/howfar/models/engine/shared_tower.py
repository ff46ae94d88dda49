"""The convolution tower of a cohort, each distinct stretch of sequence computed once.

A network such as Enformer or Basenji2 begins with a tower of convolutions and poolings, most of
its arithmetic, whose output bin depends on little more than the bin's own bases: 646 bp for a bin
of 128. People differ at few places, so among the haplotypes of a cohort the same stretches occur
again and again. Here each window is cut into blocks of bins; the sequence of a block, with a halo
of bins on either side that covers what the tower sees beyond it, is looked up by its content, and
the tower is run on those contents only that were not seen before. In evaluation mode the result
equals the plain one up to the order of summation. Indels need no special case: content alone
decides.

The window's two ends are special, because there the tower pads with zeros: their blocks have no
halo on that side, and are never mistaken for inner ones.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from howfar.core.errors import HowfarError


@dataclass(frozen=True)
class Cut:
    """One block of a window: output bins start..stop, read from the bins left..right (0-based)."""

    start: int
    stop: int
    left: int
    right: int
    end: bytes  # b"L", b"R", b"LR" at the window's ends, b"" inside

    @property
    def inner(self) -> slice:
        """The block's own bins among those read."""
        return slice(self.start - self.left, self.stop - self.left)


def cuts(n_bins: int, block: int, halo: int, whole: float | None = None) -> list[Cut]:
    """List the blocks of a window of `n_bins` bins, `block` a divisor of it.

    whole: bins that the sequence fills, where its end lies within a bin or before the last ones.
    """
    whole = n_bins if whole is None else whole
    if block < 1 or n_bins % block:
        raise HowfarError(
            f"blocks of {block} bins",
            found=f"a window of {n_bins} bins, which they don't divide",
            expected="a divisor of the window's bins",
            do="Choose another block length.",
        )
    blocks = []
    for start in range(0, n_bins, block):
        left, right = max(start - halo, 0), min(start + block + halo, n_bins)
        end = (b"L" if start < halo else b"") + (b"R" if start + block + halo > whole else b"")
        blocks.append(Cut(start, start + block, left, right, end))
    return blocks


def block_of(n_bins: int, wanted: int) -> int:
    """Return the divisor of `n_bins` nearest to `wanted`, the smaller of two."""
    divisors = [b for b in range(1, n_bins + 1) if n_bins % b == 0]
    return min(divisors, key=lambda b: (abs(b - wanted), b))


def halo_of(kernels: list[int], bin_size: int) -> int:
    """Count bins that a tower sees beyond a bin, of convolutions each followed by pooling by two.

    Half the receptive field beyond the bin is the sum of (kernel // 2) * 2**depth bases; Enformer
    and Basenji2 (15, then six of 5) see 259 bases, so 3 bins of 128.
    """
    bases = sum(kernel // 2 * 2**depth for depth, kernel in enumerate(kernels))
    return -(-bases // bin_size)


class SharedTower:
    """Tower features of windows, with a bounded memory of the stretches seen so far.

    tower: (one-hot tensor (batch, bases, 4)) -> features (batch, bases // bin_size, channels), in
    evaluation mode. encode: uint8 tensor (batch, bases) -> one-hot tensor. stretches: how many
    are computed at a time, always in one fixed shape, so that a stretch's features do not depend
    on what is computed beside it. memory: bytes for remembered features; those used longest ago
    go first, so memory doesn't grow with the number of people. bases: of a window, where that is
    less than its bins have. Windows may also be arrays (n, bases, ...) of any kind, for `encode`.
    """

    def __init__(
        self,
        tower: Callable[[Any], Any],
        encode: Callable[[Any], Any],
        *,
        n_bins: int,
        bin_size: int,
        channels: int,
        halo: int,
        block: int,
        stretches: int,
        memory: float,
        device: str,
        bases: int | None = None,
    ) -> None:
        self._tower, self._encode, self._device = tower, encode, device
        self._bases = n_bins * bin_size if bases is None else bases
        self._cuts = cuts(n_bins, block, halo, self._bases / bin_size)
        self._bin_size, self._block, self._stretches = bin_size, block, stretches
        self._shape = (max(int(memory // (4 * block * channels)), len(self._cuts)), block, channels)
        self._store: Any = None  # of that shape: (slots, block, channels)
        self._slots: OrderedDict[bytes, int] = OrderedDict()  # content to slot, oldest first
        #: Bins asked for, and bins for which the tower was run (halos and filling included).
        self.bins_asked, self.bins_run = 0, 0

    def features(self, windows: np.ndarray, batch: int) -> Iterator[tuple[Any, int]]:
        """Yield features of `windows` (uint8 (n, bases)), in batches of `batch` windows.

        Yields (features (batch, n_bins, channels), how many of them are real) in the order of
        `windows`: a last batch is filled up with its last window, so that every batch has one
        shape. New contents are looked for in as many windows at a time as the memory holds.
        """
        keys = [self._keys(window) for window in windows]
        start = 0
        while start < len(keys):
            stop = self._reach(keys, start, batch)
            self._compute_missing(windows[start:stop], keys[start:stop])
            for first in range(start, stop, batch):
                of_batch = keys[first : min(first + batch, stop)]
                yield (
                    self._gather(of_batch + of_batch[-1:] * (batch - len(of_batch))),
                    len(of_batch),
                )
            start = stop

    def _keys(self, window: np.ndarray) -> list[bytes]:
        """Return the key of each block of one window: its content, and whether it is at an end."""
        from xxhash import xxh3_128_digest

        data, size = np.ascontiguousarray(window), self._bin_size
        return [c.end + xxh3_128_digest(data[c.left * size : c.right * size]) for c in self._cuts]

    def _reach(self, keys: list[list[bytes]], start: int, batch: int) -> int:
        """Return the end of the longest run of windows whose contents fit into memory together.

        At least one window, at most all; whole batches where more than one fits.
        """
        seen: set[bytes] = set()
        stop = start
        while stop < len(keys):
            seen.update(keys[stop])
            if len(seen) > self._shape[0] and stop > start:
                break
            stop += 1
        whole = start + (stop - start) // batch * batch
        return stop if stop == len(keys) or whole == start else whole

    def _compute_missing(self, windows: np.ndarray, keys: list[list[bytes]]) -> None:
        """Run the tower on the contents of these windows that aren't in memory."""
        wanted: dict[bytes, tuple[int, Cut]] = {}
        for row, names in enumerate(keys):
            wanted |= {key: (row, cut) for key, cut in zip(names, self._cuts, strict=True)}
            self.bins_asked += self._block * len(names)
        missing: dict[int, list[tuple[bytes, int, Cut]]] = {}
        for key, (row, cut) in wanted.items():
            if key in self._slots:
                self._slots.move_to_end(key)  # in use: not to be given away below
            else:
                bases = min(cut.right * self._bin_size, self._bases) - cut.left * self._bin_size
                missing.setdefault(bases, []).append((key, row, cut))
        for length, items in missing.items():
            for first in range(0, len(items), self._stretches):
                self._compute(windows, items[first : first + self._stretches], length)

    def _compute(self, windows: np.ndarray, items: list, length: int) -> None:
        """Run the tower once, on up to `stretches` contents of `length` bases each."""
        import torch
        from torch.nn.functional import pad

        size = self._bin_size
        shape = (self._stretches, length, *windows.shape[2:])
        bases = np.full(shape, ord("N") if windows.dtype == np.uint8 else 0, windows.dtype)
        for k, (_, row, cut) in enumerate(items):
            bases[k] = windows[row, cut.left * size : cut.right * size]
        features_run = self._tower(self._encode(torch.from_numpy(bases).to(self._device)))
        self.bins_run += features_run.shape[0] * features_run.shape[1]
        if self._store is None:
            self._store = torch.empty(self._shape, dtype=features_run.dtype, device=self._device)
        slots = [self._slot(key) for key, _, _ in items]
        inner = [features_run[i, cut.inner] for i, (_, _, cut) in enumerate(items)]
        # bins that the sequence doesn't fill are zero
        inner = [pad(rows, (0, 0, 0, self._block - len(rows))) for rows in inner]
        self._store[torch.as_tensor(slots, device=self._device)] = torch.stack(inner)

    def _slot(self, key: bytes) -> int:
        """Return a free slot for `key`, or that of the content used longest ago."""
        slot = len(self._slots)
        if slot == self._shape[0]:
            _, slot = self._slots.popitem(last=False)
        self._slots[key] = slot
        return slot

    def _gather(self, keys: list[list[bytes]]) -> Any:
        """Gather features of whole windows from the memory."""
        import torch

        slots = torch.as_tensor(
            [[self._slots[key] for key in names] for names in keys], device=self._device
        )
        return self._store[slots].flatten(1, 2)
