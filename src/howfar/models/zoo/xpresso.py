"""Xpresso (Agarwal and Shendure 2020, Cell Reports 31:107663): mRNA level from a promoter.

10,500 bases on the gene's strand, the TSS at index 6,999, through two convolutions, and six
features of the mRNA's half-life, which join after them; Huang et al. 2023 leave these at zero,
the average gene. The weights are public (MIT): one set of GM12878, which made the predictions
that Huang et al. published, and one of the median over human cell types.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError
from howfar.core.provenance import sha256_of
from howfar.models.base import Layout
from howfar.models.engine.iupac import letters_table
from howfar.models.engine.network import NetworkModel
from howfar.models.weights.keras_hdf5 import Shapes, locate, read_weights

CONTEXT, TSS = 10_500, 6_999
#: Cell types: the published file, its SHA-256, and the description of the model's one track.
CELLS = {
    "GM12878": (
        "GM12878_trainepoch.06-0.5062.h5",
        "3e44d222897ca54d6dff9a5cff440ac351804d529be036f19c7c61c4bcc865f7",
        "RNA-seq: GM12878",
    ),
    "human_median": (
        "humanMedian_trainepoch.11-0.426.h5",
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
    """What each layer owns, in Keras' shapes: two convolutions, three dense layers."""
    positions = CONTEXT // _POOLS[0] // _POOLS[1]
    channels = (4, *_FILTERS)
    sizes = (positions * channels[-1] + _HALF_LIFE, *_HIDDEN, 1)
    kernels = list(zip(_KERNELS, channels, channels[1:], strict=False))
    kernels += pairwise(sizes)
    return [{"kernel": kernel, "bias": kernel[-1:]} for kernel in kernels]


class XpressoModel(NetworkModel):
    """Xpresso with one bin and one track: z-score of log10(RPKM + 0.1) over all genes."""

    name = "xpresso"
    units = "z-score of log10(RPKM + 0.1)"
    oriented = True
    layout = Layout(CONTEXT, CONTEXT, 1)

    def __init__(
        self,
        weights: Path | None,
        device: str = "auto",
        *,
        cell: str | None = None,
        half_life: Sequence[float] = (0.0,) * _HALF_LIFE,
        iupac: str = "mixture",
        batch_size: int = 8,
    ) -> None:
        """Load and check; the options are those of `load`."""
        import torch

        table = letters_table(self.name, iupac, n_value=0.0)
        features = _checked_half_life(half_life)
        file = _locate(weights, cell)
        self.weights_sha256 = sha256_of(file)
        self.tracks = pd.DataFrame({"description": [_track(file, self.weights_sha256, cell)]})
        self._ready(_network(read_weights(file, architecture())), device, batch_size)
        self._table = torch.from_numpy(table).to(self.device)
        self._half_life = torch.from_numpy(features).to(self.device)

    def tss_index(self, strand: str) -> int:
        """0-based index of the TSS base in the window as the model reads it: 6,999."""
        return TSS

    def _forward(self, bases: Any, bins: Sequence[int], tracks: Any) -> Any:
        """One batch of bytes (batch, context) to (batch, bins, tracks)."""
        import torch

        x = self._network["convolutions"](self._one_hot(bases).transpose(1, 2))
        flat = flatten(x).double()
        features = self._half_life.expand(len(flat), -1)
        # The dense layers are small, and in float64 don't round by a window's place in the batch.
        value = self._network["dense"](torch.cat([flat, features], dim=1)).float()
        return value[:, :, None][:, list(bins)][..., tracks]


def load(weights: Path | None, device: str = "auto", **options: Any) -> XpressoModel:
    """Xpresso, ready to predict.

    weights: a Keras file (``.h5``), or a folder with the published ones; None: what `howfar fetch
    xpresso` brought. Options:

    cell: 'GM12878' (the published predictions of Huang et al. 2023; default) or 'human_median';
    with a file it only has to agree with it. half_life: six z-scored features, the same for all
    windows; zeros are the average gene. iupac: 'mixture', IUPAC letters are equal mixtures, as
    for unphased genotypes; 'zero', they are nothing, as the authors have it. N is nothing.
    batch_size: windows at once. Raises HowfarError for anything that doesn't fit.
    """
    return XpressoModel(weights, device, **options)


def flatten(x: Any) -> Any:
    """(batch, channels, positions) to (batch, positions * channels), the channel fastest."""
    return x.transpose(1, 2).flatten(1)


def _network(layers: list[dict[str, np.ndarray]]) -> Any:
    """The network in PyTorch's layout: convolutions in float32, dense layers in float64."""
    import torch
    from torch import nn

    steps, dense = [], []
    for layer, padding, pool in zip(layers, _PADDING, _POOLS, strict=False):
        width, inputs, outputs = layer["kernel"].shape
        convolution = nn.Conv1d(inputs, outputs, width)
        _fill(convolution, layer["kernel"].transpose(2, 1, 0), layer["bias"])
        steps += [nn.ConstantPad1d(padding, 0.0), convolution, nn.ReLU(), nn.MaxPool1d(pool)]
    for layer in layers[len(_FILTERS) :]:
        linear = nn.Linear(*layer["kernel"].shape, dtype=torch.float64)
        _fill(linear, layer["kernel"].T, layer["bias"])
        dense += [linear, nn.ReLU()]
    return nn.ModuleDict(
        {"convolutions": nn.Sequential(*steps), "dense": nn.Sequential(*dense[:-1])}
    )


def _fill(module: Any, weight: np.ndarray, bias: np.ndarray) -> None:
    import torch

    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
        module.bias.copy_(torch.from_numpy(bias))


def _checked_half_life(values: Sequence[float]) -> np.ndarray:
    """The six features, float64; HowfarError for another number of them, or no numbers."""
    try:
        features = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        features = np.array(np.nan)
    if features.shape == (_HALF_LIFE,) and np.isfinite(features).all():
        return features
    raise HowfarError(
        "model xpresso, option half_life",
        found=f"{values!r}",
        expected=f"{_HALF_LIFE} numbers (z-scores; zeros are the average gene)",
        do="Correct `half_life` in the run's `options` of the study file.",
    )


def _locate(weights: Path | None, cell: str | None) -> Path:
    """The file of weights; HowfarError for an unknown cell type or where there is none."""
    cell = "GM12878" if cell is None else cell
    if cell not in CELLS:
        raise HowfarError(
            "model xpresso, option cell",
            found=f"{cell!r}",
            expected=" or ".join(CELLS),
            do="Correct `cell` in the run's `options` of the study file.",
        )
    return locate("xpresso", weights, f"models/{CELLS[cell][0]}")


def _track(file: Path, checksum: str, cell: str | None) -> str:
    """The track's description: the published file's cell type, else the one that is stated."""
    published = {sha256: name for name, (_, sha256, _) in CELLS.items()}
    known = published.get(checksum)
    if known is not None and cell not in (None, known):
        raise HowfarError(
            str(file),
            found=f"the published weights of {known}",
            expected=f"those of {cell}, as the option `cell` says",
            do="Correct the option `cell` or the weights.",
        )
    if known is None and cell is None:
        return f"RNA-seq: {file.stem}"
    return CELLS[known or cell][2]
