"""Beluga, the chromatin network of ExPecto (Zhou et al. 2018, Nature Genetics 50:1171).

It reads 2,000 bp and gives 2,002 probabilities (histone marks, transcription factors, accessible
chromatin, each in a cell type); written here from the published shapes and names of its weights.

Windows that overlap share most of the work. The network is six convolutions without padding and
two poolings by 4, so that window k of a longer sequence, 200 bp further on each, is a part of the
convolution over all of it: exactly 50 positions further after the first pooling, and after the
second on one of two grids, as 50 is 2 beyond a multiple of 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from howfar.core.errors import HowfarError
from howfar.models import engine
from howfar.models.base import Card, Layout, encoding_table
from howfar.models.engine.network import NetworkModel
from howfar.models.engine.options import NetworkOptions, bad_option, choose, numbered_tracks
from howfar.models.engine.substitutions import Each, Layer, Local, convolution, largest
from howfar.models.weights.checkpoint import load_tensors, read_tensors

#: Raised when this network's values change by its own code (see `models.engine.VERSION`).
VERSION = 1
WINDOW, STEP = 2000, 200  # bp
MOST_WINDOWS = 1000  # of one sequence; ExPecto has 200
_CONVOLUTIONS = tuple(f"model.0.{i}" for i in (0, 2, 6, 8, 12, 14))
_DENSE = ("model.1.2.1", "model.1.4.1")
#: Published widths of these layers.
WIDTHS = dict(
    zip((*_CONVOLUTIONS, *_DENSE), (320, 320, 480, 480, 640, 640, 2003, 2002), strict=True)
)
_KERNEL, _POOL = 8, 4
_LAST = 106  # positions of one window after the last convolution
_AGCT = [0, 2, 1, 3]  # where A, G, C, T stand among the package's channels A, C, G, T
LETTERS = {"mixture": b"ACGTNRYSWKMBDHV", "error": b"ACGTN"}
_STRANDS = {"both": (False, True), "forward": (False,), "reverse": (True,)}


@dataclass(frozen=True, kw_only=True)
class BelugaOptions(NetworkOptions):
    """Options of Beluga, beside the shared ones.

    windows: of 2,000 bp, 200 bp apart. strands: 'both' (the mean of the sequence and its reverse
    complement, as ExPecto takes it), 'forward' or 'reverse' (the reverse complement alone).
    iupac: 'mixture' (IUPAC letters beyond N are equal mixtures, as an unphased personal sequence
    has them) or 'error' (they are refused, as by the authors' encoder).
    """

    windows: int = 1
    strands: str = "both"

    takes = frozenset({"iupac"})


class BelugaModel(NetworkModel):
    """Beluga over windows of 2,000 bp, 200 bp apart; probabilities.

    Weights are its state dict (``deepsea.beluga.pth``). One bin a window, one track an output, in
    the order of the weights file. N is zeros.
    """

    name = "beluga"
    units = "probability"
    version = engine.versions("beluga", VERSION)
    option_class = BelugaOptions
    options: BelugaOptions
    card = Card(
        reads="2,000 bp, either strand",
        gives="2,002 probabilities of chromatin features",
        checked="arithmetic verified against the original code with seeded weights",
        licence="Princeton Academic Use",
        sources=("expecto/deepsea.beluga.pth",),
        iupac="error",
        run="""
tracks: [0] # numbers of chromatin features
bins: centre1 # the window around the TSS
transform: [mean_bins, mean_tracks, mean_haplotypes]
batch_size: 32
""",
    )

    def _describe(self, file: Path) -> None:
        windows = self.windows = self.options.windows
        if type(windows) is not int or not 1 <= windows <= MOST_WINDOWS:
            words = f"a number of windows from 1 to {MOST_WINDOWS}"
            raise bad_option(self.name, "windows", windows, words)
        self._turns = choose(self.name, "strands", self.options.strands, _STRANDS)
        self.layout = Layout(WINDOW + STEP * (windows - 1), STEP, windows)

    def _letters(self) -> np.ndarray:
        self._known_letters = choose(self.name, "iupac", self.options.iupac, LETTERS)
        return encoding_table()

    def _build(self, file: Path) -> Any:
        network = read_network(file)
        self.tracks = numbered_tracks("output", network.get_submodule(_DENSE[-1]).out_features)
        return network

    def predict(
        self, windows: np.ndarray, bins: Sequence[int], tracks: Sequence[int]
    ) -> np.ndarray:
        """Predict probabilities, float32 (n, bins, tracks); see `SequenceModel`."""
        self._check(windows)
        check_letters(self.name, windows, self._known_letters)
        return super().predict(windows, bins, tracks)

    def _forward(self, bases: Any, bins: Sequence[int], tracks: Any) -> Any:
        x = self._one_hot(bases)[..., _AGCT].transpose(1, 2)
        total: Any = 0
        for turned in self._turns:
            logits = forward(self._network, x.flip(1, 2) if turned else x)
            logits = logits.flip(1) if turned else logits
            # in float64: the vectorised float32 sigmoid rounds by a value's place in the batch
            total = total + logits[:, list(bins)][..., tracks].double().sigmoid()
        return (total / len(self._turns)).float()

    def _local(self) -> Local | None:
        if self.windows > 1:
            return None
        layers: list[Layer] = [Each(lambda rows: rows[:, _AGCT])]
        for place, name in enumerate(_CONVOLUTIONS):
            layers += [convolution(self._network.get_submodule(name)), Each(_relu)]
            layers += [largest(_POOL)] * (place in (1, 3))
        hidden, last = (self._network.get_submodule(name) for name in _DENSE)
        # (hidden, positions, channels), so that the weights of neighbours are one block of columns
        weight = hidden.weight.view(len(hidden.weight), -1, _LAST).transpose(1, 2).contiguous()

        def after(features: Any, starts: Any, tiles: Any, bins: Sequence[int], tracks: Any) -> Any:
            """The dense layers; the first on what differs from the window's features alone."""
            base = hidden(features.T.flatten())
            x = base.repeat(len(starts), 1)
            for start in starts.unique().tolist():
                rows = starts == start
                first, stop = max(start, 0), min(start + tiles.shape[1], _LAST)
                part = tiles[rows, first - start : stop - start] - features[first:stop]
                x[rows] += part.flatten(1) @ weight[:, first:stop].flatten(1).T
            logits = x.relu() @ last.weight[tracks].T + last.bias[tracks]
            return logits.double().sigmoid()[:, None][:, [0] * len(bins)]

        return Local(layers, after, tuple((0, turned) for turned in self._turns))


def check_letters(name: str, windows: np.ndarray, letters: bytes) -> None:
    """HowfarError where a window of ASCII bytes has a letter that isn't one of `letters`."""
    known = np.zeros(256, bool)
    known[list(letters + letters.lower())] = True
    good = known[windows]
    if not good.all():
        row, place = np.argwhere(~good)[0]
        raise HowfarError(
            f"model {name}, sequence {row + 1}, base {place + 1}",
            found=f"{chr(windows[row, place])!r}",
            expected=f"one of {letters.decode()}",
            do="Correct the sequence; 'iupac: mixture' takes IUPAC letters as equal mixtures.",
        )


def forward(network: Any, x: Any) -> Any:
    """Compute logits (n, windows, outputs) of one-hot x, A G C T (n, 4, 1800 + 200 windows)."""
    import torch

    convolutions = [network.get_submodule(name) for name in _CONVOLUTIONS]
    hidden, last = (network.get_submodule(name) for name in _DENSE)
    h = _pool(_pair(x[:, :, None], *convolutions[:2]))
    h = _pair(h, *convolutions[2:4])
    windows = (x.shape[2] - WINDOW) // STEP + 1
    pieces = h.new_empty(len(x), windows, hidden.in_features)
    # after the first pooling window k begins at 50 k, which is 4 * 25 m for k = 2 m, and
    # 4 * (25 m + 12) + 2 for k = 2 m + 1
    for parity, (rest, first) in enumerate([(0, 0), (2, 12)][:windows]):
        grid = _pair(_pool(h[..., rest:]), *convolutions[4:])[:, :, 0, first:]
        grid = grid.unfold(2, _LAST, 2 * STEP // _POOL**2)  # (n, channels, windows, positions)
        pieces[:, parity::2] = grid.transpose(1, 2).flatten(2)
    return last(torch.relu(hidden(pieces)))


def _relu(rows: Any) -> Any:
    return rows.relu()


def _pair(x: Any, first: Any, second: Any) -> Any:
    return second(first(x).relu()).relu()


def _pool(x: Any) -> Any:
    import torch

    return torch.nn.functional.max_pool2d(x, (1, _POOL))


def read_network(file: Path) -> Any:
    """Read a Beluga network: modules under the published names, float32.

    The widths of the layers are the file's; names, kernels and what a layer hands to the next
    are checked. Nothing in the file is executed. Raises HowfarError, naming the tensor.
    """
    tensors = read_tensors(file)
    widths = {}
    for name in (*_CONVOLUTIONS, *_DENSE):
        weight = tensors.get(f"{name}.weight")
        widths[name] = weight.shape[0] if weight is not None and weight.ndim else 1
    network = make_network(widths)
    load_tensors(network, tensors, file)
    return network


def make_network(widths: Mapping[str, int]) -> Any:
    """Make a Beluga network without weights. widths: outputs of each layer by published name."""
    import torch
    from torch.nn import Conv2d, Linear, ModuleDict

    layers, inputs = {}, len("ACGT")
    with torch.device("meta"):
        for name in (*_CONVOLUTIONS, *_DENSE):
            inputs *= _LAST if name == _DENSE[0] else 1
            is_dense = name in _DENSE
            layers[name] = (
                Linear(inputs, widths[name])
                if is_dense
                else Conv2d(inputs, widths[name], (1, _KERNEL))
            )
            inputs = widths[name]
    body = ModuleDict({name.split(".")[2]: layers[name] for name in _CONVOLUTIONS})
    head = ModuleDict({name.split(".")[2]: ModuleDict({"1": layers[name]}) for name in _DENSE})
    return ModuleDict({"model": ModuleDict({"0": body, "1": head})})
