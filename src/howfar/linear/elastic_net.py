"""Elastic net and lasso with a cross-validated penalty: PrediXcan's model.

Objective, grid of penalties and cross-validation are scikit-learn's (ElasticNetCV) and, up to the
names, glmnet's (Friedman et al. 2010, J Stat Softw 33(1)): 1/(2n) |y - Xw|^2 + alpha (l1_ratio
|w|_1 + (1 - l1_ratio)/2 |w|_2^2). As in glmnet, y is divided by its SD first: as it is, the weight
of the ridge part against the l1 part would depend on the units of expression. PrediXcan (Gamazon et
al. 2015, Nat Genet 47:1091) takes l1_ratio 0.5 and the penalty with the smallest cross-validated
error. Variants that nobody's genotype tells apart are one variable while fitting; the elastic net
gives each an equal share, as it must, the lasso, to which shares don't matter, gives all to the
first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from howfar.core.errors import wrong_option
from howfar.linear.base import MIN_PEOPLE, Fit, null_fit, obstacle, standardise
from howfar.linear.folds import inner_folds

#: Duality gap at which a solution is accepted, as part of |y|^2; scikit-learn's default is 1e-4.
TOLERANCE = 1e-7
N_ALPHAS, EPS, FOLDS = 100, 1e-3, 5
_SAME = 1e-10
_DO = "Correct the option."


@dataclass(frozen=True)
class Path:
    """Solutions for each of `alphas`: coefs (alphas, variables), intercepts and duality gaps."""

    alphas: np.ndarray
    coefs: np.ndarray
    intercepts: np.ndarray
    gaps: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Predictions (alphas, people)."""
        used = self.coefs.any(axis=0)
        return self.coefs[:, used] @ x[:, used].T + self.intercepts[:, None]


@dataclass(frozen=True)
class Distinct:
    """Columns that differ: `first` place of each, `group` and `sign` of every column, `size`."""

    first: np.ndarray
    group: np.ndarray
    sign: np.ndarray
    size: np.ndarray


def distinct(x: np.ndarray) -> Distinct:
    """Group columns of `x` (people, variables), centred, that agree up to their sign.

    Columns with equal projections on a random direction are compared value by value.
    """
    # Sorting by a random projection puts equal columns side by side: n log n comparisons, not n^2.
    # The draws have a seed of their own, as they change nothing but this order.
    mark = np.random.default_rng(0).normal(size=len(x)) @ x
    sign = np.where(mark < 0, -1.0, 1.0)
    order = np.lexsort((np.arange(len(mark)), np.round(np.abs(mark), 9)))
    sorted_x = x[:, order] * sign[order]
    scale = _SAME * max(float(np.abs(x).max(initial=0)), 1e-300)
    new = np.r_[True, (np.abs(np.diff(sorted_x, axis=1)) > scale).any(axis=0)][: len(order)]
    group = np.empty(len(order), np.int64)
    group[order] = np.cumsum(new) - 1
    first = np.full(int(new.sum()), len(order))
    np.minimum.at(first, group, np.arange(len(order)))
    return Distinct(first, group, sign * sign[first][group], np.bincount(group))


def alpha_grid(
    x: np.ndarray, y: np.ndarray, l1_ratio: float, n_alphas: int = N_ALPHAS, eps: float = EPS
) -> np.ndarray:
    """Lay out falling penalties from the least that gives no variant a weight, to `eps` of it."""
    _check_ratio(l1_ratio)
    largest = np.abs((x - x.mean(axis=0)).T @ (y - y.mean())).max(initial=0) / (len(y) * l1_ratio)
    return np.geomspace(max(largest, 1e-12), max(largest, 1e-12) * eps, n_alphas)


def _check_ratio(l1_ratio: float) -> None:
    if not 0 < l1_ratio <= 1:
        expected = "a number above 0, up to 1 (the lasso; 0 is blup)"
        raise wrong_option("elastic net, option l1_ratio", l1_ratio, expected, _DO)


