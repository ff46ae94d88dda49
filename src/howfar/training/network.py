"""An Enformer with a head that predicts people, and what of it trains."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from howfar.models.engine.enformer_network import tower
from howfar.training.heads import people_of


def embeddings(network: Any, one_hot: Tensor) -> Tensor:
    """Compute what heads read, of all bins without a crop: (n, length, 4) to (n, bins, 2 dim)."""
    return network.final_pointwise(network.transformer(tower(network, one_hot)))


class PersonalNetwork(nn.Module):
    """A base network and a head: one number per person from the two haplotypes."""

    def __init__(self, base: nn.Module, head: nn.Module) -> None:
        """Join an Enformer (`build_network`) and a head of `training.heads`."""
        super().__init__()
        self.base, self.head = base, head

    def forward(self, one_hot: Tensor) -> Tensor:
        """Predict people: (people, 2, length, 4) to (people,)."""
        return people_of(self.head(embeddings(self.base, one_hot.flatten(0, 1))))

    def pairs(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Predict both people of each pair in one pass: batch statistics are of all of them.

        Of (pairs, 2, length, 4) each; first members stand before second members.
        """
        import torch

        both = self(torch.cat([first, second]))
        return both[: len(first)], both[len(first) :]

    def parts(self) -> dict[str, list[nn.Module]]:
        """Return the parts that a strategy can train or freeze, by name."""
        base: Any = self.base
        return {
            "tower": [base.stem, base.conv_tower],
            "transformer": [base.transformer],
            "pointwise": [base.final_pointwise],
            "head": [self.head],
        }
