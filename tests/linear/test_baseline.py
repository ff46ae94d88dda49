"""Linear models of every gene of a study."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from helpers.linear_cohort import NAMES, PEOPLE, small_study
from howfar import linear
from howfar.cli import app
from howfar.cohort.opened import OpenCohort
from howfar.core import provenance
from howfar.core.errors import HowfarError
from howfar.evaluation.study_tables import frames_of
from howfar.linear import baseline
from howfar.linear.cis import CisOptions
from howfar.linear.weights import apply, read_weights
from howfar.prediction import run as predict
from howfar.results import tables
from howfar.study.schema import Study


@pytest.fixture
def made(tmp_path):
    """(study, dosages, expression)."""
    return small_study(tmp_path)


def run(study, results, model="top1", split="nested", **options):
    return baseline.run(study, baseline.plan_of(study, model, split), results, **options).rows


def individuals(results, model="top1"):
    path = baseline.folder_of(results, "linear") / f"{model}.parquet"
    long = tables.read(path, "individuals")
    return long.pivot(index="gene_id", columns="sample", values="predicted"), long


def test_every_gene_has_a_status(made, tmp_path):
    rows = run(made[0], tmp_path / "r").set_index("gene_id")
    assert rows["status"].to_dict() == {
        "near": "fitted", "flat": "constant_expression", "alone": "no_variants"
    }  # fmt: skip
    assert rows["n_variants"].to_dict() == {"near": 12, "flat": 7, "alone": 0}
    assert rows.loc["near", ["parts_fitted", "parts", "n_people"]].tolist() == [4, 4, PEOPLE]


def test_predictions_are_out_of_fold_least_squares(made, tmp_path):
    study, x, expression = made
    run(study, tmp_path)
    predicted, long = individuals(tmp_path)
    y = expression.loc["near"].to_numpy()
    near = long[long["gene_id"] == "near"].set_index("sample").loc[NAMES]
    for k in range(4):
        held = (near["fold"] == k).to_numpy()
        slope, level = np.polyfit(x[~held, 2], y[~held], 1)
        expected = level + slope * x[held, 2] - y[~held].mean()  # as a deviation
        np.testing.assert_allclose(near["predicted"][held], expected, atol=1e-12)
    assert held.sum() == 10
    np.testing.assert_allclose(near["observed"], y)


def test_nobodys_own_expression_is_used(made, tmp_path):
    study, _, expression = made
    run(study, tmp_path / "one", "enet")
    before, long = individuals(tmp_path / "one", "enet")
    fold = long[long["gene_id"] == "near"].set_index("sample")["fold"]
    changed = expression.copy()
    held = [name for name in NAMES if fold[name] == 0]
    changed.loc["near", held] += np.arange(len(held)) * 10.0
    changed.to_csv(study.cohort.expression)
    run(study, tmp_path / "two", "enet")
    after, _ = individuals(tmp_path / "two", "enet")
    np.testing.assert_array_equal(before.loc["near", held], after.loc["near", held])
    others = [name for name in NAMES if name not in held]
    assert not np.allclose(before.loc["near", others], after.loc["near", others])


def test_finished_genes_are_kept_and_changed_options_are_another_work(made, tmp_path):
    study = made[0]
    run(study, tmp_path)
    parts = next(baseline.folder_of(tmp_path, "linear").glob("top1-*"))
    stamp = {p.name: p.stat().st_mtime_ns for p in parts.iterdir()}
    (parts / "near.npz").unlink()
    run(study, tmp_path)
    again = {p.name: p.stat().st_mtime_ns for p in parts.iterdir()}
    assert [name for name in stamp if again[name] != stamp[name]] == ["near.npz"]
    plan = baseline.Plan("top1", CisOptions(window=300), folds=4)
    baseline.run(study, plan, tmp_path)
    assert len(list(parts.parent.glob("top1-*"))) == 2


@pytest.mark.parametrize("room", [0, 1 << 20])
def test_models_that_share_the_genotypes_are_those_fitted_alone(made, tmp_path, monkeypatch, room):
    monkeypatch.setattr(baseline, "_KEPT_BYTES", room)
    plans = [baseline.plan_of(made[0], model) for model in ("top1", "blup")]
    together = list(baseline.run_all(made[0], plans, tmp_path / "both"))
    for plan, shared in zip(plans, together, strict=True):
        alone = baseline.run(made[0], plan, tmp_path / "alone")
        assert alone.counts == shared.counts and alone.counts
        pd.testing.assert_frame_equal(*(m.rows.drop(columns="seconds") for m in (alone, shared)))
        paths = [f"{where}/linear/baseline/{plan.model}.parquet" for where in ("both", "alone")]
        pd.testing.assert_frame_equal(
            *(tables.read(tmp_path / path, "individuals") for path in paths)
        )


def test_each_gene_keeps_the_commit_that_made_it(made, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "commit", lambda: "old")
    run(made[0], tmp_path, gene="near")
    monkeypatch.setattr(provenance, "commit", lambda: "new")
    run(made[0], tmp_path)
    block = tables.read_provenance(baseline.folder_of(tmp_path, "linear") / "top1.parquet")
    assert block["commits"] == {"old": 1, "new": 2} and block["commit"] == "new"


def test_a_raised_version_makes_finished_models_stale(made, tmp_path, monkeypatch):
    run(made[0], tmp_path)
    monkeypatch.setattr(linear, "VERSION", linear.VERSION + 1)
    with pytest.raises(HowfarError, match=r"another way: versions\.linear"):
        baseline.read_finished(OpenCohort(made[0]), "top1", tmp_path)
    run(made[0], tmp_path)
    assert len(list(baseline.folder_of(tmp_path, "linear").glob("top1-*"))) == 2


def test_a_list_of_people_counts_by_what_it_holds(made, tmp_path):
    keys = []
    for name, people in {"a": NAMES[:25], "b": NAMES[:25], "c": NAMES[:24]}.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(people))
        plan = baseline.plan_of(made[0], "top1", f"people:{tmp_path / name}.txt")
        keys.append(baseline.key_of(OpenCohort(made[0]), plan).digest)
    assert keys[0] == keys[1] != keys[2]


def test_a_model_fitted_in_memory_is_that_of_the_command(made, tmp_path):
    study = made[0]
    cohort = OpenCohort(study)
    fit = baseline.fit_linear(cohort, "top1", seed=study.baselines.seed)
    rows = run(study, tmp_path)
    predicted, _ = individuals(tmp_path)
    pd.testing.assert_frame_equal(fit.people, predicted, check_dtype=False)
    columns = ["gene_id", "status", "intercept", "n_selected"]
    pd.testing.assert_frame_equal(fit.genes[columns], rows[columns])
    kept = pd.read_parquet(baseline.folder_of(tmp_path, "linear") / "top1.weights.parquet")
    assert fit.weights["variant"].tolist() == kept["variant"].tolist() == ["1:270:A:G"]
    (finished,) = baseline.finished(cohort, tmp_path)
    assert finished.run_row == fit.run_row
    assert list(baseline.fit_linear(cohort, "enet", ["near"], folds=3).people.index) == ["near"]


def test_several_processes_give_the_same(made, tmp_path):
    run(made[0], tmp_path / "one")
    run(made[0], tmp_path / "two", cores=2)
    one, two = (individuals(tmp_path / name)[0] for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two)


def test_weights_are_of_a_fit_on_everybody(made, tmp_path):
    study, x, expression = made
    run(study, tmp_path)
    weights = read_weights(baseline.folder_of(tmp_path, "linear") / "top1.weights.parquet")
    cohort = OpenCohort(study)
    genes = {g.gene_id: g for g in cohort.genes}
    values, counts = apply(weights, list(genes), lambda g: cohort.dosages(genes[g], 400))
    slope, level = np.polyfit(x[:, 2], expression.loc["near"], 1)
    np.testing.assert_allclose(values.loc["near"], level + slope * x[:, 2])
    assert weights.table["pos"].tolist() == [270]
    assert counts["alleles same"] == 1
    np.testing.assert_allclose(values.loc["alone"], expression.loc["alone"].mean())


@pytest.mark.parametrize(
    ("split", "trained", "predicted"),
    [("fraction:0.75", 30, 10), ("population:X>Y", 20, 20), ("population:X>Y:15", 15, 20)],
)
def test_fixed_splits(made, tmp_path, split, trained, predicted):
    study = made[0]
    rows = run(study, tmp_path, split=split)
    assert (rows["parts"] == 1).all()
    cut = baseline.make_split(OpenCohort(study), baseline.plan_of(study, "top1", split))
    assert cut.parts[0][0].sum() == trained
    assert individuals(tmp_path)[0].shape == (3, predicted)


def test_a_list_of_people_trains(made, tmp_path):
    (tmp_path / "list.txt").write_text("\n".join(NAMES[:25]))
    run(made[0], tmp_path, split=f"people:{tmp_path / 'list.txt'}")
    assert set(individuals(tmp_path)[0].columns) == set(NAMES[25:])


@pytest.mark.parametrize(
    "split",
    [
        "half",
        "fraction:much",
        "people:nowhere.txt",
        "population:X",
        "population:X>Y:few",
        "classes:Z",
    ],
)
def test_an_unknown_split_is_refused(made, tmp_path, split):
    with pytest.raises(HowfarError, match="option split"):
        run(made[0], tmp_path, split=split)


def test_some_genes_are_drawn(made, tmp_path):
    options = made[0].baselines.model_copy(update={"genes": {"top1": 2}})
    study = made[0].model_copy(update={"baselines": options})
    assert len(run(study, tmp_path)) == 2


def test_the_evaluation_takes_finished_models(made, tmp_path):
    study = made[0]
    cohort = OpenCohort(study)
    assert baseline.finished(cohort, tmp_path) == []
    assert cohort.warnings["linear models left out: top1 (no such file)"] == 1
    run(study, tmp_path)
    (found,) = baseline.finished(cohort, tmp_path)
    assert found.predictions.people.shape == (3, PEOPLE) == found.folds.shape
    assert found.run_row["label"] == "Top SNP" and found.run_row["kind"] == "linear"
    assert found.run_row["split"] == "out of fold, 4 folds of people"
    run(study, tmp_path, split="fraction:0.5")
    with pytest.raises(HowfarError, match=r"made in another way: options\.split"):
        baseline.read_finished(cohort, "top1", tmp_path)


def test_the_file_says_what_it_was_made_from(made, tmp_path):
    run(made[0], tmp_path)
    block = tables.read_provenance(baseline.folder_of(tmp_path, "linear") / "top1.parquet")
    assert block["parameters"]["options"]["cis"]["window"] == 400
    assert set(block["inputs"]) == {"reference", "variants", "genes", "expression", "samples"}
    rows = pd.read_parquet(baseline.folder_of(tmp_path, "linear") / "top1.genes.parquet")
    assert json.loads(rows["details"][0])["n_selected"] == 1


def test_the_command(made, tmp_path):
    study = made[0]
    path = tmp_path / "linear.yaml"
    path.write_text(json.dumps(study.model_dump(mode="json")))
    shell = CliRunner()
    done = shell.invoke(
        app.app, ["--results", str(tmp_path / "r"), "baseline", "--study", str(path),
                  "--models", "top1,enet", "--folds", "3"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "enet: 3 genes: " in done.output
    assert (tmp_path / "r/linear/baseline/enet.weights.parquet").is_file()
    wrong = shell.invoke(app.app, ["baseline", "--study", str(path), "--models", "ridge"])
    assert isinstance(wrong.exception, HowfarError) and "ridge" in str(wrong.exception)


def test_weights_are_applied_by_a_command(made, tmp_path):
    study, x, expression = made
    path = tmp_path / "linear.yaml"
    path.write_text(json.dumps(study.model_dump(mode="json")))
    run(study, tmp_path / "r")
    weights, csv = tmp_path / "r/linear/baseline/top1.weights.parquet", tmp_path / "out.csv"
    words = ["apply-weights", f"--study={path}", f"--weights={weights}", f"--csv={csv}"]
    done = CliRunner().invoke(app.app, words)
    assert done.exit_code == 0, done.output
    assert "3 genes x 40 people" in done.output and "counted alleles same: 1" in done.output
    found = pd.read_csv(csv, index_col=0).loc["near", NAMES]
    slope, level = np.polyfit(x[:, 2], expression.loc["near"], 1)
    np.testing.assert_allclose(found, level + slope * x[:, 2])


def test_all_result_tables_have_the_linear_models(made, tmp_path, model):
    """As for a network: correlations, folds and the row that says how it was made."""
    network = {
        "id": "g",
        "label": "G",
        "model": "helpers.tiny:count_letters",
        "tracks": ["G"],
        "bins": "centre3",
    }
    options = {"null_draws": 100, "bootstrap": 100, "folds": 2}
    dumped = made[0].model_dump() | {"runs": [network], "evaluation": options}
    study = Study.model_validate(dumped)
    predict.predict(study, study.runs[0], tmp_path)
    run(study, tmp_path)
    frames, _ = frames_of(study, tmp_path)
    runs = frames["runs"].set_index("run_id")
    assert runs.loc["top1", "kind"] == "linear" and runs.loc["top1", "context"] == 400
    across = frames["across"].set_index(["run_id", "gene_id", "population"])["pearson"]
    own, _ = individuals(tmp_path)
    near = made[2].loc["near", own.columns]
    expected = np.corrcoef(own.loc["near"], near)[0, 1]
    assert across["top1", "near", "pooled"] == pytest.approx(expected)
    people = frames["individuals"]
    assert set(people.loc[people["run_id"] == "top1", "fold"]) == {0, 1, 2, 3}


def test_a_class_of_genes_nobody_trains_on(made, tmp_path):
    """With one contig all genes are unseen: nothing is predicted, and the status says why."""
    rows = run(made[0], tmp_path, split="classes:Y")
    assert set(rows["status"]) == {"too_few_people"}
    assert individuals(tmp_path)[0].isna().all(axis=None)
