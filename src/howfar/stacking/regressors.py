"""Regressors that are stacked on predictions, each with its own normalisation.

A builder takes (train, test) rows by which penalties are chosen and members of a stack are fitted
out of fold, and a seed. The rows hold out the same kind of unit as the split that judges the model:
penalties chosen on leaked rows would be too small for rows that don't leak.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    StackingRegressor,
)
from sklearn.linear_model import ElasticNetCV, Ridge, RidgeCV
from sklearn.model_selection import check_cv
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, QuantileTransformer, StandardScaler

from howfar.core.errors import HowfarError
from howfar.core.extras import is_installed
from howfar.core.registry import STACKED
from howfar.stacking.pairs import INNER_FOLDS, Rows

_ALPHAS = np.logspace(-2, 4, 7)


class ChosenRidge(RegressorMixin, BaseEstimator):
    """Ridge whose penalty is the one that ``RidgeCV(alphas, cv=cv)`` chooses, in less time.

    That fits a model anew for each penalty of each fold, and looks at all its data each time; here
    the penalties of a fold share its products.
    """

    def __init__(self, alphas: np.ndarray, cv: Sequence[Rows] | int) -> None:
        """Take the penalties, and the (train, test) rows of each fold or how many folds."""
        self.alphas, self.cv = alphas, cv

    def fit(self, x: np.ndarray, y: np.ndarray) -> ChosenRidge:
        """Fit by the penalty of the largest mean R2 over the folds; the first among equals."""
        folds = [self._scores(x, y, *rows) for rows in check_cv(self.cv).split(x, y)]
        self.model_ = Ridge(self.alphas[int(np.argmax(np.mean(folds, axis=0)))]).fit(x, y)
        return self

    def _scores(
        self, x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray
    ) -> np.ndarray:
        """R2 of the rows left out, of each penalty."""
        level, mean = y[train].mean(), x[train].mean(axis=0)
        centred, unit = x[train] - mean, np.eye(x.shape[1])
        gram, products = centred.T @ centred, centred.T @ (y[train] - level)
        slopes = [
            scipy.linalg.solve(gram + a * unit, products, assume_a="pos") for a in self.alphas
        ]
        predicted = level + (x[test] - mean) @ np.transpose(slopes)
        errors = ((y[test, None] - predicted) ** 2).sum(axis=0)
        spread = ((y[test] - y[test].mean()) ** 2).sum()
        return 1 - errors / (spread or 1)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Predict by the model chosen."""
        return self.model_.predict(x)


def installed() -> list[str]:
    """List the names of `STACKED` that can be fitted here: XGBoost is an extra of the package."""
    lacking = not is_installed("xgboost")
    return [name for name in STACKED if not (lacking and name == "xgboost")]


def make(name: str, inner: Sequence[Rows] | int, seed: int = 1) -> RegressorMixin:
    """Build the regressor of that name; HowfarError for an unknown one."""
    return STACKED.load(name, "Correct --models.")(inner, seed)


def ridge(inner: Sequence[Rows] | int, seed: int) -> RegressorMixin:
    """Ridge on standardised features."""
    return make_pipeline(StandardScaler(), ChosenRidge(_ALPHAS, inner))


def ridge_quantile(inner: Sequence[Rows] | int, seed: int) -> RegressorMixin:
    """Ridge on normal quantiles of the features."""
    normal = QuantileTransformer(n_quantiles=200, output_distribution="normal", random_state=seed)
    return make_pipeline(normal, ChosenRidge(_ALPHAS, inner))


def polynomial(inner: Sequence[Rows] | int, seed: int) -> RegressorMixin:
    """Ridge on all products of two features."""
    products, last = PolynomialFeatures(2, include_bias=False), ChosenRidge(_ALPHAS, inner)
    return make_pipeline(StandardScaler(), products, StandardScaler(), last)


def elastic_net(inner: Sequence[Rows] | int, seed: int) -> RegressorMixin:
    """Elastic net on standardised features and target, so that units don't matter."""
    net = ElasticNetCV(l1_ratio=0.5, alphas=30, cv=inner, max_iter=5000)
    return TransformedTargetRegressor(
        make_pipeline(StandardScaler(), net), transformer=StandardScaler()
    )


# Trees don't change under monotone maps of a feature, and so need no normalisation.


def forest(inner: Sequence[Rows] | int, seed: int) -> RegressorMixin:
    """Random forest."""
    return RandomForestRegressor(30, min_samples_leaf=10, max_samples=0.5, random_state=seed)


def boosting(inner: Sequence[Rows] | int, seed: int) -> RegressorMixin:
    """Gradient boosting on histograms."""
    return HistGradientBoostingRegressor(max_iter=100, early_stopping=False, random_state=seed)


def xgboost(inner: Sequence[Rows] | int, seed: int) -> RegressorMixin:
    """XGBoost's gradient boosting; HowfarError where the extra isn't installed."""
    if "xgboost" not in installed():
        raise HowfarError(
            "stacked model xgboost",
            found="no XGBoost in this installation",
            expected="the extra 'trees' of the package",
            do="Run `pip install 'howfar[trees]'`, or leave xgboost out of --models.",
        )
    from xgboost import XGBRegressor

    size = {"n_estimators": 100, "max_depth": 4, "learning_rate": 0.1}
    return XGBRegressor(**size, n_jobs=1, tree_method="hist", random_state=seed)


def stack(inner: Sequence[Rows] | int, seed: int) -> RegressorMixin:
    """Ridge on out-of-fold predictions of single models (Breiman 1996)."""
    boosted = "xgboost" if "xgboost" in installed() else "boosting"
    # A member that has folds of its own can't use those of the whole on a part of the rows.
    members = [(name, make(name, INNER_FOLDS, seed)) for name in ("ridge", "polynomial", boosted)]
    return StackingRegressor(members, RidgeCV(alphas=_ALPHAS), cv=inner, n_jobs=1)
