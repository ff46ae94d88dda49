"""Figures compute nothing: what they print stands in a table."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from helpers import synthetic
from helpers.figure_views import open_view
from helpers.rastogi_files import made_view
from howfar import figures
from howfar.core.registry import FIGURES
from howfar.figures import style
from howfar.results import tables

FOLDER = Path(figures.__file__).parent
#: `one_gene` draws predictions in memory, of which there is no table; `theory` reads no data.
MODULES = sorted({p.stem for p in FOLDER.glob("*.py")} - {"one_gene", "theory"})
ESTIMATES = {"mean", "median", "std", "var", "corr", "sem", "average", "nanmean", "nanmedian"}


@pytest.mark.parametrize("module", MODULES)
def test_no_figure_imports_statistics_or_takes_a_mean(module):
    tree = ast.parse((FOLDER / f"{module}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            names = [getattr(node, "module", None) or ""]
            names += [f"{names[0]}.{alias.name}" for alias in node.names]
            for name in names:
                assert not re.match(r"\.?(howfar\.stats|scipy|statsmodels)", name), name
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in ESTIMATES, f"{module}, line {node.lineno}"


def decimals(text: str) -> set[str]:
    """Numbers with a decimal point in a text, without their sign."""
    return set(re.findall(r"\d+\.\d+", text))


def table_values(view: figures.View) -> list[float]:
    """Every value and end of an interval of the tables `numbers` and `summary`."""
    frames = (view.tables["numbers"], view.tables["summary"])
    columns = ["value", "ci_low", "ci_high"]
    return [abs(v) for f in frames for v in f[columns].to_numpy(float).ravel() if v == v]


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    synthetic.write(folder, "open")
    return [open_view(folder), made_view()]


#: Printed, but no estimates: settings of the figures, and levels that they mark.
SETTINGS = {"0.05", "0.01", "0.1", "0.2", "0.5", "0.9", "0.25", "2.5", "97.5"}


def test_every_number_of_a_caption_is_in_a_table(views, monkeypatch):
    # Captions alone are read: places and drawing would take most of the time.
    monkeypatch.setattr(style, "said", lambda figure: "")
    monkeypatch.setattr(style, "finish", lambda figure: figure)
    monkeypatch.setattr(Figure, "draw_without_rendering", lambda self: None)
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: Path(path).touch())
    monkeypatch.setattr(style, "_light_svg", lambda figure: "<svg/>")
    for view in views:
        values = table_values(view)
        for name in FIGURES:
            if name in ("synthesis", "scatter_people"):  # of several studies; of one gene
                continue
            shown = FIGURES.load(name)(view)
            if not isinstance(shown, figures.Shown):
                continue
            for number in decimals(shown.caption) - SETTINGS:
                digits = len(number.partition(".")[2])
                known = {f"{scale * v:.{digits}f}" for v in values for scale in (1, 100)}
                assert number in known, f"{name}: {number}"


def test_tables_of_an_older_version_say_what_to_run(tmp_path):
    synthetic.write(tmp_path, "open", numbers=False)
    study = open_view(tmp_path / "other").study
    assert study.name == "open"
    bare = figures.view(str(tmp_path / "other" / "open.yaml"), [], tmp_path, tmp_path / "f")
    assert tables.load("open", tmp_path)["numbers"].empty
    for name in ("volcano", "paired_scatter", "linear_wins", "lead_eqtls", "linear_distribution"):
        box = FIGURES.load(name)(bare)
        assert isinstance(box, figures.Box) and "no row" in box.lines[0]
        assert box.lines[1].startswith("howfar evaluate --study ")
