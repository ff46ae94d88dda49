"""cis-eQTLs of one gene: permutations, the beta approximation, and independent signals.

Methods of FastQTL (Ongen et al. 2016, Bioinformatics 32:1479) and of the GTEx Consortium (2020) for
conditionally independent signals, on the scan of `eqtl.lead`. tensorQTL does the same on a GPU but
reads its tables with a package that breaks under pandas 3, so that it serves as an oracle in the
tests and not at run time.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy

from howfar.core.errors import wrong_option
from howfar.eqtl import lead as eqtl
from howfar.eqtl.lead import Scan, covariate_basis
from howfar.stats import benjamini_hochberg, correlation_log10p, correlation_p

#: Permutations worked on at once: bounds the memory to this many columns.
_AT_ONCE = 500
#: Most independent signals looked for in one gene.
_MOST = 20


@dataclass(frozen=True)
class GeneData:
    """Genotypes, expression and covariates of one gene, for the people with expression.

    `genotype`: (people, variants) float64 without missing values. `expression`: (people,).
    `covariates`: (people, k) or None. `distance`: (variants,) bp from the TSS to each variant,
    signed or not; ties are broken by its size.
    """

    genotype: np.ndarray
    expression: np.ndarray
    distance: np.ndarray
    covariates: np.ndarray | None = None

    def basis(self, more: Sequence[int] = ()) -> np.ndarray:
        """Orthonormal basis of intercept, covariates and the dosages of the variants `more`."""
        covariates = [] if self.covariates is None else [self.covariates]
        columns = [*covariates, self.genotype[:, list(more)]]
        return covariate_basis(np.column_stack(columns), len(self.expression))

    @property
    def varies(self) -> bool:
        """Whether expression varies beyond what the covariates explain."""
        return eqtl.varies(eqtl.residuals(self.expression, self.basis()), self.expression)


@dataclass(frozen=True)
class Beta:
    """The beta distribution of a gene's smallest p under permutation.

    `df`: degrees of freedom at which p-values of permuted expression are taken, chosen so that
    the first shape is near 1. `a`, `b`: shapes; b is about the number of independent tests.
    """

    df: float
    a: float
    b: float

    def log10p(self, r: float) -> float:
        """Return -log10 of the gene's p for a lead variant of correlation `r`; never underflows."""
        return float(_log10_beta(correlation_log10p(r, self.df), self.a, self.b))

    def nominal_threshold(self, p: float, df: int) -> float:
        """Return the nominal p (at `df`) that a variant needs for the gene to have `p`."""
        at = scipy.stats.beta.ppf(p, self.a, self.b)
        rest = scipy.special.betaincinv(self.df / 2, 0.5, at)  # 1 - r^2 of this p; 0 where p is 0
        return max(float(scipy.special.betainc(df / 2, 0.5, rest)), np.finfo(float).tiny)


@dataclass(frozen=True)
class Lead:
    """A gene's lead variant (`index` in the gene) with its p over all variants of the gene.

    `p_permuted`: (1 + permutations with an |r| at least as large) / (1 + permutations).
    `log10p_beta`: -log10 p of the beta approximation; of `p_permuted` where |r| is 1 and
    permutations reach it too.
    """

    index: int
    scan: Scan
    beta: Beta
    p_permuted: float
    log10p_beta: float

    @property
    def p_beta(self) -> float:
        """p of the beta approximation; 0 where smaller than a double holds."""
        return 10.0**-self.log10p_beta


def lead(
    gene: GeneData, permutations: int = 1000, seed: int = 1, more: Sequence[int] = ()
) -> Lead | None:
    """Find the lead variant and its p from permutations; None if no variant varies.

    more: variants whose dosages are covariates too.
    """
    basis = gene.basis(more)
    scan = eqtl.scan(gene.genotype, gene.expression, basis)
    if np.isnan(scan.r).all():
        return None
    best = eqtl.strongest(scan.r, np.abs(gene.distance))
    largest = best_r2(gene, basis, permutations, seed)
    beta = fit_beta(largest, scan.df)
    r = float(scan.r[best])
    # Copies of the lead variant reach its |r| in the unpermuted order up to rounding: as good as
    # equal counts as equal, or rounding would decide whether the smallest p counts itself.
    passed = int((largest >= r * r * (1 - 1e-12)).sum())
    p = (1 + passed) / (1 + permutations)
    # The fitted distribution has no r of exactly 1, which few people or many ties let chance reach.
    reached = passed > 0 and r * r >= 1 - 1e-12
    return Lead(best, scan, beta, p, float(-np.log10(p)) if reached else beta.log10p(r))


