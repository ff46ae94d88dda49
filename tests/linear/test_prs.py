"""Polygenic scores against PLINK 1.9 (where installed) and scikit-learn's regression."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from howfar.core.errors import HowfarError
from howfar.linear import prs as module
from howfar.linear.prs import (
    Clumping,
    clump,
    fit_prs,
    fit_prs_pt,
    linkage,
    marginal,
    select,
    squared_correlation,
)

PLINK = shutil.which("plink1.9") or shutil.which("plink")
needs_plink = pytest.mark.skipif(PLINK is None, reason="PLINK 1.9 is not installed")


def cohort(people=200, variants=60, seed=1, h2=0.4):
    """Dosages with blocks of linkage disequilibrium, and expression with three causal variants."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(2 * people, variants))
    for j in range(1, variants):
        keep = 0.85 if j % 12 else 0.0
        hidden[:, j] = keep * hidden[:, j - 1] + np.sqrt(1 - keep**2) * hidden[:, j]
    alleles = (hidden < scipy_stats.norm.ppf(rng.uniform(0.1, 0.5, variants))).astype(float)
    x = alleles[:people] + alleles[people:]
    g = x[:, [5, 20, 41]] @ [0.5, -0.4, 0.3]
    return x, 3 + g + rng.normal(0, g.std() * np.sqrt(1 / h2 - 1), people)


def write_plink(folder, x, y):
    """PED and MAP with 'A' the reference and 'G' the alternative allele, 100 bp apart."""
    pairs = np.array([["A", "A"], ["A", "G"], ["G", "G"]])[x.astype(int)]
    person = np.arange(1, len(y) + 1)
    fixed = pd.DataFrame({"f": person, "i": person, "p": 0, "m": 0, "s": 1, "y": y})
    letters = pd.DataFrame(pairs.reshape(len(y), -1))
    pd.concat([fixed, letters], axis=1).to_csv(folder / "d.ped", sep=" ", header=False, index=False)
    rows = [f"1 v{j} 0 {100 * (j + 1)}" for j in range(x.shape[1])]
    (folder / "d.map").write_text("\n".join(rows) + "\n")
    names = [f"v{j} A" for j in range(x.shape[1])]
    (folder / "ref.txt").write_text("\n".join(names) + "\n")


def plink(folder, *options):
    command = [PLINK, "--file", "d", "--a2-allele", "ref.txt", "2", "1", "--allow-no-sex",
               "--threads", "1", "--out", "out", *options]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return {p.suffix: p for p in folder.glob("out.*")}


def haplotype_r2(x):
    """r2 of the haplotypes that explain two variants' genotypes best, by EM: PLINK 1.9's r2."""
    one, two = (x == 1).astype(float), (x == 2).astype(float)
    sure = 2 * two.T @ two + two.T @ one + one.T @ two  # haplotypes with both alternatives
    double = one.T @ one
    p, q = np.meshgrid(x.mean(0) / 2, x.mean(0) / 2, indexing="ij")
    f = p * q
    for _ in range(500):
        both, apart = f * (1 - p - q + f), (p - f) * (q - f)
        share = both / np.maximum(both + apart, 1e-300)
        f = np.clip((sure + double * share) / (2 * len(x)), 0, np.minimum(p, q))
    return (f - p * q) ** 2 / (p * (1 - p) * q * (1 - q))


