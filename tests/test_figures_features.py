"""Lead eQTLs: medians and shares are those of the table, the farthest is named."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import synthetic
from howfar import figures, tables
from howfar.figures import features

YAML = """
name: open
title: A made-up study
reality: {genotypes: made up, expression: made up, weights: made up}
published: {loader: none, needs: []}
notebooks: []
"""


def open_view(folder, change=None) -> figures.View:
    synthetic.write(folder, "open", numbers=False)
    if change is not None:
        path = tables.path_of(folder, "open", "features")
        tables.write(path, "features", change(tables.read(path, "features")), {})
    (folder / "open.yaml").write_text(YAML)
    return figures.view(str(folder / "open.yaml"), [], folder, folder / "figures")


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    return open_view(tmp_path_factory.mktemp("features"))


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
    text = " | ".join(re.findall(r"<text[^>]*>([^<]*)", shown.svg.read_text()))
    rows = features.lead_summary(view).set_index("what")
    assert f"median {rows.loc['lead_eqtl_distance', 'value']:,.1f} bp" in text
    assert f"median |r| {rows.loc['lead_eqtl_r', 'value']:.3f}" in text
    assert f"{100 * rows.loc['within_1kb', 'value']:.1f} %" in text
    farthest = features.values_of(view, "lead_eqtl_distance")["value"].max()
    assert f"is {farthest:,.0f} bp from the TSS" in shown.caption


def test_of_two_sources_the_larger_is_taken(tmp_path):
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        few = frame.iloc[:30].assign(source="another", value=np.nan)
        return pd.concat([frame, few.assign(value=1e6)], ignore_index=True)

    view = open_view(tmp_path, change)
    assert set(features.values_of(view, "lead_eqtl_distance")["source"]) == {"made up"}


def test_a_study_without_lead_eqtls_says_so(tmp_path):
    view = open_view(tmp_path, lambda f: f[~f["feature"].str.startswith("lead_eqtl")])
    assert isinstance(figures.lead_eqtls(view), figures.Box)
