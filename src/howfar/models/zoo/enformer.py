"""The published Enformer (Avsec et al. 2021, Nature Methods 18:1196) as a `SequenceModel`.

The network is enformer-pytorch's, with the weights that EleutherAI converted from DeepMind's.
One thing must be right for the published values: the position features of kind "gamma" are
computed differently by TensorFlow and PyTorch, so the package holds a table of TensorFlow's for
1,536 bins, and switches it on only when weights are loaded by one exact name. Here the table is
on wherever the weights came from when the window has 1,536 bins, and off, with a message, at
other lengths, for which no table exists.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from howfar.core.errors import HowfarError
from howfar.core.project import results_root
from howfar.core.provenance import sha256_of
from howfar.models.base import Layout
from howfar.models.engine.averaging import AveragingModel, check_context, check_switch, middle
from howfar.models.engine.network import affordable, pick_device, softplus_head
from howfar.models.engine.precision import check_precision
from howfar.models.engine.shared_network import SharedNetwork
from howfar.models.registry import MODELS
from howfar.models.weights.checkpoint import assemble, locate, read_config
from howfar.models.weights.targets import check_number, human_tracks
from howfar.models.zoo.demo_enformer import build_network, embeddings, parts_of

CONTEXT, BINS, KEPT = 196_608, 1536, 896
SIZES = {"dim": 1536, "depth": 11, "heads": 8, "attn_dim_key": 64, "num_downsamples": 7,
         "dim_divisible_by": 128, "output_heads": {"human": 5313, "mouse": 1643}}  # fmt: skip
MOUSE_TABLE = "enformer/targets_mouse.txt"  # id in data/sources.csv
TABLE_ON = (
    "Position features of kind gamma: TensorFlow's table for 1,536 bins, as the published "
    "weights were trained with."
)
TABLE_OFF = (
    "Position features of kind gamma: computed by PyTorch; TensorFlow's table exists for 1,536 "
    "bins only and this window has {bins:,}, so values are not the published model's."
)


class OfficialEnformer(SharedNetwork, AveragingModel):
    """Enformer with published weights, or others in the same form.

    Values are outputs of one species' head (after softplus): coverage summed or averaged over a
    bin as in the training data, linear. `network` has the parts `stem`, `conv_tower`,
    `transformer`, `final_pointwise` and `heads`. `notes` say how the values were made.
    """

    name = "enformer"

    def __init__(
        self,
        weights: Path | None,
        device: str = "auto",
        *,
        pretrained: str | None = None,
        species: str = "human",
        targets: str | Path | None = None,
        context: int = CONTEXT,
        crop: int | None = None,
        tf_gamma: bool = True,
        n_value: float = 0.25,
        rc: bool = False,
        shifts: Iterable[int] = (0,),
        precision: str = "float32",
        engine: str = "shared",
        batch_size: int = 1,
    ) -> None:
        """Load and check; the options are those of `load`."""
        file = locate(self.name, weights, pretrained, MODELS[self.name].sources[0])
        sizes = sizes_of(file)
        self.layout = layout_of(2 ** sizes["num_downsamples"], context, crop)
        self.tracks = tracks_of(species, sizes["output_heads"], targets)
        self.units = f"training-data coverage per {self.layout.bin_size}-bp bin, linear"
        self.precision = check_precision(self.name, precision, pick_device(device))
        views = self._average(rc, shifts, n_value)
        network = assemble(lambda: build_network(sizes), file)
        self._linear = network.heads[species][0]
        self.weights_sha256 = sha256_of(file)
        tf_gamma = check_switch(self.name, "tf_gamma", tf_gamma)
        self.notes = (self._set_gamma(network, tf_gamma), views)
        # The widest layers, at full length, need about four copies of their output.
        window_bytes = int(4.5 * 4 * context * sizes["dim"] / 2)
        batch_size = affordable(self.name, batch_size, window_bytes, pick_device(device))
        self._ready(network, device, batch_size, n_value)
        first = self.layout.first_base // self.layout.bin_size
        self._share(parts_of(self._network, self._head, first, self._views), engine)

    @property
    def network(self) -> Any:
        """The PyTorch network, for engines that compute its parts themselves."""
        return self._network

    def _set_gamma(self, network: Any, wanted: bool) -> str:
        """Switch TensorFlow's gamma table on or off in every layer; says which, in words."""
        from enformer_pytorch.modeling_enformer import TF_GAMMAS, Attention

        layers = [m for m in network.modules() if isinstance(m, Attention)]
        bins = self.layout.context // self.layout.bin_size
        # The table has one column per feature of a kind, of three kinds with two signs.
        fits = all(m.num_rel_pos_features == 6 * TF_GAMMAS.shape[1] for m in layers)
        on = wanted and fits and bins == BINS
        for layer in layers:
            layer.use_tf_gamma = on
        if on:
            return TABLE_ON
        if wanted and fits:
            _say_once(f"howfar: {self.name}: {TABLE_OFF.format(bins=bins)}")
            return TABLE_OFF.format(bins=bins)
        reason = "this network's features have another number" if wanted else "asked for"
        return f"Position features of kind gamma: computed by PyTorch ({reason})."

    def _values(self, one_hot: Any, bins: Sequence[int], tracks: Any) -> Any:
        first = self.layout.first_base // self.layout.bin_size
        x = embeddings(self._network, one_hot, [first + b for b in bins])
        return self._head(x, tracks)

    def _head(self, x: Any, tracks: Any) -> Any:
        return softplus_head(x, self._linear.weight[tracks], self._linear.bias[tracks])


