"""The knobs of the hard setting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from howfar.core.errors import HowfarError


@dataclass(frozen=True)
class Setting:
    """What can be turned: the knobs of the study file's `simulate` block.

    coin: share of genes, exact, whose switch is + (a change of confounded sites acts as sites do
    across genes). slope: a of the rules. sites, confounding: a gene of class s has
    Poisson(sites exp(confounding s)) confounded sites in its enhancers. promoter, distal: mean
    shares of people's genetic variance, the enhancers have the rest. most_h2: h2 ~ U(0, most_h2).
    extra: training genes without people. free: windows of 2,048 bp without a gene.
    """

    coin: float = 0.55
    slope: float = 0.4
    sites: float = 12.0
    confounding: float = 0.6
    promoter: float = 0.12
    distal: float = 0.40
    most_h2: float = 0.25
    extra: int = 450
    free: int = 800

    def __post_init__(self) -> None:
        shares = all(0 < share < 1 for share in (self.promoter, self.distal, self.most_h2))
        if not (0 <= self.coin <= 1 and shares and self.promoter + self.distal < 1):
            raise HowfarError(
                "the hard setting's knobs",
                found=f"coin {self.coin}, promoter {self.promoter}, distal {self.distal}, "
                f"most_h2 {self.most_h2}",
                expected="shares: coin from 0 to 1, the others between, promoter and distal "
                "together below 1",
                do="Correct the key `simulate`.",
            )
        if self.extra < 0 or self.free < 5 or self.sites < 0:
            raise HowfarError(
                "the hard setting's knobs",
                found=f"extra {self.extra}, free {self.free}, sites {self.sites}",
                expected="training genes and sites, 0 or more, and gene-free windows, 5 or more",
                do="Correct the key `simulate`.",
            )

    @property
    def shares(self) -> np.ndarray:
        """Mean shares of people's variance: promoter, enhancer, distal."""
        return np.array([self.promoter, 1 - self.promoter - self.distal, self.distal])
