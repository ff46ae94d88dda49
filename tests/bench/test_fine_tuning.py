"""A trained network beside linear models: the same people, groups, windows; seeds go on."""

from __future__ import annotations

import numpy as np
import pytest

import howfar as hf
from helpers import reduced_networks
from howfar.bench import fine_tuning
from howfar.bench.fine_tuning import ACROSS, BLUP, GENES, NETWORK, PEOPLE, PRIOR
from howfar.study.schema import Run
from howfar.training.fine_tune import prepare

pytestmark = pytest.mark.usefixtures("one_thread")
SPLITS = {"population": "none", "validation": 0.3}
OPTIONS = {"epochs": 1, "people": 6, "accumulate": 1}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = reduced_networks.demo_enformer(tmp_path_factory.mktemp("network"))
    run = Run(id="toy", label="toy", model="demo-enformer", weights=folder, tracks=["a"])
    cohort = hf.example_cohort()
    cohort.study = cohort.study.model_copy(update={"runs": [run]})
    return cohort


@pytest.fixture(scope="module")
def made(cohort):
    return prepare(cohort, "variformer", None, None, OPTIONS, SPLITS).splits


@pytest.fixture(scope="module")
def table(cohort, made):
    return fine_tuning.compared(cohort, cohort.study.runs[0], made)


def test_groups_are_those_of_the_splits(cohort, made, table):
    r, means = table
    for gene, kind in made.genes.items():
        rows = r[r["gene_id"] == gene]
        assert set(rows["group"]) == {GENES if kind == "unseen" else PEOPLE}
        assert rows["n"].eq(len(made.of(gene, "test"))).all()
        assert (BLUP in set(rows["method"])) == (kind != "unseen")
    assert list(means.index) == made.trained


def test_linear_models_train_on_those_who_train_the_network(cohort, made, monkeypatch, table):
    """Values of all others are replaced, and no prediction of a linear model changes."""
    gene = cohort.gene(made.trained[0])
    samples, run = list(cohort.samples), cohort.study.runs[0]
    y = cohort.expression.values.loc[gene.gene_id, samples].to_numpy(float)
    trains = np.isin(samples, made.of(gene.gene_id, "train"))
    from howfar.prediction.run import open_model

    arguments = cohort, run, open_model(run), gene
    found = fine_tuning._linear(*arguments, y, trains)
    poisoned = fine_tuning._linear(*arguments, np.where(trains, y, 1e6), trains)
    assert set(found) == {BLUP, "enet", PRIOR}
    for name in found:
        np.testing.assert_array_equal(found[name], poisoned[name])


def test_rows_are_means_over_genes(cohort, table):
    r, means = table
    genes = cohort.panel().genes
    rows = fine_tuning.summarised(r, means, genes, 1).set_index(["group", "method"])
    part = r[(r["group"] == PEOPLE) & (r["method"] == NETWORK)]
    assert rows.loc[(PEOPLE, NETWORK), "r"] == pytest.approx(part["r"].mean())
    assert rows.loc[(PEOPLE, NETWORK), "genes"] == len(part)
    expected = np.corrcoef(means["observed"], means["look_up"])[0, 1]
    assert rows.loc[(ACROSS, "look_up"), "r"] == pytest.approx(expected)
