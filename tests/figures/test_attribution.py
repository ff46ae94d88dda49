"""Attribution figures: profiles, shares and logos are those of the table `summary`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers import driver_tables, synthetic
from helpers.figure_views import open_view, text_of
from howfar import figures
from howfar.figures import attribution


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    driver_tables.write(folder, "open")
    return open_view(folder)


def test_profile_text_is_the_value_at_the_driver(view, shown):
    table = view["summary"]
    at = table[(table["set"] == "driver_profile") & (table["x"] == 0)]
    text = text_of(shown("attribution_profile"))
    for row in at.itertuples():
        assert f"{row.group}, n = {row.n}: {100 * row.value:.1f} %" in text


def test_shares_follow_the_features(view, tmp_path, shown):
    size = view["features"].query("feature == 'main_driver_relative_size'")
    size = size.set_index("gene_id")["value"]
    main = view["drivers"].query("is_main")
    kind = np.sign(main["effect"]) == np.sign(main["eqtl_slope"])
    hits = size[main["gene_id"][kind]] >= 0.1
    text = text_of(shown("attribution_profile"))
    assert (
        "| supported, 10 % |" in text and f"| {100 * hits.mean():.1f} %, n = {len(hits)} |" in text
    )
    features = view.tables["features"].copy()
    gene = main["gene_id"][kind].iloc[int(np.flatnonzero(hits.to_numpy())[0])]
    here = (features["feature"] == "main_driver_relative_size") & (features["gene_id"] == gene)
    features.loc[here, "value"] = 0.0
    changed = open_view(tmp_path, view.tables.frames | {"features": features})
    text = text_of(figures.attribution_profile(changed))
    share = 100 * (hits.sum() - 1) / len(hits)
    assert f"| {share:.1f} %, n = {len(hits)} |" in text


@pytest.mark.parametrize(("name", "n"), [("driver_motifs", 30), ("driver_sequences", 90)])
def test_logos_carry_sizes_and_the_control(shown, name, n):
    text = text_of(shown(name))
    assert "Group 1: n = 19 windows" in text and "Group 2: n = 18 windows" in text
    assert f"37 of n = {n} windows" in text and "shuffled, 11" in text


def test_information_is_two_bits_less_the_entropy():
    wide = pd.DataFrame([[1, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]], columns=list("ACGT"))
    found = attribution.information(wide)
    np.testing.assert_allclose(found.sum(axis=1), [2, 0, 1], atol=1e-6)
    np.testing.assert_allclose(found.loc[2, ["A", "C"]], 0.5, atol=1e-6)


def test_letters_are_stacked_to_the_heights_of_the_table():
    heights = pd.DataFrame([[0.5, 0.2, 0, -0.3], [0, 0, 1, 0]], columns=list("ACGT"))
    _, (axis,) = figures.style.panels([2])
    attribution._logo(axis, heights)
    ends = [patch.get_path().get_extents() for patch in axis.patches]
    assert max(e.y1 for e in ends) == pytest.approx(1, abs=0.05)
    assert min(e.y0 for e in ends) == pytest.approx(-0.3, abs=0.05)
    first = [e.y1 for e in ends if e.x1 < 0.5]
    assert max(first) == pytest.approx(0.7, abs=0.05)  # A on top of C


@pytest.mark.parametrize("name", ["attribution_profile", "driver_motifs", "driver_sequences"])
def test_a_study_without_attributions_gets_a_text(tmp_path, name):
    synthetic.write(tmp_path, "bare", numbers=False)
    view = open_view(tmp_path, name="bare")
    assert isinstance(getattr(figures, name)(view), figures.Box)
