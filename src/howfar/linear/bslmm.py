"""The Bayesian sparse linear mixed model: a few large effects on top of many small ones.

Zhou, Carbonetto and Stephens 2013 (PLoS Genet 9:e1003264): y = mu + Z (b + a) + e with
e ~ N(0, 1/tau); small effects a ~ N(0, s_b / (p tau)) of all p variants; large effects b that are 0
with probability 1 - pi, else N(0, s_a / tau). Priors as there and in GEMMA: h and rho, the expected
share of the variance that is genetic and the share of this that is sparse, uniform on (0, 1);
log pi uniform between log(1/p) and 0; at most 300 variants included; flat priors on mu, log tau.
s_a = h rho / ((1 - h) p pi), s_b = h (1 - rho) / (1 - h), for standardised dosages.

The sampler is not GEMMA's (Metropolis-Hastings with proposals by marginal rank) but a Gibbs sampler
of the same posterior: the small effects are integrated out in the eigenbasis of ZZ'/p, each
variant's inclusion and effect is drawn from its conditional, one included effect per sweep is given
a new place among all variants (`bslmm_chain`). It mixes in thousands of sweeps, not millions.
"""

from __future__ import annotations

import numpy as np

from howfar.linear import reml
from howfar.linear.base import Fit, Standardised, null_fit, obstacle, standardise

#: Most variants with a sparse effect (GEMMA's -smax).
MOST_INCLUDED = 300
CHAINS = 2
#: Sweeps between checks; the first block is left out of every mean.
_BLOCK, _MOST_BLOCKS = 500, 17
#: Sampling ends when all three are met: split R-hat and effective draws of the variance explained,
#: Monte-Carlo error of the fitted values in SDs of expression. Past the limits of R-hat and the
#: error after the last block, the gene has not converged.
_ENOUGH = {"rhat": 1.05, "ess": 200.0, "mc_error": 0.01}
_LIMITS = {"rhat": 1.2, "mc_error": 0.05}


def fit_bslmm(x: np.ndarray, y: np.ndarray, seed: int, max_p: float | None = None) -> Fit:
    """Fit the BSLMM of one gene; the same seed gives the same weights.

    x: (people, variants) dosages; y: (people,). max_p: as for `blup.fit_blup`. The weights are the
    posterior means of a + b. details: h2 and h2_se (posterior mean and SD of the variance
    explained, PVE), pge (share of it that is sparse), n_selected (mean number of sparse effects),
    h, rho, log_pi, pve_parts (PVE as GEMMA prints it, without the covariance of the two parts),
    and of the chains: rhat, ess, mc_error, draws (per chain).
    """
    status = obstacle(x, y)
    if status:
        return null_fit(x, y, status)
    data = standardise(x, y)
    basis, found = reml.of_gene(data)
    if found is None:
        return null_fit(x, y, "no_heritability")
    if max_p is not None and not found.usable(max_p):
        return null_fit(x, y, "no_heritability", h2=found.h2, h2_se=found.se)
    chains = sample(data, basis, found.clipped, seed)
    details = _summary(chains)
    if any(not details[name] <= limit for name, limit in _LIMITS.items()):
        return null_fit(x, y, "not_converged", **details)
    return data.fit(np.mean([chain.effects for chain in chains], axis=0), **details)


class Chain:
    """One Markov chain of a gene, which can go on where it stopped.

    h: where h starts; seed: its last number says from which side the chain starts (odd: sparse).
    record: (draws, columns `bslmm_chain.RECORD`), without the first block.
    """

    def __init__(self, data: Standardised, basis: reml.Spectrum, h: float, seed: list[int]) -> None:
        from howfar.linear import bslmm_chain

        self._run = bslmm_chain.run
        self._rng = np.random.default_rng(seed)
        along, rest = basis.project(data.y)
        rest = rest if basis.free > len(along) else 0.0
        # In the eigenbasis of the kinship the polygenic part is independent noise: it can be
        # integrated out, and a sweep costs variants x k, not variants x people.
        x = np.ascontiguousarray(data.z.T @ basis.vectors)
        args = {"x": x, "y": along, "d": basis.values, "rest": rest, "most": MOST_INCLUDED}
        self._data = bslmm_chain.Data(free=float(basis.free), **args)
        self._state = bslmm_chain.State(*_start(along, len(x), h, sparse=bool(seed[-1] % 2)))
        self._people = float(len(data.y))
        self._clear()
        self.advance(_BLOCK)  # the start is far from the posterior: its draws don't count
        self._clear()

    def _clear(self) -> None:
        from howfar.linear.bslmm_chain import RECORD

        self.record = np.empty((0, len(RECORD)))
        self._sums = tuple(np.zeros(size) for size in self._data.x.shape)

    def advance(self, sweeps: int) -> None:
        """Add `sweeps` draws."""
        more = np.empty((sweeps, self.record.shape[1]))
        self._run(self._data, self._state, self._rng, self._people, more, *self._sums)
        self.record = np.vstack([self.record, more])

    @property
    def effects(self) -> np.ndarray:
        """Posterior mean (p,) of a + b per SD of dosage."""
        sparse, polygenic = self._sums
        x = self._data.x
        return (sparse + x @ polygenic / len(x)) / len(self.record)

    @property
    def fitted(self) -> np.ndarray:
        """(k,) posterior mean genetic values, in the eigenbasis."""
        return self.effects @ self._data.x

    @property
    def spread(self) -> float:
        """Root of the sum of squares of centred expression."""
        return float(np.sqrt(self._data.y @ self._data.y + self._data.rest))


