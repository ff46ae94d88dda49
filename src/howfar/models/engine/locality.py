"""Where a network stops being local along the sequence: found by running it, not declared.

A network that reads DNA mostly begins locally: each number in it depends on few neighbouring
bases. What is so computed for one stretch of sequence holds for the same stretch in any haplotype,
and `shared_module` computes it once. Here the boundary is found, in four steps, for any PyTorch
network, without a rule per operation:

1. Shapes. The operations are recorded (`tracing`) at two lengths of sequence. The axis of a tensor
   that grows with it lies along the sequence; how much it grows gives the stride in bases.
2. Reach. The network runs on a sequence in which the bases of one unit are NaN. No maximum and no
   small weight hides NaN, so what becomes NaN is all that those bases reach: the halo. NaN in the
   first and in the last unit shows what wraps around (circular padding).
3. Place. It runs on the same letters moved by one unit: what does not move with them knows where it
   stands (a table of positions).
4. Choice. Of the possible boundaries, the one with the least work for a cohort.

What can't be judged counts as not local: comparisons, which lose NaN; values that reach an end of
the sequence tried; axes that mix the windows of a batch. A network that gives other values the
second time, or that lets windows of a batch see one another, has no boundary at all.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from howfar.models.engine.tracing import Trace, needed_for, trace

#: Bases by which the sequence is lengthened to see strides: a multiple of all usual ones.
GROWTH = 2**9 * 3**2 * 5 * 7
MOST_OPERATIONS = 10_000
MOST_UNIT = 2048  # bases: no larger stride is looked for
#: Rows of the batch that is tried: letters, the same moved by one unit, and NaN in four places.
ROWS = 6
#: A stretch of x bp is one of x / DISTINCT distinct ones at a place among 842 haplotypes of the
#: real megabase (29 windows' worth of 49,152 bp among 512, halos of 3 bins included).
DISTINCT = 50_000
LEAST_SAVING = 1.2  # times; below it sharing is not worth its trouble
LEAST_GAIN = 1.25  # of a boundary that has more to remember
_RECURRENT = {"lstm", "gru", "rnn"}
_DROP_NAN = ("fmax", "fmin", "nan_to_num", "nansum", "nanmean", "nanmedian")


class NotLocal(Exception):
    """Why a network isn't shared, in one sentence."""


@dataclass(frozen=True)
class Place:
    """A tensor at the boundary: its number among recorded ones, axis and stride along bases."""

    number: int
    axis: int
    stride: int


@dataclass(frozen=True)
class Boundary:
    """Where a network stops being local.

    axis: of the input that lies along the sequence. unit: bp; stretches begin at multiples of it.
    halo: units that a stretch needs on either side. block: units of a stretch without its halo.
    saving: how many times less work sharing is for a cohort. names: of operations up to the
    boundary, which a stretch must repeat. wide: whether it was found in float64. tried: bp, the
    length on which it was found.
    """

    axis: int
    unit: int
    halo: int
    block: int
    places: tuple[Place, ...]
    saving: float
    names: tuple[str, ...]
    wide: bool
    tried: int

    def __str__(self) -> str:
        """Say what was found, for people."""
        return (
            f"local up to operation {len(self.names)} ({self.names[-1]}); stretches of "
            f"{self.block * self.unit:,} bp and {self.halo * self.unit:,} bp on either side, in "
            f"units of {self.unit}; reckoned to save {self.saving:.1f} times of the work"
        )


def find(run: Callable[[Any], Any], x: Any) -> Boundary:
    """Find where `run`, a network or its `forward`, stops being local.

    x: tensor (batch, ...) as the network is given it, of which the longest axis lies along the
    sequence; its values are used as letters in other order. Raises NotLocal with the reason.
    """
    return _choose(look(run, x))


