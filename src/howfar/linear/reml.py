"""The heritability of a gene's expression that its cis variants explain, by REML.

y = W a + g + e, g ~ N(0, s_g K), e ~ N(0, s_e I), K = ZZ'/p for p standardised dosages, h2 =
s_g / (s_g + s_e), as in GCTA (Yang et al. 2011, Am J Hum Genet 88:76). One eigendecomposition of K
after the covariates W are projected out turns the restricted likelihood of any h2 into sums over
eigenvalues (Patterson and Thompson 1971; Kang et al. 2008, Genetics 178:1709).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from howfar.core.errors import HowfarError
from howfar.eqtl.lead import varies
from howfar.linear.base import Standardised, obstacle, standardise
from howfar.stats.svd import thin_svd

#: FUSION's rule (Gusev et al. 2016, Nat Genet 48:245): no weights above this p or below h2 = 0.
FUSION_P = 0.01
#: Eigenvalues below this part of the largest are rounding.
_NULL = 1e-10
#: Where the likelihood is looked at first: logits of the way through the range of h2. Close to
#: its lower end the likelihood bends on the scale of 1 / largest eigenvalue.
_GRID = scipy.special.expit(np.linspace(-15.0, 15.0, 301))


#: Bound on |h2| where all eigenvalues are on one side of 1 and positive definiteness sets none.
_FARTHEST = 10.0


@dataclass(frozen=True)
class Spectrum:
    """Kinship of a gene's variants in its eigenbasis, covariates projected out.

    values: its k positive eigenvalues, descending; vectors: (people, k), orthonormal; basis:
    (people, c), orthonormal, spans the covariates with the intercept. The other people - k - c
    directions have eigenvalue 0.
    """

    values: np.ndarray
    vectors: np.ndarray
    basis: np.ndarray

    @property
    def free(self) -> int:
        """Directions that the covariates leave free: people - c."""
        return len(self.basis) - self.basis.shape[1]

    @property
    def differs(self) -> bool:
        """Whether the kinship tells pairs of people apart; h2 can't be estimated if not."""
        least = 0.0 if self.free > len(self.values) else self.values.min(initial=np.inf)
        return bool(self.values.size and self.values.max() - least >= _NULL)

    def project(self, y: np.ndarray) -> tuple[np.ndarray, float]:
        """`y` (people,) along `vectors` (k,), and its sum of squares along eigenvalue 0."""
        y = y - self.basis @ (self.basis.T @ y)
        along = self.vectors.T @ y
        return along, max(float(y @ y - along @ along), 0.0)


@dataclass(frozen=True)
class Heritability:
    """What REML finds. h2 may lie outside 0..1, wherever the covariance is positive definite.

    se: standard error of h2 from the average information; no interval near h2 = 0, where h2 -+ 1.96
    se holds 0 three times in four: use p. log_likelihood: restricted, without the constant of the
    covariates. p: one-sided of h2 = 0, from the signed root of the likelihood
    ratio: half of chi2(1)'s tail for h2 > 0 (the mixture of Self and Liang 1987), above 0.5 below.
    variance: s_g + s_e in squared units of y. ratio: the likelihood ratio's statistic.
    """

    h2: float
    se: float
    p: float
    variance: float
    log_likelihood: float
    ratio: float
    people: int

    @property
    def clipped(self) -> float:
        """h2 within 0..1."""
        return float(np.clip(self.h2, 0.0, 1.0))

    def usable(self, max_p: float = FUSION_P) -> bool:
        """Whether FUSION would make weights: h2 not below 0 and p at most `max_p`."""
        return bool(self.h2 >= 0 and self.p <= max_p)


def spectrum(z: np.ndarray, covariates: np.ndarray | None = None) -> Spectrum:
    """Eigenbasis of ZZ'/p. z: (people, p) standardised dosages, p > 0; covariates: (people, c).

    The intercept is always a covariate. The smaller of ZZ' and Z'Z is decomposed.
    """
    people, p = z.shape
    basis = _covariate_basis(people, covariates)
    z = z - basis @ (basis.T @ z)
    wide = p >= people
    values, vectors = np.linalg.eigh((z @ z.T if wide else z.T @ z) / p)
    keep = np.flatnonzero(values > _NULL * values[-1])[::-1]
    values, vectors = values[keep], vectors[:, keep]
    vectors = vectors if wide else z @ vectors / np.sqrt(p * values)
    return Spectrum(values, np.ascontiguousarray(vectors), basis)


def _covariate_basis(people: int, covariates: np.ndarray | None) -> np.ndarray:
    columns = [np.ones((people, 1))]
    if covariates is not None:
        columns.append(np.asarray(covariates, float).reshape(len(covariates), -1))
    if any(len(c) != people or not np.isfinite(c).all() for c in columns):
        raise HowfarError(
            "covariates",
            found=f"{len(columns[-1])} rows, {int((~np.isfinite(columns[-1])).sum())} not finite",
            expected=f"{people} rows of finite numbers, one for each person",
            do="Give one row per person of the genotypes, in their order, without gaps.",
        )
    left, size, _ = thin_svd(np.hstack(columns))
    return left[:, size > _NULL * size[0]]


