"""Executing notebooks: where what they write goes."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from helpers import synthetic
from helpers.figure_views import study_file
from howfar import figures
from howfar.book.execute import execute_notebook, find_notebook
from howfar.core.errors import HowfarError
from howfar.core.project import project_root

SOURCE = """from pathlib import Path
Path("left.txt").write_text(str(Path.cwd()))
from howfar.core.project import results_root
print(results_root())"""


def write_notebook(path: Path, source: str) -> Path:
    """A notebook of one cell of parameters and one of `source`."""
    parameters = nbformat.v4.new_code_cell("study = results = output = ''")
    parameters.metadata["tags"] = ["parameters"]
    cells = [parameters, nbformat.v4.new_code_cell(source)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    nbformat.write(notebook, path)
    return path


@pytest.mark.slow
def test_a_notebook_works_in_the_current_folder_and_shows_no_place_of_the_machine(
    tmp_path, monkeypatch, warm
):
    monkeypatch.chdir(tmp_path)
    source = write_notebook(tmp_path / "x.ipynb", SOURCE)
    out = Path("elsewhere") / "x.ipynb"
    study = study_file(tmp_path, "mine")
    execute_notebook(source, out, study=str(study), results=tmp_path / "found")
    assert (tmp_path / "left.txt").read_text() == str(tmp_path)
    cells = nbformat.read(tmp_path / out, 4).cells
    assert cells[-1].outputs[0].text == "results\n"  # folders name users
    assert str(tmp_path) not in "".join(cell.source for cell in cells)
    assert 'study = "mine.yaml"' in "".join(cell.source for cell in cells)
    assert not (project_root() / "left.txt").exists()


def test_figures_go_beside_the_results_or_below_the_current_folder(
    tmp_path, monkeypatch, results_folder
):
    synthetic.write(results_folder, "demo")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert figures.view("demo").output == results_folder / "demo" / "figures"
    assert figures.view("demo", output="drawn").output == tmp_path / "here" / "drawn"
    assert figures.view("demo", results="../results").tables is not None


@pytest.mark.parametrize(
    ("study", "runs", "says"),
    [
        (2024, [], "parameter study: found 2024, a int"),
        ("demo", "top1", "parameter runs: found 'top1'; expected a list of run ids"),
        ("demo", [1], "parameter runs"),
    ],
)
def test_parameters_of_another_type_are_one_message(study, runs, says):
    with pytest.raises(HowfarError, match=says):
        figures.view(study, runs)


def test_notebooks_are_found_by_name_and_by_path(tmp_path):
    own = project_root() / "notebooks" / "eqtl.ipynb"
    assert find_notebook("eqtl") == find_notebook("eqtl.ipynb") == own
    with pytest.raises(HowfarError, match="eqtls: found no such file; .* across_individuals"):
        find_notebook("eqtls")
    with pytest.raises(HowfarError):
        find_notebook(str(tmp_path / "eqtl.ipynb"))
