"""Cohorts that are odd but legal: no number where there is none, and the right one where there is.

Expected values come from scipy, numpy and arithmetic on paper.
"""

import warnings

import numpy as np
import pandas as pd
import pysam
import pytest
from scipy import stats as reference

from howfar import figures
from howfar.attribution.variant_effects import linear_approximation
from howfar.cohort.panel import Panel
from howfar.cohort.preprocess import statistics
from howfar.core.errors import HowfarError
from howfar.core.registry import LINEAR_MODELS
from howfar.eqtl import gene as cis_eqtl
from howfar.eqtl import lead
from howfar.eqtl.covariates import covariate_table
from howfar.eqtl.gene import Beta, best_r2
from howfar.eqtl.study_map import map_gene
from howfar.evaluation import transfer
from howfar.evaluation.across import across_table
from howfar.evaluation.features import features_table
from howfar.evaluation.numbers import numbers_table
from howfar.evaluation.trends import binned_trend
from howfar.genome.intervals import Gene, Variant
from howfar.linear import folds, reml
from howfar.linear.base import fitter
from howfar.linear.cis import training
from howfar.results import tables
from howfar.results.predictions import Predictions
from howfar.stacking import compare
from howfar.stacking.pairs import Pairs
from howfar.stats import null
from howfar.study.schema import Eqtl
from inputs.cohort import Files, write_base
from inputs.running import command_line

PEOPLE = 40
SITES = [Variant("1", 100 * i + 1, "A", "C") for i in range(5)]


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


def panel(expression, populations=None, dosages=None, **options):
    values = pd.DataFrame(np.atleast_2d(expression))
    values.index = [f"g{i}" for i in range(len(values))]
    values.columns = [f"p{i}" for i in range(values.shape[1])]
    places = {"name": values.index, "chrom": "1", "tss": 1, "strand": "+"}
    genes = pd.DataFrame({"gene_id": values.index, **places})
    groups = None if populations is None else pd.Series(list(populations), values.columns)
    reader = None if dosages is None else lambda gene: (dosages, SITES[: dosages.shape[1]])
    return Panel(values, genes, groups, reader, **options)


# --- evaluate ------------------------------------------------------------------------------------


def centred_row(populations, seed=1):
    rng = np.random.default_rng(seed)
    people = len(populations)
    made = panel(rng.normal(size=(1, people)), populations)
    predicted = pd.DataFrame(rng.normal(size=(1, people)), ["g0"], made.expression.columns)
    run = Predictions("r", predicted, pd.Series(np.nan, ["g0"]))
    table = across_table(made, [run]).set_index("population")
    return table.loc["centred"], predicted.to_numpy()[0], made.expression.to_numpy()[0]


def test_two_people_beyond_their_means_have_no_correlation():
    row, _, _ = centred_row("AABC")  # what is left lies on a line: r would be 1 or -1
    assert row[["pearson", "spearman", "p", "ci_low"]].isna().all()
    assert row["n"] == 4


@pytest.mark.parametrize("populations", ["AABB", "AAABC", "AAAABBBC"])
def test_centred_p_is_that_of_least_squares_with_populations(populations):
    row, x, y = centred_row(populations)
    groups = np.array(list(populations))
    design = np.column_stack([x, *(groups == g for g in np.unique(groups))]).astype(float)
    slope, rest, _, _ = np.linalg.lstsq(design, y)
    df = len(y) - design.shape[1]
    error = np.sqrt(float(rest[0]) / df * np.linalg.inv(design.T @ design)[0, 0])
    p = 2 * reference.t.sf(abs(slope[0] / error), df)
    assert row["p"] == pytest.approx(p, rel=1e-9)


@pytest.mark.parametrize("log_scale", [True, False])
def test_variation_of_huge_values_is_that_of_the_same_values_scaled(log_scale):
    small = np.array([3.0, 1, 2, 5])
    huge = small + 5_000 if log_scale else small * 1e300
    made = panel([small, huge], log_scale=log_scale)
    table = features_table(made, "s")
    found = table.loc[table["feature"] == "cv_expression", "value"].to_numpy(float)
    linear = np.exp(small) if log_scale else small
    np.testing.assert_allclose(found, linear.std(ddof=1) / linear.mean(), rtol=1e-12)


