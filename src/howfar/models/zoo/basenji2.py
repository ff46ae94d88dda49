"""Basenji2 (Kelley 2020, PLoS Computational Biology 16:e1008050) as a `SequenceModel`.

131,072 bases through a tower of convolutions to 1,024 bins of 128 bp, eleven dilated residual
blocks, 64 bins cropped on either side, and a linear head with softplus: coverage of 5,313 human
tracks. The network is the package's own; its weights are the published Keras file's.

In every convolution block the activation comes first, so that the first block's acts on the
one-hot input; it is x * sigmoid(1.702 x); batch normalisation adds 0.001 to the variance.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError
from howfar.models import engine
from howfar.models.base import Card, Layout
from howfar.models.engine.averaging import AveragingModel
from howfar.models.engine.network import softplus_head
from howfar.models.engine.options import NetworkOptions, numbered_tracks
from howfar.models.engine.shared_network import Parts, SharedNetwork
from howfar.models.engine.shared_tower import halo_of
from howfar.models.engine.substitutions import Each, Layer, convolution, largest
from howfar.models.weights.keras_hdf5 import Shapes, fill, read_weights
from howfar.models.weights.targets import HUMAN_TRACKS, check_number, human_tracks, read_tracks

#: Raised when this network's values change by its own code (see `models.engine.VERSION`).
VERSION = 1
EPSILON = 1e-3  # Keras' default in batch normalisation; PyTorch's is 1e-5
#: The published hyper-parameters that bear on predictions, in the form of the authors' file.
PUBLISHED: dict[str, Any] = {
    "seq_length": 131_072,
    "target_length": 1024,
    "activation": "gelu",
    "batch_norm": True,
    "trunk": [
        {"name": "conv_block", "filters": 288, "kernel_size": 15, "pool_size": 2},
        {
            "name": "conv_tower",
            "filters_init": 339,
            "filters_mult": 1.1776,
            "kernel_size": 5,
            "pool_size": 2,
            "repeat": 6,
        },
        {"name": "dilated_residual", "filters": 384, "rate_mult": 1.5, "repeat": 11, "round": True},
        {"name": "Cropping1D", "cropping": 64},
        {"name": "conv_block", "filters": 1536},
    ],
    "head_human": {"name": "dense", "units": HUMAN_TRACKS, "activation": "softplus"},
}
MOST_BLOCKS = 40  # of a kind: a rate or a width that grows over more is no number any more
#: Of these any value will do; every other one must be as published.
_SIZES = {"seq_length", "target_length", "filters", "filters_init", "filters_mult", "kernel_size"}
_SIZES |= {"rate_mult", "repeat", "cropping", "units"}
#: Without effect on predictions.
_TRAINING = {"bn_momentum", "dropout", "augment_rc", "augment_shift"}
#: Arrays of batch normalisation in Keras' names, and their names in PyTorch.
_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


@dataclass(frozen=True)
class Architecture:
    """Sizes of a Basenji2.

    tower: (filters, kernel) of the blocks that pool by two. residual: filters between the two
    convolutions of each dilated block. crop: bins on either side. last: filters of the final
    block. outputs: tracks.
    """

    context: int
    tower: tuple[tuple[int, int], ...]
    residual: int
    dilations: tuple[int, ...]
    crop: int
    last: int
    outputs: int

    @property
    def layout(self) -> Layout:
        """Input and output in bases and bins."""
        size = 2 ** len(self.tower)
        bins = self.context // size - 2 * self.crop
        return Layout(self.context, size, bins, first_base=self.crop * size)

    def convolutions(self) -> Iterator[tuple[int, int, int]]:
        """Yield (kernel, inputs, outputs) of every convolution, in the network's order."""
        inputs = 4
        for filters, kernel in self.tower:
            yield kernel, inputs, filters
            inputs = filters
        for _ in self.dilations:
            yield 3, inputs, self.residual
            yield 1, self.residual, inputs
        yield 1, inputs, self.last

    def shapes(self) -> list[Shapes]:
        """Return what each layer that owns weights owns, in Keras' shapes and order."""
        layers: list[Shapes] = []
        for kernel in self.convolutions():
            layers += [{"kernel": kernel}, dict.fromkeys(_NORM, kernel[-1:])]
        return [*layers, {"kernel": (self.last, self.outputs), "bias": (self.outputs,)}]


