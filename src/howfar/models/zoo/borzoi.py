"""Borzoi (Linder et al. 2025, Nature Genetics 57:949) as a `SequenceModel`, by borzoi-pytorch.

An optional extra that shows that the interface holds for a model nobody had in mind. Its
coverage is learnt on a squashed scale: per track, coverage in 32-bp bins was raised to the power
of 3/4 (RNA) or 1, what exceeds a threshold was replaced by a square root, and all was scaled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from howfar.core.errors import HowfarError
from howfar.core.provenance import sha256_of
from howfar.models.base import Layout
from howfar.models.engine.averaging import AveragingModel, check_context, check_switch, middle
from howfar.models.engine.network import affordable, pick_device, softplus_head
from howfar.models.engine.precision import check_precision
from howfar.models.weights.checkpoint import assemble, first_line, locate, read_config

CONTEXT, BIN, TOKEN, KEPT = 524_288, 32, 128, 6144
COLUMNS = {"identifier", "clip_soft", "scale", "sum_stat", "strand_pair", "description"}
SQUASHED = "training-data coverage per 32-bp bin, squashed (power, soft clip, scale)"
LINEAR = "coverage per 32-bp bin, linear"
#: Per base of the window: a third of it the convolutions (measured), the rest attention (reckoned).
WINDOW_BYTES = 8 * 4 * 512


class BorzoiModel(AveragingModel):
    """Borzoi with published weights, or others in the same form.

    Values are outputs of one species' head (after softplus), on the squashed scale of the
    training data or, with `unsquash`, as linear coverage. `notes` say how they were made.
    """

    name = "borzoi"

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
        unsquash: bool = False,
        n_value: float = 0.0,
        rc: bool = False,
        shifts: Iterable[int] = (0,),
        precision: str = "float32",
        batch_size: int = 1,
    ) -> None:
        """Load and check; the options are those of `load`."""
        _package()
        file = locate(self.name, weights, pretrained)
        self.layout = layout_of(context, crop)
        self.precision = check_precision(self.name, precision, pick_device(device))
        views = self._average(rc, shifts, n_value)
        network = network_of(read_config(file, "borzoi"), file, self.layout)
        self._head = head_of(network, species)
        self.tracks = tracks_of(species, self._head.out_channels, targets)
        self._check_table({"rc": rc, "unsquash": unsquash})
        self._unsquash = check_switch(self.name, "unsquash", unsquash)
        self.units = LINEAR if unsquash else SQUASHED
        self.weights_sha256 = sha256_of(file)
        self.notes = (f"Values are {self.units}.", views)
        batch_size = affordable(self.name, batch_size, WINDOW_BYTES * context, pick_device(device))
        self._ready(network, device, batch_size, n_value)

    @property
    def network(self) -> Any:
        """The PyTorch network, for engines that compute its parts themselves."""
        return self._network

    def _check_table(self, options: dict[str, bool]) -> None:
        """These options need to know each track's scale and strand."""
        asked = [name for name, wanted in options.items() if wanted]
        if asked and "strand_pair" not in self.tracks:
            raise HowfarError(
                f"model {self.name}, option {' and '.join(asked)}",
                found="no table of these tracks",
                expected="the table that says each track's scale and strand",
                do="Give it as the option `targets`, or leave the option out.",
            )

    def _paired(self, tracks: Any) -> Any:
        """The track of the other strand: CAGE and stranded RNA come in pairs."""
        if not self._rc:
            return tracks
        import torch

        pairs = self.tracks["strand_pair"].iloc[tracks.tolist()]
        return torch.as_tensor(pairs.tolist(), device=tracks.device)

    def _values(self, one_hot: Any, bins: Sequence[int], tracks: Any) -> Any:
        x = self._network.get_embs_after_crop(one_hot.transpose(1, 2))[:, :, list(bins)]
        x = self._network.final_joined_convs(x).transpose(1, 2)
        return softplus_head(x, self._head.weight[tracks, :, 0], self._head.bias[tracks])

    def _forward(self, bases: Any, bins: Sequence[int], tracks: Any) -> Any:
        """One batch of bytes to (batch, bins, tracks); strands are averaged on the squashed scale.

        That order, and the inverse itself, are the package's.
        """
        values = super()._forward(bases, bins, tracks)
        if not self._unsquash:
            return values
        import torch
        from borzoi_pytorch.pytorch_borzoi_utils import undo_squashed_scale

        table = self.tracks.iloc[tracks.tolist()]
        power = table["sum_stat"].map(lambda s: 3 / 4 if s == "sum_sqrt" else 1.0)
        columns = zip(table["clip_soft"], power, table["scale"], strict=True)
        parts = [undo_squashed_scale(values[..., k], *c) for k, c in enumerate(columns)]
        return torch.stack(parts, dim=-1)


