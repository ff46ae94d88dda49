"""Curves that theory alone gives, drawn beside what was seen; nothing here reads data."""

from __future__ import annotations

import numpy as np
from scipy import special, stats

#: Values of r at which a density is drawn.
GRID = np.linspace(-0.999, 0.999, 801)


def sampling_density(grid: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Density of r over `grid` if no gene had any true correlation, for those numbers of people.

    For n people r has the density (1 - r^2)^((n - 4) / 2) / B(1/2, (n - 2) / 2); genes with
    different n make a mixture.
    """
    counts, weight = np.unique(np.asarray(people, float), return_counts=True)
    power = (counts[:, None] - 4) / 2
    scale = special.betaln(0.5, (counts[:, None] - 2) / 2)
    with np.errstate(divide="ignore"):
        density = np.exp(power * np.log1p(-np.minimum(grid**2, 1 - 1e-12)) - scale)
    return weight @ density / weight.sum()


def own_null_density(grid: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Density of r over `grid` for random weights on each gene's own variants.

    mean, sd: of |r| of such weightings, per gene; r is taken as normal around 0 with their mean
    square, genes as a mixture.
    """
    scale = np.hypot(np.asarray(mean, float), np.asarray(sd, float))
    scale = np.maximum(scale[~np.isnan(scale)], 1e-3)
    return (stats.norm.pdf(grid[:, None] / scale) / scale).mean(axis=1)


def null_log10p(tests: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-log10 p of so many independent tests without an effect, largest first.

    Returns the expected values, and low and high ends of each rank's 95 % range.
    """
    rank = np.arange(1, tests + 1)
    expected = -np.log10((rank - 0.5) / tests)
    low, high = (-np.log10(stats.beta.ppf(p, rank, tests - rank + 1)) for p in (0.975, 0.025))
    return expected, low, high