def solve(
    x: np.ndarray,
    y: np.ndarray,
    l1_ratio: float,
    alphas: np.ndarray,
    tolerance: float = TOLERANCE,
) -> Path:
    """Solve x (people, variables), y (people,) along falling `alphas`, with an intercept."""
    from howfar.linear.penalty_path import descend

    _check_ratio(l1_ratio)
    n, mean, level = len(y), x.mean(axis=0), y.mean()
    centred = x - mean
    varies = np.flatnonzero(np.abs(centred).max(axis=0, initial=0) > 1e-9)
    # Columns that nobody tells apart would make the path's systems singular.
    same = distinct(centred[:, varies])
    z = np.ascontiguousarray(centred[:, varies[same.first]].T)
    l1 = alphas * n * l1_ratio
    found, gaps = descend(z, y - level, 1 / same.size, l1, alphas * n - l1, tolerance)
    coefs = np.zeros((len(alphas), x.shape[1]))
    if l1_ratio == 1:
        coefs[:, varies[same.first]] = found
    else:
        coefs[:, varies] = (found / same.size)[:, same.group] * same.sign
    return Path(alphas, coefs, level - coefs @ mean, gaps)


def cross_validated(
    x: np.ndarray,
    y: np.ndarray,
    l1_ratio: float,
    alphas: np.ndarray,
    fold: np.ndarray,
    tolerance: float = TOLERANCE,
) -> np.ndarray:
    """Compute mean squared errors (alphas, folds) of each fold's people, fitted without them."""
    errors = []
    for k in np.unique(fold):
        out = fold == k
        path = solve(x[~out], y[~out], l1_ratio, alphas, tolerance)
        errors.append(((path.predict(x[out]) - y[out]) ** 2).mean(axis=1))
    return np.stack(errors, axis=1)


def choose(errors: np.ndarray, rule: str) -> int:
    """Choose a penalty: its place.

    rule: 'min', the smallest mean error; '1se', the largest penalty within one standard error of
    it (glmnet's lambda.min and lambda.1se).
    """
    mean = errors.mean(axis=1)
    best = int(mean.argmin())
    if rule == "min":
        return best
    if rule == "1se":
        limit = mean[best] + errors[best].std(ddof=1) / np.sqrt(errors.shape[1])
        return int(np.flatnonzero(mean <= limit)[0])
    raise wrong_option("elastic net, option rule", rule, "'min' or '1se'", _DO)


def fit_enet(
    x: np.ndarray,
    y: np.ndarray,
    seed: int,
    *,
    l1_ratio: float = 0.5,
    rule: str = "min",
    folds: int = FOLDS,
    n_alphas: int = N_ALPHAS,
    eps: float = EPS,
) -> Fit:
    """Fit the elastic net on standardised dosages and expression.

    details: alpha (of expression with SD 1), n_selected, cv_r2.
    With no variant chosen the status is still "fitted": the model says that nothing predicts.
    """
    problem = obstacle(x, y, max(MIN_PEOPLE, 2 * folds))
    if problem:
        return null_fit(x, y, problem)
    std = standardise(x, y)
    alphas = alpha_grid(std.z, std.y, l1_ratio, n_alphas, eps)
    fold = inner_folds(std.z, std.y, folds, seed)
    errors = cross_validated(std.z, std.y, l1_ratio, alphas, fold)
    best = choose(errors, rule)
    beta = solve(std.z, std.y, l1_ratio, alphas[: best + 1]).coefs[-1]
    explained = 1 - float(errors[best].mean() / std.y.var())
    selected = int(np.count_nonzero(beta))
    return std.fit(beta, alpha=float(alphas[best]), n_selected=selected, cv_r2=explained)


def fit_lasso(x: np.ndarray, y: np.ndarray, seed: int, **options: object) -> Fit:
    """Fit the elastic net without its ridge part; options as there."""
    return fit_enet(x, y, seed, l1_ratio=1.0, **options)
