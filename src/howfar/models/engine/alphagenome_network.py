"""The network of AlphaGenome (Avsec et al. 2026, Nature 649:1206) down to bins of 128 bp.

Parts and tensors have the names of the port ``alphagenome-pt``. Whatever serves other outputs
only isn't here: the decoder to single bases, contact maps, splice sites. Three steps differ from
the ports' without changing the model: weights of convolutions are standardised once, not in each
pass; the last block computes the bins asked for alone; attention goes by groups of rows, so that
its memory has a bound.

Under bfloat16 products are rounded as PyTorch's autocast does it; normalisation, softmax and the
stream between blocks stay in float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

#: Tokens of the longest window, 1 Mb: they set the frequencies of rotary positions, and widths of
#: relative ones, whatever the window.
MOST_TOKENS, POOLED, STAGES = 8192, 16, 7
EPSILON, CAP, SLOPE = 1e-5, 5.0, 1.702
#: Numbers of the largest matrix of attention at a time.
AT_ONCE = 2**26


@dataclass(frozen=True)
class Sizes:
    """Widths of the network; those of its layers follow."""

    channels: int
    step: int  # channels that each stage of the encoder adds
    blocks: int
    heads: int
    key: int
    value: int
    pair: int
    pair_heads: int
    positions: int
    hidden: int  # of the blocks' feed-forward part
    pair_hidden: int
    embedding: int
    organisms: int
    tracks: int

    @property
    def features(self) -> int:
        """Channels of the encoder's output."""
        return self.channels + (STAGES - 1) * self.step


def _wide(x: Any) -> Any:
    """Return x in float32 where it is in bfloat16."""
    return x.float() if x.dtype == torch.bfloat16 else x


def _unrounded(x: Any) -> Any:
    """Switch autocast off (tensors without data, as for counting operations, have none)."""
    return torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False)


class Scale(nn.Module):
    """Scale and offset of channels, after division by the root of a stored mean square."""

    def __init__(self, channels: int, stored: bool = True) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(channels))
        self.offset = nn.Parameter(torch.empty(channels))
        if stored:
            self.register_buffer("var_EMA", torch.empty(channels))

    def pair(self, factor: float = 1.0) -> tuple[Any, Any]:
        """Return what to multiply by, and what to add."""
        return factor * self.scale * (self.var_EMA + EPSILON).rsqrt(), factor * self.offset

    def forward(self, x: Any) -> Any:
        """Normalise the last dimension."""
        scale, offset = self.pair()
        return torch.addcmul(offset.to(x.dtype), x, scale.to(x.dtype))


class LayerNorm(Scale):
    """Normalisation by mean and variance, or by the mean square alone, of the last dimension."""

    def __init__(self, channels: int, centred: bool = True) -> None:
        super().__init__(channels, stored=False)
        self._centred = centred

    def forward(self, x: Any) -> Any:
        """Normalise in float32, to the type of x."""
        shape = self.scale.shape
        if self._centred:
            y = F.layer_norm(_wide(x), shape, self.scale, self.offset, EPSILON)
        else:
            y = F.rms_norm(_wide(x), shape, self.scale, EPSILON) + self.offset
        return y.to(x.dtype)


def _standardised(conv: Any) -> Any:
    """Weights of a convolution that are multiplied by: mean 0, a learnt scale."""
    w = conv["weight"] - conv["weight"].mean(dim=(1, 2), keepdim=True)
    variance = w[0].numel() * w.var(dim=(1, 2), correction=0, keepdim=True)
    return w * (conv["scale"] * variance.clamp(min=1e-4).rsqrt())


