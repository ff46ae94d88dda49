"""AlphaGenome (Avsec et al. 2026, Nature 649:1206) as a `SequenceModel`, bins of 128 bp.

The forward pass is our own, verified against both PyTorch ports with random weights. The weights
are for non-commercial use, and so is what they give (`fetch.licences`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from howfar.core.errors import HowfarError
from howfar.models import engine
from howfar.models.base import Card, Layout
from howfar.models.engine.options import (
    ALL_SHARED,
    NetworkOptions,
    check_context,
    check_n_value,
    check_species,
    check_switch,
    choose,
    numbered_tracks,
)
from howfar.models.engine.shared_network import MOST_BASES, Parts, SharedNetwork
from howfar.models.weights.alphagenome import HEADS, ORGANISMS, Weights, read, sizes
from howfar.models.weights.checkpoint import bad_config, load_tensors
from howfar.models.weights.locating import locate
from howfar.models.weights.targets import check_number, read_tracks

#: Raised when this network's values change by its own code (see `models.engine.VERSION`).
VERSION = 1
BIN, UNIT, SHORTEST, LONGEST = 128, 2048, 2048, 2**20
FILES = ("alphagenome_all_folds.safetensors", "model_all_folds.safetensors", "model.safetensors")
SOFT_CLIP = 10.0  # beyond it a head's values are roots of what they stand for
SQUASHED = {"rna_seq": 4 / 3}  # and these heads' are powers of it


@dataclass(frozen=True, kw_only=True)
class AlphaGenomeOptions(NetworkOptions):
    """Options of AlphaGenome, beside the shared ones.

    head: whose tracks are read: atac, dnase, procap, cage, rna_seq, chip_tf, chip_histone.
    context: a multiple of 2,048 bp up to 1,048,576. targets: table of the head's tracks (columns
    index, description). unscale: coverage, from the head's own scale; it needs the tracks' means.
    positions: 'bfloat16', rounded as in training, whatever the arithmetic, or 'float32'.
    """

    batch_size: int = 1
    context: int = 131_072
    engine: str = "shared"
    head: str = "rna_seq"
    unscale: bool = True
    positions: str = "bfloat16"

    takes: ClassVar[frozenset[str]] = ALL_SHARED - {"iupac", "crop", "rc", "shifts", "pretrained"}


class AlphaGenomeModel(SharedNetwork):
    """AlphaGenome with converted weights of either PyTorch port, or others of other sizes.

    Widths are read off the tensors. Values are those of one head at 128 bp: summed coverage of a
    bin or, without `unscale`, the head's own scale (multiples of a track's mean, squashed).
    """

    name = "alphagenome"
    version = engine.versions("alphagenome", VERSION)
    option_class = AlphaGenomeOptions
    options: AlphaGenomeOptions
    card = Card(
        reads="2,048 to 1,048,576 bp (131,072 unless said), forward strand",
        gives="bins of 128 bp, tracks of one of seven heads (RNA-seq: 667 human), linear",
        checked="random weights at full width give the values of alphagenome-pt 1.0.0 and "
        "alphagenome-pytorch 0.3.1; published weights were never run here",
        licence="AlphaGenome model terms",
        sources=(
            "alphagenome/alphagenome_all_folds.safetensors",
            "alphagenome/alphagenome_metadata.json",
        ),
        run="""
