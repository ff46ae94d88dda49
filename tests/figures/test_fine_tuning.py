"""Figures of networks trained on a study's people: tables' values, seeds, counts."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from helpers import synthetic
from helpers.figure_views import open_view, text_of, words_of
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
    assert "Trained genes, unseen people (n = 24 genes)" in words_of(shown)
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
    assert figures.training_size(view).caption.startswith("Mean r by number of training people")
    text = text_of(figures.learning_curves(view))
    assert "validation loss" in text and "pair regression" in text


def test_swept_linear_models_stand_beside_training_sizes(view, tmp_path):
    swept = pd.DataFrame({"set": "sweep_people.mean", "method": "BLUP", "x": [30, 140]})
    swept = swept.assign(value=[0.05, 0.15], ci_low=0.01, ci_high=0.2, n=240, group="g", units="")
    rows = pd.concat([summary(), swept.assign(replicate=1)])
    more = open_view(tmp_path, view.tables.frames | {"summary": rows})
    drawn, table, caption = fine_tuning.training_share(more)
    lines = {line.get_label(): line for line in drawn.axes[0].lines}
    np.testing.assert_allclose(lines["BLUP, out of fold (240 genes)"].get_ydata(), [0.05, 0.15])
    assert "Dashed" in caption and set(table["method"]) >= {"BLUP", "pair regression"}
    assert not any("BLUP" in str(line.get_label()) for line in drawn.axes[1].lines)


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
    shown = SimpleNamespace(study=SimpleNamespace(name="demo"), results=tmp_path)
    drawn, _, caption = fine_tuning.trained_beside_linear.__wrapped__(shown)
    seeds = table.loc[table["seed"] > 0, "seed"].nunique()
    assert f"{seeds} seeds" in caption and "above BLUP" in caption
    bars = [patch.get_width() for patch in drawn.axes[0].patches]
    people = table[(table["group"] == "unseen people") & (table["seed"] == 0)]
    assert sorted(bars) == pytest.approx(sorted(people["r"]))
    assert set(table["method"]) == fine_tuning._COMPARED.keys()
    points = [c.get_offsets() for c in drawn.axes[0].collections if len(c.get_offsets()) > 1]
    assert {len(each) for each in points} == {seeds}
    assert "howfar bench finetune" in figures.trained_beside_linear(view).lines[0]


def written(view, name, rows, columns):
    path = view.results / view.study.name / "finetune" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=columns).assign(date="2026-01-01").to_csv(path, index=False)


def test_settings_of_a_training_stand_beside_blup(view):
    assert "--setting" in figures.training_choices(view).lines[0]
    rows = [
        (setting, seed, "unseen people", method, r + seed / 100, r - 0.05, r + 0.05, 24, 40)
        for setting, r in (("default", 0.1), ("published mixing", 0.2))
        for method in ("fine-tuned", "blup", "network")
        for seed in (0, 1, 2)
    ]
    names = ["setting", "seed", "group", "method", "r", "ci_low", "ci_high", "genes", "people"]
    counts = {"trained_people": 144, "trained_genes": 24, "steps": 192, "epochs": 4}
    counts["strategy"] = "pair_regression"
    frame = pd.DataFrame(rows, columns=names).assign(**counts)
    written(view, "choices", frame, None)
    drawn, shown, _ = fine_tuning.training_choices.__wrapped__(view)
    assert [p.get_width() for p in drawn.axes[0].patches] == pytest.approx([0.1, 0.1, 0.2, 0.2])
    labels = " ".join(t.get_text() for t in drawn.axes[0].get_yticklabels()).replace("\n", " ")
    assert "published mixing (144 people, 24 genes, 192 steps)" in labels
    assert "pair regression, 4 epochs (144" in labels
    assert set(shown["method"]) == {"fine-tuned", "blup"}


def test_effects_before_and_after_are_drawn_by_class(view):
    assert "trained-effects" in figures.trained_effects(view).lines[0]
    kinds = ["common", "private", "absent"]
    rows = [("g1", kind, 0.1 * k, 0.2 * k) for kind in kinds for k in range(4)]
    written(view, "effects", rows, ["gene_id", "kind", "before", "after"])
    rows = [
        (kind, network, against, 0.1 * place, -0.1, 0.5, 1, 4, "seed1", 144, 4)
        for kind in ("all", *kinds)
        for place, network in enumerate(("before", "after"))
        for against in ("slope", "size")
    ]
    names = "kind network against value ci_low ci_high genes variants training trained_people"
    written(view, "effects_summary", rows, [*names.split(), "epochs"])
    drawn, _, caption = fine_tuning.trained_effects.__wrapped__(view)
    assert len(drawn.axes) == 3 and "seed1" in caption
    labels = [t.get_text() for t in drawn.axes[0].get_yticklabels()]
    assert labels[0] == "all (n = 4, 1 genes)" and len(labels) == 4
    last = [c.get_offsets() for c in drawn.axes[2].collections]
    np.testing.assert_allclose(last[0][:, 1], 2 * last[0][:, 0])