def test_a_share_of_genes_all_of_one_sign_has_no_interval():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(8, 30))
    made = panel(y)
    predicted = made.expression + 0.1 * rng.normal(size=(8, 30))
    run = Predictions("m", predicted, pd.Series(np.nan, predicted.index))
    result = {name: tables.empty(name) for name in tables.SCHEMAS}
    result |= {"across": across_table(made, [run]), "genes": made.genes}
    found = numbers_table(tables.Tables("s", result)).set_index("id")
    share, mean = (found.loc[f"s.m.across.pooled.{w}"] for w in ("share_negative", "mean_r"))
    assert share["value"] == 0
    assert np.isnan(share["ci_low"])
    assert mean["ci_low"] < mean["value"] < mean["ci_high"]


def test_noise_with_population_means_removed_has_no_true_spread():
    rng, groups = np.random.default_rng(0), "AAABBBCCCDDD"
    made = panel(rng.normal(size=(400, 12)), groups)
    predicted = pd.DataFrame(
        rng.normal(size=(400, 12)), made.expression.index, made.expression.columns
    )
    run = Predictions("m", predicted, pd.Series(np.nan, predicted.index))
    result = {name: tables.empty(name) for name in tables.SCHEMAS}
    result |= {"across": across_table(made, [run]), "genes": made.genes}
    found = numbers_table(tables.Tables("s", result), draws=100).set_index("id")
    value = found["value"].to_dict()
    # r of n people less k means has the variance 1 / (n - k) around 0: here 12 - 4
    assert value["s.m.across.centred.sampling_sd"] == pytest.approx(8**-0.5, abs=0.005)
    assert value["s.m.across.centred.true_sd"] < 0.1
    assert value["s.m.across.centred.median_people"] == 12


def test_a_trend_leaves_out_what_has_no_place():
    feature, r = np.r_[np.arange(11.0), np.inf], np.linspace(-1, 1, 12)
    found = binned_trend(feature, r, np.arange(12), bins=2, draws=50)
    assert found["n_genes"].tolist() == [5, 6]
    np.testing.assert_allclose(found["mean"], [r[:5].mean(), r[5:11].mean()])


@pytest.mark.parametrize("seed", range(6))
def test_a_null_of_one_variant_says_nothing(seed):
    dosages = np.random.default_rng(0).integers(0, 3, (20, 1)).astype(np.float32)
    made = panel(np.random.default_rng([1, seed]).normal(size=(1, 20)), None, dosages)
    predicted = pd.DataFrame(0.1 + 0.7 * dosages.T, ["g0"], made.expression.columns)
    run = Predictions("r", predicted, pd.Series(np.nan, ["g0"]))
    row = across_table(made, [run], draws=500).set_index("population").loc["pooled"]
    r = abs(reference.pearsonr(dosages[:, 0], made.expression.loc["g0"])[0])
    assert row["null_mean"] == pytest.approx(r)
    assert row["null_sd"] == 0
    assert row["p_null"] == 1
    p = null.as_published(row["pearson"], row["null_mean"], row["null_sd"])
    assert p == 1 or np.isnan(p)


def test_a_null_of_perfect_linkage_is_one_number():
    one = np.random.default_rng(0).integers(0, 3, (10, 1)).astype(np.float32)
    y = np.random.default_rng(1).normal(size=10)
    found = null.gene_null(np.tile(one, 30), y, draws=200)  # more variants than people
    assert np.ptp(found) == 0
    assert found[0] == pytest.approx(abs(reference.pearsonr(one[:, 0], y)[0]), rel=1e-12)


# --- cis-eQTLs -----------------------------------------------------------------------------------


