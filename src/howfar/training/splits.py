"""Who is trained on and who is not: people, populations, and genes by chromosome."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from howfar.core.errors import wrong_option
from howfar.genome.intervals import Gene

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


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """Who and what is kept from a training.

    test, validation: shares of people, the latter of those left. population: kept whole; 'none';
    'smallest', where there are several. unseen: contigs whose genes nobody trains on, separated by
    commas; else `unseen_share` of the genes at least, by whole contigs. genes: train on so many,
    evenly spaced along the table; 0: all. classes: genes in three classes as Rastogi, Reddy et al.
    2024 (people drawn; a population kept; unseen).
    """

    test: float = 0.2
    validation: float = 0.1
    population: str = "smallest"
    unseen: str = ""
    unseen_share: float = 0.2
    genes: int = 0
    classes: bool = False
    seed: int = 1


#: What a person is to a class of genes.
PARTS = ("train", "validation", "test", "population")


@dataclass(frozen=True)
class Splits:
    """Who trains on which genes: `people` by class of genes and by `PARTS`, `genes` to class.

    Genes of class "unseen" train nobody; there all people but those of `population` are its test.
    """

    people: dict[str, dict[str, list[str]]]
    genes: dict[str, str]
    definition: str

    def of(self, gene_id: str, part: str) -> list[str]:
        """People who are that to a gene; none for a gene that isn't known."""
        return self.people.get(self.genes.get(gene_id, ""), {}).get(part, [])

    @property
    def trained(self) -> list[str]:
        """Genes that are trained on, in the gene table's order."""
        return [gene for gene, kind in self.genes.items() if kind != "unseen"]


def split(
    genes: Sequence[Gene],
    people: Sequence[str],
    populations: Mapping[str, str] | None,
    options: SplitOptions,
) -> Splits:
    """Split people and genes as `options` say; HowfarError for what can't be."""
    for name in ("test", "validation", "unseen_share"):
        if not 0 <= getattr(options, name) < 1:
            raise wrong_option(f"option {name}", getattr(options, name), "a share from 0, below 1")
    kept = _kept_population(people, populations, options.population)
    rest = np.array([p for p in people if p not in set(kept)])
    generator = np.random.RandomState(options.seed)
    rest_order = generator.permutation(rest)
    tested = round(len(rest) * options.test)
    train, validation = split_validation(rest_order[tested:], generator, options.validation)
    order = {person: k for k, person in enumerate(people)}

    def sorted_people(chosen: Sequence[str]) -> list[str]:
        """Sort people as the cohort has them."""
        return sorted(map(str, chosen), key=order.__getitem__)

    seen = {
        "train": sorted_people(train),
        "validation": sorted_people(validation),
        "test": sorted_people(rest_order[:tested]),
        "population": sorted_people(kept),
    }
    if len(seen["train"]) < 2:
        raise wrong_option("splits", f"{len(seen['train'])} people who train", "two at least")
    unseen_people = {"test": sorted_people(rest), "population": sorted_people(kept)}
    classes = {"seen": seen, "unseen": unseen_people}
    of_contig = _contig_classes(genes, options, bool(kept))
    if options.classes and kept:
        whole = sorted_people(rest)
        both = split_validation(np.array(whole), generator, options.validation)
        drawn = generator.permutation(np.array(people))
        ours = split_validation(drawn[len(kept) :], generator, options.validation)
        classes = {
            "random_split": {
                "train": sorted_people(ours[0]),
                "validation": sorted_people(ours[1]),
                "test": sorted_people(drawn[: len(kept)]),
            },
            "yri_split": {
                "train": sorted_people(both[0]),
                "validation": sorted_people(both[1]),
                "population": sorted_people(kept),
            },
            "unseen": unseen_people,
        }
    of_gene = {gene.gene_id: of_contig[gene.chrom] for gene in genes}
    trained = [gene for gene, kind in of_gene.items() if kind != "unseen"]
    if options.genes and options.genes < len(trained):
        places = np.linspace(0, len(trained) - 1, options.genes).round().astype(int)
        chosen = {trained[k] for k in places}
        of_gene = {g: k for g, k in of_gene.items() if k == "unseen" or g in chosen}
        trained = [gene for gene in trained if gene in chosen]
    if not trained:
        raise wrong_option("splits", "no gene to train on", "genes on other contigs than `unseen`")
    contigs = [chrom for chrom, kind in of_contig.items() if kind == "unseen"]
    of_class = classes["seen" if "seen" in classes else "random_split"]
    words = (
        f"{len(trained)} genes and {len(of_class['train'])} people train "
        f"({len(of_class['validation'])} validate); "
        f"held out: {len(of_class['test'])} people drawn with seed {options.seed}"
        + (f", {len(kept)} of {populations[kept[0]]}" if kept and populations else "")
        + (f", genes of {', '.join(contigs)}" if contigs else "")
    )
    return Splits(classes, of_gene, words)


def _kept_population(
    people: Sequence[str], populations: Mapping[str, str] | None, wanted: str
) -> list[str]:
    """People of the population that is kept whole; none where there is one population alone."""
    groups = [] if populations is None else [populations[p] for p in people]
    names = pd.Series(groups, dtype=object).value_counts()
    if wanted == "none" or (wanted == "smallest" and len(names) < 2):
        return []
    name = str(names.index[-1]) if wanted == "smallest" else wanted
    if populations is None or name not in names or len(names) < 2:
        known = ", ".join(map(str, names.index)) or "none"
        raise wrong_option("option population", wanted, f"smallest, none, or one of two ({known})")
    return [p for p in people if populations[p] == name]


def _contig_classes(genes: Sequence[Gene], options: SplitOptions, several: bool) -> dict[str, str]:
    """Give each contig to a class of genes."""
    chroms = pd.Series([gene.chrom for gene in genes])
    if options.classes and several:
        return chromosome_classes(chroms)
    contigs = list(dict.fromkeys(chroms))
    if options.unseen:
        named = [word.strip() for word in options.unseen.split(",")]
        if lost := [name for name in named if name not in contigs]:
            raise wrong_option("option unseen", lost[0], f"contigs of genes: {', '.join(contigs)}")
        return {chrom: "unseen" if chrom in named else "seen" for chrom in contigs}
    left, found = options.unseen_share * len(genes), {}
    for chrom in reversed(contigs):  # the last, small ones
        # A cohort's only contig trains.
        found[chrom] = "unseen" if left > 0 and len(found) + 1 < len(contigs) else "seen"
        left -= int((chroms == chrom).sum()) if found[chrom] == "unseen" else 0
    return {chrom: found[chrom] for chrom in contigs}
