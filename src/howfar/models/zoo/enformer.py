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
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from howfar.core.project import results_root
from howfar.models import engine
from howfar.models.base import Card, Layout
from howfar.models.engine.averaging import AveragingModel
from howfar.models.engine.enformer_network import build_network, embeddings, split
from howfar.models.engine.network import softplus_head
from howfar.models.engine.options import (
    ALL_SHARED,
    NetworkOptions,
    check_context,
    check_species,
    check_switch,
    middle,
    numbered_tracks,
)
from howfar.models.engine.shared_network import Parts, SharedNetwork
from howfar.models.weights.checkpoint import assemble, bad_config, read_config
from howfar.models.weights.locating import TENSORS, locate
from howfar.models.weights.targets import check_number, human_tracks

#: Raised when this network's values change by its own code (see `models.engine.VERSION`).
VERSION = 1
CONTEXT, BINS, KEPT = 196_608, 1536, 896
SIZES = {
    "dim": 1536,
    "depth": 11,
    "heads": 8,
    "attn_dim_key": 64,
    "num_downsamples": 7,
    "dim_divisible_by": 128,
    "output_heads": {"human": 5313, "mouse": 1643},
}
MOUSE_TABLE = "enformer/targets_mouse.txt"  # id in data/sources.csv
TABLE_ON = (
    "Position features of kind gamma: TensorFlow's table for 1,536 bins, as the published "
    "weights were trained with."
)
TABLE_OFF = (
    "Position features of kind gamma: computed by PyTorch; TensorFlow's table exists for 1,536 "
    "bins only and this window has {bins:,}, so values are not the published model's."
)


@dataclass(frozen=True, kw_only=True)
class EnformerOptions(NetworkOptions):
    """Options of Enformer, beside the shared ones.

    pretrained: such as 'EleutherAI/enformer-official-rough'. species: 'human' (5,313 tracks) or
    'mouse' (1,643). targets: table of the tracks (see `targets.read_tracks`); None: the fetched
    one. context: a multiple of 128 up to 196,608 (49,152: Rastogi et al. 2024). crop: None: 896
    of 1,536 bins, all of another number. n_value: 0.25 as for the published predictions of Huang
    et al. 2023, 0 in Rastogi et al. 2024. tf_gamma: use TensorFlow's table where it exists; False
    for networks trained in PyTorch. engine 'plain' runs enformer-pytorch's own modules.
    """

    batch_size: int = 1
    context: int = CONTEXT
    n_value: float = 0.25
    engine: str = "shared"
    tf_gamma: bool = True

    takes = ALL_SHARED - {"iupac"}


class EnformerModel(SharedNetwork, AveragingModel):
    """Enformer with published weights, or others in the same form.

    Weights are a folder (``config.json`` beside ``model.safetensors`` or ``pytorch_model.bin``)
    or one file of tensors. Sizes that differ from the published network's are read from the
    ``config.json`` beside the tensors. Values are outputs of one species' head (after softplus):
    coverage summed or averaged over a bin as in the training data, linear. `network` has the
    parts `stem`, `conv_tower`, `transformer`, `final_pointwise` and `heads`.
    """

    name = "enformer"
    version = engine.versions("enformer", VERSION)
    option_class = EnformerOptions
    options: EnformerOptions
    card = Card(
        reads="196,608 bp (or 49,152 and others), forward strand",
        gives="896 bins of 128 bp, 5,313 human or 1,643 mouse tracks, linear",
        checked="published weights are verified against published predictions by `howfar doctor "
        "--verify enformer`",
        licence="CC-BY-4.0",
        sources=(
            "enformer/pytorch_model.bin",
            "enformer/config.json",
            "models/targets_human.txt",
            MOUSE_TABLE,
        ),
        published="Enformer",
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

    def _locate(self, weights: Path | None) -> Path:
        source = self.card.sources[0]
        return locate(self.name, weights, source, TENSORS, self.options.pretrained)

    def _describe(self, file: Path) -> None:
        options, sizes = self.options, sizes_of(file)
        self._sizes = sizes
        self.layout = layout_of(2 ** sizes["num_downsamples"], options.context, options.crop)
        self.tracks = tracks_of(options.species, sizes["output_heads"], options.targets)
        self.units = f"training-data coverage per {self.layout.bin_size}-bp bin, linear"

    def _build(self, file: Path) -> Any:
        network = assemble(lambda: build_network(self._sizes), file)
        self._linear = network.heads[self.options.species][0]
        return network

    def _notes(self, network: Any) -> tuple[str, ...]:
        wanted = check_switch(self.name, "tf_gamma", self.options.tf_gamma)
        return (self._set_gamma(network, wanted), *super()._notes(network))

    def _window_bytes(self) -> int:
        # The widest layers, at full length, need about four copies of their output.
        return int(4.5 * 4 * self.layout.context * self._sizes["dim"] / 2)

    def _split(self, network: Any) -> Parts:
        return split(network, self._head, self._cropped, self._views)

    @property
    def _cropped(self) -> int:
        """Bins cropped on either side."""
        return self.layout.first_base // self.layout.bin_size

    def _set_gamma(self, network: Any, wanted: bool) -> str:
        """Switch TensorFlow's gamma table on or off in every layer; return which, in words."""
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
        x = embeddings(self._network, one_hot, [self._cropped + b for b in bins])
        return self._head(x, tracks)

    def _head(self, x: Any, tracks: Any) -> Any:
        return softplus_head(x, self._linear.weight[tracks], self._linear.bias[tracks])


def layout_of(bin_size: int, context: int, crop: int | None) -> Layout:
    """Return the layout for a window of `context` bp of which the middle `crop` bins are kept."""
    remark = (
        f" (a window of 393,216 bp is only cut down to its central {CONTEXT:,} by the published "
        "model)"
    )
    check_context("enformer", context, bin_size, CONTEXT, remark)
    whole = Layout(context, bin_size, context // bin_size)
    return middle("enformer", whole, crop, {BINS: KEPT})


def sizes_of(file: Path) -> dict[str, Any]:
    """Return the network's sizes: those of config.json beside `file`, else the published ones."""
    given = {k: v for k, v in read_config(file, "enformer").items() if k in SIZES}
    sizes = SIZES | given
    heads = sizes["output_heads"]
    numbers = {k: v for k, v in sizes.items() if k != "output_heads"}
    numbers |= heads if isinstance(heads, dict) else {"output_heads": heads}
    most = {"depth": 100, "num_downsamples": 17}
    for key, value in numbers.items():
        if type(value) is not int or not 1 <= value <= most.get(key, 10**6):
            words = f"a whole number from 1 to {most.get(key, 10**6):,}"
            raise bad_config(f"{file.parent / 'config.json'}, {key}", repr(value), words)
    return sizes


def tracks_of(species: str, heads: dict[str, int], targets: str | Path | None) -> pd.DataFrame:
    """Return the tracks of a species' head: DataFrame by number, with `description`."""
    check_species("enformer", species, heads)
    fetched = results_root() / "sources" / MOUSE_TABLE
    if targets is None and species == "mouse" and fetched.is_file():
        targets = fetched
    if targets is None and species != "human":
        return numbered_tracks(f"{species} track", heads[species])
    tracks = human_tracks(None if targets is None else Path(targets))
    check_number(tracks, heads[species], targets or f"the table of {species} tracks")
    return tracks


@cache
def _say_once(text: str) -> None:
    print(text, file=sys.stderr)
