"""Xpresso (Agarwal and Shendure 2020, Cell Reports 31:107663): mRNA level from a promoter.

10,500 bases on the gene's strand, the TSS at index 6,999, through two convolutions, and six
features of the mRNA's half-life, which join after them; Huang et al. 2023 leave these at zero,
the average gene. The weights are public (MIT): one set of GM12878, which made the predictions
that Huang et al. published, and one of the median over human cell types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError
from howfar.core.provenance import digest
from howfar.models import engine
from howfar.models.base import Card, Layout
from howfar.models.engine.network import NetworkModel
from howfar.models.engine.options import NetworkOptions, bad_option
from howfar.models.engine.substitutions import Each, Layer, Local, convolution, largest, of_features
from howfar.models.weights.keras_hdf5 import Shapes, fill, read_weights
from howfar.models.weights.locating import locate

#: Raised when this network's values change by its own code (see `models.engine.VERSION`).
VERSION = 1
CONTEXT, TSS = 10_500, 6_999


@dataclass(frozen=True)
class Cell:
    """Published weights of a cell type: id of their source, SHA-256, and the track it gives."""

    source: str
    sha256: str
    track: str


CELLS = {
    "GM12878": Cell(
        "models/GM12878_trainepoch.06-0.5062.h5",
        "3e44d222897ca54d6dff9a5cff440ac351804d529be036f19c7c61c4bcc865f7",
        "RNA-seq: GM12878",
    ),
    "human_median": Cell(
        "models/humanMedian_trainepoch.11-0.426.h5",
        "15a383648008df5f843ec8651e78be5faf82609c88fb068da890aa7a89387bb0",
        "RNA-seq: median of human cell types",
    ),
}
_FILTERS, _HIDDEN, _HALF_LIFE = (128, 32), (64, 2), 6
_KERNELS, _POOLS = (6, 9), (30, 10)
#: Zeros before and after the input, so that a convolution keeps the length ('same' in Keras: of
#: an odd number the larger part comes after).
_PADDING = ((2, 3), (4, 4))


def architecture() -> list[Shapes]:
    """Return what each layer owns, in Keras' shapes: two convolutions, three dense layers."""
    positions = CONTEXT // _POOLS[0] // _POOLS[1]
    channels = (4, *_FILTERS)
    sizes = (positions * channels[-1] + _HALF_LIFE, *_HIDDEN, 1)
    kernels = list(zip(_KERNELS, channels, channels[1:], strict=False))
    kernels += pairwise(sizes)
    return [{"kernel": kernel, "bias": kernel[-1:]} for kernel in kernels]


@dataclass(frozen=True, kw_only=True)
class XpressoOptions(NetworkOptions):
    """Options of Xpresso, beside the shared ones.

    cell: 'GM12878' (the published predictions of Huang et al. 2023; default) or 'human_median';
    with a file it only has to agree with it. half_life: six z-scored features, the same for all
    windows; zeros are the average gene. iupac: 'zero' as the authors have it. N is nothing.
    """

    cell: str | None = None
    half_life: Sequence[float] = (0.0,) * _HALF_LIFE

    takes = frozenset({"iupac"})


