"""What was tried to make a tower's arithmetic on a CPU faster, with what each way costs in error.

A reduced Enformer's tower on one stretch, CPU seconds on one thread; errors are of the network's
value, over the standard deviation between haplotypes.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from howfar.bench.clock import cpu_seconds
from howfar.bench.inference import QUICK, lively
from howfar.models.base import encoding_table
from howfar.models.engine.enformer_network import gelu, split, tower
from howfar.models.engine.memory import keep_freed

_PEOPLE = 6


def measure(
    context: int = 32_768, repeats: int = 3, compiled: bool = True, sizes: dict | None = None
) -> pd.DataFrame:
    """Measure the ways; a row for each: way, prepare_s, seconds, gain, error_sd.

    context: bp of the stretch. compiled: also by `torch.compile`, which needs a C++ compiler and
    the better part of a minute.
    """
    import torch

    keep_freed()
    network = lively(sizes or QUICK, context)
    draw = np.random.default_rng(1)
    letters = np.frombuffer(b"ACGT", np.uint8)
    rows = np.tile(letters[draw.integers(0, 4, context)], (_PEOPLE, 1))
    for row in rows:
        row[draw.integers(0, context, 20)] = letters[draw.integers(0, 4, 20)]
    one_hot = torch.from_numpy(encoding_table()[rows])
    linear, positive = network.heads["human"]
    after = split(network, lambda x, tracks: positive(linear(x)[..., :1])).after
    found, truth = [], None
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for way, make in WAYS.items():
            if way == COMPILED and not compiled:
                continue
            begun = time.process_time()
            run, half = make(network)
            with torch.inference_mode():
                with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
                    run(one_hot[:1])
                    preparing = time.process_time() - begun
                    seconds, _ = cpu_seconds(lambda: run(one_hot[:1]), repeats)  # noqa: B023
                    features = torch.cat([run(part) for part in one_hot.split(1)])
                values = after(features.float(), [context // 256], None)[:, 0, 0].double().numpy()
            truth = values if truth is None else truth
            error = float(np.abs(values - truth).max() / truth.std())
            found.append((way, preparing, seconds, found[0][2] / seconds if found else 1.0, error))
    finally:
        torch.set_num_threads(threads)
    table = pd.DataFrame(found, columns=["way", "prepare_s", "seconds", "gain", "error_sd"])
    about = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": f"{os.cpu_count()} cores"}
    return table.assign(context=context, **about, torch=torch.__version__)


def _with_gelu(network: Any, make: Callable[[], Any]) -> Any:
    """Return a copy of a network with another GELU in its tower."""
    made = copy.deepcopy(network)
    for module in [*made.stem.modules(), *made.conv_tower.modules()]:
        for name, child in list(module.named_children()):
            if type(child).__name__ == type(gelu()).__name__:
                setattr(module, name, make())
    return made


def _theirs(network: Any) -> tuple[Callable[[Any], Any], bool]:
    from enformer_pytorch.modeling_enformer import GELU

    made = _with_gelu(network, GELU)
    return lambda x: tower(made, x), False


def _ours(network: Any) -> tuple[Callable[[Any], Any], bool]:
    return lambda x: tower(network, x), False


def _folded(network: Any) -> tuple[Callable[[Any], Any], bool]:
    """Batch norm times 1.702, SiLU in one pass, the convolution over 1.702."""
    import torch

    made = _with_gelu(network, lambda: torch.nn.SiLU(inplace=True))
    for module in [*made.stem.modules(), *made.conv_tower.modules()]:
        parts = list(module.children())
        if len(parts) == 3 and isinstance(parts[1], torch.nn.SiLU):
            norm, _, convolution = parts
            norm.weight.data *= 1.702
            norm.bias.data *= 1.702
            convolution.weight.data /= 1.702
    return lambda x: tower(made, x), False


def _bfloat16(network: Any) -> tuple[Callable[[Any], Any], bool]:
    return _theirs(network)[0], True


def _compiled(network: Any) -> tuple[Callable[[Any], Any], bool]:
    import torch

    return torch.compile(_theirs(network)[0]), False


COMPILED = "compiled by torch.compile"
WAYS: dict[str, Callable[[Any], tuple[Callable[[Any], Any], bool]]] = {
    "GELU as enformer-pytorch has it": _theirs,
    "GELU in place (howfar's)": _ours,
    "GELU's factor folded into batch norm, SiLU": _folded,
    "bfloat16": _bfloat16,
    COMPILED: _compiled,
}
