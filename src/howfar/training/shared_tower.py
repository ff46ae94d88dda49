"""Training's tower, run once per distinct stretch of sequence.

Haplotypes of one gene differ at few places. With batch norm frozen, an output bin of the tower
depends on its own bases and those of `halo` bins on either side, so bins of equal context are
computed once and gathered into every window that has them; autograd sums what comes back through
the gather, and gradients are those of running each window, up to the order of summation. Stretches
are laid on what differs: one changed base costs 1 + 4 halo bins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from howfar.core.errors import HowfarError


@dataclass(frozen=True)
class Stretches:
    """Which stretches of which windows to run, and where each window's bins are among the results.

    runs: by length in bins, the (window, first bin) of each stretch. index: int64 (windows, bins),
    rows of all results, one after the other. Bins are 0-based, stretches contain their halo.
    """

    runs: dict[int, list[tuple[int, int]]]
    index: np.ndarray
    bin_size: int

    @property
    def work(self) -> float:
        """What the tower runs, in windows' worth."""
        bins = sum(length * len(places) for length, places in self.runs.items())
        return bins / self.index.shape[1]

    def features(
        self, tower: Callable[[Tensor], Tensor], encode: Callable[[Tensor], Tensor], windows: Tensor
    ) -> Tensor:
        """Compute the tower's features of every window: (windows, bins, channels).

        tower: one-hot (n, bases, 4) to (n, bins, channels). encode: uint8 (n, bases) to one-hot.
        windows: uint8 (windows, bases), those that the stretches were laid on.
        """
        size = self.bin_size
        results = []
        for length, places in self.runs.items():
            bases = [windows[w, b * size : (b + length) * size] for w, b in places]
            results.append(tower(encode(torch.stack(bases))).flatten(0, 1))
        rows = torch.as_tensor(self.index, device=results[0].device)
        return torch.cat(results)[rows]


def lay_stretches(windows: np.ndarray, bin_size: int, halo: int) -> Stretches:
    """Lay stretches on what differs between windows: uint8 (windows, bases), whole bins.

    Content alone decides what is shared, indels included. A window's ends, where the tower pads
    with zeros, count as content of their own, and stretches there end where the window does.
    """
    count, bins = len(windows), windows.shape[1] // bin_size
    contexts = _contexts(windows, bin_size, halo)
    known: dict[int, tuple[int, int, int]] = {}  # context to (length, which of it, bin in it)
    runs: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for w in range(count):
        wanted = [b for b in range(bins) if contexts[w, b] not in known]
        for first, last in _joined(wanted, 2 * halo):
            left, right = max(first - halo, 0), min(last + 1 + halo, bins)
            for b in range(first, last + 1):
                known.setdefault(contexts[w, b], (right - left, len(runs[right - left]), b - left))
            runs[right - left].append((w, left))
    starts, total = {}, 0
    for length, places in runs.items():
        starts[length] = total
        total += length * len(places)
    row_of = {c: starts[n] + which * n + b for c, (n, which, b) in known.items()}
    index = np.array([[row_of[c] for c in of_window] for of_window in contexts.tolist()], np.int64)
    return Stretches(dict(runs), index.reshape(count, bins), bin_size)


def _contexts(windows: np.ndarray, bin_size: int, halo: int) -> np.ndarray:
    """Number what each bin sees: int64 (windows, bins), equal where bin and halo are equal."""
    count, bins = len(windows), windows.shape[1] // bin_size
    numbers: dict[bytes, int] = {}
    pieces = np.ascontiguousarray(windows).reshape(count * bins, bin_size)
    content = [numbers.setdefault(piece.tobytes(), len(numbers)) for piece in pieces]
    padded = np.full((count, bins + 2 * halo), -1, np.int64)
    padded[:, halo : halo + bins] = np.reshape(content, (count, bins))
    seen = np.lib.stride_tricks.sliding_window_view(padded, 2 * halo + 1, axis=1)
    flat = seen.reshape(-1, 2 * halo + 1)
    return np.unique(flat, axis=0, return_inverse=True)[1].reshape(count, bins)


def _joined(bins: list[int], gap: int) -> list[tuple[int, int]]:
    """Join bins to runs (first, last), also over a gap that costs less than two halos."""
    joined: list[tuple[int, int]] = []
    for b in bins:
        if joined and b - joined[-1][1] - 1 <= gap:
            joined[-1] = (joined[-1][0], b)
        else:
            joined.append((b, b))
    return joined


def check_frozen(parts: list[nn.Module]) -> None:
    """Refuse parts whose output depends on what is beside a sequence, or on chance."""
    changing = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    for part in parts:
        for module in part.modules():
            if isinstance(module, changing) and module.training:
                raise HowfarError(
                    "training with a shared tower",
                    found=f"a {type(module).__name__} in training mode in the tower",
                    expected="batch norm and dropout of the tower in evaluation mode",
                    do="Call `schedules.freeze_batch_norm` after `train()`, or train plainly.",
                )
