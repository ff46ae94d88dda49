"""Figures of attribution judged by the truth, from the committed table."""

from __future__ import annotations

import pytest

from howfar.figures import attribution_truth as figures


class Study:
    """A study of that name."""

    def __init__(self, name):
        self.name = name


class View:
    """A view of a study's name alone: these figures read the committed table."""

    def __init__(self, name):
        self.study = Study(name)


@pytest.mark.parametrize("figure", ["truth_ranks", "truth_signs", "truth_bases"])
def test_only_judged_studies_have_figures(figure):
    draw = getattr(figures, figure).__wrapped__
    assert draw(View("sasse2023")).startswith("Only the demo worlds")
    drawn, table, caption = draw(View("demo"))
    assert len(drawn.axes) >= 2 and len(table) > 5 and "Measured on 20" in caption
    assert not drawn.findobj(lambda item: getattr(item, "get_text", str)() == "nan")


def test_a_judged_network_names_places_and_misses_signs():
    """What the page says in words: the demo's network errs in signs, not in places."""
    table = figures.judged(View("demo")).query("group == 'all'").set_index(["set", "method"])
    first = table[table["x"] == 1]
    named, chance = (first.loc[("precision", who)] for who in ("network", "chance"))
    assert named["ci_low"].item() > chance["ci_high"].item()
    sign = table.loc[("sign right", "network")]
    assert sign["ci_low"].item() < 0.5 < sign["ci_high"].item()
