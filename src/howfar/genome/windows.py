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
from typing import Any

import numpy as np

from howfar.core.errors import HowfarError
from howfar.genome.edits import edits_of
from howfar.genome.genotypes.base import Genotypes, VariantSource
from howfar.genome.intervals import Gene, Interval
from howfar.genome.layout import Edits, Gaps, Layout, Pieces, Substitutions
from howfar.genome.overlaps import apply_first_come, drop_unapplicable
from howfar.genome.reference import Reference

_MARGIN = 1024  # bp read beyond the window at first; deletions that need more extend the read


@dataclass
class Windows:
    """The windows of P people around one TSS, each of D distinct haplotypes once.

    `rows` builds a block of windows, `sequences` all of them: uint8 (D, length), upper-case ASCII,
    forward strand. index: int32 (P, 2), the row of each haplotype. samples: the P names.
    skipped: int32 (P, 2), variants left out within the window because they overlap one applied
    before. reference: uint8 (length,), the reference window. counts: what was met, by kind (of
    the region read, which reaches a little farther). plan: how they are built.
    """

    gene: Gene
    tss_offset: int
    index: np.ndarray
    samples: tuple[str, ...]
    skipped: np.ndarray
    counts: Counter[str]
    reference: np.ndarray
    _letters: np.ndarray = field(repr=False)
    plan: WindowPlan = field(repr=False)
    _contig_length: int

    def __len__(self) -> int:
        return len(self.plan)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """uint8 (stop - start, length): distinct windows `start` to `stop`, built now.

        Whoever needs one block at a time holds no more than that, however many people there are.
        """
        return self.plan.build(start, min(stop, len(self)), self._letters, len(self.reference))

    @cached_property
    def sequences(self) -> np.ndarray:
        """uint8 (D, length): all distinct windows, built once."""
        return self.rows(0, len(self))

    def position_map(self, row: int) -> np.ndarray:
        """int64 (length,): 0-based reference position of each base of distinct window `row`.

        -1 for inserted bases and for the N beyond the contig's ends.
        """
        positions = self.plan.positions(row, len(self.reference))
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
    options: dict[str, Any] = {
        "samples": samples,
        "alleles": alleles,
        "unphased": unphased,
        "max_ref_mismatch": max_ref_mismatch,
    }
    region = _read_region(reference, variants, gene, length, offset, options)
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


@dataclass(frozen=True)
class _Region:
    """The records read around a window, and what each distinct haplotype has of them.

    applied: int8 (V, H), the allele applied, 0 for none. overlapped: bool (V, H), alleles left out
    because of an overlap. column: (P * 2,), distinct haplotype of each of a person's two.
    start: 0-based, from where on was read.
    """

    genotypes: Genotypes
    applied: np.ndarray
    overlapped: np.ndarray
    column: np.ndarray
    edits: Edits
    gaps: Gaps
    start: int


def _check_request(reference: Reference, gene: Gene, length: int, offset: int) -> None:
    if gene.strand == ".":
        raise HowfarError(
            f"gene {gene.gene_id}",
            found="no strand, so that its place may not be its TSS",
            expected="'+' or '-', where sequence is read",
            do="Name a gene table with TSS and strands (such as a GTF) in cohort.genes; linear "
            "models and eQTL maps run without.",
        )
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
    reference: Reference,
    variants: VariantSource,
    gene: Gene,
    length: int,
    offset: int,
    options: dict[str, Any],
) -> _Region:
    """Read far enough that each haplotype fills its window on both sides.

    How far that is depends on the deletions found there, so the read is extended by what was
    lacking until nothing is, or the contig ends.
    """
    contig_end = reference.length(gene.chrom)
    left = right = _MARGIN
    while True:
        start = max(gene.start0 - offset - left, 0)
        end = min(gene.start0 - offset + length + right, contig_end)
        # Whether a variant is applied depends on those that overlap it on the left.
        start = variants.cluster_start(gene.chrom, start)
        genotypes = variants.read(Interval(gene.chrom, start, end), reference, **options)
        region = _apply_calls(genotypes, start)
        more_left, more_right = _measure_shortage(region, gene.start0, length, offset, end)
        more_left = 0 if start == 0 else more_left
        more_right = 0 if end == contig_end else more_right
        if more_left <= 0 and more_right <= 0:
            return region
        left += more_left + _MARGIN if more_left > 0 else 0
        right += more_right + _MARGIN if more_right > 0 else 0


