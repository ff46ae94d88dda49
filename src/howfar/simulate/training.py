"""What the trainings of both settings share: optimiser, checkpoints, files of weights."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.core import sealed
from howfar.core.atomic import whole
from howfar.core.errors import damaged_file, no_such_file
from howfar.models.engine.memory import keep_freed

#: Files of a simulated world that a training reads; nothing about people.
INPUTS = ("reference.fa", "promoters.csv", "genes.csv", "grammar.json")


def read_reference(folder: Path) -> tuple[dict[str, np.ndarray], pd.DataFrame, pd.DataFrame]:
    """Read a simulated reference: contigs (uint8 ASCII), promoters and genes.

    HowfarError where one of `INPUTS` isn't there.
    """
    import pysam

    for name in INPUTS:
        if not (folder / name).is_file():
            do = "Run `howfar simulate` first."
            raise no_such_file(folder / name, "a simulated demo cohort", do)
    with pysam.FastaFile(str(folder / "reference.fa")) as fasta:
        contigs = {c: np.frombuffer(fasta.fetch(c).encode(), np.uint8) for c in fasta.references}
    promoters = pd.read_csv(folder / "promoters.csv", keep_default_na=False)
    return contigs, promoters, pd.read_csv(folder / "genes.csv")


@contextmanager
def reproducible(threads: int) -> Iterator[None]:
    """Let torch work on so many threads and by deterministic algorithms; then as before."""
    import torch

    keep_freed()
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # Nothing reads memory before it is written; filling it takes a tenth of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        torch.utils.deterministic.fill_uninitialized_memory = filled


def optimiser(
    parameters: Sequence[Any],
    steps: int,
    *,
    rate: float,
    weight_decay: float,
    warm_up: float = 0.1,
    floor: float = 0.0,
) -> tuple[Any, Any]:
    """AdamW with a schedule over `steps`: a linear warm-up, then a cosine down to `floor`."""
    import torch

    made = torch.optim.AdamW(parameters, lr=rate, weight_decay=weight_decay, betas=(0.9, 0.98))
    warm = max(1, int(steps * warm_up))

    def share(step: int) -> float:
        """Return the share of the learning rate at a step."""
        down = 0.5 * (1 + math.cos(math.pi * max(0, step - warm) / max(1, steps - warm)))
        return min((step + 1) / warm, floor + (1 - floor) * down)

    return made, torch.optim.lr_scheduler.LambdaLR(made, share)


def step(loss: Any, made: Any, schedule: Any, parts: Sequence[Any], clip: float) -> None:
    """Take one step down the gradient of `loss`, clipped over the parameters of `parts`."""
    import torch

    made.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for part in parts for p in part.parameters()], clip)
    made.step()
    schedule.step()


def inverse_softplus(mean: np.ndarray) -> Any:
    """Return the bias (float32 tensor) at which a head's output has that mean."""
    import torch

    return torch.from_numpy(np.log(np.expm1(mean + 1e-3))).float()


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint whole or not at all."""
    import torch

    with whole(path) as part:
        torch.save(content, part)
        sealed.seal_archive(part)


def read_checkpoint(path: Path, made_of: dict[str, Any]) -> dict[str, Any] | None:
    """Read the checkpoint made of the same world, recipe and seed; None if there is none.

    HowfarError for a damaged file.
    """
    import torch

    if not path.is_file():
        return None
    sealed.check(path)
    try:
        kept = torch.load(path, weights_only=True)
        sealed.require(path)
    except (EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        do = "Delete the file; the training then begins anew."
        expected = "the state of a training that was cut off"
        raise damaged_file(path, type(error).__name__, expected, do) from error
    return kept if kept["made_of"] == made_of else None


def write_weights(folder: Path, network: Any, config: dict[str, Any]) -> None:
    """Write weights.safetensors and config.json, as `models.zoo.demo_enformer` reads them."""
    from safetensors.torch import save_file

    tensors = {  # `_trunk` holds the same modules once more
        name: tensor.clone().contiguous()
        for name, tensor in network.state_dict().items()
        if not name.startswith("_trunk.")
    }
    with whole(folder / "weights.safetensors") as part:
        save_file(tensors, part, {sealed.KEY: sealed.BLANK})
        sealed.seal(part)
    sealed.write_json(folder / "config.json", config)
