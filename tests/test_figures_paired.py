"""Runs against each other, gene by gene: means, wins and partners are those of the table."""

from __future__ import annotations

import pandas as pd
import pytest

import driver_tables
import synthetic
from howfar import figures, tables
from howfar.figures import paired, style


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


def copied(folder, target, **changed: pd.DataFrame):
    """A view of the study with some tables replaced."""
    found = tables.load("open", folder)
    for name in ("runs", "genes", "across", "numbers"):
        frame = changed.get(name, found[name])
        tables.write(tables.path_of(target, "open", name), name, frame, {})
    return figures.view(str(folder / "open.yaml"), [], target, target)


def test_difference_and_wins_are_in_the_figure(view, drawn):
    rows = view["across"].query("population == 'pooled'")
    wide = rows.pivot(index="gene_id", columns="run_id", values="pearson")
    gap = wide["net"] - wide["blup"]
    text = drawn("paired_scatter")
    assert f"Mean difference {style.signed(gap.mean())} [" in text
    assert f"n = {synthetic.GENES} genes" in text
    assert f"below the line {(gap > 0).sum()} genes, above {(gap < 0).sum()}, on it 0" in text
    density = drawn("paired_density")
    assert f"mean {style.signed(wide['blup'].mean())}" in density


def test_linear_runs_come_first_and_the_lead_snp_stands_in(view, folder, tmp_path):
    assert paired.pairs(view) == [("net", "blup")]
    some = figures.view(str(folder / "open.yaml"), ["net", "lead"], folder, tmp_path)
    assert paired.pairs(some) == [("net", "lead")]
    alone = figures.view(str(folder / "open.yaml"), ["net"], folder, tmp_path)
    assert "no network and linear model" in figures.paired_scatter(alone).lines[0]
    assert "no two network runs" in figures.paired_networks(alone).lines[0]


def test_the_network_run_with_the_rivals_people_is_chosen(folder, tmp_path):
    found = tables.load("open", folder)
    runs, across = found["runs"], found["across"]
    other = runs[runs["run_id"] == "net"].assign(run_id="a_net", label="Other people")
    more = across[across["run_id"] == "net"].assign(run_id="a_net", n=999)
    view = copied(folder, tmp_path, runs=pd.concat([runs, other]), across=pd.concat([across, more]))
    assert paired.pairs(view) == [("net", "blup")]
    assert paired.network_pairs(view) == []  # other people: no comparison of two networks
    same = copied(
        folder,
        tmp_path / "same",
        runs=pd.concat([runs, other]),
        across=pd.concat([across, more.assign(n=synthetic.PEOPLE)]),
    )
    assert {*paired.network_pairs(same)[0]} == {"net", "a_net"}
    assert "r over genes of the two = 1.00" in driver_tables.text_of(figures.paired_networks(same))


def test_one_changed_r_moves_the_count(folder, tmp_path, view):
    across = tables.load("open", folder)["across"]
    wide = view["across"].query("population == 'pooled'")
    wide = wide.pivot(index="gene_id", columns="run_id", values="pearson")
    gap = wide["net"] - wide["blup"]
    lost = gap.idxmin()
    here = (across["run_id"] == "net") & (across["gene_id"] == lost)
    across.loc[here & (across["population"] == "pooled"), "pearson"] = 0.99
    text = driver_tables.text_of(figures.paired_scatter(copied(folder, tmp_path, across=across)))
    assert f"below the line {(gap > 0).sum() + 1} genes" in text
