"""Around a figure of a page: its files linked and copied, the panel it re-makes, what it says."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from howfar.book import figure_block
from howfar.core.registry import FIGURES
from howfar.figures.style import KINDS
from howfar.published import stated
from howfar.results import tables

SVG = '<svg width="360pt" height="180pt" xmlns="http://www.w3.org/2000/svg"></svg>'


@pytest.fixture
def executed(tmp_path):
    """An executed notebook's place, with a figure's files beside it."""
    results = tmp_path / "results"
    (results / "sasse2023" / "figures").mkdir(parents=True)
    for kind in KINDS:
        file = results / "sasse2023" / "figures" / f"paired_scatter.sasse2023.{kind}"
        file.write_text(SVG)
    numbers = tables.validate("numbers", pd.DataFrame({"id": ["S.2C.n"], "value": [1568.0]}), "")
    tables.write(tables.path_of(results, "sasse2023", "numbers"), "numbers", numbers, {})
    return results / "sasse2023" / "notebooks" / "network_against_linear.ipynb"


def cell() -> dict:
    about = {"howfar": {"figure": "paired_scatter.sasse2023", "said": 'r = 0.26 for "A" < B'}}
    return {
        "cell_type": "code",
        "metadata": {"mystnb": {"image": {"alt": "r of one against another"}}},
        "outputs": [
            {"output_type": "display_data", "metadata": about, "data": {"image/svg+xml": SVG}},
            {"output_type": "display_data", "metadata": {}, "data": {"text/markdown": "*Words.*"}},
        ],
    }


def test_a_figure_stands_with_its_files_its_panel_and_its_numbers(executed, tmp_path):
    one = cell()
    figure_block.with_files([one], executed, "sasse2023")
    picture, caption, below = (output["data"] for output in one["outputs"])
    assert caption == {"text/markdown": "*Words.*"}
    shown = picture["text/html"]
    assert 'alt="r of one against another. r = 0.26 for &quot;A&quot; &lt; B"' in shown
    assert 'width="480" height="240"' in shown
    assert 'srcset="../_figures/paired_scatter.sasse2023.narrow.svg"' in shown
    assert "= Sasse 2023, Fig. 2C: differs: 1,568 against 1,570" in below["text/html"]
    links = re.findall(r'href="\.\./_figures/([^"]*)"', below["text/html"])
    assert links == [f"paired_scatter.sasse2023.{kind}" for kind in ("svg", "png", "pdf", "csv")]
    (tmp_path / "book" / "_generated").mkdir(parents=True)
    page = tmp_path / "book" / "_generated" / "network_against_linear.sasse2023.ipynb"
    page.write_text(json.dumps({"cells": [one]}))
    figure_block.copy_files(tmp_path / "book", executed.parents[2])
    copied = {p.name for p in (tmp_path / "book" / "_build" / "html" / "_figures").iterdir()}
    assert copied == {f"paired_scatter.sasse2023.{kind}" for kind in KINDS} >= set(links)


def test_a_figure_from_other_data_says_so():
    numbers = stated.compare(tables.empty("numbers"))
    (found,) = figure_block.remade("paired_scatter.demo", "network_against_linear.demo", numbers)
    assert found == ("Sasse 2023, Fig. 2C", "other data")
    assert not list(figure_block.remade("rule_counts.demo", "significance.demo", numbers))


def test_every_figure_that_re_makes_a_panel_is_one():
    files = {entry.load().file for _, entry in FIGURES.items() if hasattr(entry.load(), "file")}
    named = {name for names in stated.panels()["figures"] for name in names.split()}
    assert named and named <= files
