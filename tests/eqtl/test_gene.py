"""cis-eQTLs of a gene: against statsmodels, scipy, permutation by hand, and tensorQTL.

``oracles/tensorqtl_*.csv`` hold numbers that tensorQTL 1.0.10 (pandas 2.3, float32, 10,000
permutations, its own random orders) gave for `synthetic_genes`: map_nominal, map_cis, and
map_independent with a threshold of 0.05 on p_beta. Of map_nominal every fourth variant is kept.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from helpers.places import TESTS
from howfar.core.errors import HowfarError
from howfar.eqtl import gene as cis_eqtl
from howfar.eqtl import lead as eqtl
from howfar.eqtl.gene import (
    Beta,
    GeneData,
    _log10_beta,
    benjamini_hochberg,
    best_r2,
    fit_beta,
    storey_q,
)
from howfar.eqtl.lead import covariate_basis

ORACLES = TESTS / "oracles"
PERMUTATIONS = 10_000


def synthetic_genes(people=200, variants=40):
    """Six genes with linkage, two covariates and 0, 1 or 2 causal variants.

    The legacy generator's stream is frozen.
    """
    rng = np.random.RandomState(7)
    covariates = np.column_stack([rng.normal(size=people), (rng.uniform(size=people) < 0.4) * 1.0])
    genes = []
    for g in range(6):
        freq = rng.uniform(0.1, 0.5, variants)
        x = rng.binomial(2, freq, (people, variants)).astype(float)
        for j in range(1, variants):
            copy = rng.uniform(size=people) < 0.6
            x[copy, j] = x[copy, j - 1]
        y = covariates @ [1.0, -0.7] + rng.normal(size=people)
        y += [0, 0.1, 0.25, 0.5, 0.6, 0.8][g] * x[:, 10]
        if g >= 4:
            y += -0.5 * x[:, 30]
        genes.append(GeneData(x, y, np.arange(variants) * 100.0 - 2000, covariates))
    return genes


@pytest.fixture(scope="module")
def genes():
    return synthetic_genes()


@pytest.fixture(scope="module")
def leads(genes):
    return [cis_eqtl.lead(gene, PERMUTATIONS) for gene in genes]


# --- nominal ---------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    people=st.integers(8, 60),
    covariates=st.integers(0, 4),
    scale=st.sampled_from([1e-3, 1.0, 1e4]),
    level=st.sampled_from([0.0, 7.0, -1e3]),
)
def test_nominal_statistics_are_those_of_a_joint_regression(seed, people, covariates, scale, level):
    rng = np.random.default_rng(seed)
    x = rng.binomial(2, 0.4, (people, 5)).astype(float)
    z = rng.normal(size=(people, covariates)) * 10.0 ** rng.integers(-3, 4, covariates)
    y = scale * (rng.normal(size=people) + 0.3 * x[:, 1] + level)
    found = eqtl.scan(x, y, covariate_basis(z if covariates else None, people))
    for j in range(5):
        if np.ptp(x[:, j]) == 0:
            assert np.isnan(found.r[j]) and np.isnan(found.se[j])
            continue
        # what statsmodels would lose to columns of unlike units is not at issue here
        design = np.column_stack([np.ones(people), x[:, j], *(z / z.std(axis=0)).T])
        fit = sm.OLS((y - y.mean()) / scale, design).fit()
        tolerance = {"rel": 1e-10, "abs": 1e-10 * max(1, abs(level))}
        assert found.slope[j] / scale == pytest.approx(fit.params[1], **tolerance)
        assert found.se[j] / scale == pytest.approx(fit.bse[1], rel=1e-9)
        assert found.t[j] == pytest.approx(fit.tvalues[1], rel=1e-9, abs=1e-9 * max(1, abs(level)))
        assert found.p[j] == pytest.approx(fit.pvalues[1], rel=1e-7)
        assert found.df == fit.df_resid


def test_well_scaled_data_agree_to_ten_digits(genes):
    for gene in genes[:3]:
        found = eqtl.scan(gene.genotype, gene.expression, gene.basis())
        design = [np.column_stack([np.ones(200), g, gene.covariates]) for g in gene.genotype.T]
        fits = [sm.OLS(gene.expression, x).fit() for x in design]
        for values, name in ((found.slope, "params"), (found.se, "bse"), (found.t, "tvalues"),
                             (found.p, "pvalues")):  # fmt: skip
            np.testing.assert_allclose(values, [getattr(f, name)[1] for f in fits], rtol=1e-10)


def test_a_covariate_that_repeats_another_costs_no_degree_of_freedom(genes):
    gene = genes[4]
    twice = np.column_stack([gene.covariates, gene.covariates[:, 0] * 3 + 5])
    again = GeneData(gene.genotype, gene.expression, gene.distance, twice)
    a, b = (eqtl.scan(g.genotype, g.expression, g.basis()) for g in (gene, again))
    assert a.df == b.df == 196
    np.testing.assert_allclose(a.p, b.p)


def test_more_covariates_than_people_are_refused():
    x = np.eye(4)
    with pytest.raises(HowfarError, match="4 people, 4 independent"):
        eqtl.scan(x, np.arange(4.0), covariate_basis(np.eye(4), 4))


# --- permutations ----------------------------------------------------------------------------


def test_permuted_p_is_that_of_permuting_by_hand(genes):
    gene = genes[2]
    order = cis_eqtl.orders(200, 300, 5)
    assert (np.sort(order, axis=0) == np.arange(200)[:, None]).all()
    design = sm.add_constant(gene.covariates)
    y = sm.OLS(gene.expression, design).fit().resid
    largest = []
    for shuffled in (y[column] for column in order.T[:40]):
        rest = sm.OLS(shuffled, design).fit().resid
        g = np.array([sm.OLS(v, design).fit().resid for v in gene.genotype.T[:8]])
        largest.append(max(np.corrcoef(v, rest)[0, 1] ** 2 for v in g))
    small = GeneData(gene.genotype[:, :8], gene.expression, gene.distance, gene.covariates)
    found = best_r2(small, small.basis(), 300, 5)
    np.testing.assert_allclose(found[:40], largest, rtol=1e-9)
    lead = cis_eqtl.lead(small, 300, 5)
    r2 = np.nanmax(lead.scan.r**2)
    assert lead.p_permuted == (1 + (found >= r2).sum()) / 301


def test_permuting_expression_of_no_effect_gives_uniform_p():
    rng, p, beta = np.random.default_rng(2), [], []
    for _ in range(150):
        x = rng.binomial(2, 0.3, (80, 6)).astype(float)
        x[:, 1:] = np.where(rng.random((80, 5)) < 0.7, x[:, :1], x[:, 1:])
        gene = GeneData(x, rng.exponential(size=80), np.arange(6.0))
        found = cis_eqtl.lead(gene, 200)
        p.append(found.p_permuted)
        beta.append(found.p_beta)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert stats.kstest(beta, "uniform").pvalue > 0.01
    assert np.corrcoef(p, beta)[0, 1] > 0.99


def test_a_population_is_no_eqtl_once_it_is_a_covariate():
    rng = np.random.default_rng(3)
    population = np.repeat([0.0, 1.0], 100)
    x = rng.binomial(2, np.where(population, 0.8, 0.1)[:, None], (200, 10)).astype(float)
    y = 2 * population + rng.normal(size=200)
    bare = cis_eqtl.lead(GeneData(x, y, np.arange(10.0)), 300)
    held = cis_eqtl.lead(GeneData(x, y, np.arange(10.0), population[:, None]), 300)
    assert bare.log10p_beta > 8 and held.log10p_beta < 2


# --- the beta approximation ------------------------------------------------------------------


def test_shapes_maximise_the_likelihood(genes, leads):
    gene, beta = genes[0], leads[0].beta
    r2 = best_r2(gene, gene.basis(), PERMUTATIONS, 1)
    t2 = r2 * beta.df / (1 - r2)
    p = 2 * stats.t.sf(np.sqrt(t2), beta.df)
    best = optimize.minimize(
        lambda s: -stats.beta.logpdf(p, *np.exp(s)).sum(), np.log([1.2, 20]), method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-9},
    )  # fmt: skip
    np.testing.assert_allclose([beta.a, beta.b], np.exp(best.x), rtol=1e-5)
    mean, var = p.mean(), p.var()
    assert mean * (mean * (1 - mean) / var - 1) == pytest.approx(1, abs=1e-3)  # the choice of df
    # as the distribution of the smallest p of independent tests would have it
    assert beta.a == pytest.approx(1, abs=0.05) and 15 < beta.b < 40


def test_known_distribution_is_found_again():
    """The smallest of m independent p-values at df is Beta(1, m)."""
    rng, df, m = np.random.default_rng(4), 80, 12
    r2 = (stats.beta(0.5, df / 2).rvs((20_000, m), random_state=rng)).max(axis=1)
    beta = fit_beta(r2, 100)
    assert beta.df == pytest.approx(df, rel=0.05)
    assert (beta.a, beta.b) == (pytest.approx(1, abs=0.05), pytest.approx(m, rel=0.1))
    r = 0.45
    exact = 1 - (1 - 2 * stats.t.sf(r * np.sqrt(df / (1 - r * r)), df)) ** m
    assert 10 ** -beta.log10p(r) == pytest.approx(exact, rel=0.3)
    assert beta.nominal_threshold(0.05, df) == pytest.approx(1 - 0.95 ** (1 / m), rel=0.1)


@given(st.floats(0.05, 0.999), st.floats(20, 400), st.floats(0.8, 1.2), st.floats(1, 300))
def test_p_of_the_beta_distribution_is_scipys_wherever_that_has_digits(r, df, a, b):
    found = Beta(df, a, b).log10p(r)
    p = 2 * stats.t.sf(r * np.sqrt(df / ((1 - r) * (1 + r))), df)
    exact = stats.beta.cdf(p, a, b)
    assert np.isfinite(found) and found >= 0
    if exact > 1e-250:
        assert found == pytest.approx(-np.log10(exact), rel=1e-8, abs=1e-12)


def test_p_beyond_the_range_of_doubles_keeps_its_size():
    """Where p is tiny, the beta distribution is p^a / (a B(a, b)), and df sets the slope."""
    beta = Beta(1000.0, 1.0, 30.0)
    near, far = beta.log10p(0.95), beta.log10p(0.99)
    rest = np.log10((1 - 0.95**2) / (1 - 0.99**2)) * 500
    assert near > 400 and far - near == pytest.approx(rest, rel=0.01)
    area, _ = integrate.quad(lambda p: stats.beta.pdf(p, 1, 30), 0, 1e-4)
    assert 10 ** -_log10_beta(4.0, 1.0, 30.0) == pytest.approx(area, rel=1e-6)


def test_storeys_q_is_benjamini_hochbergs_where_nothing_is_found():
    rng = np.random.default_rng(5)
    p = rng.uniform(size=400)
    bh = benjamini_hochberg(p)
    np.testing.assert_allclose(storey_q(p) / bh, min(1, (1 + (p > 0.5).sum()) / 200))
    mixed = np.concatenate([p[:100], rng.uniform(0, 1e-4, 300)])
    null = (1 + (mixed > 0.5).sum()) / 200
    assert null < 0.4
    np.testing.assert_allclose(storey_q(mixed), benjamini_hochberg(mixed) * null)
    assert np.isnan(storey_q([np.nan, 0.1])[0])


# --- independent signals ---------------------------------------------------------------------


def test_two_signals_are_found_and_one_is_not_two(genes):
    both = cis_eqtl.independent(genes[5], 0.05, 1000)
    assert [(each.rank, each.lead.index) for each in both] == [(1, 10), (2, 30)]
    # each with the other as a covariate
    for each, other in zip([signal.lead for signal in both], (30, 10), strict=True):
        columns = [np.ones(200), genes[5].genotype[:, each.index], genes[5].genotype[:, other]]
        fit = sm.OLS(genes[5].expression, np.column_stack([*columns, *genes[5].covariates.T])).fit()
        assert each.scan.slope[each.index] == pytest.approx(fit.params[1], rel=1e-10)
        assert each.scan.p[each.index] == pytest.approx(fit.pvalues[1], rel=1e-8)
    assert len(cis_eqtl.independent(genes[3], 0.05, 1000)) == 1
    assert cis_eqtl.independent(genes[0], 0.05, 1000) == []


def test_a_lead_that_is_known_is_not_looked_for_again(genes, monkeypatch):
    anew = cis_eqtl.independent(genes[5], 0.05, 200)
    found = cis_eqtl.lead(genes[5], 200)
    known = cis_eqtl.known_lead(genes[5], found.beta, found.p_permuted, found.log10p_beta)
    asked, find_lead = [], cis_eqtl.lead
    monkeypatch.setattr(
        cis_eqtl, "lead", lambda gene, *rest: asked.append(rest[-1][:]) or find_lead(gene, *rest)
    )
    again = cis_eqtl.independent(genes[5], 0.05, 200, first=known)
    assert asked == [
        [10],
        [10, 30],
        [30],
    ]  # the second signal beside the first was the forward step
    for one, other in zip(anew, again, strict=True):
        assert (one.rank, one.lead.index, one.lead.beta) == (
            other.rank,
            other.lead.index,
            other.lead.beta,
        )
        np.testing.assert_array_equal(one.lead.scan.r, other.lead.scan.r)


def test_a_signal_that_others_explain_is_dropped():
    """The lead tags two causal variants; with both found it has nothing left."""
    rng = np.random.default_rng(11)
    a, b = rng.binomial(2, 0.4, (2, 600)).astype(float)
    tag = np.round((a + b) / 2 + rng.normal(0, 0.12, 600))
    x = np.column_stack([a, b, tag])
    y = a + b + rng.normal(0, 0.8, 600)
    gene = GeneData(x, y, np.arange(3.0))
    assert cis_eqtl.lead(gene, 200).index == 2
    kept = [each.lead.index for each in cis_eqtl.independent(gene, 0.01, 200)]
    assert sorted(kept) == [0, 1]


# --- tensorQTL -------------------------------------------------------------------------------


def test_nominal_is_tensorqtls(leads):
    rows = pd.read_csv(ORACLES / "tensorqtl_nominal.csv")
    for gene, part in rows.groupby("gene"):
        scan, at = leads[gene].scan, part["variant"].to_numpy()
        np.testing.assert_allclose(scan.slope[at], part["slope"], rtol=2e-5, atol=2e-7)
        np.testing.assert_allclose(scan.se[at], part["slope_se"], rtol=2e-6)
        np.testing.assert_allclose(scan.p[at], part["pval_nominal"], rtol=2e-5)


def test_lead_and_beta_approximation_are_tensorqtls(leads):
    """Within what 10,000 permutations leave: 1 SD of p is sqrt(p (1 - p) / 10,000)."""
    rows = pd.read_csv(ORACLES / "tensorqtl_lead.csv").set_index("gene")
    for gene, row in rows.iterrows():
        mine = leads[gene]
        assert mine.index == row["variant"]
        error = 4 * np.sqrt(2 * row["pval_perm"] * (1 - row["pval_perm"]) / PERMUTATIONS)
        assert mine.p_permuted == pytest.approx(row["pval_perm"], abs=error + 1e-9)
        assert mine.beta.df == pytest.approx(row["true_df"], rel=0.06)
        assert mine.beta.a == pytest.approx(row["beta_shape1"], abs=0.06)
        assert mine.beta.b == pytest.approx(row["beta_shape2"], rel=0.08)
        # extrapolated far beyond the permutations: the digits of log p
        assert mine.log10p_beta == pytest.approx(-np.log10(row["pval_beta"]), rel=0.05, abs=0.02)


def test_independent_signals_are_tensorqtls(genes):
    rows = pd.read_csv(ORACLES / "tensorqtl_independent.csv")
    for number, part in rows.groupby("gene"):
        found = cis_eqtl.independent(genes[number], 0.05, 1000)
        assert [(each.rank, each.lead.index) for each in found] == list(
            zip(part["rank"], part["variant"], strict=True)
        )
        for each, row in zip([one.lead for one in found], part.itertuples(), strict=True):
            assert each.scan.slope[each.index] == pytest.approx(row.slope, rel=1e-5)
            assert each.scan.se[each.index] == pytest.approx(row.slope_se, rel=1e-5)


def test_too_few_permutations_are_refused(genes):
    with pytest.raises(HowfarError, match="2 or more"):
        cis_eqtl.lead(genes[0], 1)