@dataclass(frozen=True)
class _Squares:
    """Distinct directions: eigenvalue d, sum of squares of y and number of directions each."""

    d: np.ndarray
    squares: np.ndarray
    count: np.ndarray

    def log_likelihood(self, h2: np.ndarray) -> np.ndarray:
        """Restricted log-likelihood of each h2, the total variance at its best."""
        v = 1 + np.multiply.outer(h2, self.d - 1)
        free = self.count.sum()
        total = (self.squares / v).sum(-1) / free
        return -0.5 * (free * (np.log(2 * np.pi * total) + 1) + (self.count * np.log(v)).sum(-1))

    def score(self, h2: float) -> float:
        """Derivative of `log_likelihood`."""
        slope = (self.d - 1) / (1 + h2 * (self.d - 1))
        return 0.5 * float((self._shares(h2) - self.count) @ slope)

    def information(self, h2: float) -> float:
        """Average information of h2, that of the total variance taken away."""
        slope, shares = (self.d - 1) / (1 + h2 * (self.d - 1)), self._shares(h2)
        return 0.5 * float(shares @ slope**2 - (shares @ slope) ** 2 / shares.sum())

    def _shares(self, h2: float) -> np.ndarray:
        parts = self.squares / (1 + h2 * (self.d - 1))
        return parts * (self.count.sum() / parts.sum())

    def variance(self, h2: float) -> float:
        """Total variance at which the likelihood of this h2 is highest."""
        return float((self.squares / (1 + h2 * (self.d - 1))).sum() / self.count.sum())


def of_gene(data: Standardised) -> tuple[Spectrum, Heritability | None]:
    """Spectrum of a gene's kinship, and the heritability estimated on it; None if not estimable.

    That is where the kinship is the same for all pairs, as with one private variant a person.
    """
    basis = spectrum(data.z)
    return basis, estimate(basis, data.y) if basis.differs else None


def estimate(basis: Spectrum, y: np.ndarray) -> Heritability:
    """Unconstrained REML of `y` (people,) on a kinship, standard error and test against 0.

    The highest of the maxima within the range of h2 in which the covariance is positive definite
    (from -1 / (largest eigenvalue - 1) to 1, or just above where no eigenvalue is 0).
    """
    squares = _squares(basis, y)
    h2 = _maximum(squares)
    best, none = squares.log_likelihood(np.array([h2, 0.0]))
    ratio = max(2 * float(best - none), 0.0)
    information = squares.information(h2)
    return Heritability(
        h2=h2,
        se=information**-0.5 if information > 0 else np.nan,
        p=float(scipy.stats.norm.sf(np.sign(h2) * np.sqrt(ratio))),
        variance=squares.variance(h2),
        log_likelihood=float(best),
        ratio=ratio,
        people=len(y),
    )


def heritability(
    x: np.ndarray, y: np.ndarray, covariates: np.ndarray | None = None
) -> Heritability | None:
    """REML of one gene from dosages x (people, variants) and y (people,); None if not estimable.

    That is where there are too few people, no variant that varies, expression that is constant or
    explained by the covariates, or a kinship that is the same for all pairs.
    """
    if obstacle(x, y):
        return None
    y = np.asarray(y, float)
    basis, centred = spectrum(standardise(x, y).z, covariates), y - y.mean()
    rest = centred - basis.basis @ (basis.basis.T @ centred)
    return estimate(basis, centred) if basis.differs and varies(rest, y) else None


def _squares(basis: Spectrum, y: np.ndarray) -> _Squares:
    along, rest = basis.project(np.asarray(y, float))
    d, squares, count = basis.values, along**2, np.ones(len(along))
    others = basis.free - len(d)
    if others > 0:
        d, squares, count = np.append(d, 0.0), np.append(squares, rest), np.append(count, others)
    if squares.sum() <= 0 or not basis.differs:
        raise HowfarError(
            "heritability",
            found="expression that never varies, or a kinship that says the same of all pairs",
            expected="expression and kinship that vary between people",
            do="Leave the gene out, or give more people or variants.",
        )
    return _Squares(d, squares, count)


def _maximum(squares: _Squares) -> float:
    most, least = squares.d.max() - 1, 1 - squares.d.min()
    low, high = -1 / max(most, 1 / _FARTHEST), 1 / max(least, 1 / _FARTHEST)
    grid = low + (high - low) * _GRID
    at = int(squares.log_likelihood(grid).argmax())
    left, right = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
    if squares.score(left) > 0 > squares.score(right):
        return float(scipy.optimize.brentq(squares.score, left, right, xtol=1e-14, rtol=1e-12))
    return float(grid[at])