def known_lead(gene: GeneData, beta: Beta, p_permuted: float, log10p_beta: float) -> Lead:
    """Return what `lead` found, without the permutations that its p rest on."""
    scan = eqtl.scan(gene.genotype, gene.expression, gene.basis())
    best = eqtl.strongest(scan.r, np.abs(gene.distance))
    return Lead(best, scan, beta, p_permuted, log10p_beta)


def best_r2(gene: GeneData, basis: np.ndarray, permutations: int, seed: int) -> np.ndarray:
    """Find the largest squared r of any variant with permuted expression, (permutations,).

    Residuals of expression are permuted between people and the covariates removed again
    (Freedman and Lane 1983), so that covariates keep their tie to the genotypes.
    """
    g = eqtl.residuals(gene.genotype, basis)
    size = (g**2).sum(axis=0)
    varies = size > 1e-12 * np.maximum((gene.genotype**2).sum(axis=0), 1e-300)
    unit = g[:, varies] / np.sqrt(size[varies])
    rest = eqtl.residuals(gene.expression, basis)
    order = orders(len(rest), permutations, seed)
    largest = []
    for start in range(0, permutations, _AT_ONCE):
        mixed = rest[order[:, start : start + _AT_ONCE]]
        length = rest @ rest - ((basis.T @ mixed) ** 2).sum(axis=0)
        # An order that the covariates explain whole leaves nothing to correlate with.
        left = length > 1e-12 * (rest @ rest)
        largest.append(((unit.T @ mixed) ** 2).max(axis=0) * left / np.where(left, length, 1))
    return np.clip(np.concatenate(largest), 0, 1)


@lru_cache(maxsize=4)
def orders(people: int, permutations: int, seed: int) -> np.ndarray:
    """Draw random orders of people, int32 (people, permutations).

    The same for every gene with as many people (as in tensorQTL), so that a gene's p does not
    depend on which others are mapped.
    """
    if permutations < 2:
        do = "Give --permutations 1000."
        raise wrong_option("permutations of an eQTL map", permutations, "2 or more", do)
    rng = np.random.default_rng(seed)
    start = np.repeat(np.arange(people, dtype=np.int32)[:, None], permutations, axis=1)
    return rng.permuted(start, axis=0)


def fit_beta(largest: np.ndarray, df: float) -> Beta:
    """Fit the beta distribution of the smallest p among variants to permutations.

    largest: of `best_r2`. df: that of the scan, where the search for the df begins. Shapes by
    maximum likelihood; by moments where that doesn't converge.
    """
    chosen = _degrees(largest, df)
    p = _smallest_p(largest, chosen)
    try:
        a, b, _, _ = scipy.stats.beta.fit(p, floc=0, fscale=1)
    except (RuntimeError, ValueError, scipy.stats.FitError):
        a = b = np.nan
    if not (a > 0 and b > 0):  # the search for the maximum can end outside the shapes' range
        a, b = _moments(p)
    return Beta(float(chosen), float(a), float(b))


def _smallest_p(largest: np.ndarray, df: float) -> np.ndarray:
    p = correlation_p(np.sqrt(largest), df)
    return np.clip(p, np.finfo(float).tiny, 1 - 1e-15)


def _moments(p: np.ndarray) -> tuple[float, float]:
    """Shapes of the beta distribution with the mean and variance of `p`."""
    mean, variance = p.mean(), max(p.var(), np.finfo(float).tiny)
    # Values of nothing but 0 and 1 leave rounding of this excess over the variance.
    a = mean * max(mean * (1 - mean) / variance - 1, 1e-12)
    return float(a), float(a * (1 / mean - 1))


