"""The page 'Are our estimators right?': its sentences follow from the committed table."""

from __future__ import annotations

import pytest

from howfar.bench.estimators import off
from howfar.book.estimators_page import estimators_page
from howfar.book.speed_page import measured

TABLE = measured("estimators")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    text = estimators_page(folder)
    assert 'srcset="../_figures/estimators.narrow.svg"' in text
    assert "<svg" in (folder / "book" / "figures" / "estimators.narrow.svg").read_text()
    return text


def row(estimator: str, truth: str):
    found = TABLE[(TABLE["estimator"] == estimator) & TABLE["truth"].str.startswith(truth)]
    return found.iloc[0]


def test_whatever_is_not_as_it_says_is_named_with_its_place(page):
    before, _, _ = page.partition("## What follows")
    wrong = TABLE[off(TABLE)]
    assert len(wrong) > 10
    for truth in wrong["truth"]:
        assert f"| {truth} |" in before
    for line in before.splitlines():
        if line.startswith("| ") and not line.startswith(("| ---", "| estimator")):
            assert not line.endswith("|  |"), line  # where it is shown


def test_sentences_of_what_follows_are_those_of_the_table(page):
    mean = TABLE[TABLE["estimator"] == "mean of r over genes"]
    blocks = mean[mean["truth"].str.contains("blocks")]["observed"]
    assert blocks.between(0.91, 0.955).all() and "91 to 95 %" in page
    assert "% with 6 blocks" in page and "% with 22 blocks" in page
    lead = "|r| of the lead variant in the people it was found in"
    assert row(lead, "r 0 of")["bias"] == pytest.approx(0.15, abs=0.01)
    out = row("r of the lead SNP, out of fold", "r 0 of")
    assert out["bias_low"] < 0 < out["bias_high"]
    h2 = TABLE[TABLE["estimator"] == "h², REML ± 1.96 standard errors"]
    assert h2[h2["truth"].str.startswith("h² 0,")]["observed"].between(0.7, 0.8).all()
    tests = TABLE[TABLE["estimator"].str.startswith("p of the gene's lead variant")]
    assert not off(tests).any()
    kept = TABLE[TABLE["estimator"].isin(["own null, at 0.05", "share, exact for genes as drawn"])]
    narrow = kept[off(kept) & (kept["observed"] < kept["says"]) & (kept["kind"] == "interval")]
    assert narrow.empty and not off(kept[kept["kind"] == "test"]).any()
