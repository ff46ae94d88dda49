"""The boundary of a network is found, proved, and shared rightly, or refused with the reason."""

import os

import numpy as np
import pytest
import torch
from torch import nn

from helpers import reduced_networks
from howfar.bench.inference import lively
from howfar.models.engine import enformer_network
from howfar.models.engine.locality import NotLocal, find, look
from howfar.models.engine.shared_module import SharedModule, prove, share
from howfar.models.zoo import basenji2, beluga

LONG = bool(os.environ.get("HOWFAR_LONG"))
LENGTH = 1200  # bp of the small networks


def one_hot(rows: np.ndarray) -> torch.Tensor:
    """Rows of letters 0..3 as float32 (rows, 4, length)."""
    return torch.eye(4)[torch.from_numpy(rows)].transpose(1, 2).contiguous()


def haplotypes(n: int, length: int, seed: int) -> np.ndarray:
    """Letters of n haplotypes in pairs; each pair has a sequence of its own.

    One of a pair has up to three substitutions and two indels of up to 9 bp that the other lacks.
    """
    draw = np.random.default_rng(seed)
    rows = np.repeat(draw.integers(0, 4, (n // 2, length + 40)), 2, axis=0)
    places = np.arange(length)[None].repeat(n, axis=0)
    odd = np.arange(n)[:, None] % 2
    for _ in range(2):
        at, size = draw.integers(0, 2 * length, (n, 1)), draw.integers(-9, 10, (n, 1))
        places = places + odd * size * (places >= at)
    rows = np.take_along_axis(rows, places.clip(0), axis=1)
    at, letters = draw.integers(0, length, (n, 3)), draw.integers(0, 4, (n, 3))
    kept = np.take_along_axis(rows, at, axis=1)
    np.put_along_axis(rows, at, np.where(odd, letters, kept), axis=1)
    return rows


class Declared(nn.Module):
    """A tower of the zoo as a module."""

    def __init__(self, network: nn.Module, run) -> None:
        super().__init__()
        self.network, self.run = network, run

    def forward(self, x):
        return self.run(self.network, x)


def beluga_features(network, x):
    """Beluga's convolutions and poolings, without its dense layers."""
    layers = [network.get_submodule(name) for name in beluga._CONVOLUTIONS]
    h = beluga._pool(beluga._pair(x[:, :, None], *layers[:2]))
    return beluga._pair(beluga._pool(beluga._pair(h, *layers[2:4])), *layers[4:])


def _enformer(tmp_path):
    sizes = {"dim": 24, "depth": 1, "heads": 1, "dim_divisible_by": 4}
    network = lively(sizes | {"output_heads": {"human": 2}}, 2048, seed=3)
    return Declared(network, enformer_network.tower), torch.zeros(1, 4096, 4)


def _basenji2(tmp_path):
    model = reduced_networks.load("basenji2", tmp_path)
    return Declared(model.network, basenji2.tower), torch.zeros(1, 4096, 4)


def _beluga(tmp_path):
    model = reduced_networks.load("beluga", tmp_path)
    return Declared(model.network, beluga_features), torch.zeros(1, 4, 2000)


@pytest.mark.parametrize(
    ("make", "stride", "reach"),
    # half the kernels: 7 + 2 * (2 + 4 + 8 + 16 + 32 + 64) bp, so 3 bins of 128; Beluga's
    # convolutions without padding reach from the first base of a window to its last
    [(_enformer, 128, 384), (_basenji2, 128, 384), (_beluga, 16, 304)],
)
def test_what_networks_of_the_zoo_declare_is_found_again(make, stride, reach, tmp_path, one_thread):
    network, x = make(tmp_path)
    x.narrow(int(np.argmin(x.shape[1:])) + 1, 0, 1).fill_(1)
    view = look(network.eval(), x)
    output = view.whole.nodes.index(view.whole.outputs[0])
    assert (view.axes[output][1], view.reaches[output]) == (stride, reach)


def convnet(seed: int) -> nn.Module:
    """A network of random convolutions, poolings and residuals, and a head on all positions."""
    draw = np.random.default_rng(seed)
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    width, length = 4, LENGTH
    for k in range(int(draw.integers(2, 5))):
        kernel, dilation = int(draw.choice([1, 3, 4, 5, 8])), int(draw.choice([1, 1, 2, 3]))
        stride = int(draw.choice([1, 1, 2, 3])) if k else 1
        mode = str(draw.choice(["zeros", "zeros", "reflect", "replicate"]))
        pad = int(draw.choice([0, kernel // 2 * dilation, kernel - 1]))
        new = int(draw.choice([4, 6, 8]))
        step = nn.Conv1d(width, new, kernel, stride, pad, dilation, padding_mode=mode)
        layers += [step, nn.BatchNorm1d(new), draw.choice([nn.ReLU(inplace=True), nn.GELU()])]
        if draw.random() < 0.5:
            layers.append(Residual(nn.Conv1d(new, new, 3, padding=1)))
        if draw.random() < 0.6:
            kind = nn.MaxPool1d if draw.random() < 0.5 else nn.AvgPool1d
            layers.append(kind(int(draw.choice([2, 3, 4])), ceil_mode=bool(draw.random() < 0.3)))
        width = new
    body = nn.Sequential(*layers).eval()
    for module in body.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.running_mean)
    with torch.no_grad():
        length = body(torch.zeros(1, 4, LENGTH)).shape[2]
    return nn.Sequential(body, nn.Flatten(), nn.Linear(width * length, 2)).eval()


class Residual(nn.Module):
    """x plus a function of x."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


#: Seeds of networks whose padding makes more positions than there are strides of sequence.
LONGER = {5}


@pytest.mark.parametrize("seed", range(20) if LONG else [0, 1, 2, 5])
def test_random_convnets_are_shared_rightly(seed, one_thread):
    network = convnet(seed).double()
    pairs = 10_000 if LONG and seed == 0 else 100
    rows = haplotypes(2 * pairs, LENGTH, seed)
    x = one_hot(rows[:2]).double()
    if seed in LONGER:
        with pytest.raises(NotLocal, match="longer than the sequence"):
            share(network, x, 1e8, batch=50)
        return
    shared = share(network, x, 1e8, batch=50)
    with torch.inference_mode():
        for part in np.split(rows, max(1, len(rows) // 500)):
            wanted = network(one_hot(part).double())
            found = shared(one_hot(part).double())
            assert (wanted.std(0) > 1e-6).all()
            torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-11)
    assert len(shared.tower._slots) < len(rows) * len(shared.tower._cuts)  # others' work


def test_a_halo_too_short_is_seen(one_thread):
    from dataclasses import replace

    network, rows = Small().eval().double(), haplotypes(8, LENGTH, 1)
    boundary = find(network, one_hot(rows).double())
    prove(network, one_hot(rows).double(), boundary)
    with pytest.raises(NotLocal, match="differ from the whole"):
        prove(network, one_hot(rows).double(), replace(boundary, halo=boundary.halo - 1))


class Small(nn.Module):
    """A convolution, `between`, a second one, and a sum over positions."""

    def __init__(self, before=None, between=None, padding_mode="zeros") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.before, self.between = before or nn.Identity(), between or nn.Identity()
        self.first = nn.Conv1d(4, 8, 9, padding=4, padding_mode=padding_mode)
        self.second = nn.Conv1d(8, 8, 5, stride=4)
        self.head = nn.Linear(8, 1)

    def forward(self, x):
        h = self.between(self.first(self.before(x)))
        return self.head(self.second(h).relu().mean(2))


class Call(nn.Module):
    """A function as a layer."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Recurrent(nn.Module):
    """An LSTM on the letters."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 4, batch_first=True)

    def forward(self, x):
        return self.lstm(x.transpose(1, 2))[0].transpose(1, 2)


class Table(nn.Module):
    """A small number added at each position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.table = nn.Parameter(1e-4 * torch.randn(channels, LENGTH))

    def forward(self, x):
        return x + self.table[:, : x.shape[2]]


def centred(x):
    return x - x.mean(2, keepdim=True)


def by_sum(x):
    return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Small(between=nn.BatchNorm1d(8)).train(), "batch norm in training mode"),
        (Small(between=nn.BatchNorm1d(8, track_running_stats=False)), "statistics over the batch"),
        (Small(before=Recurrent()), "nothing in it is local|reads the whole"),
        (Small(before=Call(centred)).eval(), "nothing in it is local"),
        (Small(before=nn.Dropout(0.1)).train(), "random numbers.*dropout"),
        (Small(padding_mode="circular").eval(), "nothing in it is local|reads the whole"),
        (Small(before=Table(4)).eval(), "nothing in it is local"),
        (Small(between=Call(by_sum)).eval(), "can't be recorded.*data-dependent"),
        (Small(before=Call(lambda x: (x > 0.5).float())).eval(), "nothing in it is local"),
        (Small(before=nn.AdaptiveAvgPool1d(64)).eval(), "nothing in it is local|reads the whole"),
        (Small(before=Call(lambda x: x.flip(2))).eval(), "nothing in it is local"),
    ],
)
def test_what_can_not_be_shared_is_refused_with_the_reason(network, reason, one_thread):
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(NotLocal, match=reason):
        share(network, one_hot(haplotypes(2, LENGTH, 3)), 1e8)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[name])


@pytest.mark.parametrize(
    "between",
    [
        Table(8),
        nn.GroupNorm(2, 8),
        Call(lambda h: torch.where(h > 0, h, 0.1 * h)),
        Call(lambda h: h * torch.linspace(1, 1.01, h.shape[2])),
        Call(lambda h: h.nan_to_num()),
        Call(lambda h: h.roll(1, 2)),
    ],
)
def test_the_boundary_is_before_what_is_not_local(between, one_thread):
    network = Small(between=between).eval().double()
    x = one_hot(haplotypes(40, LENGTH, 4)).double()
    try:
        boundary = find(network, x)
    except NotLocal:  # what is before it isn't worth sharing
        return
    assert len(boundary.names) == 1 and "convolution" in boundary.names[0]
    shared = SharedModule(network, x, boundary, 1e8)
    torch.testing.assert_close(shared(x), network(x), rtol=1e-9, atol=1e-12)


def test_weights_that_change_are_not_served_from_memory():
    network, x = Small().eval(), one_hot(haplotypes(4, LENGTH, 5))
    shared = share(network, x, 1e8)
    assert shared.fits(x) and not shared.fits(x[..., :-1]) and not shared.fits(x.double())
    with torch.no_grad():
        network.first.weight += 1
    assert not shared.fits(x)


def test_the_outermost_structure_is_kept():
    class Two(Small):
        def forward(self, x):
            return {"mean": super().forward(x), "all": (self.first(x),)}

    network, x = Two().eval(), one_hot(haplotypes(10, LENGTH, 6))
    with torch.no_grad():
        found, wanted = share(network, x, 1e8, batch=4)(x), network(x)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
