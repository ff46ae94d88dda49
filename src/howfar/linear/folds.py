"""Who trains and who is predicted: folds, fixed lists, populations, classes of genes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from howfar.core.errors import HowfarError


def fold_of(n: int, folds: int, seed: int) -> np.ndarray:
    """int64 (n,): each person's fold, drawn at random; sizes differ by one at most.

    One seed gives the folds of the lead-SNP run (`eqtl.lead_snp_prediction`).
    """
    if not 2 <= folds <= n:
        raise HowfarError(
            "cross-validation",
            found=f"{folds} folds of {n} people",
            expected="at least 2 folds, and as many people as folds",
            do="Choose fewer folds, or leave the gene out.",
        )
    return np.random.default_rng(seed).permutation(np.arange(n) % folds)


def inner_folds(x: np.ndarray, y: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """int64 (people,): folds to choose a penalty by, the same in whatever order people stand.

    x: (people, variants) dosages; y: (people,) expression. People are drawn as `fold_of` does, in
    the order of how far their genotypes are from the mean; among equals of expression.
    """
    # Of genotypes first: in the order of expression one draw would be every gene's, unlucky or not.
    # Rounded, as sums over variants in another order differ in their last digits.
    far = ((x - x.mean(axis=0)) ** 2).sum(axis=1)
    order = np.lexsort((y, np.round(far / max(far.mean(), 1e-300), 9)))
    fold = np.empty(len(y), np.int64)
    fold[order] = fold_of(len(y), folds, seed)
    return fold


@dataclass(frozen=True)
class Split:
    """Fits of one gene: `parts`, of (people who train, people predicted), as bool (people,).

    Nobody is predicted twice, and nobody by a fit that they trained. `name` says how it was made.
    """

    name: str
    parts: tuple[tuple[np.ndarray, np.ndarray], ...]

    def fold(self) -> np.ndarray:
        """int64 (people,): the part that predicts each person; -1 for nobody's."""
        fold = np.full(len(self.parts[0][1]), -1)
        for number, (_, predicted) in enumerate(self.parts):
            fold[predicted] = number
        return fold


def nested(n: int, folds: int, seed: int) -> Split:
    """Everybody is predicted once, by a fit without their fold."""
    fold = fold_of(n, folds, seed)
    parts = tuple((fold != k, fold == k) for k in range(folds))
    return Split(f"out of fold, {folds} folds of people", parts)


def by_people(samples: Sequence[str], training: Sequence[str]) -> Split:
    """A fixed list of people trains; all others are predicted."""
    unknown = len(set(training) - set(samples))
    trains = np.isin(np.asarray(samples), np.asarray(training))
    if unknown or not trains.any() or trains.all():
        raise HowfarError(
            "list of training people",
            found=f"{len(training)} names, {unknown} of them not in the cohort of {len(samples)}",
            expected="some of the cohort's people, and not all",
            do="Correct the list.",
        )
    return Split("fixed split of people", ((trains, ~trains),))


def by_fraction(n: int, fraction: float, seed: int) -> Split:
    """A random part of the people, drawn once, trains; the others are predicted."""
    count = round(fraction * n) if 0 < fraction < 1 else 0
    if not 0 < count < n:
        raise HowfarError(
            "training fraction",
            found=f"{fraction} of {n} people",
            expected="at least one person who trains and one who doesn't",
            do="Choose a fraction between 0 and 1.",
        )
    trains = np.zeros(n, bool)
    trains[np.random.default_rng(seed).permutation(n)[:count]] = True
    return Split(f"random {fraction:g} of the people", ((trains, ~trains),))


def by_population(
    populations: Sequence[str], training: str, test: str, people: int | None, seed: int
) -> Split:
    """`training` trains and `test` is predicted; the same population: half and half.

    people: how many train, drawn at random, so that populations are compared at equal numbers.
    """
    groups, rng = np.asarray(populations), np.random.default_rng(seed)
    source = rng.permutation(np.flatnonzero(groups == training))
    target = groups == test
    if people is None:
        people = len(source) // 2 if training == test else len(source)
    if not target.any() or people < 1 or people > len(source) - (training == test):
        raise HowfarError(
            f"split from population {training!r} to {test!r}",
            found=f"{len(source)} and {int(target.sum())} people, {people} to train",
            expected="people in both, and more than train where they are the same",
            do="Use names of the sample table, or fewer training people.",
        )
    trains = np.zeros(len(groups), bool)
    trains[source[:people]] = True
    return Split(f"{people} {training} train, {test} predicted", ((trains, target & ~trains),))


def random_split(n: int, test: int, validation: float, seed: int) -> Split:
    """Rastogi et al. 2024's scheme for a gene: `test` people drawn; of the rest a part `validation`
    is set aside, which linear models don't use, so that they train on the networks' people.
    """
    order = np.random.default_rng(seed).permutation(n)
    aside = test + round(validation * (n - test))
    if not 0 < test < aside < n:
        raise HowfarError(
            "split of a gene's people",
            found=f"{test} test people of {n}, {validation} of the rest to validate",
            expected="people left over for each part",
            do="Choose smaller parts.",
        )
    trains, predicted = np.zeros(n, bool), np.zeros(n, bool)
    predicted[order[:test]], trains[order[aside:]] = True, True
    return Split(f"{n - aside} people train, {test} predicted", ((trains, predicted),))


def gene_classes(chroms: Sequence[str], shares: dict[str, float]) -> dict[str, str]:
    """Rastogi et al. 2024's classes of genes: contig to class, whole contigs together.

    Contigs by falling number of genes (chroms: one a gene) go to the first class of `shares` whose
    genes stay within its share of all; what fits none goes to the last.
    """
    names, counts = np.unique(np.asarray(chroms, str), return_counts=True)
    whole, filled = sum(shares.values()), dict.fromkeys(shares, 0)
    found = {}
    for i in np.argsort(-counts, kind="stable"):
        room = [k for k, s in shares.items() if filled[k] + counts[i] <= s / whole * counts.sum()]
        found[str(names[i])] = room[0] if room else list(shares)[-1]
        filled[found[str(names[i])]] += counts[i]
    return found


#: Shares of genes in Rastogi et al. 2024's classes.
CLASS_SHARES = {"random_split": 200.0, "yri_split": 200.0, "unseen": 100.0}
_VALIDATION = 0.05  # of the people left to train; linear models train without them


def by_class(name: str, populations: Sequence[str], test: str, seed: int) -> Split:
    """Split of a gene of a class: as many random people as population `test` has are predicted
    ('random_split'), or that population ('yri_split'), or everybody, and nobody trains ('unseen').
    """
    groups = np.asarray(populations)
    target = groups == test
    if name == "random_split":
        return random_split(len(groups), int(target.sum()), _VALIDATION, seed)
    if name == "unseen":
        return Split("nobody trains", ((np.zeros(len(groups), bool), np.ones(len(groups), bool)),))
    others = np.random.default_rng(seed).permutation(np.flatnonzero(~target))
    trains = np.zeros(len(groups), bool)
    trains[others[round(_VALIDATION * len(others)) :]] = True
    return Split(f"{trains.sum()} people train, {test} predicted", ((trains, target),))
