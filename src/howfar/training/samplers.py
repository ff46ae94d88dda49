"""Which items a step sees, drawn in the studies' own order, and how their windows are varied.

Rows are positions in a table of (gene, person) with the gene of each; randomness comes from the
generator handed in: a `numpy.random.Generator` for pairs, numpy's older `RandomState` where the
study uses numpy's global generator.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Pairs of a gene in an epoch of training and in validation (Rastogi, Reddy et al. 2024).
PAIRS, VALIDATION_PAIRS = 250, 100
#: Percentiles that two people to classify must lie apart; largest shift of a window in bases.
APART, SHIFT = 25.0, 3


@dataclass(frozen=True)
class Augmented:
    """How a window is varied: reverse complemented, then moved to the right by `shift` bases."""

    reverse: bool
    shift: int

    def apply(self, one_hot: np.ndarray) -> np.ndarray:
        """Vary one-hot windows (..., length, 4); vacated positions are zero."""
        seen = one_hot[..., ::-1, ::-1] if self.reverse else one_hot
        moved = np.zeros_like(seen)
        k = self.shift
        moved[..., max(k, 0) : seen.shape[-2] + min(k, 0), :] = seen[
            ..., max(-k, 0) : seen.shape[-2] - max(k, 0), :
        ]
        return moved


def draw_augmented(generator: Any, coin: bool = False) -> Augmented:
    """Draw a strand, then a shift in -3..3, in the study's order.

    coin: draw the strand as a whole number, as the study does for MPRA, not as a fraction.
    """
    integers = getattr(generator, "integers", None) or generator.randint
    reverse = bool(integers(0, 2) == 0 if coin else generator.random() < 0.5)
    return Augmented(reverse, int(integers(-SHIFT, SHIFT + 1)))


def rows_of_genes(genes: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the rows of each gene, genes sorted by name."""
    names = np.asarray(genes)
    return {str(gene): np.flatnonzero(names == gene) for gene in np.unique(names)}


def subsample(
    rows: Mapping[str, np.ndarray], ratio: float, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """Keep int(people x ratio) of each gene's rows, in a random order."""
    return {
        gene: generator.permutation(each)[: int(len(each) * ratio)] for gene, each in rows.items()
    }


def draw_pair(
    rows: np.ndarray, generator: np.random.Generator, percentiles: np.ndarray | None = None
) -> tuple[int, int, int]:
    """Draw two different people of a gene: (row, row, how many draws it took).

    percentiles: of every row, for classification: drawn anew until they lie more than 25 apart.
    The caller must know that such a pair exists (`classifiable`).
    """
    draws = 0
    while True:
        draws += 1
        first, second = (int(row) for row in generator.choice(rows, 2, replace=False))
        if percentiles is None or abs(percentiles[first] - percentiles[second]) > APART:
            return first, second, draws


def classifiable(rows: Mapping[str, np.ndarray], percentiles: np.ndarray) -> dict[str, np.ndarray]:
    """Return the genes of which two people lie far enough apart to be classified."""
    return {g: r for g, r in rows.items() if len(r) > 1 and np.ptp(percentiles[r]) > APART}


def validation_pairs(
    rows: Mapping[str, np.ndarray],
    per_gene: int = VALIDATION_PAIRS,
    percentiles: np.ndarray | None = None,
    seed: int = 42,
) -> np.ndarray:
    """Return the fixed pairs of validation: int64 (genes x per_gene, 2), shuffled."""
    generator = np.random.default_rng(seed)
    pairs = [
        draw_pair(each, generator, percentiles)[:2]
        for each in rows.values()
        for _ in range(per_gene)
    ]
    return generator.permutation(np.array(pairs, np.int64).reshape(-1, 2))


def one_gene_batches(
    rows: Mapping[str, np.ndarray], batch: int, ranks: int, generator: Any
) -> list[np.ndarray]:
    """Return an epoch's batches of one gene each: arrays (ranks, batch) in random order.

    A gene's last rows that don't fill a batch of all processes are left out of the epoch.
    """
    step = batch * ranks
    batches = []
    for gene in generator.permutation(list(rows)):
        each = generator.permutation(rows[gene])
        batches += list(each[: len(each) // step * step].reshape(-1, ranks, batch))
    return [batches[k] for k in generator.permutation(len(batches))]


def variformer_epoch(
    people: Mapping[str, Sequence[str]],
    block: int,
    sampler: random.Random,
    generator: np.random.RandomState,
) -> Iterator[tuple[str, str]]:
    """Yield an epoch's (gene, person): blocks of people of one gene, in random order.

    Of each gene the largest multiple of `block` people is drawn without replacement (the others
    wait for another epoch); the study's block is 128, four steps of 32 accumulated.
    """
    genes = list(people)
    generator.shuffle(genes)
    blocks = []
    for gene in genes:
        drawn = sampler.sample(list(people[gene]), len(people[gene]) // block * block)
        blocks += [(gene, drawn[k : k + block]) for k in range(0, len(drawn), block)]
    for k in generator.permutation(len(blocks)):
        gene, of_block = blocks[k]
        yield from ((gene, person) for person in of_block)
