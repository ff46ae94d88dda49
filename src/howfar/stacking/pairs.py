"""Gene-person pairs, their features, and the folds that hold some of them out.

Three splits of the same pairs: 'pairs' at random, whose gene's other people are in training, so
that recognising the gene looks like skill; 'people' never seen; 'genes' never seen, by block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from howfar.core.errors import HowfarError, wrong_option

SPLITS = ("pairs", "people", "genes")
#: Inner folds, by which penalties are chosen and members of a stack are fitted.
INNER_FOLDS = 3

Rows = tuple[np.ndarray, np.ndarray]  # places of the rows that train, and of those held out


@dataclass(frozen=True)
class Pairs:
    """Pairs of gene and person, one per row.

    x: float64 (rows, features); y: (rows,); gene, person: codes (rows,), into `gene_ids` and
    columns of dosages; block: (genes,), what is held out together. dosages: gene code to
    (people, variants), complete; None without genotypes.
    """

    x: np.ndarray
    y: np.ndarray
    gene: np.ndarray
    person: np.ndarray
    gene_ids: Sequence[str]
    block: np.ndarray
    names: Sequence[str]
    dosages: Callable[[int], np.ndarray] | None = None

    def __post_init__(self) -> None:
        rows = {len(self.x), len(self.y), len(self.gene), len(self.person)}
        finite = np.isfinite(self.x).all() and np.isfinite(self.y).all()
        if len(rows) != 1 or not finite or self.x.shape[1] != len(self.names):
            raise HowfarError(
                "pairs of gene and person",
                found=f"{sorted(rows)} rows, {len(self.names)} names for {self.x.shape[1]} "
                f"features, {'no' if finite else 'some'} missing values",
                expected="one row per pair, complete, and a name for each feature",
                do="Leave out pairs without expression or prediction.",
            )


def units(pairs: Pairs, split: str) -> np.ndarray:
    """Code each row by what a split holds out together: the pair itself, its person, its block."""
    if split not in SPLITS:
        raise wrong_option("split of the pairs", split, f"one of {', '.join(SPLITS)}")
    if split == "pairs":
        return np.arange(len(pairs.y))
    return pairs.person if split == "people" else pairs.block[pairs.gene]


def folds(unit: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Deal whole units out to folds at random: the fold of each row; HowfarError for too few."""
    names, code = np.unique(unit, return_inverse=True)
    if len(names) < count:
        raise HowfarError(
            "folds of pairs of gene and person",
            found=f"{len(names)} units to hold out",
            expected=f"at least {count}, one a fold",
            do="Use fewer folds, or more people and genes.",
        )
    return np.random.default_rng(seed).permutation(np.arange(len(names)) % count)[code]


def inner_folds(unit: np.ndarray, seed: int) -> list[Rows]:
    """Split training rows into inner folds that hold out the same units as the outer split."""
    fold = folds(unit, max(2, min(INNER_FOLDS, len(np.unique(unit)))), seed)
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(fold.max() + 1)]
