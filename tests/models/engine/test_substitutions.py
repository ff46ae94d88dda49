"""Substitutions computed by tiles are what each mutated window gives by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers import reduced_networks
from howfar.models.base import SequenceModel, reverse_complement
from howfar.models.engine.substitutions import Convolution, Each, Local, largest

CASES = ["demo-enformer", "enformer views", "basenji2", "beluga forward", "beluga", "xpresso"]
LETTERS = np.frombuffer(b"ACGT", np.uint8)


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    """A reduced network in float64, a window, and places: both ends, N, the middle."""
    folder = tmp_path_factory.mktemp("weights")
    model = reduced_networks.load(request.param, folder)
    reduced_networks.widen(model)
    window = reduced_networks.windows(model, 2)[1]
    last, middle = len(window) - 1, len(window) // 2
    places = np.array([0, 1, 2, middle - 1, middle + 3, middle + 40, last - 2, last])
    letters = np.array([3, 0, 1, 2, 1, 0, 3, 2])
    return model, window, places, letters


def mutated(window, places, letters):
    rows = np.tile(window, (len(places), 1))
    rows[np.arange(len(places)), places] = LETTERS[letters]
    return rows


def test_layers_of_a_tile_are_those_of_the_whole_mutated_window(case):
    model, window, places, letters = case
    local = model._local()
    if local is None:  # several windows of Beluga overlap: each mutant is read whole
        assert model.name == "beluga"
        return
    one_hot = model._one_hot(torch.from_numpy(np.stack([window])))[0]
    with torch.inference_mode():
        kept, base = local.known(one_hot, 0, len(window))
        rows = torch.eye(4, dtype=one_hot.dtype)[letters][:, None]
        starts, tiles = local.tiles(kept, torch.from_numpy(places), rows)
        for start, tile, row in zip(starts, tiles, mutated(window, places, letters), strict=True):
            _, wanted = local.known(model._one_hot(torch.from_numpy(row[None]))[0], 0, len(row))
            at = start + torch.arange(len(tile))
            inside = (at >= 0) & (at < len(base))
            laid = base.clone()
            laid[at[inside]] = tile[inside]
            torch.testing.assert_close(laid, wanted, rtol=0, atol=1e-10)
            # What is laid in is a small part, and not nothing.
            assert not torch.equal(laid, base) or int(row[0]) == int(window[0])


def test_values_are_those_of_mutated_windows(case):
    model, window, places, letters = case
    bins, tracks = sorted({0, model.layout.n_bins // 2, model.layout.n_bins - 1}), [0]
    found = np.concatenate(list(model.predict_substitutions(window, places, letters, bins, tracks)))
    wanted = model.predict(mutated(window, places, letters), bins, tracks)
    base = model.predict(window[None], bins, tracks)
    largest_effect = np.abs(wanted - base).max()
    assert largest_effect > 1e-3
    # `predict` rounds to float32: that, and no more.
    assert np.abs(found - wanted).max() <= 1e-7 * max(1, np.abs(wanted).max())
    (same,) = model.predict_substitutions(window, places[:1], np.array([-1]), bins, tracks)
    np.testing.assert_allclose(same, base, rtol=2e-7)


def test_a_plain_engine_predicts_each_mutant(tmp_path):
    model = reduced_networks.load("demo-enformer plain", tmp_path)
    window = reduced_networks.windows(model, 1)[0]
    at, letters = np.array([500, 501]), np.array([1, -1])
    (found,) = model.predict_substitutions(window, at, letters, [16], [0])
    changed = mutated(window, at[:1], letters[:1])
    assert np.array_equal(found[0], model.predict(changed, [16], [0])[0])
    assert np.array_equal(found[1], model.predict(window[None], [16], [0])[0])
    assert SequenceModel.predict_substitutions is not type(model).predict_substitutions


def test_a_convolution_pads_with_zeros_and_a_pooling_leaves_a_rest_out():
    draw = np.random.default_rng(1)
    weight = torch.from_numpy(draw.normal(size=(4, 3, 5)))
    bias = torch.from_numpy(draw.normal(size=5))
    x = torch.from_numpy(draw.normal(size=(23, 3)))
    ours = Convolution(weight, bias, 1, 2).whole(x)
    padded = torch.nn.functional.pad(x.T[None], (1, 2))
    wanted = torch.nn.functional.conv1d(padded, weight.permute(2, 1, 0), bias)[0].T
    torch.testing.assert_close(ours, wanted)
    local = Local([Convolution(weight, bias, 1, 2), Each(torch.relu), largest(4)], lambda *a: a[2])
    kept, features = local.known(x, 10, 12)
    assert features.shape == (5, 5)
    torch.testing.assert_close(
        features, torch.nn.functional.max_pool1d(wanted.T.relu()[None], 4)[0].T
    )
    assert [len(k.rows) for k in kept] == [8, 5, 12]  # no more is kept than tiles need


def test_the_reverse_complement_of_a_window_is_read_at_mirrored_places(tmp_path):
    model = reduced_networks.load("beluga forward", tmp_path)
    window = reduced_networks.windows(model, 1)[0]
    at, letters = np.array([300, 1200]), np.array([2, 0])
    turned = reduced_networks.load("beluga forward", tmp_path)
    turned._turns = (True,)
    mirrored, complement = len(window) - 1 - at, 3 - letters
    ours = np.concatenate(list(turned.predict_substitutions(window, at, letters, [0], [1])))
    seen = reverse_complement(window)
    wanted = np.concatenate(list(model.predict_substitutions(seen, mirrored, complement, [0], [1])))
    np.testing.assert_allclose(ours, wanted, rtol=1e-6)
