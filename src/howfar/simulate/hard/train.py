"""Train the small Enformer of the hard setting: the tower on gene-free windows, then the top.

1. Tower: windows of the gene-free contig, dense in sites, teach the convolutions the motifs.
2. Top: stem and tower are frozen, so their features of each training window are computed once;
   transformer, pointwise layer and head learn levels from the reference of the training genes.

Nothing about people is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.core.provenance import sha256_of
from howfar.models.base import encoding_table, reverse_complement
from howfar.models.engine.enformer_network import build_network, tower
from howfar.simulate import training
from howfar.simulate.demo import genome as demo
from howfar.simulate.demo import grammar as g
from howfar.simulate.hard import rules as r
from howfar.simulate.hard.genome import FREE, FREE_WINDOW, SLOT
from howfar.simulate.peaks import accessibility

CONTEXT, BIN = 8_192, 32
TRACKS = [f"ChIP:F{i + 1:02d}" for i in range(g.FACTORS)]
TRACKS += ["accessibility", "promoter activity", "promoter mark", "CAGE"]
CHIP, ACCESS, ACTIVITY, MARK, CAGE = slice(0, 12), 12, 13, 14, 15
SHIFT = 16  # bins by which a window is moved at most
WIDE = CONTEXT // BIN + 2 * SHIFT  # bins of a window with room to move
_OPEN_REACH = 128  # bp around a bin's middle whose sites make it accessible
HPARAMS: dict[str, Any] = {
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

    tower_steps, tower_batch, tower_rate: of the first part. epochs, batch, rate, weight_decay: of
    the second. free: gene-free windows in a batch of the second part. cage_weight: of CAGE in the
    Poisson loss. level_weight: of the squared error of log CAGE in the bin of the TSS.
    activity_weight: of promoter activity.
    """

    tower_steps: int = 300
    tower_batch: int = 8
    tower_rate: float = 5e-3
    epochs: int = 10
    batch: int = 4
    free: int = 1
    rate: float = 2e-3
    weight_decay: float = 0.05
    cage_weight: float = 0.1
    level_weight: float = 0.5
    activity_weight: float = 1.0


@dataclass(frozen=True)
class World:
    """The simulated reference: contigs (uint8 ASCII), promoters, genes and the rules."""

    contigs: dict[str, np.ndarray]
    promoters: pd.DataFrame
    genes: pd.DataFrame
    rules: r.Rules


def read_world(folder: str | Path) -> World:
    """Read the reference part of a simulated world; nothing about people is read."""
    folder = Path(folder)
    return World(*training.read_reference(folder), r.load(folder / "grammar.json"))


# --- tracks -------------------------------------------------------------------------------------


