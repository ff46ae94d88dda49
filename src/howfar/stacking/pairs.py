"""Gene-person pairs, their features and their splits into folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from howfar.core.errors import HowfarError

SPLITS = ("pairs", "people", "genes")


#: Features by name: columns of the network, a score from training people, one from everybody.
FEATURES = {
    "network": "network",
    "score": "network and polygenic score",
    "score_of_all": "network and polygenic score from everybody",
}


#: Fewest pairs that are stacked on.
MIN_PAIRS = 100


_INNER = 3


@dataclass(frozen=True)
class Pairs:
    """Pairs of gene and person, one a row.

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
    """What a split holds out together, a code a row: the pair itself, its person, its block."""
    if split not in SPLITS:
        raise HowfarError(
            "split of the pairs", found=repr(split), expected=f"one of {', '.join(SPLITS)}",
            do="Correct the name.",
        )  # fmt: skip
    if split == "pairs":
        return np.arange(len(pairs.y))
    return pairs.person if split == "people" else pairs.block[pairs.gene]


def folds(unit: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Fold of each row, whole units together, dealt out at random; HowfarError for too few."""
    names, code = np.unique(unit, return_inverse=True)
    if len(names) < count:
        raise HowfarError(
            "folds of pairs of gene and person",
            found=f"{len(names)} units to hold out",
            expected=f"at least {count}, one a fold",
            do="Use fewer folds, or more people and genes.",
        )
    return np.random.default_rng(seed).permutation(np.arange(len(names)) % count)[code]


def _inner(unit: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(train, test) rows of inner folds that hold out the same units as the split."""
    fold = folds(unit, max(2, min(_INNER, len(np.unique(unit)))), seed)
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(fold.max() + 1)]


def group_of(target: str, split: str, features: str) -> str:
    """`group` of table `summary`: what is predicted, for whom, from what."""
    return f"{target}; {split}; {features}"


def _check_size(pairs: Pairs) -> None:
    if len(pairs.y) < MIN_PAIRS:
        raise HowfarError(
            "pairs of gene and person",
            found=f"{len(pairs.y)}, of {len(pairs.gene_ids)} genes and "
            f"{len(np.unique(pairs.person))} people",
            expected=f"at least {MIN_PAIRS}, to fit and judge a model that all genes share",
            do="Use more genes and people.",
        )


def _drawn(rng: np.random.Generator, count: int, wanted: int) -> np.ndarray:
    if not 0 < wanted < count:
        return np.arange(count)
    return np.sort(rng.choice(count, wanted, replace=False))