def only_one_person():
    """Ten people, one of whom expresses the gene; each of six carries a variant of their own."""
    genotype = np.eye(10)[:, :6]
    return cis_eqtl.GeneData(genotype, np.eye(10)[0], np.arange(6))


def test_a_perfect_correlation_that_chance_reaches_is_not_significant():
    found = cis_eqtl.lead(only_one_person(), permutations=2000)
    assert abs(found.scan.r[found.index]) == pytest.approx(1)
    # the one person who expresses it falls on a carrier in 6 of 10 orders
    assert found.p_permuted == pytest.approx(0.6, abs=0.04)
    assert found.p_beta == pytest.approx(found.p_permuted)


@pytest.mark.parametrize("seed", range(40))
def test_every_gene_with_a_lead_has_a_p_and_a_threshold(seed):
    rng = np.random.default_rng(seed)
    people = int(rng.integers(10, 16))
    genotype = rng.integers(0, 3, (people, int(rng.integers(1, 6)))).astype(float)
    y = [
        rng.normal(size=people),
        rng.integers(0, 2, people),
        np.eye(people)[-1] * 5,
        genotype[:, 0] * 2 + 1,
        np.r_[rng.normal(size=people - 1), 1e30],
    ][seed % 5]
    covariates = np.eye(people)[:, : int(rng.integers(0, people - 2))]
    gene = cis_eqtl.GeneData(
        genotype, np.asarray(y, float), np.arange(genotype.shape[1]), covariates
    )
    found = cis_eqtl.lead(gene, permutations=100)
    if found is None:
        assert not gene.varies or np.ptp(genotype, axis=0).max() == 0
        return
    assert found.beta.a > 0
    assert found.beta.b > 0
    assert found.beta.df >= 1
    assert 0 <= found.p_beta <= 1
    assert 0 < found.beta.nominal_threshold(found.p_beta, found.scan.df) <= 1


def test_an_order_that_covariates_explain_counts_as_no_correlation():
    alone = np.eye(10)[:, :6]  # six people by themselves; residuals are those of the other four
    rng = np.random.default_rng(0)
    gene = cis_eqtl.GeneData(
        rng.integers(0, 3, (10, 1)) * 1.0, rng.normal(size=10), np.zeros(1), alone
    )
    found = best_r2(gene, gene.basis(), 500, 1)
    orders = cis_eqtl.orders(10, 500, 1)
    rest = np.r_[np.zeros(6), gene.expression[6:] - gene.expression[6:].mean()]
    gone = (orders[6:] < 6).all(axis=0)  # all four stand where covariates explain them
    assert gone.sum() > 10
    assert (found[gone] == 0).all()
    for i in np.flatnonzero(~gone)[:50]:
        r = np.corrcoef(rest[orders[6:, i]], gene.genotype[6:, 0])[0, 1]
        assert found[i] == pytest.approx(r**2, abs=1e-12)


def test_the_threshold_of_a_p_too_small_for_a_double_is_the_smallest_double():
    assert Beta(10, 1, 5).nominal_threshold(0.0, 10) == np.finfo(float).tiny


@pytest.mark.parametrize("p", [1e-8, 0.01, 0.5])
def test_thresholds_are_those_of_student_t(p):
    beta = Beta(16.0, 1.02, 50.0)
    t = reference.t.isf(reference.beta.ppf(p, 1.02, 50.0) / 2, 16.0)
    r = t / np.sqrt(16.0 + t**2)
    expected = 2 * reference.t.sf(r * np.sqrt(20 / (1 - r**2)), 20)
    assert beta.nominal_threshold(p, 20) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("explained", [True, False])
def test_expression_without_variation_of_its_own_is_said_to_be_constant(explained):
    groups = np.repeat(["A", "B"], 10)
    y = (groups == "B") * 1.7 if explained else 1e6 + np.tile([0, 1e-9], 10)
    dosages = np.random.default_rng(0).integers(0, 3, (20, 5)).astype(np.float32)
    made = panel(y, groups, dosages)
    options = Eqtl(permutations=100)
    covariates = covariate_table(made, options)
    gene = next(made.genes.itertuples(index=False))
    row = map_gene(made, gene, covariates, 0.05, options).lead
    assert row["status"] == "constant_expression"


