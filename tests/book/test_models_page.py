"""The page on the models says what is so in the results folder at hand."""

import re

import pandas as pd
import pytest

from howfar.book import models_page as book_models
from howfar.book.markdown import markdown_table
from howfar.book.models_page import measured_file, models_page
from howfar.doctor import verdicts
from howfar.models.registry import MODELS

OUTCOME = {
    "verified": True,
    "candidate": "TSS at 6,999",
    "largest_difference": 6e-8,
    "difference": "absolute",
    "tolerance": 1e-6,
    "candidates": 3,
    "fitting": 1,
    "genes": ["psmf1"],
    "device": "cpu",
}


def row_of(page: str, name: str) -> str:
    return next(line for line in page.splitlines() if line.startswith(f"| **{name}**"))


def test_every_model_is_unverified_until_it_was_verified(results_folder):
    page = models_page(results_folder)
    for name, entry in MODELS.items():
        row = row_of(page, name)
        assert "unverified" in row and entry.card.licence in row and entry.card.reads in row
    verdicts.keep("xpresso", OUTCOME, results_folder)
    page = models_page(results_folder)
    assert "unverified" not in row_of(page, "xpresso")
    assert "verified (absolute difference 6.0e-08" in row_of(page, "xpresso")
    assert "unverified" in row_of(page, "enformer")
    assert "**xpresso** reproduces the published predictions of PSMF1" in page
    verdicts.keep("xpresso", OUTCOME | {"verified": False}, results_folder)
    page = models_page(results_folder)
    assert "does **not** reproduce" in page and "does not fit" in row_of(page, "xpresso")


def test_the_licence_that_must_be_agreed_to_is_told(results_folder):
    page = models_page(results_folder)
    assert "not-for-profit" in page and "ExPecto#use-agreement" in page
    assert "howfar fetch" in page and "howfar doctor --verify" in page


def test_measured_differences_are_those_of_the_table(results_folder, tmp_path, monkeypatch):
    page = models_page(results_folder)
    table = pd.read_csv(measured_file("model_oracles"))
    for row in table.itertuples():
        assert f"| {row.what} | {row.n} | {row.largest_difference:.1e} |" in page
    monkeypatch.setattr(
        book_models, "measured_file", lambda name: tmp_path / "data" / "measured" / f"{name}.csv"
    )
    assert "Not measured yet" in models_page(results_folder)


def test_measured_differences_are_within_their_tolerances():
    table = pd.read_csv(measured_file("model_oracles"))
    assert (table["largest_difference"] <= table["tolerance"]).all()
    assert set(table["model"]) <= set(MODELS) and table["n"].min() > 0


def test_tables_are_well_formed_markdown(results_folder):
    lines = [x for x in models_page(results_folder).splitlines() if x.startswith("|")]
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
    assert widths == {6, 7}
    assert markdown_table(pd.DataFrame({"a": ["x|y"]})).endswith("| x\\|y |")


@pytest.mark.parametrize("folder", [None, "given"])
def test_the_results_folder_in_use_is_the_default(results_folder, folder):
    verdicts.keep("xpresso", OUTCOME, results_folder)
    given = results_folder if folder else None
    assert "reproduces the published" in models_page(given)
