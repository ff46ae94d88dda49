"""What PyTorch models share: start-up, device, batches of one fixed shape, too little memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from howfar.core.errors import HowfarError
from howfar.core.provenance import digest
from howfar.models.base import Card, SequenceModel, encoding_table
from howfar.models.engine import VERSION, substitutions
from howfar.models.engine.iupac import letters_table
from howfar.models.engine.memory import keep_freed
from howfar.models.engine.options import NetworkOptions
from howfar.models.engine.precision import arithmetic, check_precision
from howfar.models.engine.substitutions import Local
from howfar.models.weights.locating import check_fetched, check_package, locate


class NetworkModel(SequenceModel):
    """A `SequenceModel` whose values come from one PyTorch network.

    Every network of the zoo starts in the same way, `__init__`, and fills in the steps that are
    its own: `_describe`, `_build`, and `_forward`. `notes` say how values are made.
    Batches have one fixed shape: the last one is filled up with N, so that a window's values do
    not depend on which windows are beside it. Where a batch doesn't fit into memory, the batch
    size is halved, with a message; values may then differ in the last digit. The network runs in
    the model's `precision` (see `precision.arithmetic`).
    """

    version = MappingProxyType({"engine": VERSION})
    option_class: ClassVar[type[NetworkOptions]] = NetworkOptions
    card: ClassVar[Card]
    options: NetworkOptions
    batch_size: int
    notes: tuple[str, ...] = ()

    def __init__(self, weights: Path | None = None, device: str = "auto", **options: Any) -> None:
        """Load and check the network.

        weights: its file or folder of weights; None: what `howfar fetch` brought. device: 'cpu',
        'cuda', 'cuda:1', 'auto'. options: those of the network's `option_class`. Raises
        HowfarError for anything that doesn't fit.
        """
        check_package(self.name, self.card)
        self.options = self.option_class.read(self.name, options)
        self.device = pick_device(device)
        self.precision = check_precision(self.name, self.options.precision, self.device)
        if weights is None and not self.options.pretrained:
            check_fetched(self.name, self.card.sources)
        file = self._locate(weights)
        self._describe(file)
        self._check_options()
        table = self._letters()
        network = self._build(file)
        self.weights_sha256 = self._checksum(file)
        self.notes = self._notes(network)
        batch_size = affordable(
            self.name, self.options.batch_size, self._window_bytes(), self.device
        )
        self._ready(network, self.device, batch_size, table)

    def _locate(self, weights: Path | None) -> Path:
        """Find the file of weights, by default the fetched one; HowfarError if there is none."""
        return locate(self.name, weights, self.card.sources[0])

    def _describe(self, file: Path) -> None:
        """Set layout, tracks and units, from the options and what lies beside the weights."""

    def _check_options(self) -> None:
        """Check options that need the layout."""

    def _letters(self) -> np.ndarray:
        """Return float32 (256, 4): the row of channels A, C, G, T of each ASCII byte."""
        return letters_table(self.name, self.options.iupac, self.options.n_value)

    def _build(self, file: Path) -> Any:
        """Make the PyTorch network with its weights."""
        raise NotImplementedError

    def _checksum(self, file: Path) -> str:
        return digest(file)

    def _notes(self, network: Any) -> tuple[str, ...]:
        return ()

    def _window_bytes(self) -> int:
        """Return bytes of main memory that one window takes; 0 where that is no concern."""
        return 0

    def _ready(
        self, network: Any, device: str, batch_size: int, table: np.ndarray | None = None
    ) -> None:
        """Put the network on the device, in evaluation mode; `table`: see `_letters`."""
        import torch

        self.device, self.batch_size = pick_device(device), int(batch_size)
        if self.device == "cpu":
            keep_freed()
        self._network = network.to(self.device).eval()
        self.__dict__.pop("_kept_local", None)
        table = encoding_table() if table is None else table
        self._table = torch.from_numpy(table).to(self.device)

    @property
    def network(self) -> Any:
        """The PyTorch network, for engines that compute its parts themselves."""
        return self._network

    @property
    def memory(self) -> float:
        """Bytes that a batch takes at most, reckoned; 0 where that isn't known."""
        return self.batch_size * self._window_bytes()

    @property
    def windows_at_once(self) -> int:
        """A few batches: a cohort's windows are never all in memory."""
        return 4 * self.batch_size

    def _forward(self, bases: Any, bins: Sequence[int], tracks: Any) -> Any:
        """Turn a batch, uint8 tensor (batch, context), into float32 tensor (batch, bins, tracks).

        bases: on the model's device, padded with N to the batch size. tracks: long tensor.
        """
        raise NotImplementedError

    def _one_hot(self, bases: Any) -> Any:
        """Return float32 (batch, context, 4), channels A, C, G, T, of a batch of bytes."""
        return self._table[bases.long()]

    def predict(
        self, windows: np.ndarray, bins: Sequence[int], tracks: Sequence[int]
    ) -> np.ndarray:
        """Predict `bins` and `tracks`: float32 (n, bins, tracks); see `SequenceModel`."""
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

    def _local(self) -> Local | None:
        """Return the network as layers that see few neighbours; None where it isn't so read."""
        return None

    @cached_property
    def _kept_local(self) -> Local | None:
        return self._local()

    def predict_substitutions(
        self,
        window: np.ndarray,
        positions: np.ndarray,
        letters: np.ndarray,
        bins: Sequence[int],
        tracks: Sequence[int],
    ) -> Iterator[np.ndarray]:
        """Yield values of substitutions; see `SequenceModel`, and `substitutions` for how."""
        import torch

        local = self._kept_local
        if local is None or not len(positions):
            yield from super().predict_substitutions(window, positions, letters, bins, tracks)
            return
        self._check(window[None])
        rows = torch.as_tensor(list(tracks), device=self.device)
        with torch.inference_mode(), arithmetic(self.precision, self.device):
            yield from substitutions.values(
                self, local, window, positions, letters, list(bins), rows
            )

    def _batch(self, windows: np.ndarray) -> Any:
        import torch

        full = np.full((self.batch_size, self.layout.context), ord("N"), np.uint8)
        full[: len(windows)] = windows
        return torch.from_numpy(full).to(self.device)

    def _shrink(self, error: Exception) -> None:
        """Halve the batch where memory ran out; raise `error` where it was something else."""
        if not out_of_memory(error):
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
    """Apply softplus(weight x + bias): (batch, bins, features) to float64 (batch, bins, tracks).

    Window by window in float64, so that rounding doesn't depend on a window's place in the batch.
    """
    import torch

    apply, positive = torch.nn.functional.linear, torch.nn.functional.softplus
    weight, bias = weight.double(), bias.double()
    return torch.stack([positive(apply(row, weight, bias)) for row in x.double()])


def out_of_memory(error: Exception) -> bool:
    """Tell whether an error says that memory ran out."""
    import torch

    known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return known or "not enough memory" in str(error) or "can't allocate memory" in str(error)


def free_memory() -> float:
    """Return the bytes of main memory that this process may still take; infinite if unknown."""
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
    """Lower `batch_size`, with a message, to as many windows as main memory holds.

    On the CPU only: there the system ends a process that takes too much, before an error can be
    caught.
    """
    if device != "cpu" or batch_size * window_bytes <= (free := free_memory()):
        return batch_size
    fewer = max(1, int(free // window_bytes))
    print(
        f"howfar: {name} on cpu: memory for batches of {fewer}, not {batch_size}, windows",
        file=sys.stderr,
    )
    return fewer


def pick_device(wanted: str) -> str:
    """Resolve 'auto'; HowfarError where the device asked for is absent."""
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
