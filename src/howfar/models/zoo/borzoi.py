"""Borzoi (Linder et al. 2025, Nature Genetics 57:949) as a `SequenceModel`, by borzoi-pytorch.

Its coverage is learnt on a squashed scale: per track, coverage in 32-bp bins was raised to the
power of 3/4 (RNA) or 1, what exceeds a threshold was replaced by a square root, and all was scaled.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
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
from howfar.models.engine.options import (
    ALL_SHARED,
    NetworkOptions,
    check_context,
    check_species,
    check_switch,
    middle,
    numbered_tracks,
)
from howfar.models.engine.shared_network import Near, Parts, SharedNetwork
from howfar.models.engine.shared_tower import halo_of
from howfar.models.weights.checkpoint import assemble, read_config
from howfar.models.weights.locating import TENSORS, check_package, first_line, locate

#: Raised when this network's values change by its own code (see `models.engine.VERSION`).
VERSION = 1
CONTEXT, BIN, TOKEN, KEPT, HUMAN_TRACKS = 524_288, 32, 128, 6144, 7611
COLUMNS = {"identifier", "clip_soft", "scale", "sum_stat", "strand_pair", "description"}
SQUASHED = "training-data coverage per 32-bp bin, squashed (power, soft clip, scale)"
LINEAR = "coverage per 32-bp bin, linear"
#: Per base of the window: a third of it the convolutions (measured), the rest attention (reckoned).
WINDOW_BYTES = 8 * 4 * 512


def _files(name: str) -> tuple[str, ...]:
    """Ids in data/sources.csv of the four replicates."""
    files = ("model.safetensors", "config.json")
    return tuple(f"{name}/replicate-{k}/{file}" for k in range(4) for file in files)


@dataclass(frozen=True, kw_only=True)
class BorzoiOptions(NetworkOptions):
    """Options of Borzoi, beside the shared ones.

    pretrained: such as 'johahi/borzoi-replicate-0', or a list, whose mean is taken. species:
    'human' (7,611 tracks) or 'mouse' (2,608). targets: table of the tracks (tab-separated, with
    the package's columns); the package has the human one. context: a multiple of 128; published
    weights know 524,288 only. crop: None: 6,144 of 16,384 bins, all of another number. unsquash:
    linear coverage in the place of the squashed scale. rc: stranded tracks change places.
    """

    batch_size: int = 1
    context: int = CONTEXT
    engine: str = "shared"
    unsquash: bool = False

    takes = ALL_SHARED - {"iupac"}


class BorzoiModel(SharedNetwork, AveragingModel):
    """Borzoi with published weights, or others in the same form; needs ``howfar[borzoi]``.

    Weights are a folder (``config.json`` beside ``model.safetensors`` or ``pytorch_model.bin``),
    one file of tensors, or a folder of folders ``replicate-*``, whose mean is taken. Values are
    outputs of one species' head (after softplus), on the squashed scale of the training data or,
    with `unsquash`, as linear coverage.
    """

    name = "borzoi"
    version = engine.versions("borzoi", VERSION)
    usual_bins = "exons"
    option_class = BorzoiOptions
    options: BorzoiOptions
    card = Card(
        reads="524,288 bp, forward strand",
        gives="6,144 bins of 32 bp, 7,611 human tracks",
        checked="borzoi-pytorch's own values, with random weights at a reduced size",
        licence="Apache-2.0",
        sources=_files("borzoi"),
        extra="borzoi",
        package="borzoi_pytorch",
        run="""
tracks: { match: lcl rna, strand: ".", count: 6 } # `howfar models borzoi --tracks "lcl rna"`
options: { unsquash: true } # linear coverage, so that sums over bins are counts
bins: exons # of the gene, summed on each haplotype; needs a GTF: cohort.genes, or `annotation`
transform: [sum_bins, mean_tracks, mean_haplotypes, log1p]
batch_size: 1
""",
    )

    @classmethod
    def published_tracks(cls) -> pd.DataFrame:
        """Return the human tracks."""
        check_package(cls.name, cls.card)
        return tracks_of("human", HUMAN_TRACKS, None)

    def _locate(self, weights: Path | None) -> Path:
        return locate(self.name, weights, self.card.sources[0], TENSORS, self.options.pretrained)

    def _describe(self, file: Path) -> None:
        self.layout = layout_of(self.options.context, self.options.crop)
        self._unsquash = check_switch(self.name, "unsquash", self.options.unsquash)
        self.units = LINEAR if self._unsquash else SQUASHED

    def _build(self, file: Path) -> Any:
        network = network_of(read_config(file, "borzoi"), file, self.layout)
        species = self.options.species
        check_species(
            self.name, species, [s for s in ("human", "mouse") if hasattr(network, f"{s}_head")]
        )
        self._head = getattr(network, f"{species}_head")
        self.tracks = tracks_of(species, self._head.out_channels, self.options.targets)
        self._check_table({"rc": self._rc, "unsquash": self._unsquash})
        return network

    def _notes(self, network: Any) -> tuple[str, ...]:
        return (f"Values are {self.units}.", *super()._notes(network))

    def _window_bytes(self) -> int:
        return WINDOW_BYTES * self.layout.context

    def _check_table(self, options: dict[str, bool]) -> None:
        """Check that a table gives each track's scale and strand to the options that need it."""
        asked = [name for name, wanted in options.items() if wanted]
        if asked and "strand_pair" not in self.tracks:
            raise HowfarError(
                f"model {self.name}, option {' and '.join(asked)}",
                found="no table of these tracks",
                expected="the table that says each track's scale and strand",
                do="Give it as the option `targets`, or leave the option out.",
            )

    def _paired(self, tracks: Any) -> Any:
        """Return the track of the other strand: CAGE and stranded RNA come in pairs."""
        if not self._rc:
            return tracks
        import torch

        pairs = self.tracks["strand_pair"].iloc[tracks.tolist()]
        return torch.as_tensor(pairs.tolist(), device=tracks.device)

    def _values(self, one_hot: Any, bins: Sequence[int], tracks: Any) -> Any:
        x = self._network.get_embs_after_crop(one_hot.transpose(1, 2))[:, :, list(bins)]
        x = self._network.final_joined_convs(x).transpose(1, 2)
        return softplus_head(x, self._head.weight[tracks, :, 0], self._head.bias[tracks])

    def _split(self, network: Any) -> Parts:
        """Split after the pooling to 128 bp; finer bins come from around the bins asked for."""
        kernels = [m.kernel_size[0] for m in _convolutions(network)]
        widths = [m.out_channels for m in _convolutions(network)][-2:]
        near = Near(partial(_skips, network), 4 * widths[0] + 2 * widths[1], self._around)
        return Parts(
            partial(_tokens, network),
            self._after,
            widths[1],
            halo_of(kernels, TOKEN),
            self._views,
            unit=TOKEN,
            near=near,
            paired=self._paired,
        )

    def _around(self, bins: Sequence[int]) -> tuple[int, int]:
        """Return the tokens that output bins need: a neighbour at 32 bp, and one at 64 bp."""
        first = self.layout.first_base // BIN
        low, high = first + min(bins), first + max(bins)
        tokens = self.layout.context // TOKEN
        begin, end = ((low - 1) // 2 - 1) // 2, ((high + 1) // 2 + 1) // 2 + 1
        return max(0, begin), min(tokens, end)

    def _after(self, given: Any, bins: Sequence[int], tracks: Any) -> Any:
        """Apply what follows the tower: the transformer to all tokens, the rest where it is asked.

        given: tokens, what the convolutions made at 32 and at 64 bp near the bins, and the first
        token of these.
        """
        network = self._network
        tokens, skips, first = given
        stop = first + skips.shape[1]
        x = network.transformer(tokens)[:, first:stop].transpose(1, 2)
        fine, coarse = skips.split([4 * self._widths[0], 2 * self._widths[1]], dim=2)
        for step, lateral, level, separable in (
            (network.upsampling_unet1, network.horizontal_conv1, coarse, network.separable1),
            (network.upsampling_unet0, network.horizontal_conv0, fine, network.separable0),
        ):
            each = 2 if level is coarse else 4
            level = level.unflatten(2, (each, -1)).flatten(1, 2).transpose(1, 2)
            x = separable(step(x) + lateral(level))
        begin = first * TOKEN // BIN - self.layout.first_base // BIN
        x = network.final_joined_convs(x[:, :, [b - begin for b in bins]]).transpose(1, 2)
        return softplus_head(x, self._head.weight[tracks, :, 0], self._head.bias[tracks])

    @property
    def _widths(self) -> list[int]:
        return [module.out_channels for module in _convolutions(self._network)][-2:]

    def _forward(self, bases: Any, bins: Sequence[int], tracks: Any) -> Any:
        """Turn bytes into (batch, bins, tracks); strands are averaged on the squashed scale."""
        return self._unsquashed(super()._forward(bases, bins, tracks), tracks)

    def _mean_of_views(self, windows: np.ndarray, bins: list[int], tracks: Any) -> np.ndarray:
        import torch

        values = torch.from_numpy(super()._mean_of_views(windows, bins, tracks)).float()
        return np.asarray(self._unsquashed(values, tracks))

    def _unsquashed(self, values: Any, tracks: Any) -> Any:
        """Undo the squashed scale if asked for; that this follows the mean is the package's way."""
        if not self._unsquash:
            return values
        import torch
        from borzoi_pytorch.pytorch_borzoi_utils import undo_squashed_scale

        table = self.tracks.iloc[tracks.tolist()]
        power = table["sum_stat"].map(lambda s: 3 / 4 if s == "sum_sqrt" else 1.0)
        columns = zip(table["clip_soft"], power, table["scale"], strict=True)
        parts = [undo_squashed_scale(values[..., k], *c) for k, c in enumerate(columns)]
        return torch.stack(parts, dim=-1)


class FlashzoiModel(BorzoiModel):
    """Flashzoi (Hingerl et al. 2025), Borzoi with rotary positions: faster, else as Borzoi.

    Its attention is flash-attn's formula in PyTorch (see `rotary_attention`).
    """

    name = "flashzoi"
    version = engine.versions("flashzoi", VERSION)
    card = replace(
        BorzoiModel.card,
        checked="its attention against GPT-NeoX's in transformers; not against flash-attn itself",
        sources=_files("flashzoi"),
        run=BorzoiModel.card.run.replace("models borzoi", "models flashzoi"),
    )


def _convolutions(network: Any) -> list[Any]:
    """List the convolutions down to 64 bp; a pooling by two follows each."""
    blocks = [*network.res_tower, *network.unet1]
    return [network.conv_dna.conv_layer, *(b.conv_layer for b in blocks if hasattr(b, "norm"))]


def _levels(network: Any, one_hot: Any) -> tuple[Any, Any]:
    """Compute what the convolutions make at 32 and at 64 bp: (batch, channels, bins)."""
    fine = network.res_tower(network.conv_dna(one_hot.transpose(1, 2)))
    return fine, network.unet1(fine)


def _tokens(network: Any, one_hot: Any) -> Any:
    """Compute the transformer's input: (batch, bases, 4) to (batch, tokens, channels)."""
    return network._max_pool(_levels(network, one_hot)[1]).transpose(1, 2)


def _skips(network: Any, one_hot: Any) -> Any:
    """Compute the finer levels, token by token: the four bins of 32 bp, the two of 64 bp."""
    import torch

    levels = [x.transpose(1, 2) for x in _levels(network, one_hot)]
    tokens = one_hot.shape[1] // TOKEN
    return torch.cat([x.reshape(len(x), tokens, -1) for x in levels], dim=2)


def layout_of(context: int, crop: int | None) -> Layout:
    """Return the layout for a window of `context` bp of which the middle `crop` bins are kept."""
    check_context("borzoi", context, TOKEN, CONTEXT)
    return middle("borzoi", Layout(context, BIN, context // BIN), crop, {CONTEXT // BIN: KEPT})


def tracks_of(species: str, number: int, targets: str | Path | None) -> pd.DataFrame:
    """Return the tracks of a species' head: DataFrame by number, `description` and the rest."""
    if targets is None and species != "human":
        return numbered_tracks(f"{species} track", number)
    if targets is None:
        from borzoi_pytorch.pytorch_borzoi_model import TRACKS_DF as table
    else:
        table = _read_table(Path(targets))
    missing = sorted(COLUMNS - set(table))
    if missing or len(table) != number:
        raise HowfarError(
            str(targets or "the human table of borzoi-pytorch"),
            found=f"{len(table):,} tracks, {'without ' if missing else ''}{', '.join(missing)}",
            expected=f"{number:,} tracks with the columns {', '.join(sorted(COLUMNS))}",
            do="Give the table of these weights as the option `targets`.",
        )
    return table.reset_index(drop=True)[sorted(COLUMNS)]


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_table(path)
    except (OSError, ValueError) as error:
        raise HowfarError(
            str(path),
            found=first_line(error),
            expected="a tab-separated table of tracks",
            do="Correct the option `targets`.",
        ) from error


def network_of(config: dict[str, Any], file: Path, layout: Layout) -> Any:
    """Make the network of `config` with the tensors of `file`; HowfarError unless they fit."""
    from borzoi_pytorch import Borzoi
    from borzoi_pytorch.config_borzoi import BorzoiConfig

    from howfar.models.engine.rotary_attention import in_place_of_flash_attn

    kept = {"return_center_bins_only": True, "bins_to_return": layout.n_bins}
    with in_place_of_flash_attn() if config.get("flashed") else nullcontext():
        network = assemble(lambda: Borzoi(BorzoiConfig(**config | kept)), file)
    _set_positions(network, layout.context // TOKEN)
    return network


def _set_positions(network: Any, tokens: int) -> None:
    """Set position features for so many tokens; the package computes those of 4,096 only.

    They aren't among the tensors of a file. Made for another number than the window has, they
    would be read wrongly, without an error.
    """
    from borzoi_pytorch.pytorch_borzoi_transformer import Attention, get_positional_embed

    for layer in network.modules():
        if isinstance(layer, Attention):
            layer.positions = get_positional_embed(tokens, layer.num_rel_pos_features, "cpu")