def architecture_of(model: Mapping[str, Any], where: str = "params") -> Architecture:
    """Return the sizes that a block ``model`` of the authors' parameters gives.

    HowfarError, naming the entry, where it is another network than Basenji2 or makes no sense.
    """
    _compare(where, model, PUBLISHED)
    stem, tower, dilated, crop, last = model["trunk"]
    for name, block in (("trunk[1]", tower), ("trunk[2]", dilated)):
        if (repeat := block["repeat"]) > MOST_BLOCKS:
            raise _misfit(f"{where}, {name}, repeat", f"{repeat:,}", f"at most {MOST_BLOCKS}")
    filters = [tower["filters_init"] * tower["filters_mult"] ** k for k in range(tower["repeat"])]
    kernels = (tower["kernel_size"],) * tower["repeat"]
    stem_sizes = stem["filters"], stem["kernel_size"]
    sizes = Architecture(
        context=model["seq_length"],
        tower=(stem_sizes, *zip(map(_round, filters), kernels, strict=True)),
        residual=dilated["filters"],
        dilations=dilations(dilated["repeat"], dilated["rate_mult"]),
        crop=crop["cropping"],
        last=last["filters"],
        outputs=model["head_human"]["units"],
    )
    _check_bins(sizes, model["target_length"], where)
    return sizes


def _check_bins(sizes: Architecture, target: int, where: str) -> None:
    """HowfarError unless the window is whole bins, as many as `target`, some of them kept."""
    bins = sizes.layout.n_bins + 2 * sizes.crop
    if sizes.layout.n_bins < 1 or bins * sizes.layout.bin_size != sizes.context:
        raise _misfit(where, f"{sizes.context:,} bases in {bins} bins", "whole bins, some kept")
    if bins != target:
        raise _misfit(f"{where}, target_length", f"{target}", f"{bins}")


def dilations(number: int, factor: float) -> tuple[int, ...]:
    """Return 1, then each time `factor` more, rounded half to even: 1, 2, 3, 4, 6, 9, 14, ..."""
    rates = [1]
    while len(rates) < number:
        rates.append(_round(rates[-1] * factor))
    return tuple(rates[:number])


def _round(value: float) -> int:
    return round(value)  # half to even, as NumPy does


def _compare(where: str, given: Any, known: Any) -> None:
    """HowfarError unless `given` is `known` but for sizes and what bears on training only."""
    if isinstance(known, dict) and isinstance(given, Mapping):
        odd = sorted((set(known) ^ set(given)) - _TRAINING)
        if odd:
            found = "present" if odd[0] in given else "absent"
            raise _misfit(f"{where}, {odd[0]}", found, "not so")
        for key, value in known.items():
            check = _check_size if key in _SIZES else _compare
            check(f"{where}, {key}", given[key], value)
    elif isinstance(known, list) and isinstance(given, list) and len(known) == len(given):
        for place, pair in enumerate(zip(given, known, strict=True)):
            _compare(f"{where}[{place}]", *pair)
    elif given != known:
        raise _misfit(where, f"{given!r}"[:100], f"{known!r}"[:100])


def _check_size(where: str, given: Any, known: int | float) -> None:
    kinds, most = ((int, float), 100) if isinstance(known, float) else ((int,), 10**9)
    least = 0 if where.endswith("cropping") else 1
    odd = type(given) is int and given % 2 == 1  # 'same' padding is symmetric
    if type(given) not in kinds or not least <= given < most:
        raise _misfit(where, f"{given!r}", f"a number such as {known}")
    if where.endswith("kernel_size") and not odd:
        raise _misfit(where, f"{given!r}", f"an odd number such as {known}")