def _measure_shortage(
    region: _Region, tss: int, length: int, offset: int, end: int
) -> tuple[int, int]:
    """Bases (left, right) that the region, read to `end`, may lack for some haplotype.

    Insertions are left out of the account, so that a little more is read than needed.
    """
    gaps = region.gaps
    # A deletion of the TSS base moves the anchor to its right end, so it counts on both sides.
    on_left = gaps.position < tss
    on_right = gaps.position + gaps.deleted > tss
    have_left = tss - region.start - gaps.most_deleted(on_left)
    have_right = end - tss - gaps.most_deleted(on_right)
    return offset - have_left, length - offset - have_right


def _apply_calls(genotypes: Genotypes, start: int) -> _Region:
    """Find the distinct haplotypes and which allele each carries, overlaps settled."""
    records, people = genotypes.calls.shape[:2]
    calls = genotypes.calls.reshape(records, people * 2)
    # Neighbours in a population share haplotypes, so each is worked on once, numbered by its first
    # carrier. Bytes as keys: sorting the columns, as np.unique does, takes far longer.
    rows: dict[bytes, int] = {}
    keys = np.ascontiguousarray(calls.T)
    column = np.array([rows.setdefault(key.tobytes(), len(rows)) for key in keys], np.int64)
    first = np.unique(column, return_index=True)[1]
    wanted = np.ascontiguousarray(calls[:, first])
    wanted[wanted < 0] = 0  # a missing call is the reference
    drop_unapplicable(wanted, genotypes)
    applied = apply_first_come(wanted, genotypes)
    edits = edits_of(genotypes)
    gaps = Gaps.of(genotypes, applied, edits)
    return _Region(genotypes, applied, wanted != applied, column, edits, gaps, start)


def _assemble(
    reference: Reference, region: _Region, gene: Gene, length: int, offset: int
) -> Windows:
    """Find the distinct windows, plan each, and point the people's haplotypes at them."""
    layout = Layout(region.gaps, gene.start0, offset, length)
    pieces = layout.pieces()
    distinct = _find_distinct(region, pieces)
    plan = _plan_windows(region, layout, pieces, distinct.haplotype, length)
    shape = (len(region.genotypes.samples), 2)
    moved = layout.anchor != gene.start0
    skipped = distinct.skipped[region.column]
    counts = Counter(region.genotypes.counts)
    counts["overlapping variants skipped"] += int(skipped.sum())
    counts["haplotypes with the TSS base deleted"] += int(moved[region.column].sum())
    counts["windows without variants"] += int(not region.applied.any())
    index = distinct.row[region.column].reshape(shape).astype(np.int32)
    skipped = skipped.reshape(shape).astype(np.int32)
    people = region.genotypes.samples
    return windows_of_plan(reference, gene, length, offset, plan, index, people, skipped, counts)


@dataclass(frozen=True)
class WindowPlan:
    """How D distinct windows are built from the reference.

    first_piece: int64 (D + 1,), where each window's pieces begin. at, source, size: of each piece,
    its index in the window, where its bases begin in `letters`, and how many they are.
    first_base: int64 (D + 1,), where each window's replaced bases begin. place, byte: each one's
    index in the window, and what it reads. low, high: the reference that is needed, 0-based
    half-open. inserted: uint8, the bases that stand behind it in `letters`.
    """

    first_piece: np.ndarray
    at: np.ndarray
    source: np.ndarray
    size: np.ndarray
    first_base: np.ndarray
    place: np.ndarray
    byte: np.ndarray
    inserted: np.ndarray
    low: int
    high: int

    def __len__(self) -> int:
        return len(self.first_piece) - 1

    def build(self, start: int, stop: int, letters: np.ndarray, length: int) -> np.ndarray:
        """uint8 (stop - start, length): the windows of rows `start` to `stop`."""
        block = np.empty((stop - start, length), np.uint8)
        flat = block.reshape(-1)
        first, last = self.first_piece[start], self.first_piece[stop]
        row = np.arange(stop - start) * length
        own = np.diff(self.first_piece[start : stop + 1])
        at, size = np.repeat(row, own) + self.at[first:last], self.size[first:last]
        source = self.source[first:last]
        for to, until, origin, end in zip(
            at.tolist(),
            (at + size).tolist(),
            source.tolist(),
            (source + size).tolist(),
            strict=True,
        ):
            flat[to:until] = letters[origin:end]
        first, last = self.first_base[start], self.first_base[stop]
        own = np.diff(self.first_base[start : stop + 1])
        flat[np.repeat(row, own) + self.place[first:last]] = self.byte[first:last]
        return block

    def positions(self, row: int, length: int) -> np.ndarray:
        """int64 (length,): reference position of each base of a window, -1 for inserted bases."""
        found = np.full(length, -1, np.int64)
        for piece in range(self.first_piece[row], self.first_piece[row + 1]):
            at, start, size = (int(x[piece]) for x in (self.at, self.source, self.size))
            if start < self.high - self.low:
                found[at : at + size] = np.arange(start, start + size) + self.low
        return found


