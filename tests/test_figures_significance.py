"""Significance figures: counts are those of the rules, text is there to be read."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

import driver_tables
import synthetic
from howfar import figures, null, tables
from howfar.figures import significance


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    synthetic.write(folder, "open")
    driver_tables.study_file(folder, "open")
    return folder


@pytest.fixture(scope="module")
def view(folder):
    return figures.view(str(folder / "open.yaml"), [], folder, folder / "figures")


@pytest.fixture(scope="module")
def drawn(view):
    """The text of each figure by its function's name."""
    return driver_tables.texts(view)


def test_counts_of_each_rule_by_statsmodels(view):
    table = significance.counts(view).set_index("rule")
    rows = view["across"].query("run_id == 'net' and population == 'pooled'")
    p = null.as_published(rows["pearson"], rows["null_mean"], rows["null_sd"])
    found = multipletests(np.nan_to_num(p, nan=1), 0.05, "fdr_bh")[0]
    assert table.loc["as_published", "found"] == found.sum() > 0
    assert table.loc["as_published", "negative"] == (found & (rows["pearson"] < 0)).sum()
    calibrated = multipletests(rows["p_null"].fillna(1), 0.05, "fdr_bh")[0]
    assert table.loc["calibrated", "found"] == calibrated.sum()
    assert (table["genes"] == synthetic.GENES).all()
    assert (table["positive"] + table["negative"] == table["found"]).all()


def test_counts_are_written_in_the_figure(view, drawn):
    table = significance.counts(view)
    text = drawn("rule_counts")
    for row in table.itertuples():
        assert f"{row.found} genes ({row.negative} with r" in text
    assert f"The same {synthetic.GENES} genes" in text


def test_one_changed_r_changes_the_count(folder, tmp_path, view):
    before = significance.counts(view).set_index("rule")
    across = tables.load("open", folder)["across"]
    here = (across["run_id"] == "net") & (across["population"] == "pooled")
    weakest = across[here]["pearson"].abs().idxmin()
    across.loc[weakest, ["pearson", "p_null"]] = [-0.9, 1e-9]
    for name in ("runs", "genes", "numbers"):
        frame = tables.load("open", folder)[name]
        tables.write(tables.path_of(tmp_path, "open", name), name, frame, {})
    tables.write(tables.path_of(tmp_path, "open", "across"), "across", across, {})
    changed = figures.view(str(folder / "open.yaml"), [], tmp_path, tmp_path)
    after = significance.counts(changed).set_index("rule")
    assert after.loc["as_published", "negative"] == before.loc["as_published", "negative"] + 1
    assert after.loc["as_published", "positive"] == before.loc["as_published", "positive"]


def test_the_rate_of_chance_is_in_the_legend(view, drawn):
    text = drawn("rule_error")
    assert "standard error: 41 %" in text and "calibrated: 5 %" in text
    assert f"n = {synthetic.GENES} genes" in text


def test_without_a_null_a_text_says_so(folder, tmp_path):
    lead = figures.view(str(folder / "open.yaml"), ["lead"], folder, tmp_path)
    rows = lead["across"]
    assert rows["null_sd"].notna().any()  # every made-up run has one; take it away
    rows = rows.assign(null_sd=np.nan, null_mean=np.nan, p_null=np.nan)
    for name in ("runs", "genes", "numbers"):
        tables.write(tables.path_of(tmp_path, "open", name), name, lead.tables[name], {})
    tables.write(tables.path_of(tmp_path, "open", "across"), "across", rows, {})
    bare = figures.view(str(folder / "open.yaml"), [], tmp_path, tmp_path)
    for name in ("volcano", "rule_counts", "rule_error"):
        assert "No gene-specific null" in getattr(figures, name)(bare).lines[0]
