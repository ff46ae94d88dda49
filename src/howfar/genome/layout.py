"""How haplotypes lie on the reference: their gaps, their bases replaced, their windows' pieces.

A window is anchored on one reference base, at a fixed index. From there on either side, each
insertion or deletion moves what lies behind it, so the place of a reference base in the window is
its position plus a shift that changes at each gap alone. That makes a window a few slices of the
reference and the inserted bases, however long it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

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

    def anchor(self, which: np.ndarray, position: int) -> int:
        """`position`, or the next reference base on its right that the gaps `which` keep."""
        begin, end = self.position[which], self.position[which] + self.deleted[which]
        while True:
            over = np.flatnonzero((begin <= position) & (position < end))
            if not len(over):
                return position
            position = int(end[over[0]])


class Piece(NamedTuple):
    """A run of a window's bases: a slice of the reference, or inserted bases.

    at: its index in the window. start, end: of the reference, 0-based half-open; both where the
    bases are inserted before, if there are any. (Not a dataclass, as each haplotype has dozens.)
    """

    at: int
    start: int
    end: int
    inserted: np.ndarray | None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """What tells it from other pieces, but for the bases inserted."""
        return self.at, self.start, self.end, 0 if self.inserted is None else len(self.inserted)


@dataclass
class Layout:
    """How one distinct window lies on the reference.

    anchor: reference position at index `offset`. which: the haplotype's gaps, in order, as
    indices of `gaps`.
    """

    anchor: int
    offset: int
    length: int
    which: np.ndarray
    gaps: Gaps

    def __post_init__(self) -> None:
        self.position = self.gaps.position[self.which]
        self.deleted = self.gaps.deleted[self.which]
        self.size = self.gaps.size[self.which]
        change = np.zeros(len(self.which) + 1, np.int64)
        np.cumsum(self.size - self.deleted, out=change[1:])
        before_anchor = change[np.searchsorted(self.position, self.anchor, side="right")]
        # Index in the window of the reference base at x with g gaps at or before it: x + shift[g].
        # The anchor's own index is `offset`, whence the sign of what lies before the anchor.
        self.shift = change + (self.offset - self.anchor - before_anchor)

    def window_index(self, positions: np.ndarray) -> np.ndarray:
        """Window index of retained reference bases; it may lie outside the window."""
        shifted: np.ndarray
        if not len(self.which):
            shifted = positions + self.shift[0]
        else:
            passed = np.searchsorted(self.position, positions, side="right")
            shifted = positions + self.shift[passed]
        return shifted

    def pieces(self) -> list[Piece]:
        """What the window consists of, in order, clipped to it."""
        # Between two gaps runs the reference; before the first and behind the last, to the edges.
        starts = np.concatenate((-self.shift[:1], self.position + self.deleted))
        ends = np.concatenate((self.position, self.length - self.shift[-1:]))
        first = np.maximum(starts, -self.shift)
        last = np.minimum(ends, self.length - self.shift)
        some = np.flatnonzero(first < last)
        pieces = [
            Piece(at, start, end, None)
            for at, start, end in zip(
                (first + self.shift)[some].tolist(),
                first[some].tolist(),
                last[some].tolist(),
                strict=True,
            )
        ]
        index = self.position + self.shift[:-1]
        inside = (self.size > 0) & (index < self.length) & (index + self.size > 0)
        for i in np.flatnonzero(inside).tolist():
            at, position = int(index[i]), int(self.position[i])
            bases = self.gaps.inserted[self.which[i]][max(-at, 0) : self.length - at]
            pieces.append(Piece(max(at, 0), position, position, bases))
        pieces.sort(key=lambda piece: piece.at)
        return pieces


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
