"""Linear models don't depend on what can't matter: units of expression, alleles, orders."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import cis_genotypes
from howfar.core.registry import LINEAR_MODELS
from howfar.eqtl.lead import minor_frequency
from howfar.linear.base import Fit, fitter, obstacle

_SAMPLED = "bslmm"  # a Markov chain, whose rounding makes it another one
EXACT = sorted(set(LINEAR_MODELS) - {_SAMPLED})


@cache
def gene(seed: int, people: int = 50, variants: int = 20, repeats: bool = False):
    """Dosages in linkage, and expression that two of them move; repeats: with equal variants."""
    rng = np.random.default_rng(seed)
    x = cis_genotypes.dosages(people, variants, seed=seed, correlation=0.8)
    _, first = np.unique(np.abs(x - x[0]), axis=1, return_index=True)
    x = x[:, np.sort(first)]
    if repeats:
        x = np.c_[x, x[:, :8], 2 - x[:, 3:12]]
    causal = rng.choice(x.shape[1], 2, replace=False)
    return x, 5 + x[:, causal] @ [1.5, -1.0] + rng.normal(size=people)


def told_apart(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum the weights of variants that nobody's genotype tells apart, at the first of each."""
    centred = x - x.mean(axis=0)
    r = centred.T @ centred / np.outer(centred.std(axis=0), centred.std(axis=0)) / len(x)
    group = np.argmax(np.abs(r) > 1 - 1e-9, axis=1)
    summed = np.zeros(len(weights))
    np.add.at(summed, group, weights * np.sign(r[np.arange(len(group)), group]))
    return summed


@cache
def fitted(model: str, seed: int, repeats: bool) -> Fit:
    return fitter(model)(*gene(seed, repeats=repeats), 7)


@settings(max_examples=10)
@given(
    st.integers(0, 3),
    st.sampled_from([1e-12, 1e-3, 1 / 3, 2.0**-20, 100.0, 1e9]),
    st.sampled_from([-50.0, 0.0, 7.3]),
    st.integers(0, 10_000),
    st.booleans(),
)
def test_weights_follow_units_alleles_and_orders(seed, scale, shift, draw, repeats):
    x, y = gene(seed, repeats=repeats)
    rng = np.random.default_rng(draw)
    people, variants = rng.permutation(len(x)), rng.permutation(x.shape[1])
    flipped = rng.random(x.shape[1]) < 0.5
    other_x = np.where(flipped, 2 - x, x)[np.ix_(people, variants)]
    other_y = (scale * (y + shift))[people]
    for model in EXACT:
        one, other = fitted(model, seed, repeats), fitter(model)(other_x, other_y, 7)
        assert one.status == other.status, model
        back = np.empty_like(other.weights)
        back[variants] = other.weights
        expected, found = one.weights, np.where(flipped, -back, back) / scale
        if repeats:  # of equal variants, some models take the first
            expected, found = told_apart(x, expected), told_apart(x, found)
        np.testing.assert_allclose(
            found, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max(), err_msg=model
        )
        np.testing.assert_allclose(
            other.predict(other_x) / scale - shift, one.predict(x)[people], rtol=1e-6, err_msg=model
        )


def test_a_sampler_follows_within_its_own_error():
    x, y = gene(1, 30, 8)
    one = fitter(_SAMPLED)(x, y, 7)
    doubled = fitter(_SAMPLED)(x, y * 2.0**-20, 7)  # no digit changes, so the chain is the same
    np.testing.assert_allclose(doubled.weights * 2.0**20, one.weights, rtol=1e-9)
    order = np.random.default_rng(2).permutation(len(x))
    other = fitter(_SAMPLED)(2 - x[order][:, ::-1], 100 * y[order] - 3, 7)
    apart = (other.predict(2 - x[:, ::-1]) + 3) / 100 - one.predict(x)
    error = np.hypot(one.details["mc_error"], other.details["mc_error"])
    assert np.sqrt(np.mean(apart**2)) / y.std() < 4 * error < 0.1


def test_expression_is_constant_in_whatever_units():
    x, y = gene(1)
    assert obstacle(x, y * 1e-15) is None and obstacle(x, y * 1e15) is None
    level = np.full(len(y), 0.1)
    for constant in (level, level * 1e-15, level * 1e15, level * 0):
        assert obstacle(x, constant) == "constant_expression"


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_a_variant_is_as_rare_by_either_allele(share):
    x = np.zeros((20, 1))
    x[: round(20 * share)] = 2
    assert minor_frequency(x) == minor_frequency(2 - x) == share