def read_params(path: Path) -> Architecture:
    """Read the sizes in a file of the authors' parameters (JSON, block ``model``).

    HowfarError where it is no such file.
    """
    try:
        model = json.loads(Path(path).read_text())["model"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        words = f"no JSON with a block `model` ({error})"
        raise _misfit(str(path), words, "the parameters of a Basenji2") from error
    return architecture_of(model, str(path))


def _misfit(where: str, found: str, expected: str) -> HowfarError:
    return HowfarError(
        where,
        found=found,
        expected=expected,
        do="Give the parameters that belong to the weights in the option `params`; other networks "
        "than Basenji2 can't be read.",
    )


@dataclass(frozen=True, kw_only=True)
class Basenji2Options(NetworkOptions):
    """Options of Basenji2, beside the shared ones.

    params: the authors' file of parameters, for other sizes than the published. targets: table
    of tracks (see `targets.read_tracks`); None: the human table for 5,313 outputs, else tracks
    are named by number. rc, shifts: by default as in Huang et al. 2023. iupac: 'n' as the
    authors have it.
    """

    batch_size: int = 2
    n_value: float = 0.25
    rc: bool = True
    shifts: Iterable[int] = (1, 0, -1)
    engine: str = "shared"
    params: str | Path | None = None

    takes = frozenset({"targets", "rc", "shifts", "n_value", "iupac", "engine", "precision"})


class Basenji2Model(SharedNetwork, AveragingModel):
    """Basenji2 with published weights, or others of the same architecture in other sizes.

    Weights are the Keras file (``model_human.h5``), with or without its optimiser, or a folder
    with it. Values are outputs of the human head (after softplus): coverage summed or averaged
    over a bin as in the training data, linear. The forward strand is read for genes of either
    strand. `network` has the parts `tower`, `trunk`, `final` and `head`; functions of these names
    apply the first three.
    """

    name = "basenji2"
    version = engine.versions("basenji2", VERSION)
    option_class = Basenji2Options
    options: Basenji2Options
    card = Card(
        reads="131,072 bp, forward strand",
        gives="896 bins of 128 bp, 5,313 human tracks, linear",
        checked="arithmetic verified against the original code on a reduced model; published "
        "weights against published predictions by `howfar doctor --verify basenji2`",
        licence="Apache-2.0",
        sources=(
            "basenji2/model_human.h5",
            "models/params_human.json",
            "models/targets_human.txt",
        ),
        published="Basenji2",
        iupac="n",
        run="""
tracks: # by number and description, so that a wrong table is noticed; or by description alone
  - { index: 5110, description: "CAGE:B lymphoblastoid cell line: GM12878 ENCODE, biol_" }
bins: centre10 # the ten bins around the TSS
transform: [mean_bins, mean_tracks, mean_haplotypes]
batch_size: 1 # windows at once; more on a GPU
""",
    )

    @classmethod
    def published_tracks(cls) -> pd.DataFrame:
        """Return the human tracks."""
        return human_tracks()

    def _describe(self, file: Path) -> None:
        params = self.options.params
        sizes = architecture_of(PUBLISHED) if params is None else read_params(Path(params))
        self.architecture, self.layout = sizes, sizes.layout
        self.units = f"training-data coverage per {self.layout.bin_size}-bp bin, linear"

    def _build(self, file: Path) -> Any:
        sizes = self.architecture
        network = build_network(sizes, read_weights(file, sizes.shapes()))
        self.tracks = _tracks(sizes.outputs, self.options.targets)
        return network

    def _window_bytes(self) -> int:
        # The first block's output, at full length, is needed about three times at once.
        return 3 * 4 * self.layout.context * self.architecture.tower[0][0]

    def tss_index(self, strand: str) -> int:
        """Return the 0-based index of the TSS base, left ('+') or right ('-') of the middle.

        65,535 or 65,536: the last base of output bin 447 or the first of 448, as Huang et al.
        2023 cut their windows. Their prediction is the mean of bins 443..452 for both strands.
        """
        return self.layout.context // 2 - (strand == "+")

    def _split(self, network: Any) -> Parts:
        tower_sizes = self.architecture.tower
        halo = halo_of([kernel for _, kernel in tower_sizes], self.layout.bin_size)
        channels = tower_sizes[-1][0]
        run = partial(tower, network)
        return Parts(run, self._after, channels, halo, self._views, partial(layers, network))

    def _values(self, one_hot: Any, bins: Sequence[int], tracks: Any) -> Any:
        return self._after(tower(self._network, one_hot), bins, tracks)

    def _after(self, features: Any, bins: Sequence[int], tracks: Any) -> Any:
        """Apply what follows the tower: features to float64 (batch, bins, tracks)."""
        cropped = trunk(self._network, features)[:, [self.architecture.crop + b for b in bins]]
        linear = self._network["head"]
        x = final(self._network, cropped)
        return softplus_head(x, linear.weight[tracks], linear.bias[tracks])


def _tracks(outputs: int, targets: str | Path | None) -> pd.DataFrame:
    if targets is None and outputs != HUMAN_TRACKS:
        return numbered_tracks("track", outputs)
    tracks = human_tracks() if targets is None else read_tracks(Path(targets))
    check_number(tracks, outputs, "model basenji2, table of tracks")
    return tracks


def build_network(sizes: Architecture, layers: list[dict[str, np.ndarray]]) -> Any:
    """Make the network with its weights. layers: what `keras_hdf5.read_weights` gives."""
    from torch import nn

    pooled, blocks = len(sizes.tower), []
    dilated = [d for rate in sizes.dilations for d in (rate, 1)]
    spans = [1] * pooled + dilated + [1]
    for place, (span, kernel) in enumerate(zip(spans, sizes.convolutions(), strict=True)):
        steps = _convolution(kernel, span, *layers[2 * place : 2 * place + 2])
        blocks.append(nn.Sequential(*steps, *[nn.MaxPool1d(2)] * (place < pooled)))
    residual = [
        nn.ModuleList(pair)
        for pair in zip(blocks[pooled:-1:2], blocks[pooled + 1 :: 2], strict=True)
    ]
    linear = nn.Linear(sizes.last, sizes.outputs)
    fill(linear, weight=layers[-1]["kernel"].T, bias=layers[-1]["bias"])
    modules = {"tower": nn.ModuleList(blocks[:pooled]), "trunk": nn.ModuleList(residual)}
    return nn.ModuleDict(modules | {"final": blocks[-1], "head": linear})


def _convolution(
    shape: tuple[int, int, int],
    dilation: int,
    kernel: dict[str, np.ndarray],
    norm: dict[str, np.ndarray],
) -> list[Any]:
    """Make convolution and batch normalisation of a block, in PyTorch's layout."""
    from torch import nn

    width, inputs, outputs = shape
    padding = (width - 1) * dilation // 2
    convolution = nn.Conv1d(inputs, outputs, width, padding=padding, dilation=dilation, bias=False)
    fill(convolution, weight=kernel["kernel"].transpose(2, 1, 0))
    normalisation = nn.BatchNorm1d(outputs, eps=EPSILON, momentum=0.1)
    fill(normalisation, **{_NORM[name]: array for name, array in norm.items()})
    return [convolution, normalisation]


def activation(x: Any) -> Any:
    """Compute x * sigmoid(1.702 x), which the authors call GELU."""
    return x * (1.702 * x).sigmoid()


def tower(network: Any, one_hot: Any) -> Any:
    """Turn one-hot (batch, length, 4) into features (batch, length // bin size, channels)."""
    x = one_hot.transpose(1, 2)
    for block in network["tower"]:
        x = block(activation(x))
    return x.transpose(1, 2)


def layers(network: Any) -> list[Layer]:
    """List the tower's layers, for substitutions."""
    made: list[Layer] = []
    for module, norm, pool in network["tower"]:
        made += [Each(activation), convolution(module), Each(norm), largest(pool.kernel_size)]
    return made


def trunk(network: Any, features: Any) -> Any:
    """Apply the dilated blocks, (batch, bins, channels) to the same; bins not yet cropped."""
    x = features.transpose(1, 2)
    for first, second in network["trunk"]:
        x = x + second(activation(first(activation(x))))
    return x.transpose(1, 2)


def final(network: Any, x: Any) -> Any:
    """Apply the last block, for any bins: (batch, bins, channels) to (batch, bins, features)."""
    return activation(network["final"](activation(x.transpose(1, 2)))).transpose(1, 2)
