"""Output bins over a gene's exons or body, found in each haplotype's own coordinates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from howfar.core.errors import HowfarError
from howfar.genome.exons import Intervals
from howfar.models.base import Layout, SequenceModel


def body(exons: Intervals) -> Intervals:
    """Return the stretch from the first exon's start to the last one's end: (1, 2), or none."""
    ends = [[exons[:, 0].min(), exons[:, 1].max()]] if len(exons) else []
    return np.array(ends, np.int64).reshape(-1, 2)


def carried(positions: NDArray[np.int64], intervals: Intervals) -> Intervals:
    """Carry intervals of the reference into a window: (n, 2) of 0-based half-open indices.

    positions: (length,), reference position of each base of the forward-strand window, -1 for
    inserted ones (`Windows.position_map`). intervals: (m, 2), 0-based half-open. An interval goes
    from its first base that the window has to its last; bases inserted between belong to it, and
    those inserted at its ends don't. One without a base in the window is left out.
    """
    at = np.flatnonzero(positions >= 0)
    first, last = (np.searchsorted(positions[at], intervals[:, side]) for side in (0, 1))
    kept = first < last
    return np.stack([at[first[kept]], at[last[kept] - 1] + 1], axis=1)


def covered(indices: Intervals, layout: Layout, turned: bool) -> NDArray[np.bool_]:
    """Tell which output bins hold a base of the stretches: (bins,).

    indices: as of `carried`. turned: the model reads the window reverse complemented.
    """
    if turned:
        indices = layout.context - indices[:, ::-1]
    first = (indices[:, 0] - layout.first_base) // layout.bin_size
    last = (indices[:, 1] - 1 - layout.first_base) // layout.bin_size
    found = np.zeros(layout.n_bins, bool)
    for begin, end in zip(first, last, strict=True):
        found[max(begin, 0) : max(end + 1, 0)] = True
    return found


def check_rule(model: SequenceModel, rule: str, transform: list[str]) -> None:
    """HowfarError unless a model has bins to choose among and they are summed first."""
    if model.layout.n_bins > 1 and transform[0] == "sum_bins":
        return
    one = model.layout.n_bins == 1
    raise HowfarError(
        f"bins: {rule}",
        found=f"model {model.name}, with one output bin"
        if one
        else f"the transform {' > '.join(transform)}",
        expected="several bins along the gene" if one else "sum_bins first: before any logarithm",
        do="Choose `bins: centre1`."
        if one
        else "Correct `transform`, such as [sum_bins, mean_tracks, mean_haplotypes, log1p]; or "
        "choose `bins: centre3`.",
    )
