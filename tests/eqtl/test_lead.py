"""The lead eQTL against statsmodels, and predictions that never see the person they are for."""

import numpy as np
import pytest
import statsmodels.api as sm

from howfar.core.errors import HowfarError
from howfar.eqtl.lead import lead_eqtl, lead_snp_prediction
from howfar.genome.intervals import Variant
from howfar.stats import pearson_rows

# warnings of this module are errors; sockets that another test left open are not its concern
pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")


def cohort(seed=0, people=120, variants=25, effect=0.8):
    rng = np.random.default_rng(seed)
    dosages = rng.binomial(2, rng.uniform(0.1, 0.5, variants), (people, variants)).astype(float)
    sites = [Variant("1", 1000 + 10 * j, "A", "G") for j in range(variants)]
    expression = effect * dosages[:, 7] + rng.normal(size=people)
    return dosages, sites, expression, rng


def test_the_lead_is_statsmodels_smallest_p():
    dosages, sites, y, _ = cohort()
    fits = [sm.OLS(y, sm.add_constant(g)).fit() for g in dosages.T]
    best = int(np.argmin([f.pvalues[1] for f in fits]))
    found = lead_eqtl(dosages, sites, 1100, y, min_maf=0.01)
    assert found.variant == sites[best] and best == 7
    assert found.slope == pytest.approx(fits[best].params[1])
    assert found.se == pytest.approx(fits[best].bse[1])
    assert found.p == pytest.approx(fits[best].pvalues[1])
    assert found.log10p == pytest.approx(-np.log10(fits[best].pvalues[1]))
    assert found.r == pytest.approx(np.corrcoef(dosages[:, best], y)[0, 1])
    assert (found.n, found.tried, found.distance) == (120, 25, 30)


def test_covariates_are_those_of_a_joint_regression():
    dosages, sites, y, rng = cohort(1)
    covariates = rng.normal(size=(120, 2))
    dosages[:, 7] += (covariates[:, 0] > 0) * 0.0
    y = y + 3 * covariates[:, 0]
    found = lead_eqtl(dosages, sites, 1000, y, covariates=covariates)
    j = sites.index(found.variant)
    fit = sm.OLS(y, sm.add_constant(np.column_stack([dosages[:, j], covariates]))).fit()
    assert found.slope == pytest.approx(fit.params[1])
    assert found.p == pytest.approx(fit.pvalues[1])
    assert found.se == pytest.approx(fit.bse[1])


def test_population_differences_alone_make_no_lead():
    rng = np.random.default_rng(3)
    population = np.repeat([0, 1], 200)
    dosages = rng.binomial(2, np.where(population, 0.9, 0.1)[:, None], (400, 10)).astype(float)
    sites = [Variant("1", 10 + j, "A", "G") for j in range(10)]
    y = population * 2.0 + rng.normal(size=400)
    assert lead_eqtl(dosages, sites, 1, y).log10p > 10
    assert lead_eqtl(dosages, sites, 1, y, covariates=population[:, None]).log10p < 4
    # A variant that is the population itself has nothing left.
    same = lead_eqtl(population[:, None] * 2.0, sites[:1], 1, y, covariates=population[:, None])
    assert same is None


def test_missing_values_rare_variants_and_ties():
    dosages, sites, y, _ = cohort(2)
    holed = y.copy()
    holed[:20] = np.nan
    a = lead_eqtl(dosages, sites, 1000, holed)
    b = lead_eqtl(dosages[20:], sites, 1000, y[20:])
    assert a == b and a.n == 100
    missing = dosages.copy()
    missing[5, 7] = np.nan
    filled = dosages.copy()
    filled[5, 7] = np.delete(dosages[:, 7], 5).mean()
    assert lead_eqtl(missing, sites, 1000, y).slope == pytest.approx(
        lead_eqtl(filled, sites, 1000, y).slope
    )
    assert lead_eqtl(dosages, sites, 1000, y, min_maf=0.5) is None
    assert lead_eqtl(dosages[:, :0], [], 1000, y) is None
    assert lead_eqtl(dosages, sites, 1000, np.ones(120)) is None
    # Perfect linkage, one variant coded for the other allele: the nearer to the TSS is taken.
    twins = np.column_stack([dosages[:, 7], 2 - dosages[:, 7]])
    places = [Variant("1", 900, "A", "G"), Variant("1", 1040, "A", "G")]
    near = lead_eqtl(twins, places, 1000, y)
    assert near.variant.pos == 1040 and near.distance == 40 and near.slope < 0
    assert near.maf == pytest.approx(min(dosages[:, 7].mean() / 2, 1 - dosages[:, 7].mean() / 2))


def test_an_extreme_association_keeps_its_size():
    dosages, sites, _, rng = cohort(4, people=3000)
    y = dosages[:, 3] + 0.05 * rng.normal(size=3000)
    found = lead_eqtl(dosages, sites, 1000, y)
    assert found.p > 0 and 300 < found.log10p < 10_000


def test_shapes_are_checked():
    dosages, sites, y, _ = cohort()
    with pytest.raises(HowfarError, match="120 people, 24 variants"):
        lead_eqtl(dosages, sites[:24], 1000, y)
    with pytest.raises(HowfarError, match="1 fold for"):
        lead_snp_prediction(dosages, y, folds=1)


def test_predictions_are_scored_out_of_fold():
    dosages, _, y, _ = cohort(5, people=200)
    predicted, fold = lead_snp_prediction(dosages, y, folds=5, seed=3)
    assert sorted(np.bincount(fold)) == [40] * 5
    assert pearson_rows(predicted, y)[0][0] > 0.3
    # By hand, for one fold.
    train = fold != 2
    r = [np.corrcoef(dosages[train, j], y[train])[0, 1] for j in range(25)]
    lead = int(np.argmax(np.abs(r)))
    slope = np.polyfit(dosages[train, lead], y[train], 1)[0]
    expected = y.mean() + slope * (dosages[~train, lead] - dosages[train, lead].mean())
    np.testing.assert_allclose(predicted[~train], expected)


def test_a_persons_own_expression_does_not_move_their_prediction():
    dosages, _, y, _ = cohort(6)
    changed = y.copy()
    predicted, fold = lead_snp_prediction(dosages, y, seed=1)
    held = np.flatnonzero(fold == 0)
    changed[held] = changed[held][::-1]  # the level, a mean over everyone, stays
    again, _ = lead_snp_prediction(dosages, changed, seed=1)
    np.testing.assert_allclose(again[held], predicted[held])
    assert not np.allclose(again[fold != 0], predicted[fold != 0])


def test_permuted_expression_is_not_predicted():
    """Winner's curse without held-out people gives r far above 0; out of fold it can't."""
    rng, out, inside = np.random.default_rng(8), [], []
    for seed in range(150):
        dosages, _, y, _ = cohort(seed, people=100)
        y = rng.permutation(y)
        predicted, _ = lead_snp_prediction(dosages, y, seed=seed)
        out.append(pearson_rows(predicted, y)[0][0])
        inside.append(max(abs(pearson_rows(dosages.T, y)[0])))
    error = np.std(out) / np.sqrt(len(out))
    assert np.mean(out) < 2 * error
    assert np.mean(out) > -0.1  # fold means would drag it to about -0.3
    assert np.mean(inside) > 0.2


def test_people_without_expression_are_predicted_and_not_trained_on():
    dosages, _, y, _ = cohort(9)
    y[:10] = np.nan
    predicted, _ = lead_snp_prediction(dosages, y)
    assert not np.isnan(predicted).any()
    nothing, _ = lead_snp_prediction(dosages[:, :0], y)
    assert np.isnan(nothing).all()
