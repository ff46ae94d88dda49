"""Two runs gene by gene, drivers and eQTLs: by hand, by scipy, by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats as reference
from statsmodels.stats.multitest import multipletests

from howfar.evaluation import run_comparison
from howfar.evaluation.run_comparison import (
    beyond_null,
    compare_sides,
    driver_types,
    false_positive_rate,
    null_p,
    share_interval,
    summarise_pair,
)

GENES = pd.DataFrame(
    {"gene_id": [f"g{i}" for i in range(40)], "chrom": [f"{i % 8}" for i in range(40)], "tss": 5}
)


def across(rng: np.random.Generator) -> pd.DataFrame:
    parts = []
    for run, shift in (("net", 0.0), ("lin", 0.2)):
        for population in ("pooled", "EUR"):
            r = np.clip(rng.normal(shift, 0.15, 40), -1, 1)
            part = pd.DataFrame({"gene_id": GENES["gene_id"], "pearson": r, "n": 100})
            parts.append(part.assign(run_id=run, population=population))
    table = pd.concat(parts, ignore_index=True)
    table.loc[3, "pearson"] = np.nan  # gene g3 of the network
    return table


def test_pairs_are_the_pooled_genes_of_both():
    table = across(np.random.default_rng(1))
    rows = run_comparison.paired(table, "net", "lin")
    assert len(rows) == 39 and "g3" not in set(rows["gene_id"])
    pooled = table[table["population"] == "pooled"].set_index(["run_id", "gene_id"])["pearson"]
    assert (
        rows.set_index("gene_id")["difference"]["g7"] == pooled["net", "g7"] - pooled["lin", "g7"]
    )
    found = summarise_pair(rows, GENES)
    both = pooled.unstack(0).dropna()
    assert (found.genes, found.unit) == (39, "chromosomes")
    assert found.difference == pytest.approx((both["net"] - both["lin"]).mean())
    assert found.wins == (both["net"] > both["lin"]).sum()
    assert found.losses == 39 - found.wins
    assert found.r == pytest.approx(reference.pearsonr(both["net"], both["lin"]).statistic)
    # blocks are unrelated to r here: the interval is about the one of a t test
    test = reference.ttest_rel(both["net"], both["lin"]).confidence_interval()
    width = found.difference_ci[1] - found.difference_ci[0]
    assert width == pytest.approx(test.high - test.low, rel=0.5)
    assert found.difference_ci[0] < found.difference < found.difference_ci[1] < 0


def test_one_changed_r_changes_the_winner():
    table = across(np.random.default_rng(1))
    before = summarise_pair(run_comparison.paired(table, "net", "lin"), GENES)
    lost = run_comparison.paired(table, "net", "lin").query("difference < 0")["gene_id"].iloc[0]
    here = (table["run_id"] == "net") & (table["gene_id"] == lost)
    table.loc[here & (table["population"] == "pooled"), "pearson"] = 0.99
    after = summarise_pair(run_comparison.paired(table, "net", "lin"), GENES)
    assert (after.wins, after.losses) == (before.wins + 1, before.losses - 1)
    table.loc[here & (table["population"] == "EUR"), "pearson"] = -0.99
    again = summarise_pair(run_comparison.paired(table, "net", "lin"), GENES)
    assert again == after


def test_the_rule_of_the_study_with_missing_p_as_one():
    rng = np.random.default_rng(5)
    r = rng.uniform(-0.5, 0.5, 60)
    r[:4] = np.nan
    rows = pd.DataFrame({"pearson": r, "null_mean": 0.05, "null_sd": rng.uniform(0.02, 0.1, 60)})
    t = (np.abs(r) - 0.05) / np.sqrt(rows["null_sd"] / 50)
    p = np.where(t < 0, 1, reference.t.sf(t, 49))
    p[:4] = 1
    expected = multipletests(p, 0.05, "fdr_bh")[0]
    np.testing.assert_array_equal(beyond_null(rows), expected)
    assert 0 < expected.sum() < 60 and null_p(rows).isna().sum() == 4
    rows["p_null"] = np.where(np.isnan(r), np.nan, 0.5)
    assert not beyond_null(rows, "own_null").any()


@pytest.mark.parametrize(
    ("rule", "level", "least", "most"),
    [
        ("standard_error", 0.05, 0.3, 0.45),
        ("normal_tail", 0.05, 0.05, 0.08),
        ("normal_tail", 1e-3, 3e-3, 7e-3),  # several times too many far in the tail
    ],
)
def test_chance_passes_as_often_as_simulated_draws_do(rule, level, least, most):
    assert least < false_positive_rate(0.05, 1.52, rule, level) < most


def test_false_positive_rate_of_a_yardstick_far_too_long_is_zero():
    assert false_positive_rate(1e-5, 1.5, "as_published") == 0


DRIVERS = pd.DataFrame(
    {
        "gene_id": ["g1", "g1", "g1", "g2", "g4"],
        "effect": [0.5, -0.2, 0.1, -0.3, 0.4],
        "eqtl_slope": [0.1, 0.4, 0.0, -0.2, np.nan],
        "is_main": [True, False, False, True, None],
    }
)


def test_driver_types_by_sign():
    found = driver_types(DRIVERS).tolist()
    assert found == ["supported", "unsupported", "neither", "supported", "neither"]


def test_support_per_gene_by_hand():
    table = across(np.random.default_rng(1)).query("run_id == 'net'")
    table.loc[table["gene_id"] == "g1", "pearson"] = 0.5
    table.loc[table["gene_id"] == "g2", "pearson"] = -0.3
    table.loc[table["gene_id"] == "g4", "pearson"] = 0.2
    features = pd.DataFrame({"gene_id": ["g1", "g2"], "feature": "linear_approximation_r"})
    features = features.assign(source="x", value=[0.9, 0.1])
    found = run_comparison.support(DRIVERS, table, features).set_index("gene_id")
    assert found.loc["g1", ["drivers", "supported", "unsupported"]].tolist() == [3, 1 / 3, 1 / 3]
    assert found["main"].dropna().to_dict() == {"g1": "supported", "g2": "supported"}
    assert found["side"].dropna().to_dict() == {"g1": "positive", "g2": "negative"}
    assert run_comparison.trusted(found.reset_index())["gene_id"].tolist() == ["g1"]
    unknown = run_comparison.support(DRIVERS, table, features.iloc[:0])
    assert run_comparison.trusted(unknown)["gene_id"].tolist() == ["g1", "g2"]


def test_sides_differ_by_the_mean_with_the_p_of_scipy():
    rng = np.random.default_rng(9)
    side = np.where(np.arange(40) < 25, "positive", "negative")
    share = np.where(side == "positive", rng.uniform(0.4, 1, 40), rng.uniform(0, 0.6, 40))
    table = pd.DataFrame({"gene_id": GENES["gene_id"], "side": side, "supported": share})
    found = compare_sides(table, GENES)
    up, down = share[:25], share[25:]
    assert (found.positive, found.negative) == (25, 15)
    assert found.difference == pytest.approx(up.mean() - down.mean())
    assert found.p == pytest.approx(reference.mannwhitneyu(up, down).pvalue)
    assert found.ci[0] < found.difference < found.ci[1]
    alone = compare_sides(table[table["side"] == "positive"], GENES)
    assert np.isnan(alone.p) and np.isnan(alone.difference)


def test_interval_of_a_share_resamples_blocks():
    hits = pd.Series((np.arange(40) % 8 < 4).astype(float))  # whole chromosomes hit or miss
    low, high = share_interval(hits, GENES["gene_id"], GENES)
    assert low < 0.25 and high > 0.75
    mixed = pd.Series((np.arange(40) // 8 % 2).astype(float))  # the same share on each
    low, high = share_interval(mixed, GENES["gene_id"], GENES)
    assert high - low < 1e-9
    assert np.isnan(share_interval(hits[:0], GENES["gene_id"][:0], GENES)).all()


def test_constant_predictions_count_as_zero_and_unpublished_ones_as_missing():
    r = pd.DataFrame(
        {
            "run_id": ["a", "b", "c"] * 2 + ["a", "b", "d"],
            "gene_id": ["g1"] * 3 + ["g2"] * 3 + ["g3"] * 2 + ["g1"],
            "population": "pooled",
            "n": pd.array([50, 50, None, 50, 50, 50, 50, 50, 2], "Int64"),
            "pearson": [0.4, np.nan, np.nan, 0.1, 0.2, 0.3, np.nan, np.nan, np.nan],
            "spearman": np.nan,
        }
    )
    found = run_comparison.judged(r)["pearson"]
    assert found[1] == 0 and found[[2, 6, 7, 8]].isna().all()  # no n, no r at all, two people
    assert found[[0, 3, 4, 5]].tolist() == [0.4, 0.1, 0.2, 0.3]


def test_a_run_on_few_genes_does_not_stand_beside_the_others():
    counts = {"net": 100, "lead": 300, "blup": 100, "bslmm": 8}
    parts = [
        pd.DataFrame({"run_id": run, "gene_id": np.arange(n), "pearson": 0.1})
        for run, n in counts.items()
    ]
    across = pd.concat(parts).assign(population="pooled")
    kinds = {"net": "network", "lead": "lead_snp", "blup": "linear", "bslmm": "linear"}
    assert run_comparison.comparable(across, kinds) == ["blup", "lead", "net"]
    assert "net" not in run_comparison.comparable(across, dict.fromkeys(counts, "linear"))
    assert run_comparison.comparable(across.iloc[:0], kinds) == []