def load(weights: Path | None, device: str = "auto", **options: Any) -> BorzoiModel:
    """Borzoi, ready to predict; needs the extra ``howfar[borzoi]``.

    weights: a folder (``config.json`` beside ``model.safetensors`` or ``pytorch_model.bin``) or
    one file of tensors. Options:

    pretrained: a Hugging Face name in the place of `weights`, such as
    'johahi/borzoi-replicate-0'; each of the four replicates is a run of its own.
    species: 'human' (7,611 tracks) or 'mouse' (2,608). targets: table of the tracks
    (tab-separated, with the package's columns); the package has the human one.
    context: window in bp, a multiple of 128; published weights know 524,288 only. crop: bins
    kept, in the middle; None: 6,144 of 16,384, all of another number.
    unsquash: linear coverage in the place of the squashed scale. n_value: each channel of N and
    of bases that a shift leaves empty. rc, shifts: mean over both strands, where stranded tracks
    change places, and over shifts. precision: 'float32', 'bfloat16', or on CUDA 'tf32'.
    batch_size: windows at once. Raises HowfarError for anything that doesn't fit.
    """
    return BorzoiModel(weights, device, **options)


def _package() -> None:
    """HowfarError where the extra isn't installed."""
    try:
        import borzoi_pytorch  # noqa: F401
    except ImportError as error:
        raise HowfarError(
            "model borzoi",
            found=str(error),
            expected="the package borzoi-pytorch",
            do="Run `pip install 'howfar[borzoi]'`.",
        ) from error


def layout_of(context: int, crop: int | None) -> Layout:
    """The layout for a window of `context` bp of which the middle `crop` bins are kept."""
    check_context("borzoi", context, TOKEN, CONTEXT)
    return middle("borzoi", Layout(context, BIN, context // BIN), crop, {CONTEXT // BIN: KEPT})


def head_of(network: Any, species: str) -> Any:
    """The last layer of a species; HowfarError where these weights have none."""
    heads = [s for s in ("human", "mouse") if hasattr(network, f"{s}_head")]
    if species in heads:
        return getattr(network, f"{species}_head")
    raise HowfarError(
        "model borzoi, option species",
        found=f"{species!r}",
        expected=f"a head of these weights: {', '.join(heads)}",
        do="Correct `species`, or take weights that have the head.",
    )


def tracks_of(species: str, number: int, targets: str | Path | None) -> pd.DataFrame:
    """The tracks of a species' head: DataFrame by number, `description` and the rest."""
    if targets is None and species != "human":
        return pd.DataFrame({"description": [f"{species} track {k}" for k in range(number)]})
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
    """The network of `config` with the tensors of `file`; HowfarError where they don't fit."""
    import torch
    from borzoi_pytorch import Borzoi
    from borzoi_pytorch.config_borzoi import BorzoiConfig

    kept = {"return_center_bins_only": True, "bins_to_return": layout.n_bins}
    if config.get("flashed") and not torch.cuda.is_available():
        raise HowfarError(
            str(file.parent / "config.json"),
            found="weights for flash attention",
            expected="a CUDA device and flash-attn for these, or weights without (`borzoi-...`)",
            do="Take johahi/borzoi-replicate-0 to -3.",
        )
    network = assemble(lambda: Borzoi(BorzoiConfig(**config | kept)), file)
    _set_positions(network, layout.context // TOKEN)
    return network


def _set_positions(network: Any, tokens: int) -> None:
    """Position features for so many tokens; the package computes those of 4,096 only.

    They aren't among the tensors of a file. Made for another number than the window has, they
    would be read wrongly, without an error.
    """
    from borzoi_pytorch.pytorch_borzoi_transformer import Attention, get_positional_embed

    for layer in network.modules():
        if isinstance(layer, Attention):
            layer.positions = get_positional_embed(tokens, layer.num_rel_pos_features, "cpu")
