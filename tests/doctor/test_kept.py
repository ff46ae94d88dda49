"""What is kept is listed with its size and why it is stale; only what was named is removed."""

import json

import numpy as np
import pytest

from helpers.commands import invoke
from howfar import attribution, genome, linear, training
from howfar.attribution import attribute, profiles
from howfar.cohort.files import input_files
from howfar.cohort.opened import OpenCohort
from howfar.core import sealed
from howfar.core.errors import HowfarError
from howfar.core.provenance import digest
from howfar.core.versions import versions_of
from howfar.doctor.kept import list_kept
from howfar.prediction import run as running
from howfar.prediction.store import require_store
from howfar.results.cache import Units
from howfar.training import fine_tune


@pytest.fixture
def made(study, model, results_folder):
    """The tiny study with predictions, effects and a linear model."""
    listed = study.model_copy(
        update={"baselines": study.baselines.model_copy(update={"models": ["top1"], "folds": 2})}
    )
    invoke(listed, results_folder, "predict")
    invoke(listed, results_folder, "effects", "--gene", "g1")
    invoke(listed, results_folder, "baseline")
    return listed


def states(study, results) -> dict[str, list[tuple[str, ...]]]:
    found: dict[str, list[tuple[str, ...]]] = {}
    for item in list_kept(study, results):
        found.setdefault(item.step, []).append(item.reasons)
    return found


def test_what_was_just_made_is_current(made, results_folder):
    found = states(made, results_folder)
    assert set(found) == {"predictions", "effects", "linear model"}
    assert all(reasons == () for each in found.values() for reasons in each)
    assert all(item.size > 0 for item in list_kept(made, results_folder))


def test_gradients_and_attributions_are_kept_things_too(made, model, results_folder, monkeypatch):
    cohort, run = OpenCohort(made), made.runs[0]
    store = require_store(cohort, run, results_folder)
    parent = profiles.folder_of(results_folder, made.name)
    Units.open(parent, run.id, profiles.key_of(run, store)).write("g1", {"base": np.ones(3)})
    for on in ("reference", "P1"):
        question = attribute.Question(cohort.gene("g1"), "ism", on, 8)
        attribute.attribute_study(cohort, run, model, question, results_folder)
    found = states(made, results_folder)
    assert found["gradients"] == [()] and found["attribution"] == [(), ()]
    assert set(found) == {"predictions", "effects", "gradients", "attribution", "linear model"}
    monkeypatch.setattr(attribution, "VERSION", attribution.VERSION + 1)
    found = states(made, results_folder)
    assert found["attribution"] == [("versions.attribution",)] * 2
    assert found["gradients"] == [("versions.attribution",)]


def test_a_raised_version_makes_stale_what_it_touches_and_says_so(
    made, results_folder, monkeypatch
):
    monkeypatch.setattr(linear, "VERSION", linear.VERSION + 1)
    found = states(made, results_folder)
    assert set(found["linear model"]) == {("versions.linear",)}
    assert found["predictions"] == [()]
    monkeypatch.setattr(genome, "VERSION", genome.VERSION + 1)
    assert states(made, results_folder)["predictions"] == [("versions.genome",)]


def test_trainings_are_kept_things_too(made, results_folder, monkeypatch):
    folder = results_folder / made.name / "finetune" / "one"
    inputs = {role: digest(path) for role, path in input_files(made).items()}
    versions = versions_of(*fine_tune.LAYERS)
    sealed.write_json(folder / fine_tune.MADE_OF, {"inputs": inputs, "versions": versions})
    (folder.parent / "mpra.csv").write_text("made data")
    assert states(made, results_folder)["training"] == [(), ()]
    said = {item.run: item.describe() for item in list_kept(made, results_folder)}
    assert said["one"].endswith("current") and "training mpra: mpra.csv" in said["mpra"]
    monkeypatch.setattr(training, "VERSION", training.VERSION + 1)
    made.cohort.samples.write_text(made.cohort.samples.read_text() + "\n")
    assert states(made, results_folder)["training"][1] == ("inputs.samples", "versions.training")
    (folder / fine_tune.MADE_OF).write_text("{")
    assert "damaged" in states(made, results_folder)["training"][1][0]


def test_changed_inputs_and_dropped_runs_are_named(made, results_folder):
    genes = made.cohort.genes
    genes.write_text(genes.read_text().replace("g1,g1", "g1,renamed"))
    assert states(made, results_folder)["predictions"] == [("inputs.genes",)]
    without = made.model_copy(update={"runs": []})
    assert states(without, results_folder)["predictions"] == [("nothing of the study asks for it",)]


def test_results_of_an_older_version_are_recognised_and_never_read(made, results_folder):
    older = results_folder / "tiny" / "predictions" / "g-0123456789ab.zarr"
    older.mkdir()
    (older / "zarr.json").write_text(json.dumps({"attributes": {"definition": {}}}))
    older.with_suffix(".json").write_text("{}")
    with pytest.raises(HowfarError, match="0 genes; 1 stale: `howfar doctor --study"):
        changed = made.runs[0].model_copy(update={"id": "older"})
        older.rename(older.with_name("older-0123456789ab.zarr"))
        require_store(OpenCohort(made), changed, results_folder)
    older.with_name("older-0123456789ab.zarr").rename(older)
    reasons = states(made, results_folder)["predictions"]
    assert ("made by an older version of howfar",) in reasons and () in reasons
    invoke(made, results_folder, "predict")
    assert older.is_dir()  # never deleted unasked
    said = invoke(made, results_folder, "doctor").stdout
    assert "g-0123456789ab.zarr" in said and "older version" in said and "clean --study" in said


def test_clean_removes_what_was_named_after_saying_it(made, model, results_folder):
    older = results_folder / "tiny" / "predictions" / "g-0123456789ab.zarr"
    older.mkdir()
    done = invoke(made, results_folder, "clean", "--stale", "--yes")
    assert older.name in done.stdout and not older.exists()
    assert states(made, results_folder)["predictions"] == [()]
    refused = invoke(made, results_folder, "clean")  # nobody answers
    assert refused.exit_code == 1 and "predictions g" in refused.stdout
    assert states(made, results_folder)["predictions"] == [()]
    invoke(made, results_folder, "clean", "--run", "g", "--yes")
    assert set(states(made, results_folder)) == {"linear model"}
    model.seen = 0
    running.predict(made, made.runs[0], results_folder)
    assert model.seen == 7
