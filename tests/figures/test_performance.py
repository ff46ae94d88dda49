"""Figures of fine-tuned networks: what is drawn is what the tables say."""

from __future__ import annotations

import dataclasses
import importlib

import numpy as np
import pandas as pd
import pytest

from helpers.figure_views import assert_four_files, text_of, words_of
from helpers.rastogi_files import made_view, other_view
from howfar import figures
from howfar.figures import style
from howfar.results import tables

performance = importlib.import_module("howfar.figures.performance")
NAMES = [
    *("method_performance", "method_performance_abs", "performance_variants", "rare_variants"),
    *("performance_versions", "training_size", "performance_again", "linear_against_network"),
]


@pytest.fixture(scope="module")
def view():
    return made_view()


@pytest.mark.parametrize("name", [n for n in NAMES if n != "performance_versions"])
def test_four_files_and_what_is_real(view, shown, name):
    assert_four_files(shown(name))
    assert "Genotypes: real" in str(figures.about(view)) and "NA0" not in text_of(shown(name))


def test_every_mean_of_the_summary_is_written(view, shown):
    table = view.tables["summary"]
    for what, name in (("performance", "method_performance"),
                       ("performance_abs", "method_performance_abs")):  # fmt: skip
        text = text_of(shown(name))
        rows = table[(table["set"] == what) & table["method"].isin(["BLUP", "Pairwise regression"])]
        for mean in rows.groupby(["method", "group"])["value"].mean():
            assert style.signed(mean) in text
        assert "n = 200 genes" in words_of(shown(name)) and "n = 670 genes" in words_of(shown(name))


def test_variants_of_training_are_in_their_own_figure(view, shown):
    drawn = pd.read_csv(shown("method_performance").svg.with_suffix(".csv"))
    rest = pd.read_csv(shown("performance_variants").svg.with_suffix(".csv"))
    both = set(drawn["run_id"]) & set(rest["run_id"])
    assert both == {"enformer", "pairwise_regression"}
    runs = set(drawn["run_id"]) | set(rest["run_id"])
    assert runs == set(view.labels)


def test_methods_stand_in_one_order_everywhere(view, shown):
    order = list(view.labels)
    for name in ("method_performance", "performance_again", "training_size"):
        runs = pd.unique(pd.read_csv(shown(name).svg.with_suffix(".csv"))["run_id"])
        assert list(runs) == [run for run in order if run in set(runs)]
    assert len({*view.colours.values()}) == len(order)


def test_per_gene_panels_carry_mean_and_interval_of_the_table(view, shown):
    table = view.tables["summary"]
    rows = table[table["set"] == "performance_again"]
    text = text_of(shown("performance_again"))
    for row in rows.itertuples():
        assert f"{style.signed(row.value)} {style.interval(row.ci_low, row.ci_high, 2)}" in text


def test_red_genes_are_counted_from_the_table(view, shown):
    across = view.tables["across"].assign(r=lambda t: t["pearson"].fillna(0))
    wide = across.pivot(index=["population", "gene_id"], columns="run_id", values="r")
    text = text_of(shown("linear_against_network"))
    for _, part in wide.groupby("population"):
        wrong = ((part["elastic_net"] > 0.2) & (part["enformer"] < 0)).sum()
        above = (part["enformer"] > part["elastic_net"]).sum()
        assert f"{above} genes above the diagonal, {wrong} red" in text


def test_versions_show_the_methods_that_differ(view, tmp_path):
    summary = view.tables["summary"].copy()
    chosen = (summary["set"] == "performance_2024") & (
        summary["method"] == "Single-sample regression"
    )
    summary.loc[chosen & (summary["replicate"] == 7), "value"] += 0.1
    other = tables.Tables("rastogi2024", view.tables.frames | {"summary": summary})
    changed = dataclasses.replace(view, tables=other, output=tmp_path)
    one = figures.performance_versions(changed)
    assert "Single-sample regression, n = 3 replicates" in text_of(one)
    data = pd.read_csv(one.svg.with_suffix(".csv"))
    differ = data[~np.isclose(data["value"], data["value_2024"])]
    assert set(differ["method"]) == {"Single-sample regression"} and len(differ) == 3


def test_equal_versions_are_said_to_be_equal(view):
    box = figures.performance_versions(view)
    assert isinstance(box, figures.Box) and "equal" in box.lines[0]


def test_printed_numbers_are_read_as_numbers_only():
    found = performance.stated()
    assert found["R.Single_Sample_Regression.unseen"] == 0.041
    assert "R.dnase.BLUP" not in found  # in words


@pytest.mark.parametrize("name", NAMES)
def test_another_study_gets_a_box(name):
    made = getattr(figures, name)(other_view())
    if name == "linear_against_network":  # it has r per gene of both kinds
        assert isinstance(made, style.Shown)
    else:
        assert isinstance(made, figures.Box) and len(made.lines[0]) > 30
