"""Regressors that are stacked on predictions, each with its own normalisation.

A builder takes (train, test) rows by which penalties are chosen and members of a stack are fitted
out of fold, and a seed. The rows hold out the same kind of unit as the split that judges the model:
penalties chosen on leaked rows would be too small for rows that don't leak.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    StackingRegressor,
)
from sklearn.linear_model import ElasticNetCV, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, QuantileTransformer, StandardScaler

from howfar.core.errors import HowfarError
from howfar.core.extras import is_installed
from howfar.core.registry import STACKED
from howfar.stacking.pairs import INNER_FOLDS, Rows

_ALPHAS = np.logspace(-2, 4, 7)


def installed() -> list[str]:
    """List the names of `STACKED` that can be fitted here: XGBoost is an extra of the package."""
    lacking = not is_installed("xgboost")
    return [name for name in STACKED if not (lacking and name == "xgboost")]


def make(name: str, inner: Sequence[Rows] | int, seed: int = 1) -> RegressorMixin:
    """Build the regressor of that name; HowfarError for an unknown one."""
    return STACKED.load(name, "Correct --models.")(inner, seed)


def ridge(inner: Sequence[Rows] | int, seed: int) -> RegressorMixin:
    """Ridge on standardised features."""
    return make_pipeline(StandardScaler(), RidgeCV(alphas=_ALPHAS, cv=inner))


def ridge_quantile(inner: Sequence[Rows] | int, seed: int) -> RegressorMixin:
    """Ridge on normal quantiles of the features."""
    normal = QuantileTransformer(n_quantiles=200, output_distribution="normal", random_state=seed)
    return make_pipeline(normal, RidgeCV(alphas=_ALPHAS, cv=inner))


def polynomial(inner: Sequence[Rows] | int, seed: int) -> RegressorMixin:
    """Ridge on all products of two features."""
    products, last = PolynomialFeatures(2, include_bias=False), RidgeCV(alphas=_ALPHAS, cv=inner)
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
