"""The network of Enformer in two parts, tower and transformer, in forms equal but faster.

`enformer_pytorch` gives the network; published and demo weights fill it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from howfar.models.engine.attention import Transformer, trainable
from howfar.models.engine.shared_network import Parts
from howfar.models.engine.shared_tower import halo_of
from howfar.models.engine.substitutions import Each, Layer, Pool, convolution


def tower(network: Any, one_hot: Any) -> Any:
    """Compute features of bins: (batch, length, 4) to (batch, length // bin size, dim)."""
    return network.conv_tower(network.stem(one_hot.transpose(1, 2))).transpose(1, 2)


def split(
    network: Any,
    head: Callable[[Any, Any], Any],
    first: int = 0,
    views: tuple[tuple[int, bool], ...] = ((0, False),),
) -> Parts:
    """Split an Enformer in its two parts.

    head: (embeddings, tracks) to values. first: bins cropped on either side.
    """
    transformer = Transformer(network)

    def after(features: Any, bins: Sequence[int], tracks: Any) -> Any:
        """What follows the tower: the transformer, and the head on the bins asked for."""
        kept = transformer(features, [first + b for b in bins])
        return head(network.final_pointwise(kept), tracks)

    kernels = [network.stem[0], *(block[0][2] for block in network.conv_tower)]
    halo = halo_of([k.kernel_size[0] for k in kernels], 2 ** len(kernels))
    run = partial(tower, network)
    channels, of_substitutions = kernels[-1].out_channels, partial(layers, network)
    return Parts(run, after, channels, halo, views, of_substitutions, transformer.weights)


def layers(network: Any) -> list[Layer]:
    """List the tower's layers, for substitutions."""
    made: list[Layer] = [convolution(network.stem[0])]
    for k, (*blocks, residual, pool) in enumerate([network.stem, *network.conv_tower]):
        if k:
            norm, gelu, module = blocks[0]
            made += [Each(norm), Each(gelu), convolution(module)]
        made += [Each(partial(_add, *residual.fn[:2], convolution(residual.fn[2])))]
        made += [Pool(2, partial(_pool, pool.to_attn_logits.weight[:, :, 0, 0]))]
    return made


def _add(norm: Any, gelu: Any, pointwise: Any, rows: Any) -> Any:
    return rows + pointwise.apply(gelu(norm(rows)))


def _pool(weight: Any, pairs: Any) -> Any:
    """Pool pairs (n, 2, channels) as `_pair_pool` does."""
    difference = pairs[:, 0] - pairs[:, 1]
    return pairs[:, 1] + difference * (difference @ weight.T).sigmoid()


def embeddings(network: Any, one_hot: Any, bins: Sequence[int]) -> Any:
    """Compute what an Enformer's heads read: (batch, length, 4) to (batch, len(bins), 2 dim).

    bins: numbered along the whole window, before any crop; no other bin passes the last layer.
    """
    x = network.transformer(tower(network, one_hot))
    return network.final_pointwise(x[:, list(bins)])


def build_network(hparams: dict[str, Any]) -> Any:
    """Make an Enformer of those sizes, some of its modules in equal but faster forms."""
    from enformer_pytorch import Enformer
    from enformer_pytorch.modeling_enformer import GELU, Attention, AttentionPool

    network = Enformer.from_hparams(**hparams)
    for module in network.modules():
        for name, child in list(module.named_children()):
            if isinstance(child, AttentionPool):
                setattr(module, name, _pair_pool(child))
            elif isinstance(child, GELU):
                setattr(module, name, gelu())
            elif isinstance(child, Attention):
                trainable(child)
    return network


def gelu() -> Any:
    """Make enformer-pytorch's GELU, to the bit, with one new tensor instead of three."""
    import torch

    class InPlace(torch.nn.Module):
        """x sigmoid(1.702 x)."""

        def forward(self, x: Any) -> Any:
            """Apply it; gradients need what is in place otherwise."""
            if torch.is_grad_enabled():
                return torch.sigmoid(1.702 * x) * x
            return x.mul(1.702).sigmoid_().mul_(x)

    return InPlace()


def _pair_pool(pool: Any) -> Any:
    """Pool pairs by attention: softmax over two is a sigmoid of the difference.

    With d = x_0 - x_1, sum_i softmax(W x)_i x_i = x_1 + d sigmoid(W d): one half of the
    products, and no softmax over a dimension of two, which takes half of the time.
    """
    import torch

    class PairPool(torch.nn.Module):
        """Attention pooling over pairs of positions."""

        def __init__(self) -> None:
            super().__init__()
            self.to_attn_logits = pool.to_attn_logits

        def forward(self, x: Any) -> Any:
            """Halve the length of (batch, channels, length); a last odd one stands alone."""
            if x.shape[-1] % 2:
                return torch.cat([self(x[..., :-1]), x[..., -1:]], dim=-1)
            first, second = x[..., 0::2], x[..., 1::2]
            difference = first - second
            weight = self.to_attn_logits.weight[:, :, 0]
            gate = torch.nn.functional.conv1d(difference, weight)
            if torch.is_grad_enabled() or gate.dtype != difference.dtype:
                return second + difference * torch.sigmoid(gate)
            return gate.sigmoid_().mul_(difference).add_(second)

    return PairPool()
