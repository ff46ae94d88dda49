"""Effects before and after a training: classes of carriers, slopes, the networks' own effects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

import howfar as hf
from helpers import reduced_networks
from howfar.bench import trained_effects
from howfar.study.schema import Run
from howfar.training.fine_tune import fine_tune

pytestmark = pytest.mark.usefixtures("one_thread")


def test_classes_are_of_those_who_carry_the_rarer_allele():
    x = np.zeros((80, 6))
    x[:, 1] = 2  # nobody lacks it
    x[0, 2], x[0, 3] = 1, 2
    x[:, 4] = np.where(np.arange(80) < 79, 2, 1)
    x[:3, 5] = 1
    found = ["absent", "absent", "private", "private", "private", "rare"]
    assert list(trained_effects.kinds(x)) == found
    assert trained_effects.kinds(np.repeat([[0.0], [1.0]], 5, axis=0))[0] == "common"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = reduced_networks.demo_enformer(tmp_path_factory.mktemp("network"))
    run = Run(id="toy", label="toy", model="demo-enformer", weights=folder, tracks=["a"])
    cohort = hf.example_cohort()
    cohort.study = cohort.study.model_copy(update={"runs": [run]})
    given = {"options": {"epochs": 1, "people": 6, "pairs": 3}, "splits": {"population": "none"}}
    results = tmp_path_factory.mktemp("r")
    done = fine_tune(cohort, "pair_regression", run, results=results, say=lambda _: None, **given)
    return cohort, done, trained_effects.measure(cohort, done.folder)


def test_slopes_are_of_those_who_train_and_of_others(made):
    cohort, done, table = made
    splits = done.config["splits"]
    row = table.dropna(subset=["slope", "slope_others"]).iloc[0]
    people = splits["people"][splits["genes"][row["gene_id"]]]
    gene = cohort.gene(row["gene_id"])
    dosages, variants = cohort.dosages(gene, 1024)
    x = pd.Series(dosages[:, [str(v) for v in variants].index(row["variant"])], cohort.samples)
    y = cohort.expression.values.loc[gene.gene_id, cohort.samples]
    trains = people["train"]
    z = (y - y[trains].mean()) / y[trains].std(ddof=0)
    others = [p for p in cohort.samples if p not in [*trains, *people["validation"]]]
    for name, who in (("slope", trains), ("slope_others", others)):
        assert row[name] == pytest.approx(scipy_stats.linregress(x[who], z[who]).slope)
    trained = [g for g, k in splits["genes"].items() if k != "unseen"]
    of_genes = {g for g in trained if cohort.dosages(cohort.gene(g), 1024)[1]}
    assert set(table["gene_id"]) == of_genes and len(of_genes) == 2
    assert not np.allclose(table["before"], table["after"])
    assert table["after"].std() == pytest.approx(1)


def test_means_are_over_genes_within_a_gene(made):
    cohort, done, table = made
    rows = trained_effects.summarised(table, cohort.panel().genes, done.folder)
    rows = rows.set_index(["kind", "network", "against"])
    of_genes = []
    for _, part in table.groupby("gene_id"):
        both = part[["after", "slope"]].dropna()
        if len(both) > 2 and both.nunique().min() > 1:
            of_genes.append(both.corr().iloc[0, 1])
    row = rows.loc[("all", "after", "slope")]
    assert row["value"] == pytest.approx(np.mean(of_genes)) and row["genes"] == len(of_genes)
    size = table.groupby("gene_id")["before"].apply(lambda e: e.abs().mean()).mean()
    assert rows.loc[("all", "before", "size"), "value"] == pytest.approx(size)
