"""The precision of a run holds inside its predictions and nowhere else."""

import numpy as np
import pandas as pd
import pytest
import torch

from howfar.core.errors import HowfarError
from howfar.models.engine import network
from howfar.models.engine.precision import arithmetic, check_precision
from howfar.models.registry import Layout

SWITCHES = (torch.backends.cuda.matmul, torch.backends.cudnn)


def _state():
    return [switch.allow_tf32 for switch in SWITCHES], torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize(
    "precision, inside",
    [("float32", (False, False)), ("tf32", (True, False)), ("bfloat16", (False, True))],
)
def test_the_process_is_left_as_it_was(precision, inside):
    before = _state()
    with arithmetic(precision, "cpu"):
        switches, autocast = _state()
        assert (set(switches), autocast) == ({inside[0]}, inside[1])
    assert _state() == before
    with pytest.raises(KeyError), arithmetic(precision, "cpu"):
        raise KeyError
    assert _state() == before


def test_precisions_are_checked():
    assert check_precision("m", "bfloat16", "cpu") == "bfloat16"
    assert check_precision("m", "tf32", "cuda:1") == "tf32"
    for precision, device in [("tf32", "cpu"), ("float16", "cuda"), (None, "cpu")]:
        with pytest.raises(HowfarError, match=f"found {precision!r}; expected float32 or "):
            check_precision("m", precision, device)


class _Matrix(network.NetworkModel):
    """One product of matrices."""

    name, units, weights_sha256 = "matrix", "none", "0" * 64
    layout, tracks = Layout(512, 512, 1), pd.DataFrame({"description": ["x"]})

    def __init__(self, precision: str) -> None:
        self.precision = precision
        self._ready(torch.nn.Linear(2048, 1), "cpu", 2)
        torch.nn.init.normal_(self._network.weight, generator=torch.Generator().manual_seed(1))

    def _forward(self, bases, bins, tracks):
        return self._network(self._one_hot(bases).flatten(1))[:, :, None].float()


def test_a_models_network_runs_in_its_precision():
    windows = np.random.default_rng(1).choice(np.frombuffer(b"ACGT", np.uint8), (4, 512))
    full, half = (_Matrix(p).predict(windows, [0], [0]).ravel() for p in ("float32", "bfloat16"))
    difference = np.abs(full - half).max()
    assert 1e-4 < difference < 0.5  # 8 bits of mantissa on sums of about 20


def test_batches_that_memory_cannot_hold_are_made_smaller(monkeypatch, capsys):
    monkeypatch.setattr(network, "free_memory", lambda: 10e9)
    assert network.affordable("m", 3, 3 * 10**9, "cpu") == 3
    assert network.affordable("m", 32, 3 * 10**9, "cuda") == 32
    assert capsys.readouterr().err == ""
    assert network.affordable("m", 32, 3 * 10**9, "cpu") == 3
    assert "memory for batches of 3, not 32, windows" in capsys.readouterr().err
    assert network.affordable("m", 32, 30 * 10**9, "cpu") == 1


def test_free_memory_is_a_sensible_number():
    assert network.free_memory() > 1e8
