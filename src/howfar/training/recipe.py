"""How a network is trained on people: a strategy's defaults, and what is changed in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from howfar.core.errors import HowfarError, wrong_option
from howfar.core.registry import STRATEGIES

#: Parts of a network that train; besides these ``lora(rank)``.
TRAINED = ("all", "head", "pointwise", "transformer", "tower", "heads")
_CHOICES = {
    "task": ("people", "pairs", "contrast", "gene_and_person", "tracks"),
    "target": ("z", "values"),
    "head": ("attention", "track", "centre", "none"),
    "init": ("pretrained", "random"),
    "input": ("haplotypes", "mean", "reference"),
    "optimiser": ("adamw", "adam"),
    "schedule": ("constant", "warm_up_cosine", "triangular"),
    "monitor": ("loss", "accuracy", "r2", "pearson"),
    "batch_norm": ("frozen", "training"),
    "dropout": ("none", "window", "person"),
    "mixing": ("genes", "published", "one_gene"),
    "precision": ("float32", "bfloat16"),
    "others": ("none", "tracks", "mpra"),
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained; one strategy's defaults stand in ``strategies.yaml``.

    task: what an item is: a person, a pair, all people of a gene in a batch (contrast), a gene and
    a person (SAGE-net), or tracks alone. target: 'z', z-scores over a gene's training people, or
    'values' of the study's expression. head: what reads the embeddings. train: which part trains,
    'all', 'head', 'pointwise' (and the head, as in the others), 'transformer', 'tower', or
    'lora(rank)'. init: of the network. start: of sagenet, the folder of a training with ``input:
    reference``, whose trunk it begins with. input: both haplotypes, the 'mean' of their one-hots,
    or, of sagenet, the 'reference' alone, which learns the genes' means, once a gene in an epoch.
    rate, weight_decay, optimiser, schedule, warm_up (steps; half a cycle where triangular), clip
    (norm of the gradient; 0: none): of the optimiser. epochs: at most; patience: epochs without a
    better `monitor` (0: all are run). batch_norm: 'frozen' statistics, or of each batch. dropout:
    none, or drawn once for each distinct window, or for each person. mixing:
    'genes' in a batch, each with many people, 'published', or 'one_gene'. genes: a step's; people:
    of each of them; pairs: of a gene in an epoch; accumulate: batches a step. augment: strand and
    shift at random. ratio: of the people who train. maf: alleles rarer than that among those are
    replaced by the common one. alpha: Variformer's weight of the squared error. difference:
    SAGE-net's weight of the person. others: data trained on besides, its file `data`. double: add
    the loss of people twice, as published. track: the number of the one that a 'track' head
    reads; -1: the run's first. context: bp, of a network without a run. precision: of the
    arithmetic.
    """

    strategy: str
    task: str
    target: str = "z"
    head: str = "attention"
    train: str = "all"
    init: str = "pretrained"
    input: str = "haplotypes"
    optimiser: str = "adamw"
    rate: float = 1e-4
    weight_decay: float = 0.0
    schedule: str = "constant"
    warm_up: int = 0
    clip: float = 0.0
    epochs: int = 50
    patience: int = 5
    monitor: str = "loss"
    batch_norm: str = "frozen"
    dropout: str = "none"
    mixing: str = "genes"
    genes: int = 2
    people: int = 32
    pairs: int = 250
    accumulate: int = 1
    augment: bool = True
    ratio: float = 1.0
    maf: float = 0.0
    alpha: float = 0.5
    difference: float = 10.0
    others: str = "none"
    data: str = ""
    double: bool = False
    track: int = -1
    start: str = ""
    context: int = 40_000
    seed: int = 1
    precision: str = "float32"

    @property
    def column(self) -> int:
        """Which of SAGE-net's two numbers is read: the gene's mean, or the person's z-score."""
        return 0 if self.input == "reference" else 1

    @property
    def rank(self) -> int:
        """Rank of low-rank adapters; 0 where parts train as they are."""
        match = re.fullmatch(r"lora\((\d+)\)", self.train)
        return int(match[1]) if match else 0

    def check(self) -> Recipe:
        """Return the recipe itself; HowfarError for a value that means nothing."""
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise wrong_option(f"option {name}", getattr(self, name), " or ".join(choices))
        if self.train not in TRAINED and not self.rank:
            words = f"{', '.join(TRAINED)} or lora(RANK), such as lora(8)"
            raise wrong_option("option train", self.train, words)
        for name in ("epochs", "genes", "people", "pairs", "accumulate", "context"):
            if getattr(self, name) < 1:
                raise wrong_option(f"option {name}", getattr(self, name), "1 or more")
        if self.task in ("pairs", "contrast") and self.people < 2:
            raise wrong_option("option people", self.people, "2 or more, as people are compared")
        if self.strategy != "sagenet" and (self.start or self.input == "reference"):
            raise wrong_option("options start and input", self.strategy, "strategy sagenet")
        if not (0 < self.ratio <= 1 and 0 <= self.maf < 0.5):
            raise wrong_option(
                "options ratio and maf",
                f"{self.ratio}, {self.maf}",
                "ratio above 0 up to 1, maf from 0 up to 0.5",
            )
        return self


@cache
def _defaults() -> dict[str, dict[str, Any]]:
    text = Path(__file__).with_name("strategies.yaml").read_text("utf-8")
    return dict(yaml.safe_load(text)["strategies"])


def recipe_of(strategy: str, options: Mapping[str, Any], as_published: bool = False) -> Recipe:
    """Return a strategy's recipe with `options` in the place of its defaults.

    as_published: start from what the study did. HowfarError for an unknown strategy or option, or
    a value of the wrong kind.
    """
    STRATEGIES.find(strategy, "Correct --strategy.")  # not loaded: tables are made without torch
    given = dict(_defaults()[strategy])
    published = given.pop("as_published")
    made = Recipe(strategy=strategy, **(given | (published if as_published else {})))
    kinds = {field.name: type(getattr(made, field.name)) for field in fields(Recipe)}
    for name, value in options.items():
        if name not in kinds or name in ("strategy", "task"):
            known = ", ".join(k for k in kinds if k not in ("strategy", "task"))
            raise wrong_option(f"options of {strategy}", name, f"one of {known}")
        right = type(value) is kinds[name] or (kinds[name] is float and type(value) is int)
        if not right:
            raise wrong_option(f"option {name}", value, f"such as {getattr(made, name)!r}")
        made = replace(made, **{name: kinds[name](value)})
    return made.check()


def described(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as it stands in a run's definition."""
    return asdict(recipe)


def lacking(strategy: str, found: str, expected: str, do: str) -> HowfarError:
    """Return the error for a strategy that a network or study lacks something for."""
    return HowfarError(f"strategy {strategy}", found=found, expected=expected, do=do)
