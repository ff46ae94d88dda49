"""A network with a convolution tower, run over a cohort without doing the same work twice.

`SharedNetwork` splits a network in two: the tower, shared between haplotypes by `SharedTower`,
and what follows it, which sees the whole window. ``engine="plain"`` runs the whole network on
each window instead: the oracle that the shared engine is verified against.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from howfar.core.errors import HowfarError
from howfar.models.base import reverse_complement, shift_windows
from howfar.models.engine.agreement import ROUNDING, difference, ended
from howfar.models.engine.network import NetworkModel, free_memory, out_of_memory
from howfar.models.engine.options import bad_option
from howfar.models.engine.precision import arithmetic
from howfar.models.engine.shared_tower import SharedTower, block_of
from howfar.models.engine.substitutions import Layer, Local, of_features

ENGINES = ("shared", "plain")
#: Bins of a block: fewest bins to run on the real megabase (421 people), of 4 to 96.
BLOCK = 8
#: Bases that the tower is run on at a time, at most: what bounds its memory for long windows.
MOST_BASES = {"cpu": 196_608, "cuda": 2**20}
#: Bytes for remembered features: a quarter of what is free, and no more than this.
MOST_MEMORY = {"cpu": 2 * 2**30, "cuda": 16 * 2**30}


@dataclass(frozen=True)
class Parts:
    """A network in two parts.

    tower: one-hot tensor (batch, length, 4) to features (batch, length // bin_size, channels).
    after: (features, bins, tracks) to values (batch, bins, tracks), `bins` as the model's output
    numbers them. halo: bins that the tower sees beyond a bin. views: (shift, whether reverse
    complemented) of the windows whose values are averaged. layers: those of the tower, for
    substitutions (see `substitutions`). unit: bp of a bin of the tower, 0: an output bin. near: of
    a network that goes back to finer bins (U-shaped), what it needs around the bins asked for;
    `after` then gets (features, near features, number of the first bin of these) as its features.
    paired: (tracks) to those that hold their values in a reverse complement. attention:
    (features, bins) to what those bins attend to, (batch, layers, heads, bins, all bins); bins at
    the sequence's ends that `after` crops count.
    """

    tower: Callable[[Any], Any]
    after: Callable[[Any, Sequence[int], Any], Any]
    channels: int
    halo: int
    views: tuple[tuple[int, bool], ...] = ((0, False),)
    layers: Callable[[], Sequence[Layer]] | None = None
    attention: Callable[[Any, Sequence[int]], Any] | None = None
    unit: int = 0
    near: Near | None = None
    paired: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Near:
    """What a U-shaped network needs of the sequence around the bins asked for alone.

    tower, channels: as of `Parts`, before the last pooling. around: (output bins) to (first, stop),
    the tower's bins that they need.
    """

    tower: Callable[[Any], Any]
    channels: int
    around: Callable[[Sequence[int]], tuple[int, int]]


class SharedNetwork(NetworkModel):
    """A `NetworkModel` whose convolution tower is shared between windows."""

    engine = "plain"
    _parts: Parts

    def __init__(self, weights: Path | None = None, device: str = "auto", **options: Any) -> None:
        """Load and check the network; see `NetworkModel`."""
        super().__init__(weights, device, **options)
        self._share(self._split(self._network), self.options.engine)

    def _split(self, network: Any) -> Parts:
        """Return the network in two parts."""
        raise NotImplementedError

    def _check_options(self) -> None:
        super()._check_options()
        _check_engine(self.name, self.options.engine)

    def _share(self, parts: Parts, engine: str, memory: float | None = None) -> None:
        """Use that engine from now on; call after `_ready`. memory: bytes for features."""
        _check_engine(self.name, engine)
        _refuse_training(self.name, self._network)
        self.engine, self._parts, self._memory = engine, parts, memory
        self.compared = False
        if engine == "shared":
            self._tower = self._new_tower()

    @property
    def windows_at_once(self) -> int:
        """Many, where new stretches of sequence are looked for in all of them together."""
        return 256 if self.engine == "shared" else super().windows_at_once

    @property
    def memory(self) -> float:
        """Bytes that a batch takes, with the features that are remembered."""
        kept = MOST_MEMORY[self.device.split(":")[0]] if self.engine == "shared" else 0
        return super().memory and super().memory + kept

    def _new_tower(self, memory: float | None = None) -> SharedTower:
        self._near_tower: tuple[tuple[int, int], SharedTower] | None = None
        bins = self.layout.context // self._unit
        return self._tower_of(self._parts.tower, self._parts.channels, bins, memory)

    @property
    def _unit(self) -> int:
        return self._parts.unit or self.layout.bin_size

    def _tower_of(
        self, tower: Callable[[Any], Any], channels: int, bins: int, memory: float | None = None
    ) -> SharedTower:
        memory = self._memory if memory is None else memory
        block = block_of(bins, min(BLOCK, max(1, bins // 4)))
        # One window's worth of stretches at a time fills two cores; a GPU wants more.
        windows = 1 if self.device == "cpu" else self.batch_size
        read, kind = block + 2 * self._parts.halo, self.device.split(":")[0]
        most = MOST_BASES[kind] // self.layout.bin_size
        stretches = max(1, min(windows * bins, most) // read)
        return SharedTower(
            tower,
            self._one_hot,
            n_bins=bins,
            bin_size=self._unit,
            channels=channels,
            halo=self._parts.halo,
            block=block,
            stretches=stretches,
            memory=room(self.device) if memory is None else memory,
            device=self.device,
        )

    def _with_near(self, features: Any, windows: np.ndarray, bins: Sequence[int]) -> Any:
        """Return what `Parts.after` takes: features, and those near the bins where it needs some.

        windows: those that the features are of; a batch is filled up with the last one.
        """
        import torch

        near = self._parts.near
        if near is None:
            return features
        first, stop = near.around(bins)
        halo, n_bins = self._parts.halo, self.layout.context // self._unit
        span = max(0, first - halo), min(n_bins, stop + halo)
        if self._near_tower is None or self._near_tower[0] != span:
            made = self._tower_of(near.tower, near.channels, span[1] - span[0])
            self._near_tower = span, made
        part = windows[:, span[0] * self._unit : span[1] * self._unit]
        found = [rows[:n] for rows, n in self._near_tower[1].features(part, len(part))]
        # what lies within the halo of the part's own ends is wrong, and isn't asked for
        rows = torch.cat(found)[:, first - span[0] : stop - span[0]]
        filled = rows[-1:].expand(len(features) - len(rows), *rows.shape[1:])
        return features, torch.cat([rows, filled]), first

    def predict(
        self, windows: np.ndarray, bins: Sequence[int], tracks: Sequence[int]
    ) -> np.ndarray:
        """Predict `bins` and `tracks`: float32 (n, bins, tracks); see `SequenceModel`.

        Some of the first windows are predicted by the plain engine as well; where that differs by
        more than rounding, nothing is shared from then on.
        """
        import torch

        if self.engine == "plain":
            return super().predict(windows, bins, tracks)
        self._check(windows)
        rows = torch.as_tensor(list(tracks), device=self.device)
        with torch.inference_mode(), arithmetic(self.precision, self.device):
            while True:
                try:
                    values = self._mean_of_views(windows, list(bins), rows).astype(np.float32)
                    break
                except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                    self._shrink(error)
                    self._tower = self._new_tower()
        if self.compared or not len(windows):
            return values
        self.compared = True
        reason = self._unlike_plain(windows, list(bins), rows, values)
        if not reason:
            return values
        self.engine, self.notes = "plain", (ended(self, reason), *self.notes)
        return super().predict(windows, bins, tracks)

    def _unlike_plain(
        self, windows: np.ndarray, bins: list[int], rows: Any, values: np.ndarray
    ) -> str:
        """Say how values of some windows differ from the plain engine's; "" if by rounding alone.

        Both in float32, as rounding in other precisions would hide a difference. Where memory
        lacks for the plain engine nothing is compared, and `notes` say so.
        """
        import torch

        some = np.unique(np.linspace(0, len(windows) - 1, max(2, self.batch_size)).astype(int))
        with torch.inference_mode(), arithmetic("float32", self.device):
            try:
                if self.device == "cpu" and self._plain_bytes() > free_memory():
                    raise MemoryError
                parts = np.array_split(windows[some], -(-len(some) // self.batch_size))
                plain = [self._forward(self._batch(p), bins, rows)[: len(p)] for p in parts]
                shared = values[some]
                if self.precision != "float32":
                    kept, self._tower = self._tower, self._new_tower(memory=0.0)
                    shared = self._mean_of_views(windows[some], bins, rows)
                    self._tower, self._near_tower = kept, None
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                said = "Not compared with the plain engine, for which memory lacks."
                self.notes = (*self.notes, said)
                return ""
            return difference(shared, torch.cat(plain).cpu().numpy(), ROUNDING)

    def _plain_bytes(self) -> int:
        """Return bytes of main memory that a batch takes by the plain engine."""
        return self.batch_size * self._window_bytes()

    def _local(self) -> Local | None:
        parts = self._parts
        if self.engine == "plain" or parts.layers is None:
            return None
        return Local(parts.layers(), of_features(parts.after, self.batch_size), parts.views)

    def attention(self, window: np.ndarray, bins: Sequence[int]) -> np.ndarray:
        """Return what output bins attend to: float64 (layers, heads, len(bins), all bins).

        window: uint8 (context,). The mean over strands and shifts; all bins: of the whole window.
        HowfarError for a network without attention.
        """
        import torch

        if self._parts.attention is None:
            raise HowfarError(
                f"model {self.name}",
                found="no attention",
                expected="a network with a transformer",
                do="Take --method ism or gradient.",
            )
        length = self.layout.context // self.layout.bin_size
        first = self.layout.first_base // self.layout.bin_size
        total: Any = 0
        with torch.inference_mode(), arithmetic(self.precision, self.device):
            for shift, turned in self._parts.views:
                seen = shift_windows(window[None], shift)
                seen = reverse_complement(seen) if turned else seen
                x = self._parts.tower(self._one_hot(torch.from_numpy(seen).to(self.device)))
                rows = [first + b for b in bins]
                rows = [length - 1 - row for row in rows] if turned else rows
                weights = self._parts.attention(x, rows)[0].double()
                total = total + (weights.flip(3) if turned else weights)
        return np.asarray((total / len(self._parts.views)).cpu())

    def _mean_of_views(self, windows: np.ndarray, bins: list[int], tracks: Any) -> np.ndarray:
        """Average over strands and shifts; see `averaging.mean_of_views` for its rules."""
        total = np.zeros((len(windows), len(bins), len(tracks)))
        for shift, turned in self._parts.views:
            seen = shift_windows(windows, shift)
            seen = reverse_complement(seen) if turned else seen
            chosen = [self.layout.n_bins - 1 - b for b in bins] if turned else bins
            read = self._parts.paired(tracks) if turned and self._parts.paired else tracks
            start = 0
            for features, real in self._tower.features(seen, self.batch_size):
                given = self._with_near(features, seen[start : start + real], chosen)
                values = self._parts.after(given, chosen, read)[:real]
                total[start : start + real] += values.double().cpu().numpy()
                start += real
        return total / len(self._parts.views)


def _check_engine(name: str, engine: str) -> None:
    if engine not in ENGINES:
        raise bad_option(name, "engine", engine, " or ".join(ENGINES))


def _refuse_training(name: str, network: Any) -> None:
    # Batch normalisation over a batch would make a stretch depend on the others of the batch.
    if any(module.training for module in network.modules()):
        raise HowfarError(
            f"model {name}",
            found="a network in training mode",
            expected="evaluation mode, in which a window's values depend on the window alone",
            do="Call `.eval()` on the network first.",
        )


def room(device: str) -> float:
    """Return bytes for remembered features on that device."""
    import torch

    kind = device.split(":")[0]
    free = free_memory() if kind == "cpu" else torch.cuda.mem_get_info(torch.device(device))[0]
    return min(free / 4, MOST_MEMORY[kind])
