"""The benchmark measures what it says: operations, shared work, errors, and the three ways."""

import numpy as np
import pytest
import torch

from howfar.bench import inference
from howfar.bench.inference import Case, _whole, tower_work
from howfar.models.engine.shared_tower import SharedTower

SIZES = {
    **{"dim": 96, "depth": 2, "heads": 2, "attn_dim_key": 16, "dim_divisible_by": 16},
    "output_heads": {"human": 3},
}
LETTERS = np.frombuffer(b"ACGT", np.uint8)


def cohort(haplotypes: int, bases: int, variants: int, seed: int = 2):
    """(alleles (variants, haplotypes), positions, windows) of SNVs on a random sequence."""
    draw = np.random.default_rng(seed)
    positions = np.sort(draw.choice(bases, variants, replace=False))
    alleles = (draw.random((variants, haplotypes)) < 0.2).astype(np.uint8)
    reference = draw.integers(0, 4, bases)
    codes = np.tile(reference, (haplotypes, 1))
    codes[:, positions] = (codes[:, positions] + alleles.T) % 4
    return alleles, positions, LETTERS[codes]


def test_work_counted_from_alleles_is_the_work_that_the_tower_does():
    alleles, positions, windows = cohort(30, 64 * 128, 40)
    ran = []

    def tower(one_hot):
        ran.append(one_hot.shape[1] // 128)
        return torch.zeros(1, one_hot.shape[1] // 128, 2)

    engine = SharedTower(
        tower, lambda b: b[..., None].expand(-1, -1, 4), n_bins=64, bin_size=128, channels=2,
        halo=3, block=8, stretches=1, memory=1e8, device="cpu",
    )  # fmt: skip
    list(engine.features(windows, 5))
    assert sum(ran) / 64 == pytest.approx(tower_work(alleles, positions, 64 * 128))


def test_operations_of_the_first_convolution_are_counted():
    work = inference.operations(SIZES, 2048)
    assert work["whole"] > work["tower"] > 2 * 2048 * 15 * 4 * 48  # width 15, 4 to 48 channels
    double = inference.operations(SIZES, 4096)
    assert double["tower"] == pytest.approx(2 * work["tower"])


def test_all_ways_agree_and_the_shared_one_does_less():
    _, _, windows = cohort(40, 2048, 6)
    distinct, index = np.unique(windows, axis=0, return_inverse=True)
    case = Case(SIZES, distinct, np.ravel(index), "cpu", "float32", batch_size=4)
    table, around = inference.run(case, rounds=1)
    table = table.set_index("way")
    assert (table["error_sd"] < 1e-3).all() and (table["r"] > 0.999999).all()
    assert table.loc["howfar", "ceiling"] > 1.5 > table.loc["plain batches", "ceiling"]
    assert list(table["scaled"]) == [True, True, False, True]
    assert around["distinct"] == len(distinct) and around["haplotypes"] == 40


def test_a_lively_network_tells_haplotypes_apart():
    _, _, windows = cohort(8, 2048, 6)
    network = inference.lively(SIZES, 2048)
    values = _whole(network, "cpu")(windows)
    assert values.std() > 0.001 * values.mean()


def test_the_work_grows_more_slowly_than_the_cohort():
    table = inference.growth([20, 40, 80], context=8192)
    assert table["tower_windows"].is_monotonic_increasing
    assert (table["distinct"] <= table["haplotypes"]).all()
    assert table["tower_windows"].iloc[-1] < 2 * table["tower_windows"].iloc[0]


def test_alphagenome_is_measured_in_the_same_way(monkeypatch):
    from helpers.reduced_networks import ALPHAGENOME

    monkeypatch.setattr(inference, "TIMED", 2)
    draw = np.random.default_rng(0)
    windows = np.tile(draw.choice(np.frombuffer(b"ACGT", np.uint8), 2048), (3, 1))
    windows[1, 1000], windows[2, 1100] = ord("A"), ord("C")
    index = np.array([0, 1, 2, 1])
    case = Case(ALPHAGENOME, windows, index, "cpu", "float32", 2, model="alphagenome")
    table, around = inference.run(case, rounds=1)
    assert list(table["way"]) == [
        *(inference.STUDIES, inference.PLAIN, inference.OURS, inference.RELEASED)
    ]
    assert table["tflop"].iloc[0] > 0 and (table["seconds"] > 0).all()
    assert around["windows_worth_of_tower"] < 3 * 3 and 0 < around["tower_share"] < 1
