"""Enformer's transformer without what doesn't depend on the sequence, or isn't asked for.

The same numbers as ``enformer_pytorch``'s modules in evaluation mode, up to rounding:

- keys of relative positions depend on the length alone: made once, not in each pass;
- the shift from relative to absolute positions is a view, not a padded copy;
- softmax and weighting are PyTorch's fused attention, with the position term as its bias;
- in the last block only the bins asked for have queries, and only they go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from howfar.core.errors import HowfarError


class Transformer:
    """The transformer of an ``enformer_pytorch.Enformer``: features to embeddings of some bins."""

    def __init__(self, network: Any) -> None:
        self._blocks = [_Block(*block) for block in network.transformer]

    def __call__(self, x: Any, bins: Sequence[int]) -> Any:
        """Apply all blocks to features x (batch, length, dim), to (batch, len(bins), dim)."""
        import torch

        every = list(bins) == list(range(x.shape[1]))
        rows = None if every else torch.as_tensor(list(bins), device=x.device)
        for block in self._blocks[:-1]:
            x = block(x)
        if self._blocks:
            return self._blocks[-1](x, rows)
        return x if rows is None else x[:, rows]

    def weights(self, x: Any, bins: Sequence[int]) -> Any:
        """Return what those bins attend to: (batch, layers, heads, len(bins), length)."""
        import torch

        rows, found = torch.as_tensor(list(bins), device=x.device), []
        for block in self._blocks:
            found.append(block.weights(x, rows))
            x = block(x)
        return torch.stack(found, dim=1)


class _Block:
    """Attention and feed-forward of one block, each with its residual."""

    def __init__(self, attention: Any, feed_forward: Any) -> None:
        self._norm, self._attend = attention.fn[0], _Attention(attention.fn[1])
        self._feed_forward = feed_forward

    def __call__(self, x: Any, rows: Any = None) -> Any:
        kept = x if rows is None else x[:, rows]
        return self._feed_forward(kept + self._attend(self._norm(x), rows))

    def weights(self, x: Any, rows: Any) -> Any:
        """Return (batch, heads, len(rows), length)."""
        query, key, bias = self._attend.scores(self._norm(x), rows)
        return (query @ key.transpose(2, 3) + bias).softmax(dim=3)


class _Attention:
    """Attention with relative positions (Avsec et al. 2021, methods), for all rows or for some."""

    def __init__(self, module: Any) -> None:
        if module.training:
            raise HowfarError(
                "an Enformer network",
                found="training mode, in which dropout makes each pass different",
                expected="evaluation mode",
                do="Call `.eval()` on the network first.",
            )
        self._module = module
        self._keys: dict[tuple, Any] = {}  # of relative positions, by length, device and type

    def __call__(self, x: Any, rows: Any = None) -> Any:
        from torch.nn.functional import scaled_dot_product_attention

        module = self._module
        content, key, bias = self.scores(x, rows)
        value = _by_head(module.to_v(x), module.heads)
        out = scaled_dot_product_attention(
            content.to(value.dtype), key, value, attn_mask=bias.to(value.dtype), scale=1.0
        )
        return module.to_out(out.transpose(1, 2).flatten(2))

    def scores(self, x: Any, rows: Any = None) -> tuple[Any, Any, Any]:
        """Return queries, keys and the positions' term, whose scores are softmax's input."""
        module, heads = self._module, self._module.heads
        kept = x if rows is None else x[:, rows]
        query = _by_head(module.to_q(kept), heads) * module.scale
        key = _by_head(module.to_k(x), heads)
        relative = (query + module.rel_pos_bias) @ self._position_keys(x).transpose(1, 2)
        bias = _absolute(relative) if rows is None else _absolute_rows(relative, rows)
        return query + module.rel_content_bias, key, bias

    def _position_keys(self, x: Any) -> Any:
        """Return keys (heads, 2 length - 1, dim_key) of distances -(length - 1) .. length - 1."""
        module, length = self._module, x.shape[1]
        name = (length, x.device, x.dtype)
        if name not in self._keys:
            keys = module.to_rel_k(_positions(module, length, x.device))
            self._keys[name] = keys.unflatten(1, (module.heads, -1)).transpose(0, 1).contiguous()
        return self._keys[name]


def _positions(module: Any, length: int, device: Any) -> Any:
    """Return what an attention knows of distances: (2 length - 1, features)."""
    from enformer_pytorch.modeling_enformer import get_positional_embed

    return get_positional_embed(
        length,
        module.num_rel_pos_features,
        device,
        use_tf_gamma=module.use_tf_gamma,
        dtype=module.to_rel_k.weight.dtype,
    )


def trainable(attention: Any) -> Any:
    """Return an ``enformer_pytorch`` attention that trains to the same bits, in less time.

    Its shift from relative to absolute positions copies four tensors of (batch, heads, length,
    2 length) forward and as many back; a view copies one, back. Features of positions are kept.
    """
    import torch

    class Viewing(type(attention)):
        """The same parameters, and another `forward`."""

        def forward(self, x: Any) -> Any:
            """Attend from each row of x (batch, length, dim) to all."""
            query = _by_head(self.to_q(x), self.heads) * self.scale
            key, value = (_by_head(each(x), self.heads) for each in (self.to_k, self.to_v))
            content = torch.einsum("bhid,bhjd->bhij", query + self.rel_content_bias, key)
            keys = self.to_rel_k(self.pos_dropout(self._known(x))).unflatten(1, (self.heads, -1))
            relative = torch.einsum("bhid,jhd->bhij", query + self.rel_pos_bias, keys)
            weights = self.attn_dropout((content + _absolute(relative)).softmax(dim=-1))
            out = torch.einsum("bhij,bhjd->bhid", weights, value)
            return self.to_out(out.transpose(1, 2).flatten(2))

        def _known(self, x: Any) -> Any:
            name = (x.shape[1], x.device, self.to_rel_k.weight.dtype)
            if self._features[0] != name:
                with torch.inference_mode(False):  # or training can't use what a prediction kept
                    self._features = name, _positions(self, x.shape[1], x.device)
            return self._features[1]

    attention._features = (None, None)
    attention.__class__ = Viewing
    return attention


def _by_head(x: Any, heads: int) -> Any:
    """Turn (batch, length, heads * dim) into (batch, heads, length, dim)."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def _absolute(relative: Any) -> Any:
    """Turn relative into absolute positions: out[i, j] = relative[i, length - 1 + j - i], a view.

    relative: (batch, heads, length, 2 length - 1).
    """
    batch, heads, length, _ = relative.shape
    a, b, c, d = relative.stride()
    first = relative.storage_offset() + (length - 1) * d
    return relative.as_strided((batch, heads, length, length), (a, b, c - d, d), first)


def _absolute_rows(relative: Any, rows: Any) -> Any:
    """Do as `_absolute`, where `relative` has the rows `rows` alone."""
    import torch

    length = (relative.shape[3] + 1) // 2
    places = length - 1 + torch.arange(length, device=rows.device) - rows[:, None]
    return torch.take_along_dim(relative, places[None, None], dim=3)
