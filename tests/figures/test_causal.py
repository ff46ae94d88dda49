"""Figures of causal variants: what is drawn is what the tables say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers.figure_views import assert_four_files, text_of, words_of
from helpers.rastogi_files import made_view, other_view
from howfar import figures
from howfar.figures import style

NAMES = ["drivers_per_method", "dnase", "prioritisation", "auroc", "sign_concordance"]
NAMES += ["unseen_alleles"]


@pytest.fixture(scope="module")
def view():
    return made_view()


def rows(view, what: str) -> pd.DataFrame:
    table = view.tables["summary"]
    return table[table["set"] == what]


@pytest.mark.parametrize("name", NAMES)
def test_four_files_and_what_is_real(view, shown, name):
    assert_four_files(shown(name))
    assert "Genotypes: real" in str(figures.about(view))


def test_driver_panels_carry_counts_and_medians(view, shown):
    drivers, text = view.tables["drivers"], text_of(shown("drivers_per_method"))
    for _, part in drivers.groupby("run_id"):
        assert f"{len(part)} drivers" in text
        assert f"{np.median(part['distance'].clip(lower=10)):,.0f}" in text


def test_footprints_and_top_shares_carry_value_and_interval(view, shown):
    for row in rows(view, "dnase").itertuples():
        text = f"{row.value:.2f} {style.interval(row.ci_low, row.ci_high, 2)}"
        assert text in text_of(shown("dnase"))
    for what in ("mage_curve", "mpra_curve"):
        top = rows(view, what)
        for row in top[np.isclose(top["x"], 0.1)].itertuples():
            ends = style.interval(row.ci_low, row.ci_high, 2)
            text = f"{row.method}: {row.value:.2f} {ends}".strip()
            assert text in words_of(shown("prioritisation"))


def test_areas_are_those_of_the_numbers(view, shown):
    text = text_of(shown("auroc"))
    for row in view.all_numbers():
        if ".mage.auroc." in row.id:
            assert f"{row.value:.3f}" in text
    assert "n = 8 fine-mapped pairs" in text


def test_signs_carry_share_and_n_in_the_order_of_probability(view, shown):
    text = text_of(shown("sign_concordance"))
    for row in rows(view, "sign_concordance").dropna(subset=["value"]).itertuples():
        assert f"{100 * row.value:.0f} %, n = {row.n}" in text
    places = [text.index(f"PIP {w}") for w in ("below 0.1", "0.1 to 0.5", "from 0.9")]
    assert places in (sorted(places), sorted(places, reverse=True))


def test_unseen_alleles_carry_their_number(view, shown):
    for _, part in rows(view, "unseen_af").groupby("group"):
        assert f"n = {int(part['value'].sum())} alleles" in text_of(shown("unseen_alleles"))


@pytest.mark.parametrize("name", NAMES)
def test_another_study_gets_a_box(name):
    box = getattr(figures, name)(other_view())
    assert isinstance(box, figures.Box) and "not public" in box.lines[0]