def test_more_components_than_directions_are_refused():
    values = pd.DataFrame(np.random.default_rng(0).normal(size=(8, 3)))
    assert statistics.components(values, 3).shape == (8, 3)
    with pytest.raises(HowfarError, match="vary in 3 directions"):
        statistics.components(values, 4)
    with pytest.raises(HowfarError, match="vary in 0 directions"):
        statistics.components(values.iloc[:, :0], 1)


def test_constant_dosages_stay_constant_where_calls_are_missing():
    dosages = np.full((20, 1), 0.3, np.float32)
    dosages[3] = np.nan
    assert np.ptp(lead.filled(dosages)) < 1e-15
    x, _ = training(dosages, np.ones(20, bool), 0.05)
    y = np.random.default_rng(0).normal(size=20)
    assert {fitter(name)(x, y, 1).status for name in LINEAR_MODELS} == {"no_variants"}


# --- linear models -------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["blup", "bslmm"])
def test_private_variants_tell_nothing_of_heritability(model):
    x, y = 2 * np.eye(20), np.random.default_rng(0).normal(size=20)
    fit = fitter(model)(x, y, 1)
    assert fit.status == "no_heritability"
    np.testing.assert_allclose(fit.predict(x), y.mean())
    assert reml.heritability(x, y) is None


def test_expression_that_covariates_explain_has_no_heritability():
    x = np.random.default_rng(0).integers(0, 3, (30, 4)).astype(float)
    groups = np.repeat([0.0, 1.0], 15)
    assert reml.heritability(x, 2 + 0.3 * groups, groups) is None
    assert reml.heritability(x, 2 + 0.3 * groups) is not None


@pytest.mark.parametrize("fraction", [float("inf"), float("nan"), -1.0, 0.0, 1.0])
def test_fractions_that_are_none_are_refused(fraction):
    with pytest.raises(HowfarError, match="training fraction"):
        folds.by_fraction(10, fraction, 1)


def test_no_training_people_are_not_all_of_them():
    with pytest.raises(HowfarError, match="0 to train"):
        folds.by_population(list("AAABBB"), "A", "B", 0, 1)


OPTIONS = transfer.Options(models=("top1",), sizes=(1.0,), draws=1)


def dosages_of(people, sites=5):
    return np.random.default_rng(3).integers(0, 3, (people, sites)).astype(np.float32)


def rows_of(table, name):
    return table[table["set"] == name]


def test_transfer_without_variants_or_people_to_test_says_so():
    y = np.random.default_rng(0).normal(size=(2, PEOPLE))
    with pytest.raises(HowfarError, match="no variant in the window of any of 2 genes"):
        transfer.transfer(panel(y, None, dosages_of(PEOPLE, 0)), OPTIONS)
    with pytest.raises(HowfarError, match="that is 1, to test on"):
        transfer.transfer(panel(y[:, :3], None, dosages_of(3)), OPTIONS)


def test_genes_without_a_correlation_are_no_zeros():
    y = np.random.default_rng(0).normal(size=(4, PEOPLE))
    y[1], y[2, 2:], y[3] = np.nan, np.nan, 0.1
    found = transfer.transfer(panel(y, None, dosages_of(PEOPLE)), OPTIONS)
    alone = transfer.transfer(panel(y[:1], None, dosages_of(PEOPLE)), OPTIONS)
    for name in (transfer.TRAINING, transfer.CALIBRATION):
        columns = ["value", "n", "x"]
        pd.testing.assert_frame_equal(rows_of(found, name)[columns], rows_of(alone, name)[columns])
    assert rows_of(found, transfer.TRAINING)["n"].tolist() == [1]
    assert rows_of(found, transfer.TRAINING)["x"].tolist() == [24]


