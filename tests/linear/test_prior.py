"""BLUP with a prior: BLUP itself where nothing is told, better where the right variants are."""

import numpy as np
import pytest

from howfar.linear.base import fitter
from howfar.linear.prior import fit_prior


@pytest.fixture(scope="module")
def gene():
    rng = np.random.default_rng(4)
    x = rng.binomial(2, rng.uniform(0.1, 0.5, 40), (400, 40)).astype(float)
    effects = np.zeros(40)
    effects[[3, 17, 30]] = 0.3, -0.4, 0.25
    value = x @ effects
    return x, value, value + rng.normal(0, 2 * value.std(), 400), effects


@pytest.mark.parametrize("told", [np.zeros(40), np.r_[np.zeros(40)]])
def test_without_effects_it_is_blup(gene, told):
    x, _, y, _ = gene
    found, blup = fit_prior(x, y, 1, told), fitter("blup")(x, y, 1)
    np.testing.assert_allclose(found.weights, blup.weights, rtol=1e-8, atol=1e-12)
    assert found.details["alpha"] == 0


def test_weights_are_the_mixed_models(gene):
    """Against the equations: K (K + (1 - h2) / h2)^-1 y on the training people."""
    x, _, y, effects = gene
    fit = fit_prior(x, y, 1, effects)
    h2, alpha = fit.details["h2"], fit.details["alpha"]
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    told = (x - x.mean(axis=0)) * effects
    told = told @ told.T
    kernel = alpha * told / np.trace(told) * len(x) + (1 - alpha) * z @ z.T / 40
    expected = kernel @ np.linalg.solve(kernel + (1 - h2) / h2 * np.eye(len(x)), y - y.mean())
    np.testing.assert_allclose(fit.predict(x), y.mean() + expected, atol=1e-8)


def test_which_variants_matter_helps_and_their_signs_do_not(gene):
    x, value, y, effects = gene
    half = np.arange(400) < 200
    flipped = effects * np.where(np.arange(40) % 2, 1, -1)
    fits = [fit_prior(x[half], y[half], 1, e) for e in (effects, flipped)]
    np.testing.assert_array_equal(fits[0].weights, fits[1].weights)
    plain = fitter("blup")(x[half], y[half], 1)
    r = [np.corrcoef(f.predict(x[~half]), value[~half])[0, 1] for f in (fits[0], plain)]
    assert fits[0].details["alpha"] == 0.9 and r[0] > r[1] + 0.1


def test_a_gene_without_variants_or_heritability(gene):
    x, _, y, effects = gene
    assert fit_prior(x[:, :0], y, 1, effects[:0]).status == "no_variants"
    noise = np.random.default_rng(11).normal(size=400)
    fit = fit_prior(x, noise - x @ np.linalg.lstsq(x, noise, rcond=None)[0], 1, effects)
    assert fit.status == "no_heritability" and not fit.weights.any()
