"""An exported folder has what figures need, and nothing that is private or large."""

import pytest

from helpers.commands import invoke
from howfar.core.errors import HowfarError
from howfar.prediction import run as running
from howfar.results import tables
from howfar.results.export import export_study


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


def test_person_level_tables_go_along_where_the_study_is_public(
    evaluated, results_folder, tmp_path
):
    public = evaluated.model_copy(update={"individuals": "public"})
    export_study(public, results_folder, tmp_path / "out")
    assert (tmp_path / "out" / "tiny" / "individuals" / "individuals.parquet").is_file()


def test_a_folder_without_tables_or_onto_itself_is_an_error(study, results_folder, tmp_path):
    with pytest.raises(HowfarError, match="no result tables"):
        export_study(study, results_folder, tmp_path / "out")
    with pytest.raises(HowfarError, match="another folder than the results"):
        export_study(study, results_folder, results_folder)
