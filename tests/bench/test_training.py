"""The benchmark of a training step: its ways agree, a broken one shows, and less is run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from howfar.bench import training
from howfar.bench.training import ONCE, PLAIN, SHARED, Case, Step

SIZES = {
    **{"dim": 48, "depth": 1, "heads": 2, "attn_dim_key": 8, "dim_divisible_by": 8},
    "output_heads": {"human": 3},
}


@pytest.fixture(scope="module")
def case() -> Case:
    """Eight people of 24 bins: SNVs in the middle and at bins' edges, and an insertion."""
    draw = np.random.default_rng(2)
    letters = np.frombuffer(b"ACGT", np.uint8)
    one = letters[draw.integers(0, 4, 24 * 128)]
    windows = np.repeat(one[None], 4, axis=0)
    for row, places in ((1, [1500]), (2, [1500, 1791, 1792])):
        windows[row, places] = np.where(one[places] == ord("A"), ord("C"), ord("A"))
    windows[3, 1600:] = np.insert(one, 1600, list(b"GATT"))[1600 : len(one)]
    return Case(SIZES, windows, draw.integers(0, 4, (8, 2)), "cpu", chunk=2)


@pytest.fixture(scope="module")
def table(case):
    return training.run(case).set_index("way")


def test_gradients_are_equal_and_less_is_run(table):
    assert (table["error_double"].dropna() < 1e-9).all()
    assert table.loc[[SHARED, ONCE], "error_double"].notna().all()
    assert table["error"].between(1e-12, 1e-3).all() and (table["error_sd"] < 1e-3).all()
    assert (table["error"] < 30 * table.loc[PLAIN, "error"]).all()
    assert table.loc[SHARED, "tower"] < 16 / 4 and table.loc[PLAIN, "tower"] == 16
    assert table.loc[ONCE, "tflop"] < table.loc[SHARED, "tflop"] < table.loc[PLAIN, "tflop"]


def test_bfloat16_runs_on_a_cpu_too(case):
    """What a GPU is timed by: rows, memory and rates, and errors of that precision."""
    small = {"windows": case.windows[:, 1024:2560], "index": case.index[:4]}
    table = training.run(replace(case, precision="bfloat16", **small)).set_index("way")
    assert set(table["precision"]) == {"bfloat16"}
    assert table["error"].between(1e-4, 0.5).all() and (table["people_per_s"] > 0).all()
    assert (table["error"] < 30 * table.loc[PLAIN, "error"]).all()


@pytest.mark.parametrize("fault", ["halo", "gather", "person"])
def test_a_broken_tower_shows(case, fault, monkeypatch):
    if fault == "halo":
        monkeypatch.setattr(training, "HALO", 2)
    step = Step(case)
    if fault == "gather":
        step.stretches.index[2, 13] = step.stretches.index[0, 13]
    with step.double():
        expected = step.exact()[1]
        if fault == "person":
            step.index = step.index.roll(1, 0)
        step.shared()
        assert training.errors(step.gradients(), expected)[1] > 1e-7


def test_a_gradient_that_one_way_lacks_is_an_error():
    one = {"a": torch.ones(2).double(), "b": torch.ones(1).double()}
    assert training.errors({"a": one["a"]}, one) == (np.inf, np.inf)
    assert training.errors(one, one) == (0, 0)
