"""A model of which only `predict` is known: its network is found, shared, or let alone."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from howfar.core.errors import HowfarError
from howfar.models.base import Layout, SequenceModel, encoding_table, reverse_complement
from howfar.models.engine.sharing import Sharing
from howfar.models.zoo.user_model import OwnModel

CONTEXT, BINS = 1024, [7, 8]


class Network(nn.Module):
    """A tower, and attention over its bins; `branch` can't be recorded."""

    def __init__(self, branch: bool = False) -> None:
        super().__init__()
        self.branch = branch
        self.tower = nn.Sequential(
            nn.Conv1d(4, 8, 15, padding=7), nn.GELU(), nn.MaxPool1d(8),
            nn.Conv1d(8, 8, 5, padding=2), nn.GELU(), nn.MaxPool1d(8),
        )  # fmt: skip
        self.attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 1)

    def forward(self, x):
        x = self.attention(self.tower(x).transpose(1, 2))
        return self.head(-x if self.branch and x.sum() > 1e9 else x)


class Centred(nn.Module):
    """What differs from the mean over the window."""

    def forward(self, x):
        return x - x.mean(2, keepdim=True)


class Mine(SequenceModel):
    """The mean over both strands of a network."""

    name, units, weights_sha256 = "mine", "toys", "none"
    layout = Layout(CONTEXT, 64, 16)
    tracks = pd.DataFrame({"description": ["x"]})

    def __init__(self, **options) -> None:
        torch.manual_seed(1)
        self.network = Network(**options).eval()
        self.rows = 0
        self.network.tower[0].register_forward_hook(self._count)

    def _count(self, module, given, out):
        self.rows += len(out)

    def predict(self, windows, bins, tracks):
        with torch.inference_mode():
            values = [
                self.network(torch.from_numpy(encoding_table()[seen]).transpose(1, 2))
                for seen in (windows, reverse_complement(windows))
            ]
        mean = (values[0] + values[1].flip(1)) / 2
        return mean[:, list(bins)][:, :, list(tracks)].numpy()


def windows(n: int = 60) -> np.ndarray:
    draw = np.random.default_rng(0)
    rows = np.tile(draw.choice(np.frombuffer(b"ACGT", np.uint8), CONTEXT), (n, 1))
    for row in rows:
        row[draw.integers(0, 12, 4) * 85] = draw.choice(np.frombuffer(b"ACGT", np.uint8), 4)
        if draw.random() < 0.3:
            row[500:-3] = row[503:].copy()
    return rows


def same(found, wanted):
    assert np.abs(found - wanted).max() < 1e-3 * wanted.std(axis=0).min()


@pytest.mark.parametrize("branch", [False, True])
def test_a_network_shares_without_a_word(branch, one_thread):
    """The whole network, or the tower in it where the whole can't be recorded; both strands."""
    model = OwnModel("mine:load", Mine(branch=branch), engine="shared")
    wanted = Mine(branch=branch).predict(windows(), BINS, [0])
    assert model.engine == "shared"
    assert model.notes[0].startswith("Sequential is local" if branch else "Network is local")
    same(model.predict(windows(), BINS, [0]), wanted)
    model._model.rows = 0
    same(model.predict(windows(), BINS, [0]), wanted)
    assert model._model.rows == 0  # the module itself was never called
    assert "forward" not in vars(model._model.network)


def test_a_model_that_is_to_be_plain_is_left_alone():
    model = OwnModel("mine:load", Mine(), engine="plain")
    assert (model.engine, model.notes) == ("plain", ())


def test_a_difference_in_the_first_windows_ends_sharing(monkeypatch, capsys, one_thread):
    from howfar.models.engine.shared_module import SharedModule

    model = OwnModel("mine:load", Mine(), engine="shared")
    assert model.engine == "shared"
    right = SharedModule._computed
    monkeypatch.setattr(SharedModule, "_computed", lambda self, x: right(self, x) * 1.01)
    wanted = Mine().predict(windows(), BINS, [0])
    assert np.array_equal(model.predict(windows(), BINS, [0]), wanted)
    assert model.engine == "plain" and "Nothing is shared: the first windows" in model.notes[0]
    assert "the first windows differed by" in capsys.readouterr().err


def test_why_nothing_is_shared_is_said(capsys, one_thread):
    own = Mine()
    own.network.tower = nn.Sequential(Centred(), *own.network.tower)
    sharing = Sharing(own, "shared")
    assert not sharing.modules and sharing.notes[0].startswith("Network isn't shared: ")
    assert "model mine: Network isn't shared" in capsys.readouterr().err


def test_dropout_is_told_as_before(one_thread):
    own = Mine()
    own.network.train()
    model = OwnModel("mine:load", own, engine="shared")
    with pytest.raises(HowfarError, match="evaluation mode"):
        model.predict(windows(), BINS, [0])
