"""A PyTorch network as a graph of single operations, recorded without computing anything.

`trace` runs a network on tensors that have a shape and no values (`torch.fx`'s fake tensors), in a
form without operations in place, and records each operation's result. A branch that depends on
values can't be taken so, and is an error; an operation that doesn't fit another length of sequence
ends the record, and what came before it stays.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_LOGGERS = ("_subclasses.fake_tensor", "__trace")


class _Enough(Exception):
    """All operations that were asked for are recorded."""


@dataclass(frozen=True)
class Trace:
    """Operations of one run, in order.

    module: the graph, called with the input. names, shapes, strides, costs: of each recorded
    tensor;
    cost: operations by multiplication and addition, and 20 for each number made. nodes: the
    graph's nodes of recorded tensors, None where a tensor doesn't depend on the graph; outputs:
    those of the network's results, whose structure is `spec`. error: what ended the run early.
    random: an operation that draws random numbers, "" where there is none.
    """

    module: Any
    names: list[str]
    shapes: list[tuple[int, ...]]
    strides: list[tuple[int, ...]]
    costs: list[float]
    nodes: list[Any]
    outputs: list[Any]
    spec: Any
    error: Exception | None
    random: str


def trace(run: Callable[[Any], Any], x: Any, most: int | None = None) -> Trace:
    """Record `run` on a tensor such as x, whose values don't matter; at most `most` tensors.

    Raises what the network raises before its first operation, and what tracing itself raises.
    """
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.utils._pytree import tree_flatten

    record = _recorder(most)
    found: dict[str, Any] = {"error": None}

    def recorded(x: Any) -> tuple[list[Any], list[Any]]:
        """Run the network while its operations are recorded."""
        out: Any = ()
        with record:
            try:
                out = torch.func.functionalize(run)(x)
            except _Enough:
                pass
            except Exception as error:
                found["error"] = error
        leaves, found["spec"] = tree_flatten(out)
        return leaves, record.seen

    with _quiet(), torch.inference_mode(False), torch.no_grad():
        # a new tensor: one made in inference mode hides operations
        x = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=x.device)
        module = make_fx(recorded, tracing_mode="fake", _allow_non_fake_inputs=True)(x)
    output = next(iter(reversed(module.graph.nodes)))
    results, seen = output.args[0]
    shapes = [tuple(map(int, tensor.shape)) for tensor in record.seen]
    strides = [tuple(map(int, tensor.stride())) for tensor in record.seen]
    made = (record.names, shapes, strides, record.costs, seen, results, found["spec"])
    return Trace(module, *made, found["error"], record.random)


def _recorder(most: int | None) -> Any:
    from torch import Tag, Tensor
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.flop_counter import flop_registry

    class Recorder(TorchDispatchMode):
        """Keeps the tensors that operations give."""

        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Any] = []
            self.names: list[str] = []
            self.costs: list[float] = []
            self.random = ""

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):  # type: ignore[no-untyped-def]
            """Run one operation and keep what it gives."""
            out = func(*args, **(kwargs or {}))
            tensors = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
            count = flop_registry.get(func.overloadpacket)
            work = float(count(*args, **(kwargs or {}), out_val=out)) if count else 0.0
            if Tag.nondeterministic_seeded in func.tags and "attention" not in str(func):
                self.random = str(func)
            each = 0 if func.is_view else 20
            for tensor in tensors:
                self.seen.append(tensor)
                self.names.append(str(func))
                self.costs.append(work + each * tensor.numel())
                work = 0.0
                if most is not None and len(self.seen) >= most:
                    raise _Enough
            return out

    return Recorder()


@contextmanager
def _quiet() -> Any:
    """Keep PyTorch from logging each step, and operations that don't fit, which are expected."""
    loggers = [logging.getLogger(f"torch.{name}") for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def graph_of(traced: Trace, inputs: list[Any], outputs: list[Any]) -> Any:
    """Return the part of a traced graph from nodes `inputs` to nodes `outputs`, as a function.

    It is called with the values of `inputs`, and returns a list; outputs that aren't nodes are
    returned as they are.
    """
    from torch.fx import Graph, GraphModule, Node

    graph = Graph()
    values = {node: graph.placeholder(f"given_{k}") for k, node in enumerate(inputs)}
    needed = needed_for(outputs, set(inputs))
    for node in traced.module.graph.nodes:
        if node in needed:
            values[node] = graph.node_copy(node, values.__getitem__)
    graph.output([values[o] if isinstance(o, Node) else o for o in outputs])
    return GraphModule(traced.module, graph)


def needed_for(outputs: list[Any], known: set[Any]) -> set[Any]:
    """Return the nodes that `outputs` depend on, without those in `known` and what is before."""
    from torch.fx import Node

    needed: set[Any] = set()
    waiting = [node for node in outputs if isinstance(node, Node)]
    while waiting:
        node = waiting.pop()
        if node not in needed and node not in known:
            needed.add(node)
            waiting.extend(node.all_input_nodes)
    return needed
