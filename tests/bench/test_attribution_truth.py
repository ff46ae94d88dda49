"""Judging attribution by the truth: by hand on one gene, and the committed table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from helpers import reduced_networks
from helpers.places import ROOT
from howfar.bench import attribution_truth as judging
from howfar.bench.attribution_truth import AUPRC, PRECISION, RECALL, SIGN, Variants
from howfar.core.errors import HowfarError

KEPT = ROOT / "data" / "measured" / "attribution_truth.csv"


@pytest.fixture
def one() -> Variants:
    """Five variants, the second and fourth causal; a method ranks the first two and the last."""
    return Variants(
        gene="g1",
        maf=np.array([0.05, 0.1, 0.2, 0.4, 0.5]),
        distance=np.array([0, 320, 321, 4_096, 5_000]),
        true=np.array([0, 0.5, 0, -0.3, 0]),
        causal=np.array([False, True, False, True, False]),
        effects={"m": np.array([1.0, 0.2, 0.0, 0.1, np.nan])},
        ranked={"m": np.array([1, 0, 4])},
    )


def test_precision_and_recall_of_the_first_ranks(one):
    rows = pd.DataFrame(judging._precision([one]), columns=["set", "m", "group", "x", "g", "value"])
    every = rows[rows["group"] == "all"].pivot(index="x", columns="set", values="value")
    # One hit, of the first rank; two causal variants; no fourth variant is named.
    assert every[PRECISION].dropna().tolist() == [1, 1 / 2, 1 / 3]
    assert every[RECALL].tolist() == [0.5] * 5
    near = rows[rows["group"] == "distance to 320 bp"].set_index("set")["value"]
    assert near[PRECISION] == 1 and near[RECALL] == 1
    far = rows[rows["group"] == "distance 320 bp to 4 kb"].set_index("set")["value"]
    assert far.to_dict() == {RECALL: 0}
    assert set(rows.loc[rows["group"].str.startswith("frequency"), "group"]) == {
        "frequency 0.05 to 0.2", "frequency 0.2 to 0.5"
    }  # fmt: skip


def test_signs_are_of_causal_variants_with_an_effect(one):
    rows = pd.DataFrame(judging._signs([one]), columns=["set", "m", "group", "x", "g", "value"])
    found = rows.set_index("group")["value"]
    assert set(rows["set"]) == {SIGN}
    assert found["all"] == 0.5  # + is right, - is given as +
    assert found["ranked first"] == 1 and found["distance 320 bp to 4 kb"] == 0


def test_gradients_of_a_base_are_those_less_the_others():
    frame = pd.DataFrame({"base": ["A", "N"], "A": [1.0, 1], "C": [2, 1], "G": [3, 1], "T": [4, 1]})
    assert judging._from_others(frame).tolist() == [2, 4 / 3]


def test_a_shuffled_network_has_the_same_numbers_and_other_values(tmp_path):
    model = reduced_networks.load("demo-enformer", tmp_path)
    other = judging.shuffled(model)
    pairs = zip(
        model.network.state_dict().items(), other.network.state_dict().values(), strict=True
    )
    moved = 0
    for (name, mine), theirs in pairs:
        assert torch.equal(mine.flatten().sort().values, theirs.flatten().sort().values), name
        moved += not torch.equal(mine, theirs)
    assert moved > 10
    values = [reduced_networks.predict(each) for each in (model, other, model)]
    assert np.array_equal(values[0], values[2]) and not np.allclose(values[0], values[1])
    with pytest.raises(HowfarError, match="isn't the simulated world's"):
        judging.shuffled(reduced_networks.load("beluga", tmp_path))


def test_the_committed_table_says_how_sure_it_is():
    table = pd.read_csv(KEPT)
    assert set(table["set"]) == {PRECISION, RECALL, SIGN, AUPRC, judging.ATTENTION}
    shares = table[table["set"] != judging.ATTENTION]
    assert shares["value"].between(0, 1).all() and (table["n"] >= 1).all()
    several = table.dropna(subset=["ci_low"])
    assert (several["ci_low"] <= several["value"] + 1e-9).all()
    assert (several["value"] <= several["ci_high"] + 1e-9).all()
    assert len(several) > len(table) / 2 and table["date"].notna().all()
