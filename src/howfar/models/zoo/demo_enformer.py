"""Enformer (Avsec et al. 2021, Nature Methods 18:1196) as a `SequenceModel`.

The demo's small Enformer is one: an ``enformer_pytorch`` network whose folder holds
``weights.safetensors`` and ``config.json`` (hyper-parameters, tracks, regions of the genes).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from howfar.core.errors import HowfarError
from howfar.core.provenance import sha256_of
from howfar.models.base import Layout
from howfar.models.engine.attention import Transformer
from howfar.models.engine.shared_network import Parts, SharedNetwork
from howfar.models.engine.shared_tower import halo_of
from howfar.models.weights.checkpoint import assemble


class EnformerModel(SharedNetwork):
    """A small Enformer read from a folder of weights.

    Values are the head's outputs (linear, after softplus) in the units of ``config.json``.
    """

    def __init__(
        self,
        name: str,
        weights: Path | None,
        *,
        device: str = "auto",
        batch_size: int = 8,
        engine: str = "shared",
    ) -> None:
        """Load and check; HowfarError as `load_model` says."""
        config = _config(name, weights)
        self.name = name
        self.layout = Layout(
            context=config["context"],
            bin_size=config["bin_size"],
            n_bins=config["context"] // config["bin_size"],
        )
        self.tracks = pd.DataFrame({"description": config["tracks"]})
        self.units = config["units"]
        file = weights / "weights.safetensors"
        self.weights_sha256 = sha256_of(file)
        self._regions = config["regions"]
        network = assemble(lambda: build_network(config["hparams"]), file)
        self._ready(network, device, batch_size)
        self._share(parts_of(self._network, self._head), engine)

    def region_of(self, gene_id: str) -> str | None:
        """'train', 'valid' or 'test', by the contig the gene lies on; None if not known."""
        return self._regions.get(gene_id)

    def _forward(self, bases, bins: Sequence[int], tracks):
        """One batch of bytes (batch, context) to (batch, bins, tracks): heads where asked for."""
        return self._head(embeddings(self._network, self._one_hot(bases), bins), tracks)

    def _head(self, x, tracks):
        x = x.double()
        linear, positive = self._network.heads["human"]
        # The head in float64: vectorised softplus rounds by a row's place in the batch, by one
        # unit in the last place of float32.
        weight, bias = linear.weight[tracks].double(), linear.bias[tracks].double()
        return positive((x[:, :, None] * weight).sum(dim=3) + bias).float()


def load_demo(weights: Path | None, device: str, **options: Any) -> EnformerModel:
    """The demo world's small Enformer; `weights`: the folder that `howfar train` writes."""
    return EnformerModel("demo-enformer", weights, device=device, **options)


def _config(name: str, weights: Path | None) -> dict:
    """The weights folder's config.json, checked."""
    if weights is None:
        raise HowfarError(
            f"model {name}",
            found="no `weights`",
            expected="the folder of its weights",
            do="Set `weights` in the run of the study file.",
        )
    for file in ("config.json", "weights.safetensors"):
        if not (weights / file).is_file():
            raise HowfarError(
                str(weights / file),
                found="no such file",
                expected=f"the weights of {name}",
                do="Train it (`howfar train` trains the demo cohort's) or correct `weights`.",
            )
    try:
        config = json.loads((weights / "config.json").read_text())
        missing = {"hparams", "context", "bin_size", "tracks", "units", "regions"} - set(config)
    except (ValueError, TypeError) as error:
        config, missing = {}, {f"readable JSON ({error})"}
    found = f"no {', '.join(sorted(missing))}" if missing else _unfit(config)
    if found:
        raise HowfarError(
            str(weights / "config.json"),
            found=found,
            expected="the file that the training writes",
            do="Train the model again.",
        )
    return config