def windows_of_plan(
    reference: Reference,
    gene: Gene,
    length: int,
    offset: int,
    plan: WindowPlan,
    index: np.ndarray,
    samples: tuple[str, ...],
    skipped: np.ndarray,
    counts: Counter[str],
) -> Windows:
    """The windows that `plan` describes (see `Windows`), on the reference that it was made on."""
    start = gene.start0 - offset
    low, high = min(plan.low, start), max(plan.high, start + length)
    read = reference.fetch(Interval(gene.chrom, low, high))
    letters = np.concatenate((read[plan.low - low : plan.high - low], plan.inserted))
    window = read[start - low :][:length].copy()
    end = reference.length(gene.chrom)
    return Windows(gene, offset, index, samples, skipped, counts, window, letters, plan, end)


def _plan_windows(
    region: _Region, layout: Layout, pieces: Pieces, haplotype: np.ndarray, length: int
) -> WindowPlan:
    """Plan the windows of the region's haplotypes `haplotype`, (D,)."""
    own = np.diff(pieces.first)[haplotype]
    first_piece = np.concatenate(([0], np.cumsum(own)))
    chosen = np.repeat(pieces.first[haplotype] - first_piece[:-1], own) + np.arange(own.sum())
    # Without a haplotype, as where a window has no allele of its own, nothing is read.
    low = int(pieces.start[chosen].min()) if len(chosen) else region.start
    high = int(pieces.end[chosen].max()) if len(chosen) else low
    letters = region.gaps.inserted
    behind = (
        high - low + np.concatenate(([0], np.cumsum([len(x) for x in letters], dtype=np.int64)))
    )
    gap = pieces.gap[chosen]
    inserted = behind[gap] + pieces.skip[chosen]
    every = Substitutions.of(region.genotypes, region.applied, region.edits)
    row, which = np.nonzero(every.carried[haplotype])
    index = layout.window_index(haplotype[row], every.position[which])
    inside = (index >= 0) & (index < length)
    return WindowPlan(
        first_piece,
        pieces.at[chosen],
        np.where(gap < 0, pieces.start[chosen] - low, inserted),
        pieces.size[chosen],
        np.searchsorted(row[inside], np.arange(len(haplotype) + 1)),
        index[inside],
        every.byte[which[inside]],
        np.concatenate([np.zeros(0, np.uint8), *letters]),
        low,
        high,
    )


@dataclass(frozen=True)
class _Distinct:
    """The distinct windows. row: (H,), the window of each haplotype of the region. haplotype: one
    of them for each window. skipped: (H,), overlapping alleles left out inside the window.
    """

    row: np.ndarray
    haplotype: np.ndarray
    skipped: np.ndarray


def _find_distinct(region: _Region, pieces: Pieces) -> _Distinct:
    """Give haplotypes that differ only outside their windows one row.

    Two windows are the same if their ends lie alike on the reference and their haplotypes have the
    same alleles between: so no sequence has to be built, or compared, to tell.
    """
    genotypes = region.genotypes
    reach = np.maximum.accumulate(genotypes.ends)
    applied = np.ascontiguousarray(region.applied.T)
    clashing = np.flatnonzero(region.overlapped.any(1))  # few: so the sum below stays short
    overlapped = np.ascontiguousarray(region.overlapped[clashing].T)
    first, last = pieces.first[:-1], pieces.first[1:] - 1
    inserted = np.where(pieces.gap < 0, 0, pieces.size)
    shapes = np.stack((pieces.at, pieces.start, pieces.end, inserted), axis=1)
    keys = np.concatenate((shapes[first], shapes[last]), axis=1)
    begins = np.searchsorted(reach, pieces.start[first], side="left").tolist()
    ends = np.searchsorted(genotypes.starts, pieces.end[last], side="left").tolist()
    rows: dict[tuple[bytes, bytes], int] = {}
    row = np.zeros(len(keys), np.int64)
    skipped = np.zeros(len(keys), np.int64)
    for h, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        if len(clashing):
            skipped[h] = overlapped[h, (clashing >= begin) & (clashing < end)].sum()
        row[h] = rows.setdefault((keys[h].tobytes(), applied[h, begin:end].tobytes()), len(rows))
    return _Distinct(row, np.unique(row, return_index=True)[1], skipped)
