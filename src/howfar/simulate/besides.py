"""Made data that a network is trained on besides people, in the demo world's hard setting.

Tracks of the training promoters' windows, and reporter assays of substitutions in gene-free
sequence, by the world's own rules; both in the files that `howfar finetune` reads.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from howfar.core.atomic import whole
from howfar.simulate.hard.genome import FREE
from howfar.simulate.hard.train import (
    ACTIVITY,
    BIN,
    CONTEXT,
    WIDE,
    gene_window,
    read_world,
    tracks_of,
    training_promoters,
)
from howfar.training.mpra import CELLS, LENGTH


def write_tracks(world_folder: str | Path, out: Path, windows: int = 160) -> None:
    """Write windows of training promoters and their tracks: HDF5, group "human"."""
    import h5py

    world = read_world(world_folder)
    rows = training_promoters(world).iloc[:windows]
    edge = (WIDE * BIN - CONTEXT) // 2
    pairs = [gene_window(world, row) for row in rows.itertuples()]
    with whole(out) as part, h5py.File(part, "w") as file:
        group = file.create_group("human")
        inner = slice(edge // BIN, edge // BIN + CONTEXT // BIN)
        group["sequences"] = np.stack([bases[edge : edge + CONTEXT] for bases, _ in pairs])
        group["targets"] = np.stack([t[inner] for _, t in pairs]).astype(np.float16)


def write_reporters(
    world_folder: str | Path, out: Path, variants: int = 2_000, noise: float = 0.5, seed: int = 1
) -> None:
    """Write substitutions in gene-free elements, and what they do to promoter activity.

    The effect is the log ratio of mean activity, with noise of its own in each cell type,
    standardised within each.
    """
    world, rng = read_world(world_folder), np.random.default_rng(seed)
    free, rows = world.contigs[FREE], []
    letters = np.frombuffer(b"ACGT", np.uint8)
    for _ in range(variants):
        start = int(rng.integers(0, len(free) - LENGTH))
        reference = free[start : start + LENGTH].copy()
        other, at = reference.copy(), int(rng.integers(LENGTH // 4, 3 * LENGTH // 4))
        other[at] = rng.choice(letters[letters != reference[at]])
        both = [tracks_of(each, world.rules)[:, ACTIVITY].mean() for each in (reference, other)]
        rows.append((reference.tobytes().decode(), other.tobytes().decode(), *both))
    frame = pd.DataFrame(rows, columns=["ref_sequence", "alt_sequence", "before", "after"])
    effect = np.log(frame.pop("after")) - np.log(frame.pop("before"))
    for cell in CELLS:
        seen = effect + rng.normal(0, noise * effect.std(), len(frame))
        frame[f"{cell}_normalized_variant_effect"] = (seen - seen.mean()) / seen.std()
    with whole(out) as part:
        frame.assign(split="train").to_csv(part, index=False, float_format="%.6g")
