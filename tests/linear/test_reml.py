"""Heritability by REML against a dense likelihood, mixed models of others, and simulated truth."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api
from scipy import optimize, stats

from helpers import cis_genotypes
from howfar.core.errors import HowfarError
from howfar.linear import reml

PEOPLE = 120


def dense_log_likelihood(variances: np.ndarray, k: np.ndarray, w: np.ndarray, y: np.ndarray):
    """Restricted log-likelihood as textbooks write it, with inverses and determinants."""
    v = variances[0] * k + variances[1] * np.eye(len(y))
    sign, determinant = np.linalg.slogdet(v)
    if sign <= 0 or np.linalg.eigvalsh(v)[0] <= 0:
        return -np.inf
    inverse = np.linalg.inv(v)
    small = w.T @ inverse @ w
    p = inverse - inverse @ w @ np.linalg.solve(small, w.T @ inverse)
    fixed = np.linalg.slogdet(small)[1] - np.linalg.slogdet(w.T @ w)[1]
    constant = (len(y) - w.shape[1]) * np.log(2 * np.pi)
    return -0.5 * (determinant + fixed + y @ p @ y + constant)


@pytest.fixture(scope="module")
def gene() -> tuple[np.ndarray, np.ndarray]:
    """Standardised dosages of 150 variants, and two covariates."""
    rng = np.random.default_rng(4)
    z = cis_genotypes.scaled(cis_genotypes.dosages(PEOPLE, 150, seed=3))
    return z, rng.standard_normal((PEOPLE, 2))


def dense_maximum(k: np.ndarray, w: np.ndarray, y: np.ndarray, near: reml.Heritability):
    """Both variances at the highest dense likelihood, and its value."""
    best = optimize.minimize(
        lambda v: -dense_log_likelihood(v, k, w, y),
        np.array([near.h2 + 0.003, 1 - near.h2]) * near.variance,
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 2000},
    )
    return best.x, -best.fun


def noise_variance(w: np.ndarray, y: np.ndarray) -> float:
    rest = y - w @ np.linalg.lstsq(w, y, rcond=None)[0]
    return float(rest @ rest) / (len(y) - w.shape[1])


def check_against_dense(z: np.ndarray, covariates: np.ndarray, y: np.ndarray) -> reml.Heritability:
    found = reml.estimate(reml.spectrum(z, covariates), y)
    w, k = np.column_stack([np.ones(PEOPLE), covariates]), z @ z.T / z.shape[1]
    variances, value = dense_maximum(k, w, y, found)
    assert found.log_likelihood == pytest.approx(value, abs=1e-8)
    assert found.h2 == pytest.approx(variances[0] / variances.sum(), abs=1e-6)
    assert found.variance == pytest.approx(variances.sum(), rel=1e-6)
    none = dense_log_likelihood(np.array([0.0, noise_variance(w, y)]), k, w, y)
    assert found.ratio == pytest.approx(2 * (value - none), abs=1e-7)
    tail = stats.chi2.sf(found.ratio, 1) / 2
    assert found.p == pytest.approx(tail if found.h2 > 0 else 1 - tail)
    return found


@pytest.mark.parametrize(("variants", "h2"), [(150, 0.5), (40, 0.3)])
def test_the_maximum_of_the_dense_likelihood(gene, variants, h2):
    z, covariates = gene
    z = z[:, :variants]
    y = cis_genotypes.expression(z, h2, 20, seed=1)[0] + covariates @ [1.0, -2.0]
    assert check_against_dense(z, covariates, y).h2 > 0.1


def test_an_estimate_below_zero_is_the_dense_maximum_too(gene):
    z, covariates = gene
    basis, draws = reml.spectrum(z), np.random.default_rng(8).standard_normal((20, PEOPLE))
    lowest = min(draws, key=lambda y: reml.estimate(basis, y).h2)
    found = check_against_dense(z, np.empty((PEOPLE, 0)), lowest)
    assert found.h2 < -0.02 and found.clipped == 0 and not found.usable(1.0)


def test_groups_as_statsmodels_fits_them():
    rng = np.random.default_rng(6)
    group = np.repeat(np.arange(30), 4)
    y = rng.standard_normal(30)[group] * 0.8 + rng.standard_normal(120)
    other = statsmodels.formula.api.mixedlm("y ~ 1", pd.DataFrame({"y": y}), groups=group)
    fit = other.fit(reml=True, method="bfgs", gtol=1e-10)
    between = float(fit.cov_re.iloc[0, 0])
    found = reml.estimate(reml.spectrum(np.eye(30)[group] * np.sqrt(30)), y)
    assert found.h2 == pytest.approx(between / (between + fit.scale), abs=1e-6)
    assert found.variance == pytest.approx(between + fit.scale, rel=1e-6)


@pytest.mark.skipif(not shutil.which("gemma"), reason="GEMMA is not installed")
def test_gemma_finds_the_same_share_and_likelihood(gene, tmp_path):
    z, _ = gene
    y, _ = cis_genotypes.expression(z, 0.5, 50, seed=12)
    cis_genotypes.write_bimbam(tmp_path, z, y)
    log = cis_genotypes.gemma(tmp_path, "-bslmm", "2")
    found = reml.estimate(reml.spectrum(z), y)
    assert found.h2 == pytest.approx(float(log["pve estimate in the null model"]), rel=1e-5)
    likelihood = float(log["REMLE log-likelihood in the null model"])
    assert found.log_likelihood == pytest.approx(likelihood, abs=1e-3)
    # GEMMA's standard error is from the observed information, ours from the average one.
    assert found.se == pytest.approx(float(log["se(pve) in the null model"]), rel=0.05)


@pytest.mark.parametrize("h2", [0.0, 0.2, 0.5])
def test_unbiased_and_calibrated_where_the_truth_is_known(h2):
    """800 draws of the model: 344 people, 700 variants, intercept.

    The genetic variance is unbiased within 4 Monte-Carlo errors; the share, a ratio, within 0.01
    besides. The standard error is the SD of the estimates within 10 % (15 % at 0, where the range
    of estimates ends just below).
    """
    z = cis_genotypes.scaled(cis_genotypes.dosages(344, 700, seed=1))
    basis, rng, draws = reml.spectrum(z), np.random.default_rng(7), 800
    genetic = z @ rng.standard_normal((z.shape[1], draws)) * np.sqrt(h2 / z.shape[1])
    noise = rng.standard_normal((344, draws)) * np.sqrt(1 - h2)
    found = [reml.estimate(basis, y) for y in (genetic + noise).T]
    share = np.array([f.h2 for f in found])
    variance = np.array([f.h2 * f.variance for f in found])
    error = variance.std() / np.sqrt(draws)
    assert abs(variance.mean() - h2) < 4 * error
    assert abs(share.mean() - h2) < 0.01 + 4 * share.std() / np.sqrt(draws)
    mean_se = np.sqrt(np.mean([f.se**2 for f in found]))
    assert mean_se == pytest.approx(share.std(), rel=0.15 if h2 == 0 else 0.1)
    if h2 == 0:
        p = np.array([f.p for f in found])
        assert stats.binomtest(int((p <= 0.05).sum()), draws, 0.05).pvalue > 1e-3
        assert np.mean([f.usable() for f in found]) < 0.02
        # Not clipped: half of the estimates are below 0.
        assert 0.4 < (share < 0).mean() < 0.7
    else:
        assert np.mean([f.usable() for f in found]) > 0.7


def test_either_gram_matrix_gives_the_same(gene):
    z, _ = gene
    few = z[:, :40]
    y, _ = cis_genotypes.expression(few, 0.4, 10, seed=2)
    tall, wide = (reml.estimate(reml.spectrum(m), y) for m in (few, np.tile(few, 4)))
    assert tall.h2 == pytest.approx(wide.h2, abs=1e-9)
    assert tall.se == pytest.approx(wide.se, rel=1e-7)


def test_covariates_are_taken_out_and_matter(gene):
    z, covariates = gene
    y, _ = cis_genotypes.expression(z, 0.5, 50, seed=9)
    basis = reml.spectrum(z, covariates)
    moved = y + 5 + covariates @ [3.0, -4.0]
    with_them = reml.estimate(basis, moved)
    assert with_them.h2 == pytest.approx(reml.estimate(basis, y).h2, abs=1e-9)
    assert with_them.h2 - reml.estimate(reml.spectrum(z), moved).h2 > 0.1
    assert basis.free == PEOPLE - 3 and len(basis.values) == PEOPLE - 3


def test_scale_of_expression_does_not_matter_but_shuffled_people_do(gene):
    z, _ = gene
    y, _ = cis_genotypes.expression(z, 0.6, 50, seed=9)
    basis = reml.spectrum(z)
    found, larger = reml.estimate(basis, y), reml.estimate(basis, 1000 * y + 7)
    assert larger.h2 == pytest.approx(found.h2, abs=1e-9) and found.usable()
    assert larger.variance == pytest.approx(1e6 * found.variance)
    shuffled = reml.estimate(basis, np.random.default_rng(1).permutation(y))
    assert shuffled.h2 < found.h2 - 0.3 and not shuffled.usable()


def test_from_dosages_or_not_at_all(gene):
    x = cis_genotypes.dosages(PEOPLE, 150, seed=3)
    y, _ = cis_genotypes.expression(x, 0.5, 50, seed=9)
    found = reml.heritability(x, y, gene[1])
    assert found.h2 == pytest.approx(reml.estimate(reml.spectrum(*gene), y).h2, abs=1e-9)
    assert reml.heritability(x, np.ones(PEOPLE)) is None
    assert reml.heritability(np.ones_like(x), y) is None


def test_covariates_of_other_people_are_an_error(gene):
    z, covariates = gene
    with pytest.raises(HowfarError, match="119 rows"):
        reml.spectrum(z, covariates[:-1])
    with pytest.raises(HowfarError, match="1 not finite"):
        reml.spectrum(z, np.where(np.arange(2 * PEOPLE).reshape(-1, 2) == 5, np.nan, covariates))


def test_expression_that_never_varies_is_an_error(gene):
    with pytest.raises(HowfarError, match="never varies"):
        reml.estimate(reml.spectrum(gene[0]), np.zeros(PEOPLE))