def _degrees(largest: np.ndarray, df: float) -> float:
    """Find the degrees of freedom, 1 or more, at which the first shape, by moments, is nearest 1.

    The smallest of M independent uniform p-values is Beta(1, M). Nominal p-values of expression
    that isn't normal aren't uniform; at these degrees of freedom they are nearly so (FastQTL).
    """

    def excess(log_df: float) -> float:
        """Log of the first shape at these degrees of freedom, 0 where it is 1."""
        a, _ = _moments(_smallest_p(largest, np.exp(max(log_df, 0.0))))
        return np.log(max(a, 1e-12))

    start = np.log(df)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a secant without slope: judged below
        root, how = scipy.optimize.newton(
            excess, start, x1=start + 0.05, tol=1e-4, full_output=True, disp=False
        )
    if how.converged and abs(root - start) < 2 and root >= 0 and abs(excess(root)) < 0.01:
        return float(np.exp(root))
    # The secant left the range: few permutations, or a first shape that never comes to 1.
    bounds = (max(start - 2, 0), start + 2)
    best = scipy.optimize.minimize_scalar(lambda x: abs(excess(x)), bounds=bounds, method="bounded")
    return float(np.exp(best.x))


def _log10_beta(log10p: float, a: float, b: float) -> float:
    """Return -log10 of the beta distribution at p = 10^-log10p, by its first term for a tiny p."""
    direct = scipy.special.betainc(a, b, 10.0**-log10p)
    if direct > 1e-200:
        return -np.log10(direct)
    return a * log10p + (np.log(a) + scipy.special.betaln(a, b)) / np.log(10)


@dataclass(frozen=True)
class Signal:
    """An independent signal: its rank in the forward search, from 1, and its lead variant."""

    rank: int
    lead: Lead


def independent(
    gene: GeneData,
    threshold: float,
    permutations: int = 1000,
    seed: int = 1,
    first: Lead | None = None,
) -> list[Signal]:
    """Find conditionally independent signals of a gene. first: its lead, where that is known.

    Forward: the lead, then the lead with those found as covariates, until its beta-approximated
    p exceeds `threshold`. Backward: each is looked for again with all others as covariates, and
    dropped where its p now exceeds `threshold`. A signal's scan is that of its backward step.
    """
    signals: list[Signal] = []
    taken: list[int] = []
    # Each signal costs a degree of freedom; the scan needs one that is left.
    while len(taken) < min(_MOST, len(gene.expression) - gene.basis(taken).shape[1] - 2):
        best = lead(gene, permutations, seed, taken) if taken or first is None else first
        if best is None or best.p_beta > threshold:
            break
        signals.append(Signal(len(taken) + 1, best))
        taken.append(best.index)
    return signals if len(taken) < 2 else _backward(gene, signals, threshold, permutations, seed)


def _backward(
    gene: GeneData, found: list[Signal], threshold: float, permutations: int, seed: int
) -> list[Signal]:
    """Look for each signal again beside all others: the forward search conditions on few."""
    kept: dict[int, Signal] = {}  # by variant: two signals can end on one
    taken = [signal.lead.index for signal in found]
    for rank, index in enumerate(taken, 1):
        others = [v for v in taken if v != index]
        # The last was found beside all others.
        best = lead(gene, permutations, seed, others) if rank < len(taken) else found[-1].lead
        if best is not None and best.p_beta <= threshold:
            kept.setdefault(best.index, Signal(rank, best))
    return list(kept.values())


def storey_q(p: np.ndarray, at: float = 0.5) -> np.ndarray:
    """Compute q-values of Storey (2002): Benjamini-Hochberg's times the share of true nulls.

    That share is (1 + number of p above `at`) / ((1 - at) tests), at most 1 (Storey, Taylor and
    Siegmund 2004: with the 1 added, the false discovery rate is controlled for few tests too).
    """
    p = np.asarray(p, float)
    given = ~np.isnan(p)
    if not given.any():
        return np.full(p.shape, np.nan)
    null = min(1.0, (1 + (p[given] > at).sum()) / ((1 - at) * given.sum()))
    return benjamini_hochberg(p) * null
