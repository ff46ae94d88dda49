"""Figures of heritability as the ceiling."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers.figure_views import text_of
from helpers.rastogi_files import made_view, other_view
from howfar import figures
from howfar.core.counts import counted
from howfar.evaluation import heritability

NAMES = ["heritability_classes", "heritability_attained", "heritability_scatter"]


@pytest.fixture(scope="module")
def view():
    return made_view()


def test_each_estimate_of_heritability_has_a_row_with_its_mean(view, shown):
    features = view.tables["features"]
    text = text_of(shown("heritability_classes"))
    across = view.tables["across"].drop_duplicates("gene_id").set_index("gene_id")["population"]
    groups = features["gene_id"].map(across)
    roots = np.sqrt(features["value"].clip(lower=0))
    for mean in roots.groupby([features["source"], groups]).mean():
        assert f"{mean:.3f}" in text


def test_shares_are_those_of_the_estimator_and_variants_of_training_are_left_out(view, shown):
    table = heritability.attained(view.tables)
    data = pd.read_csv(shown("heritability_attained").svg.with_suffix(".csv"))
    assert "frozen_cnn" not in set(data["run_id"]) and "frozen_cnn" in set(table["run_id"])
    text = text_of(shown("heritability_attained"))
    for run in data["run_id"]:
        for ratio in table.loc[table["run_id"] == run, "ratio"]:
            assert f"{100 * ratio:.0f} %" in text
    assert not data.loc[data["run_id"] == "pairwise_regression", "per_gene"].any()


def test_scatter_counts_genes_above_the_line(view, shown):
    table = heritability.per_gene(view.tables)
    text = text_of(shown("heritability_scatter"))
    for (run, _), part in table.groupby(["run_id", "population"]):
        if run in ("enformer", "elastic_net"):
            above = (part["r"] > part["root"]).sum()
            assert counted(f"{above} genes above the line, {(part['r'] < 0).sum()} below 0") in text


@pytest.mark.parametrize("name", NAMES)
def test_a_study_without_heritability_gets_a_box(name):
    box = getattr(figures, name)(other_view())
    assert isinstance(box, figures.Box) and "heritability" in box.lines[0]
