"""Sweeps of linear models: one thing changes, the same people are judged, larger draws nest."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from typer.testing import CliRunner

from helpers.linear_cohort import PEOPLE, small_study
from howfar import stats
from howfar.cli import app
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.evaluation import sweep
from howfar.evaluation.sweep import Options, Setting, fewer, read_sweeps, sweep_gene
from howfar.linear.folds import nested


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    study, x, _ = small_study(folder)
    return study, OpenCohort(study), x, folder


def test_texts_are_read():
    read = read_sweeps(["window=10kb,49152,1Mb", "people=20%,1", "maf=0.01"])
    assert read == {"window": (10_000, 49_152, 1_000_000), "people": (0.2, 1), "maf": (0.01,)}


@pytest.mark.parametrize(
    "text", ["window", "window=-1kb", "window=1gb", "people=120%", "people=0", "maf=0.6", "age=3"]
)
def test_other_texts_are_refused(text):
    with pytest.raises(HowfarError, match=r"window=10kb,\.\.\.,1Mb"):
        read_sweeps([text])


def test_fewer_people_train_and_the_same_are_predicted():
    whole = nested(40, 4, 1)
    half, most = fewer(whole, 0.5, 3), fewer(whole, 0.8, 3)
    for (every, held), (some, same), (more, _) in zip(
        whole.parts, half.parts, most.parts, strict=True
    ):
        assert some.sum() == 15 and more.sum() == 24 and (held == same).all()
        assert not (some & ~more).any() and not (more & ~every).any()
    assert (fewer(whole, 1, 3).fold() == whole.fold()).all()
    assert not (fewer(whole, 0.5, 4).parts[0][0] == half.parts[0][0]).all()


def test_each_setting_is_a_fit_of_its_own(made):
    study, cohort, x, _ = made
    settings = [Setting("window", 400), Setting("window", 62), Setting("maf", 0.49)]
    settings += [Setting("people", 0.5, 2), Setting("people", 1.0)]
    gene = cohort.gene("near")
    r, trained = sweep_gene(cohort, gene, "top1", settings)
    assert trained.tolist() == [30, 30, 30, 15, 30]
    assert r[4] == r[0] and len(set(r.tolist())) >= 3
    # 62 bp around base 300 hold the sites at 270..330 alone; by hand, with scikit-learn
    y = cohort.expression.values.loc["near", cohort.samples].to_numpy(float)
    near, predicted = x[:, 2:9], np.zeros(PEOPLE)
    for trains, held in nested(PEOPLE, 4, study.baselines.seed).parts:
        best = np.argmax(np.abs(stats.pearson_rows(near[trains].T, y[trains])[0]))
        fit = LinearRegression().fit(near[trains][:, [best]], y[trains])
        predicted[held] = fit.predict(near[held][:, [best]]) - y[trains].mean()
    assert r[1] == pytest.approx(np.corrcoef(predicted, y)[0, 1], abs=1e-6)


def test_rows_count_genes_and_people_and_go_on(made, monkeypatch):
    study, cohort, _, folder = made
    options = Options(("top1",), window=(62, 400), people=(0.5, 1.0), seeds=(1, 2))
    rows = pd.read_parquet(sweep.run(study, folder, options))
    means = rows[rows["set"].str.endswith(".mean")]
    assert means["n"].eq(2).all()  # `flat` has no variance, so no r
    people = means[means["set"] == "sweep_people.mean"].set_index("x")
    assert people.index.tolist() == [15, 30] and people["ci_low"].notna().all()
    of_seeds = rows[(rows["set"] == "sweep_people") & (rows["x"] == 15)]
    assert of_seeds["replicate"].tolist() == [1, 2]
    assert people.loc[15, "value"] == pytest.approx(of_seeds["value"].mean())
    assert len(sweep.load(cohort, folder)) == len(rows)
    sweep.path_of(folder, study.name).unlink()
    monkeypatch.setattr(sweep, "sweep_gene", None)  # nothing is fitted again
    again = pd.read_parquet(sweep.run(study, folder, options))
    pd.testing.assert_frame_equal(again, rows)


def test_a_bad_sweep_ends_the_command_in_a_message():
    words = ["baseline", "--study", "demo", "--models", "top1", "--sweep", "window=wide"]
    done = CliRunner().invoke(app.app, words)
    assert done.exit_code == 1
