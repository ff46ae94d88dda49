"""Interface of the linear models: the fit, its status, standardised genotypes.

A fitter is a function of training people only. It never sees who will be predicted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np

from howfar.core.errors import HowfarError
from howfar.core.registry import LINEAR_MODELS

#: What can become of a gene. Only "fitted" has weights that may differ from zero.
STATUSES = (
    "fitted",
    "no_variants",
    "constant_expression",
    "no_heritability",
    "not_converged",
    "too_few_people",
)

MIN_PEOPLE = 10
#: SD of dosages up to which a variant is constant: dosages of 0 to 2 in single precision leave
#: about this much where everybody has the same.
_FLAT = 1e-8


@dataclass(frozen=True)
class Fit:
    """A linear model of one gene.

    weights: float64 (variants,), change of expression per copy of the alternative allele, for
    dosages as they are (0-2, not standardised). intercept: so that ``x @ weights + intercept``
    predicts. status: one of `STATUSES`; with any but "fitted" the weights are zero and the
    intercept is the training mean. details: numbers about the fit (h2, h2_se, lambda,
    n_selected, ...).
    """

    weights: np.ndarray
    intercept: float
    status: str = "fitted"
    details: dict[str, float] = field(default_factory=dict)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Predict, float64 (people,), from dosages (people, variants) of anybody."""
        return np.asarray(x, float) @ self.weights + self.intercept


class Fitter(Protocol):
    """Function that fits one gene from training people alone."""

    def __call__(self, x: np.ndarray, y: np.ndarray, seed: int) -> Fit:
        """x: (people, variants) dosages 0-2, missing ones imputed; y: (people,) expression."""
        ...


@dataclass(frozen=True)
class Standardised:
    """Training data with mean 0 and variance 1 (divisor n), and the way back to the user's units.

    z: float64 (people, kept variants), Fortran order. keep: bool (variants,), False where the
    training people don't differ. mean, sd: of the kept variants. y: standardised expression, so
    that no model depends on its units.
    """

    z: np.ndarray
    y: np.ndarray
    keep: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    y_mean: float
    y_sd: float

    def fit(self, beta: np.ndarray, status: str = "fitted", **details: float) -> Fit:
        """Return the `Fit` of standardised effects `beta` (kept variants,), SD per SD of dosage."""
        weights = np.zeros(len(self.keep))
        weights[self.keep] = beta * self.y_sd / self.sd
        intercept = self.y_mean - float(self.mean @ weights[self.keep])
        return Fit(weights, intercept, status, details)


def standardise(x: np.ndarray, y: np.ndarray) -> Standardised:
    """Standardise genotypes (people, variants) and expression (people,), if it varies."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    mean, sd = x.mean(axis=0), x.std(axis=0)
    keep = sd > _FLAT
    z = np.asfortranarray((x[:, keep] - mean[keep]) / sd[keep])
    y_mean, y_sd = float(y.mean()), float(y.std()) or 1.0
    return Standardised(z, (y - y_mean) / y_sd, keep, mean[keep], sd[keep], y_mean, y_sd)


def null_fit(x: np.ndarray, y: np.ndarray, status: str, **details: float) -> Fit:
    """Return the fit that predicts the training mean for everybody, with the reason as status."""
    y = np.asarray(y, float)
    return Fit(np.zeros(np.shape(x)[1]), float(y.mean()) if y.size else np.nan, status, details)


def obstacle(x: np.ndarray, y: np.ndarray, min_people: int = MIN_PEOPLE) -> str | None:
    """Find the status that makes fitting pointless, or None; every fitter asks this first.

    Raises HowfarError where x and y can't belong together or hold a missing value.
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 2 or y.shape != x.shape[:1] or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise HowfarError(
            "training data of a linear model",
            found=f"dosages {x.shape} and expression {y.shape}, {int(np.isnan(x).sum())} and "
            f"{int(np.isnan(y).sum())} values missing",
            expected="(people, variants) and (people,), finite",
            do="Impute missing dosages and leave out people without expression.",
        )
    if len(y) < min_people:
        return "too_few_people"
    # Relative to its level: logs of TPM near 10 leave 1e-15 of rounding, and no person differs.
    if np.ptp(y) <= 1e-12 * float(np.abs(y).max()):
        return "constant_expression"
    return None if x.size and (x.std(axis=0) > _FLAT).any() else "no_variants"


def fitter(name: str, **options: object) -> Fitter:
    """Return the fitter of that name with its own options set (`fitter("enet", rule="1se")`).

    Raises HowfarError for a name that isn't in the registry.
    """
    do = "Correct --models, or baselines.models of the study file."
    return partial(LINEAR_MODELS.load(name, do), **options)