@dataclass(frozen=True)
class View:
    """What was seen of a network.

    whole: its operations. axes: (axis, stride in bp) along the sequence of each tensor, None
    where there is none. reaches: how far bases reach in it, bp, of each one that is local, by
    number. axis, length: of the input along the sequence. tried: bp of the sequences tried. wide:
    whether in float64.
    """

    whole: Trace
    axes: list[tuple[int, int] | None]
    reaches: dict[int, int]
    axis: int
    length: int
    tried: int
    wide: bool


def look(run: Callable[[Any], Any], x: Any) -> View:
    """Look at each tensor of a network: whether it is local, and how far bases reach in it."""
    owner = getattr(run, "__self__", run)
    if any(m.training and [*m.buffers(recurse=False)] for m in getattr(owner, "modules", list)()):
        words = "the windows of a batch see one another in it"
        raise NotLocal(f"{words}, as by batch norm in training mode")
    axis = int(np.argmax(x.shape[1:])) + 1
    length = x.shape[axis]
    whole = _traced(run, _cut(x, axis, length), "as it is", MOST_OPERATIONS)
    if len(whole.names) >= MOST_OPERATIONS:
        raise NotLocal("it goes along the sequence step by step, as recurrent layers do")
    if whole.error is not None:
        raise NotLocal(f"it can't be recorded: {_line(whole.error)}") from whole.error
    if whole.random:
        raise NotLocal(f"it draws random numbers ({whole.random}), as dropout does")
    recurrent = (k for k, name in enumerate(whole.names) if _RECURRENT & set(_words(name)))
    most = next(recurrent, len(whole.names))  # which takes very long on a longer sequence
    longer = _traced(run, _cut(x, axis, length + GROWTH), "on another length", max(most, 1))
    agreed = min(most, _agreed(whole.names, longer.names))
    axes = [_along(a, b) for a, b in zip(whole.shapes[:agreed], longer.shapes, strict=False)]
    unit = 1
    for stride in sorted({along[1] for along in axes if along}):
        if math.lcm(unit, stride) <= MOST_UNIT:
            unit = math.lcm(unit, stride)
    # as long as needed for a fair view, and with the rest that the whole length has
    tried = min(length, length % unit + unit * max(32, 8_192 // unit))
    letters = _letters(x, axis, tried, unit)
    wide, reaches = _probe(run, letters, whole.names, axes, unit, tried)
    if not reaches:
        raise NotLocal("nothing in it is local along the sequence")
    return View(whole, axes, reaches, axis, length, tried, wide)


def _words(name: str) -> list[str]:
    return name.replace(".", "_").split("_")


def _traced(run: Any, x: Any, words: str, most: int | None = None) -> Trace:
    try:
        return trace(run, x, most)
    except Exception as error:
        raise NotLocal(f"it can't be recorded {words}: {_line(error)}") from error


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def _agreed(first: list[str], second: list[str]) -> int:
    """Count the operations that two records begin with alike."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((k for k, (a, b) in pairs if a != b), min(len(first), len(second)))


def _cut(x: Any, axis: int, length: int) -> Any:
    """Return zeros of x's kind of another length; of an expanded zero, which takes no memory."""
    shape = [ROWS, *x.shape[1:]]
    shape[axis] = length
    return x.new_zeros(()).expand(shape)


def _along(shape: tuple[int, ...], longer: tuple[int, ...]) -> tuple[int, int] | None:
    """Return (axis, stride in bp) of a tensor's one axis that grows; None where there is none."""
    if len(shape) != len(longer):
        return None
    grown = [axis for axis, (a, b) in enumerate(zip(shape, longer, strict=True)) if a != b]
    if len(grown) != 1 or grown[0] == 0 or shape[0] != ROWS:
        return None
    more = longer[grown[0]] - shape[grown[0]]
    return (grown[0], GROWTH // more) if more > 0 and GROWTH % more == 0 else None


def _letters(x: Any, axis: int, length: int, unit: int) -> Any:
    """Make `ROWS` rows of that length, of the letters of x in random order.

    Row 1 is row 0 moved to the left by one unit; rows 2 to 5 have NaN in a unit in the middle, in
    the one three further, in the first and in the last.
    """
    import torch

    draw = torch.Generator().manual_seed(1)
    places = torch.randint(x.shape[axis], (length + unit,), generator=draw).to(x.device)
    row = x[:1].index_select(axis, places)
    rows = [row.narrow(axis, 0, length), row.narrow(axis, unit, length)] + [
        row.narrow(axis, 0, length)
    ] * (ROWS - 2)
    made = torch.cat(rows).clone()
    middle = length // unit // 2 * unit
    for k, first in enumerate((middle, middle + 3 * unit, 0, length - unit), start=2):
        made[k].narrow(axis - 1, max(first, 0), min(unit, length)).fill_(float("nan"))
    return made


def _probe(
    run: Any,
    letters: Any,
    names: list[str],
    axes: list[tuple[int, int] | None],
    unit: int,
    length: int,
) -> tuple[bool, dict[int, int]]:
    """Run the network on `letters`, in float64 where it can.

    Returns whether it could, and the reach in bp of each tensor that is local.
    """
    wide = widened(run)
    if wide is not None:
        try:
            return True, _run_probe(wide, letters.double(), names, axes, unit, length)
        except NotLocal:
            raise
        except Exception:  # it asks for float32 somewhere
            pass
    return False, _run_probe(run, letters, names, axes, unit, length)


def widened(run: Any) -> Any:
    """Return a copy of a network, or of the one whose method `run` is, in float64; else None."""
    import torch

    owner = getattr(run, "__self__", run)
    if any(torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda")):
        return None  # which leaves float64 as it is, and so is another network
    try:
        double = copy.deepcopy(owner).double()
    except Exception:
        return None
    return double if owner is run else getattr(double, run.__name__)


def _run_probe(
    run: Any,
    letters: Any,
    names: list[str],
    axes: list[tuple[int, int] | None],
    unit: int,
    length: int,
) -> dict[int, int]:
    """Record the network on `letters`, run the graph, and judge each tensor on its way."""
    import torch

    traced = _traced(run, letters, "on a stretch", max(len(axes), 1))
    numbers: dict[Any, list[int]] = {}
    for k, node in enumerate(traced.nodes[: min(len(axes), _agreed(names, traced.names))]):
        numbers.setdefault(node, []).append(k)
    reaches: dict[int, int] = {}
    touched: dict[Any, Any] = {}  # which rows of a node's value have NaN
    unknown: set[Any] = set()
    nothing, mixed = torch.zeros(ROWS, dtype=torch.bool), [False]

    class Look(torch.fx.Interpreter):
        """Runs the graph node by node."""

        def run_node(self, node: Any) -> Any:
            """Run a node, and judge its value."""
            value = super().run_node(node)
            before = [touched[n] for n in node.all_input_nodes]
            given = torch.stack(before).any(0) if before else nothing
            lost = any(n in unknown for n in node.all_input_nodes)
            touched[node] = given
            if not isinstance(value, torch.Tensor):
                if lost:
                    unknown.add(node)
                return value
            if "empty" in str(node.target):
                value.zero_()  # what stands in it by chance may be NaN
            rows = value.ndim > 1 and value.shape[0] == ROWS
            real = value.is_floating_point()
            if rows and real:
                touched[node] = value.flatten(1).isnan().any(1).cpu()
                mixed.append(bool((touched[node] & ~given)[:2].any()))
            lost |= bool(given[2:4].any()) and (
                not real
                or any(word in str(node.target) for word in _DROP_NAN)
                or bool((given & ~touched[node])[2:4].any())
            )
            if lost:
                unknown.add(node)
            elif rows and real:
                for k in numbers.get(node, ()):
                    reach = axes[k] and _reach(value, *axes[k], unit, length)
                    if reach is not None:
                        reaches[k] = reach
            return value

    output = next(iter(reversed(traced.module.graph.nodes)))
    output.args = ((),)  # so that values are let go of on the way
    with torch.no_grad():
        Look(traced.module).run(letters)
    if any(mixed):
        words = "the windows of a batch see one another in it"
        raise NotLocal(f"{words}, as by statistics over the batch")
    return reaches


def _reach(value: Any, axis: int, stride: int, unit: int, length: int) -> int | None:
    """Return how far bases reach in a tensor of the probe, bp; None where it isn't local.

    value: float (ROWS, ...) of `_letters`. axis, stride: along the sequence.
    """
    import torch

    if unit % stride:
        return None
    x = value.movedim(axis, 1).reshape(ROWS, value.shape[axis], -1)  # (rows, positions, numbers)
    nan = x.isnan().any(2).cpu()
    middle = length // unit // 2 * unit
    at = [row.nonzero().flatten().tolist() for row in nan]
    if not at[2] or at[2][0] == 0 or at[2][-1] == nan.shape[1] - 1:
        return None  # an end of the sequence hides how far it goes
    reach = max(0, middle - at[2][0] * stride, (at[2][-1] + 1) * stride - middle - unit)
    step = unit // stride
    if at[3] != [k + 3 * step for k in at[2]]:
        return None
    left, right = unit + reach, length - unit - reach
    if any(k * stride >= left for k in at[4]) or any((k + 1) * stride <= right for k in at[5]):
        return None  # it wraps around
    margin = -(-(reach + unit) // stride)
    still = x[0, step:][margin:-margin]
    moved = x[1, : x.shape[1] - step][margin:-margin]
    allowed = min(1e3 * torch.finfo(x.dtype).eps, 1e-2) * still.abs().max() if still.numel() else 0
    same = still.numel() and (still - moved).abs().max() <= allowed
    return reach if same else None


def _choose(view: View) -> Boundary:
    """Choose the boundary with the least work; NotLocal where none is worth its trouble."""
    whole, axes, judged = view.whole, view.axes, view.reaches
    source = next(node for node in whole.module.graph.nodes if node.op == "placeholder")
    number = {node: k for k, node in enumerate(whole.nodes)}
    total = sum(whole.costs)
    best: Boundary | None = None
    local: set[Any] = set()
    least = 0
    for last in sorted(judged):
        local.add(whole.nodes[last])
        after = needed_for(whole.outputs, local | {source})
        cut = {n for node in after for n in node.all_input_nodes if n in local}
        places = sorted(number[n] for n in cut | local.intersection(whole.outputs))
        if last not in places:
            continue
        before = {number[n] for n in needed_for([whole.nodes[k] for k in places], {source})
                  if n in number}  # fmt: skip
        unit = math.lcm(*(axes[k][1] for k in before if k < len(axes) and axes[k]))
        if unit > MOST_UNIT:
            continue
        reach = max(judged[k] for k in places)
        halo = -(-reach // unit)
        block = max(1, round(min(max(2 * reach, 512), 4096, view.length // 4) / unit))
        bases = (block + 2 * halo) * unit
        share = bases / (block * unit) * min(1.0, bases / DISTINCT)
        work = share * sum(whole.costs[k] for k in before)
        work += sum(whole.costs[number[n]] for n in after if n in number)
        kept = sum(math.prod(whole.shapes[k]) for k in places)
        work += 40 * kept  # laid together from memory
        gain = 1.0 if kept <= least else LEAST_GAIN
        if best is None or total / work > gain * best.saving:
            least = kept
            chosen = tuple(Place(k, *axes[k]) for k in places)
            names = tuple(whole.names[: last + 1])
            best = Boundary(
                view.axis, unit, halo, block, chosen, total / work, names, view.wide, view.tried
            )
    if best is None or best.saving < LEAST_SAVING:
        words = "no boundary" if best is None else f"the best saves {best.saving:.2f} times"
        raise NotLocal(f"{words}: too much of it reads the whole sequence")
    return best
