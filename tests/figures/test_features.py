"""Lead eQTLs: medians and shares are those of the table, the farthest is named."""

from __future__ import annotations

import pandas as pd
import pytest

from helpers import synthetic
from helpers.figure_views import open_view, text_of
from howfar import figures
from howfar.figures import features


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    synthetic.write(folder, "open", numbers=False)
    return open_view(folder)


def test_medians_and_shares_are_those_of_pandas(view):
    rows = features.lead_summary(view).set_index("what")
    wide = view["features"].pivot(index="gene_id", columns="feature", values="value")
    assert rows.loc["lead_eqtl_distance", "value"] == wide["lead_eqtl_distance"].median()
    assert rows.loc["lead_eqtl_r", "value"] == wide["lead_eqtl_r"].abs().median()
    assert rows.loc["within_1kb", "value"] == (wide["lead_eqtl_distance"] < 1000).mean()
    assert rows.loc["negative", "value"] == (wide["lead_eqtl_r"] < 0).mean()
    assert (rows["n"] == synthetic.GENES).all()
    assert (rows["ci_low"] <= rows["value"]).all() and (rows["value"] <= rows["ci_high"]).all()


def test_the_figure_says_them(view):
    shown = figures.lead_eqtls(view)
    text = text_of(shown)
    rows = features.lead_summary(view).set_index("what")
    assert f"median {rows.loc['lead_eqtl_distance', 'value']:,.1f} bp" in text
    assert f"median |r| {rows.loc['lead_eqtl_r', 'value']:.3f}" in text
    assert f"{100 * rows.loc['within_1kb', 'value']:.1f} %" in text
    farthest = features.values_of(view["features"], "lead_eqtl_distance")["value"].max()
    assert f"is {farthest:,.0f} bp from the TSS" in shown.caption


def test_of_two_sources_the_larger_is_taken(tmp_path, view):
    table = view.tables["features"]
    few = table.iloc[:30].assign(source="another", value=1e6)
    two = open_view(tmp_path, view.tables.frames | {"features": pd.concat([table, few])})
    assert set(features.values_of(two["features"], "lead_eqtl_distance")["source"]) == {"made up"}


def test_a_study_without_lead_eqtls_says_so(tmp_path, view):
    table = view.tables["features"]
    rest = table[~table["feature"].str.startswith("lead_eqtl")]
    without = open_view(tmp_path, view.tables.frames | {"features": rest})
    assert isinstance(figures.lead_eqtls(without), figures.Box)
