"""The demo world's reference genome: contigs, promoters, enhancers and decoy sites.

Eight contigs of equal slots of 20,480 bp. A gene's TSS lies in the middle of each slot (moved by
up to 1,024 bp); beside it the slot carries promoters that no gene table lists, as real
genomes do, so that a model has many places to learn motifs from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from howfar.simulate.demo import grammar as g

CONTIGS = 8
SLOT = 20_480
DECOYS = 300  # bp a decoy site
UNLISTED = (-8_200, -4_100, 4_100, 8_200)  # bp from the slot's middle
TEST, VALID = ("chr7", "chr8"), ("chr6",)
_BACKGROUND = (0.29, 0.21, 0.21, 0.29)
_LETTERS = np.frombuffer(b"ACGT", np.uint8)


@dataclass(frozen=True)
class Genome:
    """Contigs as uint8 ASCII, the promoters on them, and the grammar they follow.

    `promoters`: chrom, tss (1-based), strand, gene_id ('' where no gene table lists it), and
    the reference's log expression log_a, log_b.
    """

    contigs: dict[str, np.ndarray]
    promoters: pd.DataFrame
    grammar: g.Grammar


def split_of(chrom: str) -> str:
    """'train', 'valid' or 'test': contigs are held out whole."""
    return "test" if chrom in TEST else "valid" if chrom in VALID else "train"


def build(rng: np.random.Generator, genes: int) -> Genome:
    """A reference genome of `genes` genes under a random grammar."""
    grammar = g.draw(rng)
    promoters = _lay_out(rng, genes)
    contigs = {}
    for chrom, rows in promoters.groupby("chrom", sort=False):
        slots = int(np.ceil(genes / CONTIGS))
        contigs[chrom] = _contig(rng, grammar, slots * SLOT, rows)
    windows = windows_at(contigs, promoters, 2 * g.REACH + 2)
    grammar = g.calibrate(grammar, windows)
    values = g.log_expression(windows, grammar)
    return Genome(contigs, promoters.assign(log_a=values[:, 0], log_b=values[:, 1]), grammar)


def windows_at(contigs: dict[str, np.ndarray], places: pd.DataFrame, length: int) -> np.ndarray:
    """uint8 (rows, length): reference windows with the TSS at length // 2; N past the ends."""
    out = np.full((len(places), length), ord("N"), np.uint8)
    for row, (chrom, tss) in enumerate(zip(places["chrom"], places["tss"], strict=True)):
        contig, start = contigs[chrom], tss - 1 - length // 2
        low, high = max(start, 0), min(start + length, len(contig))
        out[row, low - start : high - start] = contig[low:high]
    return out


def _lay_out(rng: np.random.Generator, genes: int) -> pd.DataFrame:
    rows, number = [], 0
    per_contig = int(np.ceil(genes / CONTIGS))
    for contig in range(CONTIGS):
        for slot in range(per_contig):
            middle = slot * SLOT + SLOT // 2
            listed = number < genes
            number += listed
            name = f"GENE{number:04d}" if listed else ""
            places = [(0, 1_024, name)] + [(offset, 512, "") for offset in UNLISTED]
            for offset, spread, gene in places:
                tss = middle + offset + int(rng.integers(-spread, spread + 1)) + 1
                rows.append((f"chr{contig + 1}", tss, "+-"[rng.integers(2)], gene))
    return pd.DataFrame(rows, columns=["chrom", "tss", "strand", "gene_id"])


def _contig(
    rng: np.random.Generator, grammar: g.Grammar, length: int, promoters: pd.DataFrame
) -> np.ndarray:
    """One contig: background, GC islands, decoys, enhancers, promoters, in that order."""
    bases = rng.choice(4, length, p=_BACKGROUND).astype(np.uint8)
    starts = promoters["tss"].to_numpy() - 1
    islands = np.concatenate([starts, rng.integers(300, length - 300, len(starts) // 2)])
    for centre in islands:
        _island(rng, bases, centre)
    _plant(rng, grammar, bases, rng.integers(0, length - g.WIDTH, length // DECOYS))
    for tss in starts:
        _plant(rng, grammar, bases, _enhancer_places(rng, tss, length))
        _plant(rng, grammar, bases, tss + _promoter_places(rng))
    for tss, strand in zip(starts, promoters["strand"], strict=True):
        _core(grammar, bases, tss, strand)
    return _LETTERS[bases]


def _island(rng: np.random.Generator, bases: np.ndarray, centre: int) -> None:
    share = 0.45 / (1 + np.exp(-1.5 * rng.normal()))
    part = bases[max(0, centre - 250) : centre + 251]
    changed = rng.random(len(part)) < share
    part[changed] = rng.integers(1, 3, changed.sum())


def _promoter_places(rng: np.random.Generator) -> np.ndarray:
    places = rng.integers(-300, 300, rng.poisson(7))
    return places[(places < -60) | (places > 20)]


def _enhancer_places(rng: np.random.Generator, tss: int, length: int) -> np.ndarray:
    centres = [
        tss + rng.choice([-1, 1]) * rng.integers(600, 3_600) for _ in range(rng.integers(1, 4))
    ]
    places = [centre + rng.integers(-100, 100, rng.integers(3, 6)) for centre in centres]
    return np.clip(np.concatenate(places), 0, length - g.WIDTH)


def _plant(
    rng: np.random.Generator, grammar: g.Grammar, bases: np.ndarray, places: np.ndarray
) -> None:
    """Write degraded copies of random factors' motifs at `places`."""
    for place in places:
        word = _word(grammar.motifs[rng.integers(g.FACTORS)])
        for k in rng.integers(0, g.WIDTH, rng.poisson(0.5)):
            word[k] = rng.integers(4)
        bases[place : place + g.WIDTH] = word


def _core(grammar: g.Grammar, bases: np.ndarray, tss: int, strand: str) -> None:
    """The core promoter: INR on the TSS, TATA 30 bp upstream."""
    sign = 1 if strand == "+" else -1
    for motif, middle in ((g.FACTORS, tss - 30 * sign), (g.FACTORS + 1, tss)):
        word = _word(grammar.motifs[motif])
        start = middle - g.WIDTH // 2
        bases[start : start + g.WIDTH] = word


def _word(motif: str) -> np.ndarray:
    return np.array(["ACGT".index(base) for base in motif], np.uint8)
