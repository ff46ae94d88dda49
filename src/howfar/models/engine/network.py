"""What the PyTorch models share: a device, batches of one fixed shape, and too little memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from howfar.core.errors import HowfarError
from howfar.models.base import SequenceModel, encoding_table
from howfar.models.engine.memory import keep_freed
from howfar.models.engine.precision import arithmetic


class NetworkModel(SequenceModel):
    """A `SequenceModel` whose values come from one PyTorch network.

    A subclass sets what `SequenceModel` asks for, calls `_ready`, and gives `_forward`.
    Batches have one fixed shape: the last one is filled up with N, so that a window's values do
    not depend on which windows are beside it. Where a batch doesn't fit into memory, the batch
    size is halved, with a message; values may then differ in the last digit. The network runs in
    the model's `precision` (see `precision.arithmetic`).
    """

    batch_size: int

    def _ready(self, network: Any, device: str, batch_size: int, n_value: float = 0.0) -> None:
        """Put the network on the device, in evaluation mode; `n_value`: N in each channel."""
        import torch

        self.device, self.batch_size = pick_device(device), int(batch_size)
        if self.device == "cpu":
            keep_freed()
        self._network = network.to(self.device).eval()
        self._table = torch.from_numpy(encoding_table(n_value)).to(self.device)

    @property
    def windows_at_once(self) -> int:
        """A few batches: a cohort's windows are never all in memory."""
        return 4 * self.batch_size

    def _forward(self, bases: Any, bins: Sequence[int], tracks: Any) -> Any:
        """One batch: uint8 tensor (batch, context) to float32 tensor (batch, bins, tracks).

        bases: on the model's device, padded with N to the batch size. tracks: long tensor.
        """
        raise NotImplementedError

    def _one_hot(self, bases: Any) -> Any:
        """float32 (batch, context, 4), channels A, C, G, T, of a batch of bytes."""
        return self._table[bases.long()]

    def predict(
        self, windows: np.ndarray, bins: Sequence[int], tracks: Sequence[int]
    ) -> np.ndarray:
        """Values of `bins` and `tracks`: float32 (n, bins, tracks); see `SequenceModel`."""
        import torch

        self._check(windows)
        out = np.empty((len(windows), len(bins), len(tracks)), np.float32)
        rows = torch.as_tensor(list(tracks), device=self.device)
        start = 0
        with torch.inference_mode(), arithmetic(self.precision, self.device):
            while start < len(windows):
                part = windows[start : start + self.batch_size]
                try:
                    values = self._forward(self._batch(part), bins, rows)
                except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                    self._shrink(error)
                    continue
                out[start : start + len(part)] = values[: len(part)].cpu().numpy()
                start += len(part)
        return out

    def _batch(self, windows: np.ndarray) -> Any:
        import torch

        full = np.full((self.batch_size, self.layout.context), ord("N"), np.uint8)
        full[: len(windows)] = windows
        return torch.from_numpy(full).to(self.device)

    def _shrink(self, error: Exception) -> None:
        """Halve the batch where memory ran out; raise `error` where it was something else."""
        if not _out_of_memory(error):
            raise error
        if self.batch_size == 1:
            raise HowfarError(
                f"model {self.name} on {self.device}",
                found=f"too little memory for one window of {self.layout.context:,} bp",
                expected="memory for a batch of one",
                do="Free memory, or choose another `device`.",
            ) from error
        self.batch_size //= 2
        print(
            f"howfar: {self.name} on {self.device}: too little memory; batches of "
            f"{self.batch_size} from here on",
            file=sys.stderr,
        )

    def _check(self, windows: np.ndarray) -> None:
        if windows.dtype == np.uint8 and windows.shape[1:] == (self.layout.context,):
            return
        raise HowfarError(
            f"model {self.name}, windows",
            found=f"{windows.dtype} of shape {windows.shape}",
            expected=f"uint8 of shape (n, {self.layout.context})",
            do="Build the windows with the model's context length.",
        )


def softplus_head(x: Any, weight: Any, bias: Any) -> Any:
    """softplus(weight x + bias): (batch, bins, features) to float64 (batch, bins, tracks).

    Window by window in float64, so that rounding doesn't depend on a window's place in the batch.
    """
    import torch

    apply, positive = torch.nn.functional.linear, torch.nn.functional.softplus
    weight, bias = weight.double(), bias.double()
    return torch.stack([positive(apply(row, weight, bias)) for row in x.double()])


def _out_of_memory(error: Exception) -> bool:
    import torch

    known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return known or "not enough memory" in str(error) or "can't allocate memory" in str(error)


def free_memory() -> float:
    """Bytes of main memory that this process may still take; infinite where that isn't known."""
    free = [float("inf")]
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free.append(int(lines["MemAvailable"].split()[0]) * 1024)
        group = Path("/sys/fs/cgroup")  # a container's or a cluster job's own limit
        limit, used = ((group / f"memory.{x}").read_text().strip() for x in ("max", "current"))
        free.append(int(limit) - int(used))
    except (OSError, ValueError, KeyError):
        pass  # another system, or no limit
    return min(free)


def affordable(name: str, batch_size: int, window_bytes: int, device: str) -> int:
    """`batch_size`, or as many windows of `window_bytes` as main memory holds, with a message.

    On the CPU only: there the system ends a process that takes too much, before an error can be
    caught.
    """
    room = free_memory() // window_bytes
    if device != "cpu" or batch_size <= room:
        return batch_size
    fewer = max(1, int(room))
    print(
        f"howfar: {name} on cpu: memory for batches of {fewer}, not {batch_size}, windows",
        file=sys.stderr,
    )
    return fewer


def pick_device(wanted: str) -> str:
    """'auto' resolved; HowfarError where the device asked for is absent."""
    import torch

    wanted = str(wanted)
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cpu":
        return wanted
    if wanted.split(":")[0] == "cuda" and torch.cuda.is_available():
        index = wanted.partition(":")[2] or "0"
        if index.isdecimal() and int(index) < torch.cuda.device_count():
            return wanted
    raise HowfarError(
        f"device {wanted!r}",
        found=f"{torch.cuda.device_count()} CUDA devices and the CPU",
        expected="'auto', 'cpu', or a CUDA device that is there",
        do="Set `device` to one of them.",
    )