def tracks_of(bases: np.ndarray, rules: r.Rules) -> np.ndarray:
    """Tracks of a stretch uint8 ASCII (length,) without promoters: float32 (bins, tracks).

    ChIP: 4 x summed occupancy in the bin. Accessibility: 2 T / (1 + T / 6), T the occupancy
    within 128 bp of its middle. Promoter activity: 4 exp(.75 z), z the standardised signed sum of
    factors 1-8 within 320 bp, whether or not there is a promoter.
    """
    out = np.zeros((len(bases) // BIN, len(TRACKS)), np.float32)
    found = g.sites(bases[None], rules.grammar)
    keep = found.motif < g.FACTORS
    start, motif = found.start[keep], found.motif[keep]
    occupancy = found.occupancy[keep] / g.UNIT
    bins = np.minimum((start + g.WIDTH // 2) // BIN, len(out) - 1)
    np.add.at(out, (bins, motif), 4 * occupancy)
    near = np.array(rules.near)[motif] * occupancy
    confounded = motif >= r.CONFOUNDED
    middles = BIN // 2 + BIN * np.arange(len(out))
    total = _around(start, occupancy, middles, _OPEN_REACH)
    out[:, ACCESS] = 2 * accessibility(total)
    signed = _around(start, np.where(confounded, 0, near), middles, r.PROXIMAL)
    z = (signed - rules.centre) / rules.spread
    out[:, ACTIVITY] = 4 * np.exp(0.75 * np.minimum(z, 4))
    return out


def _around(start: np.ndarray, value: np.ndarray, places: np.ndarray, reach: int) -> np.ndarray:
    """Sum of the sites' values (sites,) within `reach` bp of each place."""
    sums = np.concatenate([[0], np.cumsum(value)])
    low, high = (np.searchsorted(start + g.MIDDLE, places + move) for move in (-reach, reach))
    return sums[high] - sums[low]


def gene_window(world: World, promoter) -> tuple[np.ndarray, np.ndarray]:
    """A promoter's window with room to move: bases (9,216,) and tracks (288, tracks).

    The TSS base is the first of its middle bin on the forward strand.
    """
    middle = promoter.tss - 1
    half = WIDE * BIN // 2
    slot = world.contigs[promoter.chrom][middle - SLOT // 2 : middle + SLOT // 2]
    first = SLOT // 2 - half
    inner = slice(first // BIN, first // BIN + WIDE)
    tracks = tracks_of(slot, world.rules)[inner].copy()
    tss, level = WIDE // 2, math.exp(promoter.log_a)
    tracks[tss - 6 : tss + 7, MARK] = level
    tracks[tss, CAGE] = 10 * level
    return slot[first : first + WIDE * BIN], tracks


def training_promoters(world: World) -> pd.DataFrame:
    """Return the promoters that train: those of training contigs, with people or without."""
    splits = world.promoters["chrom"].map(demo.split_of)
    return world.promoters[splits == "train"].reset_index(drop=True)


# --- training -----------------------------------------------------------------------------------


def train(
    world_folder: str | Path,
    weights_folder: str | Path,
    seed: int = 1,
    recipe: Recipe | None = None,
    threads: int = 1,
    say: Callable[[str], None] = print,
) -> None:
    """Train on the reference of `world_folder`; write weights.safetensors and config.json.

    The tower and each epoch of the top end in a checkpoint; a run that was killed goes on from the
    last one and ends in the same bytes. Raises HowfarError where the world is missing.
    """
    import torch

    recipe = recipe or Recipe()
    world, folder = read_world(world_folder), Path(weights_folder)
    inputs = {name: sha256_of(Path(world_folder) / name) for name in training.INPUTS}
    folder.mkdir(parents=True, exist_ok=True)
    with training.reproducible(threads), torch.random.fork_rng(devices=[]):
        # Frozen features shrink some weights to denormal numbers, which are 100 times slower.
        torch.set_flush_denormal(True)
        try:
            state = _State(world, recipe, seed, inputs)
            state.run(folder / "checkpoint.pt", say)
        finally:
            torch.set_flush_denormal(False)
        training.write_weights(
            folder,
            state.network,
            {
                "model": "demo-enformer",
                "hparams": HPARAMS,
                "context": CONTEXT,
                "bin_size": BIN,
                "tracks": TRACKS,
                "units": "simulated CAGE per bin, linear (10 x expression in the bin of the TSS)",
                "regions": world.genes.set_index("gene_id")["split"].to_dict(),
                "seed": seed,
                "recipe": asdict(recipe),
                "loss": state.log,
            },
        )


class _State:
    """Everything that training goes on from."""

    def __init__(self, world: World, recipe: Recipe, seed: int, inputs: dict) -> None:
        import torch

        torch.manual_seed(seed)
        self.world, self.recipe, self.seed = world, recipe, seed
        self.made_of = {"recipe": asdict(recipe), "seed": seed, "inputs": inputs}
        self.network = build_network(HPARAMS)
        self.epoch, self.log = -1, []  # -1: no tower yet
        self.optimiser = self.schedule = None
        self.weights = torch.ones(len(TRACKS))
        self.weights[ACTIVITY] = recipe.activity_weight
        self.weights[CAGE] = recipe.cage_weight

    def run(self, checkpoint: Path, say: Callable[[str], None]) -> None:
        """Train what is left to train."""
        kept = training.read_checkpoint(checkpoint, self.made_of)
        if kept:
            self.network.load_state_dict(kept["network"])
            self.epoch, self.log = kept["epoch"], kept["log"]
        else:
            line = self._train_tower()
            self.epoch = 0
            self._save(checkpoint)
            say(line)
        self._freeze()
        features = _Features(self.world, self.network, self.recipe)
        self._start_top(features, kept if self.epoch else None)
        while self.epoch < self.recipe.epochs:
            line = self._run_epoch(features)
            self._save(checkpoint)
            say(line)

    def _save(self, path: Path) -> None:
        content = {
            "made_of": self.made_of,
            "epoch": self.epoch,
            "log": self.log,
            "network": self.network.state_dict(),
        }
        if self.optimiser is not None:
            content |= {
                "optimiser": self.optimiser.state_dict(),
                "schedule": self.schedule.state_dict(),
            }
        training.save_checkpoint(path, content)

    # -- tower

    def _train_tower(self) -> str:
        """Learn motifs from gene-free windows, through a linear head of its own."""
        import torch

        recipe, rng = self.recipe, np.random.default_rng([self.seed, 0])
        free = self.world.contigs[FREE]
        local = [*range(12), ACCESS]
        targets = tracks_of(free, self.world.rules)[:, local]
        head = torch.nn.Linear(HPARAMS["dim"], len(local))
        with torch.no_grad():
            head.bias.copy_(training.inverse_softplus(targets.mean(axis=0)))
        parts = [self.network.stem, self.network.conv_tower, head]
        optimiser, schedule = training.optimiser(
            [p for part in parts for p in part.parameters()],
            recipe.tower_steps,
            rate=recipe.tower_rate,
            weight_decay=0.01,
            floor=0.1,
        )
        self.network.train()
        bins = FREE_WINDOW // BIN
        for step in range(recipe.tower_steps):
            first = rng.integers(0, len(targets) - bins + 1, recipe.tower_batch)
            flip = rng.random(recipe.tower_batch) < 0.5
            windows = np.stack([free[f * BIN : f * BIN + FREE_WINDOW] for f in first])
            target = np.stack([targets[f : f + bins] for f in first])
            windows[flip] = reverse_complement(windows[flip])
            target[flip] = target[flip][:, ::-1]
            x = torch.from_numpy(encoding_table()[windows])
            found = torch.nn.functional.softplus(head(tower(self.network, x)))
            loss = _poisson(found, torch.from_numpy(target)).mean()
            training.step(loss, optimiser, schedule, parts, clip=10.0)
            if step >= recipe.tower_steps - 20:
                self.log.append(loss.item())
        self.log = [float(np.mean(self.log))]
        return f"tower: loss {self.log[0]:.4f}"

    def _freeze(self) -> None:
        for part in (self.network.stem, self.network.conv_tower):
            part.eval().requires_grad_(False)

    # -- top

    def _start_top(self, features: _Features, kept: dict | None) -> None:
        import torch

        torch.manual_seed(self.seed)
        if kept is None:
            with torch.no_grad():
                mean = features.targets.mean(axis=(0, 1))
                self.network.heads["human"][0].bias.copy_(training.inverse_softplus(mean))
        self.top = [self.network.transformer, self.network.final_pointwise, self.network.heads]
        self.steps = features.genes // self.recipe.batch
        self.optimiser, self.schedule = training.optimiser(
            [p for part in self.top for p in part.parameters()],
            self.steps * self.recipe.epochs,
            rate=self.recipe.rate,
            weight_decay=self.recipe.weight_decay,
        )
        if kept is not None:
            self.optimiser.load_state_dict(kept["optimiser"])
            self.schedule.load_state_dict(kept["schedule"])

    def _run_epoch(self, features: _Features) -> str:
        import torch

        recipe = self.recipe
        rng = np.random.default_rng([self.seed, 1, self.epoch])
        torch.manual_seed(self.seed * 1_000 + self.epoch)
        for part in self.top:
            part.train()
        order, losses = rng.permutation(features.genes), []
        for first in range(0, self.steps * recipe.batch, recipe.batch):
            rows = order[first : first + recipe.batch]
            if features.free:
                free = features.genes + rng.integers(0, features.free, recipe.free)
                rows = np.concatenate([rows, free])
            x, target = features.batch(rows, rng)
            found = self._top(x)
            loss = (_poisson(found, target) * self.weights).mean()
            there = target[..., CAGE] > 0
            error = torch.log(found[..., CAGE][there] + 0.1)
            error = error - torch.log(target[..., CAGE][there] + 0.1)
            loss = loss + recipe.level_weight * (error**2).mean()
            training.step(loss, self.optimiser, self.schedule, self.top, clip=5.0)
            losses.append((error.detach() ** 2).mean().item())
        self.epoch += 1
        self.log.append(float(np.mean(losses)))
        return f"epoch {self.epoch}/{recipe.epochs}: error of log CAGE {self.log[-1]:.4f}"

    def _top(self, x: Any) -> Any:
        return self.network.heads["human"](
            self.network.final_pointwise(self.network.transformer(x))
        )


class _Features:
    """The frozen tower's features of all training windows, both strands, and their tracks.

    Rows: genes, then gene-free windows. `targets`: float32 (rows, 288, tracks), forward strand.
    """

    def __init__(self, world: World, network: Any, recipe: Recipe) -> None:
        import torch

        pairs = [gene_window(world, row) for row in training_promoters(world).itertuples()]
        self.genes = len(pairs)
        free, size = world.contigs[FREE], WIDE * BIN
        count = len(free) // size if recipe.free else 0
        if count:
            tracks = tracks_of(free, world.rules)
            pairs += [
                (free[i * size : (i + 1) * size], tracks[i * WIDE : (i + 1) * WIDE])
                for i in range(count)
            ]
        self.free = count
        self.targets = np.stack([tracks for _, tracks in pairs])
        self._x = torch.empty(2, len(pairs), WIDE, HPARAMS["dim"])
        with torch.no_grad():
            for first in range(0, len(pairs), 8):
                windows = np.stack([bases for bases, _ in pairs[first : first + 8]])
                for strand, read in enumerate((windows, reverse_complement(windows))):
                    one_hot = torch.from_numpy(encoding_table()[read])
                    self._x[strand, first : first + 8] = tower(network, one_hot)

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[Any, Any]:
        """Features (rows, 256, dim) and tracks of windows, each moved and turned at random."""
        import torch

        bins, out, targets = CONTEXT // BIN, [], []
        for row in rows:
            turned, first = int(rng.random() < 0.5), int(rng.integers(0, 2 * SHIFT + 1))
            target = self.targets[row][::-1] if turned else self.targets[row]
            out.append(self._x[turned, row, first : first + bins])
            targets.append(target[first : first + bins])
        return torch.stack(out), torch.from_numpy(np.stack(targets))


def _poisson(found: Any, target: Any) -> Any:
    import torch

    return found - target * torch.log(found + 1e-6)
