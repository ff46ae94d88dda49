import numpy as np
import pandas as pd
import pytest

from howfar.cohort import panel
from howfar.core.errors import HowfarError
from howfar.core.registry import TABLES
from howfar.evaluation.inputs import read_inputs
from howfar.evaluation.study_tables import frames_of
from howfar.prediction import run as predict
from howfar.prediction.store import describe, network_row
from howfar.results import tables


def with_expression(study, path):
    return study.model_copy(update={"cohort": study.cohort.model_copy(update={"expression": path})})


@pytest.fixture
def frames(study, model, results_folder):
    predict.predict(study, study.runs[0], results_folder)
    return frames_of(study, results_folder)[0]


def test_every_table_is_made_and_keeps_its_schema(frames):
    assert set(frames) == set(tables.SCHEMAS) - {"numbers", "points"}
    for name, frame in frames.items():
        tables.validate(name, frame, "test")


def test_r_over_people_is_that_of_the_two_haplotypes_and_the_expression(frames):
    across = frames["across"].set_index(["run_id", "population", "gene_id"])
    # g1: predictions 0.5, 1, 0, 0 against 1, 2, 0.5, 0.1
    row = across.loc[("g", "pooled", "g1")]
    expected = np.corrcoef([0.5, 1, 0, 0], [1, 2, 0.5, 0.1])[0, 1]
    assert row["n"] == 4 and row["pearson"] == pytest.approx(expected)


def test_reference_predictions_stand_beside_mean_expression(frames):
    row = frames["reference"].query("run_id == 'g' and gene_id == 'g1'").iloc[0]
    assert row["prediction"] == 0 and row["observed_mean"] == pytest.approx(0.9)


def test_the_rival_is_out_of_fold_and_named(frames):
    runs = frames["runs"].set_index("run_id")
    assert runs.loc["lead_snp", "kind"] == "lead_snp" and "2 folds" in runs.loc["lead_snp", "split"]
    assert runs.loc["g", "transform"] == "sum_bins > mean_tracks > mean_haplotypes"
    held = frames["individuals"].query("run_id == 'lead_snp'")
    assert set(held["fold"]) == {0, 1} or set(held["fold"]) == {1, 2}


def test_missing_predictions_are_an_error_that_names_the_command(study, model, results_folder):
    with pytest.raises(HowfarError, match="Run `howfar predict --study tiny --run g`"):
        frames_of(study, results_folder)


def test_a_study_without_expression_cannot_be_evaluated(study, model, results_folder):
    with pytest.raises(HowfarError, match="key cohort.expression"):
        frames_of(with_expression(study, None), results_folder)


def test_gene_ids_that_never_match_are_an_error(study, model, results_folder, tmp_path):
    frame = pd.read_csv(tmp_path / "expression.csv", index_col=0)
    frame.rename(index=lambda g: f"{g}.7").to_csv(tmp_path / "versions.csv")
    with pytest.raises(HowfarError, match="gene_versions: strip"):
        frames_of(with_expression(study, tmp_path / "versions.csv"), results_folder)


def test_dosages_beyond_the_cache_are_read_again(study, model, results_folder, monkeypatch):
    monkeypatch.setattr(panel, "_CACHE_BYTES", 0)
    predict.predict(study, study.runs[0], results_folder)
    again, _ = frames_of(study, results_folder)
    monkeypatch.undo()
    monkeypatch.setattr(predict, "load_model", lambda *_, **__: model)
    kept, _ = frames_of(study, results_folder)
    for name in kept:
        pd.testing.assert_frame_equal(again[name], kept[name])


def test_units_say_whether_a_logarithm_was_taken(study, model):
    run = study.runs[0]
    logged = run.model_copy(update={"transform": [*run.transform, "log1p"]})
    network = describe(run, model)
    assert network_row(study, run, network)["units"] == "letters per bin"
    assert network_row(study, logged, network)["units"] == "log of letters per bin"


def test_runs_on_unphased_dosage_are_labelled(study, model):
    run = study.runs[0]
    network = describe(run, model)
    assert network_row(study, run, network)["label"] == run.label
    cohort = study.cohort.model_copy(update={"unphased": "dosage"})
    mixed = study.model_copy(update={"cohort": cohort})
    assert network_row(mixed, run, network)["label"] == f"{run.label} (unphased dosage)"


def test_each_maker_works_alone(study, model, results_folder, frames):
    inputs = read_inputs(study, results_folder)
    for name in TABLES:
        table = TABLES.load(name)(inputs)
        assert table.name == name
        pd.testing.assert_frame_equal(table.frame, frames[name])


def test_no_weights_are_loaded(study, model, results_folder, frames, monkeypatch):
    monkeypatch.setattr(predict, "load_model", None)
    again, _ = frames_of(study, results_folder)
    assert set(again) == set(frames)


def test_a_run_without_predictions_leaves_no_folder(study, model, results_folder):
    with pytest.raises(HowfarError):
        frames_of(study, results_folder)
    assert not [p for p in results_folder.rglob("*") if p.is_dir() and p.name == "predictions"]
