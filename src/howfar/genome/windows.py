"""Personal haplotype windows: what a person's two chromosomes read around a TSS.

A haplotype is the reference with that haplotype's alleles put in. The window is anchored on the
TSS base, which stays at index `tss_offset`; each side is filled from the haplotype, so that a
deletion draws in sequence from outside on the side where it lies, and N follows the ends of the
contig. Overlapping variants: first come, first applied, with the rules of ``bcftools consensus``.

Alignment of an allele to REF: shared bases in front are matched first, then shared bases at the
end; what is left is matched from the left, and the surplus is a deletion or an insertion. From
this follow the anchor where the TSS base is deleted, and `Windows.position_map`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from howfar.core.errors import HowfarError
from howfar.genome.edits import Edit, _edits
from howfar.genome.genotypes.base import Genotypes, VariantSource
from howfar.genome.intervals import Gene, Interval
from howfar.genome.overlaps import _clusters, _drop_unapplicable, _first_come
from howfar.genome.reference import Reference

_N = ord("N")


_MARGIN = 1024  # bp read beyond the window at first; deletions that need more extend the read


@dataclass
class Windows:
    """The windows of P people around one TSS, each of D distinct haplotypes once.

    `rows` builds a block of windows, `sequences` all of them: uint8 (D, length), upper-case ASCII,
    forward strand. index: int32 (P, 2), the row of each haplotype. samples: the P names.
    skipped: int32 (P, 2), variants left out within the window because they overlap one applied
    before. reference: uint8 (length,), the reference window. counts: what was met, by kind (of
    the region read, which reaches a little farther).
    """

    gene: Gene
    tss_offset: int
    index: np.ndarray
    samples: tuple[str, ...]
    skipped: np.ndarray
    counts: Counter[str]
    reference: np.ndarray
    _plan: _Plan = field(repr=False)
    _contig_length: int

    def __len__(self) -> int:
        return len(self._plan.layouts)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """uint8 (stop - start, length): distinct windows `start` to `stop`, built now.

        Whoever needs one block at a time holds no more than that, however many people there are.
        """
        return self._plan.build(start, min(stop, len(self)), len(self.reference))

    @cached_property
    def sequences(self) -> np.ndarray:
        """uint8 (D, length): all distinct windows, built once."""
        return self.rows(0, len(self))

    def position_map(self, row: int) -> np.ndarray:
        """int64 (length,): 0-based reference position of each base of distinct window `row`.

        -1 for inserted bases and for the N beyond the contig's ends.
        """
        positions = np.full(len(self.reference), -1, np.int64)
        for at, start, end, inserted in self._plan.pieces[row]:
            if inserted is None:
                positions[at : at + end - start] = np.arange(start, end)
        positions[(positions < 0) | (positions >= self._contig_length)] = -1
        return positions


def build_windows(
    reference: Reference,
    variants: VariantSource,
    gene: Gene,
    length: int,
    *,
    tss_offset: int | None = None,
    samples: Sequence[str] | None = None,
    alleles: str = "snv",
    unphased: str | None = None,
    max_ref_mismatch: float = 0.01,
) -> Windows:
    """The haplotype windows of `length` bp around the TSS of `gene`.

    tss_offset: 0-based index of the TSS base, default ``length // 2``. The other options and
    the errors are those of `VariantSource.read`; a TSS off the contig is an error too.

    Examples
    --------
    >>> import howfar as hf
    >>> cohort = hf.example_cohort()
    >>> windows = hf.build_windows(cohort.reference, cohort.variants, cohort.genes[0], 1_000)
    >>> windows.index.shape, windows.sequences.shape[1]
    ((20, 2), 1000)
    """
    offset = length // 2 if tss_offset is None else tss_offset
    _check_request(reference, gene, length, offset)
    options = {
        "samples": samples,
        "alleles": alleles,
        "unphased": unphased,
        "max_ref_mismatch": max_ref_mismatch,
    }
    region = _read_region(reference, variants, gene, (length, offset), options)
    return _assemble(reference, region, gene, length, offset)


def personalize(
    interval: Interval,
    sample: str,
    *,
    reference: Reference,
    variants: VariantSource,
    alleles: str = "all",
    unphased: str | None = None,
    max_ref_mismatch: float = 0.01,
) -> tuple[str, str]:
    """The two haplotypes of one person over `interval`, each of the interval's length.

    The window is anchored on the interval's centre base (index ``len(interval) // 2``) as
    `build_windows` is on a TSS, so ``personalize(gene.window(n), ...)`` is that gene's window.

    Examples
    --------
    >>> import howfar as hf
    >>> cohort = hf.example_cohort()
    >>> window = cohort.genes[0].window(1_000)
    >>> first, second = hf.personalize(
    ...     window, cohort.samples[0], reference=cohort.reference, variants=cohort.variants
    ... )
    >>> len(first), len(second)
    (1000, 1000)
    """
    half = len(interval) // 2
    if interval.start + half < 0:
        raise HowfarError(
            f"interval {interval}",
            found=f"a centre at {interval.start + half}, before the contig",
            expected="an interval whose centre base is on the contig (0-based half-open)",
            do="Correct the interval.",
        )
    centre = Gene("interval", str(interval), interval.chrom, interval.start + half + 1, "+")
    windows = build_windows(
        reference,
        variants,
        centre,
        len(interval),
        samples=[sample],
        alleles=alleles,
        unphased=unphased,
        max_ref_mismatch=max_ref_mismatch,
    )
    first, second = (windows.sequences[row].tobytes().decode() for row in windows.index[0])
    return first, second


@dataclass
class _Region:
    genotypes: Genotypes
    applied: np.ndarray  # int8 (V, H): allele applied on each distinct haplotype, 0 none
    overlapped: np.ndarray  # bool (V, H): left out because of an overlap
    column: np.ndarray  # int (P * 2,): distinct haplotype of each person's
    edits: dict[tuple[int, int], Edit]
    gaps: _Gaps
    start: int


@dataclass
class _Gaps:
    """Every length-changing allele of a region, in order; which haplotype has it."""

    record: np.ndarray  # (G,)
    position: np.ndarray  # (G,) 0-based: deletion from here, insertion before here
    deleted: np.ndarray  # (G,)
    inserted: list[np.ndarray]  # G of uint8
    size: np.ndarray  # (G,) number of bases inserted
    carried: np.ndarray  # bool (G, H)


def _check_request(reference: Reference, gene: Gene, length: int, offset: int) -> None:
    if not 0 <= offset < length:
        raise HowfarError(
            f"gene {gene.gene_id}, window of {length} bp",
            found=f"TSS offset {offset}",
            expected="an index inside the window",
            do="Correct the length or the offset.",
        )
    end = reference.length(gene.chrom)
    if gene.start0 >= end:
        raise HowfarError(
            f"gene {gene.gene_id}",
            found=f"a TSS at {gene.chrom}:{gene.tss:,}",
            expected=f"a position on the contig, which is {end:,} bp long in {reference.path.name}",
            do="Check that gene table and reference belong to one genome build.",
        )


def _read_region(
    reference: Reference, variants: VariantSource, gene: Gene, size: tuple[int, int], options: dict
) -> _Region:
    """Read far enough that each haplotype fills its window on both sides."""
    length, offset = size
    contig_end = reference.length(gene.chrom)
    left = right = _MARGIN
    while True:
        start = max(gene.start0 - offset - left, 0)
        end = min(gene.start0 - offset + length + right, contig_end)
        # Whether a variant is applied depends on those that overlap it on the left.
        start = variants.cluster_start(gene.chrom, start)
        genotypes = variants.read(Interval(gene.chrom, start, end), reference, **options)
        region = _apply(genotypes, start)
        more_left, more_right = _shortage(region, gene.start0, length, offset, end)
        more_left = 0 if start == 0 else more_left
        more_right = 0 if end == contig_end else more_right
        if more_left <= 0 and more_right <= 0:
            return region
        left += more_left + _MARGIN if more_left > 0 else 0
        right += more_right + _MARGIN if more_right > 0 else 0


def _shortage(region: _Region, tss: int, length: int, offset: int, end: int) -> tuple[int, int]:
    """Bases (left, right) that the region may lack for some haplotype; insertions don't help."""
    gaps = region.gaps
    on_left = gaps.position < tss
    on_right = gaps.position + gaps.deleted > tss

    def worst(side: np.ndarray) -> int:
        """The most bases that a haplotype loses on a side."""
        lost = (gaps.deleted[side, None] * gaps.carried[side]).sum(0)
        return int(lost.max(initial=0))

    have_left = tss - region.start - worst(on_left)
    have_right = end - tss - worst(on_right)
    return offset - have_left, length - offset - have_right


