"""Runs against each other, gene by gene: means, wins and partners are those of the table."""

from __future__ import annotations

import pandas as pd
import pytest

from helpers import synthetic
from helpers.figure_views import open_view, text_of
from howfar import figures
from howfar.core.counts import counted
from howfar.figures import paired, style


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    synthetic.write(folder, "open")
    return open_view(folder)


def test_difference_and_wins_are_in_the_figure(view, shown):
    rows = view["across"].query("population == 'pooled'")
    wide = rows.pivot(index="gene_id", columns="run_id", values="pearson")
    gap = wide["net"] - wide["blup"]
    text = text_of(shown("paired_scatter"))
    assert f"Mean difference {style.signed(gap.mean())} [" in text
    assert f"n = {synthetic.GENES} genes" in text
    sides = f"below the line {(gap > 0).sum()} genes, above {(gap < 0).sum()}, on it 0"
    assert counted(sides) in text
    density = text_of(shown("paired_density"))
    assert f"mean {style.signed(wide['blup'].mean())}" in density


def test_linear_runs_come_first_and_the_lead_snp_stands_in(view, tmp_path):
    assert paired.pairs(view) == [("net", "blup")]
    study = str(view.results / "open.yaml")
    some = figures.view(study, ["net", "lead"], view.results, tmp_path)
    assert paired.pairs(some) == [("net", "lead")]
    alone = figures.view(study, ["net"], view.results, tmp_path)
    assert "no network and linear model" in figures.paired_scatter(alone).lines[0]
    assert "no two network runs" in figures.paired_networks(alone).lines[0]


def test_the_network_run_with_the_rivals_people_is_chosen(tmp_path, view):
    found = view.tables.frames
    runs, across = found["runs"], found["across"]
    other = runs[runs["run_id"] == "net"].assign(run_id="a_net", label="Other people")
    more = across[across["run_id"] == "net"].assign(run_id="a_net", n=999)
    found = found | {"runs": pd.concat([runs, other])}
    unlike = open_view(tmp_path, found | {"across": pd.concat([across, more])})
    assert paired.pairs(unlike) == [("net", "blup")]
    assert paired.network_pairs(unlike) == []  # other people: no comparison of two networks
    more = more.assign(n=synthetic.PEOPLE)
    same = open_view(tmp_path / "same", found | {"across": pd.concat([across, more])})
    assert {*paired.network_pairs(same)[0]} == {"net", "a_net"}
    assert "r over genes of the two = 1.00" in text_of(figures.paired_networks(same))


def test_one_changed_r_moves_the_count(tmp_path, view):
    across = view.tables["across"].copy()
    wide = view["across"].query("population == 'pooled'")
    wide = wide.pivot(index="gene_id", columns="run_id", values="pearson")
    gap = wide["net"] - wide["blup"]
    lost = gap.idxmin()
    here = (across["run_id"] == "net") & (across["gene_id"] == lost)
    across.loc[here & (across["population"] == "pooled"), "pearson"] = 0.99
    changed = open_view(tmp_path, view.tables.frames | {"across": across})
    text = text_of(figures.paired_scatter(changed))
    assert f"below the line {(gap > 0).sum() + 1} genes" in text
