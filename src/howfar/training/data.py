"""A cohort as training reads it: draws of people by gene, and batches of their windows.

Windows are built from variants and reference when a step asks for them. Expression is read of
people who train or validate alone; nobody else's value ever enters a training.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.genome.intervals import Gene
from howfar.models.base import reverse_complement
from howfar.training import samplers, targets
from howfar.training.recipe import Recipe, lacking
from howfar.training.samplers import Augmented
from howfar.training.splits import Splits

#: Bytes of windows kept in memory; others are built again when they are asked for.
_ROOM = 1 << 30
#: People predicted at once; all of them where they have no more windows than so many could.
_AT_ONCE = 64
_PLAIN = Augmented(False, 0)
_MASK = np.zeros(256, np.uint8)
_MASK[np.frombuffer(b"ACGT", np.uint8)] = [1, 2, 4, 8]
#: Letters of two bases, each half; N where either is none.
_MIXED = np.full(16, ord("N"), np.uint8)
_MIXED[[1, 2, 4, 8, 3, 5, 9, 6, 10, 12]] = np.frombuffer(b"ACGTMRWSYK", np.uint8)


@dataclass(frozen=True)
class Draw:
    """People of one gene in a batch, as positions in the cohort, seen through one change.

    pairs: int (n, 2), positions in `people`.
    """

    gene: str
    people: np.ndarray
    pairs: np.ndarray
    change: Augmented = _PLAIN


@dataclass
class Batch:
    """Windows of a batch's people on this process, and all of what was observed.

    windows: uint8 (n, length). rows: int64 (people here, windows of each). targets, means: float32
    (people,); gene: int64 (people,), positions among the batch's genes; pairs: int64 (pairs, 2).
    people: how many there are on all processes.
    """

    windows: Tensor
    rows: Tensor
    targets: Tensor
    means: Tensor
    gene: Tensor
    pairs: Tensor
    people: int


@dataclass(frozen=True)
class Reads:
    """How a network reads a gene's window: bases, the TSS base by strand, and orientation."""

    context: int
    offset: dict[str, int]
    oriented: bool
    reference: bool  # the reference window stands before each person's

    @classmethod
    def of(cls, model: Any) -> Reads:
        """How a loaded `SequenceModel` reads."""
        offset = {strand: model.tss_offset(strand) for strand in "+-"}
        return cls(model.layout.context, offset, model.oriented, False)


