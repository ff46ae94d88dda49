import json
import subprocess

import nbformat
import pytest
from typer.testing import CliRunner

from helpers.commands import invoke
from howfar.book.execute import execute_notebook
from howfar.cli import app
from howfar.core import provenance
from howfar.core.counts import describe_warnings
from howfar.core.errors import HowfarError
from howfar.core.project import project_root
from howfar.core.warm import warm_command
from howfar.prediction import estimate
from howfar.prediction import run as predict
from howfar.results import tables
from howfar.study.reading import load_study
from howfar.workflow.needs import fetch_missing, require
from inputs import page, running


def test_predictions_of_one_person_are_written_as_csv(study, model, results_folder, tmp_path):
    invoke(study, results_folder, "predict", "--sample", "P1", "--out", tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_text() == (
        "gene_id,run_id,reference,P1\ng1,g,0.0,0.5\ng2,g,0.0,1.0\n"
    )


def test_evaluation_writes_tables_with_provenance(study, model, results_folder):
    invoke(study, results_folder, "predict")
    invoke(study, results_folder, "evaluate")
    found = tables.load("tiny", results_folder)
    assert len(found["numbers"]) and found["across"]["run_id"].nunique() == 2
    block = tables.read_provenance(tables.path_of(results_folder, "tiny", "across"))
    assert set(block["inputs"]) == {"reference", "variants", "genes", "expression", "samples"}
    assert block["seed"] == 1 and block["parameters"]["study"]["name"] == "tiny"
    assert "P1" not in json.dumps(block)


def test_a_run_or_model_that_the_study_lacks_is_an_error(study):
    with pytest.raises(HowfarError, match="key runs: found no run 'h' among g"):
        study.chosen_runs("h")
    with pytest.raises(HowfarError, match="expected a run of model enformer"):
        study.chosen_runs(model="enformer")


def test_only_simulated_studies_are_simulated(study, results_folder):
    with pytest.raises(HowfarError, match="a `simulate` block"):
        invoke(study, results_folder, "simulate")


def test_the_estimate_counts_distinct_windows(study, model):
    row = estimate.estimate([study]).iloc[0]
    # g1: reference and 3 haplotypes; g2: reference and 2
    assert (row["passes"], row["genes"], row["people"]) == ("7", 2, 4)


def test_the_estimate_is_of_what_remains(study, model, results_folder):
    predict.predict(study, study.runs[0], results_folder, gene="g2")
    row = estimate.estimate([study], results_folder).iloc[0]
    assert (row["passes"], row["genes"]) == ("4", 1) and "1 of 2 genes are finished" in row["note"]
    predict.predict(study, study.runs[0], results_folder)
    row = estimate.estimate([study], results_folder).iloc[0]
    assert (row["passes"], row["note"]) == ("0", "all 2 genes are finished")


def test_the_estimate_says_what_is_not_here(results_folder):
    rows = estimate.estimate([load_study("demo"), load_study("huang2023")])
    assert set(rows["passes"]) == {"unknown"}
    words = ["run", "--study", "huang2023", "--dry-run"]
    assert "No network is run" in CliRunner().invoke(app.app, words).output


def test_work_goes_on_without_public_tables(results_folder, monkeypatch, capsys):
    def offline(*_, **__):
        raise HowfarError("network", found="none", expected="one", do="Use a mirror.")

    monkeypatch.setattr("howfar.fetch.fetching.fetch", offline)
    fetch_missing(["huang2023"], results_folder)
    assert "going on without" in capsys.readouterr().err


def notebook(path, source):
    cell = nbformat.v4.new_code_cell("study = results = output = ''")
    cell.metadata["tags"] = ["parameters"]
    made = nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_code_cell(source)])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    made.metadata["language_info"] = {"name": "python"}
    nbformat.write(made, path)
    return path


