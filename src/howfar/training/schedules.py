"""Learning rates by step (0-based), and the parts of a network that train."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import nn


def warm_up_then_cosine(step: int, rate: float, warm_up: int, steps: int) -> float:
    """Return the learning rate: from 0 up to `rate` in `warm_up` steps, by a cosine down to 0.

    At step `warm_up` - 1 and `warm_up` it is `rate`; at `steps` it is 0.
    """
    if step < warm_up:
        return rate * step / max(1, warm_up - 1)
    done = (step - warm_up) / max(1, steps - warm_up)
    return 0.5 * rate * (1 + math.cos(math.pi * done))


def triangular(step: int, low: float, high: float, half: int) -> float:
    """Return the learning rate that rises from `low` to `high` in `half` steps, and falls again."""
    return high - (high - low) * abs(step % (2 * half) - half) / half


def freeze(parts: Iterable[nn.Module]) -> None:
    """Stop gradients of these parts; batch statistics and dropout go on, as in the study."""
    for part in parts:
        part.requires_grad_(False)


def freeze_batch_norm(network: nn.Module) -> list[str]:
    """Put every batch norm in evaluation mode with fixed parameters; return their names.

    Call after each `network.train()`, which switches them back. Sequences of a step then don't
    influence each other, which is what lets them share a tower.
    """
    names = []
    for name, module in network.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval().requires_grad_(False)
            names += [f"{name}.{parameter}" for parameter, _ in module.named_parameters()]
    return names
