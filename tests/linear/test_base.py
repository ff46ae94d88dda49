"""The shared interface of the linear models."""

from __future__ import annotations

import numpy as np
import pytest

from howfar.core.errors import HowfarError
from howfar.core.registry import LINEAR_MODELS
from howfar.linear.base import Fit, fitter, null_fit, obstacle, standardise


@pytest.fixture
def data():
    rng = np.random.default_rng(3)
    x = rng.binomial(2, 0.3, (40, 6)).astype(float)
    x[:, 2] = 1.0
    return x, x[:, 0] * 2 + rng.normal(size=40) + 5


def test_effects_come_back_to_the_dosage_scale(data):
    x, y = data
    std = standardise(x, y)
    beta = np.linalg.lstsq(std.z, std.y, rcond=None)[0]
    fit = std.fit(beta, h2=0.5)
    design = np.c_[np.delete(x, 2, axis=1), np.ones(len(x))]
    expected = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    np.testing.assert_allclose(fit.predict(x), expected, rtol=1e-10)
    assert fit.weights[2] == 0 and fit.details == {"h2": 0.5}


def test_a_null_fit_predicts_the_training_mean(data):
    x, y = data
    fit = null_fit(x, y, "no_heritability")
    assert fit.status == "no_heritability"
    np.testing.assert_allclose(fit.predict(x), y.mean())


def test_obstacles_are_named(data):
    x, y = data
    assert obstacle(x, y) is None
    assert obstacle(x[:, 2:3], y) == "no_variants"
    assert obstacle(x[:, :0], y) == "no_variants"
    assert obstacle(x, np.full(40, 0.1)) == "constant_expression"
    assert obstacle(x[:9], y[:9]) == "too_few_people"


def test_missing_values_stop_the_work(data):
    x, y = data
    y = y.copy()
    y[3] = np.nan
    with pytest.raises(HowfarError, match="0 and 1 value missing"):
        obstacle(x, y)


def test_an_unknown_model_is_named():
    with pytest.raises(HowfarError, match="'ridge'"):
        fitter("ridge")


def test_every_model_has_a_label_and_a_fitter():
    assert all(entry.help and callable(entry.load()) for entry in LINEAR_MODELS.values())
    assert Fit(np.zeros(1), 0.0).status == "fitted"
