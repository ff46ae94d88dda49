"""SAGE-net's network (Spiro, Tu et al. 2025): a gene's mean, and how a person differs from it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _block(inputs: int, outputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm1d(inputs), nn.Conv1d(inputs, outputs, width, padding="same"), nn.ReLU()
    )


class _Residual(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._module = module

    def forward(self, x: Tensor) -> Tensor:
        """Return the module's output plus its input."""
        return self._module(x) + x


class SageNet(nn.Module):
    """A shared convolutional trunk, and two branches: the reference, and person minus reference.

    first, filters, hidden: widths of the first and later convolutions and of the dense layers.
    blocks: convolutions after the first, each followed by average pooling by `pool` (the last,
    shorter window included). length: bases read.
    """

    def __init__(
        self,
        length: int = 40_000,
        first: int = 900,
        filters: int = 256,
        hidden: int = 256,
        blocks: int = 5,
        pool: int = 10,
    ) -> None:
        """Make the network in PyTorch's default start."""
        super().__init__()
        self.conv0 = nn.Sequential(
            nn.ConstantPad1d((4, 5), 0.0), nn.Conv1d(4, first, 10), nn.ReLU()
        )
        layers: list[nn.Module] = []
        left = length
        for k in range(blocks):
            block = _block(first if k == 0 else filters, filters, 5)
            layers += [block if k == 0 else _Residual(block), nn.AvgPool1d(pool, ceil_mode=True)]
            left = -(-left // pool)
        self.convlayers = nn.Sequential(*layers)
        self.fc0 = nn.Sequential(nn.Linear(left * filters, hidden), nn.ReLU())
        self.fclayers = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU())
        self.ref_out = nn.Sequential(nn.Linear(hidden, 1))
        self.diff_fclayers = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU())
        self.diff_out = nn.Sequential(nn.Linear(hidden, 1))

    def trunk(self, one_hot: Tensor) -> Tensor:
        """Compute features of a sequence: (n, 4, length) to (n, features)."""
        return self.convlayers(self.conv0(one_hot)).flatten(1)

    def forward(self, reference: Tensor, maternal: Tensor, paternal: Tensor) -> Tensor:
        """Predict (mean, difference) from one-hot (n, 4, length): (n, 2).

        The three pass each batch norm one after the other, so that its statistics are of one kind
        of sequence at a time.
        """
        return self.compared(*(self.trunk(each) for each in (reference, maternal, paternal)))

    def compared(self, reference: Tensor, maternal: Tensor, paternal: Tensor) -> Tensor:
        """Predict (mean, difference) from features of the three, (n, features): (n, 2)."""
        common = self.fc0(reference)
        person = self.fc0((maternal + paternal) / 2)
        mean = self.ref_out(self.fclayers(common))
        difference = self.diff_out(self.diff_fclayers(person - common))
        return torch.cat([mean, difference], dim=1)
