"""The share of the heritable part that a prediction reaches, on tables whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from howfar.evaluation import heritability
from howfar.results import tables

GENES = 60


def make(h2: np.ndarray, r: dict[str, np.ndarray], groups=("pooled",), summary=()) -> tables.Tables:
    """Tables of genes on 12 chromosomes; one group of people per third, half, ... of the genes."""
    genes = [f"G{i:03d}" for i in range(len(h2))]
    part = np.array(groups)[np.arange(len(h2)) % len(groups)]
    place = {"chrom": [f"chr{i % 12}" for i in range(len(h2))], "tss": 1, "strand": "+"}
    feature = {"gene_id": genes, "feature": "h2", "source": "GCTA", "value": h2, "se": 0.05}
    runs = list(dict.fromkeys([*r, *(label for _, label, *_ in summary)]))
    frames = {
        "genes": pd.DataFrame({"gene_id": genes, "name": genes, **place}),
        "features": pd.DataFrame(feature),
        "across": pd.concat(
            [
                pd.DataFrame(
                    {"run_id": run, "gene_id": genes, "population": part, "n": 77, "pearson": v}
                )
                for run, v in r.items()
            ]
        ),
        "runs": pd.DataFrame({"run_id": runs, "label": runs, "kind": "linear", "model": runs}),
        "summary": pd.DataFrame(
            list(summary), columns=["set", "method", "group", "replicate", "value"]
        ),
    }
    frames["runs"]["study"] = "test"
    return tables.Tables(
        "test",
        {n: tables.validate(n, frames.get(n, tables.empty(n)), "test") for n in tables.SCHEMAS},
    )


@pytest.fixture
def h2() -> np.ndarray:
    return np.random.default_rng(1).uniform(0.02, 0.6, GENES)


def test_half_of_the_ceiling_for_every_gene_is_a_half_without_an_interval(h2):
    found = heritability.attained(make(h2, {"half": 0.5 * np.sqrt(h2)})).iloc[0]
    assert found["ratio"] == pytest.approx(0.5)
    assert found["ci_low"] == pytest.approx(0.5) and found["ci_high"] == pytest.approx(0.5)
    assert found["ceiling"] == pytest.approx(np.sqrt(h2).mean()) and found["genes"] == GENES
    assert found["rms"] == pytest.approx(np.sqrt(h2.mean())) and found["per_gene"]


def test_one_better_gene_raises_the_share_by_its_part(h2):
    r = 0.5 * np.sqrt(h2)
    r[7] += 0.3
    found = heritability.attained(make(h2, {"run": r})).iloc[0]
    assert found["ratio"] == pytest.approx(0.5 + 0.3 / np.sqrt(h2).sum())
    assert found["ci_low"] < found["ratio"] < found["ci_high"]


def test_a_negative_estimate_is_a_root_of_0_and_stays_in_the_mean_of_h2(h2):
    h2[3] = -0.4
    found = heritability.ceilings(make(h2, {"run": h2 * 0})).iloc[0]
    assert found["ceiling"] == pytest.approx(np.sqrt(np.maximum(h2, 0)).mean())
    assert found["rms"] == pytest.approx(np.sqrt(h2.mean()))
    assert found["ci_low"] < found["ceiling"] < found["ci_high"]


def test_a_constant_prediction_counts_as_0(h2):
    r = 0.5 * np.sqrt(h2)
    r[:10] = np.nan
    found = heritability.attained(make(h2, {"run": r})).iloc[0]
    assert found["genes"] == GENES
    assert found["mean_r"] == pytest.approx(np.nan_to_num(r).mean())


def test_groups_are_the_populations_where_nobody_is_pooled(h2):
    made = make(h2, {"run": 0.5 * np.sqrt(h2)}, groups=("one", "two"))
    found = heritability.attained(made).set_index("group")
    assert set(found.index) == {"one", "two"} and (found["genes"] == GENES / 2).all()
    assert found.loc["one", "ceiling"] == pytest.approx(np.sqrt(h2[::2]).mean())


def test_a_method_with_a_published_mean_alone_has_the_interval_of_the_ceiling(h2):
    rows = [("performance", "net", "pooled", i, 0.1 + 0.1 * i) for i in (1, 2)]
    rows.append(("performance", "run", "pooled", 1, 0.9))  # its genes are known: not used
    rows.append(("training_size", "net", "pooled", 1, 0.9))
    made = make(h2, {"run": 0.5 * np.sqrt(h2)}, summary=rows)
    found = heritability.attained(made).set_index("run_id")
    limit = heritability.ceilings(made).iloc[0]
    assert list(found.index) == ["run", "net"] and not found.loc["net", "per_gene"]
    assert found.loc["net", "ratio"] == pytest.approx(0.25 / limit["ceiling"])
    assert found.loc["net", "ci_low"] == pytest.approx(0.25 / limit["ci_high"])
    assert found.loc["run", "ratio"] == pytest.approx(0.5)


def test_a_study_without_heritability_has_no_rows(h2):
    made = make(h2, {"run": h2})
    made.frames["features"] = tables.empty("features")
    assert heritability.attained(made).empty and heritability.ceilings(made).empty


def test_the_interval_covers_the_true_ratio_with_noisy_h2_and_r():
    """True r = 0.5 sqrt(h2); errors of h2 so small that its floor at 0 is idle."""
    rng, covered, draws = np.random.default_rng(5), 0, 60
    made = make(np.full(120, 0.3), {"run": np.zeros(120)})
    for _ in range(draws):
        true = rng.uniform(0.2, 0.6, 120)
        noisy = (np.sqrt(true) + rng.normal(0, 0.03, 120)) ** 2
        made.frames["features"]["value"] = noisy
        made.frames["across"]["pearson"] = 0.5 * np.sqrt(true) + rng.normal(0, 0.1, 120)
        row = heritability.attained(made).iloc[0]
        covered += row["ci_low"] <= 0.5 <= row["ci_high"]
    assert 0.85 <= covered / draws <= 1


def test_a_ceiling_whose_interval_reaches_0_leaves_the_upper_end_open(h2):
    h2[12:] = -0.1  # eleven of twelve chromosomes have no gene with a positive estimate
    h2[:12] = -0.1
    h2[0] = 0.4
    made = make(h2, {"run": h2}, summary=[("performance", "net", "pooled", 1, 0.2)])
    found = heritability.attained(made).set_index("run_id").loc["net"]
    assert found["ci_low"] > 0 and np.isnan(found["ci_high"])


@pytest.mark.parametrize(
    ("alone", "groups"), [(30, {"mixed": 0.8, "YRI": 0.5}), (29, {"pooled": 0})]
)
def test_genes_judged_in_one_population_stand_apart(h2, alone, groups):
    told = np.where(np.arange(GENES) < alone, 0.5, 0.8)
    result = make(h2, {"m": told * np.sqrt(h2)})
    pooled = result["across"]
    each = pooled.assign(population=np.where(np.arange(GENES) < alone, "YRI", "EUR"))
    each.loc[each["population"] == "EUR", "n"] = 40
    across = pd.concat(
        [pooled, each, each.query("population == 'EUR'").assign(population="YRI", n=37)]
    )
    result = tables.Tables("test", result.frames | {"across": across})
    found = heritability.attained(result).set_index("group")
    assert set(found.index) == set(groups)
    for group, share in groups.items():
        if share:
            assert found.loc[group, "ratio"] == pytest.approx(share)
            assert found.loc[group, "genes"] == 30
            limit = heritability.ceilings(result).set_index("group")["ceiling"]
            assert found.loc[group, "ceiling"] == pytest.approx(limit[group])
