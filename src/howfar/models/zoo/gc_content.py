"""GC content around the TSS: a control that no network is needed for, and no weights.

A network that tells genes or people apart no better than this has learnt nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError
from howfar.models.base import Card, Layout, SequenceModel

#: Raised when this model's values change.
VERSION = 1
_BIN = 128


class GcContent(SequenceModel):
    """Share of G and C in each 128-bp bin of the forward strand."""

    name = "gc-content"
    version: ClassVar = {"gc-content": VERSION}
    card = Card(
        reads="2,048 bp (or another multiple of 128), either strand",
        gives="16 bins of 128 bp, share of G and C",
        checked="counted by hand",
        licence="MIT",
        run="""
weights: null # none are needed
tracks: [0] # the one that there is
bins: centre3
transform: [mean_bins, mean_tracks, mean_haplotypes]
batch_size: 32
""",
    )
    tracks = pd.DataFrame({"description": ["GC content"]})
    units = "share of G and C"
    weights_sha256 = "none"
    precision, device, engine = "float32", "cpu", "plain"
    windows_at_once = 256

    def __init__(
        self, weights: Path | None, device: str, *, context: int = 2_048, batch_size: int = 32
    ) -> None:
        """Make the control; `context` in bp. It reads no weights and needs no device."""
        if type(context) is not int or context < _BIN or context % _BIN:
            raise HowfarError(
                f"model {self.name}, context",
                found=repr(context),
                expected=f"a multiple of {_BIN} bp",
                do="Correct the run's `options`.",
            )
        self.layout = Layout(context, _BIN, context // _BIN)

    def predict(
        self, windows: np.ndarray, bins: Sequence[int], tracks: Sequence[int]
    ) -> np.ndarray:
        """Return float32 (windows, bins, tracks): the share of G and C among each bin's bases."""
        is_gc: Any = (windows == ord("G")) | (windows == ord("C"))
        shares = is_gc.reshape(len(windows), -1, _BIN).mean(axis=2, dtype=np.float32)
        return np.repeat(shares[:, list(bins), None], len(tracks), axis=2)
