"""How fast saturation mutagenesis is: ours, plain, and tangermeme's, on one network in one process.

Beluga at the published widths with random weights. The ways do the same positions in turns, in CPU
time of the process, so that other work on the machine doesn't count; the change of every output by
every substitution is compared with that of the plain way.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from howfar.core.extras import require_module
from howfar.models.base import Layout, encoding_table
from howfar.models.engine.options import numbered_tracks
from howfar.models.zoo.beluga import WIDTHS, WINDOW, BelugaModel, make_network

PLAIN, OURS = "plain batches", "howfar"
TANGERMEME = {"tangermeme, fast=False": False, "tangermeme, fast=True": True}
_BATCH = 32


class Untrained(BelugaModel):
    """Beluga with random weights, of the forward strand alone."""

    weights_sha256 = "0" * 64

    def __init__(self, widths: dict[str, int] = WIDTHS, double: bool = False) -> None:
        """Make the network. widths: see `make_network`. double: in float64."""
        import torch

        network = make_network(widths).to_empty(device="cpu")
        draw = torch.Generator().manual_seed(1)
        for module in network.modules():
            if hasattr(module, "weight"):
                inputs = module.weight[0].numel()
                # Few units are active, so that a base counts, as in a network that was trained.
                module.weight.data.normal_(0, 1.5 * (2 / inputs) ** 0.5, generator=draw)
                module.bias.data.normal_(-0.7, 0.1, generator=draw)
        self.windows, self._turns, self._known_letters = 1, (False,), b"ACGTN"
        self.layout = Layout(WINDOW, 200, 1)
        self.tracks = numbered_tracks("output", list(widths.values())[-1])
        table = encoding_table().astype(np.float64 if double else np.float32)
        self._ready(network.double() if double else network, "cpu", _BATCH, table)


def as_modules(model: BelugaModel) -> Any:
    """Write the network as others would: layers of PyTorch from one-hot A, C, G, T."""
    from torch import nn

    steps: list[Any] = []
    body, head = model.network["model"]["0"], model.network["model"]["1"]
    for place, module in enumerate(body.values()):
        outputs, inputs, _, width = module.weight.shape
        one = nn.Conv1d(inputs, outputs, width).to(module.weight.dtype)
        weight = module.weight.detach()[:, :, 0]
        one.weight.data = weight if place else weight[:, [0, 2, 1, 3]]  # from A, G, C, T
        one.bias.data = module.bias.detach()
        steps += [one, nn.ReLU(), *[nn.MaxPool1d(4)] * (place in (1, 3))]
    hidden, last = (part["1"] for part in head.values())
    return nn.Sequential(*steps, nn.Flatten(), hidden, nn.ReLU(), last, nn.Sigmoid()).eval()


def measure(
    positions: int = 200,
    *,
    threads: int = 1,
    rounds: int = 2,
    double: bool = False,
    widths: dict[str, int] = WIDTHS,
) -> pd.DataFrame:
    """Time each way on all substitutions of so many positions in the middle of a window.

    Columns: way, precision, threads, positions, substitutions, ms (CPU, of one substitution, the
    best round; preparation within), times (as fast as plain), largest (difference from plain, as a
    share of the largest effect), date, torch, tangermeme, machine.
    """
    import torch

    require_module("tangermeme")
    import tangermeme

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        model = Untrained(widths, double)
        ways = _ways(model, positions)
        seconds = {name: [] for name in ways}
        values: dict[str, np.ndarray] = {}
        for _ in range(rounds):
            for name, way in ways.items():
                start = time.process_time()
                values[name] = way()
                seconds[name].append(time.process_time() - start)
    finally:
        torch.set_num_threads(before)
    rows = []
    effect = np.abs(values[PLAIN]).max()
    for name, taken in seconds.items():
        off = np.abs(values[name] - values[PLAIN]).max() / effect
        rows.append(
            (name, 1e3 * min(taken) / (3 * positions), min(seconds[PLAIN]) / min(taken), off)
        )
    table = pd.DataFrame(rows, columns=["way", "ms", "times", "largest"])
    table.insert(1, "precision", "float64" if double else "float32")
    table.insert(2, "threads", threads)
    table.insert(3, "substitutions", 3 * positions)
    return table.assign(
        date=datetime.now(UTC).date().isoformat(),
        torch=torch.__version__.split("+")[0],
        tangermeme=tangermeme.__version__,
        machine=f"{os.cpu_count()} cores",
    )


def _ways(model: Untrained, positions: int) -> dict[str, Callable[[], np.ndarray]]:
    """Each way: from nothing to effects (positions, 4, outputs), 4 for A, C, G, T."""
    import torch
    from tangermeme.saturation_mutagenesis import saturation_mutagenesis

    bytes_of = np.frombuffer(b"ACGT", np.uint8)
    window = np.random.default_rng(1).choice(bytes_of, WINDOW)
    first = (WINDOW - positions) // 2
    stop = first + positions
    other = window[first:stop, None] != bytes_of
    place, letter = other.nonzero()
    modules, kind = as_modules(model), model._table.dtype
    one_hot = torch.from_numpy(window[:, None] == bytes_of).T[None].to(kind)
    outputs = list(range(len(model.tracks)))

    def laid_out(changed: np.ndarray) -> np.ndarray:
        """Of values of the window as it is and of its substitutions."""
        effects = np.zeros((*other.shape, len(outputs)))
        effects[other] = changed[1:] - changed[0].astype(float)
        return effects

    def plain() -> np.ndarray:
        """Compute each substitution's window whole, in batches."""
        with torch.inference_mode():
            # In a batch of the same size: rounding then is that of the mutants.
            parts = [modules(one_hot.repeat(_BATCH, 1, 1))[:1]]
            for rows in np.array_split(np.arange(len(place)), -(-len(place) // _BATCH)):
                x = one_hot.repeat(len(rows), 1, 1)
                at = torch.from_numpy(first + place[rows])
                x[torch.arange(len(rows)), :, at] = torch.eye(4, dtype=kind)[letter[rows]]
                parts.append(modules(x))
        return laid_out(torch.cat(parts).numpy())

    def ours() -> np.ndarray:
        """Compute what each substitution changes, by howfar."""
        at, to = np.r_[first, first + place], np.r_[-1, letter]
        found = model.predict_substitutions(window, at, to, [0], outputs)
        return laid_out(np.concatenate(list(found))[:, 0])

    def theirs(fast: bool) -> np.ndarray:
        """Compute them by tangermeme, by its fast path or without."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # where its fast path is given up
            found = saturation_mutagenesis(
                modules,
                one_hot,
                start=first,
                end=stop,
                batch_size=_BATCH,
                raw_outputs=True,
                device="cpu",
                fast=fast,
                dtype=kind,
            )
        return found.y_hat[0].transpose(0, 1).double().numpy() - found.y0[0].double().numpy()

    named = {name: partial(theirs, fast) for name, fast in TANGERMEME.items()}
    return {PLAIN: plain, **named, OURS: ours}
