"""Attributions around the drivers of Sasse et al. 2023: profiles, relative size, sequence patterns.

Attribution (in-silico mutagenesis, ISM): the change of the prediction, summed over three central
bins, when one base is replaced by another. The contribution of a base is minus the mean over its
three replacements.
"""

from __future__ import annotations

import io
import tarfile
import zipfile

import numpy as np
import pandas as pd

from howfar import stats
from howfar.attribution import motifs
from howfar.published.files import Files
from howfar.stats.blocks import blocks_of

PROFILES = "sasse2023/maindrivernpz.tar"
RELATIVE = "sasse2023/SupplementaryTable3.txt"
WINDOWS = "sasse2023/ALLgenes_ism_attributions_driversfw_refseq_winsize13.npz"
_SIDES = {"from_ref": "reference", "from_main_var": "variant"}
_POSITIONS, _LETTERS = 41, 13
_UNREADABLE = (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, tarfile.TarError)
#: Groups of windows that are drawn, and the size from which a group is counted as one.
SHOWN, SMALLEST = 6, 10


def relative_size(files: Files) -> pd.DataFrame:
    """Published size of the main driver's contribution, as shares of the gene's largest ISM.

    Index: gene id. Columns variant (position, text), reference and changed (in the reference
    sequence, and with the variant in it; signed), largest (of the two, unsigned).
    """
    numbers = ["MeanISMatLoci_in_refseq/MaxISM", "MeanISMatLoci_in_varseq/MaxISM"]
    frame = files.table(RELATIVE, ["gene_id", "MainDriverLoci"], numbers, sep=" ")
    frame.columns = ["gene_id", "variant", "reference", "changed"]
    if frame["gene_id"].duplicated().any() or frame.isna().any(axis=None):
        raise files.bad(RELATIVE, "repeated genes or empty cells", "one row per gene")
    frame["largest"] = frame[["reference", "changed"]].abs().max(axis=1)
    return frame.set_index("gene_id")


def contributions(files: Files) -> dict[tuple[str, str, str], np.ndarray]:
    """Contribution of each base, (41, 4), zero but for the base that is there.

    Keys: (side, gene_id, position), side 'reference' or 'variant' (the driver's allele set into
    the sequence); the driver is at index 20.
    """
    found = {}
    try:
        with tarfile.open(files.path(PROFILES)) as tar:
            for member in tar:
                folder, _, name = member.name.rpartition("/")
                if folder in _SIDES and name.endswith("_attribution.npz"):
                    gene, position, _ = name.split("_")
                    content = io.BytesIO(tar.extractfile(member).read())
                    found[_SIDES[folder], gene, position] = _contribution(np.load(content))
    except _UNREADABLE as error:
        raise files.bad(PROFILES, f"an unreadable profile ({error})", "npz files") from error
    if not found:
        raise files.bad(PROFILES, "no profile", "from_ref/ and from_main_var/ with npz files")
    return found


def _contribution(content) -> np.ndarray:
    change = content["attribution"].reshape(_POSITIONS, 4)
    there = change == 0
    if not (there.sum(axis=1) == 1).all() or not np.isfinite(change).all():
        raise ValueError("not one base per position with attribution 0")
    return np.where(there, -change.sum(axis=1, keepdims=True) / 3, 0.0)


