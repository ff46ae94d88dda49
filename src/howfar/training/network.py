"""A base network with a head that predicts people, and what of it trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from howfar.core.errors import HowfarError
from howfar.models.engine.enformer_network import tower
from howfar.models.engine.shared_tower import halo_of
from howfar.training.heads import people_of
from howfar.training.sagenet import SageNet
from howfar.training.shared_tower import check_frozen, lay_stretches


@dataclass(frozen=True)
class Body:
    """How a kind of network is taken apart; each function is of the network's module.

    tower: one-hot (n, length, 4) to features of bins (n, bins, features). after: features to
    embeddings (n, bins, channels). parts: what can train or be frozen, by name. heads: the
    network's own, embeddings to tracks, by species. halo: bins that the tower sees beyond a bin;
    None where it can't be shared.
    """

    tower: Callable[[Any, Tensor], Tensor]
    after: Callable[[Any, Tensor], Tensor]
    parts: Callable[[Any], dict[str, list[nn.Module]]]
    heads: Callable[[Any], dict[str, nn.Module]]
    halo: Callable[[Any], int | None]


def _enformer_halo(network: Any) -> int:
    kernels = [network.stem[0], *(block[0][2] for block in network.conv_tower)]
    return halo_of([k.kernel_size[0] for k in kernels], 2 ** len(kernels))


ENFORMER = Body(
    tower,
    lambda network, features: network.final_pointwise(network.transformer(features)),
    lambda network: {
        "tower": [network.stem, network.conv_tower],
        "transformer": [network.transformer],
        "pointwise": [network.final_pointwise],
    },
    lambda network: dict(network.heads.items()),
    _enformer_halo,
)
_NAMES = {"human": "human_head", "mouse": "mouse_head"}
BORZOI = Body(
    lambda network, one_hot: one_hot,
    lambda network, one_hot: network.final_joined_convs(
        network.get_embs_after_crop(one_hot.transpose(1, 2))
    ).transpose(1, 2),
    lambda network: {
        "tower": [network.conv_dna, network.res_tower, network.unet1],
        "transformer": [network.transformer],
        "pointwise": [
            module
            for name, module in network.named_children()
            if name not in ("conv_dna", "res_tower", "unet1", "transformer", *_NAMES.values())
        ],
    },
    lambda network: {
        s: _Bins(getattr(network, n)) for s, n in _NAMES.items() if hasattr(network, n)
    },
    lambda network: None,
)


class _Bins(nn.Module):
    """Borzoi's head, a convolution, on embeddings (n, bins, channels)."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return softplus of the head: (n, bins, tracks)."""
        return nn.functional.softplus(self.head(embeddings.transpose(1, 2))).transpose(1, 2)


def own_body(model: Any) -> Body:
    """Take a user's model apart: ``model.embeddings(one_hot)``, and ``model.head`` where it is.

    embeddings: one-hot (n, length, 4) to (n, bins, channels). head: the module of the network that
    turns them into tracks, by its name; left out, strategies that read tracks are refused.
    """
    if not (isinstance(getattr(model, "network", None), nn.Module) and callable(model.embeddings)):
        raise HowfarError(
            f"model {model.name}",
            found="a network that can't be trained here",
            expected="`network`, a torch module, and `embeddings(one_hot)`, from (n, length, 4) to "
            "(n, bins, channels)",
            do="Give the model both; `head` names the module that reads the embeddings.",
        )
    name = getattr(model, "head", "")
    rest = [child for key, child in model.network.named_children() if key != name]
    return Body(
        lambda network, one_hot: one_hot,
        lambda network, one_hot: model.embeddings(one_hot),
        lambda network: {"tower": rest, "transformer": [], "pointwise": []},
        lambda network: {"human": network.get_submodule(name)} if name else {},
        lambda network: None,
    )


def body_of(model: Any) -> Body:
    """Return how a loaded model is taken apart; HowfarError for one that can't be trained."""
    if model.name in ("enformer", "demo-enformer"):
        return ENFORMER
    if model.name == "borzoi":
        return BORZOI
    if callable(getattr(model, "embeddings", None)):
        return own_body(model)
    raise HowfarError(
        f"model {model.name}",
        found="a network without embeddings of bins that a head could read",
        expected="Enformer, the demo's Enformer, Borzoi, or a model of your own with `network` and "
        "`embeddings`",
        do="Choose another run; `sagenet` trains a small network of its own without any.",
    )