def _apply(genotypes: Genotypes, start: int) -> _Region:
    """Which allele each distinct haplotype carries, overlaps settled."""
    records, people = genotypes.calls.shape[:2]
    calls = genotypes.calls.reshape(records, people * 2)
    keys = np.ascontiguousarray(calls.T)
    rows: dict[bytes, int] = {}
    column = np.array([rows.setdefault(key.tobytes(), len(rows)) for key in keys], np.int64)
    first = np.unique(column, return_index=True)[1]
    wanted = np.ascontiguousarray(calls[:, first])
    edits = _edits(genotypes)
    wanted[wanted < 0] = 0
    _drop_unapplicable(wanted, genotypes)
    applied = wanted.copy()
    for members in _clusters(genotypes):
        applied[members] = _first_come(wanted[members], members, genotypes)
    overlapped = wanted != applied
    return _Region(
        genotypes, applied, overlapped, column, edits, _gaps(genotypes, applied, edits), start
    )


def _gaps(genotypes: Genotypes, applied: np.ndarray, edits: dict[tuple[int, int], Edit]) -> _Gaps:
    found = [
        (v, k, int(genotypes.starts[v]) + edit.gap[0], edit.gap[1], edit.gap[2])
        for (v, k), edit in edits.items()
        if edit.gap is not None
    ]
    found.sort(key=lambda item: (item[2], item[0]))
    record = np.array([f[0] for f in found], np.int64)
    allele = np.array([f[1] for f in found], np.int64)
    return _Gaps(
        record,
        np.array([f[2] for f in found], np.int64),
        np.array([f[3] for f in found], np.int64),
        [np.frombuffer(f[4], np.uint8) for f in found],
        np.array([len(f[4]) for f in found], np.int64),
        applied[record] == allele[:, None],
    )


