"""Flashzoi's attention in plain PyTorch, on any device and in any precision.

Flashzoi (Hingerl et al. 2025) has flash-attn's `MHA`: grouped queries, and rotary positions on the
first features of each head, turned in halves as in GPT-NeoX. Here are the same tensors under the
same names, so that the published weights load; flash-attn itself takes CUDA and half precision
alone. PyTorch chooses its own fast kernel where there is one.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator


class RotaryAttention(nn.Module):
    """Multi-head attention over (batch, tokens, embed_dim), as `flash_attn.modules.mha.MHA`."""

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        num_heads_kv: int,
        softmax_scale: float,
        rotary_emb_dim: int,
        rotary_emb_base: float,
        **others: Any,
    ) -> None:
        """others: flash-attn's own options, which decide nothing here."""
        super().__init__()
        self.heads, self.heads_kv, self.size = num_heads, num_heads_kv, embed_dim // num_heads
        self.scale, self.turned, self.base = softmax_scale, rotary_emb_dim, rotary_emb_base
        self.Wqkv = nn.Linear(embed_dim, self.size * (num_heads + 2 * num_heads_kv))
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Attend from each token to all."""
        sizes = [self.heads, self.heads_kv, self.heads_kv]
        parts = self.Wqkv(x).unflatten(-1, (-1, self.size)).split(sizes, dim=-2)
        q, k, v = (part.transpose(1, 2) for part in parts)  # (batch, heads, tokens, size)
        q, k = self._rotate(q), self._rotate(k)
        out = nn.functional.scaled_dot_product_attention(q, k, v, scale=self.scale, enable_gqa=True)
        return self.out_proj(out.transpose(1, 2).flatten(-2))

    def _rotate(self, x: Tensor) -> Tensor:
        """Turn the first features of each head by an angle that grows with the token's number."""
        half = self.turned // 2
        power = torch.arange(half, device=x.device, dtype=torch.float32) / half
        token = torch.arange(x.shape[-2], device=x.device, dtype=torch.float32)
        angle = token[:, None] / self.base**power
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        one, two, rest = x.split([half, half, x.shape[-1] - self.turned], dim=-1)
        return torch.cat([one * cos - two * sin, two * cos + one * sin, rest], dim=-1)


@contextmanager
def in_place_of_flash_attn() -> Iterator[None]:
    """Let borzoi-pytorch find this attention, whether flash-attn is installed or not."""
    names = ["flash_attn", "flash_attn.modules", "flash_attn.modules.mha"]
    before = {name: sys.modules.get(name) for name in names}
    for name in names:
        sys.modules[name] = ModuleType(name)
    sys.modules[names[-1]].MHA = RotaryAttention  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module