def embeddings(network: Any, one_hot: Tensor) -> Tensor:
    """Compute what heads read, of all bins without a crop: (n, length, 4) to (n, bins, 2 dim)."""
    return ENFORMER.after(network, tower(network, one_hot))


class PersonalNetwork(nn.Module):
    """A base network and a head: one number per person from the two haplotypes."""

    def __init__(self, base: nn.Module, head: nn.Module | None, body: Body = ENFORMER) -> None:
        """Join a network, an Enformer where `body` isn't given, and a head of `training.heads`.

        head: None where the network's own heads alone train.
        """
        super().__init__()
        self.base, self.head, self.body = base, head, body

    def embed(self, one_hot: Tensor) -> Tensor:
        """Compute what heads read, of all bins: (n, length, 4) to (n, bins, channels)."""
        return self.body.after(self.base, self.body.tower(self.base, one_hot))

    def forward(self, one_hot: Tensor) -> Tensor:
        """Predict people: (people, 2, length, 4) to (people,)."""
        return people_of(self.head(self.embed(one_hot.flatten(0, 1))))

    def people(
        self,
        windows: Tensor,
        rows: Tensor,
        table: Tensor,
        share: bool = True,
        each_person: bool = False,
    ) -> Tensor:
        """Predict people whose windows are listed: (people,).

        windows: uint8 (n, length), each once; rows: int64 (people, windows of each); table: float
        (256, 4), one-hot of letters. share: the tower runs once for each distinct stretch, where
        the network allows it, and all else once for each window; that is equal where batch norm
        is frozen, and is refused otherwise. each_person: what follows the tower, with its
        dropout, runs for each window of each person.
        """

        def encode(bases: Tensor) -> Tensor:
            """Return one-hot letters of bytes."""
            return table[bases.long()]

        halo, each = self.body.halo(self.base), rows.flatten()
        if not share:
            features = self.body.tower(self.base, encode(windows[each]))
        elif halo is None:
            features = self.body.tower(self.base, encode(windows))
        else:
            check_frozen(self.parts()["tower"])
            size = 2 ** (1 + len(self.base.conv_tower))
            stretches = lay_stretches(windows.cpu().numpy(), size, halo)
            run = partial(self.body.tower, self.base)
            features = stretches.features(run, encode, windows)
        features = features[each] if share and each_person else features
        values = self.head(self.body.after(self.base, features))
        values = values[each] if share and not each_person else values
        return values.unflatten(0, (-1, rows.shape[1])).mean(dim=1)

    def pairs(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Predict both people of each pair in one pass: batch statistics are of all of them.

        Of (pairs, 2, length, 4) each; first members stand before second members.
        """
        both = self(torch.cat([first, second]))
        return both[: len(first)], both[len(first) :]

    def parts(self) -> dict[str, list[nn.Module]]:
        """Return the parts that a strategy can train or freeze, by name."""
        ours = [self.head, getattr(self, "reporters", None)]
        return {**self.body.parts(self.base), "head": [each for each in ours if each is not None]}


class SagePeople(nn.Module):
    """SAGE-net, predicting people from the reference's and both haplotypes' windows."""

    def __init__(self, net: SageNet) -> None:
        """Take the network as it is."""
        super().__init__()
        self.net = net

    def people(self, windows: Tensor, rows: Tensor, table: Tensor, *_: bool) -> Tensor:
        """Predict (gene's mean, person's z-score) of people: (people, 2)."""
        one_hot = table[windows.long()].transpose(1, 2)
        if not self.training:  # a window is then the same whoever has it
            features = self.net.trunk(one_hot)
            return self.net.compared(*(features[rows[:, k]] for k in range(3)))
        return self.net(*(one_hot[rows[:, k]] for k in range(3)))

    def parts(self) -> dict[str, list[nn.Module]]:
        """Return its trunk, and the dense layers, which are the head."""
        net = self.net
        dense = [net.fc0, net.fclayers, net.ref_out, net.diff_fclayers, net.diff_out]
        return {"tower": [net.conv0, net.convlayers], "head": dense}
