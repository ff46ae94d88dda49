"""Train the demo model: a small Enformer that sees the reference and its tracks, never people.

The architecture is Enformer's (Avsec et al. 2021, Nature Methods 18:1196) by
``enformer_pytorch``, 8,192 bp in and bins of 32 bp out. Windows tile the training contigs, with
a random start and strand in each epoch. The loss is Poisson, as Enformer's.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import HowfarError
from ..models.base import encoding_table, reverse_complement
from ..models.enformer import build_network
from . import genome, grammar

CONTEXT, BIN = 8_192, 32
TRACKS = [f"ChIP:F{i + 1:02d}" for i in range(grammar.FACTORS)]
TRACKS += ["promoter mark", "CAGE:cell type A", "CAGE:cell type B"]
HPARAMS = {
    "dim": 48,
    "depth": 2,
    "heads": 4,
    "attn_dim_key": 32,
    "num_downsamples": 5,
    "dim_divisible_by": 4,
    "target_length": -1,
    "dropout_rate": 0.1,
    "attn_dropout": 0.0,
    "pos_dropout": 0.0,
    "output_heads": {"human": len(TRACKS)},
    "use_tf_gamma": False,
}


@dataclass(frozen=True)
class Recipe:
    """How the model is trained."""

    epochs: int = 10
    batch: int = 2
    peak_rate: float = 3e-3
    weight_decay: float = 0.01
    warm_up: float = 0.1
    clip: float = 1.0
    cage_weight: float = 8.0


@dataclass(frozen=True)
class World:
    """The simulated reference: contigs (uint8 ASCII), promoters, genes and the grammar."""

    contigs: dict[str, np.ndarray]
    promoters: pd.DataFrame
    genes: pd.DataFrame
    grammar: grammar.Grammar


def read_world(folder: str | Path) -> World:
    """The reference part of a simulated world; nothing about people is read."""
    import pysam

    folder = Path(folder)
    for name in ("reference.fa", "promoters.csv", "genes.csv", "grammar.json"):
        if not (folder / name).is_file():
            raise HowfarError(
                str(folder / name),
                found="no such file",
                expected="a simulated demo cohort",
                do="Run `howfar simulate` first.",
            )
    with pysam.FastaFile(str(folder / "reference.fa")) as fasta:
        contigs = {
            name: np.frombuffer(fasta.fetch(name).encode(), np.uint8) for name in fasta.references
        }
    return World(
        contigs,
        pd.read_csv(folder / "promoters.csv", keep_default_na=False),
        pd.read_csv(folder / "genes.csv"),
        grammar.load(folder / "grammar.json"),
    )


# --- tracks -------------------------------------------------------------------------------------


def tracks_of(world: World, chrom: str, start: int) -> np.ndarray:
    """float32 (bins, tracks) of the window that begins at 0-based `start` of a contig.

    ChIP: 4 x summed occupancy. Promoter mark: 1 within 192 bp of a TSS. CAGE: 10 x expression
    in the bin of the TSS.
    """
    bins = CONTEXT // BIN
    out = np.zeros((bins, len(TRACKS)), np.float32)
    window = world.contigs[chrom][None, start : start + CONTEXT]
    found = grammar.sites(window, world.grammar)
    factor = found.motif < grammar.FACTORS
    place = (found.middle[factor] // BIN, found.motif[factor])
    np.add.at(out, place, 4 * found.occupancy[factor] / grammar.UNIT)
    here = world.promoters[world.promoters["chrom"] == chrom]
    tss = here["tss"].to_numpy() - 1 - start
    near = (tss > -200) & (tss < CONTEXT + 200)
    for at, log_a, log_b in zip(tss[near], here["log_a"][near], here["log_b"][near], strict=True):
        low, high = max(0, (at - 192) // BIN), max(0, (at + 192) // BIN + 1)
        out[low:high, grammar.FACTORS] = 1
        if 0 <= at < CONTEXT:
            out[at // BIN, grammar.FACTORS + 1 :] += 10 * np.exp([log_a, log_b])
    return out


def tiles(world: World, split: str, rng: np.random.Generator | None) -> list[tuple[str, int]]:
    """Starts of windows that tile the contigs of a split, moved by one offset per contig."""
    out = []
    for chrom, bases in world.contigs.items():
        if genome.split_of(chrom) != split:
            continue
        spare = len(bases) - CONTEXT
        offset = int(rng.integers(0, min(CONTEXT, spare + 1))) if rng is not None else 0
        out += [(chrom, start) for start in range(offset, spare + 1, CONTEXT)]
    return out


def _batch(world: World, places: list[tuple[str, int]], flip: np.ndarray):
    import torch

    windows = np.stack([world.contigs[c][s : s + CONTEXT] for c, s in places])
    targets = np.stack([tracks_of(world, c, s) for c, s in places])
    windows[flip] = reverse_complement(windows[flip])
    targets[flip] = targets[flip][:, ::-1]
    return torch.from_numpy(encoding_table()[windows]), torch.from_numpy(targets)


# --- training -----------------------------------------------------------------------------------


def train(
    world_folder: str | Path,
    weights_folder: str | Path,
    seed: int = 1,
    recipe: Recipe | None = None,
    threads: int = 2,
    say: Callable[[str], None] = print,
) -> None:
    """Train on the reference of `world_folder`; write weights.safetensors and config.json.

    Each epoch ends in a checkpoint; a run that was killed goes on from the last one and ends in
    the same bytes. Raises HowfarError where the world is missing.
    """
    import torch

    recipe = recipe or Recipe()
    world, folder = read_world(world_folder), Path(weights_folder)
    folder.mkdir(parents=True, exist_ok=True)
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng(devices=[]):
            state = _State(world, recipe, seed)
            state.resume(folder / "checkpoint.pt")
            while state.epoch < recipe.epochs:
                say(state.run_epoch())
                state.save(folder / "checkpoint.pt")
            _write_weights(folder, state, seed)
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])


class _State:
    """Everything that training goes on from."""

    def __init__(self, world: World, recipe: Recipe, seed: int) -> None:
        import torch

        torch.manual_seed(seed)
        self.world, self.recipe, self.seed = world, recipe, seed
        self.network = build_network(HPARAMS)
        self.steps = len(tiles(world, "train", np.random.default_rng(0))) // recipe.batch + 1
        self._start_heads()
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=recipe.peak_rate,
            weight_decay=recipe.weight_decay,
            betas=(0.9, 0.98),
        )
        total = self.steps * recipe.epochs
        warm = max(1, int(total * recipe.warm_up))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser,
            lambda step: min(
                (step + 1) / warm,
                0.5 * (1 + np.cos(np.pi * max(0, step - warm) / max(1, total - warm))),
            ),
        )
        self.epoch, self.log = 0, []

    def _start_heads(self) -> None:
        """Head biases at the inverse softplus of each track's mean."""
        import torch

        places = tiles(self.world, "train", None)[:60]
        mean = np.mean([tracks_of(self.world, *p).mean(axis=0) for p in places], axis=0) + 1e-3
        with torch.no_grad():
            bias = torch.from_numpy(np.log(np.expm1(mean))).float()
            self.network.heads["human"][0].bias.copy_(bias)

    def run_epoch(self) -> str:
        """One pass over the tiled training contigs; returns the line to report."""
        import torch

        rng = np.random.default_rng([self.seed, self.epoch])
        torch.manual_seed(self.seed * 1_000 + self.epoch)
        places = tiles(self.world, "train", rng)
        order = rng.permutation(len(places))
        flips = rng.random(len(places)) < 0.5
        self.network.train()
        start, losses = time.perf_counter(), []
        for first in range(0, len(order) - self.recipe.batch + 1, self.recipe.batch):
            chosen = order[first : first + self.recipe.batch]
            losses.append(self._step([places[i] for i in chosen], flips[chosen]))
        self.epoch += 1
        self.log.append(float(np.mean(losses)))
        seconds = time.perf_counter() - start
        left = seconds * (self.recipe.epochs - self.epoch)
        return (
            f"epoch {self.epoch}/{self.recipe.epochs}: loss {self.log[-1]:.4f}, "
            f"{len(places) / seconds:.1f} windows/s, {left:.0f} s left"
        )

    def _step(self, places: list[tuple[str, int]], flip: np.ndarray) -> float:
        import torch

        x, target = _batch(self.world, places, flip)
        loss = _loss(self.network(x, head="human"), target, self.recipe)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimiser.step()
        self.schedule.step()
        return loss.item()

    def save(self, path: Path) -> None:
        """Write the checkpoint whole or not at all."""
        import torch

        part = path.with_suffix(f".{os.getpid()}.part")
        torch.save(self._content(), part)
        os.replace(part, path)

    def _content(self) -> dict:
        return {
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "epoch": self.epoch,
            "log": self.log,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of the same recipe and seed, if there is one."""
        import torch

        if not path.is_file():
            return
        kept = torch.load(path, weights_only=True)
        if kept["recipe"] != asdict(self.recipe) or kept["seed"] != self.seed:
            return
        self.network.load_state_dict(kept["network"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.schedule.load_state_dict(kept["schedule"])
        self.epoch, self.log = kept["epoch"], kept["log"]


def _loss(predicted, target, recipe: Recipe):
    """Poisson loss per bin, the CAGE tracks weighted up: they fill one bin of 256."""
    import torch

    weight = torch.ones(predicted.shape[-1])
    weight[grammar.FACTORS + 1 :] = recipe.cage_weight
    point = predicted - target * torch.log(predicted + 1e-6)
    return (point * weight).mean()


def _write_weights(folder: Path, state: _State, seed: int) -> None:
    from safetensors.torch import save_file

    tensors = {k: v.contiguous() for k, v in state.network.state_dict().items()}
    part = folder / "weights.part"
    save_file(tensors, part)
    os.replace(part, folder / "weights.safetensors")
    regions = state.world.genes.set_index("gene_id")["split"].to_dict()
    config = {
        "model": "demo-enformer",
        "hparams": HPARAMS,
        "context": CONTEXT,
        "bin_size": BIN,
        "tracks": TRACKS,
        "units": "simulated CAGE per bin, linear (10 x expression in the bin of the TSS)",
        "regions": regions,
        "seed": seed,
        "recipe": asdict(state.recipe),
        "loss": state.log,
    }
    part = folder / "config.part"
    part.write_text(json.dumps(config, indent=1) + "\n")
    os.replace(part, folder / "config.json")