def test_missing_expression_leaves_one_row_a_size():
    y = np.random.default_rng(0).normal(size=(3, PEOPLE))
    y[1, ::7], y[2, ::4] = np.nan, np.nan
    found = rows_of(transfer.transfer(panel(y, None, dosages_of(PEOPLE)), OPTIONS), "calibration")
    assert found["n"].tolist() == [3]
    trained = transfer.size_tasks(PEOPLE, OPTIONS)[0].train
    assert found["x"].tolist() == [np.median(np.isfinite(y[:, trained]).sum(axis=1))]


def test_fits_on_too_few_people_are_no_zeros():
    y = np.random.default_rng(0).normal(size=(2, PEOPLE))
    options = transfer.Options(models=("top1",), sizes=(0.25, 1.0), draws=1)
    found = rows_of(
        transfer.transfer(panel(y, None, dosages_of(PEOPLE)), options), "training_people"
    )
    assert found["x"].tolist() == [6, 24]
    assert found["n"].tolist() == [0, 2]
    assert found["value"].isna().tolist() == [True, False]


def test_populations_too_small_to_test_on_are_left_out():
    groups = np.array(["A"] * 20 + ["B"] * 20 + ["C"])
    named = {task.name for task in transfer.population_tasks(groups, OPTIONS)}
    assert named == {"A", "B"}
    assert transfer.population_tasks(groups[20:], OPTIONS) == []


# --- stacking ------------------------------------------------------------------------------------


def pairs_of(y, genes=8):
    people = len(y) // genes
    gene, person = np.repeat(np.arange(genes), people), np.tile(np.arange(people), genes)
    ids = [f"g{i}" for i in range(genes)]
    return Pairs(np.zeros((len(y), 1)), y, gene, person, ids, np.arange(genes), ["x"])


def measured(y, predicted, genes=8, fold=None):
    pairs = pairs_of(y, genes)
    table = pd.DataFrame({"gene_id": pairs.gene_ids, "chrom": pairs.gene_ids, "tss": 1})
    fold = np.zeros(len(y), int) if fold is None else fold
    found = compare.summarise(pairs, table, y, predicted, fold, draws=50)
    return found.set_index("set")


def test_measures_of_high_levels_are_those_of_deviations():
    rng = np.random.default_rng(0)
    y = rng.normal(size=160)
    predicted = y + rng.normal(size=160)
    high = measured(1e8 + y, 1e8 + predicted)["value"].to_numpy(float)
    expected = [
        reference.pearsonr(y, predicted)[0],
        1 - ((y - predicted) ** 2).mean() / y.var(),
        ((y - predicted) ** 2).mean(),
    ]
    np.testing.assert_allclose(high[:3], expected, rtol=1e-6)


@pytest.mark.parametrize("level", [0.1, 0.0, 1e-17])
def test_constant_predictions_of_pairs_have_no_correlation(level):
    y = np.random.default_rng(0).normal(size=160)
    noise = np.random.default_rng(1).choice([-1e-17, 0, 1e-17], 160) if level < 0.1 else 0
    found = measured(y, np.full(160, level) + noise)
    assert found.loc["stacking.pearson", ["value", "ci_low"]].isna().all()
    assert found.loc["stacking.r_people", "value"] == pytest.approx(0, abs=0.2)
    expected = 1 - ((y - level) ** 2).mean() / y.var()
    assert found.loc["stacking.r2", "value"] == pytest.approx(expected, abs=1e-12)


def test_a_constant_truth_has_only_an_error():
    found = measured(np.full(160, 0.1), np.random.default_rng(0).normal(size=160))
    assert found.drop("stacking.mse")["value"].isna().all()
    assert found.loc["stacking.mse", "value"] > 0
    assert found.loc["stacking.r_people", "n"] == 0


