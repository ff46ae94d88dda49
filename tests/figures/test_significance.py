"""Significance figures: counts are those of the rules, text is there to be read."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from helpers import synthetic
from helpers.figure_views import open_view, text_of
from howfar import figures
from howfar.figures import significance
from howfar.stats import null


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    synthetic.write(folder, "open")
    return open_view(folder)


def test_counts_of_each_rule_by_statsmodels(view):
    table = significance.counts(view).set_index("rule")
    rows = view["across"].query("run_id == 'net' and population == 'pooled'")
    p = null.as_published(rows["pearson"], rows["null_mean"], rows["null_sd"])
    found = multipletests(np.nan_to_num(p, nan=1), 0.05, "fdr_bh")[0]
    assert table.loc["as_published", "found"] == found.sum() > 0
    assert table.loc["as_published", "negative"] == (found & (rows["pearson"] < 0)).sum()
    for rule, p in (("own_null", "p_null"), ("t_test", "p")):
        called = multipletests(rows[p].fillna(1), 0.05, "fdr_bh")[0]
        assert table.loc[rule, "found"] == called.sum()
    assert (table["genes"] == synthetic.GENES).all()
    assert (table["positive"] + table["negative"] == table["found"]).all()


def test_counts_are_written_in_the_figure(view, shown):
    table = significance.counts(view)
    text = text_of(shown("rule_counts"))
    for row in table.itertuples():
        assert f"{row.found} genes ({row.negative} with r" in text
    assert f"The same {synthetic.GENES} genes" in text


def test_one_changed_r_changes_the_count(tmp_path, view):
    before = significance.counts(view).set_index("rule")
    across = view.tables["across"].copy()
    here = (across["run_id"] == "net") & (across["population"] == "pooled")
    weakest = across[here]["pearson"].abs().idxmin()
    across.loc[weakest, ["pearson", "p_null"]] = [-0.9, 1e-9]
    changed = open_view(tmp_path, view.tables.frames | {"across": across})
    after = significance.counts(changed).set_index("rule")
    assert after.loc["as_published", "negative"] == before.loc["as_published", "negative"] + 1
    assert after.loc["as_published", "positive"] == before.loc["as_published", "positive"]


def test_the_rate_of_chance_is_in_the_legend(view, shown):
    text = text_of(shown("rule_error"))
    row = view.tables["numbers"].set_index("id")["value"]
    for rule in ("standard_error", "normal_tail"):
        chance = row[f"open.net.across.pooled.chance_{rule}"]
        assert f"{rule.replace('_', ' ')}: {100 * chance:.0f} %" in text
    assert f"n = {synthetic.GENES} genes" in text


def test_without_a_null_a_text_says_so(tmp_path, view):
    rows = view["across"].query("run_id == 'lead'")
    assert rows["null_sd"].notna().any()  # every made-up run has one; take it away
    rows = rows.assign(null_sd=np.nan, null_mean=np.nan, p_null=np.nan)
    bare = open_view(tmp_path, view.tables.frames | {"across": rows})
    for name in ("volcano", "rule_counts", "rule_error"):
        assert "No gene-specific null" in getattr(figures, name)(bare).lines[0]
