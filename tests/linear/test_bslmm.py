"""BSLMM against the posterior by numerical integration, draws from the prior, and GEMMA."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers import cis_genotypes
from howfar.core.registry import LINEAR_MODELS
from howfar.linear import bslmm, bslmm_chain, reml
from howfar.linear.base import standardise
from howfar.linear.blup import fit_blup
from howfar.linear.bslmm import fit_bslmm
from howfar.linear.bslmm_chain import RECORD


def integrated(x: np.ndarray, y: np.ndarray, nodes: int = 16) -> dict[str, np.ndarray]:
    """Posterior means by quadrature over h, rho, log pi and all sets of variants, dense algebra.

    With t(tau) = 1 / tau and the mean integrated out, p(y | rest) is |V|^-1/2 (y'V^-1 y)^-(n-1)/2.
    """
    data = standardise(x, y)
    z, n, p = data.z, *data.z.shape
    nodes, weight = np.polynomial.legendre.leggauss(nodes)
    unit, weight = (nodes + 1) / 2, weight / 2
    h, rho, t = (a.ravel() for a in np.meshgrid(unit, unit, unit, indexing="ij"))
    w = np.prod(np.meshgrid(weight, weight, weight, indexing="ij"), axis=0).ravel()
    log_pi = -np.log(p) * (1 - t)
    sparse, poly = h * rho / ((1 - h) * p * np.exp(log_pi)), h * (1 - rho) / (1 - h)
    logs, effects, sizes = [], [], []
    for gamma in itertools.product([0, 1], repeat=p):
        prior = poly[:, None] / p + sparse[:, None] * np.array(gamma)
        v = np.eye(n) + np.einsum("ij,kj,lj->kil", z, prior, z, optimize=True)
        solved = np.linalg.solve(v, np.broadcast_to(data.y[:, None], (len(h), n, 1)))[..., 0]
        log = sum(gamma) * log_pi + (p - sum(gamma)) * np.log(-np.expm1(log_pi)) + np.log(w)
        log -= 0.5 * (np.linalg.slogdet(v)[1] + (n - 1) * np.log(solved @ data.y))
        logs.append(log)
        effects.append(prior * (solved @ z))
        sizes.append(np.full(len(h), sum(gamma)))
    log = np.concatenate(logs)
    share = np.exp(log - log.max())
    share /= share.sum()
    hyper = {"h": h, "rho": rho, "log_pi": log_pi}
    found = {name: share @ np.tile(value, 2**p) for name, value in hyper.items()}
    found["n_selected"] = share @ np.concatenate(sizes)
    return found | {"weights": share @ np.vstack(effects) * data.y_sd / data.sd}


@pytest.fixture
def long(monkeypatch):
    """Chains that stop only at their last block."""
    monkeypatch.setattr(bslmm, "_ENOUGH", {"rhat": 0.0, "ess": np.inf, "mc_error": 0.0})
    monkeypatch.setattr(bslmm, "_MOST_BLOCKS", 41)


@pytest.mark.parametrize("effect", [0.4, 1.2])
def test_posterior_means_by_numerical_integration(long, effect):
    rng = np.random.default_rng(3)
    x = cis_genotypes.dosages(20, 3, seed=2, correlation=0.7)
    y = effect * x[:, 1] + rng.standard_normal(20)
    found, exact = fit_bslmm(x, y, seed=1), integrated(x, y)
    scale = np.abs(exact["weights"]).max()
    np.testing.assert_allclose(found.weights, exact["weights"], atol=0.02 * scale)
    for name, tolerance in {"h": 0.01, "rho": 0.01, "log_pi": 0.02, "n_selected": 0.04}.items():
        assert found.details[name] == pytest.approx(exact[name], abs=tolerance), name
    # The check can fail: one person's expression moved by one SD is seen.
    y[0] += y.std()
    other = integrated(x, y)
    assert np.abs(found.weights - other["weights"]).max() > 0.04 * scale


def rank_tests(noise: float, genes: int = 150) -> dict[str, float]:
    """p of uniform ranks of parameters, drawn from their prior, among the draws of their posterior.

    Talts et al. 2018 (arXiv 1804.06788). noise: SD of the noise in units of the model's.
    """
    x = cis_genotypes.dosages(40, 25, seed=5)
    z = cis_genotypes.scaled(x)
    p, basis, rng = z.shape[1], reml.spectrum(z), np.random.default_rng(3)
    ranks = []
    for seed in range(genes):
        h, rho, log_pi = *rng.random(2), -np.log(p) * rng.random()
        large = rng.random(p) < np.exp(log_pi)
        odds = h / (1 - h)
        b = large * rng.standard_normal(p) * np.sqrt(odds * rho / (p * np.exp(log_pi)))
        sparse, poly = z @ b, z @ rng.standard_normal(p) * np.sqrt(odds * (1 - rho) / p)
        y = sparse + poly + noise * rng.standard_normal(40)
        chain = bslmm.Chain(standardise(x, y), basis, 0.5, [seed, seed % 2])
        chain.advance(1000)
        genetic = (sparse + poly).var()
        truth = {"h": h, "rho": rho, "log_pi": log_pi, "pve": genetic / (genetic + 1)}
        draws = chain.record[::20]
        ranks.append([(draws[:, RECORD.index(k)] < v).mean() for k, v in truth.items()])
    columns = np.array(ranks).T + rng.random((4, genes)) / 51
    return {k: stats.kstest(c, "uniform").pvalue for k, c in zip(truth, columns, strict=True)}


def test_parameters_from_the_prior_rank_uniformly_in_their_posterior():
    assert min(rank_tests(noise=1.0).values()) > 1e-3
    # The check can fail: noise of another size than the model's.
    assert rank_tests(noise=2.0)["pve"] < 1e-6


def test_an_effect_moves_to_each_variant_as_often_as_its_density_says():
    rng, (sparse, poly, tau) = np.random.default_rng(4), (0.3, 0.5, 1.7)
    z = cis_genotypes.scaled(cis_genotypes.dosages(30, 6, seed=2, correlation=0.8))
    y = 0.4 * z[:, 2] + rng.standard_normal(30)
    y, k = y - y.mean(), z @ z.T / 6
    of_place = [np.eye(30) + poly * k + sparse * np.outer(column, column) for column in z.T]
    density = [stats.multivariate_normal(cov=v / tau).logpdf(y) for v in of_place]
    expected = np.exp(density - np.max(density)) / np.exp(density - np.max(density)).sum()
    basis = reml.spectrum(z)
    along, rest = basis.project(y)
    data = bslmm_chain.Data(z.T @ basis.vectors, basis.values, along, rest, 29.0, 6)
    effects = np.eye(6)[0] * 0.1
    state = bslmm_chain.State(effects, along - effects @ data.x, np.zeros(3), np.array([tau, 1.0]))
    weights, count = 1 / (poly * basis.values + 1), np.zeros(6)
    weighted = weights * state.residual
    for _ in range(20_000):
        bslmm_chain._relocate(data, state, rng, weights, weighted, sparse)
        count += state.effects != 0
    np.testing.assert_allclose(state.residual, along - state.effects @ data.x, atol=1e-9)
    assert count.sum() == 20_000 and stats.chisquare(count, expected * 20_000).pvalue > 1e-3


def made(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dosages of 300 people at 120 variants, expression, its genetic part (a third of it)."""
    x = cis_genotypes.dosages(300, 120, seed=21)
    z, rng = cis_genotypes.scaled(x), np.random.default_rng(5)
    effects = rng.standard_normal(120) / np.sqrt(120)
    if name == "sparse":
        effects = np.where(np.isin(np.arange(120), [30, 80]), 0.7, 0.0)
    genetic = z @ effects
    return x, genetic + np.sqrt(2) * genetic.std() * rng.standard_normal(300), genetic


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("gemma"), reason="GEMMA is not installed")
@pytest.mark.parametrize("name", ["sparse", "polygenic"])
def test_gemma_predicts_the_same(name, tmp_path):
    x, y, _ = made(name)
    z = (x - x[:200].mean(axis=0)) / x[:200].std(axis=0)
    ours = fit_bslmm(z[:200], y[:200], seed=1)
    data = standardise(z[:200], y[:200])
    chains = bslmm.sample(data, reml.spectrum(data.z), 0.4, seed=1)
    parts = np.concatenate([chain.record[:, RECORD.index("pve_parts")] for chain in chains])
    runs = [gemma_bslmm(tmp_path / str(seed), z[:200], y[:200], seed) for seed in (1, 2)]
    new = [z[200:] @ weights for weights, _ in runs]
    theirs = np.corrcoef(*new)[0, 1]
    for predicted, (_, hyper) in zip(new, runs, strict=True):
        r = np.corrcoef(predicted, z[200:] @ ours.weights)[0, 1]
        assert r > min(0.995, theirs)
        slope = np.polyfit(predicted, z[200:] @ ours.weights, 1)[0]
        assert slope == pytest.approx(1, abs=0.08)
        assert parts.mean() == pytest.approx(hyper["pve"].mean(), abs=0.02)
        assert parts.std() == pytest.approx(hyper["pve"].std(), rel=0.2)