def profiles(
    found: dict, drivers: pd.DataFrame, largest: pd.Series, genes: pd.DataFrame
) -> pd.DataFrame:
    """Rows of `summary`: mean |contribution| around main drivers, relative to the gene's largest.

    drivers: main drivers with columns gene_id, position, type. largest: the largest |ISM| within
    1 kb of each gene's TSS. x: bp from the driver, on the forward strand.
    """
    parts = []
    for (kind, side), rows in _profile_groups(drivers):
        keys = zip(rows["gene_id"], rows["position"], strict=True)
        values = np.abs([found[side, gene, at].sum(axis=1) for gene, at in keys])
        values /= largest[rows["gene_id"]].to_numpy(float)[:, None]
        blocks, _ = blocks_of(genes, rows["gene_id"])
        low, high = stats.block_bootstrap(
            values, blocks, stats.weighted_mean, seed=1, weighted=True
        )
        part = pd.DataFrame({"x": np.arange(_POSITIONS) - _POSITIONS // 2})
        part = part.assign(value=values.mean(axis=0), ci_low=low, ci_high=high, n=len(rows))
        parts.append(part.assign(set="driver_profile", method=side, group=kind))
    units = "share of the gene's largest |ISM| within 1 kb of the TSS"
    return pd.concat(parts, ignore_index=True).assign(replicate=1, units=units)


def _profile_groups(drivers: pd.DataFrame):
    for kind in ("supported", "unsupported"):
        rows = drivers[drivers["type"] == kind]
        if len(rows):
            yield from (((kind, side), rows) for side in _SIDES.values())


def driver_windows(files: Files) -> tuple[np.ndarray, pd.DataFrame]:
    """The 13 bases around each driver, one-hot (n, 13, 4) A, C, G, T, and its gene and position."""
    try:
        with np.load(files.path(WINDOWS), allow_pickle=False) as content:
            one_hot, genes, at = (content[name] for name in ("seqs", "genes", "loci"))
    except _UNREADABLE as error:
        raise files.bad(WINDOWS, f"no readable arrays ({error})", "seqs, genes, loci") from error
    shape = (len(genes), _LETTERS, 4)
    if one_hot.shape != shape or len(at) != len(genes) or not (one_hot.sum(axis=2) == 1).all():
        raise files.bad(WINDOWS, f"seqs of shape {one_hot.shape}", f"one-hot windows {shape}")
    return one_hot, pd.DataFrame({"gene_id": genes, "position": at})


def motif_rows(files: Files, found: dict) -> pd.DataFrame:
    """Rows of `summary`: groups of driver windows, by sequence and by attribution, and a control.

    set 'driver_motif': replicate is the group's rank, group the letter, x the position from the
    window's middle, value the letter's frequency (method 'sequence') or mean contribution with
    each window scaled to length 1 ('attribution'), n the group's size. set
    'driver_motif_grouped': how many windows lie in groups of at least 10, beside the same windows
    with their positions shuffled (group 'shuffled'); n: all windows.
    """
    one_hot, _ = driver_windows(files)
    middle = slice(_POSITIONS // 2 - _LETTERS // 2, _POSITIONS // 2 + _LETTERS // 2 + 1)
    scores = np.array([c[middle] for (side, *_), c in sorted(found.items()) if side == "reference"])
    length = np.linalg.norm(scores, axis=(1, 2), keepdims=True)
    sequence = motifs.sequence_windows(one_hot)
    parts = [
        _grouped(sequence, "sequence", 0.25, "frequency"),
        _grouped(scores / np.where(length > 0, length, 1), "attribution", 0, "mean contribution"),
    ]
    return pd.concat(parts, ignore_index=True)


def _grouped(windows: np.ndarray, method: str, base: float, units: str) -> pd.DataFrame:
    alignment = motifs.align(windows)
    group = motifs.clusters(alignment)
    parts = []
    for rank in range(1, min(SHOWN, group.max()) + 1):
        members = np.flatnonzero(group == rank)
        part = _logo_rows(motifs.logo(windows, alignment, members) + base)
        parts.append(part.assign(replicate=rank, n=len(members)))
    drawn = pd.concat(parts).assign(set="driver_motif", method=method, units=units)
    control = motifs.clusters(motifs.align(motifs.shuffled(windows)))
    counts = pd.DataFrame(
        {"group": ["drivers", "shuffled"], "value": [_in_groups(group), _in_groups(control)]}
    )
    counts = counts.assign(set="driver_motif_grouped", method=method, x=np.nan, replicate=1)
    return pd.concat([drawn, counts.assign(n=len(windows), units="windows")])


def _logo_rows(mean: np.ndarray) -> pd.DataFrame:
    place = np.arange(len(mean)) - len(mean) // 2
    wide = pd.DataFrame(mean, columns=list("ACGT")).assign(x=place)
    return wide.melt("x", var_name="group", value_name="value")


def _in_groups(group: np.ndarray) -> int:
    sizes = np.bincount(group)
    return int(sizes[sizes >= SMALLEST].sum())