def test_a_notebook_is_executed_with_its_study_and_leaves_nothing_when_it_fails(tmp_path, warm):
    out = tmp_path / "made" / "x.ipynb"
    good = notebook(tmp_path / "x.ipynb", "print(study)")
    execute_notebook(good, out, study="demo", results=tmp_path / "results")
    text = nbformat.read(out, 4).cells[-1].outputs[0].text
    assert text == "demo\n"
    bad = notebook(tmp_path / "y.ipynb", "1 / 0")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        execute_notebook(bad, out.with_name("y.ipynb"), study=None, results=tmp_path / "results")
    assert [p.name for p in out.parent.iterdir()] == ["x.ipynb"]


def test_notebooks_executed_at_once_do_not_hear_each_other(tmp_path, warm):
    """Kernels that shared a socket would answer for one another, or not at all."""
    source = notebook(tmp_path / "x.ipynb", "import time; time.sleep(0.5); print(study)")
    outs = [tmp_path / "made" / f"{name}.ipynb" for name in ("demo", "region", "sasse2023")]
    command = [*warm_command("howfar"), "notebook", source]
    words = [[*command, out, "--study", out.stem] for out in outs]
    running = [subprocess.Popen(each) for each in words]
    assert [each.wait(timeout=90) for each in running] == [0, 0, 0]
    texts = [nbformat.read(out, 4).cells[-1].outputs[0].text for out in outs]
    assert texts == ["demo\n", "region\n", "sasse2023\n"]


def test_counts_are_summed_up_in_words():
    assert describe_warnings({"b": 2000, "a": 0, "c": 1}) == (
        "  counted b: 2,000\n  counted c: 1\n"
    )


def test_a_study_that_cannot_be_made_is_an_error_not_an_empty_success(tmp_path, results_folder):
    with pytest.raises(HowfarError, match="howfar fetch huang2023"):
        require(["huang2023"], results_folder)
    mine = tmp_path / "mine.yaml"
    mine.write_text((project_root() / "data" / "studies" / "template.yaml").read_text())
    with pytest.raises(HowfarError, match="the reference file of study my_cohort"):
        require([str(mine)], results_folder)
    require(["demo"], results_folder)


def test_applied_weights_have_their_provenance_beside_them(tmp_path):
    found = next(g for g in page.catalogue() if g.title == "weights of `howfar baseline`")
    outcome = running.run(found, tmp_path.resolve())
    assert outcome.status == 0
    block = json.loads((tmp_path / "values.csv.json").read_text())
    assert block["parameters"]["weights"] == "m.weights.parquet"
    assert block["parameters"]["window"] == 2_000_000 and block["parameters"]["min_share"] == 0.8
    made = provenance.sha256_of(tmp_path / "m.weights.parquet")
    assert block["inputs"]["weights"]["sha256"] == made
    assert {"genes of the weights", "variants", "reference"} <= set(block["inputs"])
    assert block["warnings"]["weights"] == block["warnings"]["used"] == 5
    assert "P1" not in json.dumps(block)


def test_published_tables_of_a_file_elsewhere_are_of_that_file(tmp_path):
    """A study's name alone would be sought among the project's own."""
    path = tmp_path / "mine.yaml"
    text = (project_root() / "data" / "studies" / "sasse2023.yaml").read_text()
    path.write_text(text.replace("name: sasse2023", "name: mine"))
    with pytest.raises(HowfarError, match="no such file; expected a public file"):
        invoke(load_study(str(path)), tmp_path / "results", "evaluate")


def test_a_study_of_a_folder_elsewhere_is_named_by_its_file_in_advice(tmp_path):
    found = next(g for g in page.catalogue() if g.title == "an evaluation without predictions")
    outcome = running.run(found, tmp_path.resolve())
    assert "`howfar predict --study study.yaml --run letters`" in outcome.message


def test_a_notebook_that_stops_is_one_message(tmp_path):
    path, out = tmp_path / "n.ipynb", tmp_path / "a" / "b" / "n.ipynb"
    cells = [nbformat.v4.new_code_cell("1"), nbformat.v4.new_code_cell("1 / 0")]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    with pytest.raises(HowfarError, match="found ZeroDivisionError: division by zero"):
        execute_notebook(path, out, study=None, results=tmp_path / "r")
    path.write_text("{")
    with pytest.raises(HowfarError, match="found no notebook"):
        execute_notebook(path, out, study=None, results=tmp_path / "r")
    assert not list(out.parent.iterdir())
