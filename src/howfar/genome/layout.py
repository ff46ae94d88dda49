"""How haplotypes lie on the reference: their gaps, their bases replaced, their windows' pieces.

A window is anchored on one reference base, at a fixed index. From there on either side, each
insertion or deletion moves what lies behind it, so the place of a reference base in the window is
its position plus a shift that changes at each gap alone. That makes a window a few slices of the
reference and the inserted bases, however long it is. All haplotypes are laid out at once, in flat
arrays with one entry for each gap that one of them has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from howfar.genome.edits import Edit
from howfar.genome.genotypes.base import Genotypes

Edits = Mapping[tuple[int, int], Edit]  # by record and number of the allele


@dataclass(frozen=True)
class Gaps:
    """Every length-changing allele of a region, in order; which haplotype has it.

    position: 0-based, (G,), where bases are deleted from and inserted before. deleted, size: (G,)
    bases deleted and inserted. inserted: these bases, G of uint8. carried: bool (G, H).
    """

    position: np.ndarray
    deleted: np.ndarray
    size: np.ndarray
    inserted: list[np.ndarray]
    carried: np.ndarray

    @classmethod
    def of(cls, genotypes: Genotypes, applied: np.ndarray, edits: Edits) -> Gaps:
        """Collect the gaps of `edits`; applied: int8 (V, H), each haplotype's alleles."""
        gaps = [
            (int(genotypes.starts[v]) + edit.gap.offset, v, k, edit.gap)
            for (v, k), edit in edits.items()
            if edit.gap is not None
        ]
        gaps.sort(key=lambda item: item[:2])
        record = np.array([v for _, v, _, _ in gaps], np.int64)
        allele = np.array([k for _, _, k, _ in gaps], np.int64)
        return cls(
            np.array([position for position, _, _, _ in gaps], np.int64),
            np.array([gap.deleted for *_, gap in gaps], np.int64),
            np.array([len(gap.inserted) for *_, gap in gaps], np.int64),
            [np.frombuffer(gap.inserted, np.uint8) for *_, gap in gaps],
            applied[record] == allele[:, None],
        )

    def most_deleted(self, side: np.ndarray) -> int:
        """The most bases that a haplotype loses by the gaps `side`, bool (G,)."""
        lost = (self.deleted[side, None] * self.carried[side]).sum(0)
        return int(lost.max(initial=0))


@dataclass(frozen=True)
class Pieces:
    """Runs of windows' bases: slices of the reference, or inserted bases, clipped to the window.

    first: int64 (H + 1,), where each haplotype's pieces begin in the arrays below, in order. at: a
    piece's index in the window. start, end: of the reference, 0-based half-open; both where the
    bases are inserted before, if there are any. size: its bases. gap: the gap whose bases they
    are, -1 for the reference. skip: how many of the gap's bases lie before the window.
    """

    first: np.ndarray
    at: np.ndarray
    start: np.ndarray
    end: np.ndarray
    size: np.ndarray
    gap: np.ndarray
    skip: np.ndarray


