"""Any PyTorch network run over haplotypes without computing the same stretch twice.

`locality` finds where the network stops being local; here what is before runs once for each
distinct stretch (`shared_tower`), and what is after on each row. Both are graphs of the network's
own operations, recorded for each length of stretch and each size of batch that is met, so that a
network needs no parts, names or rules of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from howfar.models.engine.locality import Boundary, NotLocal, find, widened
from howfar.models.engine.shared_tower import SharedTower
from howfar.models.engine.tracing import Trace, graph_of, trace

#: Rows of random haplotypes by which a boundary is proved, and how far they may differ.
PROVED_ROWS = 8
_ALLOWED = {"torch.float64": 1e-9, "torch.float32": 1e-4}


class SharedModule:
    """A network whose local part is computed once for each distinct stretch of its input.

    Called with a tensor (rows, ...) of the shape that it was made for, whatever the rows.
    """

    def __init__(
        self, run: Callable[[Any], Any], x: Any, boundary: Boundary, memory: float, batch: int = 8
    ) -> None:
        """run: the network or its `forward`. x: a row or more of what it is given.

        memory: bytes for what is remembered. batch: rows at a time after the boundary.
        """
        self.run, self.boundary, self._batch = run, boundary, max(2, batch)
        self._shape, self._type = tuple(x.shape[1:]), x.dtype
        self._device = str(x.device)
        self._versions: list[tuple[int, int]] | None = None
        self._towers: dict[int, Any] = {}
        self._after, self._spec, self._cuts = self._rest(x)
        unit, length = boundary.unit, x.shape[boundary.axis]
        spans = [length]
        self._numbers = []  # of a unit, of each tensor at the boundary
        for place, (shape, _) in zip(boundary.places, self._kept, strict=True):
            spans.append(shape[place.axis] * place.stride)
            each = unit // place.stride
            self._numbers.append(each * math.prod(shape[1:]) // shape[place.axis])
        units = -(-max(spans) // unit)
        if units > -(-length // unit):
            raise NotLocal("padding makes its tensors longer than the sequence")
        self._blocks = -(-units // boundary.block) * boundary.block
        stretch = boundary.block + 2 * boundary.halo
        self.tower = SharedTower(
            self._features,
            lambda stretches: stretches,
            n_bins=self._blocks,
            bin_size=unit,
            channels=sum(self._numbers),
            halo=boundary.halo,
            block=boundary.block,
            stretches=max(2, self._blocks // stretch),  # one row may take another way
            memory=memory,
            device=self._device,
            bases=length,
        )

    def fits(self, x: Any) -> bool:
        """Whether it takes such an input, and the network's weights are those that it had."""
        import torch

        like = isinstance(x, torch.Tensor) and tuple(x.shape[1:]) == self._shape
        return like and x.dtype == self._type and not x.requires_grad and self._as_before()

    def _as_before(self) -> bool:
        owner = getattr(self.run, "__self__", self.run)
        tensors = owner.state_dict().values()
        versions = [(t.data_ptr(), 0 if t.is_inference() else t._version) for t in tensors]
        if self._versions is None:
            self._versions = versions
        return versions == self._versions

    def __call__(self, x: Any) -> Any:
        """Compute what the network computes."""
        import torch

        with torch.inference_mode(False), torch.no_grad():
            return self._computed(x)

    def _computed(self, x: Any) -> Any:
        import torch
        from torch.utils._pytree import tree_unflatten

        along = x.detach().movedim(self.boundary.axis, 1).contiguous().cpu().numpy()
        parts: list[list[Any]] = []
        start = 0
        for features, real in self.tower.features(along, self._batch):
            rows = x[start : start + real]
            if real < self._batch:
                rows = torch.cat([rows, rows[-1:].expand(self._batch - real, *rows.shape[1:])])
            values = self._after(*self._unpacked(features), rows)
            parts.append([value[:real] for value in values])
            start += real
        return tree_unflatten([torch.cat(each) for each in zip(*parts, strict=True)], self._spec)

    def _rest(self, x: Any) -> tuple[Any, Any, list[Any]]:
        """Record the whole network for a batch; return what follows the boundary, and its spec."""
        rows = x[:1].expand(self._batch, *x.shape[1:])
        traced = _traced(self.run, rows, None)
        self._check(traced)
        source = next(node for node in traced.module.graph.nodes if node.op == "placeholder")
        cuts = [traced.nodes[place.number] for place in self.boundary.places]
        for out in traced.outputs:
            shape = getattr(getattr(out, "meta", {}).get("val"), "shape", ())
            if len(shape) < 1 or shape[0] != self._batch:
                raise NotLocal("it returns something without a row for each window")
        self._kept = [
            (traced.shapes[place.number], traced.strides[place.number])
            for place in self.boundary.places
        ]
        return graph_of(traced, [*cuts, source], traced.outputs), traced.spec, cuts

    def _check(self, traced: Trace) -> None:
        names = self.boundary.names
        if tuple(traced.names[: len(names)]) != names:
            raise NotLocal("it does other operations on a stretch than on the whole")

    def _features(self, stretches: Any) -> Any:
        """Run the local part on stretches (n, bases, ...): to (n, units, numbers)."""
        import torch

        x = stretches.movedim(1, self.boundary.axis)
        bases = stretches.shape[1]
        if bases not in self._towers:
            traced = _traced(self.run, x, len(self.boundary.names))
            self._check(traced)
            source = next(node for node in traced.module.graph.nodes if node.op == "placeholder")
            cuts = [traced.nodes[place.number] for place in self.boundary.places]
            self._towers[bases] = graph_of(traced, [source], cuts)
        units = -(-bases // self.boundary.unit)
        return torch.cat(
            [self._packed(tensor, place, units)
             for tensor, place in zip(self._towers[bases](x), self.boundary.places, strict=True)],
            dim=2,
        )  # fmt: skip

    def _packed(self, tensor: Any, place: Any, units: int) -> Any:
        """Lay (n, ... positions ...) out as (n, units, numbers of a unit), filled up with zeros."""
        from torch.nn.functional import pad

        each = self.boundary.unit // place.stride
        x = tensor.movedim(place.axis, 1).reshape(len(tensor), tensor.shape[place.axis], -1)
        x = pad(x[:, : units * each], (0, 0, 0, max(0, units * each - x.shape[1])))
        return x.reshape(len(x), units, -1)

    def _unpacked(self, features: Any) -> list[Any]:
        """Take (n, units, numbers) apart into the boundary's tensors, laid out as they were."""
        import torch

        found = []
        parts = zip(
            features.split(self._numbers, dim=2), self.boundary.places, self._kept, strict=True
        )
        for part, place, (shape, strides) in parts:
            rest = [n for k, n in enumerate(shape) if k not in (0, place.axis)]
            x = part.reshape(len(part), -1, *rest)[:, : shape[place.axis]].movedim(1, place.axis)
            found.append(torch.empty_strided(shape, strides, dtype=x.dtype, device=x.device))
            found[-1].copy_(x)
        return found


def _traced(run: Callable[[Any], Any], x: Any, most: int | None) -> Trace:
    try:
        traced = trace(run, x, most)
    except Exception as error:
        raise NotLocal(f"it can't be recorded: {error}") from error
    if traced.error is not None:
        raise NotLocal(f"it does not run on a stretch: {traced.error}")
    return traced


def share(run: Callable[[Any], Any], x: Any, memory: float, batch: int = 8) -> SharedModule:
    """Find the boundary of a network, prove it, and return the network sharing what is before it.

    run: the network or its `forward`, in evaluation mode. x: rows of what it is given. Raises
    NotLocal with the reason where it can't be shared, or not surely.
    """
    boundary = find(run, x)
    prove(run, x, boundary)
    shared = SharedModule(run, x, boundary, memory, batch)
    length = x.shape[boundary.axis]
    if length != boundary.tried:
        # How a sequence ends may depend on its length: on the rest of a stride, for example.
        prove(run, x, boundary, length=length, rows=2)
    return shared


def prove(
    run: Callable[[Any], Any],
    x: Any,
    boundary: Boundary,
    *,
    length: int | None = None,
    rows: int = PROVED_ROWS,
) -> None:
    """Raise NotLocal unless random haplotypes get by stretches what they get as a whole.

    length, rows: of the haplotypes; a length of a few stretches where left out.

    In float64 where the network can; the haplotypes differ by substitutions, insertions and
    deletions anywhere, also next to the ends.
    """
    import torch

    wide = widened(run) if boundary.wide else run
    letters = _haplotypes(x[:1], boundary.axis, length or boundary.tried, rows)
    letters = letters.double() if boundary.wide else letters
    shared = SharedModule(wide, letters, boundary, 0.0, batch=4)
    along = letters.movedim(boundary.axis, 1).contiguous().cpu().numpy()
    with torch.no_grad():
        whole = shared._features(torch.from_numpy(along).to(x.device))
        found = [part[:real] for part, real in shared.tower.features(along, 4)]
    pieces = torch.cat(found)[:, : whole.shape[1]]
    worst = float((pieces - whole).abs().max())
    allowed = _ALLOWED.get(str(whole.dtype), 1e-2) * float(whole.abs().max())
    if not worst <= allowed:
        raise NotLocal(f"stretches of it differ from the whole by {worst:.1e}")


def _haplotypes(x: Any, axis: int, length: int, number: int) -> Any:
    """Make rows of the letters of x in random order, which differ as haplotypes do."""
    import torch

    draw = np.random.default_rng(2)
    places = draw.integers(0, x.shape[axis], 2 * length)
    rows = []
    for k in range(number):
        row = places[:length].copy()
        at = draw.integers(0, length, max(4, length // 200))
        row[at] = draw.integers(0, x.shape[axis], len(at))
        for cut in draw.integers(0, length, k % 4):  # a deletion or an insertion
            size = int(draw.integers(1, 12))
            kept = np.delete(row, slice(cut, cut + size)) if k % 2 else np.insert(
                row, cut, draw.integers(0, x.shape[axis], size))  # fmt: skip
            row = np.concatenate([kept, places[length:]])[:length]
        rows.append(x[0].index_select(axis - 1, torch.from_numpy(row).to(x.device)))
    return torch.stack(rows)
