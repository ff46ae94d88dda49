"""Data that a network is trained on besides people: tracks of a genome, reporter assays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from howfar.core.errors import HowfarError, no_such_file
from howfar.training import samplers
from howfar.training.data import varied
from howfar.training.mpra import CELLS, variant_item
from howfar.training.recipe import Recipe, lacking

#: Share of the examples of tracks, the last ones, that validate.
_VALIDATION = 0.1


class NoOthers:
    """No other data."""

    batches = validates = 0

    def __call__(self, number: int, train: bool = True) -> dict[str, Any]:
        """Return nothing besides people."""
        return {}


class Tracks:
    """Windows and tracks by species, from a file of ``howfar training-tracks``, in its order.

    As published, a window and its tracks are reverse complemented at random, and the window alone
    is then moved by up to three bases.
    """

    def __init__(self, recipe: Recipe, built: Any) -> None:
        """Open the file; HowfarError where it doesn't fit the network's heads."""
        import h5py

        self.recipe, self.each = recipe, recipe.people if recipe.task == "tracks" else 1
        self.path = _path_of(recipe, "HDF5 of `howfar training-tracks`")
        self.file = h5py.File(self.path, "r")
        heads = built.network.body.heads(built.network.base)
        self.species = [name for name in ("human", "mouse") if name in self.file]
        wanted = {s: _tracks_of(heads[s]) for s in self.species if s in heads}
        found = {s: self.file[s]["targets"].shape[-1] for s in self.species}
        if not self.species or wanted != found:
            raise HowfarError(
                str(self.path),
                found=f"tracks {found or 'of no species'}",
                expected=f"those of the network's heads: {wanted or 'a network with heads'}",
                do="Give the tracks that the network was trained on.",
            )
        self._count = {s: len(self.file[s]["sequences"]) for s in self.species}
        last = max(1, int(_VALIDATION * self._count["human"]))
        self._train = {s: max(1, n - last) for s, n in self._count.items()}
        self.batches = max(1, self._train["human"] // self.each)
        self.validates = last

    def __call__(self, number: int, train: bool = True) -> dict[str, Any]:
        """Return the batch of that number, by species: windows uint8, tracks float32."""
        found = {}
        for species in self.species:
            first = self._train[species]
            if not train:
                at = min(first + number, self._count[species] - 1)
                parts = [self._example(species, at, None)]
            else:
                parts = [
                    self._example(species, item % first, item)
                    for item in range(number * self.each, (number + 1) * self.each)
                ]
            windows, tracks = (np.stack(part) for part in zip(*parts, strict=True))
            found[species] = torch.from_numpy(windows), torch.from_numpy(tracks)
        return found

    def _example(self, species: str, at: int, item: int | None) -> tuple[np.ndarray, np.ndarray]:
        group = self.file[species]
        window, tracks = group["sequences"][at], group["targets"][at].astype(np.float32)
        if item is None:
            return window, tracks
        change = samplers.draw_augmented(np.random.default_rng([self.recipe.seed, 7, item]))
        turned = tracks[::-1] if change.reverse else tracks
        return varied(window[None], change)[0], np.ascontiguousarray(turned)


def _tracks_of(head: Any) -> int:
    return [p for p in head.parameters() if p.ndim == 1][-1].numel()


class Reporters:
    """Variants of reporter assays, from the table of ``howfar training-mpra``."""

    validates = 0

    def __init__(self, recipe: Recipe, built: Any) -> None:
        """Read the table's training rows."""
        self.recipe, self.each = recipe, max(1, recipe.people // 2)
        path = _path_of(recipe, "the table of `howfar training-mpra`, CSV or Parquet")
        read = pd.read_parquet if path.suffix == ".parquet" else pd.read_csv
        table = read(path)
        needed = ["ref_sequence", "alt_sequence", "split"]
        needed += [f"{cell}_normalized_variant_effect" for cell in CELLS]
        if missing := [name for name in needed if name not in table]:
            raise HowfarError(
                str(path),
                found=f"no column {missing[0]}",
                expected=", ".join(needed),
                do="Make the table by `howfar training-mpra`.",
            )
        self.rows = table[table["split"] == "train"].to_dict("records")
        self.batches = max(1, len(self.rows) // self.each)

    def __call__(self, number: int, train: bool = True) -> dict[str, Any]:
        """Return both alleles' one-hots (2 n, 200, 4), effects and which are measured."""
        if not train:
            return {}
        turn, at = divmod(number, self.batches)
        order = np.random.default_rng([self.recipe.seed, 8, turn]).permutation(len(self.rows))
        draw = np.random.RandomState((self.recipe.seed * 1_000_003 + number) % 2**32)
        items = [
            variant_item(self.rows[k], draw if self.recipe.augment else None)
            for k in order[at * self.each : (at + 1) * self.each]
        ]
        alleles = [i.reference for i in items] + [i.alternative for i in items]
        effects = torch.from_numpy(np.nan_to_num(np.stack([i.effects for i in items])))
        measured = torch.from_numpy(np.stack([i.measured for i in items]))
        return {"mpra": (torch.from_numpy(np.stack(alleles)), effects, measured)}


def _path_of(recipe: Recipe, what: str) -> Path:
    if not recipe.data:
        do = "Name it: --set data=FILE."
        raise lacking(recipe.strategy, f"no file of {recipe.others}", what, do)
    path = Path(recipe.data)
    if not path.is_file():
        raise no_such_file(path, what, "Correct --set data=FILE.")
    return path


def others_of(recipe: Recipe, built: Any) -> Any:
    """Return the data that a recipe trains on besides people."""
    kinds = {"tracks": Tracks, "mpra": Reporters}
    return kinds[recipe.others](recipe, built) if recipe.others in kinds else NoOthers()