class Layout:
    """How the windows of a region's H haplotypes lie on the reference.

    anchor: int64 (H,), the reference position at index `offset`: `tss`, or where a haplotype lacks
    that base, the next on its right that it has.
    """

    def __init__(self, gaps: Gaps, tss: int, offset: int, length: int) -> None:
        """Lay them out; tss: 0-based. offset: its index in windows of `length` bp."""
        self._gaps, self._length = gaps, length
        people = gaps.carried.shape[1]
        # Each gap of each haplotype, haplotype by haplotype, in order.
        self._haplotype, self._which = np.nonzero(np.ascontiguousarray(gaps.carried.T))
        self._first = np.searchsorted(self._haplotype, np.arange(people + 1))
        self._position = gaps.position[self._which]
        self._behind = self._position + gaps.deleted[self._which]
        self.anchor = self._anchors(tss)
        change = (gaps.size - gaps.deleted)[self._which]
        total = np.concatenate(([0], np.cumsum(change)))
        left = self._position <= self.anchor[self._haplotype]
        passed = self._first[:-1] + np.bincount(self._haplotype[left], minlength=people)
        # The reference base at x behind some gaps is at x + shift in the window. The anchor's own
        # index is `offset`, whence the sign of what lies before it.
        base = offset - self.anchor - (total[passed] - total[self._first[:-1]])
        # A haplotype has a run of reference before each gap and one behind the last.
        self._run = np.arange(len(self._which)) + self._haplotype
        self._shift = np.repeat(base, np.diff(self._first) + 1)
        self._shift[self._run + 1] += total[1:] - total[self._first[self._haplotype]]

    def _anchors(self, tss: int) -> np.ndarray:
        anchor = np.full(len(self._first) - 1, tss, np.int64)
        for h in np.unique(self._haplotype[(self._position <= tss) & (tss < self._behind)]):
            own = slice(self._first[h], self._first[h + 1])
            begin, end = self._position[own], self._behind[own]
            while (over := (begin <= anchor[h]) & (anchor[h] < end)).any():
                anchor[h] = end[over][0]
        return anchor

    def window_index(self, haplotype: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Window index of retained reference bases, each of a haplotype; maybe outside the window.

        haplotype, position: int64 (N,) each.
        """
        # One search for all: haplotypes stand side by side on one axis.
        stride = 1 + max(int(self._position.max(initial=0)), int(position.max(initial=0)))
        gaps = self._haplotype * stride + self._position
        passed = np.searchsorted(gaps, haplotype * stride + position, side="right")
        index: np.ndarray = position + self._shift[passed + haplotype]
        return index

    def pieces(self) -> Pieces:
        """What the windows consist of."""
        shift, size = self._shift, self._gaps.size[self._which]
        people = np.arange(len(self._first) - 1)
        # Between two gaps runs the reference; before the first and behind the last, to the edges.
        start, end = -shift, self._length - shift
        start[self._run + 1] = np.maximum(start[self._run + 1], self._behind)
        end[self._run] = np.minimum(end[self._run], self._position)
        some = np.flatnonzero(start < end)
        index = self._position + shift[self._run]
        inside = (size > 0) & (index < self._length) & (index + size > 0)
        index, size, place = index[inside], size[inside], self._position[inside]
        skip = np.maximum(-index, 0)
        none = np.zeros(len(some), np.int64)
        owner = np.concatenate(
            (np.repeat(people, np.diff(self._first) + 1)[some], self._haplotype[inside])
        )
        at = np.concatenate(((start + shift)[some], index + skip))
        order = np.lexsort((at, owner))
        return Pieces(
            np.searchsorted(owner[order], np.arange(len(people) + 1)),
            at[order],
            np.concatenate((start[some], place))[order],
            np.concatenate((end[some], place))[order],
            np.concatenate(
                ((end - start)[some], np.minimum(index + size, self._length) - index - skip)
            )[order],
            np.concatenate((none - 1, self._which[inside]))[order],
            np.concatenate((none, skip))[order],
        )


@dataclass(frozen=True)
class Substitutions:
    """Every base that some allele replaces; which haplotype has it.

    position: 0-based, (S,). byte: uint8 (S,). carried: bool (H, S).
    """

    position: np.ndarray
    byte: np.ndarray
    carried: np.ndarray

    @classmethod
    def of(cls, genotypes: Genotypes, applied: np.ndarray, edits: Edits) -> Substitutions:
        """Collect the substitutions of `edits`; applied: int8 (V, H), each haplotype's alleles."""
        flat = [
            (v, k, offset, byte)
            for (v, k), edit in edits.items()
            for offset, byte in edit.substitutions
        ]
        record, allele, offset, byte = np.array(flat, np.int64).reshape(-1, 4).T
        return cls(
            genotypes.starts[record] + offset,
            byte.astype(np.uint8),
            np.ascontiguousarray((applied[record] == allele[:, None]).T),
        )