def gemma_bslmm(
    folder: Path, z: np.ndarray, y: np.ndarray, seed: int
) -> tuple[np.ndarray, pd.DataFrame]:
    folder.mkdir()
    cis_genotypes.write_bimbam(folder, z, y)
    steps = ("-w", "5000", "-s", "30000", "-seed", str(seed))
    cis_genotypes.gemma(folder, "-bslmm", "1", *steps)
    hyper = pd.read_csv(folder / "out.hyp.txt", sep="\t", index_col=False)
    return cis_genotypes.gemma_weights(folder, z.shape[1]), hyper.rename(columns=str.strip)


def test_few_large_effects_are_found_and_beat_ridge():
    x, y, genetic = made("sparse")
    found, ridge = fit_bslmm(x[:200], y[:200], 1), fit_blup(x[:200], y[:200], 1)
    r = [np.corrcoef(fit.predict(x[200:]), genetic[200:])[0, 1] for fit in (found, ridge)]
    assert found.status == "fitted" and r[0] > 0.9 > r[1]
    assert found.details["pge"] > 0.6 and found.details["n_selected"] < 10


def test_many_small_effects_are_predicted_as_by_ridge():
    x, y, genetic = made("polygenic")
    found, ridge = fit_bslmm(x[:200], y[:200], 1), fit_blup(x[:200], y[:200], 1)
    assert np.corrcoef(found.predict(x[200:]), ridge.predict(x[200:]))[0, 1] > 0.97
    assert found.details["h2"] == pytest.approx(ridge.details["h2"], abs=2 * ridge.details["h2_se"])


