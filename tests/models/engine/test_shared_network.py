"""The shared engine gives what the plain one gives: heads, strands, shifts, memory and errors."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from howfar.bench.inference import lively
from howfar.core.errors import HowfarError
from howfar.models.base import Layout, encoding_table, shift_windows
from howfar.models.engine.averaging import mean_of_views
from howfar.models.engine.enformer_network import embeddings, split
from howfar.models.engine.network import softplus_head
from howfar.models.engine.shared_network import SharedNetwork, SharedTower

CONTEXT, BIN, CROP = 2048, 128, 2
SIZES = {"dim": 96, "depth": 2, "heads": 2, "dim_divisible_by": 16, "output_heads": {"human": 2}}
BINS, TRACKS = [0, 5, 11, 6], [1, 0]
VIEWS = ((-1, False), (-1, True), (0, False), (0, True), (2, False), (2, True))


class Narrow(SharedNetwork):
    """A narrow Enformer, cropped, with random weights of unit gain and seen statistics."""

    name, units, weights_sha256 = "narrow", "none", "0" * 64
    layout = Layout(CONTEXT, BIN, CONTEXT // BIN - 2 * CROP, CROP * BIN)
    tracks = pd.DataFrame({"description": ["a", "b"]})

    def __init__(self, network, views=((0, False),), engine="shared", batch_size=3, **more):
        self._views = views
        self._ready(network, "cpu", batch_size, encoding_table(0.25))
        self._share(split(network, self._head, CROP, views), engine, **more)

    def _head(self, x, tracks):
        linear = self._network.heads["human"][0]
        return softplus_head(x, linear.weight[tracks], linear.bias[tracks])

    def _forward(self, bases, bins, tracks):
        def values(one_hot, chosen):
            return self._head(
                embeddings(self._network, one_hot, [CROP + b for b in chosen]), tracks
            )

        strands = any(turned for _, turned in self._views)
        shifts = sorted({shift for shift, _ in self._views})
        n_bins = self.layout.n_bins
        return mean_of_views(
            self._one_hot(bases), bins, values, n_bins=n_bins, rc=strands, shifts=shifts
        )


def people(n: int, seed: int = 1) -> np.ndarray:
    draw = np.random.default_rng(seed)
    letters = np.frombuffer(b"ACGT", np.uint8)
    windows = np.tile(letters[draw.integers(0, 4, CONTEXT)], (n, 1))
    for row in windows:
        row[draw.integers(0, CONTEXT, 3)] = letters[draw.integers(0, 4, 3)]
    windows[1, 300:-4] = windows[1, 304:].copy()
    windows[2, :200] = ord("N")
    return windows


@pytest.fixture(scope="module")
def network():
    return lively(SIZES, CONTEXT, seed=7)


@pytest.mark.parametrize("views", [((0, False),), VIEWS])
def test_equal_to_the_plain_engine(network, views):
    windows = people(7)
    found = Narrow(network, views).predict(windows, BINS, TRACKS)
    wanted = Narrow(network, views, engine="plain").predict(windows, BINS, TRACKS)
    spread = wanted.std(axis=0)
    assert (spread / wanted.mean(axis=0) > 0.01).all()  # people differ: not any answer passes
    assert (np.abs(found - wanted).max(axis=0) / spread).max() < 1e-3


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_difference_from_the_plain_engine_ends_sharing(network, precision, capsys):
    """A halo too short, which the declared tower of a network would have."""
    model, plain = Narrow(network), Narrow(network, engine="plain")
    for each in (model, plain):
        each.precision = precision
    model._share(replace(model._parts, halo=1), "shared")
    wanted = plain.predict(people(7), BINS, TRACKS)
    assert np.array_equal(model.predict(people(7), BINS, TRACKS), wanted)
    assert model.engine == "plain" and "the first windows differed by" in model.notes[0]
    assert "model narrow: Nothing is shared" in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_rounding_is_no_difference(network, precision, monkeypatch):
    model = Narrow(network)
    model.precision = precision
    first = model.predict(people(7), BINS, TRACKS)
    assert (model.engine, model.compared, model.notes) == ("shared", True, ())
    monkeypatch.setattr(Narrow, "_forward", None)  # not asked again
    assert np.array_equal(model.predict(people(7), BINS, TRACKS), first)


def test_without_memory_for_the_plain_engine_nothing_is_compared(network, monkeypatch):
    model = Narrow(network)
    monkeypatch.setattr(Narrow, "_window_bytes", lambda self: 10**15)
    model.predict(people(3), BINS, TRACKS)
    assert model.engine == "shared" and "for which memory lacks" in model.notes[0]


def test_a_haplotype_has_the_same_bits_in_whatever_company(network):
    windows = people(7)
    together = Narrow(network).predict(windows, BINS, TRACKS)
    alone = np.concatenate([Narrow(network).predict(w[None], BINS, TRACKS) for w in windows])
    assert np.array_equal(together, alone)


def test_bytes_are_moved_as_the_one_hot_matrix_is():
    windows = np.frombuffer(b"ACGTT", np.uint8)[None]
    assert shift_windows(windows, 2).tobytes() == b"NNACG"
    assert shift_windows(windows, -1).tobytes() == b"CGTTN"
    assert shift_windows(windows, 0) is windows


def test_training_mode_and_unknown_engines_are_refused(network):
    with pytest.raises(HowfarError, match="'fast'; expected shared or plain"):
        Narrow(network, engine="fast")
    model = Narrow(network)
    network.train()
    try:
        with pytest.raises(HowfarError, match="training mode"):
            model._share(model._parts, "shared")
    finally:
        network.eval()


def test_too_little_memory_halves_the_batch_and_begins_again(network, capsys, monkeypatch):
    model = Narrow(network, batch_size=4)
    wanted = Narrow(network, batch_size=2).predict(people(5), BINS, TRACKS)
    original = SharedTower.features

    def features(self, windows, batch):
        if batch > 2:
            raise MemoryError
        return original(self, windows, batch)

    monkeypatch.setattr(SharedTower, "features", features)
    assert np.array_equal(model.predict(people(5), BINS, TRACKS), wanted)
    assert "batches of 2 from here on" in capsys.readouterr().err
    monkeypatch.setattr(SharedTower, "features", lambda *a: (_ for _ in ()).throw(ValueError))
    with pytest.raises(ValueError):
        model.predict(people(5), BINS, TRACKS)
