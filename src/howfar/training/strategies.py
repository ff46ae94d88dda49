"""The strategies' losses, from predictions of a batch's people and what was observed.

Each is called as ``strategy(predicted, batch, recipe, others)``: `predicted` is of all people of
the batch, on every process; `others` are losses of data trained on besides, by name. Returns the
loss to go down.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from howfar.training import joint, losses
from howfar.training.data import Batch
from howfar.training.recipe import Recipe

Others = Mapping[str, Tensor]


def _both(values: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Values of the first and of the second person of each pair."""
    return values[batch.pairs[:, 0]], values[batch.pairs[:, 1]]


def single(predicted: Tensor, batch: Batch, recipe: Recipe, others: Others) -> Tensor:
    """Each person alone: SMAPE of the study's values, squared error of z-scores."""
    loss = losses.smape if recipe.target == "values" else functional.mse_loss
    return loss(predicted, batch.targets)


def pair_regression(predicted: Tensor, batch: Batch, recipe: Recipe, others: Others) -> Tensor:
    """The difference between two people of a gene."""
    return losses.pair_regression(_both(predicted, batch), _both(batch.targets, batch))


def pair_classification(predicted: Tensor, batch: Batch, recipe: Recipe, others: Others) -> Tensor:
    """Which of two people has more."""
    first, second = _both(batch.targets, batch)
    return losses.pair_classification(_both(predicted, batch), first >= second)


def pair_counts(predicted: Tensor, batch: Batch, recipe: Recipe, others: Others) -> Tensor:
    """Both people of a pair and their difference, by SMAPE."""
    return losses.pair_counts(_both(predicted, batch), _both(batch.targets, batch))


def joint_tracks(predicted: Tensor, batch: Batch, recipe: Recipe, others: Others) -> Tensor:
    """Pairs of people together with both species' tracks."""
    pair = pair_classification if recipe.head == "track" else pair_regression
    zero = torch.zeros((), device=predicted.device)
    return joint.with_tracks(
        pair(predicted, batch, recipe, others),
        others["human"],
        others.get("mouse", zero),
        others["track"] if recipe.head == "track" else None,
        as_published=recipe.double,
    )


def joint_mpra(predicted: Tensor, batch: Batch, recipe: Recipe, others: Others) -> Tensor:
    """Pairs of people together with reporter assays of variants."""
    pairs = pair_regression(predicted, batch, recipe, others)
    return joint.with_reporters(pairs, others["mpra"], as_published=recipe.double)


def variformer(predicted: Tensor, batch: Batch, recipe: Recipe, others: Others) -> Tensor:
    """People of a gene and all differences between them (Variformer)."""
    of_gene = [batch.gene == gene for gene in torch.unique(batch.gene)]
    parts = [losses.variformer(predicted[g], batch.targets[g], recipe.alpha) for g in of_gene]
    return torch.stack(parts).mean()


def sagenet(predicted: Tensor, batch: Batch, recipe: Recipe, others: Others) -> Tensor:
    """A gene's mean, and each person's z-score (SAGE-net); a small network of its own."""
    if recipe.input == "reference":
        return functional.mse_loss(predicted[:, 0], batch.means)
    observed = torch.stack([batch.means, batch.targets], dim=1)
    return losses.mean_and_difference(predicted, observed, 1.0, recipe.difference)


def heads_realigned(predicted: Tensor, batch: Batch, recipe: Recipe, others: Others) -> Tensor:
    """A fine-tuned network's own heads alone, on tracks."""
    return torch.stack(list(others.values())).sum()


def score(name: str, predicted: Tensor, batch: Batch) -> Tensor:
    """Return how good predictions of a batch's people are, more being better.

    accuracy: share of pairs told apart. r2, pearson: of the people of one gene, the mean of genes.
    """
    if name == "accuracy":
        (p, q), (y, z) = _both(predicted, batch), _both(batch.targets, batch)
        return ((losses.probability_of_more(p, q) > 0.5) == (y >= z)).float().mean()
    found = []
    for gene in torch.unique(batch.gene):
        here = (batch.gene == gene) & ~torch.isnan(batch.targets)
        x, y = predicted[here].double(), batch.targets[here].double()
        if name == "r2":
            found.append(1 - ((x - y) ** 2).mean() / y.var(correction=0))
        else:
            found.append(torch.corrcoef(torch.stack([x, y]))[0, 1].nan_to_num(0.0))
    return torch.stack(found).mean().float()
