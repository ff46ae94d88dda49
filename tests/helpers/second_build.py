"""Another build of a contig, made from it: chains both ways, and where each SNV must go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
PAD = 1_234  # bases before the contig
DELETED = 0.02  # of the contig, a stretch that the other build lacks
INVERTED = 0.05  # and one that it has the other way round


def complement(text: str) -> str:
    """Reverse complement."""
    return text.translate(_COMPLEMENT)[::-1]


@dataclass(frozen=True)
class Builds:
    """The new build's sequence, and the blocks of the old one in it.

    blocks: (start, end, start in the new build, strand), 0-based half-open.
    """

    sequence: str
    blocks: list[tuple[int, int, int, str]]
    swapped: set[int]
    third: set[int]

    def moved(self, position: int, letters: list[str]) -> tuple[int, list[str]] | None:
        """Where an SNV (1-based) and its letters must be; None where the new build lacks it."""
        at = position - 1
        for start, end, new, strand in self.blocks:
            if start <= at < end:
                if strand == "+":
                    return new + at - start + 1, letters
                return new + end - at, [complement(x) for x in letters]
        return None


def make_builds(sequence: str, snvs: dict[int, tuple[str, str]], seed: int = 1) -> Builds:
    """Make the new build. snvs: REF and ALT by 1-based position, of which 20 are swapped and 5
    get a third letter."""
    draw = np.random.default_rng(seed)
    size = len(sequence)
    cut = (int(0.3 * size), int((0.3 + DELETED) * size))
    turn = (int(0.6 * size), int((0.6 + INVERTED) * size))
    pad = "".join(draw.choice(list("ACGT"), PAD))
    letters = list(sequence)
    outside = [p for p in sorted(snvs) if not cut[0] <= p - 1 < cut[1]]
    chosen = [int(p) for p in draw.choice(outside, min(25, len(outside) // 4), replace=False)]
    third, swapped = set(chosen[:5]), set(chosen[5:])
    for position in swapped:
        letters[position - 1] = snvs[position][1]
    for position in third:
        letters[position - 1] = next(x for x in "ACGT" if x not in snvs[position])
    changed = "".join(letters)
    blocks, new = [], pad
    for start, end, strand in (
        (0, cut[0], "+"),
        (cut[1], turn[0], "+"),
        (turn[0], turn[1], "-"),
        (turn[1], size, "+"),
    ):
        blocks.append((start, end, len(new), strand))
        piece = changed[start:end]
        new += piece if strand == "+" else complement(piece)
    return Builds(new, blocks, swapped, third)


def write_chains(builds: Builds, size: int, old: str, new: str, folder: Path) -> tuple[Path, Path]:
    """Write the chains old to new and new to old; contigs named `old` and `new`."""
    there, back = [], []
    total = len(builds.sequence)
    for k, (start, end, at, strand) in enumerate(builds.blocks, start=1):
        length = end - start
        new_at = at if strand == "+" else total - at - length
        old_at = start if strand == "+" else size - end
        there.append(
            f"chain 1000 {old} {size} + {start} {end} {new} {total} {strand} "
            f"{new_at} {new_at + length} {k}\n{length}\n"
        )
        back.append(
            f"chain 1000 {new} {total} + {at} {at + length} {old} {size} {strand} "
            f"{old_at} {old_at + length} {k}\n{length}\n"
        )
    paths = folder / "there.chain", folder / "back.chain"
    for path, chains in zip(paths, (there, back), strict=True):
        path.write_text("\n".join(chains) + "\n")
    return paths


def switch_errors(truth: np.ndarray, phased: np.ndarray) -> tuple[int, int]:
    """(switches, pairs of neighbouring heterozygotes) of haplotypes (sites, people, 2), -1 missing.

    Sites where the calls differ (filled in otherwise) count for neither.
    """
    switches = pairs = 0
    for person in range(truth.shape[1]):
        a, b = truth[:, person], phased[:, person]
        het = (a[:, 0] != a[:, 1]) & (np.sort(a, 1) == np.sort(b, 1)).all(1) & (a >= 0).all(1)
        same = a[het, 0] == b[het, 0]
        pairs += max(len(same) - 1, 0)
        switches += int((same[1:] != same[:-1]).sum())
    return switches, pairs
