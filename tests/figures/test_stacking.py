"""Figures of stacked regressors: values, titles and designs are those of the table."""

from __future__ import annotations

import pandas as pd
import pytest

from helpers import synthetic
from helpers.figure_views import open_view, words_of
from howfar import figures
from howfar.figures import stacking as module
from howfar.results import tables
from howfar.stacking.compare import DESIGNS, MEASURES

METHODS = ["Ridge", "Random forest"]


def summary(fall: float = 0.5) -> pd.DataFrame:
    """R2 0.9 on pairs; on genes the forest falls by `fall`, ridge by half of it."""
    rows = []
    for design in DESIGNS:
        for method in METHODS:
            less = fall if method == "Random forest" else fall / 2
            for measure in MEASURES:
                value = 0.9 - less * (design[1] != "pairs")
                rows.append((f"stacking.{measure}", method, "; ".join(design), value))
    table = pd.DataFrame(rows, columns=["set", "method", "group", "value"])
    ends = {"ci_low": table["value"] - 0.05, "ci_high": table["value"] + 0.05}
    return table.assign(x=3.0, replicate=1, n=12000, units="", **ends)


def opened(folder, frame: pd.DataFrame):
    synthetic.write(folder, "open", numbers=False)
    return open_view(folder, {"summary": frame})


@pytest.fixture
def view(tmp_path):
    return opened(tmp_path, summary())


def test_the_title_names_the_model_that_falls_most(view):
    text = words_of(figures.stacking_splits(view))
    assert "Random forest: R² 0.90 on pairs at random," in text
    assert "0.40 on genes never seen" in text
    text = words_of(figures.stacking_people(view))
    assert "Random forest: r 0.90 with the leak," in text
    assert "0.40 for people never seen" in text


def test_another_fall_changes_the_title(tmp_path):
    text = words_of(figures.stacking_splits(opened(tmp_path, summary(fall=-0.08))))
    assert "Ridge: R² 0.90" in text and "0.94 on genes never seen" in text


def test_every_design_is_drawn_with_its_words_and_numbers(view):
    for draw, target in (
        (figures.stacking_splits, "level"),
        (figures.stacking_people, "deviation"),
    ):
        shown = draw(view)
        data = pd.read_csv(shown.svg.with_suffix(".csv"))
        designs = [d for d in DESIGNS if d[0] == target]
        assert len(data) == len(designs) * len(METHODS) * len(MEASURES)
        text = words_of(shown)
        for _, split, features in designs:
            assert module._SHOWN[split, features][2] in text
        assert "n = 12000 pairs" in shown.caption


def test_rows_are_split_into_their_parts(view):
    rows = module.rows_of(view, "deviation")
    assert set(rows["split"]) == {"pairs", "people", "genes"}
    assert set(rows["features"]) == {"network", "score", "score_of_all"}
    assert set(rows["measure"]) == set(MEASURES)


def test_without_genotypes_the_leak_is_left_out(tmp_path):
    table = summary()
    table = table[table["group"].str.endswith("; network")]
    shown = figures.stacking_people(opened(tmp_path, table))
    assert "Differences between people" in words_of(shown)
    assert "everybody (leak)" not in words_of(shown)


def test_a_study_without_stacked_models_says_what_to_run(tmp_path):
    view = opened(tmp_path, tables.empty("summary"))
    for draw in (figures.stacking_splits, figures.stacking_people):
        assert "howfar stack" in draw(view).lines[0]
