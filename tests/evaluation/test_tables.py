"""The result tables, column by column, against scipy on the people they are about."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats as reference

from helpers.places import SHARED
from howfar import stats
from howfar.cohort.panel import Panel
from howfar.core.errors import HowfarError
from howfar.evaluation.across import _permuted, across_table
from howfar.evaluation.features import features_table
from howfar.evaluation.individuals import individuals_table
from howfar.evaluation.lead_snp import lead_snp_run
from howfar.evaluation.numbers import numbers_table
from howfar.evaluation.numbers.significance import RULES
from howfar.evaluation.reference import reference_table
from howfar.evaluation.run_comparison import judged, with_judged
from howfar.evaluation.study_tables import evaluate
from howfar.evaluation.trends import binned_trend, with_feature
from howfar.evaluation.within import within_table
from howfar.genome.intervals import Variant
from howfar.results import tables
from howfar.results.predictions import Predictions
from howfar.stats import null
from howfar.stats.blocks import blocks_of

# warnings of this module are errors; sockets that another test left open are not its concern
pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")

GENES, PEOPLE = 40, 90
GEUVADIS = SHARED / "mirror/ni-lab/finetuning-enformer"


@pytest.fixture(scope="module")
def world():
    """40 genes on 8 chromosomes, 90 people of two populations, one run 'm' of a fair model."""
    rng = np.random.default_rng(0)
    ids, samples = [f"g{i:02d}" for i in range(GENES)], [f"person{i}" for i in range(PEOPLE)]
    groups = np.array(["EUR", "AFR"])[np.arange(PEOPLE) % 3 // 2]
    genes = pd.DataFrame(
        {
            "gene_id": ids,
            "name": ids,
            "chrom": [f"chr{i % 8}" for i in range(GENES)],
            "tss": 50_000 + 30_000 * np.arange(GENES),
            "strand": "+",
        }
    )
    dosages, observed, predicted = {}, [], []
    for i, gene in enumerate(ids):
        d = rng.binomial(2, rng.uniform(0.1, 0.5, 12), (PEOPLE, 12)).astype(np.float32)
        tss = int(genes["tss"][i])
        sites = [Variant(f"chr{i % 8}", tss - 600 + 100 * j, "A", "C") for j in range(12)]
        dosages[gene] = d, sites
        value = d[:, 4] * rng.choice([0.0, 1.2]) + 0.5 * (groups == "EUR")
        observed.append(value + rng.normal(size=PEOPLE) + 3 * rng.normal())
        predicted.append(0.4 * value + 0.1 * rng.normal(size=PEOPLE) + np.mean(observed[-1]))
    observed, predicted = np.array(observed), np.array(predicted)
    observed[3, :30] = np.nan
    predicted[7] = 2.0
    predicted[4, 20:30] = np.nan
    frame = pd.DataFrame(observed, index=ids, columns=samples)
    panel = Panel(frame, genes, pd.Series(groups, index=samples), dosages.__getitem__)
    run = Predictions(
        "m",
        pd.DataFrame(predicted, index=ids, columns=samples).iloc[::-1, ::-1],  # another order
        pd.Series(np.nanmean(observed, axis=1) + rng.normal(size=GENES), index=ids),
        pd.Series(["train", "test"] * (GENES // 2), index=ids),
    )
    return panel, run


@pytest.fixture(scope="module")
def across(world):
    panel, run = world
    return across_table(panel, [run], draws=500, seed=1).set_index(["population", "gene_id"])


def pair(world, gene, chosen=slice(None)):
    panel, run = world
    y = panel.expression.loc[gene].to_numpy()[chosen]
    x = run.people.loc[gene, panel.expression.columns].to_numpy()[chosen]
    kept = ~(np.isnan(x) | np.isnan(y))
    return x[kept], y[kept]


def test_across_pooled_and_by_population_is_scipys(world, across):
    panel, _ = world
    for population in ("pooled", "EUR", "AFR"):
        chosen = panel.groups == population if population != "pooled" else np.full(PEOPLE, True)
        for gene in ("g00", "g03", "g39"):
            x, y = pair(world, gene, chosen)
            row, expected = across.loc[population, gene], reference.pearsonr(x, y)
            assert row["n"] == len(x)
            assert row["pearson"] == pytest.approx(expected.statistic)
            assert row["p"] == pytest.approx(expected.pvalue)
            assert row["spearman"] == pytest.approx(reference.spearmanr(x, y).statistic)
            interval = expected.confidence_interval()
            assert (row["ci_low"], row["ci_high"]) == pytest.approx(tuple(interval))
        q = reference.false_discovery_control(across.loc[population]["p"].dropna())
        np.testing.assert_allclose(across.loc[population]["q"].dropna(), q)
    assert across.loc[("pooled", "g03"), "n"] == PEOPLE - 30


def test_a_constant_prediction_is_kept_without_a_correlation(across):
    rows = across.xs("g07", level="gene_id")
    assert rows[["pearson", "spearman", "p", "q", "ci_low", "p_null"]].isna().all().all()
    assert rows.loc["pooled", "n"] == rows.loc["centred", "n"] == PEOPLE


def test_centred_is_the_partial_correlation_given_population(world, across):
    import statsmodels.api as sm

    panel, run = world
    for gene in ("g00", "g03", "g04"):
        x, y = pair(world, gene)
        frames = (panel.expression, run.people[panel.expression.columns])
        kept = np.all([f.loc[gene].notna() for f in frames], axis=0)
        design = np.column_stack([x, panel.groups[kept] == "EUR", np.ones(len(x))]).astype(float)
        assert across.loc[("centred", gene), "p"] == pytest.approx(
            sm.OLS(y, design).fit().pvalues[0]
        )
        assert across.loc[("centred", gene), "n"] == len(x)


def test_permuting_exchanges_predictions_within_population_only(world):
    panel, _ = world
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5, PEOPLE))
    y = np.where(rng.random(x.shape) < 0.2, np.nan, 1.0)
    moved = _permuted(x, y, panel.groups, seed=3)
    assert np.array_equal(np.isnan(moved), np.isnan(y))
    for i in range(5):
        for group in ("EUR", "AFR"):
            kept = (panel.groups == group) & ~np.isnan(y[i])
            assert sorted(moved[i, kept]) == sorted(x[i, kept])
    assert (moved != x)[~np.isnan(y)].mean() > 0.8
    # Without missing values everybody's predictions move together.
    whole = _permuted(x, np.ones_like(x), panel.groups, seed=3)
    sources = [np.searchsorted(np.sort(row), new) for row, new in zip(x, whole, strict=True)]
    source = [np.argsort(row)[s] for row, s in zip(x, sources, strict=True)]
    assert (source[0] == source[1]).all()


def test_the_permuted_control_keeps_nothing(across):
    """Populations differ in level on both sides; permuted within them, r is 0 but for chance."""
    r = across["pearson"].unstack(level="population")
    assert abs(r["permuted"].mean()) < 3 * r["permuted"].std() / np.sqrt(len(r))
    assert r["centred"].mean() > 0.2
    rng = np.random.default_rng(3)
    groups = np.repeat(["A", "B"], 60)
    level = np.where(groups == "A", 3.0, 0.0)
    ids, names = [f"g{i}" for i in range(40)], [f"p{i}" for i in range(120)]
    x, y = (pd.DataFrame(level + rng.normal(size=(40, 120)), ids, names) for _ in range(2))
    genes = pd.DataFrame({"gene_id": ids, "chrom": "1", "tss": 1})
    run = Predictions("m", x, pd.Series(np.nan, index=ids))
    table = across_table(Panel(y, genes, pd.Series(groups, index=names)), [run])
    r = table.groupby("population")["pearson"].mean()
    assert r["pooled"] > 0.6 and abs(r["permuted"]) < 0.05 > abs(r["centred"])


def test_the_null_is_the_genes_own(world, across):
    panel, _ = world
    row = across.loc["pooled", "g03"]
    r_k = null.gene_null(panel.dosages("g03")[0], panel.expression.loc["g03"], 500, seed=1)
    assert row["null_mean"] == pytest.approx(r_k.mean())
    assert row["null_sd"] == pytest.approx(r_k.std())
    assert row["p_null"] == pytest.approx(null.own_null(row["pearson"], r_k))
    assert across.drop("pooled", level="population")["p_null"].isna().all()


def test_without_genotypes_or_populations_fewer_rows(world):
    panel, run = world
    bare = Panel(panel.expression, panel.genes)
    table = across_table(bare, [run])
    assert set(table["population"]) == {"pooled", "permuted"} and table["null_mean"].isna().all()
    assert "lead_eqtl_r" not in set(features_table(bare, "s")["feature"])
    with pytest.raises(HowfarError, match="without genotypes"):
        lead_snp_run(bare)
    only_reference = Predictions("ref", None, run.reference)
    assert across_table(bare, [only_reference]).empty
    assert len(reference_table(bare, [only_reference])) == GENES


def test_reference_and_within(world):
    panel, run = world
    table = reference_table(panel, [run]).set_index("gene_id")
    assert table.loc["g03", "observed_mean"] == pytest.approx(panel.expression.loc["g03"].mean())
    assert table.loc["g01", "region"] == "test"
    within = within_table(panel, [run])
    assert (
        len(within) == PEOPLE
        and not within.astype(str).apply(lambda c: c.str.contains("person")).any().any()
    )
    eur = within[within["population"] == "EUR"]
    assert eur["rank"].tolist() == list(range(1, len(eur) + 1))
    assert eur["pearson"].is_monotonic_decreasing
    y = panel.expression.to_numpy().T
    x = run.people.loc[panel.expression.index, panel.expression.columns].to_numpy().T
    expected = [
        reference.pearsonr(a[~np.isnan(a + b)], b[~np.isnan(a + b)]).statistic
        for a, b in zip(x[panel.groups == "EUR"], y[panel.groups == "EUR"], strict=True)
    ]
    np.testing.assert_allclose(eur["pearson"], sorted(expected, reverse=True))


def test_features(world):
    panel, _ = world
    table = features_table(panel, "s").set_index(["feature", "gene_id"])["value"]
    assert set(table.index.levels[0]) <= set(tables.FEATURES)
    y = panel.expression.loc["g03"].dropna()
    assert table["median_expression", "g03"] == pytest.approx(y.median())
    linear = np.exp(y)
    assert table["cv_expression", "g03"] == pytest.approx(linear.std() / linear.mean())
    assert table["lead_eqtl_distance"].min() >= 0 and table["lead_eqtl_distance"].max() <= 600
    near = features_table(panel, "s", window=400)
    distance = near[near["feature"] == "lead_eqtl_distance"]["value"]
    assert distance.max() <= 200 and len(distance) == GENES


def test_the_lead_snp_run_and_the_individuals(world):
    panel, run = world
    lead, fold = lead_snp_run(panel, folds=4)
    assert lead.people.shape == (GENES, PEOPLE) and lead.reference.isna().all()
    assert (fold.nunique() == 1).all() and set(fold.iloc[0]) == {0, 1, 2, 3}
    assert within_table(panel, [lead]).empty and reference_table(panel, [lead]).empty
    table = individuals_table(panel, [run, lead], {"lead_snp": fold})
    assert len(table) == 2 * GENES * PEOPLE
    row = table.set_index(["run_id", "gene_id", "sample"]).loc[("lead_snp", "g05", "person8")]
    assert row["predicted"] == pytest.approx(lead.people.loc["g05", "person8"])
    assert row["observed"] == pytest.approx(panel.expression.loc["g05", "person8"])
    assert row["fold"] == fold.loc["g05", "person8"]
    assert table[table["run_id"] == "m"]["fold"].isna().all()


def test_every_table_is_written_and_read_as_its_schema_says(world, tmp_path):
    panel, run = world
    found = evaluate(panel, [run], "s", draws=200)
    found["numbers"] = numbers_table(tables.Tables("s", found), draws=200)
    for name, frame in found.items():
        path = tables.write(tmp_path / f"{name}.parquet", name, frame, {})
        pd.testing.assert_frame_equal(tables.read(path, name), frame)


@pytest.fixture(scope="module")
def numbers(world):
    panel, run = world
    lead, _ = lead_snp_run(panel)
    result = tables.Tables("s", evaluate(panel, [run, lead], "s", draws=500))
    assert judged(result["across"])["pearson"].count() > result["across"]["pearson"].count()
    return with_judged(result), numbers_table(result, draws=300).set_index("id")


def test_numbers_are_those_of_the_tables(numbers):
    result, found = numbers
    rows = result["reference"]
    expected = reference.spearmanr(rows["prediction"], rows["observed_mean"]).statistic
    assert found.loc["s.m.reference.spearman", "value"] == pytest.approx(expected)
    test = rows[rows["region"] == "test"]
    expected = reference.pearsonr(test["prediction"], test["observed_mean"]).statistic
    assert found.loc["s.m.reference.pearson.test", ["value", "n"]].tolist() == pytest.approx(
        [expected, 20]
    )
    pooled = result["across"].query("run_id == 'm' and population == 'pooled'")
    r = pooled["pearson"].dropna()  # a constant prediction counts as 0
    for what, value in {
        "mean_r": r.mean(),
        "median_r": r.median(),
        "mean_abs_r": r.abs().mean(),
        "share_negative": (r < 0).mean(),
        "genes_tested": GENES,
        "median_people": PEOPLE,
        "observed_sd": r.std(),
        "significant": (pooled["q"] <= 0.05).sum(),
        "min_r": r.min(),
    }.items():
        assert found.loc[f"s.m.across.pooled.{what}", "value"] == pytest.approx(value), what
    q = stats.benjamini_hochberg(pooled["p_null"])
    own = found.loc["s.m.across.pooled.significant_own_null", "value"]
    assert own == np.nansum(q <= 0.05) > 0
    both = with_feature(result, "m", "lead_eqtl_distance")
    rho = reference.spearmanr(both["lead_eqtl_distance"], both["pearson"]).statistic
    assert found.loc["s.m.trend.lead_eqtl_distance.r", "value"] == pytest.approx(rho)
    both = with_feature(result, "m", "lead_eqtl_log10p").sort_values("lead_eqtl_log10p")
    bins = found[found.index.str.startswith("s.m.trend.lead_eqtl_log10p.bin")]
    assert len(bins) == 6 and bins["n"].sum() == len(both)
    first = both["pearson"].iloc[: int(bins["n"].iloc[0])].mean()
    assert bins["value"].iloc[0] == pytest.approx(first)


def test_numbers_have_intervals_definitions_and_sources(numbers):
    _, found = numbers
    assert found["definition"].str.endswith(".").all() and found["source"].notna().all()
    mean = found.loc["s.lead_snp.across.pooled.mean_r"]
    assert mean["ci_low"] < mean["value"] < mean["ci_high"]
    assert "bootstrap over chromosomes" in mean["definition"]
    assert not found.index.str.contains(r"lead_snp\.(?:reference|within)").any()
    for rule in RULES:
        assert f"s.m.across.pooled.significant_{rule}" in found.index


def test_the_interval_of_the_mean_is_of_the_blocks(numbers):
    result, found = numbers
    pooled = (
        result["across"]
        .query("run_id == 'm' and population == 'pooled'")
        .dropna(subset=["pearson"])
    )
    chrom = pooled["gene_id"].map(result["genes"].set_index("gene_id")["chrom"])
    expected = stats.block_bootstrap(pooled["pearson"], chrom, np.mean, 300, seed=1)
    assert found.loc["s.m.across.pooled.mean_r", ["ci_low", "ci_high"]].tolist() == pytest.approx(
        list(expected)
    )


def test_blocks():
    ids = [f"g{i}" for i in range(10)]
    genes = pd.DataFrame({"gene_id": ids, "chrom": "1", "tss": np.arange(10) * 500_000 + 1})
    blocks, words = blocks_of(genes, ids)
    assert words == "1-Mb regions" and len(set(blocks)) == 5 and blocks[0] == blocks[1]
    assert blocks_of(genes.assign(chrom=list("1122334455")), ids)[1] == "chromosomes"
    assert blocks_of(genes.assign(tss=range(1, 11)), ids)[1].startswith("genes")
    assert blocks_of(genes.assign(chrom=None), ids)[1].startswith("genes")
    assert list(blocks_of(genes.assign(chrom=list("1122334455")), ids[::-1])[0]) == list(
        "5544332211"
    )


def test_binned_trend():
    rng = np.random.default_rng(0)
    feature = np.concatenate([rng.uniform(0, 100, 300), [100.0, 250.0, np.nan]])
    r = 0.5 - feature / 200 + rng.normal(0, 0.05, 303)
    blocks = np.arange(303) % 20
    found = binned_trend(feature, r, blocks, bins=[0, 10, 50, 100], draws=300)
    assert found["n_genes"].sum() == 301  # 250 lies outside, the last edge inside
    chosen = (feature >= 10) & (feature < 50)
    assert found.loc[1, "mean"] == pytest.approx(r[chosen].mean())
    assert found.loc[1, "centre"] == pytest.approx(np.median(feature[chosen]))
    assert (found["ci_low"] < found["mean"]).all() and (found["mean"] < found["ci_high"]).all()
    assert found["mean"].is_monotonic_decreasing
    edge = binned_trend([0, 10, 10, 20], [1, 2, 2, 2], list("abcd"), bins=[0, 10, 20], draws=50)
    assert edge["n_genes"].tolist() == [1, 3]  # a bin holds its lower edge
    quantiles = binned_trend(feature, r, blocks, bins=4, draws=50)
    assert quantiles["n_genes"].between(74, 77).all() and quantiles["n_genes"].sum() == 302
    assert binned_trend(feature, r, blocks, bins=[300, 400, 500])["mean"].isna().all()
    with pytest.raises(HowfarError, match="ascending"):
        binned_trend(feature, r, blocks, bins=[5, 1])
    with pytest.raises(HowfarError, match="edges"):
        binned_trend(np.ones(9), np.ones(9), np.arange(9))


def test_inputs_that_dont_fit_are_refused(world):
    panel, run = world
    with pytest.raises(HowfarError, match="1 gene that the gene table lacks"):
        Panel(panel.expression, panel.genes.iloc[1:])
    with pytest.raises(HowfarError, match="1 person of 90 without population") as caught:
        Panel(panel.expression, panel.genes, panel.populations.iloc[1:])
    assert "person0" not in str(caught.value)
    with pytest.raises(HowfarError, match="a population named 'pooled'"):
        Panel(panel.expression, panel.genes, panel.populations.replace("EUR", "pooled"))
    renamed = Predictions("m", run.people.rename(columns=str.upper), run.reference)
    with pytest.raises(HowfarError, match="0 people in common"):
        across_table(panel, [renamed])


def test_a_true_spread_comes_out_of_simulated_people():
    """Expression and predictions whose true r differs between genes, through the whole table."""
    rng = np.random.default_rng(4)
    rho = np.tanh(rng.normal(0.05, 0.2, 1500))[:, None]
    x = rng.normal(size=(1500, 100))
    y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=x.shape)
    ids = [f"g{i}" for i in range(1500)]
    genes = pd.DataFrame({"gene_id": ids, "chrom": [f"{i % 22}" for i in range(1500)], "tss": 1})
    panel = Panel(pd.DataFrame(y, index=ids).add_prefix("p"), genes)
    run = Predictions("m", pd.DataFrame(x, index=ids).add_prefix("p"), pd.Series(dtype=float))
    found = {"across": across_table(panel, [run]), "genes": genes}
    found |= {n: tables.empty(n) for n in ("reference", "within", "features")}
    numbers = numbers_table(tables.Tables("s", found), draws=200).set_index("id")["value"]
    assert numbers["s.m.across.pooled.true_sd"] == pytest.approx(rho.std(), rel=0.08)
    assert numbers["s.m.across.permuted.true_sd"] < 0.05


@pytest.mark.skipif(not GEUVADIS.exists(), reason="the public tables are not at hand")
def test_enformer_on_public_geuvadis_people():
    """Enformer without fine-tuning on real people: published numbers, from raw files."""
    observed = [
        pd.read_csv(
            GEUVADIS / "045615b70c4cdb4f4b1813e5980db2a6a327d5fe/linear_methods/manual_prior"
            f"/{split}_split.1Mb.LCL_weights/counts.csv",
            index_col=0,
        )
        for split in ("random", "population")
    ]
    observed = observed[0].combine_first(observed[1])
    predicted = pd.read_csv(
        GEUVADIS / "bfd093a8e52516f62d3d71db47263f8498919dc1/baseline"
        "/baseline_enformer.384_bins.rc.csv",
        index_col=0,
    )
    genes = pd.DataFrame({"gene_id": observed.index})
    for column in ("chrom", "tss"):
        genes[column] = None
    panel = Panel(observed, genes)
    run = Predictions("enformer", predicted, pd.Series(dtype=float))
    pooled = across_table(panel, [run]).query("population == 'pooled'")
    r, n = pooled["pearson"].dropna(), pooled["n"]
    assert (len(pooled), len(r)) == (500, 499)
    assert r.mean() == pytest.approx(0.04377954, abs=1e-8)
    assert (r.min(), r.max()) == pytest.approx((-0.796, 0.754), abs=5e-4)
    assert (n.min(), n.max()) == (132, 148)
    found = stats.spread(pooled["pearson"], n, pooled["gene_id"], draws=100)
    assert (found.observed_sd, found.sampling_sd) == pytest.approx((0.179, 0.085), abs=5e-4)
