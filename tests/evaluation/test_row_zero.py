"""Controls without a model: by hand on numbers made here."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from howfar.cohort.panel import Panel
from howfar.evaluation import carriers, driver_halves, row_zero
from howfar.genome.intervals import Variant
from howfar.results.predictions import Predictions
from howfar.study.schema import Evaluation

GENES, PEOPLE = 30, 160


@pytest.fixture(scope="module")
def panel():
    """Genes that differ in level; the variant at the TSS acts, one far away does not."""
    rng = np.random.default_rng(1)
    ids, names = [f"g{i}" for i in range(GENES)], [f"p{i}" for i in range(PEOPLE)]
    dosages = rng.binomial(2, 0.4, (GENES, PEOPLE, 2)).astype(np.float32)
    level = rng.normal(0, 3, GENES)[:, None]
    y = level + 0.7 * dosages[:, :, 0] + rng.normal(size=(GENES, PEOPLE))
    genes = pd.DataFrame({"gene_id": ids, "chrom": [f"{i % 8}" for i in range(GENES)], "tss": 1000})
    variants = [Variant("1", place, "A", "C") for place in (1004, 1800)]
    groups = pd.Series(np.repeat(["EUR", "YRI"], [100, 60]), index=names)
    read = lambda gene: (dosages[ids.index(gene)], variants)  # noqa: E731
    return Panel(pd.DataFrame(y, ids, names), genes, groups, read)


def test_the_look_up_is_the_mean_of_other_people(panel):
    table = row_zero.rows(panel, Evaluation()).set_index("method")
    y, groups = panel.expression, panel.populations
    known, theirs = y.loc[:, groups == "EUR"].mean(axis=1), y.loc[:, groups == "YRI"]
    row = table.loc["lookup"]
    assert row["group"] == "EUR to YRI" and row["n"] == GENES
    assert row["value"] == pytest.approx(np.corrcoef(known, theirs.mean(axis=1))[0, 1])
    assert row["ci_low"] <= row["value"] <= row["ci_high"]
    pairs = np.corrcoef(np.repeat(known, 60), theirs.to_numpy().ravel())[0, 1]
    assert table.loc["lookup_pairs", "value"] == pytest.approx(pairs)
    assert pairs < row["value"]


def test_the_nearest_variant_is_used_out_of_fold(panel):
    row = row_zero.rows(panel, Evaluation()).set_index("method").loc["nearest_variant"]
    truth = 0.7 * np.sqrt(2 * 0.4 * 0.6)
    assert row["value"] == pytest.approx(truth / np.sqrt(truth**2 + 1), abs=0.06)


def test_without_populations_and_genotypes_halves_are_looked_up(panel):
    bare = Panel(panel.expression, panel.genes)
    table = row_zero.rows(bare, Evaluation())
    assert table["method"].tolist() == ["lookup", "lookup_pairs"] and (table["value"] > 0.9).all()


def test_a_driver_foretells_r_by_construction_in_the_same_people_only(panel):
    """Where a prediction's effects have random signs, only the same people tell those of r."""
    rng = np.random.default_rng(2)
    values = {g: panel.dosages(g)[0][:, 1] * rng.choice([-1, 1]) for g in panel.expression.index}
    people = pd.DataFrame(values, index=panel.expression.columns).T
    noise = panel.expression * 0 + rng.normal(size=panel.expression.shape)
    empty = Panel(noise, panel.genes, panel.populations, panel.dosages)
    run = Predictions("net", people, pd.Series(np.nan, index=people.index))
    shares = driver_halves.rows(empty, [run]).set_index("group")["value"]
    assert shares["the same people"] == 1
    assert shares["other people"] < 0.8
    acts = {g: panel.dosages(g)[0][:, 0] for g in panel.expression.index}
    run = Predictions("net", pd.DataFrame(acts, index=people.columns).T, run.reference)
    shares = driver_halves.rows(panel, [run]).set_index("group")["value"]
    assert shares["other people"] > 0.95

    def with_a_missing_call(gene):
        dosages, variants = panel.dosages(gene)
        return np.where(np.arange(dosages.size).reshape(dosages.shape), dosages, np.nan), variants

    holes = Panel(panel.expression, panel.genes, panel.populations, with_a_missing_call)
    again = driver_halves.rows(holes, [run]).set_index("group")
    assert again["value"]["other people"] > 0.95 and again["n"].min() > 0


def test_people_are_counted_by_what_they_carry(panel):
    table = carriers.rows(panel, ["g3"])
    carried = (panel.dosages("g3")[0] > 0).sum(axis=1)
    assert table.set_index("x")["value"].to_dict() == pd.Series(carried).value_counts().to_dict()
