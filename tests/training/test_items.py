"""What a step sees, windows and targets, against the authors' data sets and published numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers.published_studies import fetch_mirrored, needs_mirror
from howfar.published import huang2023
from howfar.training import samplers
from howfar.training.samplers import Augmented

each_seed = pytest.mark.parametrize("seed", [1, 2])
STRANDS = (Augmented(False, 0), Augmented(True, 0))


@pytest.fixture
def data(shared, seed):
    return np.load(shared / "oracles" / "finetuning" / f"r_data_seed{seed}.npz")


def windows(data) -> np.ndarray:
    """One-hot of the central 256 of 320 bases."""
    start = (data["in_seqs"].shape[-1] - 256) // 2
    return np.eye(5, 4, dtype=np.float32)[data["in_seqs"]][:, :, start : start + 256]


def letters(one_hot: np.ndarray) -> np.ndarray:
    return np.where(one_hot.any(-1), one_hot.argmax(-1), 4)


@each_seed
def test_single_items_are_the_authors(data, seed):
    seen, generator = windows(data), np.random.RandomState(seed)
    for row, expected in enumerate(data["single_train_seq"]):
        assert np.array_equal(
            letters(samplers.draw_augmented(generator).apply(seen[row])), expected
        )
    for (row, reverse), expected in zip(
        data["single_val_true_idx_rc"].tolist(), data["single_val_seq"], strict=True
    ):
        assert np.array_equal(letters(STRANDS[reverse].apply(seen[row])), expected)


@each_seed
def test_validation_pairs_are_seen_on_both_strands_in_turn(data, seed):
    rows = samplers.rows_of_genes(data["in_genes"])
    pairs = samplers.validation_pairs(rows, 6)
    assert int(data["val_len"]) == 2 * len(pairs)
    seen, z = windows(data), data["in_Z"]
    for item, expected in enumerate(data["val_regression_seq1_first6"]):
        first, second = pairs[item // 2]
        strand = STRANDS[item % 2]
        assert bool(data["val_regression_rc_first6"][item]) is strand.reverse
        assert np.array_equal(letters(strand.apply(seen[first])), expected)
        assert data["val_regression_z_diff_first6"][item] == z[first] - z[second]


@each_seed
def test_targets_of_pairs_are_the_authors(data, seed):
    genes = len(samplers.rows_of_genes(data["in_genes"]))
    for kind in ("regression", "regression_half", "counts", "counts_half", "classification"):
        if f"train_{kind}_target" not in data.files:
            continue
        assert int(data[f"train_{kind}_len"]) == samplers.PAIRS * genes
        first, second = data[f"train_{kind}_item_ndraws_i1_i2_rc_shift"][:, 2:4].T
        y, z = (data[f"in_{k}"] for k in "YZ")
        target = {"regression": z[first] - z[second], "counts": y[first]}.get(
            kind.split("_")[0], y[first] >= y[second]
        )
        assert np.array_equal(target, data[f"train_{kind}_target"])
    fixed = data["val_pairs_classification"].T
    assert np.array_equal(
        data["in_Y"][fixed[0]] >= data["in_Y"][fixed[1]], data["val_classification_label"]
    )


@needs_mirror
def test_published_people_stand_on_the_level_of_the_published_reference(shared, tmp_path):
    """Both are means, not sums, of the ten central bins: f(reference) lies among the people."""
    table = pd.read_csv(shared / "oracles" / "finetuning" / "r_baseline_published.csv")
    reference = table.set_index("gene")["reference_prediction"].dropna()
    folder = fetch_mirrored([huang2023.ENFORMER_PEOPLE], tmp_path)
    people = pd.read_csv(folder / huang2023.ENFORMER_PEOPLE, index_col=0).loc[reference.index]
    ratio = people.median(axis=1) / reference
    assert len(ratio) == 332 and ratio.median() == pytest.approx(1, abs=0.002)
    assert ((ratio > 0.4) & (ratio < 10)).all()
