"""Executing notebooks: where what they write goes."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from helpers import synthetic
from howfar import figures
from howfar.book.execute import execute_notebook
from howfar.core.project import project_root

SOURCE = """from pathlib import Path
Path("left.txt").write_text(output)
print(Path(output).resolve())"""


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
def test_relative_outputs_of_a_notebook_count_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = write_notebook(tmp_path / "x.ipynb", SOURCE)
    out = Path("book") / "_executed" / "x.ipynb"
    execute_notebook(source, out, study=None, results=tmp_path / "results")
    assert (tmp_path / "left.txt").read_text() == "book/_figures"
    printed = nbformat.read(tmp_path / out, 4).cells[-1].outputs[0].text
    assert printed == f"{tmp_path / 'book' / '_figures'}\n"
    assert not (project_root() / "left.txt").exists()


def test_figures_of_a_relative_folder_go_below_the_current_one(tmp_path, monkeypatch):
    synthetic.write(tmp_path / "made", "demo")
    monkeypatch.chdir(tmp_path)
    shown = figures.view("demo", results=tmp_path / "made", output="drawn")
    assert shown.output == tmp_path / "drawn"
    assert not (project_root() / "drawn").exists()