class XpressoModel(NetworkModel):
    """Xpresso with one bin and one track: z-score of log10(RPKM + 0.1) over all genes.

    Weights are a Keras file (``.h5``), or a folder with the published ones.
    """

    name = "xpresso"
    units = "z-score of log10(RPKM + 0.1)"
    version = engine.versions("xpresso", VERSION)
    option_class = XpressoOptions
    options: XpressoOptions
    card = Card(
        reads="10,500 bp, the gene's strand",
        gives="1 number, z-score of log10(RPKM + 0.1)",
        checked="published weights verified against the original code; against published "
        "predictions by `howfar doctor --verify xpresso`",
        licence="MIT",
        sources=tuple(cell.source for cell in CELLS.values()),
        published="Xpresso",
        iupac="zero",
        run="""
tracks: [0] # the one that there is
bins: centre1 # the one that there is
transform: [mean_bins, mean_tracks, mean_haplotypes]
batch_size: 4 # windows at once
options: { cell: GM12878 } # or human_median
""",
    )
    oriented = True
    layout = Layout(CONTEXT, CONTEXT, 1)

    def _locate(self, weights: Path | None) -> Path:
        cell = "GM12878" if self.options.cell is None else self.options.cell
        if cell not in CELLS:
            raise bad_option(self.name, "cell", cell, " or ".join(CELLS))
        return locate(self.name, weights, CELLS[cell].source)

    def _describe(self, file: Path) -> None:
        track = _track(file, digest(file), self.options.cell)
        self.tracks = pd.DataFrame({"description": [track]})
        self._features = _checked_half_life(self.options.half_life)

    def _build(self, file: Path) -> Any:
        import torch

        self._half_life = torch.from_numpy(self._features).to(self.device)
        return _network(read_weights(file, architecture()))

    def tss_index(self, strand: str) -> int:
        """Return the 0-based index of the TSS base in the window as the model reads it: 6,999."""
        return TSS

    def _forward(self, bases: Any, bins: Sequence[int], tracks: Any) -> Any:
        """Turn a batch of bytes (batch, context) into (batch, bins, tracks)."""
        x = self._network["convolutions"](self._one_hot(bases).transpose(1, 2))
        return self._dense(flatten(x), bins, tracks)

    def _dense(self, flat: Any, bins: Sequence[int], tracks: Any) -> Any:
        import torch

        flat = flat.double()
        features = self._half_life.expand(len(flat), -1)
        # The dense layers are small, and in float64 don't round by a window's place in the batch.
        value = self._network["dense"](torch.cat([flat, features], dim=1)).float()
        return value[:, :, None][:, list(bins)][..., tracks]

    def _local(self) -> Local:
        layers: list[Layer] = []
        for padding, module, relu, pool in zip(
            *[iter(self._network["convolutions"])] * 4, strict=True
        ):
            layers += [convolution(module, *padding.padding), Each(relu)]
            layers.append(largest(pool.kernel_size))

        def after(features: Any, bins: Sequence[int], tracks: Any) -> Any:
            """Run what follows the convolutions."""
            return self._dense(features.flatten(1), bins, tracks)

        return Local(layers, of_features(after, 256))


def flatten(x: Any) -> Any:
    """Turn (batch, channels, positions) into (batch, positions * channels), channel fastest."""
    return x.transpose(1, 2).flatten(1)


def _network(layers: list[dict[str, np.ndarray]]) -> Any:
    """Make the network in PyTorch's layout: convolutions in float32, dense layers in float64."""
    import torch
    from torch import nn

    steps, dense = [], []
    for layer, padding, pool in zip(layers, _PADDING, _POOLS, strict=False):
        width, inputs, outputs = layer["kernel"].shape
        convolution = nn.Conv1d(inputs, outputs, width)
        fill(convolution, weight=layer["kernel"].transpose(2, 1, 0), bias=layer["bias"])
        steps += [nn.ConstantPad1d(padding, 0.0), convolution, nn.ReLU(), nn.MaxPool1d(pool)]
    for layer in layers[len(_FILTERS) :]:
        linear = nn.Linear(*layer["kernel"].shape, dtype=torch.float64)
        fill(linear, weight=layer["kernel"].T, bias=layer["bias"])
        dense += [linear, nn.ReLU()]
    return nn.ModuleDict(
        {"convolutions": nn.Sequential(*steps), "dense": nn.Sequential(*dense[:-1])}
    )


def _checked_half_life(values: Sequence[float]) -> np.ndarray:
    """Return the six features, float64; HowfarError for another number, or no numbers."""
    try:
        features = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        features = np.array(np.nan)
    if features.shape == (_HALF_LIFE,) and np.isfinite(features).all():
        return features
    words = f"{_HALF_LIFE} numbers (z-scores; zeros are the average gene)"
    raise bad_option("xpresso", "half_life", values, words)


def _track(file: Path, checksum: str, cell: str | None) -> str:
    """Name the track by the published file's cell type, else by the one that is stated."""
    known = next((name for name, each in CELLS.items() if each.sha256 == checksum), None)
    if known is not None and cell not in (None, known):
        raise HowfarError(
            str(file),
            found=f"the published weights of {known}",
            expected=f"those of {cell}, as the option `cell` says",
            do="Correct the option `cell` or the weights.",
        )
    if known is None and cell is None:
        return f"RNA-seq: {file.stem}"
    return CELLS[known or cell].track
