"""Populations: what centring changes is counted right, on data where it is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers import synthetic
from helpers.figure_views import open_view, text_of
from howfar import figures
from howfar.cohort.panel import Panel
from howfar.evaluation.across import across_table
from howfar.evaluation.numbers.populations import _add_share
from howfar.figures import populations
from howfar.results.number_rows import Rows
from howfar.results.predictions import Predictions

GENES, PEOPLE, FLIPPED = 40, 120, 6


def two_populations(folder) -> figures.View:
    """In the first 6 genes r is positive within each population and negative over all people."""
    rng = np.random.default_rng(1)
    group = np.arange(PEOPLE) < PEOPLE // 2
    x = rng.normal(size=(GENES, PEOPLE))
    y = x + 0.5 * rng.normal(size=x.shape)
    x[:FLIPPED] += 5 * group
    y[:FLIPPED] -= 5 * group
    ids, people = [f"g{i}" for i in range(GENES)], [f"SECRET{i}" for i in range(PEOPLE)]
    genes = pd.DataFrame({"gene_id": ids, "name": ids, "chrom": [str(i % 8) for i in range(GENES)]})
    labels = pd.Series(np.where(group, "B", "A"), people)
    genes = genes.assign(tss=1000, strand="+")
    panel = Panel(pd.DataFrame(y, ids, people), genes, labels)
    nothing = pd.Series(np.nan, index=ids)
    one = Predictions("net", pd.DataFrame(x, ids, people), nothing)
    part = x.copy()
    part[20:, ~group] = np.nan  # these genes have people of one population only
    two = Predictions("blup", pd.DataFrame(part, ids, people), nothing)
    runs = pd.DataFrame({"run_id": ["net", "blup"], "label": ["Net", "BLUP"]})
    runs = runs.assign(study="two", kind=["network", "linear"], model=["net", "BLUP"])
    across = across_table(panel, [one, two])
    found = {"runs": runs, "genes": genes, "across": across[across["n"] > 0]}
    return open_view(folder, found, "two")


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    return two_populations(tmp_path_factory.mktemp("populations"))


def test_the_genes_that_change_sign_are_those_made_so(view):
    table = populations.centring(view["across"]).set_index(["run_id", "gene_id"])
    flipped = table[table["flips"] == 1].loc["net"]
    assert set(flipped.index) == {f"g{i}" for i in range(FLIPPED)}
    assert (flipped["pooled"] < 0).all() and (flipped["centred"] > 0).all()
    assert len(table.loc["net"]) == GENES


def test_genes_tested_on_one_population_are_left_out(view):
    shares = populations.flip_shares(view).set_index(["run_id", "genes"])
    assert shares.loc[("blup", "all"), "n"] == 20
    assert shares.loc[("net", "all"), "n"] == GENES
    assert shares.loc[("net", "all"), "value"] == FLIPPED / GENES
    row = shares.loc[("net", "all")]
    assert row["ci_low"] <= row["value"] <= row["ci_high"]


def test_no_change_at_all_still_has_an_upper_limit(view):
    part = pd.DataFrame({"gene_id": [f"g{i}" for i in range(30)], "flips": 0.0})
    rows = Rows(view.tables["genes"])
    _add_share(rows, "share", part, "genes")
    row = rows.frame().iloc[0]
    assert row["ci_low"] == 0 and row["ci_high"] == pytest.approx(1 - 0.025 ** (1 / 30))


def test_figures_say_shares_and_numbers_of_genes(view):
    text = text_of(figures.centred_scatter(view))
    assert f"Net: {100 * FLIPPED / GENES:.1f} % change sign" in text
    assert f"{FLIPPED} of n = {GENES} genes" in text and "BLUP" in text
    assert f"{100 * FLIPPED / GENES:.1f} %, n = {GENES}" in text_of(figures.flips(view))
    shown = figures.by_population(view)
    text = text_of(shown)
    assert "all people" in text and "population means removed" in text
    assert "60 people" in text and "120 people" in text
    for kind in ("svg", "csv"):
        assert "SECRET" not in shown.svg.with_suffix(f".{kind}").read_text()


def test_without_centred_rows_there_is_a_box(tmp_path):
    synthetic.write(tmp_path, "open")
    view = open_view(tmp_path)
    for draw in (figures.by_population, figures.centred_scatter, figures.flips):
        assert isinstance(draw(view), figures.Box)
