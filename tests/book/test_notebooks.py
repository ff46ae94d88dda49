"""The notebooks: thin, stripped, each of them runs alone, with tables and without."""

from __future__ import annotations

import ast
import itertools
import json
from pathlib import Path

import papermill
import pytest

from helpers import synthetic
from helpers.places import ROOT
from howfar.book.execute import execute_notebook
from howfar.study.reading import load_study
from howfar.study.schema import study_names

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
#: Notebooks that belong to no single study.
ALL_STUDIES = {"ledger", "synthesis"}
YAML = """
name: open
title: A made-up study
individuals: public
reality: {genotypes: made up, expression: made up, weights: made up}
published: {loader: none, needs: []}
"""


def cells(path: Path, kind: str) -> list[dict]:
    return [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == kind]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def test_every_notebook_is_shown_for_some_study():
    shown = {n for name in study_names() for n in load_study(name).notebooks}
    assert {p.stem for p in NOTEBOOKS} == shown | ALL_STUDIES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_stripped_with_parameters_and_a_few_lines_a_cell(path):
    code = cells(path, "code")
    tagged = [c for c in code if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) == 1 and tagged[0] is code[0]
    for cell in code:
        assert cell["outputs"] == [] and cell["execution_count"] is None
        assert len(source(cell).splitlines()) <= 6
    names = {t.id for n in ast.parse(source(code[0])).body for t in n.targets}
    assert {"results", "output"} <= names
    if path.stem == "one_gene":
        assert names == {"study", "gene", "run", "results", "output"}
        assert sum(len(source(cell).splitlines()) for cell in code[1:]) <= 15
    elif path.stem not in ALL_STUDIES:
        assert names - {"gene"} == {"study", "runs", "results", "output"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_imports_nothing_but_the_package(path):
    for cell in cells(path, "code"):
        for node in ast.walk(ast.parse(source(cell))):
            if isinstance(node, ast.Import):
                assert [(each.name, each.asname) for each in node.names] == [("howfar", "hf")]
            if isinstance(node, ast.ImportFrom):
                assert node.module.split(".")[0] == "howfar"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_each_figure_has_words_before_it_and_an_alternative_text(path):
    content = json.loads(path.read_text())["cells"]
    for before, cell in itertools.pairwise(content):
        if (
            cell["cell_type"] == "code"
            and "(view)" in source(cell)
            and "view =" not in source(cell)
        ):
            assert before["cell_type"] == "markdown"
            assert source(before).count(".") >= 2
            assert len(cell["metadata"]["mystnb"]["image"]["alt"]) > 20


def run(name: str, folder: Path, study: Path, results: Path) -> list[dict]:
    """Run a notebook by papermill; returns the outputs of its code cells."""
    out = folder / f"{name}.ipynb"
    values = {"study": str(study), "results": str(results), "output": str(folder / "figures")}
    papermill.execute_notebook(
        str(ROOT / "notebooks" / f"{name}.ipynb"),
        str(out),
        parameters=values,
        progress_bar=False,
        kernel_name="python3",
    )
    return [o for c in cells(out, "code") for o in c["outputs"]]


@pytest.mark.slow
def test_across_individuals_runs_alone(tmp_path):
    (tmp_path / "open.yaml").write_text(YAML)
    synthetic.write(tmp_path, "open")
    outputs = run("across_individuals", tmp_path, tmp_path / "open.yaml", tmp_path)
    drawn = [o for o in outputs if "image/svg+xml" in o.get("data", {})]
    assert len(drawn) == 5
    names = {p.name for p in (tmp_path / "figures").glob("*.open.svg")}
    assert "central.open.svg" in names and len(names) == 5
    assert "SECRET" not in (tmp_path / "across_individuals.ipynb").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reference_correlation", "demo_world"])
def test_without_tables_one_box_says_what_to_run(tmp_path, warm, name):
    study, out = tmp_path / "open.yaml", tmp_path / f"{name}.ipynb"
    study.write_text(YAML)
    source = ROOT / "notebooks" / f"{name}.ipynb"
    execute_notebook(source, out, study=str(study), results=tmp_path / "nothing")
    outputs = [o for c in cells(out, "code") for o in c["outputs"]]
    assert len(outputs) == 1, outputs
    assert "howfar fetch open" in "".join(outputs[0]["data"]["text/html"])
    assert not list(tmp_path.rglob("*.svg"))