def _start(y: np.ndarray, p: int, h: float, sparse: bool) -> tuple[np.ndarray, ...]:
    """Start a chain without any effect, mostly polygenic or mostly sparse to come."""
    # Unlike starts: chains that agree from both ends have forgotten where they began.
    rho, power = (0.9, 0.5) if sparse else (0.1, 0.9)
    hyper = np.array([np.clip(h, 0.05, 0.95), rho, -power * max(np.log(p), 0.01)])
    return np.zeros(p), y.copy(), hyper, np.array([1.0, 0.0])


def sample(data: Standardised, basis: reml.Spectrum, h: float, seed: int) -> list[Chain]:
    """Draw chains from unlike starts, until they agree or the last block is drawn."""
    chains = [Chain(data, basis, h, [seed, number]) for number in range(CHAINS)]
    for block in range(1, _MOST_BLOCKS):
        for chain in chains:
            chain.advance(_BLOCK)
        if block >= 2 and _enough(_diagnostics(chains)):
            break
    return chains


def _enough(diagnostics: dict[str, float]) -> bool:
    small = all(diagnostics[name] <= _ENOUGH[name] for name in ("rhat", "mc_error"))
    return small and diagnostics["ess"] >= _ENOUGH["ess"]


def _diagnostics(chains: list[Chain]) -> dict[str, float]:
    from howfar.linear.bslmm_chain import RECORD

    explained = np.array([chain.record[:, RECORD.index("pve")] for chain in chains])
    first, *others = (chain.fitted for chain in chains)
    apart = np.mean([np.linalg.norm(first - other) for other in others])
    # The mean of c chains has an error sqrt(c) times smaller than one, their difference sqrt(2)
    # times larger.
    error = apart / np.sqrt(2 * len(chains)) / chains[0].spread
    found = {"rhat": split_rhat(explained), "ess": effective_draws(explained)}
    return found | {"mc_error": float(error), "draws": float(explained.shape[1])}


def _summary(chains: list[Chain]) -> dict[str, float]:
    from howfar.linear.bslmm_chain import RECORD

    every = np.vstack([chain.record for chain in chains])
    mean = dict(zip(RECORD, every.mean(axis=0).tolist(), strict=True))
    spread = float(every[:, RECORD.index("pve")].std())
    found = {"h2": mean.pop("pve"), "h2_se": spread, "n_selected": mean.pop("included")}
    return found | mean | _diagnostics(chains)


def split_rhat(draws: np.ndarray) -> float:
    """Compute Gelman-Rubin's ratio over the halves of chains; draws: (chains, draws).

    Gelman et al. 2013, Bayesian Data Analysis 3, section 11.4. 1 where all draws are equal.
    """
    half = draws.shape[1] // 2
    parts = np.vstack([draws[:, :half], draws[:, half : 2 * half]])
    within, between = parts.var(axis=1, ddof=1).mean(), parts.mean(axis=1).var(ddof=1)
    return float(np.sqrt((half - 1) / half + between / within)) if within > 0 else 1.0


def effective_draws(draws: np.ndarray) -> float:
    """Count independent draws that (chains, draws) are worth: Geyer's initial positive sequence.

    Chains that disagree are worth less (Gelman et al. 2013, section 11.5).
    """
    chains, n = draws.shape
    centred = draws - draws.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(centred, 2 * n)) ** 2
    covariance = np.fft.irfft(power)[:, :n].mean(axis=0) / n
    total = covariance[0] * n / (n - 1) + draws.mean(axis=1).var(ddof=1) - covariance[0] / n
    if total <= 0:
        return float(chains * n)
    correlation = 1 - (covariance[0] - covariance) / total
    pairs = correlation[: n // 2 * 2].reshape(-1, 2).sum(axis=1)
    last = int(np.argmax(pairs <= 0)) if (pairs <= 0).any() else len(pairs)
    # Sums of neighbouring autocorrelations of a reversible chain fall and stay positive: what rises
    # or is negative is noise of the estimate.
    time = 2 * np.minimum.accumulate(pairs[:last]).sum() - 1
    return float(chains * n / max(time, 1.0))