@dataclass
class _Layout:
    """How one distinct window lies on the reference.

    anchor: reference position at index `offset`. which: the haplotype's gaps, in order, as
    indices of `gaps`.
    """

    anchor: int
    offset: int
    length: int
    which: np.ndarray
    gaps: _Gaps

    def __post_init__(self) -> None:
        self.position = self.gaps.position[self.which]
        self.deleted = self.gaps.deleted[self.which]
        self.size = self.gaps.size[self.which]
        change = np.zeros(len(self.which) + 1, np.int64)
        np.cumsum(self.size - self.deleted, out=change[1:])
        before_anchor = change[np.searchsorted(self.position, self.anchor, side="right")]
        # Index in the window of the reference base at x with g gaps at or before it: x + shift[g]
        self.shift = change + (self.offset - self.anchor - before_anchor)

    def place(self, positions: np.ndarray) -> np.ndarray:
        """Window index of retained reference bases."""
        if not len(self.which):
            return positions + self.shift[0]
        return positions + self.shift[np.searchsorted(self.position, positions, side="right")]

    def pieces(self) -> list[tuple[int, int, int, np.ndarray | None]]:
        """(window index, reference start, reference end, inserted bases or None), in order.

        Clipped to the window; where bases are inserted, start == end.
        """
        starts = np.concatenate((-self.shift[:1], self.position + self.deleted))
        ends = np.concatenate((self.position, self.length - self.shift[-1:]))
        first = np.maximum(starts, -self.shift)
        last = np.minimum(ends, self.length - self.shift)
        some = np.flatnonzero(first < last)
        found = [
            (at, start, end, None)
            for at, start, end in zip(
                (first + self.shift)[some].tolist(),
                first[some].tolist(),
                last[some].tolist(),
                strict=True,
            )
        ]
        place = self.position + self.shift[:-1]
        inside = (self.size > 0) & (place < self.length) & (place + self.size > 0)
        for i in np.flatnonzero(inside).tolist():
            at, position = int(place[i]), int(self.position[i])
            bases = self.gaps.inserted[self.which[i]][max(-at, 0) : self.length - at]
            found.append((max(at, 0), position, position, bases))
        found.sort(key=lambda piece: piece[0])
        return found


@dataclass
class _Substitutions:
    """Every base that some allele replaces; which haplotype has it."""

    position: np.ndarray  # (S,) 0-based
    byte: np.ndarray  # uint8 (S,)
    carried: np.ndarray  # bool (H, S)


def _substitutions(region: _Region) -> _Substitutions:
    flat = [
        (v, k, offset, byte)
        for (v, k), edit in region.edits.items()
        for offset, byte in edit.substitutions
    ]
    record, allele, offset, byte = np.array(flat, np.int64).reshape(-1, 4).T
    return _Substitutions(
        region.genotypes.starts[record] + offset,
        byte.astype(np.uint8),
        np.ascontiguousarray((region.applied[record] == allele[:, None]).T),
    )


def _layouts(region: _Region, tss: int, length: int, offset: int) -> list[_Layout]:
    """The layout of each distinct haplotype of the region."""
    gaps = region.gaps
    carried = np.ascontiguousarray(gaps.carried.T)
    return [
        _Layout(_anchor(gaps, mine, tss), offset, length, mine, gaps)
        for mine in map(np.flatnonzero, carried)
    ]