class TrainingData:
    """Windows and targets of a cohort's genes, for those who train and validate."""

    def __init__(
        self,
        cohort: OpenCohort,
        genes: Sequence[Gene],
        splits: Splits,
        recipe: Recipe,
        reads: Reads,
        alleles: str,
    ) -> None:
        """Read expression of people who train or validate, standardised by those who train."""
        self.cohort, self.splits, self.recipe, self.reads = cohort, splits, recipe, reads
        self.genes = {gene.gene_id: gene for gene in genes}
        self.alleles = alleles
        self._place = {person: k for k, person in enumerate(cohort.samples)}
        self._kept: OrderedDict[str, tuple[np.ndarray, np.ndarray]] = OrderedDict()
        if recipe.maf and alleles != "snv":
            raise lacking(
                recipe.strategy,
                "alleles: all, and the option maf",
                "windows of one length, whose bases stand in one place for everybody",
                "Set `alleles: snv` in the run, or leave maf out.",
            )
        self._read_values()

    def _read_values(self) -> None:
        """Values, z-scores, percentiles and means of who trains or validates; others are NaN."""
        wide = self.cohort.require_expression("to train on").values
        people = len(self._place)
        self.means: dict[str, float] = {}
        self.targets: dict[str, np.ndarray] = {}
        self.ranks: dict[str, np.ndarray] = {}
        self._rows: dict[tuple[str, str], np.ndarray] = {}
        for gene_id in self.splits.trained:
            both = [
                self._positions(self.splits.of(gene_id, part)) for part in ("train", "validation")
            ]
            known = np.full(people, np.nan)
            for part in ("train", "validation"):
                names = self.splits.of(gene_id, part)
                known[self._positions(names)] = wide.loc[gene_id, names].to_numpy(float)
            rows = [each[~np.isnan(known[each])] for each in both]
            of_train = known[rows[0]]
            if len(of_train) < 2 or np.ptp(of_train) == 0:
                self.cohort.warnings["genes without different values of people who train"] += 1
                continue
            self.means[gene_id] = float(of_train.mean())
            self.targets[gene_id] = (
                (known - of_train.mean()) / of_train.std() if self.recipe.target == "z" else known
            ).astype(np.float32)
            self.ranks[gene_id] = np.full(people, np.nan)
            for part, each in zip(("train", "validation"), rows, strict=True):
                self._rows[gene_id, part] = each
                if len(each):
                    self.ranks[gene_id][each] = targets.percentiles(known[each][None])[0]
        if not self.targets:
            raise HowfarError(
                f"{self.cohort.study.place}, training",
                found="no gene with different values of people who train",
                expected="expression that differs between people",
                do="Correct the splits or the expression.",
            )
        if self.recipe.ratio < 1:
            generator = np.random.default_rng(self.recipe.seed)
            train = {gene: self._rows[gene, "train"] for gene in sorted(self.targets)}
            fewer = samplers.subsample(train, self.recipe.ratio, generator)
            self._rows |= {(gene, "train"): rows for gene, rows in fewer.items()}

    def _positions(self, people: Sequence[str]) -> np.ndarray:
        return np.array([self._place[person] for person in people], np.int64)

    def rows(self, part: str) -> dict[str, np.ndarray]:
        """Return who trains, or validates, on each gene (sorted): positions in the cohort."""
        return {gene: self._rows[gene, part] for gene in sorted(self.targets)}

    def windows(self, gene_id: str) -> tuple[np.ndarray, np.ndarray]:
        """Return distinct windows, the reference first, and each person's rows (people, 2)."""
        if gene_id in self._kept:
            self._kept.move_to_end(gene_id)
            return self._kept[gene_id]
        gene, reads = self.genes[gene_id], self.reads
        built = self.cohort.windows(gene, reads.context, reads.offset[gene.strand], self.alleles)
        windows, index = np.concatenate([built.reference[None], built.sequences]), built.index + 1
        if self.recipe.maf:
            windows = self._without_rare(gene_id, windows, index)
        if reads.oriented and gene.strand == "-":
            windows = reverse_complement(windows)
        self._kept[gene_id] = windows, index.astype(np.int64)
        while sum(w.nbytes for w, _ in self._kept.values()) > _ROOM and len(self._kept) > 1:
            self._kept.popitem(last=False)
        return self._kept[gene_id]

    def _without_rare(self, gene_id: str, windows: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Replace bases rare among the haplotypes of who trains; see `rare.without_rare`."""
        train = self._rows.get((gene_id, "train"))
        if train is None:
            return windows
        weight = np.bincount(index[train].ravel(), minlength=len(windows))
        letters = np.frombuffer(b"ACGT", np.uint8)
        share = np.stack([weight @ (windows == b) for b in letters]) / weight.sum()
        share = share.astype(np.float16)
        major = letters[share.argmax(axis=0)]
        common = np.zeros(windows.shape, bool)
        for base, often in zip(letters, share >= np.float16(self.recipe.maf), strict=True):
            common |= (windows == base) & often
        return np.where(common, windows, major).astype(np.uint8)

    def batch(self, draws: Sequence[Draw], rank: int = 0, processes: int = 1) -> Batch:
        """Build a batch: the windows of every `processes`-th of its people from `rank` on.

        Where people can't be dealt evenly, the first is dealt again.
        """
        count = sum(len(draw.people) for draw in draws)
        if not count:
            return Batch(*[torch.zeros(0)] * 6, people=0)
        mine = np.arange(-(-count // processes)) * processes + rank
        mine[mine >= count] = 0
        windows: list[np.ndarray] = []
        width = 3 if self.reads.reference else 1 if self.recipe.input == "mean" else 2
        rows = np.zeros((count, width), np.int64)
        wanted = set(mine.tolist())
        start = total = 0
        for draw in draws:
            here = [k for k in range(len(draw.people)) if start + k in wanted]
            if here:
                seen, index = self._windows_of(draw.gene, draw.people[here])
                rows[[start + k for k in here]] = index + total
                windows.append(varied(seen, draw.change))
                total += len(seen)
            start += len(draw.people)
        values = [self._observed(draw) for draw in draws]
        firsts = np.cumsum([0, *(len(draw.people) for draw in draws)])[:-1]
        pairs = [draw.pairs + first for draw, first in zip(draws, firsts, strict=True)]
        return Batch(
            torch.from_numpy(np.concatenate(windows)),
            torch.from_numpy(rows[mine]),
            torch.from_numpy(np.concatenate([v for v, _ in values])),
            torch.from_numpy(np.concatenate([m for _, m in values])),
            torch.from_numpy(np.repeat(np.arange(len(draws)), [len(d.people) for d in draws])),
            torch.from_numpy(np.concatenate(pairs).astype(np.int64)),
            count,
        )

    def _observed(self, draw: Draw) -> tuple[np.ndarray, np.ndarray]:
        """Targets of a draw's people, and their gene's mean; NaN for a gene that trains nobody."""
        nobody = np.full(len(self._place), np.nan, np.float32)
        values = self.targets.get(draw.gene, nobody)[draw.people]
        return values, np.full(len(values), self.means.get(draw.gene, np.nan), np.float32)

    def _windows_of(self, gene_id: str, people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the windows that people need, each once, and rows of them (people, width)."""
        windows, index = self.windows(gene_id)
        rows = index[people]
        if self.recipe.input == "reference":
            return windows[:1], np.zeros((len(people), 3), np.int64)
        if self.recipe.input == "mean":
            kinds, rows = np.unique(rows, axis=0, return_inverse=True)
            return mixed(windows[kinds[:, 0]], windows[kinds[:, 1]]), rows.reshape(-1, 1)
        if self.reads.reference:
            rows = np.concatenate([np.zeros((len(rows), 1), np.int64), rows], axis=1)
        kept, rows_of = np.unique(rows, return_inverse=True)
        return windows[kept], rows_of.reshape(rows.shape)


def mixed(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mean of two windows' one-hots, as the IUPAC letters of half a base each."""
    both = np.where(first == second, first, _MIXED[_MASK[first] | _MASK[second]])
    absent = (_MASK[first] == 0) | (_MASK[second] == 0)
    return np.where(absent & (first != second), ord("N"), both).astype(np.uint8)


def varied(windows: np.ndarray, change: Augmented) -> np.ndarray:
    """Reverse complement windows, then move them; bases that come into view are N."""
    seen = reverse_complement(windows) if change.reverse else windows
    k = change.shift
    if k == 0:
        return np.ascontiguousarray(seen)
    moved = np.full_like(seen, ord("N"))
    length = seen.shape[1]
    moved[:, max(k, 0) : length + min(k, 0)] = seen[:, max(-k, 0) : length - max(k, 0)]
    return moved


# --- draws ---------------------------------------------------------------------------------------


def epoch_draws(data: TrainingData, epoch: int) -> list[list[Draw]]:
    """Return the batches of an epoch, a function of the recipe's seed and the epoch alone."""
    recipe = data.recipe
    if recipe.mixing == "genes":
        return _by_genes(data, np.random.default_rng([recipe.seed, epoch]))
    return _Published(data).epoch(epoch)


def _drawn_pairs(
    data: TrainingData, gene: str, rows: np.ndarray, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw pairs of a gene's people: people (2 count,), first members first, and pairs."""
    ranks = data.ranks[gene] if data.recipe.strategy == "pair_classification" else None
    drawn = [samplers.draw_pair(rows, generator, ranks)[:2] for _ in range(count)]
    people = np.array(drawn, np.int64).T.ravel()
    return people, np.arange(2 * count).reshape(2, count).T


def _by_genes(data: TrainingData, generator: np.random.Generator) -> list[list[Draw]]:
    """Batches of a few genes with many people each; one strand and shift for each gene."""
    recipe, blocks = data.recipe, []
    for gene, rows in data.rows("train").items():
        if recipe.task == "pairs":
            each = max(1, recipe.people // 2)
            sizes = [each] * max(1, recipe.pairs // each)
            blocks += [(gene, *_drawn_pairs(data, gene, rows, n, generator)) for n in sizes]
        else:
            order, size = generator.permutation(rows), min(recipe.people, len(rows))
            none = np.zeros((0, 2), np.int64)
            starts = range(0, len(order) - size + 1, size)
            blocks += [(gene, order[k : k + size], none) for k in starts]
    draws = []
    for k in generator.permutation(len(blocks)):
        change = samplers.draw_augmented(generator) if recipe.augment else _PLAIN
        draws.append(Draw(*blocks[k], change))
    step = recipe.genes
    return [draws[k : k + step] for k in range(0, len(draws) - step + 1, step)] or [draws]


class _Published:
    """Batches as the studies made them; generators run on from epoch to epoch."""

    def __init__(self, data: TrainingData) -> None:
        self.data, self.recipe = data, data.recipe
        seed = data.recipe.seed
        self.pairs, self.older = np.random.default_rng(seed), np.random.RandomState(seed)
        self.python = random.Random(seed)

    def epoch(self, number: int) -> list[list[Draw]]:
        """Return the batches of an epoch: those before it are drawn too, as generators run on."""
        make = {"pairs": self._paired, "contrast": self._contrasted}.get(
            self.recipe.task, self._single
        )
        for k in range(number):
            make(k)
        return make(number)

    def _paired(self, epoch: int) -> list[list[Draw]]:
        recipe, rows = self.recipe, self.data.rows("train")
        genes = list(rows)
        order = np.random.default_rng([recipe.seed, epoch]).permutation(recipe.pairs * len(genes))
        draws = []
        for item in order:
            gene = genes[item % len(genes)]
            pair = _drawn_pairs(self.data, gene, rows[gene], 1, self.pairs)
            change = samplers.draw_augmented(self.pairs) if recipe.augment else _PLAIN
            draws.append(Draw(gene, *pair, change))
        return _cut(draws, max(1, recipe.people // 2))

    def _single(self, epoch: int) -> list[list[Draw]]:
        recipe, rows = self.recipe, self.data.rows("train")
        none = np.zeros((0, 2), np.int64)
        if recipe.input == "reference":  # the same for everybody
            rows = {gene: each[:1] for gene, each in rows.items()}
        items = [(gene, person) for gene, each in rows.items() for person in each]
        if recipe.mixing == "one_gene":
            place, count = {}, 0
            for gene, each in rows.items():
                place[gene] = np.arange(count, count + len(each))
                count += len(each)
            batches = samplers.one_gene_batches(place, recipe.people, 1, self.older)
            order = np.concatenate([batch[0] for batch in batches])
        else:
            order = np.random.default_rng([recipe.seed, epoch]).permutation(len(items))
        draws = []
        for k in order:
            gene, person = items[k]
            change = samplers.draw_augmented(self.older) if recipe.augment else _PLAIN
            draws.append(Draw(gene, np.array([person]), none, change))
        return _cut(draws, recipe.people)

    def _contrasted(self, epoch: int) -> list[list[Draw]]:
        rows = self.data.rows("train")
        size = self.recipe.people * self.recipe.accumulate
        people = {gene: [str(k) for k in each] for gene, each in rows.items()}
        order = list(samplers.variformer_epoch(people, size, self.python, self.older))
        none, size = np.zeros((0, 2), np.int64), self.recipe.people
        blocks = [order[k : k + size] for k in range(0, len(order), size)]
        return [[Draw(b[0][0], np.array([int(p) for _, p in b]), none)] for b in blocks]


def _cut(draws: list[Draw], size: int) -> list[list[Draw]]:
    return [draws[k : k + size] for k in range(0, len(draws) - size + 1, size)] or [draws]


def validation_draws(data: TrainingData) -> list[list[Draw]]:
    """Return the batches that validate: each gene's validation people, forward and turned.

    Pairs are all of them, or 100 drawn with seed 42, as published; for classification those that
    lie far enough apart.
    """
    recipe, batches = data.recipe, []
    if recipe.input == "reference":  # whose genes all train
        return batches
    for gene, rows in data.rows("validation").items():
        if len(rows) < 2:
            continue
        pairs = np.array([(i, j) for i in range(len(rows)) for j in range(i + 1, len(rows))])
        if recipe.strategy == "pair_classification":
            ranks = data.ranks[gene][rows]
            apart = np.abs(ranks[pairs[:, 0]] - ranks[pairs[:, 1]]) > samplers.APART
            pairs = pairs[apart]
        most = samplers.VALIDATION_PAIRS
        if len(pairs) > most:
            kept = np.random.default_rng(42).choice(len(pairs), most, replace=False)
            pairs = pairs[np.sort(kept)]
        if recipe.task == "pairs" and not len(pairs):
            continue
        for reverse in (False, True) if recipe.augment else (False,):
            batches.append([Draw(gene, rows, pairs, Augmented(reverse, 0))])
    return batches


def everybody(data: TrainingData, gene_id: str) -> Iterator[Batch]:
    """Yield batches of all people of a gene, to predict them."""
    people = np.arange(len(data.cohort.samples))
    few = data.recipe.input != "mean" and len(data.windows(gene_id)[0]) <= 2 * _AT_ONCE
    size = len(people) if few else _AT_ONCE
    none = np.zeros((0, 2), np.int64)
    for reverse in (False, True) if data.recipe.augment else (False,):
        for start in range(0, len(people), size):
            draw = Draw(gene_id, people[start : start + size], none, Augmented(reverse, 0))
            yield data.batch([draw])
