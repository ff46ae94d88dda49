"""Losses of the training strategies (Rastogi, Reddy et al. 2024; Variformer; SAGE-net).

Predictions and targets are float tensors of one shape; a pair's two people stand in two tensors.
Every loss is a scalar tensor, a mean over its items.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def smape(predicted: Tensor, observed: Tensor) -> Tensor:
    """Compute the symmetric relative error, mean of 2 |p - y| / (|p| + |y|).

    Where both are exactly 0 the term is 0 (0/0 in the study), so one gene without counts does not
    end a training in NaN.
    """
    size = predicted.abs() + observed.abs()
    both_zero = size == 0
    terms = 2 * (predicted - observed).abs() / size.masked_fill(both_zero, 1.0)
    return terms.mean()


def pair_regression(predicted: tuple[Tensor, Tensor], observed: tuple[Tensor, Tensor]) -> Tensor:
    """Compute the squared error of the difference between the two people of a pair."""
    return functional.mse_loss(predicted[0] - predicted[1], observed[0] - observed[1])


def pair_counts(predicted: tuple[Tensor, Tensor], observed: tuple[Tensor, Tensor]) -> Tensor:
    """Compute the mean SMAPE of both people plus the SMAPE of their difference."""
    single = [smape(p, y) for p, y in zip(predicted, observed, strict=True)]
    return sum(single) / 2 + smape(predicted[0] - predicted[1], observed[0] - observed[1])


def probability_of_more(first: Tensor, second: Tensor) -> Tensor:
    """Compute the chance that a Poisson count of mean `first` exceeds one of mean `second`.

    Counts are compared after Anscombe's transform 2 sqrt(x + 3/8), of variance 1. Float32 rounds
    it to exactly 0 or 1 where the means are far apart. Inputs at least 0.
    """
    first, second = (2 * torch.sqrt(x + 3 / 8) for x in (first, second))
    # 1 - Phi(-x) rather than Phi(x): as the study, whose rounding to 1 begins earlier.
    return 1 - 0.5 * (1 + torch.erf(-(first - second) / math.sqrt(2) / math.sqrt(2)))


def pair_classification(predicted: tuple[Tensor, Tensor], first_is_more: Tensor) -> Tensor:
    """Compute the cross-entropy of which of two people has more; see `probability_of_more`."""
    chance = probability_of_more(*predicted)
    return functional.binary_cross_entropy(chance, first_is_more.to(chance.dtype))


def poisson(predicted: Tensor, observed: Tensor) -> Tensor:
    """Compute the mean of p - y ln(p + 1e-8), for tracks of counts."""
    return functional.poisson_nll_loss(predicted, observed.to(predicted.dtype), log_input=False)


def variformer(predicted: Tensor, observed: Tensor, alpha: float = 0.5) -> Tensor:
    """Compute alpha MSE + (1 - alpha) contrast, the mean squared error over all pairs i < j.

    People without a measurement (NaN) are left out of both. All people are of one gene. Without
    two people the contrast is 0, without one the loss.
    """
    there = ~torch.isnan(observed)
    error = predicted[there] - observed[there]
    people = error.numel()
    if people == 0:
        return predicted.sum() * 0
    square = (error**2).mean()
    if people == 1:
        return alpha * square
    # sum over i < j of (e_i - e_j)^2 = n sum e^2 - (sum e)^2
    contrast = torch.pdist(error.reshape(-1, 1)).square().mean()
    return alpha * square + (1 - alpha) * contrast


def mean_and_difference(
    predicted: Tensor, observed: Tensor, mean_weight: float = 1.0, difference_weight: float = 10.0
) -> Tensor:
    """Compute SAGE-net's loss of (batch, 2): a gene's mean, and a person's z-score."""
    parts = [functional.mse_loss(predicted[:, k], observed[:, k]) for k in (0, 1)]
    return mean_weight * parts[0] + difference_weight * parts[1]


def masked_squared_error(predicted: Tensor, observed: Tensor, measured: Tensor) -> Tensor:
    """Compute the mean squared error over the measured cells of (variants, cell types)."""
    return functional.mse_loss(predicted[measured], observed[measured])