def _anchor(gaps: _Gaps, mine: np.ndarray, tss: int) -> int:
    """`tss`, or the next reference base on its right that the gaps `mine` don't delete."""
    position, end = gaps.position[mine], gaps.position[mine] + gaps.deleted[mine]
    while True:
        over = np.flatnonzero((position <= tss) & (tss < end))
        if not len(over):
            return tss
        tss = int(end[over[0]])


def _assemble(
    reference: Reference, region: _Region, gene: Gene, length: int, offset: int
) -> Windows:
    """Find the distinct windows, plan each, and point the people's haplotypes at them."""
    layouts = _layouts(region, gene.start0, length, offset)
    pieces = [layout.pieces() for layout in layouts]
    row_of, chosen, skipped = _distinct(region, pieces)
    pad = length + int(region.gaps.deleted.sum())
    low = min(region.start, gene.start0 - offset) - pad
    buffer = reference.fetch(Interval(gene.chrom, low, gene.start0 + length + pad))
    people = len(region.genotypes.samples)
    moved = np.array([layout.anchor != gene.start0 for layout in layouts], bool)
    counts = Counter(region.genotypes.counts)
    counts["overlapping variants skipped"] += int(skipped[region.column].sum())
    counts["haplotypes with the TSS base deleted"] += int(moved[region.column].sum())
    counts["windows without variants"] += int(not region.applied.any())
    at = gene.start0 - offset - low
    return Windows(
        gene,
        offset,
        row_of[region.column].reshape(people, 2).astype(np.int32),
        region.genotypes.samples,
        skipped[region.column].reshape(people, 2).astype(np.int32),
        counts,
        buffer[at : at + length].copy(),
        _Plan(
            chosen,
            [layouts[h] for h in chosen],
            [pieces[h] for h in chosen],
            _substitutions(region),
            buffer,
            low,
        ),
        reference.length(gene.chrom),
    )


@dataclass
class _Plan:
    """What distinct windows are built from, one entry a row where a list.

    haplotype: the region's haplotype that the row stands for. buffer: uint8, the reference from
    0-based position `low` on.
    """

    haplotype: list[int]
    layouts: list[_Layout]
    pieces: list[list[tuple]]
    substitutions: _Substitutions
    buffer: np.ndarray
    low: int

    def build(self, start: int, stop: int, length: int) -> np.ndarray:
        """uint8 (stop - start, length): the windows of rows `start` to `stop`."""
        block = np.empty((stop - start, length), np.uint8)
        for i, row in enumerate(block, start):
            _fill(row, self.pieces[i], self.buffer, self.low)
            _substitute(row, self.layouts[i], self.substitutions, self.haplotype[i])
        return block


def _distinct(
    region: _Region, pieces: list[list[tuple]]
) -> tuple[np.ndarray, list[int], np.ndarray]:
    """(row of each haplotype, one haplotype per row, overlaps skipped inside each window).

    Haplotypes that differ only outside their windows share a row.
    """
    genotypes = region.genotypes
    reach = np.maximum.accumulate(genotypes.ends)
    applied = np.ascontiguousarray(region.applied.T)
    clashing = np.flatnonzero(region.overlapped.any(1))  # few: so the sum below stays short
    overlapped = np.ascontiguousarray(region.overlapped[clashing].T)
    rows: dict[tuple, int] = {}
    chosen: list[int] = []
    row_of = np.zeros(len(pieces), np.int64)
    skipped = np.zeros(len(pieces), np.int64)
    for h, mine in enumerate(pieces):
        low, high = mine[0][1], mine[-1][2]
        begin = int(np.searchsorted(reach, low, side="left"))
        end = int(np.searchsorted(genotypes.starts, high, side="left"))
        skipped[h] = overlapped[h, (clashing >= begin) & (clashing < end)].sum()
        key = (_edge(mine[0]), _edge(mine[-1]), applied[h, begin:end].tobytes())
        row_of[h] = rows.setdefault(key, len(rows))
        if row_of[h] == len(chosen):
            chosen.append(h)
    return row_of, chosen, skipped


def _edge(piece: tuple) -> tuple[int, int, int, int]:
    at, start, end, inserted = piece
    return at, start, end, 0 if inserted is None else len(inserted)


def _fill(row: np.ndarray, pieces: list[tuple], buffer: np.ndarray, low: int) -> None:
    for at, start, end, inserted in pieces:
        if inserted is None:
            row[at : at + end - start] = buffer[start - low : end - low]
        else:
            row[at : at + len(inserted)] = inserted


def _substitute(row: np.ndarray, layout: _Layout, every: _Substitutions, h: int) -> None:
    mine = np.flatnonzero(every.carried[h])
    at = layout.place(every.position[mine])
    inside = (at >= 0) & (at < len(row))
    row[at[inside]] = every.byte[mine[inside]]
