"""Values of a window's single substitutions, of which only what a substitution changes is computed.

A network begins with layers that see few neighbours: convolutions, poolings, functions of single
positions. A substitution changes a short stretch of each layer's output, a tile; what stands
around it is known from one pass over the window as it is. Tiles of many substitutions go through
a layer as one matrix product. What follows the layers gets the window's features with the tiles
laid in.

Arrays are (positions, channels), channels last, so that a tile of neighbouring positions is one
row of a matrix. The values equal plain ones up to the order of summation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from howfar.models.base import reverse_complement, shift_windows

#: Numbers of the largest matrix that is made of tiles at a time: it stays in a CPU's caches.
_AT_ONCE = {"cpu": 4_000_000, "cuda": 256_000_000}
_ROWS = 1024  # of a whole window at a time
_COMPLEMENT = np.array([3, 2, 1, 0])


@dataclass(frozen=True)
class Known:
    """A layer's input around the substitutions: rows first..first + len(rows) of `length`."""

    rows: Any
    first: int
    length: int

    def at(self, positions: Any) -> Any:
        """Return the rows at `positions` (n, width), any row for those outside the window."""
        index = (positions - self.first).clamp(0, len(self.rows) - 1)
        return self.rows.index_select(0, index.flatten()).unflatten(0, positions.shape)


