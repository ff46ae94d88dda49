"""The regressors that are stacked."""

from __future__ import annotations

import importlib.util

import numpy as np

from howfar.core.errors import HowfarError
from howfar.stacking.pairs import _INNER

#: Models by name and what figures call them, in the order in which they are shown.
MODELS = {
    "ridge": "Ridge",
    "ridge_quantile": "Ridge on quantiles",
    "polynomial": "Polynomial (degree 2)",
    "elastic_net": "Elastic net",
    "forest": "Random forest",
    "boosting": "Gradient boosting",
    "xgboost": "XGBoost",
    "stack": "Stack of ridge, polynomial and boosting",
}


_ALPHAS = np.logspace(-2, 4, 7)


def installed() -> list[str]:
    """Names of `MODELS` that can be fitted here: XGBoost is an extra of the package."""
    lacking = importlib.util.find_spec("xgboost") is None
    return [name for name in MODELS if not (lacking and name == "xgboost")]


def make(name: str, inner: list, seed: int = 1):
    """A regressor of scikit-learn's kind, normalisation included.

    inner: (train, test) rows by which penalties are chosen and stacked models are fitted out of
    fold; they hold out the same kind of thing as the split that judges the model.
    """
    if name not in MODELS:
        raise HowfarError(
            "name of a stacked model", found=repr(name), expected=f"one of {', '.join(MODELS)}",
            do="Correct --models.",
        )  # fmt: skip
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import QuantileTransformer, StandardScaler

    if name in _TREES:
        return _TREES[name](seed)  # trees don't change under monotone maps of a feature
    if name == "stack":
        return _stacked(inner, seed)
    normal = StandardScaler()
    if name == "ridge_quantile":
        normal = QuantileTransformer(
            n_quantiles=200, output_distribution="normal", random_state=seed
        )
    return make_pipeline(normal, *_linear(name, inner))


def _linear(name: str, inner: list) -> list:
    from sklearn.linear_model import ElasticNetCV, RidgeCV
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    if name == "elastic_net":
        return [ElasticNetCV(l1_ratio=0.5, alphas=30, cv=inner, max_iter=5000)]
    ridge = RidgeCV(alphas=_ALPHAS, cv=inner)
    if name == "polynomial":
        return [PolynomialFeatures(2, include_bias=False), StandardScaler(), ridge]
    return [ridge]


def _forest(seed: int):
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(30, min_samples_leaf=10, max_samples=0.5, random_state=seed)


def _boosting(seed: int):
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(max_iter=100, early_stopping=False, random_state=seed)


def _xgboost(seed: int):
    if importlib.util.find_spec("xgboost") is None:
        raise HowfarError(
            "stacked model xgboost",
            found="no XGBoost in this installation",
            expected="the extra 'trees' of the package",
            do="Run `pip install 'howfar[trees]'`, or leave xgboost out of --models.",
        )
    from xgboost import XGBRegressor

    return XGBRegressor(n_estimators=100, max_depth=4, learning_rate=0.1, n_jobs=1,
                        tree_method="hist", random_state=seed)  # fmt: skip


_MEMBERS = ("ridge", "polynomial")


_TREES = {"forest": _forest, "boosting": _boosting, "xgboost": _xgboost}


def _stacked(inner: list, seed: int):
    """Ridge on out-of-fold predictions of the single models (Breiman 1996), none negative."""
    from sklearn.ensemble import StackingRegressor
    from sklearn.linear_model import RidgeCV

    members = [*_MEMBERS, installed()[-2]]  # the last single model: XGBoost, or what stands in
    # A member that has folds of its own can't use those of the whole on a part of the rows.
    single = [(name, make(name, _INNER, seed)) for name in members]
    return StackingRegressor(single, RidgeCV(alphas=_ALPHAS), cv=inner, n_jobs=1)