def test_proxies_in_complete_linkage_share_an_effect():
    x, y, _ = made("sparse")
    top = int(np.abs(fit_bslmm(x, y, 1).weights).argmax())
    x = np.column_stack([x, x[:, top], 2 - x[:, top]])
    found = fit_bslmm(x, y, seed=1)
    same, other = found.weights[-2] / found.weights[top], -found.weights[-1] / found.weights[top]
    assert 0.6 < same < 1.6 and 0.6 < other < 1.6


def test_seeds_make_it_deterministic_and_agree_within_the_stated_error():
    x, y, _ = made("sparse")
    first, again, other = (fit_bslmm(x, y, seed) for seed in (1, 1, 2))
    assert (first.weights == again.weights).all() and first.details == again.details
    apart = (first.predict(x) - other.predict(x)).std() / y.std()
    assert 0 < apart < 4 * (first.details["mc_error"] + other.details["mc_error"])


def test_shuffled_people_leave_nothing_to_predict():
    x, y, _ = made("sparse")
    found = fit_bslmm(x, np.random.default_rng(1).permutation(y), seed=1)
    assert found.details["h2"] < 0.15 < fit_bslmm(x, y, seed=1).details["h2"]
    assert found.predict(x).std() < 0.2 * y.std()


def test_chains_that_disagree_give_no_weights(monkeypatch):
    x, y, _ = made("sparse")
    monkeypatch.setattr(bslmm, "_BLOCK", 4)
    monkeypatch.setattr(bslmm, "_MOST_BLOCKS", 3)
    monkeypatch.setattr(bslmm, "_LIMITS", {"rhat": 9.0, "mc_error": 1e-4})
    found = fit_bslmm(x, y, seed=1)
    assert found.status == "not_converged" and not found.weights.any()
    assert found.intercept == pytest.approx(y.mean()) and found.details["mc_error"] > 1e-4


def test_units_of_expression_and_expression_without_noise():
    x, y, _ = made("sparse")
    found, other = fit_bslmm(x, y, seed=1), fit_bslmm(x, 1e6 * y + 1e8, seed=1)
    np.testing.assert_allclose(other.weights / 1e6, found.weights, atol=0.02)
    exact = fit_bslmm(x, 2 * x[:, 3], seed=1)
    np.testing.assert_allclose(exact.predict(x), 2 * x[:, 3], atol=1e-3)


def test_statuses_and_fusions_rule():
    x, y, _ = made("sparse")
    assert LINEAR_MODELS.load("bslmm") is fit_bslmm
    assert fit_bslmm(x, np.ones(len(x)), 1).status == "constant_expression"
    assert fit_bslmm(np.ones_like(x), y, 1).status == "no_variants"
    assert fit_bslmm(x[:5], y[:5], 1).status == "too_few_people"
    shuffled = np.random.default_rng(1).permutation(y)
    assert fit_bslmm(x, shuffled, 1, max_p=reml.FUSION_P).status == "no_heritability"


def test_a_single_variant(long):
    rng = np.random.default_rng(1)
    x = rng.integers(0, 3, (200, 1)).astype(float)
    y = 0.8 * x[:, 0] + rng.standard_normal(200)
    assert fit_bslmm(x, y, 1).weights[0] == pytest.approx(np.polyfit(x[:, 0], y, 1)[0], rel=0.05)


def test_effective_draws_and_rhat_of_known_chains():
    rng, n, keep = np.random.default_rng(2), 20_000, 0.8
    noise = rng.standard_normal((2, n))
    chains = np.empty((2, n))
    chains[:, 0] = noise[:, 0]
    for t in range(1, n):
        chains[:, t] = keep * chains[:, t - 1] + np.sqrt(1 - keep**2) * noise[:, t]
    worth = 2 * n * (1 - keep) / (1 + keep)
    assert bslmm.effective_draws(chains) == pytest.approx(worth, rel=0.15)
    assert bslmm.effective_draws(noise) > 1.6 * n and bslmm.split_rhat(noise) < 1.001
    apart = noise + np.array([[0.0], [1.0]])
    assert bslmm.split_rhat(apart) > 1.1 and bslmm.effective_draws(apart) < 0.01 * n
