"""Strand and shift averaging against explicit loops over arrays."""

import numpy as np
import pytest
import torch

from howfar.core.errors import HowfarError
from howfar.models.engine.averaging import mean_of_views, shifted
from howfar.models.engine.options import check_n_value, check_shifts, check_switch, middle
from howfar.models.registry import Layout

N_BINS, BIN = 6, 4
FILTER = torch.randn(7, 4, 5, generator=torch.Generator().manual_seed(3))


def _network(x: torch.Tensor) -> torch.Tensor:
    """(batch, 24, 4) to (batch, 6, 7): a convolution and a sum over bins, not symmetric."""
    made = torch.nn.functional.conv1d(x.transpose(1, 2), FILTER, padding=2).exp()
    return made.reshape(len(x), 7, N_BINS, BIN).sum(3).transpose(1, 2)


def _values(x, bins):
    return _network(x)[:, list(bins)]


def _by_loop(array: np.ndarray, shifts, rc: bool, fill: float) -> np.ndarray:
    views = []
    for shift in shifts:
        moved = np.full_like(array, fill)
        for i in range(array.shape[1]):
            if 0 <= i - shift < array.shape[1]:
                moved[:, i] = array[:, i - shift]
        views.append(_network(torch.from_numpy(moved)).numpy())
        if rc:
            reverse = np.ascontiguousarray(moved[:, ::-1, ::-1])
            views.append(_network(torch.from_numpy(reverse)).numpy()[:, ::-1])
    return np.mean(views, axis=0)


@pytest.fixture
def one_hot() -> torch.Tensor:
    made = torch.Generator().manual_seed(1)
    return torch.eye(4)[torch.randint(4, (3, N_BINS * BIN), generator=made)]


@pytest.mark.parametrize("rc", [False, True])
@pytest.mark.parametrize("shifts", [(0,), (1, 0, -1), (-3, 2)])
def test_the_mean_equals_explicit_loops(one_hot, rc, shifts):
    bins = [4, 0, 1]
    found = mean_of_views(one_hot, bins, _values, n_bins=N_BINS, rc=rc, shifts=shifts, fill=0.25)
    expected = _by_loop(one_hot.numpy(), shifts, rc, 0.25)
    np.testing.assert_allclose(found, expected[:, bins], rtol=1e-6)
    other = _by_loop(one_hot.numpy(), shifts, not rc, 0.25)[:, bins]
    assert np.abs(found.numpy() - other).max() > 0.1


def test_both_strands_see_the_same_values(one_hot):
    """The mean over strands of a reverse complement is the mirrored mean of the sequence."""
    every = list(range(N_BINS))
    ahead = mean_of_views(one_hot, every, _values, n_bins=N_BINS, rc=True)
    back = mean_of_views(one_hot.flip(1, 2), every, _values, n_bins=N_BINS, rc=True)
    torch.testing.assert_close(back.flip(1), ahead)


def test_tracks_of_the_two_strands_may_change_places(one_hot):
    swap = [1, 0, *range(2, 7)]
    found = mean_of_views(
        one_hot, [2], _values, n_bins=N_BINS, rc=True,
        reverse_values=lambda x, bins: _values(x, bins)[:, :, swap],
    )  # fmt: skip
    back = _network(one_hot.flip(1, 2)).flip(1)[:, [2]][:, :, swap]
    torch.testing.assert_close(found, (_network(one_hot)[:, [2]] + back) / 2)


def test_what_leaves_the_window_is_lost_and_the_gap_is_filled(one_hot):
    assert shifted(one_hot, 0, 0.25) is one_hot
    right, left = shifted(one_hot, 2, 0.25), shifted(one_hot, -2, 0.0)
    assert (right[:, :2] == 0.25).all() and (right[:, 2:] == one_hot[:, :-2]).all()
    assert (left[:, -2:] == 0).all() and (left[:, :-2] == one_hot[:, 2:]).all()


def test_shifts_are_checked():
    assert check_shifts("m", [1, 0, -1], 64) == (1, 0, -1) and check_shifts("m", 2, 64) == (2,)
    for wrong in ([], [0.5], [True], [64], "one", None):
        with pytest.raises(HowfarError, match="whole numbers of bases below 64"):
            check_shifts("m", wrong, 64)


def test_n_is_checked():
    assert check_n_value("m", 0) == 0.0 and check_n_value("m", 0.25) == 0.25
    for wrong in ("0.25", None, -0.1, 2, float("nan")):
        with pytest.raises(HowfarError, match="m, option n_value: found"):
            check_n_value("m", wrong)


def test_the_bins_kept_lie_in_the_middle():
    whole = Layout(64, 8, 8)
    assert middle("m", whole, 4, {}) == Layout(64, 8, 4, first_base=16)
    assert middle("m", whole, None, {8: 6}) == Layout(64, 8, 6, first_base=8)
    assert middle("m", whole, None, {16: 6}) == whole
    for wrong in (3, 10, 0, -2, 2.0, "4"):
        with pytest.raises(HowfarError, match="8 bins or fewer, by an even number"):
            middle("m", whole, wrong, {})


@pytest.mark.parametrize("given", ["no", "false", 0, 1, None])
def test_a_word_or_number_for_a_switch_is_refused(given):
    """As a condition the word "no" would be true."""
    with pytest.raises(HowfarError, match="model enformer, option rc: found"):
        check_switch("enformer", "rc", given)
    assert check_switch("enformer", "rc", True) and not check_switch("enformer", "rc", False)


@pytest.mark.parametrize("given", [True, "0.25", float("nan"), -0.1, None])
def test_n_is_a_number_from_zero_to_one(given):
    with pytest.raises(HowfarError, match="option n_value: found"):
        check_n_value("enformer", given)