class ConvBlock(nn.Module):
    """Normalisation, GELU (x sigmoid(1.702 x)), convolution: (batch, channels, length)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm = Scale(inputs)
        shapes = {"weight": (outputs, inputs, 5), "scale": (outputs, 1, 1), "bias": (outputs,)}
        tensors = {name: nn.Parameter(torch.empty(shape)) for name, shape in shapes.items()}
        self.conv = nn.ParameterDict(tensors)
        self._kept: tuple[Any, ...] | None = None

    def train(self, mode: bool = True) -> ConvBlock:
        """Set the mode; what was kept of the weights is forgotten."""
        self._kept = None
        return super().train(mode)

    def forward(self, x: Any) -> Any:
        """Apply; the length stays. GELU's slope goes into what is around it."""
        kept = self._kept
        if kept is None or kept[0].device != x.device:
            scale, offset = (each[:, None] for each in self.norm.pair(SLOPE))
            kept = scale, offset, _standardised(self.conv) / SLOPE
            if not self.training:
                kept = self._kept = tuple(each.detach() for each in kept)
        scale, offset, weight = kept
        x = torch.addcmul(offset.to(x.dtype), x, scale.to(x.dtype))
        x = F.silu(x, inplace=not x.requires_grad)
        return F.conv1d(x, weight, self.conv["bias"], padding=weight.shape[2] // 2)


class Stem(nn.Module):
    """The first stage, at single bases."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1_d = nn.Conv1d(4, channels, 15, padding=7)
        self.conv_block = ConvBlock(channels, channels)

    def forward(self, x: Any) -> Any:
        """Turn (batch, 4, length) into (batch, channels, length)."""
        x = self.conv1_d(x)
        return x + self.conv_block(x)


class Stage(nn.Module):
    """A later stage, which adds channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_block1, self.conv_block2 = ConvBlock(inputs, outputs), ConvBlock(outputs, outputs)

    def forward(self, x: Any) -> Any:
        """Turn (batch, inputs, length) into (batch, outputs, length)."""
        y = self.conv_block1(x)
        y = y + F.pad(x, (0, 0, 0, y.shape[1] - x.shape[1]))
        return y + self.conv_block2(y)


class SequenceToPair(nn.Module):
    """Products of pooled tokens, two by two, with their distance."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        width = s.pair_heads * s.pair
        self.q_r_bias = nn.Parameter(torch.empty(1, 1, s.pair_heads, s.pair))
        self.k_r_bias = nn.Parameter(torch.empty(1, 1, s.pair_heads, s.pair))
        self.norm = LayerNorm(s.features, centred=False)
        self.linear_q = nn.Linear(s.features, width, bias=False)
        self.linear_k = nn.Linear(s.features, width, bias=False)
        self.linear_pos_features = nn.Linear(s.positions, width)
        self.linear_y_q = nn.Linear(s.features, s.pair, bias=False)
        self.linear_y_k = nn.Linear(s.features, s.pair, bias=False)
        self.linear_pair = nn.Linear(s.pair_heads, s.pair)

    def forward(self, x: Any) -> Any:
        """Turn (batch, tokens, features) into (batch, pooled, pooled, pair)."""
        x = self.norm(x.unflatten(1, (-1, POOLED)).mean(2))
        tokens, heads = x.shape[1], self.q_r_bias.shape[2:]
        q, k = (part(x).unflatten(2, heads) for part in (self.linear_q, self.linear_k))
        features = _distances(tokens, self.linear_pos_features.in_features).to(x)
        distance = self.linear_pos_features(features).unflatten(1, heads)
        places = tokens + torch.arange(tokens, device=x.device)
        places = places[None] - torch.arange(tokens, device=x.device)[:, None]  # [i, j]: j - i
        of_q, of_k = (
            torch.einsum("bqhc,phc->bqph", part + bias, distance)
            for part, bias in ((q, self.q_r_bias), (k, self.k_r_bias))
        )
        index = places[None, :, :, None]
        of_q, of_k = (torch.take_along_dim(each, index, dim=2) for each in (of_q, of_k))
        scores = torch.einsum("bqhc,bkhc->bqkh", q, k) + (of_q + of_k.transpose(1, 2)) / 2
        active = F.gelu(x, approximate="tanh")
        rows, columns = self.linear_y_q(active), self.linear_y_k(active)
        return self.linear_pair(scores) + rows[:, :, None] + columns[:, None]


def _distances(tokens: int, features: int) -> Any:
    """Features (2 tokens, features) of distances -tokens .. tokens - 1: which widths hold them."""
    half = features // 2
    widest = MOST_TOKENS // POOLED - half + 1
    widths = np.arange(half) + np.geomspace(1, widest, half, endpoint=False)
    distance = np.arange(-tokens, tokens)
    held = widths.astype(np.float32) > np.abs(distance)[:, None]
    both = np.concatenate([held, np.sign(distance)[:, None] * held], axis=1)
    return torch.from_numpy(both.astype(np.float32))


class RowAttention(nn.Module):
    """Attention of pairs along the second of the two."""

    def __init__(self, pair: int) -> None:
        super().__init__()
        self.norm = LayerNorm(pair, centred=False)
        self.linear_q = nn.Linear(pair, pair, bias=False)
        self.linear_k = nn.Linear(pair, pair, bias=False)
        self.linear_v = nn.Linear(pair, pair)

    def forward(self, x: Any) -> Any:
        """Attend; the shape stays."""
        y = self.norm(x)
        q, k, v = self.linear_q(y), self.linear_k(y), self.linear_v(y)
        with _unrounded(x):
            scores = _wide(q) @ _wide(k).transpose(2, 3) / math.sqrt(q.shape[3])
            return (scores.softmax(3).to(v.dtype) @ v).to(q.dtype)


class PairMLP(nn.Module):
    """Feed-forward part of pairs."""

    def __init__(self, pair: int, hidden: int) -> None:
        super().__init__()
        self.norm = LayerNorm(pair, centred=False)
        self.fc1, self.fc2 = nn.Linear(pair, hidden), nn.Linear(hidden, pair)

    def forward(self, x: Any) -> Any:
        """Apply; the shape stays."""
        return self.fc2(F.relu(self.fc1(self.norm(x))))


class PairUpdate(nn.Module):
    """What every second block does to the pairs."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        self.sequence_to_pair_block = SequenceToPair(s)
        self.row_attention_block = RowAttention(s.pair)
        self.pair_mlp_block = PairMLP(s.pair, s.pair_hidden)

    def forward(self, x: Any, pairs: Any) -> Any:
        """Return the pairs anew, of tokens x; pairs: those of blocks before, None at first."""
        new = self.sequence_to_pair_block(x)
        pairs = new if pairs is None else pairs + new
        pairs = pairs + self.row_attention_block(pairs)
        return pairs + self.pair_mlp_block(pairs)


class Attention(nn.Module):
    """Attention of tokens: several heads of queries, one of keys and values."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        self.bn1, self.bn2 = Scale(s.features), Scale(s.features)
        self.q_layer = nn.Linear(s.features, s.heads * s.key, bias=False)
        self.k_layer = nn.Linear(s.features, s.key, bias=False)
        self.v_layer = nn.Linear(s.features, s.value, bias=False)
        self.norm_q, self.norm_k = LayerNorm(s.key), LayerNorm(s.key)
        self.norm_v = LayerNorm(s.value)
        self.linear_embedding = nn.Linear(s.heads * s.value, s.features)
        self._heads = s.heads
        self.rounded = True
        self._turns: dict[tuple[Any, ...], Any] = {}

    def forward(self, x: Any, bias: Any, rows: Any = None) -> Any:
        """Attend from the tokens `rows`, or from all; bias: (batch, heads, pooled, pooled)."""
        x = self.bn1(x)
        q = self.q_layer(x if rows is None else x[:, rows]).unflatten(2, (self._heads, -1))
        k, v = self.norm_k(self.k_layer(x)), self.norm_v(self.v_layer(x))
        turns = self._rotations(x.shape[1], q)
        k = _rotate(k, *turns)
        q = self.norm_q(q).transpose(1, 2)
        rows = torch.arange(x.shape[1], device=x.device) if rows is None else rows
        q = _rotate(q, *(each[rows] for each in turns))
        at_once = max(1, AT_ONCE // (len(x) * self._heads * x.shape[1]))
        parts = [
            self._group(q[:, :, at : at + at_once], k, v, bias, rows[at : at + at_once])
            for at in range(0, len(rows), at_once)
        ]
        y = torch.cat(parts, dim=2).transpose(1, 2).flatten(2)
        return self.bn2(self.linear_embedding(y))

    def _group(self, q: Any, k: Any, v: Any, bias: Any, rows: Any) -> Any:
        with _unrounded(q):
            # In place where gradients allow it: these are the largest matrices there are.
            scores = (_wide(q) @ _wide(k).transpose(1, 2)[:, None]).div_(math.sqrt(q.shape[3]))
            scores.unflatten(3, (-1, POOLED)).add_(_wide(bias[:, :, rows // POOLED])[..., None])
            weights = (scores.div_(CAP).tanh_() * CAP).softmax(3)
            return weights.to(v.dtype) @ v[:, None]

    def _rotations(self, tokens: int, q: Any) -> tuple[Any, Any]:
        rounding = torch.bfloat16 if self.rounded else q.dtype
        name = (tokens, q.shape[-1], q.device, rounding)
        if name not in self._turns:
            self._turns[name] = rotations(tokens, q.shape[-1], q.device, rounding)
        cosine, sine = self._turns[name]
        return cosine.to(q.dtype), sine.to(q.dtype)


def rotations(tokens: int, channels: int, device: Any, dtype: Any) -> tuple[Any, Any]:
    """Cosines and sines (tokens, channels) of rotary positions.

    dtype: what frequencies, positions and angles are rounded to. AlphaGenome was trained with
    bfloat16, which tells 513 of the positions 0 to 1,023 apart and moves its frequencies by up to
    0.4 %: in float32 the same weights are another model.
    """
    half = channels // 2
    widths = np.arange(half) + np.geomspace(1, MOST_TOKENS - half + 1, half)
    inverse = 1 / torch.from_numpy(widths).float().to(device, dtype)
    angles = torch.arange(tokens, device=device).to(dtype)[:, None] * inverse
    angles = angles.repeat_interleave(2, dim=1)
    return angles.cos(), angles.sin()


def _rotate(x: Any, cosine: Any, sine: Any) -> Any:
    turned = torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2)
    return x * cosine + turned * sine


class FeedForward(nn.Module):
    """Feed-forward part of tokens."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.bn1, self.bn2 = Scale(features), Scale(features)
        self.fc1, self.fc2 = nn.Linear(features, hidden), nn.Linear(hidden, features)

    def forward(self, x: Any) -> Any:
        """Apply; the shape stays."""
        return self.bn2(self.fc2(F.relu(self.fc1(self.bn1(x)))))


class Block(nn.Module):
    """A block of the transformer; every second one updates the pairs."""

    def __init__(self, s: Sizes, updates: bool) -> None:
        super().__init__()
        if updates:
            self.pair_update = PairUpdate(s)
        fc = nn.Linear(s.pair, s.heads, bias=False)
        self.attn_bias = nn.ModuleDict({"bn": Scale(s.pair), "fc": fc})
        self.mha, self.mlp = Attention(s), FeedForward(s.features, s.hidden)

    def forward(self, x: Any, pairs: Any, rows: Any = None) -> tuple[Any, Any]:
        """Return tokens, of `rows` alone where given, and pairs."""
        if hasattr(self, "pair_update"):
            pairs = self.pair_update(x, pairs)
        active = F.gelu(self.attn_bias["bn"](pairs), approximate="tanh")
        bias = self.attn_bias["fc"](active).permute(0, 3, 1, 2)  # not yet one for each token
        x = (x if rows is None else x[:, rows]) + self.mha(x, bias, rows)
        return x + self.mlp(x), pairs


class Head(nn.Module):
    """Weights, biases and scales of one kind of track, for each organism."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        weight = nn.Parameter(torch.empty(s.organisms, s.embedding, s.tracks))
        bias = nn.Parameter(torch.empty(s.organisms, s.tracks))
        linear = nn.ParameterDict({"weight": weight, "bias": bias})
        self.multiorg_linear = nn.ModuleDict({"128": linear})
        scales = nn.Parameter(torch.empty(s.organisms, s.tracks))
        self.residual_scales = nn.ParameterDict({"128": scales})

    def forward(self, x: Any, organism: int, tracks: Any) -> Any:
        """Return float64 (batch, rows, tracks), in multiples of the tracks' means."""
        linear = self.multiorg_linear["128"]
        weight, bias = (linear[x][organism][..., tracks].double() for x in ("weight", "bias"))
        scale = F.softplus(self.residual_scales["128"][organism, tracks].double())
        # Window by window, so that rounding doesn't depend on a window's place in the batch.
        return torch.stack([F.softplus(row @ weight + bias) for row in x.double()]) * scale


class AlphaGenome(nn.Module):
    """Encoder, transformer, embeddings of bins, and one head."""

    def __init__(self, sizes: Sizes, head: str) -> None:
        super().__init__()
        widths = [sizes.channels + k * sizes.step for k in range(STAGES)]
        stages = [Stem(widths[0]), *map(Stage, widths, widths[1:])]
        stage = nn.ModuleDict({f"bin_size_{2**k}": each for k, each in enumerate(stages)})
        self.sequence_encoder = nn.ModuleDict({"downres_blocks": stage})
        self.org_embedder = nn.Embedding(sizes.organisms, sizes.features)
        blocks = nn.ModuleList(Block(sizes, k % 2 == 0) for k in range(sizes.blocks))
        self.transformer_tower = nn.ModuleDict({"blocks": blocks})
        self.output_t = nn.ModuleDict({"fc1": nn.Linear(sizes.features, sizes.embedding)})
        self.output_t["org"] = nn.Embedding(sizes.organisms, sizes.embedding)
        self.output_t["norm"] = Scale(sizes.embedding)
        self._heads = nn.ModuleDict({head: Head(sizes)})

    def tower(self, one_hot: Any) -> Any:
        """Compute features of bins: (batch, length, 4) to (batch, length / 128, features)."""
        x = one_hot.transpose(1, 2)
        for stage in self.sequence_encoder["downres_blocks"].values():
            x = F.max_pool1d(stage(x), 2)
        return x.transpose(1, 2)

    def embeddings(self, features: Any, bins: Sequence[int], organism: int) -> Any:
        """Turn the tower's features into embeddings (batch, bins, embedding)."""
        rows = torch.as_tensor(list(bins), device=features.device)
        x, pairs = features + self.org_embedder.weight[organism], None
        *blocks, last = self.transformer_tower["blocks"]
        for block in blocks:
            x, pairs = block(x, pairs)
        x, _ = last(x, pairs, rows)
        x = self.output_t["norm"](self.output_t["fc1"](x))
        x = _wide(x + self.output_t["org"].weight[organism])
        return x * (SLOPE * x).sigmoid()

    def head(self, x: Any, organism: int, tracks: Any) -> Any:
        """Turn embeddings into values of tracks; see `Head`."""
        (head,) = self._heads.values()
        return head(x, organism, tracks)

    def round_positions(self, rounded: bool) -> None:
        """Choose whether positions are rounded to bfloat16, as in training, in any arithmetic."""
        for block in self.transformer_tower["blocks"]:
            block.mha.rounded = rounded


def halo() -> int:
    """Count bins of 128 bp that the encoder sees beyond a bin: 513 bases on either side."""
    bases = 7 + 2 + sum(2 * 2 * 2**stage for stage in range(1, STAGES))
    return -(-bases // 2**STAGES)