def load(weights: Path | None, device: str = "auto", **options: Any) -> OfficialEnformer:
    """Enformer, ready to predict.

    weights: a folder (``config.json`` beside ``model.safetensors`` or ``pytorch_model.bin``), or
    one file of tensors; None: what `howfar fetch enformer` brought. Sizes that differ from the
    published network's are read from the ``config.json`` beside the tensors. Options:

    pretrained: a Hugging Face name in the place of `weights`, such as
    'EleutherAI/enformer-official-rough'. species: 'human' (5,313 tracks) or 'mouse' (1,643).
    targets: table of the tracks (see `targets.read_tracks`); None: the fetched one.
    context: window in bp, a multiple of 128 up to 196,608 (49,152: Rastogi et al. 2024).
    crop: bins kept, in the middle; None: 896 of 1,536, all of another number.
    tf_gamma: use TensorFlow's table where it exists; False for networks trained in PyTorch.
    n_value: each channel of N and of bases that a shift leaves empty; 0.25 as for the published
    predictions of Huang et al. 2023, 0 in Rastogi et al. 2024. rc, shifts: mean over both strands
    and over shifts, such as [-1, 0, 1]. precision: 'float32', 'bfloat16', or on CUDA 'tf32'.
    engine: 'shared' computes the tower once for each distinct stretch of sequence, much the less
    work for the haplotypes of a cohort; 'plain' runs enformer-pytorch's own modules on each
    window. batch_size: windows at once. Raises HowfarError for anything that doesn't fit.
    """
    return OfficialEnformer(weights, device, **options)


def layout_of(bin_size: int, context: int, crop: int | None) -> Layout:
    """The layout for a window of `context` bp of which the middle `crop` bins are kept."""
    remark = (
        f" (a window of 393,216 bp is only cut down to its central {CONTEXT:,} by the published "
        "model)"
    )
    check_context("enformer", context, bin_size, CONTEXT, remark)
    whole = Layout(context, bin_size, context // bin_size)
    return middle("enformer", whole, crop, {BINS: KEPT})


def sizes_of(file: Path) -> dict[str, Any]:
    """The network's sizes: those of config.json beside `file`, else the published ones."""
    given = {k: v for k, v in read_config(file, "enformer").items() if k in SIZES}
    sizes = SIZES | given
    heads = sizes["output_heads"]
    numbers = {k: v for k, v in sizes.items() if k != "output_heads"}
    numbers |= heads if isinstance(heads, dict) else {"output_heads": heads}
    most = {"depth": 100, "num_downsamples": 17}
    for key, value in numbers.items():
        if type(value) is not int or not 1 <= value <= most.get(key, 10**6):
            raise HowfarError(
                f"{file.parent / 'config.json'}, {key}",
                found=repr(value),
                expected=f"a whole number from 1 to {most.get(key, 10**6):,}",
                do="Give the weights with the config.json that belongs to them.",
            )
    return sizes


def tracks_of(species: str, heads: dict[str, int], targets: str | Path | None) -> pd.DataFrame:
    """The tracks of a species' head: DataFrame by number, with `description`."""
    if species not in heads:
        raise HowfarError(
            "model enformer, option species",
            found=f"{species!r}",
            expected=f"a head of the network: {', '.join(heads)}",
            do="Correct `species` in the run's `options` of the study file.",
        )
    number = heads[species]
    fetched = results_root() / "sources" / MOUSE_TABLE
    if targets is None and species == "mouse" and fetched.is_file():
        targets = fetched
    if targets is None and species != "human":
        return pd.DataFrame({"description": [f"{species} track {k}" for k in range(number)]})
    tracks = human_tracks(None if targets is None else Path(targets))
    check_number(tracks, number, targets or f"the table of {species} tracks")
    return tracks


@cache
def _say_once(text: str) -> None:
    print(text, file=sys.stderr)
