"""Elastic net and lasso against scikit-learn."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import ElasticNetCV, enet_path

from howfar.core.errors import HowfarError
from howfar.linear import elastic_net
from howfar.linear import penalty_path as _descent
from howfar.linear.elastic_net import alpha_grid, cross_validated, fit_enet
from howfar.linear.folds import inner_folds
from howfar.linear.penalty_path import _enter, _room


def linked(rng, n, p, constant=True):
    """Dosages with linkage: neighbours copied, now and then changed or turned round."""
    haplotypes = rng.random((2, n, p)) < rng.uniform(0.05, 0.5)
    for j in range(1, p):
        if rng.random() < 0.8:
            keep = rng.random((2, n)) < rng.choice([0.0, 0.02, 0.2])
            haplotypes[..., j] = np.where(keep, haplotypes[..., j], haplotypes[..., j - 1])
        if rng.random() < 0.2:
            haplotypes[..., j] = ~haplotypes[..., j]
    x = haplotypes.sum(axis=0).astype(float)
    if constant and p > 2:
        x[:, 2] = 1.0
    return x


def expressed(rng, x):
    causal = rng.choice(x.shape[1], min(3, x.shape[1]), replace=False)
    return x[:, causal] @ rng.normal(size=len(causal)) + rng.normal(size=len(x)) + 3


@settings(max_examples=40)
@given(
    st.integers(0, 10_000), st.integers(4, 60), st.integers(1, 90), st.sampled_from([0.1, 0.5, 0.9])
)
def test_elastic_net_is_scikit_learns(seed, n, p, l1_ratio):
    rng = np.random.default_rng(seed)
    x = linked(rng, n, p)
    y = expressed(rng, x)
    alphas = alpha_grid(x, y, l1_ratio, 20, 1e-2)
    mine = elastic_net.solve(x, y, l1_ratio, alphas, 1e-12)
    centred, level = x - x.mean(axis=0), y - y.mean()
    theirs = enet_path(
        np.asfortranarray(centred), level, l1_ratio=l1_ratio, alphas=alphas, tol=1e-12,
        max_iter=100_000,
    )[1].T  # fmt: skip
    scale = np.abs(theirs).max() + 1e-9
    np.testing.assert_allclose(mine.coefs, theirs, atol=2e-4 * scale)
    np.testing.assert_allclose(
        mine.predict(x), theirs @ centred.T + y.mean(), atol=1e-5 * (level.std() + 1e-9)
    )
    assert (mine.gaps <= 1e-12).all()


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(4, 60), st.integers(1, 90))
def test_lasso_predicts_as_scikit_learns(seed, n, p):
    rng = np.random.default_rng(seed)
    x = linked(rng, n, p)
    y = expressed(rng, x)
    alphas = alpha_grid(x, y, 1.0, 20, 1e-2)
    mine = elastic_net.solve(x, y, 1.0, alphas, 1e-9)
    centred, level = x - x.mean(axis=0), y - y.mean()
    theirs = enet_path(
        np.asfortranarray(centred), level, l1_ratio=1.0, alphas=alphas, tol=1e-10, max_iter=100_000
    )[1].T
    np.testing.assert_allclose(
        mine.predict(x), theirs @ centred.T + y.mean(), atol=3e-4 * (level.std() + 1e-9)
    )


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    x = linked(rng, 80, 60)
    return x, expressed(rng, x)


def test_the_penalty_is_chosen_as_scikit_learn_chooses_it(data):
    x, y = data
    varies = x.std(axis=0) > 0
    z = np.zeros_like(x)
    z[:, varies] = (x[:, varies] - x[:, varies].mean(axis=0)) / x[:, varies].std(axis=0)
    fold = inner_folds(z, y, 5, 7)
    pairs = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(5)]
    theirs = ElasticNetCV(l1_ratio=0.5, cv=pairs, tol=1e-8, max_iter=20_000, alphas=100).fit(
        z, y / y.std()
    )
    mine = fit_enet(x, y, seed=7)
    assert mine.details["alpha"] == pytest.approx(theirs.alpha_, rel=1e-9)
    expected = y.std() * theirs.predict(z)
    np.testing.assert_allclose(mine.predict(x), expected, atol=1e-3 * y.std())
    errors = cross_validated(z, y / y.std(), 0.5, theirs.alphas_, fold)
    np.testing.assert_allclose(errors, theirs.mse_path_, rtol=1e-3)


def test_one_standard_error_takes_a_larger_penalty(data):
    x, y = data
    least, simpler = (fit_enet(x, y, 1, rule=r).details for r in ("min", "1se"))
    assert simpler["alpha"] > least["alpha"]
    assert simpler["n_selected"] < least["n_selected"]
    with pytest.raises(HowfarError, match="'2se'"):
        fit_enet(x, y, 1, rule="2se")


def test_equal_variants_share_their_weight(data):
    x, y = data
    both = np.c_[x, 2 - x[:, 5], x[:, 5]]
    alphas = alpha_grid(both, y, 0.5, 15, 1e-2)
    coefs = elastic_net.solve(both, y, 0.5, alphas).coefs
    np.testing.assert_allclose(coefs[:, -1], coefs[:, 5])
    np.testing.assert_allclose(coefs[:, -2], -coefs[:, 5])


def test_lasso_gives_equal_variants_weight_once(data):
    x, y = data
    coefs = elastic_net.solve(np.c_[x, x], y, 1.0, alpha_grid(x, y, 1.0, 15, 1e-2)).coefs
    assert coefs[:, :60].any() and not coefs[:, 60:].any()


def test_lasso_of_variants_that_add_up_to_others_is_scikit_learns():
    """More variants than people, many a sum of others: the support is exchanged on the way."""
    rng = np.random.default_rng(2)
    x = rng.integers(0, 3, (30, 12)).astype(float)
    x = np.c_[x, x[:, :11] + x[:, 1:], x[:, :10] - x[:, 2:], rng.integers(0, 3, (30, 25))]
    y = expressed(rng, x)
    alphas = alpha_grid(x, y, 1.0, 60)
    mine = elastic_net.solve(x, y, 1.0, alphas)
    centred, level = x - x.mean(axis=0), y - y.mean()
    theirs = enet_path(
        np.asfortranarray(centred), level, l1_ratio=1.0, alphas=alphas, tol=1e-12, max_iter=10**6
    )[1].T
    assert mine.gaps.max() < 1e-12
    np.testing.assert_allclose(mine.predict(x), theirs @ centred.T + y.mean(), atol=1e-5 * y.std())
    penalised, least = (np.abs(coefs).sum(axis=1) for coefs in (mine.coefs, theirs))
    np.testing.assert_allclose(penalised, least, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 2.0])
def test_sweeps_end_where_the_support_does(data, ridge):
    """The three ways to a minimum: one variable at a time, guessed signs, sweeps alone."""
    x = data[0][:, :20] + np.random.default_rng(3).normal(scale=0.1, size=(80, 20))  # no equal ones
    x, y, found = x - x.mean(axis=0), data[1] - data[1].mean(), []
    for way in ("_one_by_one", "_primal_dual", "_sweep"):
        work = _room(20, len(y))
        for row, z in enumerate(np.ascontiguousarray(x.T)):
            _enter(work, row, row, z, z @ y, z @ y, 1.0)
        for _ in range(5_000 if way == "_sweep" else 1):
            getattr(_descent, way)(work, 20, 8.0, ridge)
        found.append(work.w)
    assert 2 < np.count_nonzero(found[0]) < 20
    np.testing.assert_allclose(found[0], found[2], atol=1e-7)
    np.testing.assert_allclose(found[1], found[2], atol=1e-7)


def test_the_first_penalty_selects_nothing(data):
    x, y = data
    alphas = alpha_grid(x, y, 0.5)
    coefs = elastic_net.solve(x, y, 0.5, alphas[:2]).coefs
    assert not coefs[0].any() and coefs[1].any()


def test_a_wrong_penalty_is_noticed(data):
    """The comparison with scikit-learn can fail: a penalty one percent off is another solution."""
    x, y = data
    alphas = alpha_grid(x, y, 0.5, 10, 1e-2)
    one, other = (elastic_net.solve(x, y, 0.5, a, 1e-12).coefs for a in (alphas, alphas * 1.01))
    assert np.abs(one - other).max() > 2e-4 * np.abs(one).max()


@pytest.mark.parametrize("l1_ratio", [0.0, 1.5])
def test_a_ratio_outside_its_range_is_refused(data, l1_ratio):
    with pytest.raises(HowfarError, match="l1_ratio"):
        elastic_net.solve(*data, l1_ratio, np.array([1.0]))


def test_works_where_no_folder_can_be_written(tmp_path):
    """Compiled code that can't be kept is made again."""
    code = (  # numba looks for a folder in these places
        "import numba.core.caching as c\n"
        "c.CacheImpl._locator_classes = []\n"
        "from howfar.linear.compiled import compiled\n"
        "print(compiled(lambda a: a + 1)(2))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.stdout.strip() == "3", done.stderr