options: { head: rna_seq, context: 131072 } # more heads and options: `howfar models`
tracks: [567] # by number in the head (567: RNA-seq of LCLs), or by description
bins: centre3 # the TSS bin and one either side; left out, the gene's exons (of a GTF)
transform: [mean_bins, mean_tracks, mean_haplotypes]
batch_size: 1
""",
    )

    def _locate(self, weights: Path | None) -> Path:
        return locate(self.name, weights, self.card.sources[0], FILES)

    def _describe(self, file: Path) -> None:
        options = self.options
        for option, value, choices in (
            ("head", options.head, HEADS),
            ("positions", options.positions, ("bfloat16", "float32")),
        ):
            choose(self.name, option, value, dict.fromkeys(choices, True))
        check_context(self.name, options.context, UNIT, LONGEST)
        check_switch(self.name, "unscale", options.unscale)
        check_n_value(self.name, options.n_value)
        self.layout = Layout(options.context, BIN, options.context // BIN)
        self.usual_bins = "exons" if options.head == "rna_seq" else ""
        kind = f"{options.head} coverage per {BIN}-bp bin"
        self.units = f"{kind}, linear" if options.unscale else f"{kind}, the head's own scale"

    def _build(self, file: Path) -> Any:
        import torch

        from howfar.models.engine.alphagenome_network import AlphaGenome, Sizes

        options = self.options
        weights = read(file, options.head)
        self._sizes = Sizes(**sizes(weights.tensors, options.head, file))
        try:
            with torch.device("meta"):
                network = AlphaGenome(self._sizes, options.head)
        except (TypeError, ValueError, RuntimeError) as error:
            raise bad_config(file, f"sizes of no network ({error})", "AlphaGenome's") from error
        load_tensors(network, weights.tensors, file)
        check_species(self.name, options.species, ORGANISMS[: self._sizes.organisms])
        self._organism = ORGANISMS.index(options.species)
        self.tracks = self._tracks(weights)
        self._means = self._means_of(weights, file)
        network.round_positions(options.positions == "bfloat16")
        return network

    def _tracks(self, weights: Weights) -> pd.DataFrame:
        number = self._sizes.tracks if weights.real is None else weights.real[self._organism]
        if self.options.targets is None:
            return numbered_tracks(f"{self.options.head}", number)
        table = read_tracks(Path(self.options.targets))
        check_number(table, number, self.options.targets)
        return table

    def _means_of(self, weights: Weights, file: Path) -> Any:
        if not self.options.unscale:
            return None
        shape = (self._sizes.organisms, self._sizes.tracks)
        if weights.means is None or tuple(weights.means.shape) != shape:
            raise HowfarError(
                str(file),
                found="no mean of each track, which coverage is counted in",
                expected="alphagenome_metadata.json beside the weights, or track_means in them",
                do="Add it, or set the option `unscale` to false for the head's own scale.",
            )
        return weights.means[self._organism].double()

    def _notes(self, network: Any) -> tuple[str, ...]:
        return (
            f"Values are {self.units}; positions rounded to {self.options.positions}.",
            "Bins of 128 bp; the decoder to single bases and other heads aren't run.",
        )

    def _window_bytes(self) -> int:
        # At single bases four copies of the first stage's output, which the shared engine computes
        # for some bases at a time; then matrices of attention, and pairs with attention of theirs.
        bases = self.layout.context
        shared = self.options.engine == "shared"
        return self._bytes(min(bases, MOST_BASES["cpu"]) if shared else bases)

    def _plain_bytes(self) -> int:
        return self.batch_size * self._bytes(self.layout.context)

    def _bytes(self, bases: int) -> int:
        from howfar.models.engine.alphagenome_network import AT_ONCE, POOLED

        size, tokens = self._sizes, self.layout.n_bins
        pairs = (tokens // POOLED) ** 2
        attention = 4 * min(AT_ONCE, size.heads * tokens**2) + 8 * tokens * size.features
        after = attention + pairs * (8 * size.pair + 3 * tokens // POOLED + 4 * size.pair_heads)
        return int(4 * (4.2 * bases * size.channels + after))

    def _split(self, network: Any) -> Parts:
        from howfar.models.engine.alphagenome_network import halo

        return Parts(network.tower, self._after, self._sizes.features, halo())

    def _after(self, features: Any, bins: Sequence[int], tracks: Any) -> Any:
        x = self._network.embeddings(features, bins, self._organism)
        return self._unscale(self._network.head(x, self._organism, tracks), tracks)

    def _unscale(self, x: Any, tracks: Any) -> Any:
        """Turn the head's scale into coverage of a bin."""
        if self._means is None:
            return x
        x = x.where(x <= SOFT_CLIP, (x + SOFT_CLIP) ** 2 / (4 * SOFT_CLIP))
        means = self._means.to(x.device)[tracks]
        return x ** SQUASHED.get(self.options.head, 1.0) * means * BIN

    def _forward(self, bases: Any, bins: Sequence[int], tracks: Any) -> Any:
        return self._after(self._network.tower(self._one_hot(bases)), bins, tracks).float()