def test_folds_of_two_people_and_constant_genes_are_left_out():
    rng = np.random.default_rng(0)
    y, fold = rng.normal(size=24), np.tile([0, 0, 0, 0, 1, 1], 4)
    y[:6] = 2.5
    predicted = rng.normal(size=24)
    found = measured(y, predicted, 4, fold).loc["stacking.r_people"]
    r = [reference.pearsonr(y[i : i + 4], predicted[i : i + 4])[0] for i in (6, 12, 18)]
    assert found["value"] == pytest.approx(np.mean(r))
    assert found["n"] == 3


# --- variant effects -----------------------------------------------------------------------------


class Twice:
    """A cohort whose first site stands in the file twice."""

    samples = tuple(f"p{i}" for i in range(6))
    genes = (Gene("g", "g", "1", 1, "+"),)
    copies = np.random.default_rng(2).integers(0, 3, (6, 3)).astype(np.float32)

    def dosages(self, gene, window):
        return self.copies[:, [0, 0, 1, 2]], [SITES[0], SITES[0], SITES[1], SITES[2]]


def test_a_record_that_stands_twice_adds_its_effect_once():
    cohort, effect = Twice(), np.array([1.0, -0.4, 0.3])
    total = pd.DataFrame([cohort.copies @ effect], ["g"], cohort.samples)
    total += np.linspace(0, 0.5, 6)
    names = [str(site) for site in SITES[:3]]
    table = pd.DataFrame({"run_id": "r", "gene_id": "g", "variant": names, "effect": effect})
    row = linear_approximation(cohort, table, {"r": total}, {"r": 100}).iloc[0]
    assert row["value"] == pytest.approx(np.corrcoef(cohort.copies @ effect, total.loc["g"])[0, 1])
    assert row["n"] == 6


# --- whole commands ------------------------------------------------------------------------------


@pytest.fixture
def cohort(tmp_path, monkeypatch):
    """`Files` of a made-up cohort of 30 people, and what runs a command on it."""
    names = tuple(f"P{i}" for i in range(30))
    monkeypatch.setattr(Files, "PEOPLE", names)
    write_base(tmp_path)
    files = Files(tmp_path)
    values = np.random.default_rng(0).normal(5, 1, (len(files.GENES), len(names)))
    frame = pd.DataFrame(values, [gene[0] for gene in files.GENES], names)
    frame.to_csv(tmp_path / "table.csv")
    files.put("samples.csv", "sample,population\n" + "".join(f"{name},X\n" for name in names))
    files.settings(cohort__expression=tmp_path / "table.csv")
    return files


@pytest.fixture
def view(tmp_path):
    """Opens the figures of the cohort's study."""
    study = str(tmp_path / "study.yaml")
    return lambda: figures.view(study, [], tmp_path / "results", tmp_path / "drawn")


def command(files, *words):
    words = [words[0], "--study", str(files.folder / "study.yaml"), *words[1:]]
    return command_line(["--results", str(files.folder / "results"), *words])


def copies(files):
    """Copies of the alternative allele by (pos, ref, alt), as pysam reads them."""
    with pysam.VariantFile(str(files.folder / "variants.vcf.gz")) as records:
        return {
            (r.pos, r.ref, r.alts[0]): np.array([sum(s["GT"]) for s in r.samples.values()])
            for r in records
        }


def test_weights_from_records_that_stand_twice_apply_once(cohort):
    cohort.records(lambda rows: [row for row in rows for _ in range(2)])
    assert command(cohort, "baseline", "--models", "prs", "--folds", "2")[0] == 0
    made = cohort.folder / "results" / "tiny" / "baseline"
    weights = made / "prs.weights.parquet"
    out = cohort.folder / "applied.csv"
    status, _, said = command(cohort, "apply-weights", "--weights", str(weights), "--csv", str(out))
    assert status == 0, said
    table, there = pd.read_parquet(weights), copies(cohort)
    level = pd.read_parquet(made / "prs.genes.parquet").set_index("gene_id")["intercept"]
    for gene, row in pd.read_csv(out, index_col=0).iterrows():
        mine = table[table["gene_id"] == gene]
        parts = zip(mine["pos"], mine["ref"], mine["alt"], mine["weight"], strict=True)
        expected = level[gene] + sum(there[p, r, a] * w for p, r, a, w in parts)
        np.testing.assert_allclose(row, expected, rtol=1e-12)


