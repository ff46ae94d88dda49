"""The rules of the hard setting: expression as a known function of sequence and of a switch.

The twelve factors, their motifs and occupancies are those of `demo.grammar`. With `occ` a site's
occupancy and d the distance in bp from its middle to the TSS base,

    P = sum of w occ   of factors 1-8 (activators, 6-8 repressors), d <= 320
    C = sum of w occ   of the confounded factors 9-12,              400 < d <= 4,090
    F = sum of v occ   of all twelve, weights of their own,         4,200 < d <= 16,000

    reference:  log expression L = s + a z(P) + 0.1 e
    haplotype:  L + a (P - P_ref) / SD(P_ref) + a_C switch (C - C_ref) + a_F (F - F_ref)

s is the gene's class, written only in how many confounded sites lie in its enhancers: across genes
more sites mean more expression. The switch of a gene, +1 or -1, says what a *change* of its
confounded sites does, and no sequence tells it. F lies beyond the network's context.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from howfar.core import sealed
from howfar.core.errors import HowfarError
from howfar.simulate.demo import grammar as g

CONFOUNDED = 8  # the first of the confounded factors, counted from 0
PROXIMAL, ENHANCER, DISTAL = 320, (400, 4_090), (4_200, 16_000)  # bp from the TSS
PARTS = ("promoter", "enhancer", "distal")


@dataclass(frozen=True)
class Rules:
    """All parameters of the function; written to and read from ``grammar.json``.

    `near`, `far`: weight of each of the 12 factors in P or C, and in F. `scales`: a / SD(P_ref),
    a_C, a_F, natural-log units. `centre`, `spread`: mean and SD of P over the reference's genes.
    """

    grammar: g.Grammar
    near: list[float]
    far: list[float]
    slope: float
    scales: list[float] = field(default_factory=lambda: [1.0, 1.0, 1.0])
    centre: float = 0.0
    spread: float = 1.0

    def calibrated(self, promoters: np.ndarray) -> Rules:
        """Take centre and spread from P of the reference's genes (genes,)."""
        spread = float(promoters.std())
        scales = [self.slope / spread, *self.scales[1:]]
        return replace(self, centre=float(promoters.mean()), spread=spread, scales=scales)


def draw(rng: np.random.Generator, slope: float) -> Rules:
    """Draw motifs and weights: 5 activators, 3 repressors, 4 confounded factors."""
    grammar = g.draw(rng)
    signs = np.array([1.0] * 5 + [-1.0] * 3)
    near = np.concatenate([signs * rng.uniform(0.5, 1.2, 8), rng.uniform(0.7, 1.3, 4)])
    far = rng.choice([-1.0, 1.0], g.FACTORS) * rng.uniform(0.5, 1.2, g.FACTORS)
    return Rules(grammar, near.round(4).tolist(), far.round(4).tolist(), slope)


def contributions(
    distance: np.ndarray, motif: np.ndarray, occupancy: np.ndarray, rules: Rules
) -> np.ndarray:
    """What each site adds to P, C and F: float64 (3, sites).

    distance: bp from the TSS base to a site's middle. occupancy: in units of 1/65,536.
    """
    core = [0.0] * len(g.CORE)
    near, far = np.array([*rules.near, *core]), np.array([*rules.far, *core])
    away, occ = np.abs(distance), occupancy / g.UNIT
    confounded = motif >= CONFOUNDED
    inside = [away <= PROXIMAL, _within(away, ENHANCER), _within(away, DISTAL)]
    return np.stack(
        [
            np.where(inside[0] & ~confounded, near[motif] * occ, 0),
            np.where(inside[1] & confounded, near[motif] * occ, 0),
            np.where(inside[2], far[motif] * occ, 0),
        ]
    )


def _within(away: np.ndarray, limits: tuple[int, int]) -> np.ndarray:
    return (away > limits[0]) & (away <= limits[1])


def components(windows: np.ndarray, rules: Rules) -> np.ndarray:
    """P, C and F of windows uint8 ASCII (n, length), the TSS base at length // 2: (n, 3)."""
    found = g.sites(windows, rules.grammar)
    distance = found.start + g.MIDDLE - windows.shape[1] // 2
    parts = contributions(distance, found.motif, found.occupancy, rules)
    return np.stack([np.bincount(found.window, part, len(windows)) for part in parts], axis=1)


def change(parts: np.ndarray, switch: float, rules: Rules) -> np.ndarray:
    """Change of log expression of parts (..., 3), differences of P, C and F from the reference."""
    return parts @ (np.array(rules.scales) * [1.0, switch, 1.0])


def save(rules: Rules, path: str | Path) -> None:
    """Write the rules as JSON."""
    fields = {k: getattr(rules, k) for k in Rules.__dataclass_fields__ if k != "grammar"}
    motifs = {"motifs": rules.grammar.motifs, "penalties": rules.grammar.penalties}
    sealed.write_json(path, motifs | fields)


def load(path: str | Path) -> Rules:
    """Read the rules; HowfarError where the file holds none."""
    try:
        fields = sealed.read_json(path)
        motifs, penalties = fields.pop("motifs"), fields.pop("penalties")
        grammar = g.Grammar(motifs, penalties, [[0.0] * len(motifs)] * 2, [])
        return Rules(grammar, **fields)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HowfarError(
            str(path),
            found=f"no rules of the hard setting ({error})",
            expected="the grammar.json that the simulation writes",
            do="Simulate the cohort again (`howfar simulate`).",
        ) from error
