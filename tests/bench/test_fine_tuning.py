"""A trained network beside linear models: the same people, groups, windows; seeds go on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import howfar as hf
from helpers import reduced_networks
from howfar.bench import fine_tuning
from howfar.bench.fine_tuning import ACROSS, BLUP, GENES, NETWORK, PEOPLE, PRIOR, TUNED
from howfar.study.schema import Run
from howfar.training.fine_tune import FineTuned, prepare

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
    for gene, kind in made.genes.items():
        rows = table[table["gene_id"] == gene]
        assert set(rows["group"]) == ({GENES} if kind == "unseen" else {PEOPLE, ACROSS})
        assert rows["n"].eq(len(made.of(gene, "test"))).all()
        assert (BLUP in set(rows["method"])) == (kind != "unseen")
    assert list(table.loc[table["group"] == ACROSS, "gene_id"].unique()) == made.trained


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
    part = table[(table["group"] == PEOPLE) & (table["method"] == NETWORK)]
    tuned = part.assign(method=TUNED, r=part["r"] + np.linspace(0.1, 0.3, len(part)))
    rows = fine_tuning.summarised(pd.concat([tuned, table]), cohort.panel().genes, 1)
    rows = rows.set_index(["group", "method"])
    assert rows.loc[(PEOPLE, NETWORK), "r"] == pytest.approx(part["r"].mean())
    assert rows.loc[(PEOPLE, NETWORK), "genes"] == len(part)
    assert rows.loc[(PEOPLE, NETWORK), "gain"] == pytest.approx(0.2)
    assert 0.1 <= rows.loc[(PEOPLE, NETWORK), "gain_low"] <= 0.2
    assert np.isnan(rows.loc[(GENES, NETWORK), "gain"])
    means = table[table["group"] == ACROSS].pivot(index="gene_id", columns="method", values="r")
    expected = np.corrcoef(means["observed"], means["look_up"])[0, 1]
    assert rows.loc[(ACROSS, "look_up"), "r"] == pytest.approx(expected)


def test_seeds_are_added_and_averaged_by_gene(cohort, made, table, tmp_path, monkeypatch):
    """Seed 0 is the mean over seeds; other settings' rows stay; linear models are fitted once."""
    fitted, scores = [], {}
    for seed in (1, 2):
        part = table[(table["group"] == PEOPLE) & (table["method"] == NETWORK)]
        scores[seed] = part.drop(columns="method").assign(r=part["r"] + seed)

    def trained(cohort, strategy, run, *, results, name, options, splits, say):
        folder = tmp_path / "finetune" / name
        folder.parent.mkdir(exist_ok=True)
        config = {"steps": 3, "epochs": 1, "seconds": 1.0}
        return FineTuned(folder, config, scores[options["seed"]])

    monkeypatch.setattr(fine_tuning, "fine_tune", trained)
    monkeypatch.setattr(fine_tuning, "OpenCohort", lambda study: cohort)
    monkeypatch.setattr(fine_tuning, "compared", lambda *_: fitted.append(1) or table)
    given = {"strategy": "variformer", "options": OPTIONS, "splits": SPLITS}
    for setting in ("default", "others"):
        found = fine_tuning.measure(
            cohort.study, tmp_path, tmp_path / "t.csv", seeds=(1, 2), setting=setting, **given
        )
    assert len(fitted) == 2
    r = found[(found["group"] == PEOPLE) & (found["method"] == TUNED)].set_index(
        ["setting", "seed"]
    )["r"]
    assert len(r) == 6
    assert (
        r["default", 0]
        == pytest.approx((r["default", 1] + r["default", 2]) / 2)
        == pytest.approx(r["others", 0])
    )