@needs_plink
@pytest.mark.parametrize("r2", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("window", [None, 800])
def test_index_variants_and_marginal_effects_are_plinks(tmp_path, monkeypatch, r2, window):
    x, y = cohort()
    write_plink(tmp_path, x, y)
    made = pd.read_csv(plink(tmp_path, "--linear")[".linear"], sep=r"\s+").set_index("SNP")
    found = marginal(x, y)
    theirs = made.loc[[f"v{j}" for j in range(x.shape[1])]]
    np.testing.assert_allclose(found.slope, theirs["BETA"], rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(found.p, theirs["P"], rtol=2e-3)
    files = plink(tmp_path, "--clump", "out.assoc.linear", "--clump-p1", "1", "--clump-p2", "1",
                  "--clump-r2", str(r2), "--clump-kb", str((window or 10**6) / 1000))  # fmt: skip
    index = pd.read_csv(files[".clumped"], sep=r"\s+")["SNP"]
    monkeypatch.setattr(module, "squared_correlation", haplotype_r2)
    linked = linkage(x, Clumping(r2=[r2], window=window), 100 * np.arange(x.shape[1]))
    mine = clump(found, linked[r2])
    assert {f"v{j}" for j in np.flatnonzero(mine)} == set(index)


@needs_plink
def test_scores_are_plinks(tmp_path):
    x, y = cohort()
    write_plink(tmp_path, x, y)
    fit = fit_prs_pt(x[:150], y[:150])
    rows = [f"v{j} G {w:.12g}" for j, w in enumerate(fit.weights)]
    (tmp_path / "w.txt").write_text("\n".join(rows) + "\n")
    made = pd.read_csv(plink(tmp_path, "--score", "w.txt", "sum")[".profile"], sep=r"\s+")
    np.testing.assert_allclose(x @ fit.weights, made["SCORESUM"], rtol=1e-4, atol=1e-5)


def test_the_score_is_the_sum_of_marginal_effects_in_units_of_expression():
    x, y = cohort()
    slopes = np.array([scipy_stats.linregress(column, y).slope for column in x.T])
    line = scipy_stats.linregress(x @ slopes, y)
    fit = fit_prs(x, y)
    np.testing.assert_allclose(fit.weights, line.slope * slopes, rtol=1e-9)
    np.testing.assert_allclose(
        x @ fit.weights + fit.intercept, line.intercept + line.slope * (x @ slopes), rtol=1e-9
    )
    assert fit.status == "fitted" and fit.details["n_selected"] == x.shape[1]


def test_other_units_of_dosages_and_expression_give_the_same_prediction():
    x, y = cohort()
    x = np.column_stack([x, np.full(len(x), 2.0)])
    for fitter in (fit_prs, fit_prs_pt):
        one, other = fitter(x, y, 3), fitter(2 - x, 10 * y, 3)
        np.testing.assert_allclose(
            (2 - x) @ other.weights + other.intercept,
            10 * (x @ one.weights + one.intercept),
            rtol=1e-8,
        )
        assert one.weights[-1] == 0


def test_inner_folds_choose_few_variants_where_few_act():
    x, y = cohort(people=800, seed=4, h2=0.6)
    fit = fit_prs_pt(x[:400], y[:400], seed=1)
    assert fit.details["n_selected"] < 20 and fit.details["inner_r"] > 0.5
    assert np.corrcoef(fit.predict(x[400:]), y[400:])[0, 1] > 0.6


def test_the_choice_sees_no_people_beyond_those_given_and_depends_on_expression():
    x, y = cohort()
    same, shuffled = fit_prs_pt(x, y, 1), fit_prs_pt(x, np.random.default_rng(0).permutation(y), 1)
    again = fit_prs_pt(x.copy(), y.copy(), 1)
    np.testing.assert_array_equal(same.weights, again.weights)
    assert abs(shuffled.details["inner_r"]) < 0.3 < same.details["inner_r"]


def test_of_variants_in_perfect_linkage_one_is_taken():
    x, y = cohort()
    x[:, 30] = 2 - x[:, 5]
    found = marginal(x, y)
    index = clump(found, squared_correlation(x) > 0.8)
    assert index[5] and not index[30]
    assert select(found, index, 0.0).sum() == 1  # the strongest always passes


def test_without_linkage_every_variant_is_an_index_variant():
    x, y = cohort()
    everything = clump(marginal(x, y), np.zeros((60, 60), bool))
    assert everything.all()


@pytest.mark.parametrize("fitter", [fit_prs, fit_prs_pt])
def test_data_without_a_score_have_a_status_and_the_mean(fitter):
    x, y = cohort()
    for fit, status in (
        (fitter(x[:, :0], y), "no_variants"),
        (fitter(np.ones_like(x), y), "no_variants"),
        (fitter(x, np.full(len(y), 2.5)), "constant_expression"),
        (fitter(x[:5], y[:5]), "too_few_people"),
    ):
        assert fit.status == status and not fit.weights.any()
        assert np.isfinite(fit.intercept)


def test_a_window_needs_positions():
    x, y = cohort()
    with pytest.raises(HowfarError, match="no positions"):
        fit_prs_pt(x, y, options=Clumping(window=500))


def test_linkage_beyond_the_window_is_none():
    x, _ = cohort()
    x[:, 30] = x[:, 5]
    places = 100 * np.arange(60)
    assert linkage(x, Clumping(r2=[0.9], window=2500), places)[0.9][5, 30]
    assert not linkage(x, Clumping(r2=[0.9], window=2499), places)[0.9][5, 30]
