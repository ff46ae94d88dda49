"""Agreement of models: correlations against scipy, pairs, and the numbers made of them."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats as scipy_stats

from helpers import synthetic
from howfar.evaluation import model_agreement as agreement
from howfar.evaluation.numbers import numbers_table
from howfar.results import tables
from howfar.study.schema import Study

GENES, PEOPLE = [f"g{i}" for i in range(12)], [f"p{i}" for i in range(40)]


@pytest.fixture
def people():
    """Three runs: b follows a, c is its opposite in half of the genes; some values missing."""
    rng = np.random.default_rng(7)
    a = rng.normal(size=(12, 40))
    sides = np.where(np.arange(12) < 6, -1, 1)[:, None]
    values = {"a": a, "b": a + rng.normal(size=a.shape), "c": sides * a + rng.normal(size=a.shape)}
    frames = {run: pd.DataFrame(v, GENES, PEOPLE) for run, v in values.items()}
    frames["b"].iloc[0, :5] = np.nan
    frames["c"].iloc[3] = 1.0  # a constant prediction
    return frames


def test_r_and_its_interval_are_those_of_scipy(people):
    found = agreement.agreement_table(people).set_index(["run_id", "other_id", "gene_id"])
    assert len(found) == 3 * 12
    row = found.loc[("a", "b", "g0")]
    x, y = people["a"].loc["g0", PEOPLE[5:]], people["b"].loc["g0", PEOPLE[5:]]
    known = scipy_stats.pearsonr(x, y)
    assert row["n"] == 35 and row["pearson"] == pytest.approx(known.statistic)
    assert row["spearman"] == pytest.approx(scipy_stats.spearmanr(x, y).statistic)
    ends = known.confidence_interval(0.95)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((ends.low, ends.high))
    constant = found.loc[("a", "c", "g3")]
    assert pd.isna(constant["pearson"]) and constant["n"] == 40


def test_people_and_genes_are_matched_by_name(people):
    found = agreement.agreement_table(people)
    rng = np.random.default_rng(1)
    shuffled = {
        run: frame.loc[rng.permutation(GENES), rng.permutation(PEOPLE)]
        for run, frame in people.items()
    }
    pd.testing.assert_frame_equal(found, agreement.agreement_table(shuffled))
    fewer = people | {"b": people["b"].drop(index="g5", columns="p39")}
    part = agreement.agreement_table(fewer).set_index(["run_id", "other_id", "gene_id"])
    assert ("a", "b", "g5") not in part.index and part.loc[("a", "b", "g6"), "n"] == 39


def test_a_run_that_repeats_another_is_left_out(people):
    split = people["a"].iloc[:6].copy()
    split.iloc[:, ::2] = np.nan
    found = agreement.agreement_table(people | {"a_split": split})
    assert set(found["run_id"]) | set(found["other_id"]) == {"a", "b", "c"}
    split.iloc[2, 1] += 0.1  # now it says something else
    found = agreement.agreement_table(people | {"a_split": split})
    assert "a_split" in set(found["other_id"])
    twice = agreement.agreement_table({"a": people["a"], "z": people["a"].copy()})
    assert twice.empty


def test_runs_without_a_gene_in_common_have_no_row(people):
    parts = {"a": people["a"].iloc[:3], "b": people["b"].iloc[3:]}
    assert agreement.agreement_table(parts).empty


def test_only_models_are_compared(tmp_path):
    synthetic.write(tmp_path, "open", numbers=False)
    runs = tables.load("open", tmp_path)["runs"]
    path = tables.path_of(tmp_path, "open", "individuals")
    found = agreement.of_individuals(tables.read(path, "individuals"), runs)
    pairs = found[["run_id", "other_id"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [["blup", "net"]] and len(found) == synthetic.GENES


def frames(people, effects=None):
    """Tables of a study in which the runs a, b and c predict people and the reference."""
    table = agreement.agreement_table(people)
    genes = pd.DataFrame({"gene_id": GENES, "name": GENES, "chrom": "1", "strand": "+"})
    genes["tss"] = 1 + 10_000 * np.arange(12)
    reference = pd.concat(
        [pd.DataFrame({"run_id": run, "gene_id": GENES, "prediction": people[run]["p0"].to_numpy()})
         for run in "ac"]
    )  # fmt: skip
    found = {name: tables.empty(name) for name in tables.SCHEMAS}
    found |= {"agreement": table, "genes": genes, "reference": reference.assign(region=None)}
    found["reference"]["observed_mean"] = np.nan
    return tables.Tables("s", found | ({} if effects is None else {"effects": effects}))


def test_numbers_are_medians_and_shares_of_the_table(people):
    result = frames(people)
    numbers = numbers_table(result, draws=200).set_index("id")
    rows = result["agreement"].query("run_id == 'a' and other_id == 'c'")["pearson"].dropna()
    row = numbers.loc["s.a.agreement.c.median"]
    assert row["value"] == pytest.approx(rows.median()) and row["n"] == 11
    assert row["ci_low"] <= row["value"] <= row["ci_high"]
    assert numbers.loc["s.a.agreement.c.share_negative", "value"] == (rows < 0).mean()
    both = people["a"]["p0"], people["c"]["p0"]
    known = scipy_stats.spearmanr(*both).statistic
    assert numbers.loc["s.a.agreement.c.reference", "value"] == pytest.approx(known)
    assert "s.a.agreement.b.reference" not in numbers.index


def test_one_changed_person_changes_the_numbers(people):
    before = numbers_table(frames(people), draws=200).set_index("id")["value"]
    people["b"].loc["g6", "p3"] += 5
    after = numbers_table(frames(people), draws=200).set_index("id")["value"]
    changed = set(before.index[before != after])
    assert any(".agreement.b." in key or "b.agreement" in key for key in changed)
    assert not any(key.startswith("s.a.agreement.c") for key in changed)


def effects_of(runs, source="model"):
    rng = np.random.default_rng(3)
    rows = [
        (run, "g1", f"1:{100 + 150 * i}:A:G", source, rng.normal(), 0.1, 100 + 150 * i - 10_001)
        for run in runs
        for i in range(30)
    ]
    columns = ["run_id", "gene_id", "variant", "source", "effect", "maf", "distance"]
    return tables.validate("effects", pd.DataFrame(rows, columns=columns), "test")


def test_effects_of_variants_are_compared_within_a_gene(people):
    found = effects_of(["a", "b"])
    numbers = numbers_table(frames(people, found), draws=200).set_index("id")
    wide = found.pivot(index="variant", columns="run_id", values="effect")
    row = numbers.loc["s.a.agreement.b.effects.g1"]
    assert row["value"] == pytest.approx(scipy_stats.spearmanr(wide["a"], wide["b"]).statistic)
    assert row["n"] == 30 and "stretches of 1 kb" in row["definition"]


def test_measured_effects_of_others_are_not_compared(people):
    numbers = numbers_table(frames(people, effects_of("ab", "eQTL")), draws=200)
    assert not numbers["id"].str.contains("effects").any()


def test_what_a_variant_drives_is_its_effect_times_its_spread():
    found = agreement.variants_of(effects_of(["a"]))
    row = found.iloc[0]
    # SD over people of dosage x effect / 2, dosage binomial(2, 0.1)
    assert row["driven"] == pytest.approx(abs(row["effect"]) / 2 * np.sqrt(2 * 0.1 * 0.9))


def published_by(monkeypatch, frames):
    """Make the published study `made` one whose loader returns these tables."""
    entry = SimpleNamespace(load=lambda: lambda study, files: dict(frames))
    monkeypatch.setattr("howfar.published.PUBLISHED", {"made": entry})


def test_published_people_are_compared_without_their_loader_asking(tmp_path, monkeypatch):
    from howfar import published

    synthetic.write(tmp_path, "open", numbers=False)
    made = {name: tables.load("open", tmp_path)[name] for name in ("runs", "genes", "across")}
    path = tables.path_of(tmp_path, "open", "individuals")
    made["individuals"] = tables.read(path, "individuals")
    published_by(monkeypatch, made)
    text = "name: open\ntitle: Open\npublished: {loader: made, needs: []}\n"
    text += "reality: {genotypes: a, expression: b, weights: c}\n"
    study = Study.model_validate(yaml.safe_load(text))
    found = published.load_published(study, tmp_path)["agreement"]
    assert len(found) == synthetic.GENES and set(found["n"]) == {synthetic.PEOPLE}
    own = tables.empty("agreement")
    published_by(monkeypatch, made | {"agreement": own})
    assert published.load_published(study, tmp_path)["agreement"].empty
