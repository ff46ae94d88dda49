"""The shared tower equals the plain one, whatever the blocks, the people and the memory."""

import copy
from functools import partial

import numpy as np
import pytest
import torch

from helpers.rounding import assert_as_exact_as
from howfar.bench.inference import lively
from howfar.core.errors import HowfarError
from howfar.models.base import encoding_table
from howfar.models.engine import enformer_network, shared_tower
from howfar.models.engine.shared_tower import SharedTower, block_of, halo_of

BIN, WIDTH = 128, 96
BASES = np.frombuffer(b"ACGT", np.uint8)
NARROW = {
    "dim": WIDTH,
    "depth": 1,
    "heads": 2,
    "dim_divisible_by": 16,
    "output_heads": {"human": 2},
}
TABLE = torch.from_numpy(encoding_table(0.25))


def encode(bases):
    return TABLE[bases.long()]


def people(n: int, bins: int, changes: int, seed: int = 1) -> np.ndarray:
    """Windows of `n` haplotypes that differ from one another at single bases and by an indel."""
    draw = np.random.default_rng(seed)
    reference = BASES[draw.integers(0, 4, bins * BIN)]
    windows = np.tile(reference, (n, 1))
    for row in windows:
        at = draw.integers(0, bins * BIN, changes)
        row[at] = BASES[draw.integers(0, 4, changes)]
        if draw.random() < 0.5:  # a deletion: everything to its right moves
            cut, size = draw.integers(0, bins * BIN - 40), draw.integers(1, 9)
            row[cut:-size] = row[cut + size :]
    return windows


@pytest.fixture(scope="module")
def network(one_thread):
    """A narrow Enformer whose features differ between haplotypes, so that not any answer passes."""
    return lively(NARROW, 16 * BIN, seed=3)


@pytest.fixture(scope="module")
def tower(network):
    return partial(enformer_network.tower, network)


def shared(tower, bins: int, **options) -> SharedTower:
    given = {"halo": 3, "block": 4, "stretches": 5, "memory": 1e8} | options
    return SharedTower(
        tower, encode, n_bins=bins, bin_size=BIN, channels=WIDTH, device="cpu", **given
    )


def features(engine, windows, batch=3) -> torch.Tensor:
    with torch.inference_mode():
        return torch.cat([found[:real] for found, real in engine.features(windows, batch)])


def plain(tower, windows) -> torch.Tensor:
    with torch.inference_mode():
        return torch.cat([tower(encode(torch.from_numpy(w[None]))) for w in windows])


@pytest.fixture(scope="module")
def in_float64(network):
    """Features of windows by the plain tower in float64."""
    double = copy.deepcopy(network).double()

    def exact(windows):
        with torch.inference_mode():
            encoded = [encode(torch.from_numpy(w[None])).double() for w in windows]
            return torch.cat([enformer_network.tower(double, each) for each in encoded])

    return exact


def worst(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Largest error as a share of the spread between haplotypes, the worst bin and channel."""
    spread = wanted.std(dim=0).mean()
    return float((found - wanted).abs().max() / spread)


@pytest.mark.parametrize("block", [1, 2, 4, 8, 16])
def test_equal_to_the_plain_tower_with_blocks_of_any_length(tower, block):
    windows = people(9, 16, 3)
    assert worst(features(shared(tower, 16, block=block), windows), plain(tower, windows)) < 1e-3


@pytest.mark.parametrize("n", [1, 2, 7])
def test_one_person_all_equal_and_all_different(tower, in_float64, n):
    same = np.tile(people(1, 8, 0), (n, 1))
    assert_as_exact_as(features(shared(tower, 8), same), plain(tower, same), in_float64(same))
    different = np.stack([people(1, 8, 0, seed)[0] for seed in range(n)])
    found = features(shared(tower, 8), different)
    assert_as_exact_as(found, plain(tower, different), in_float64(different))


def test_runs_of_n_at_the_ends_and_inside(tower):
    windows = people(6, 8, 3)
    windows[:3, :300] = ord("N")
    windows[1:4, -500:] = ord("N")
    windows[2, 400:600] = ord("N")
    assert worst(features(shared(tower, 8), windows), plain(tower, windows)) < 1e-3


def test_every_phase_of_an_indel(tower):
    reference = people(1, 8, 0)[0]
    windows = np.stack([np.concatenate([reference[:300], reference[300 + k :], reference[:k]])
                        for k in range(0, 129, 8)])  # fmt: skip
    assert worst(features(shared(tower, 8), windows), plain(tower, windows)) < 1e-3


def test_a_halo_too_small_is_seen(tower):
    windows = people(9, 16, 3)
    found = features(shared(tower, 16, halo=2), windows)
    assert worst(found, plain(tower, windows)) > 1e-3


def test_an_engine_that_misses_one_variant_is_seen(tower, monkeypatch):
    windows = np.tile(people(1, 16, 0), (2, 1))
    windows[1, 1000] = ord("A") if windows[0, 1000] != ord("A") else ord("C")
    engine = shared(tower, 16)
    blind = engine._keys(windows[0])
    monkeypatch.setattr(engine, "_keys", lambda window: blind)
    assert worst(features(engine, windows), plain(tower, windows)) > 1e-3


def test_ends_are_not_taken_for_inner_blocks(tower, in_float64):
    """The same bases at the start, inside and at the end of the window."""
    unit = people(1, 4, 0)[0]
    windows = np.tile(unit, 4)[None]
    found = features(shared(tower, 16, block=4), windows)
    assert_as_exact_as(found, plain(tower, windows), in_float64(windows))


def test_work_is_done_once_for_each_content(tower):
    windows = np.tile(people(1, 16, 0), (50, 1))
    engine = shared(tower, 16)
    features(engine, windows)
    once = engine.bins_run
    features(engine, windows)
    assert engine.bins_run == once  # remembered from the first time
    assert engine.bins_asked == 2 * 50 * 16


@pytest.mark.parametrize("memory", [0, 4 * 4 * WIDTH * 6])
def test_memory_is_bounded_and_forgetting_changes_nothing(tower, memory):
    windows = people(12, 16, 4)
    engine = shared(tower, 16, memory=memory)
    assert worst(features(engine, windows), plain(tower, windows)) < 1e-3
    slots = max(memory // (4 * 4 * WIDTH), 4)  # room for one window's four blocks at the least
    assert engine._store.numel() == slots * 4 * WIDTH
    assert len(engine._slots) <= slots


def test_a_haplotype_has_the_same_bits_in_whatever_company(tower):
    windows = people(12, 16, 4)
    together = features(shared(tower, 16), windows)
    backwards = features(shared(tower, 16, memory=0), windows[::-1].copy(), batch=5)
    assert torch.equal(together, backwards.flip(0))


def test_the_halo_follows_from_the_kernels():
    assert halo_of([15, 5, 5, 5, 5, 5, 5], 128) == 3  # 259 bases
    assert halo_of([1, 1], 128) == 0


def test_blocks_divide_the_window():
    assert block_of(1536, 32) == 32 and block_of(28, 32) == 28
    with pytest.raises(HowfarError, match="divide"):
        shared_tower.cuts(10, 4, 3)
