"""Who is trained on and who is not: people, populations, and genes by chromosome."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

#: Classes of genes (Rastogi, Reddy et al. 2024) and their shares of genes.
CLASSES = {"random_split": 2, "yri_split": 2, "unseen": 1}


def chromosome_classes(chromosomes: pd.Series) -> dict[str, str]:
    """Give each chromosome to a class, from the chromosome of each gene.

    By decreasing number of genes, each goes to the first class whose genes stay within its share,
    else to the last, "unseen". Ties are in the order of pandas' `value_counts`.
    """
    counts = chromosomes.value_counts()
    whole = sum(CLASSES.values())
    shares = {name: len(chromosomes) * share / whole for name, share in CLASSES.items()}
    taken = dict.fromkeys(CLASSES, 0)
    classes = {}
    for chromosome, count in counts.items():
        name = next((c for c in CLASSES if taken[c] + count <= shares[c]), "unseen")
        taken[name] += count
        classes[str(chromosome)] = name
    return classes


def draw_genes(
    genes: Sequence[str], class_of: Sequence[str], sizes: Mapping[str, int], seed: int = 42
) -> dict[str, list[str]]:
    """Draw so many genes of each class without replacement, classes in the order of `sizes`."""
    generator = np.random.default_rng(seed)
    names, classes = np.asarray(genes), np.asarray(class_of)
    return {
        name: generator.choice(names[classes == name], size, replace=False).tolist()
        for name, size in sizes.items()
    }


def split_validation(
    people: np.ndarray, generator: np.random.RandomState, share: float = 0.05
) -> tuple[np.ndarray, np.ndarray]:
    """Split people who are not tested into (train, validation), int(n x share) of them."""
    order = generator.permutation(people)
    count = int(len(order) * share)
    return order[count:], order[:count]


def sage_people(people: Sequence[str], seed: int = 17) -> tuple[list[str], list[str], list[str]]:
    """Split people 80/10/10 into (train, validation, test), as SAGE-net."""
    order = np.random.RandomState(seed).permutation(np.asarray(people))
    tenth = len(order) // 10
    cuts = np.split(order, [len(order) - 2 * tenth, len(order) - tenth])
    train, validation, test = (part.tolist() for part in cuts)
    return train, validation, test


def sage_genes(
    scores: pd.Series,
    chromosomes: pd.Series,
    number: int,
    best_of: int | None = None,
    skip: int = 0,
) -> tuple[list[str], dict[str, list[str]]]:
    """Choose genes by a linear model's validation r, and split them by chromosome, as SAGE-net.

    scores, chromosomes: by gene. best_of: None: the best `number` after the first `skip`; else so
    many of the first `best_of`, shuffled by Python's generator with seed 42. Returns the list,
    and its genes of "train" (chromosomes 1-16), "val" (17, 18, 21, 22) and "test" (19, 20).
    """
    ranked = scores.sort_values(ascending=False).index.tolist()[skip:]
    if best_of is not None:
        ranked = ranked[:best_of]
        random.Random(42).shuffle(ranked)
    chosen = ranked[:number]
    of_split = {"train": range(1, 17), "val": (17, 18, 21, 22), "test": (19, 20)}
    number_of = chromosomes.astype(str).str.removeprefix("chr")
    return chosen, {
        split: [g for g in chosen if number_of[g] in set(map(str, numbers))]
        for split, numbers in of_split.items()
    }
