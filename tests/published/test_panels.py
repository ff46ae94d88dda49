"""The list of every panel: whole, and pointing at pages and numbers that exist."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from helpers.places import ROOT
from howfar.published import stated
from howfar.study.reading import load_study
from howfar.study.schema import study_names

NUMBERS = ROOT.parent / "shared" / "expected_numbers.csv"
PANELS = stated.panels()
PERMISSION = {"sasse2023": {"S3"}, "capstone2025": {"disease risk"}}


def places(row) -> list[str]:
    words = f"{row.where};{row.own}".split(";")
    return [word.strip() for word in words if word.strip()]


def is_number(word: str) -> bool:
    return re.match(r"^[A-Z]\.", word) is not None


def test_every_page_named_is_a_page_of_that_study():
    known = {f"{n}.{s}" for s in study_names() for n in load_study(s).notebooks}
    chapters = {p.stem for p in (ROOT / "book").glob("*.md")}
    for row in PANELS.itertuples():
        for word in places(row):
            assert is_number(word) or word in known | chapters, (row.study, row.panel, word)


@pytest.mark.skipif(not NUMBERS.is_file(), reason="no ../shared/expected_numbers.csv")
def test_every_number_named_is_one_of_that_study():
    given = pd.read_csv(NUMBERS).groupby("study")["id"].agg(set)
    for row in PANELS.itertuples():
        for word in filter(is_number, places(row)):
            assert word in given[row.study], (row.study, row.panel, word)


def test_what_is_made_says_where_and_what_is_not_says_what_it_needs_and_who_grants_it():
    for row in PANELS.itertuples():
        if row.status == "permission":
            assert row.needs and row.grants, row.panel
        else:
            assert places(row), row.panel
        if row.status == "made":
            assert not row.needs and not row.grants, row.panel
            assert any(not is_number(word) for word in places(row)), row.panel
        assert row.what and not row.what.endswith(".")


def test_panels_that_are_not_shown_say_why():
    rows = PANELS[PANELS["status"] == "permission"]
    for study, panels in PERMISSION.items():
        assert panels <= set(rows.loc[rows["study"] == study, "panel"])


def test_panels_on_single_genes_are_made_from_cohorts_of_our_own():
    """What no public table can give: in simulated people, and on a real megabase."""
    own = PANELS.set_index(["study", "panel"])["own"]
    for panel in ("1D", "1E", "2B", "2D", "2G", "S2", "S7", "S8", "S12"):
        assert ".demo" in own["sasse2023", panel] and ".region" in own["sasse2023", panel], panel
    assert own["huang2023", "2a"] and own["huang2023", "2b"]


def test_no_study_of_the_book_is_forgotten():
    published = {s for s in study_names() if load_study(s).published}
    assert published - {"geuvadis_public"} == set(PANELS["study"])
