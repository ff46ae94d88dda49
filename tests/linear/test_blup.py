"""BLUP against ridge regression, GEMMA, and simulated people."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from helpers import cis_genotypes
from howfar.core.registry import LINEAR_MODELS
from howfar.linear import reml
from howfar.linear.blup import fit_blup


@pytest.fixture(scope="module")
def people() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dosages of 300 people at 200 variants, expression, true genetic part."""
    x = cis_genotypes.dosages(300, 200, seed=3)
    return x, *cis_genotypes.expression(x, 0.5, 60, seed=4)


@pytest.mark.parametrize("variants", [200, 90])
@pytest.mark.parametrize("count", [300, 150])
def test_ridge_of_scikit_learn_with_the_same_penalty(people, count, variants):
    x, y, _ = people
    x, y = x[:count, :variants], y[:count] + 3
    found = fit_blup(x, y, seed=1)
    assert found.status == "fitted"
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    ridge = Ridge(alpha=found.details["lambda"], solver="svd").fit(z, y)
    np.testing.assert_allclose(found.weights, ridge.coef_ / x.std(axis=0), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.predict(x), ridge.predict(z), rtol=1e-8)
    h2 = found.details["h2"]
    assert found.details["lambda"] == pytest.approx(variants * (1 - h2) / h2)


@pytest.mark.skipif(not shutil.which("gemma"), reason="GEMMA is not installed")
def test_gemma_ridge_on_standardised_dosages(people, tmp_path):
    x, y, _ = people
    z = (x - x[:200].mean(axis=0)) / x[:200].std(axis=0)
    cis_genotypes.write_bimbam(tmp_path, z[:200], y[:200])
    cis_genotypes.gemma(tmp_path, "-bslmm", "2")
    theirs = cis_genotypes.gemma_weights(tmp_path, z.shape[1])
    ours = fit_blup(z[:200], y[:200], seed=1).weights
    assert np.corrcoef(z[200:] @ theirs, z[200:] @ ours)[0, 1] > 0.999999
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())
    other = fit_blup(z[:200], y[:200] + 0.3 * np.random.default_rng(0).standard_normal(200), 1)
    assert np.abs(other.weights - theirs).max() > 1e-2 * np.abs(theirs).max()


def test_calibrated_for_new_people():
    """Over 120 genes, expression of 300 new people rises by 1 per 1 of prediction."""
    slopes, accuracy = [], []
    for seed in range(120):
        x = cis_genotypes.dosages(600, 60, seed)
        rng = np.random.default_rng(1000 + seed)
        z = cis_genotypes.scaled(x)
        genetic = z @ rng.standard_normal(z.shape[1]) * np.sqrt(0.4 / z.shape[1])
        y = genetic + rng.standard_normal(600) * np.sqrt(0.6)
        found = fit_blup(x[:300], y[:300], seed=1).predict(x[300:])
        slopes.append(np.polyfit(found, y[300:], 1)[0])
        accuracy.append(np.corrcoef(found, genetic[300:])[0, 1])
    error = np.std(slopes) / np.sqrt(len(slopes))
    assert error < 0.02 and abs(np.mean(slopes) - 1) < 4 * error
    assert np.mean(accuracy) > 0.8


def test_a_wrong_heritability_is_not_calibrated(people, monkeypatch):
    """The slope above can fail: with h2 taken as 0.95 predictions are too spread out."""
    x, y, _ = people
    estimate = reml.estimate
    right = fit_blup(x[:150], y[:150], seed=1).predict(x[150:])

    def wrong(basis, y):
        found = estimate(basis, y)
        return reml.Heritability(**(vars(found) | {"h2": 0.95}))

    monkeypatch.setattr(reml, "estimate", wrong)
    spread = fit_blup(x[:150], y[:150], seed=1).predict(x[150:])
    assert np.polyfit(spread, y[150:], 1)[0] < 0.8 * np.polyfit(right, y[150:], 1)[0]


def test_predictions_do_not_depend_on_which_allele_is_counted(people):
    x, y, _ = people
    flipped = x.copy()
    flipped[:, ::3] = 2 - x[:, ::3]
    ours, other = fit_blup(x, y, seed=1), fit_blup(flipped, y, seed=2)
    np.testing.assert_allclose(ours.predict(x), other.predict(flipped), atol=1e-9)
    np.testing.assert_allclose(ours.weights[::3], -other.weights[::3], atol=1e-9)


def test_variants_that_never_vary_weigh_nothing(people):
    x, y, _ = people
    more = np.column_stack([x, np.full(len(x), 2.0)])
    ours, other = fit_blup(x, y, seed=1), fit_blup(more, y, seed=1)
    assert other.weights[-1] == 0
    np.testing.assert_allclose(other.weights[:-1], ours.weights, rtol=1e-9, atol=1e-12)


def test_no_heritability_and_fusions_rule(people):
    x, _, _ = people
    rng = np.random.default_rng(5)
    noise = [rng.standard_normal(len(x)) for _ in range(12)]
    fits = [fit_blup(x, y, seed=1) for y in noise]
    below = [fit for fit in fits if fit.details["h2"] <= 0]
    assert below and all(fit.status == "no_heritability" for fit in below)
    assert all(not fit.weights.any() for fit in below)
    assert below[0].intercept == pytest.approx(
        next(y for y, f in zip(noise, fits, strict=True) if f is below[0]).mean()
    )
    above = next(i for i, fit in enumerate(fits) if fit.details["h2"] > 0)
    assert fits[above].status == "fitted"
    assert fit_blup(x, noise[above], 1, max_p=reml.FUSION_P).status == "no_heritability"


def test_statuses_and_registry(people):
    x, y, _ = people
    assert LINEAR_MODELS.load("blup") is fit_blup
    assert fit_blup(x, np.ones(len(x)), 1).status == "constant_expression"
    assert fit_blup(np.ones_like(x), y, 1).status == "no_variants"
    assert fit_blup(x[:5], y[:5], 1).status == "too_few_people"
    assert fit_blup(x, y, 1, max_p=reml.FUSION_P).status == "fitted"