@dataclass(frozen=True)
class Each:
    """A function of single positions: rows (n, channels) to rows (n, other channels)."""

    apply: Callable[[Any], Any]

    def whole(self, x: Any) -> Any:
        """Apply to all positions of a window."""
        return self.apply(x)

    def span(self, first: int, stop: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return which inputs a tile of first..stop needs, and which outputs it reaches."""
        return (first, stop), (first, stop)

    def tiles(self, starts: Any, tiles: Any, known: Known) -> tuple[Any, Any]:
        """Turn tiles (n, width, channels) from positions `starts` into those of the output."""
        return starts, self.apply(tiles.flatten(0, 1)).unflatten(0, tiles.shape[:2])


@dataclass(frozen=True)
class Convolution:
    """A convolution by weight (width, inputs, outputs), with `before` and `after` zeros around."""

    weight: Any
    bias: Any
    before: int = 0
    after: int = 0

    def whole(self, x: Any) -> Any:
        """Apply to all positions of a window, by the tiles' arithmetic: what is equal stays so."""
        import torch
        from torch.nn.functional import pad

        x = pad(x, (0, 0, self.before, self.after))
        return torch.cat(
            [
                self._product(x[None, k : k + _ROWS + len(self.weight) - 1])[0]
                for k in range(0, len(x) - len(self.weight) + 1, _ROWS)
            ]
        )

    def _product(self, x: Any) -> Any:
        """Multiply (n, positions, inputs), contiguous, to (n, positions - width + 1, outputs)."""
        import torch

        n, positions, channels = x.shape
        width = len(self.weight)
        # Row j holds the `width` neighbouring positions that output j is made of.
        shape, step = (n, positions - width + 1, width * channels), x.stride()
        rows = x.as_strided(shape, (step[0], step[1], 1), x.storage_offset()).reshape(-1, shape[2])
        return torch.addmm(self.bias, rows, self.weight.flatten(0, 1)).unflatten(0, shape[:2])

    def span(self, first: int, stop: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """As `Each.span`."""
        reach = len(self.weight) - 1
        return (first - reach, stop + reach), (first - reach + self.before, stop + self.before)

    def tiles(self, starts: Any, tiles: Any, known: Known) -> tuple[Any, Any]:
        """As `Each.tiles`."""
        import torch

        reach, inner = len(self.weight) - 1, tiles.shape[1]
        near = torch.arange(-reach, inner + reach, device=starts.device)
        positions = starts[:, None] + near
        x = known.at(positions)
        x[:, reach : reach + inner] = tiles
        outside = (positions < 0) | (positions >= known.length)
        if outside.any():
            x[outside] = 0
        return starts - reach + self.before, self._product(x)


@dataclass(frozen=True)
class Pool:
    """A pooling of `size` positions into one: (n, size, channels) to (n, channels)."""

    size: int
    apply: Callable[[Any], Any]

    def whole(self, x: Any) -> Any:
        """Apply to all positions of a window; a rest at its end is left out."""
        full = len(x) // self.size * self.size
        return self.apply(x[:full].unflatten(0, (-1, self.size)))

    def span(self, first: int, stop: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """As `Each.span`; one more, as all tiles have the width of the widest."""
        first, stop = first // self.size, -(-stop // self.size) + 1
        return (first * self.size, stop * self.size), (first, stop)

    def tiles(self, starts: Any, tiles: Any, known: Known) -> tuple[Any, Any]:
        """As `Each.tiles`."""
        import torch

        n, inner, channels = tiles.shape
        first = torch.div(starts, self.size, rounding_mode="floor")
        last = torch.div(starts + inner - 1, self.size, rounding_mode="floor")
        width = int((last - first).max()) + 1
        span = torch.arange(width * self.size, device=starts.device)
        x = known.at(first[:, None] * self.size + span)
        row = torch.arange(n, device=starts.device) * len(span) + starts - first * self.size
        places = row[:, None] + torch.arange(inner, device=starts.device)
        x.view(-1, channels)[places.flatten()] = tiles.flatten(0, 1)
        return first, self.apply(x.view(-1, self.size, channels)).unflatten(0, (n, width))


Layer = Each | Convolution | Pool


def convolution(module: Any, before: int | None = None, after: int = 0) -> Layer:
    """Read a layer off a PyTorch convolution along a sequence, of stride and dilation 1.

    before, after: zeros around its input; None: the module's own padding.
    """
    weight = module.weight.flatten(2).permute(2, 1, 0).contiguous()
    bias = weight.new_zeros(weight.shape[2]) if module.bias is None else module.bias
    if before is None:
        before = after = module.padding[-1]
    if len(weight) == 1:
        from torch import addmm

        return Each(lambda rows: addmm(bias, rows, weight[0]))
    return Convolution(weight, bias, before, after)


def largest(size: int) -> Pool:
    """Return the pooling by the largest of `size` positions."""
    return Pool(size, lambda pairs: pairs.amax(dim=1))


@dataclass(frozen=True)
class Local:
    """A network as layers that see few neighbours, and what follows them.

    after: (features (positions, channels) of the window, starts (n,), tiles (n, width, channels),
    bins, tracks) to values (n, bins, tracks); tiles may reach beyond the features, where they mean
    nothing. views: (shift, whether reverse complemented) of the windows whose values are averaged.
    """

    layers: Sequence[Layer]
    after: Callable[[Any, Any, Any, Sequence[int], Any], Any]
    views: Sequence[tuple[int, bool]] = ((0, False),)

    def known(self, x: Any, first: int, stop: int) -> tuple[list[Known], Any]:
        """Apply all layers to a window's one-hot rows: inputs around first..stop, and features."""
        kept = []
        for layer in self.layers:
            (low, high), reached = layer.span(first, stop)
            low, high = max(low, 0), min(high, len(x))
            kept.append(Known(x[low:high].clone(), low, len(x)))
            x, (first, stop) = layer.whole(x), reached
        return kept, x

    def tiles(self, kept: Sequence[Known], starts: Any, tiles: Any) -> tuple[Any, Any]:
        """Pass tiles of one-hot rows through all layers: where they start, and their features."""
        for layer, known in zip(self.layers, kept, strict=True):
            starts, tiles = layer.tiles(starts, tiles, known)
        return starts, tiles

    def widest(self) -> int:
        """Return numbers of the largest matrix that one substitution's tile makes."""
        width = most = 1
        for layer in self.layers:
            if isinstance(layer, Pool):
                width = (width + layer.size - 2) // layer.size + 1
            elif isinstance(layer, Convolution):
                width += len(layer.weight) - 1
                most = max(most, width * layer.weight.shape[0] * layer.weight.shape[1])
        return most


def of_features(after: Callable[[Any, Sequence[int], Any], Any], batch: int) -> Callable[..., Any]:
    """Make `Local.after` of a function of whole windows' features (batch, positions, channels)."""

    def laid_in(features: Any, starts: Any, tiles: Any, bins: Sequence[int], tracks: Any) -> Any:
        """Lay each tile into the features of the window, and go on from there."""
        import torch

        parts = []
        positions = starts[:, None] + torch.arange(tiles.shape[1], device=starts.device)
        for rows in torch.arange(len(tiles), device=starts.device).split(batch):
            whole = features.repeat(len(rows), 1, 1)
            inside = (positions[rows] >= 0) & (positions[rows] < len(features))
            row, column = inside.nonzero(as_tuple=True)
            whole[row, positions[rows][row, column]] = tiles[rows][row, column]
            parts.append(after(whole, bins, tracks))
        return torch.cat(parts)

    return laid_in


def values(
    model: Any,
    local: Local,
    window: np.ndarray,
    positions: np.ndarray,
    letters: np.ndarray,
    bins: Sequence[int],
    tracks: Any,
) -> Iterator[np.ndarray]:
    """Yield float64 (n, bins, tracks) of a window's substitutions, in their order, in parts.

    window: uint8 (context,). positions, letters: (substitutions,), neighbours beside each other;
    letters 0..3 for A, C, G, T, -1 for the one that is there. tracks: long tensor.
    """
    import torch

    n_bins, last = model.layout.n_bins, len(window) - 1
    letter_rows = model._one_hot(torch.tensor(list(b"ACGT"), device=model.device))
    views = []
    for shift, turned in local.views:
        seen = shift_windows(window[None], shift)
        seen = reverse_complement(seen) if turned else seen
        x = model._one_hot(torch.from_numpy(seen).to(model.device))[0]
        ends = np.clip([positions.min() + shift, positions.max() + shift], 0, last)
        first, stop = sorted(last - ends if turned else ends)
        chosen = [n_bins - 1 - b for b in bins] if turned else list(bins)
        views.append((shift, turned, chosen, *local.known(x, first, stop + 1), first, stop))
    size = max(1, _AT_ONCE[model.device.split(":")[0]] // local.widest())
    for begin in range(0, len(positions), size):
        total: Any = 0
        for shift, turned, chosen, kept, features, first, stop in views:
            at, letter = positions[begin : begin + size] + shift, letters[begin : begin + size]
            # Moved out of the window, a substitution changes nothing, as one by the same letter.
            same = torch.from_numpy((at < 0) | (at > last) | (letter < 0))
            if turned:
                at, letter = last - at, _COMPLEMENT[letter]
            known, same = kept[0], same.to(model.device)
            starts = torch.from_numpy(at).to(model.device)
            starts = starts.clamp(first, stop)
            rows = letter_rows[torch.from_numpy(letter).to(model.device)][:, None]
            rows = torch.where(same[:, None, None], known.at(starts[:, None]), rows)
            starts, tiles = local.tiles(kept, starts, rows)
            total = total + local.after(features, starts, tiles, chosen, tracks).double()
        yield (total / len(views)).cpu().numpy()
