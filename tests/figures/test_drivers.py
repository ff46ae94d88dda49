"""Driver figures: shares, medians and counts are those of the tables."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import driver_tables, synthetic
from helpers.figure_views import open_view, text_of, words_of
from howfar import figures
from howfar.figures import drivers, style

ALL = ["driver_support", "driver_distance", "driver_counts", "fine_mapped"]


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    driver_tables.write(folder, "open")
    return open_view(folder)


def test_support_by_hand(view, shown):
    table = view["drivers"]
    agree = np.sign(table["effect"]) == np.sign(table["eqtl_slope"])
    share = agree.groupby(table["gene_id"]).mean()
    rows = view["across"].query("run_id == 'net' and population == 'pooled'")
    r = rows.set_index("gene_id")["pearson"].reindex(share.index)
    support = shown("driver_support")
    text = text_of(support)
    for side, chosen in (("positive", r > 0.2), ("negative", r < -0.2)):
        mean = style.signed(share[chosen].mean(), 2)
        assert f"{side} r: n = {chosen.sum()} genes, mean {mean}" in words_of(support)
    mains = agree[table["is_main"]].set_axis(table["gene_id"][table["is_main"]])
    hits = mains[r.index[r > 0.2]]
    assert f"positive r: {hits.sum()} of n = {len(hits)} genes" in text
    # Slopes and r are of the same people: no test, so no p; the caption says how near identity.
    assert "p =" not in support.caption and "close to arithmetic" in support.caption
    clear = r.dropna()
    same = mains[clear.index] == (clear > 0)
    assert f"main driver: {100 * same.mean():.0f} % of {len(same)} genes" in support.caption


def test_slopes_and_sums_by_hand(view, shown):
    table = view["drivers"]
    agree = np.sign(table["effect"]) == np.sign(table["eqtl_slope"])
    assert f"n = {len(table)} drivers: {100 * agree.mean():.0f} %" in text_of(
        shown("driver_slopes")
    )
    assert f"n = {driver_tables.WITH} genes" in text_of(shown("linear_approximation"))


def test_distance_and_counts_by_hand(view, shown):
    table = view["drivers"]
    far, main = table["distance"].abs(), table["is_main"]
    text = text_of(shown("driver_distance"))
    assert f"main drivers, n = {main.sum()}: median {far[main].median():,.0f} bp" in text
    assert f"{100 * (far < 1000).mean():.1f} % [" in text
    sizes = table.groupby("gene_id").size()
    text = text_of(shown("driver_counts"))
    assert f"median {sizes.median():g}, at most {sizes.max()}" in text
    assert f"n = {driver_tables.WITH} genes, {len(table)} drivers" in text


def test_upstream_is_along_the_gene(tmp_path, view, shown):
    text = text_of(shown("driver_distance"))
    mains = drivers.mains(view["drivers"])
    up = int((mains["distance"] < 0).sum())
    assert f"{up} upstream, {len(mains) - up} downstream" in text
    turned = {"genes": view.tables["genes"].assign(strand="-")}
    other = open_view(tmp_path, view.tables.frames | turned)
    text = text_of(figures.driver_distance(other))
    assert f"{len(mains) - up} upstream, {up} downstream" in text


def test_fine_mapped_genes_beside_all(view, shown):
    rows = view["across"].query("run_id == 'net' and population == 'pooled'")
    part = rows[rows["gene_id"].isin([f"GENE{i:03d}" for i in range(driver_tables.WITH)])]
    text = text_of(shown("fine_mapped"))
    assert f"n = {synthetic.GENES} genes" in text and f"n = {driver_tables.WITH} genes" in text
    assert f"Fine-mapped in brain: {100 * (part['pearson'] < 0).mean():.0f} % [" in text


@pytest.mark.parametrize("name", ALL)
def test_a_study_without_drivers_gets_a_text(tmp_path, name):
    synthetic.write(tmp_path, "bare", numbers=False)
    view = open_view(tmp_path, name="bare")
    assert isinstance(getattr(figures, name)(view), figures.Box)


def test_drivers_without_a_main_one_still_have_distances(tmp_path, view):
    frame = view.tables["drivers"].assign(is_main=None)
    changed = open_view(tmp_path, view.tables.frames | {"drivers": frame})
    text = text_of(figures.driver_distance(changed))
    assert f"all drivers, n = {len(frame)}" in text and "main drivers" not in text
