"""The hard setting over five seeds: orders of methods, in the committed table and made anew."""

import os

import numpy as np
import pandas as pd
import pytest

from helpers.places import ROOT
from howfar.simulate.hard import report

SEEDS = [1, 2, 3, 4, 5]


@pytest.fixture(scope="module")
def committed():
    table = pd.read_csv(ROOT / "data" / "measured" / "demo_hard_seeds.csv")
    return table[table["design"] == report.DESIGN].set_index("seed")


def check_orders(table):
    """What the setting is for, in each seed; how far the prior helps on the mean alone."""
    assert (table["network"] < table["blup"]).all() and (table["blup"] < table["ceiling"]).all()
    assert (table["network"] < table["told"]).all()
    assert table["prior"].mean() > table["blup"].mean()
    assert table["wrong_enhancer"].between(0.35, 0.55).all()
    ends = 1.96 * table["pooled_gain_unseen_se"]
    assert (table["pooled_gain_unseen"].abs() <= ends.fillna(np.inf) + 1e-9).all()


def test_the_committed_seeds_keep_the_order(committed):
    assert committed["date"].notna().all() and (committed["people_genes"] == 240).all()
    check_orders(committed)


@pytest.mark.skipif(os.getenv("HOWFAR_LONG") != "1", reason="five trainings, half an hour")
def test_seeds_made_anew_are_those_of_the_committed_table(committed, tmp_path):
    assert list(committed.index) == SEEDS
    made = report.report(SEEDS, tmp_path / "seeds.csv", say=lambda line: None).set_index("seed")
    check_orders(made)
    for name in ("network", "told", "blup", "prior", "ceiling"):
        apart = (made[name] - committed[name]).abs()
        assert (apart <= 3 * committed[f"{name}_se"]).all(), name
