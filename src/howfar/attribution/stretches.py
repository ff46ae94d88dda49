"""Groups of short sequences that share a stretch of letters (Sasse et al. 2023, figure S10).

Sequences have one length and the driver in their middle. Two are compared at every shift; a
stretch begins with a match, ends before two mismatches in a row, and must hold both middles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.cluster import hierarchy
from scipy.spatial import distance as spatial

from howfar.stats import benjamini_hochberg

#: Shortest stretch, and its least share of matches.
SHORTEST, MATCHES = 5, 0.8
#: Largest shift between two sequences; distance at which groups are cut.
SHIFT, CUT = 8, 0.25


@dataclass(frozen=True)
class Stretches:
    """Best stretch of every pair. score: (n, n) matches, 0 without one. bounds: (2, n, n, 2),
    start and end (excluded) of the stretch in the first and in the second sequence."""

    score: np.ndarray
    bounds: np.ndarray


def compare(sequences: list[str]) -> Stretches:
    """Find the best common stretch of each pair of sequences of one length."""
    letters = np.array([list(s) for s in sequences])
    n, length = letters.shape
    score, bounds = np.zeros((n, n), int), np.zeros((2, n, n, 2), int)
    for i in range(n):
        for j in range(i + 1, n):
            best, first, second = _pair(letters[i], letters[j], length)
            score[i, j] = score[j, i] = best
            bounds[:, i, j], bounds[:, j, i] = (first, second), (second, first)
    return Stretches(score, bounds)


def _pair(a: np.ndarray, b: np.ndarray, length: int):
    """(matches, bounds in a, bounds in b) of the best stretch over all shifts."""
    best = (0, (0, 0), (0, 0))
    for shift in range(SHIFT + 1):
        for from_a, from_b in dict.fromkeys(((shift, 0), (0, shift))):
            overlap = length - shift
            same = a[from_a : from_a + overlap] == b[from_b : from_b + overlap]
            middles = length // 2 - from_a, length // 2 - from_b
            for start, end, matches in _stretches(same):
                inside = all(start <= middle < end for middle in middles)
                if inside and matches > best[0]:
                    at_a = start + from_a, end + from_a
                    best = matches, at_a, (start + from_b, end + from_b)
    return best


def _stretches(same: np.ndarray):
    """Yield (start, end, matches) of the valid stretches of an overlap."""
    reached = 0
    for start in np.flatnonzero(same[: len(same) - SHORTEST]):
        end = _end(same, start)
        matches = int(same[start:end].sum())
        if end - start >= SHORTEST and matches >= MATCHES * (end - start) and end > reached:
            reached = end
            yield int(start), end, matches


def _end(same: np.ndarray, start: int) -> int:
    """Where a stretch ends: after its last match before two mismatches in a row."""
    last = start
    for place in range(start + 1, len(same)):
        if same[place]:
            last = place
        elif place - last >= 2:
            break
    return int(last) + 1


def groups(score: np.ndarray) -> np.ndarray:
    """Group sequences by complete linkage on max(0, 1 - score / 5); numbers from 0."""
    apart = np.maximum(0, 1 - score / SHORTEST)
    np.fill_diagonal(apart, 0)
    tree = hierarchy.linkage(spatial.squareform(apart, checks=False), "complete")
    return hierarchy.fcluster(tree, CUT, "distance") - 1


def pattern(sequences: list[str], found: Stretches, members: np.ndarray) -> tuple:
    """Count the letters (columns, 4; A, C, G, T) of a group's stretches, and where middles lie.

    members: indices, two at least. Stretches are laid on the member with the largest sum of
    scores; counts are divided by the largest of a column. Returns the pattern and each member's
    middle in it, -1 where the member shares no stretch with that one.
    """
    inner = found.score[np.ix_(members, members)]
    seed = members[int(inner.sum(axis=1).argmax())]
    length = len(sequences[0])
    counts = np.zeros((3 * length, 4))
    middles = np.full(len(members), -1)
    for k, member in enumerate(members):
        start, end = found.bounds[1, seed, member]
        at = found.bounds[0, seed, member][0] + length - start
        if member == seed:
            best = members[int(inner[k].argmax())]  # it stands with its best stretch alone
            (start, end), at = found.bounds[0, seed, best], length
        elif not found.score[seed, member]:
            continue
        for place in range(start, end):
            counts[at + place, "ACGT".index(sequences[member][place])] += 1
        middles[k] = at + length // 2
    columns = np.flatnonzero(counts.any(axis=1))
    middles = np.where(middles >= 0, middles - columns[0], -1)
    counts = counts[columns[0] : columns[-1] + 1]
    return counts / counts.sum(axis=1).max(), middles


def enrichment(group: np.ndarray, unsupported: np.ndarray) -> dict[str, np.ndarray]:
    """Test each group by Fisher's exact test, one-sided both ways: unsupported against supported.

    group: (n,) numbers from 0. unsupported: (n,) bool. Returns arrays (groups,): n, unsupported,
    p_more, p_fewer, and their q over groups (Benjamini-Hochberg).
    """
    rows = []
    for number in range(group.max() + 1):
        inside = group == number
        hits, every = int(unsupported[inside].sum()), int(unsupported.sum())
        table = [[hits, inside.sum() - hits], [every - hits, (~inside).sum() - every + hits]]
        ends = (stats.fisher_exact(table, side).pvalue for side in ("greater", "less"))
        rows.append((inside.sum(), hits, *ends))
    n, hits, more, fewer = map(np.array, zip(*rows, strict=True))
    q = {f"q_{k}": benjamini_hochberg(p) for k, p in (("more", more), ("fewer", fewer))}
    return {"n": n, "unsupported": hits, "p_more": more, "p_fewer": fewer} | q
