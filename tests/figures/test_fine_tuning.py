"""Figures of networks trained on a study's people: tables' values, seeds, counts."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from helpers import synthetic
from helpers.figure_views import open_view, text_of
from howfar import figures
from howfar.core.project import project_root
from howfar.evaluation.trainings import CURVE, MEAN, TRAINED
from howfar.figures import fine_tuning


def summary() -> pd.DataFrame:
    rows = []
    for method, r in (("pair regression", 0.2), ("variformer, train head", 0.1)):
        for group in ("unseen people", "unseen genes"):
            for people in (70, 140):
                value = r * people / 140 * (0.2 if group == "unseen genes" else 1)
                rows.append((MEAN, method, group, people, value, 1))
                rows += [(TRAINED, method, group, people, value + 0.01 * s, s) for s in (1, 2)]
        rows += [(CURVE, method, "validation loss", k, 2 / k, 1) for k in (1, 2, 3)]
    table = pd.DataFrame(rows, columns=["set", "method", "group", "x", "value", "replicate"])
    ends = {"ci_low": table["value"] - 0.03, "ci_high": table["value"] + 0.03}
    return table.assign(n=24, units="", **ends)


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    synthetic.write(folder, "open")
    return open_view(folder, {"summary": summary()})


def test_strategies_have_bars_seeds_and_intervals(view):
    shown = figures.method_performance(view)
    text = text_of(shown)
    assert "Trained genes, unseen people (n = 24 genes)" in text
    assert "0.20 [0.17, 0.23]" in text and "Unseen genes" in text
    assert "another population" not in text.split("Networks trained")[0]
    drawn, _, _ = fine_tuning.trainings(view)
    points = [len(c.get_offsets()) for c in drawn.axes[0].collections if len(c.get_offsets()) == 2]
    assert points == [2, 2]  # of the largest size alone


def test_sizes_and_curves_are_those_of_the_table(view):
    drawn, table, _ = fine_tuning.training_share(view)
    line = drawn.axes[0].lines[0]
    np.testing.assert_allclose(line.get_xydata(), [[70, 0.1], [140, 0.2]])
    assert set(table["x"]) == {70, 140}
    assert figures.training_size(view).caption.startswith("Mean r by people trained on")
    text = text_of(figures.learning_curves(view))
    assert "validation loss" in text and "pair regression" in text


def test_studies_without_trainings_say_so(tmp_path):
    synthetic.write(tmp_path, "open", numbers=False)
    from helpers.figure_views import study_file

    bare = figures.view(str(study_file(tmp_path, "open")), ["truth"], tmp_path, tmp_path / "f")
    assert "howfar finetune" in figures.learning_curves(bare).lines[0]
    assert "howfar finetune" in fine_tuning.trainings(bare)
    assert "ratio=0.5" in fine_tuning.training_share(bare)
    assert "howfar bench finetune" in figures.trained_beside_linear(bare).lines[0]


def test_the_committed_comparison_is_drawn_for_the_demo_alone(view, tmp_path):
    table = pd.read_csv(project_root() / "data" / "measured" / "fine_tuning_demo.csv")
    shown = SimpleNamespace(study=SimpleNamespace(name="demo"))
    drawn, _, caption = fine_tuning.trained_beside_linear.__wrapped__(shown)
    assert f"{table['seed'].nunique()} seeds" in caption
    bars = [patch.get_width() for patch in drawn.axes[0].patches]
    people = table[table["group"] == "unseen people"].groupby("method")["r"].mean()
    assert sorted(bars) == pytest.approx(sorted(people))
    assert set(table["method"]) == fine_tuning._COMPARED.keys()
    assert "howfar bench finetune" in figures.trained_beside_linear(view).lines[0]