def _unfit(config: dict) -> str:
    """What doesn't fit the network in config.json, in words; '' where all does.

    Its tensors fit whatever the lengths of window, bin and list of tracks are.
    """
    hparams, tracks = config["hparams"], config["tracks"]
    if not isinstance(hparams, dict) or hparams.get("use_tf_gamma"):
        return "`hparams` of no network for any length"
    halvings, heads = hparams.get("num_downsamples"), hparams.get("output_heads")
    size = config["bin_size"]
    whole = type(halvings) is int and type(size) is int
    if not whole or not 1 <= halvings <= 20 or size != 2**halvings:
        return f"`bin_size` {size!r} for {halvings!r} halvings of the window"
    if type(hparams.get("depth")) is not int or not 1 <= hparams["depth"] <= 100:
        return f"`depth` {hparams.get('depth')!r}"
    context = config["context"]
    if type(context) is not int or context < 1 or context % size:
        return f"`context` {context!r}, not a number of whole bins"
    named = isinstance(tracks, list) and all(isinstance(t, str) and t.strip() for t in tracks)
    if not named or not isinstance(heads, dict) or heads.get("human") != len(tracks):
        return "`tracks` that aren't the names of the network's outputs"
    good = isinstance(config["units"], str) and isinstance(config["regions"], dict)
    return "" if good else "`units` or `regions` of another kind"


def tower(network: Any, one_hot: Any) -> Any:
    """Features of bins: (batch, length, 4) to (batch, length // bin size, dim)."""
    return network.conv_tower(network.stem(one_hot.transpose(1, 2))).transpose(1, 2)


def parts_of(
    network: Any,
    head: Callable[[Any, Any], Any],
    first: int = 0,
    views: tuple[tuple[int, bool], ...] = ((0, False),),
) -> Parts:
    """An Enformer in its two parts. head: (embeddings, tracks) to values. first: bins cropped."""
    transformer = Transformer(network)

    def after(features: Any, bins: Sequence[int], tracks: Any) -> Any:
        """Values of cropped `bins`: from the tower's features through transformer and head."""
        kept = transformer(features, [first + b for b in bins])
        return head(network.final_pointwise(kept), tracks)

    kernels = [network.stem[0], *(block[0][2] for block in network.conv_tower)]
    halo = halo_of([k.kernel_size[0] for k in kernels], 2 ** len(kernels))
    return Parts(partial(tower, network), after, kernels[-1].out_channels, halo, views)


def embeddings(network: Any, one_hot: Any, bins: Sequence[int]) -> Any:
    """What an Enformer's heads read: (batch, length, 4) to (batch, len(bins), 2 dim).

    bins: numbered along the whole window, before any crop; no other bin passes the last layer.
    """
    x = network.transformer(tower(network, one_hot))
    return network.final_pointwise(x[:, list(bins)])


def build_network(hparams: dict[str, Any]):
    """An Enformer of those sizes, its pooling rewritten in an equal but faster form."""
    from enformer_pytorch import Enformer
    from enformer_pytorch.modeling_enformer import AttentionPool

    network = Enformer.from_hparams(**hparams)
    for module in network.modules():
        for name, child in list(module.named_children()):
            if isinstance(child, AttentionPool):
                setattr(module, name, _pair_pool(child))
    return network


def _pair_pool(pool):
    """Attention pooling of pairs: softmax over two is a sigmoid of the difference.

    With d = x_0 - x_1, sum_i softmax(W x)_i x_i = x_1 + d sigmoid(W d): one half of the
    products, and no softmax over a dimension of two, which takes half of the time.
    """
    import torch

    class PairPool(torch.nn.Module):
        """Attention pooling over pairs of positions."""

        def __init__(self) -> None:
            super().__init__()
            self.to_attn_logits = pool.to_attn_logits

        def forward(self, x):
            """(batch, channels, length) to half the length."""
            first, second = x[..., 0::2], x[..., 1::2]
            difference = first - second
            weight = self.to_attn_logits.weight[:, :, 0]
            return second + difference * torch.sigmoid(
                torch.nn.functional.conv1d(difference, weight)
            )

    return PairPool()
