"""Clusters of short attribution windows: the sequence patterns that drivers lie in.

A window is (positions, 4) in channel order A, C, G, T: a one-hot sequence, or the contribution of
each base. Windows are compared at every shift up to `SHIFT` and on both strands.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.cluster import hierarchy
from scipy.spatial import distance

#: Largest shift between two windows, in bases.
SHIFT = 4
#: Average likeness within a group at which two groups are still joined.
LIKENESS = 0.5
_ROWS = 128  # compared at a time, so that they stay in the processor's cache


def sequence_windows(one_hot: np.ndarray) -> np.ndarray:
    """Take 1/4 off one-hot windows (n, positions, 4): unrelated bases have likeness 0 on average.

    Rows without a base (N) become 0.
    """
    known = one_hot.sum(axis=2, keepdims=True) > 0
    return np.where(known, one_hot - 0.25, 0.0)


def reverse_complement(windows: np.ndarray) -> np.ndarray:
    """Read windows (n, positions, 4) on the other strand; A, C, G, T is its own mirror image."""
    return windows[:, ::-1, ::-1]


@dataclass(frozen=True)
class Alignment:
    """Every pair of windows at its best placing.

    likeness: float32 (n, n), the cosine at the best placing of window j on window i, over the
    whole windows' lengths (a shorter overlap counts less). shift: int8 (n, n), how far j's first
    position then lies right of i's. flipped: bool (n, n), j is read on the other strand.
    """

    likeness: np.ndarray
    shift: np.ndarray
    flipped: np.ndarray


def align(windows: np.ndarray, largest: int = SHIFT) -> Alignment:
    """Align every pair of windows by shift and strand. Windows of only zeros are like none."""
    length = np.linalg.norm(windows.reshape(len(windows), -1), axis=1)
    unit = (windows / np.where(length > 0, length, 1)[:, None, None]).astype(np.float32)
    best = np.full((len(unit), len(unit)), -np.inf, np.float32)
    code = np.zeros(best.shape, np.int8)
    for turned, step in itertools.product((0, 1), range(-largest, largest + 1)):
        first, second = _overlapping(unit, reverse_complement(unit) if turned else unit, step)
        for rows in (slice(i, i + _ROWS) for i in range(0, len(unit), _ROWS)):
            cosine = first[rows] @ second.T
            # One code for shift and strand: half the writing of two.
            np.copyto(code[rows], 2 * step + turned, where=cosine > best[rows])
            np.maximum(best[rows], cosine, out=best[rows])
    return Alignment(best, code >> 1, (code & 1).astype(bool))


def _overlapping(first: np.ndarray, second: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut the parts, both (n, numbers), that meet where `second` starts `step` positions right."""
    positions = first.shape[1]
    a = first[:, max(step, 0) : positions + min(step, 0)]
    b = second[:, max(-step, 0) : positions + min(-step, 0)]
    return a.reshape(len(a), -1), b.reshape(len(b), -1)


def clusters(alignment: Alignment, likeness: float = LIKENESS) -> np.ndarray:
    """Cluster windows by average linkage on 1 - likeness; groups from 1 by decreasing size."""
    if len(alignment.likeness) < 2:
        return np.ones(len(alignment.likeness), int)
    apart = 1 - np.clip((alignment.likeness + alignment.likeness.T) / 2, -1, 1)
    np.fill_diagonal(apart, 0)
    tree = hierarchy.linkage(distance.squareform(apart, checks=False), "average")
    group = hierarchy.fcluster(tree, 1 - likeness, "distance")
    names, sizes = np.unique(group, return_counts=True)
    order = names[np.argsort(-sizes, kind="stable")]
    number = np.empty(group.max() + 1, int)
    number[order] = np.arange(1, len(order) + 1)
    return number[group]


def logo(windows: np.ndarray, alignment: Alignment, members: np.ndarray) -> np.ndarray:
    """Average the member windows (positions, 4), each placed on the most central one.

    members: indices. A position that a member's shift leaves uncovered isn't counted for it; NaN
    where fewer than half of the members reach.
    """
    inner = alignment.likeness[np.ix_(members, members)]
    centre = members[int(inner.mean(axis=1).argmax())]
    total, covered = np.zeros(windows.shape[1:]), np.zeros(windows.shape[1])
    for j in members:
        window = windows[j][::-1, ::-1] if alignment.flipped[centre, j] else windows[j]
        step = int(alignment.shift[centre, j])
        positions = np.arange(len(window)) + step
        inside = (positions >= 0) & (positions < len(window))
        total[positions[inside]] += window[inside]
        covered[positions[inside]] += 1
    mean = total / np.maximum(covered, 1)[:, None]
    return np.where((covered >= len(members) / 2)[:, None], mean, np.nan)


def shuffled(windows: np.ndarray, seed: int = 1) -> np.ndarray:
    """Put each window's positions in a random order: the same bases, no pattern."""
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(windows.shape[1]), (len(windows), 1)), axis=1)
    return np.take_along_axis(windows, order[:, :, None], axis=1)
