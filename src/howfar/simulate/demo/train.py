"""Train the demo model: a small Enformer that sees the reference and its tracks, never people.

The architecture is Enformer's (Avsec et al. 2021, Nature Methods 18:1196) by
``enformer_pytorch``, 8,192 bp in and bins of 32 bp out. Windows tile the training contigs, with
a random start and strand in each epoch. The loss is Poisson, as Enformer's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.core.provenance import sha256_of
from howfar.models.base import encoding_table, reverse_complement
from howfar.models.engine.enformer_network import build_network
from howfar.simulate import training
from howfar.simulate.demo import genome, grammar

CONTEXT, BIN = 8_192, 32
TRACKS = [f"ChIP:F{i + 1:02d}" for i in range(grammar.FACTORS)]
TRACKS += ["acetylation:cell type A", "acetylation:cell type B", "promoter mark"]
TRACKS += ["CAGE:cell type A", "CAGE:cell type B"]
ACETYLATION, MARK, CAGE = slice(12, 14), 14, slice(15, 17)
MIDDLE = grammar.WIDTH // 2  # the base of a site that says in which bin it lies
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
    """How the model is trained.

    `cage_weight`: weight of the CAGE tracks in the Poisson loss. `level_weight`: weight of the
    squared error of log CAGE in the bins of the TSSs, switched on over a tenth of the steps
    from the share `level_from` of them, when the factors' motifs have been learnt.
    """

    epochs: int = 8
    batch: int = 2
    peak_rate: float = 5e-3
    weight_decay: float = 0.01
    warm_up: float = 0.1
    clip: float = 10.0
    cage_weight: float = 0.1
    level_weight: float = 0.1
    level_from: float = 0.4


@dataclass(frozen=True)
class World:
    """The simulated reference: contigs (uint8 ASCII), promoters, genes and the grammar."""

    contigs: dict[str, np.ndarray]
    promoters: pd.DataFrame
    genes: pd.DataFrame
    grammar: grammar.Grammar


def read_world(folder: str | Path) -> World:
    """Read the reference part of a simulated world; nothing about people is read."""
    folder = Path(folder)
    return World(*training.read_reference(folder), grammar.load(folder / "grammar.json"))


# --- tracks -------------------------------------------------------------------------------------


class Tracks:
    """The simulated tracks of a world, read window by window.

    ChIP: 4 x summed occupancy. Acetylation: 4 x exp(0.75 z) at each bin, with z the standardised
    sum of the sites' effects within 320 bp, whether or not there is a promoter. Promoter mark: 1
    within 192 bp of a TSS. CAGE: 10 x expression in the bin of the TSS.
    """

    def __init__(self, world: World) -> None:
        self._sites, self._sums = {}, {}
        for chrom, bases in world.contigs.items():
            found = grammar.sites(bases[None], world.grammar)
            effect = grammar.site_effects(found, world.grammar)
            effect[:, found.motif >= grammar.FACTORS] = 0
            self._sites[chrom] = found
            self._sums[chrom] = np.pad(np.cumsum(effect, axis=1), ((0, 0), (1, 0)))
        self._promoters = dict(list(world.promoters.groupby("chrom")))
        every = np.concatenate(
            [self._local(chrom, np.arange(0, len(b), 320)) for chrom, b in world.contigs.items()],
            axis=1,
        )
        self._centre, self._scale = every.mean(axis=1), every.std(axis=1)

    def _local(self, chrom: str, places: np.ndarray) -> np.ndarray:
        """(cell types, places): sum of the sites' effects within 320 bp of each place."""
        starts, reach = self._sites[chrom].start, grammar.PROXIMAL
        low, high = (np.searchsorted(starts, places + move) for move in (-reach, reach))
        return self._sums[chrom][:, high] - self._sums[chrom][:, low]

    def window(self, chrom: str, start: int) -> np.ndarray:
        """Return float32 (bins, tracks) of the window at 0-based `start` of a contig."""
        out = np.zeros((CONTEXT // BIN, len(TRACKS)), np.float32)
        found = self._sites[chrom]
        low, high = np.searchsorted(found.start, [start - MIDDLE, start + CONTEXT - MIDDLE])
        motif = found.motif[low:high]
        factor = motif < grammar.FACTORS
        bins = (found.start[low:high] + MIDDLE - start) // BIN
        occupancy = found.occupancy[low:high] / grammar.UNIT
        np.add.at(out, (bins[factor], motif[factor]), 4 * occupancy[factor])
        local = self._local(chrom, start + BIN // 2 + BIN * np.arange(len(out)))
        z = (local.T - self._centre) / self._scale
        out[:, ACETYLATION] = 4 * np.exp(0.75 * np.minimum(z, 4))
        self._add_promoters(out, self._promoters[chrom], start)
        return out

    def _add_promoters(self, out: np.ndarray, promoters: pd.DataFrame, start: int) -> None:
        tss = promoters["tss"].to_numpy() - 1 - start
        levels = np.exp(promoters[["log_a", "log_b"]].to_numpy())
        for i in np.nonzero((tss > -200) & (tss < CONTEXT + 200))[0]:
            low, high = max(0, (tss[i] - 192) // BIN), max(0, (tss[i] + 192) // BIN + 1)
            out[low:high, MARK] = 1
            if 0 <= tss[i] < CONTEXT:
                out[tss[i] // BIN, CAGE] += 10 * levels[i]


def tiles(world: World, split: str, rng: np.random.Generator | None) -> list[tuple[str, int]]:
    """Start windows that tile the contigs of a split, moved by one offset per contig."""
    out = []
    for chrom, bases in world.contigs.items():
        if genome.split_of(chrom) != split:
            continue
        spare = len(bases) - CONTEXT
        offset = int(rng.integers(0, min(CONTEXT, spare + 1))) if rng is not None else 0
        out += [(chrom, start) for start in range(offset, spare + 1, CONTEXT)]
    return out


def _batch(world: World, tracks: Tracks, places: list[tuple[str, int]], flip: np.ndarray):
    import torch

    windows = np.stack([world.contigs[c][s : s + CONTEXT] for c, s in places])
    targets = np.stack([tracks.window(c, s) for c, s in places])
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
    inputs = {name: sha256_of(Path(world_folder) / name) for name in training.INPUTS}
    folder.mkdir(parents=True, exist_ok=True)
    with training.reproducible(threads), torch.random.fork_rng(devices=[]):
        state = _State(world, recipe, seed, inputs)
        state.resume(folder / "checkpoint.pt")
        while state.epoch < recipe.epochs:
            line = state.run_epoch()
            state.save(folder / "checkpoint.pt")
            say(line)
        _write_weights(folder, state, seed)


class _State:
    """Everything that training goes on from."""

    def __init__(self, world: World, recipe: Recipe, seed: int, inputs: dict | None = None) -> None:
        import torch

        torch.manual_seed(seed)
        self.world, self.recipe, self.seed = world, recipe, seed
        self.inputs = inputs or {}
        self.tracks = Tracks(world)
        self.network = build_network(HPARAMS)
        self.steps = len(tiles(world, "train", np.random.default_rng(0))) // recipe.batch + 1
        self._start_heads()
        self.optimiser, self.schedule = training.optimiser(
            self.network.parameters(),
            self.steps * recipe.epochs,
            rate=recipe.peak_rate,
            weight_decay=recipe.weight_decay,
            warm_up=recipe.warm_up,
        )
        self.epoch, self.log = 0, []

    def _start_heads(self) -> None:
        """Head biases at the inverse softplus of each track's mean."""
        import torch

        places = tiles(self.world, "train", None)[:60]
        mean = np.mean([self.tracks.window(*p).mean(axis=0) for p in places], axis=0)
        with torch.no_grad():
            self.network.heads["human"][0].bias.copy_(training.inverse_softplus(mean))

    def run_epoch(self) -> str:
        """Pass once over the tiled training contigs; return the line to report."""
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

        x, target = _batch(self.world, self.tracks, places, flip)
        loss = _loss(self.network(x, head="human"), target, self.recipe, self._progress())
        training.step(loss, self.optimiser, self.schedule, [self.network], clip=self.recipe.clip)
        return loss.item()

    def _progress(self) -> float:
        """Share of all steps done."""
        return self.schedule.last_epoch / (self.steps * self.recipe.epochs)

    def save(self, path: Path) -> None:
        """Write the checkpoint whole or not at all."""
        training.save_checkpoint(path, self._content())

    def _content(self) -> dict:
        return {
            "made_of": self._made_of(),
            "epoch": self.epoch,
            "log": self.log,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def _made_of(self) -> dict:
        return {"recipe": asdict(self.recipe), "seed": self.seed, "inputs": self.inputs}

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of the same world, recipe and seed, if there is one."""
        kept = training.read_checkpoint(path, self._made_of())
        if kept is None:
            return
        self.network.load_state_dict(kept["network"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.schedule.load_state_dict(kept["schedule"])
        self.epoch, self.log = kept["epoch"], kept["log"]


def _loss(predicted, target, recipe: Recipe, progress: float):
    """Compute the Poisson loss of all bins and the squared error of log CAGE at the TSSs.

    predicted, target: (batch, bins, tracks). progress: share of all steps done.
    """
    import torch

    weight = torch.ones(predicted.shape[-1])
    weight[CAGE] = recipe.cage_weight
    poisson = ((predicted - target * torch.log(predicted + 1e-6)) * weight).mean()
    switch = min(1.0, max(0.0, (progress - recipe.level_from) / 0.1)) * recipe.level_weight
    there = target[..., CAGE] > 0
    if switch == 0 or not there.any():
        return poisson
    error = torch.log(predicted[..., CAGE][there] + 0.1) - torch.log(target[..., CAGE][there] + 0.1)
    return poisson + switch * (error**2).mean()


def _write_weights(folder: Path, state: _State, seed: int) -> None:
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
    training.write_weights(folder, state.network, config)