def test_an_eqtl_map_tries_a_record_that_stands_twice_once(cohort):
    cohort.records(lambda rows: [row for row in rows for _ in range(2)])
    assert command(cohort, "eqtl", "--permutations", "100")[0] == 0
    nominal = pd.read_parquet(cohort.folder / "results" / "tiny" / "eqtl" / "nominal.parquet")
    assert not nominal.duplicated(["gene_id", "variant"]).any()
    assert len(nominal) == 80 * 3


def test_variants_that_nobody_has_a_call_of_are_not_used(cohort):
    assert command(cohort, "baseline", "--models", "prs", "--folds", "2")[0] == 0
    weights = cohort.folder / "results" / "tiny" / "baseline" / "prs.weights.parquet"
    cohort.records(lambda rows: [[*row[:9], *(["./."] * len(row[9:]))] for row in rows])
    words = ["apply-weights", "--weights", str(weights), "--csv", str(cohort.folder / "a.csv")]
    status, _, said = command(cohort, *words)
    assert status == 2
    assert "0 used" in said


def test_people_counted_are_those_who_trained(cohort):
    words = ["baseline", "--models", "top1", "--split", "fraction:0.5"]
    assert command(cohort, *words)[0] == 0
    folder = cohort.folder / "results" / "tiny" / "baseline"
    assert pd.read_parquet(folder / "top1.genes.parquet")["n_people"].tolist() == [15] * 3


# --- figures -------------------------------------------------------------------------------------

DRAWN = (
    "bars",
    "scatter",
    "by_population",
    "centred_scatter",
    "flips",
    "volcano",
    "training_people",
    "calibration",
    "rule_counts",
    "distribution",
    "ranked",
)
LACKING = DRAWN[:8]


@pytest.mark.parametrize(("level", "boxes"), [("constant", LACKING), ("one gene", LACKING[:5])])
def test_figures_without_a_number_are_boxes(cohort, view, level, boxes):
    table = pd.read_csv(cohort.folder / "table.csv", index_col=0)
    table = table * 0 + 0.1 if level == "constant" else table.iloc[:1]
    table.to_csv(cohort.folder / "table.csv")
    halves = ("X" if i < 15 else "Y" for i in range(30))
    people = (f"{name},{half}\n" for name, half in zip(cohort.PEOPLE, halves, strict=True))
    cohort.put("samples.csv", "sample,population\n" + "".join(people))
    for words in (["predict"], ["transfer", "--models", "top1"], ["evaluate"]):
        status, _, said = command(cohort, *words)
        assert status == 0, said
    opened = view()
    for name in DRAWN:
        drawn = getattr(figures, name).__wrapped__(opened)  # not saved; a text makes a box
        if name in boxes and not (level == "one gene" and name in ("centred_scatter", "flips")):
            assert isinstance(drawn, str), name
        elif not isinstance(drawn, str):
            drawn[0].draw_without_rendering()


def test_all_studies_without_a_number_are_a_box(cohort):
    table = pd.read_csv(cohort.folder / "table.csv", index_col=0)
    (table * 0 + 0.1).to_csv(cohort.folder / "table.csv")
    for words in (["predict"], ["evaluate"]):
        assert command(cohort, *words)[0] == 0
    folder = cohort.folder
    shown = figures.synthesis([str(folder / "study.yaml")], folder / "results", folder / "drawn")
    assert isinstance(shown, figures.Box)


def test_negative_means_are_within_the_figure(cohort, view):
    for words in (["predict"], ["transfer", "--models", "top1,blup"], ["evaluate"]):
        assert command(cohort, *words)[0] == 0
    drawn, table, _ = figures.training_people.__wrapped__(view())
    low, high = drawn.axes[0].get_ylim()
    assert table["value"].min() < 0
    assert low < table["value"].min()
    assert high > table["value"].max()
