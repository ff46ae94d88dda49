"""The demo world's people: an out-of-Africa history, phased SNVs and short indels.

The history is the two-population part of Gutenkunst et al. 2009 (PLoS Genetics 5:e1000695,
table 1), written out: an African and a European population that split 140,000 years ago,
with migration; generations of 25 years.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msprime
import numpy as np
import pandas as pd

from howfar.simulate.demo.grammar import WIDTH

MUTATION_RATE = 1.0e-8
RECOMBINATION_RATE = 1.2e-8
INDEL_SHARE = 0.12
SITE_SHARE, SITE_REACH = 0.35, 1_000
LONGEST_INDEL = 20
_YEARS = 25


@dataclass(frozen=True)
class Variants:
    """Biallelic variants of one contig, sorted, left-aligned, no two overlapping.

    pos: 1-based, as in VCF. ref, alt: alleles. alleles: uint8 (variants, haplotypes), 0 or 1;
    person i has the haplotypes 2 i and 2 i + 1.
    """

    chrom: str
    pos: np.ndarray
    ref: list[str]
    alt: list[str]
    alleles: np.ndarray

    def names(self) -> list[str]:
        """``chrom:pos:ref:alt`` of each variant."""
        rows = zip(self.pos, self.ref, self.alt, strict=True)
        return [f"{self.chrom}:{pos}:{ref}:{alt}" for pos, ref, alt in rows]


def demography() -> msprime.Demography:
    """Build the out-of-Africa history of two populations, EUR and AFR."""
    history = msprime.Demography()
    europe_now = 1_000 * np.exp(0.004 * 21_200 / _YEARS)
    history.add_population(name="AFR", initial_size=12_300)
    history.add_population(name="EUR", initial_size=europe_now, growth_rate=0.004)
    history.set_symmetric_migration_rate(["AFR", "EUR"], 3e-5)
    bottleneck, split, growth = 21_200 / _YEARS, 140_000 / _YEARS, 220_000 / _YEARS
    history.add_population_parameters_change(
        bottleneck, initial_size=2_100, growth_rate=0, population="EUR"
    )
    history.add_symmetric_migration_rate_change(bottleneck, ["AFR", "EUR"], 25e-5)
    history.add_migration_rate_change(split, rate=0)
    history.add_mass_migration(split, source="EUR", dest="AFR", proportion=1)
    history.add_population_parameters_change(growth, initial_size=7_300, population="AFR")
    return history


def coalescent(
    people: Mapping[str, int], length: int, mutation_rate: float, seeds: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate mutations of a contig: places (bp, float) and 0/1 alleles (places, haplotypes).

    people: how many of each population, in the order of the haplotypes. seeds: of the ancestry and
    of the mutations.
    """
    ancestry_seed, mutation_seed = map(int, seeds)
    trees = msprime.sim_ancestry(
        samples=[msprime.SampleSet(int(n), population=name) for name, n in people.items()],
        demography=demography(),
        sequence_length=length,
        recombination_rate=RECOMBINATION_RATE,
        random_seed=ancestry_seed,
    )
    model = msprime.BinaryMutationModel()
    trees = msprime.sim_mutations(trees, rate=mutation_rate, model=model, random_seed=mutation_seed)
    return trees.sites_position, trees.genotype_matrix().astype(np.uint8)


def sample_table(people: int) -> pd.DataFrame:
    """sample, population: two thirds EUR, then AFR; the order of the haplotypes."""
    european = people * 2 // 3
    return pd.DataFrame(
        {
            "sample": [f"D{i + 1:04d}" for i in range(people)],
            "population": ["EUR"] * european + ["AFR"] * (people - european),
        }
    )


def variants(
    rng: np.random.Generator,
    chrom: str,
    reference: np.ndarray,
    sites: np.ndarray,
    samples: pd.DataFrame,
) -> Variants:
    """Simulate the variants of one contig in the people of `samples`.

    reference: uint8 ASCII. sites: sorted 0-based first bases of strong binding sites.
    """
    place, alleles = _genotypes(rng, len(reference), samples)
    place = _towards_sites(rng, place, sites)
    described = [_alleles_at(rng, reference, int(p)) for p in place]
    kept = _without_overlaps(described)
    return Variants(
        chrom,
        np.array([described[i][0] + 1 for i in kept], np.int64),
        [described[i][1] for i in kept],
        [described[i][2] for i in kept],
        alleles[kept],
    )


def _towards_sites(rng: np.random.Generator, place: np.ndarray, sites: np.ndarray) -> np.ndarray:
    """Move a share of the variants into a binding site within SITE_REACH of them.

    So that 8,192 bp hold as many causal variants as the far larger cis region of a real gene.
    """
    moved = place.copy()
    for i in np.nonzero(rng.random(len(place)) < SITE_SHARE)[0]:
        low, high = np.searchsorted(sites, [place[i] - SITE_REACH, place[i] + SITE_REACH])
        if high > low:
            moved[i] = sites[rng.integers(low, high)] + rng.integers(0, WIDTH)
    return moved


def _genotypes(
    rng: np.random.Generator, length: int, samples: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate 0-based places and 0/1 alleles (places, haplotypes) of polymorphic sites."""
    counts = samples["population"].value_counts(sort=False)
    place, alleles = coalescent(counts, length, MUTATION_RATE, rng.integers(1, 2**31, 2))
    carried = alleles.sum(axis=1)
    keep = (carried > 0) & (carried < alleles.shape[1])
    return place[keep].astype(np.int64), alleles[keep]


def _alleles_at(
    rng: np.random.Generator, reference: np.ndarray, place: int
) -> tuple[int, str, str]:
    """Draw a new variant at `place`: 0-based start, REF and ALT."""
    inside = LONGEST_INDEL < place < len(reference) - 2 * LONGEST_INDEL
    if not inside or rng.random() >= INDEL_SHARE:
        return _snv(rng, reference, place)
    size = min(int(rng.geometric(0.45)), LONGEST_INDEL)
    if rng.random() < 0.5:
        changed = reference[place + 1 : place + 1 + size].tobytes()
        return _left_aligned(reference, place, changed, deletion=True)
    changed = rng.choice(np.frombuffer(b"ACGT", np.uint8), size).tobytes()
    return _left_aligned(reference, place, changed, deletion=False)


def _snv(rng: np.random.Generator, reference: np.ndarray, place: int) -> tuple[int, str, str]:
    base = chr(reference[place])
    transition = {"A": "G", "G": "A", "C": "T", "T": "C"}[base]
    others = [b for b in "ACGT" if b not in (base, transition)]
    return place, base, transition if rng.random() < 2 / 3 else others[rng.integers(2)]


def _left_aligned(
    reference: np.ndarray, place: int, changed: bytes, deletion: bool
) -> tuple[int, str, str]:
    """Move the indel of `changed` after base `place` left as far as it goes (VCF's rule)."""
    while place > 0 and changed[-1] == reference[place]:
        changed = changed[-1:] + changed[:-1]
        place -= 1
    anchor = chr(reference[place])
    longer = anchor + changed.decode()
    return (place, longer, anchor) if deletion else (place, anchor, longer)


def _without_overlaps(described: list[tuple[int, str, str]]) -> list[int]:
    """Index, in order of place, the variants whose REF overlaps no earlier kept one."""
    kept, free_from = [], 0
    for i in sorted(range(len(described)), key=lambda i: (described[i][0], i)):
        start, ref, _ = described[i]
        if start >= free_from:
            kept.append(i)
            free_from = start + len(ref)
    return kept
