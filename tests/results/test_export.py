"""An exported folder has what figures need, and nothing that is private or large."""

import shutil

import pandas as pd
import pytest

from helpers import synthetic
from helpers.commands import invoke
from howfar.core.errors import HowfarError
from howfar.prediction import run as running
from howfar.results import export, policy, tables
from howfar.results.export import export_study
from howfar.study.reading import load_study


@pytest.fixture
def evaluated(study, model, results_folder):
    invoke(study, results_folder, "predict")
    invoke(study, results_folder, "evaluate")
    return study


def test_tables_are_evaluated_and_exported_without_weights(
    evaluated, results_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(running, "load_model", lambda *_, **__: pytest.fail("loaded weights"))
    invoke(evaluated, results_folder, "evaluate")
    out = tmp_path / "laptop"
    done = invoke(evaluated, results_folder, "export", "--to", out)
    assert "files" in done.stdout
    here, there = (tables.load("tiny", folder) for folder in (results_folder, out))
    for name in here:
        assert here[name].equals(there[name])
    names = {path.suffix for path in out.rglob("*") if path.is_file()}
    assert names == {".parquet", ".json"}
    assert not (out / "tiny" / "individuals").exists()  # a private study


def test_points_of_a_public_study_go_along_without_anybodys_name(
    evaluated, results_folder, tmp_path
):
    public = evaluated.model_copy(update={"individuals": "public"})
    written = export_study(public, results_folder, tmp_path / "out")
    people = [path.name for path in written if path.parent.name == "individuals"]
    assert people == ["points.parquet"]
    there = policy.read_points(public, tmp_path / "out")
    assert there.equals(policy.read_points(public, results_folder)) and len(there) == 16
    with pytest.raises(HowfarError, match="when the study was public"):
        export_study(evaluated, results_folder, tmp_path / "out")


def test_weights_leave_where_the_study_says_so(evaluated, results_folder, tmp_path):
    weights = results_folder / "tiny" / "baseline" / "top1.weights.parquet"
    weights.parent.mkdir()
    weights.write_bytes(b"trained on people")
    for study in (evaluated, evaluated.model_copy(update={"weights": "shareable"})):
        names = {path.name for path in export_study(study, results_folder, tmp_path / "out")}
        assert (weights.name in names) == (study.weights == "shareable")


def test_tables_of_a_laxer_policy_do_not_leave(evaluated, results_folder, tmp_path):
    stricter = evaluated.model_copy(update={"min_people": 10})
    with pytest.raises(HowfarError, match="values of 1 or more people.*howfar evaluate"):
        export_study(stricter, results_folder, tmp_path / "out")


def test_a_folder_without_tables_or_onto_itself_is_an_error(study, results_folder, tmp_path):
    with pytest.raises(HowfarError, match="no result tables"):
        export_study(study, results_folder, tmp_path / "out")
    with pytest.raises(HowfarError, match="another folder than the results"):
        export_study(study, results_folder, results_folder)


def test_tables_for_a_book_are_small_hold_nobody_and_come_back(results_folder, tmp_path):
    """In single precision; drawn as if the study had been computed."""
    study = load_study("demo_kind")
    synthetic.write(results_folder, "demo_kind")
    before = tables.load("demo_kind", results_folder)
    written = export.export_summary(study, results_folder, tmp_path / "kind")
    names = {path.stem for path in written}
    assert not names & set(tables.PERSON_LEVEL)
    shutil.rmtree(results_folder / "demo_kind")
    brings = study.model_copy(update={"drawn_from": tmp_path / "kind"})
    export.take_tables(brings, results_folder)
    after = tables.load("demo_kind", results_folder)
    for name in names:
        pd.testing.assert_frame_equal(before[name], after[name], rtol=1e-6)
    with pytest.raises(HowfarError, match="key drawn_from: found no such key"):
        export.take_tables(load_study("demo"), results_folder)


@pytest.mark.parametrize(
    ("name", "run", "most"),
    [("demo_kind", "demo-cage-a", 500_000), ("demo_peaks", "demo-accessibility", 600_000)],
)
def test_committed_tables_are_small_and_of_their_study(results_folder, name, run, most):
    study = load_study(name)
    files = export.take_tables(study, results_folder)
    assert sum(path.stat().st_size for path in files) <= most
    found = tables.load(name, results_folder)
    assert {run, "blup", "truth"} <= set(found["runs"]["run_id"])
    assert found["numbers"]["id"].str.startswith(f"{name}.").all()
