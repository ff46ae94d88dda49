"""The loop of a training, by Lightning: one process or several, resumed to the same bits.

An epoch is cut into legs of some batches, each an epoch of Lightning's own, and a checkpoint ends
each: what was killed begins its leg again. Batches depend on seed and epoch alone, and random
numbers of a batch on the seed and the batch's number, so that nothing else decides a weight.
Checkpoints hold what training changes, not the network it began from.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from howfar.core import sealed
from howfar.core.atomic import whole
from howfar.core.extras import is_installed
from howfar.core.registry import STRATEGIES
from howfar.training import losses, schedules, strategies
from howfar.training.build import Built, choose_trained
from howfar.training.data import Batch, Draw, TrainingData, epoch_draws, validation_draws
from howfar.training.others import others_of
from howfar.training.recipe import Recipe

#: Batches between checkpoints.
LEG = 64
_PRECISION = {"float32": "32-true", "bfloat16": "bf16-mixed"}


class _Batches(Dataset):  # type: ignore[type-arg]
    """Batches of draws, with those of data trained on besides."""

    def __init__(
        self,
        data: TrainingData,
        draws: Sequence[Sequence[Draw]],
        rank: int,
        processes: int,
        others: Any,
        first: int | None,
    ) -> None:
        self.data, self.draws, self.others, self.first = data, draws, others, first
        self.rank, self.processes = rank, processes

    def __len__(self) -> int:
        return len(self.draws)

    def __getitem__(self, k: int) -> tuple[Batch, dict[str, Any]]:
        batch = self.data.batch(self.draws[k], self.rank, self.processes)
        if self.first is None:
            return batch, self.others(k, train=False)
        number = (self.first + k) * self.processes + self.rank
        return batch, self.others(number)


class _Whole(TorchCheckpointIO):
    """Checkpoints that are whole or not there."""

    def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint under another name, then move it."""
        with whole(path) as part:
            torch.save(checkpoint, part)
            sealed.seal_archive(part)

    def load_checkpoint(self, path: Any, *args: Any, **options: Any) -> dict[str, Any]:
        """Read a checkpoint; HowfarError for a damaged one."""
        sealed.require(path)
        return super().load_checkpoint(path, *args, **options)


class Loop(lightning.LightningModule):
    """A network in training on people."""

    strict_loading = False

    def __init__(
        self,
        built: Built,
        data: TrainingData,
        recipe: Recipe,
    ) -> None:
        """Choose what trains; HowfarError where the network lacks the part."""
        super().__init__()
        self.network, self.data, self.recipe = built.network, data, recipe
        self.others = others_of(recipe, built)
        self.changed = choose_trained(self.network, recipe)
        self.register_buffer("table", torch.from_numpy(built.table), persistent=False)
        self.loss = STRATEGIES.load(recipe.strategy)
        self.alone = recipe.task == "tracks"  # no people
        self.batches = self.others.batches if self.alone else len(epoch_draws(data, 0))
        self.leg_size = -(-LEG // recipe.accumulate) * recipe.accumulate
        self.legs = -(-self.batches // self.leg_size)
        self.leg = 0

    @property
    def steps(self) -> int:
        """Steps of the optimiser in the whole training."""
        accumulate = self.recipe.accumulate
        full = self.batches // self.leg_size * (self.leg_size // accumulate)
        return (full + -(-(self.batches % self.leg_size) // accumulate)) * self.recipe.epochs

    # -- data

    def train_dataloader(self) -> Any:
        """Batches of the leg that comes next."""
        epoch, leg = divmod(self.leg, self.legs)
        first = leg * self.leg_size
        drawn = [[]] * self.batches if self.alone else epoch_draws(self.data, epoch)
        draws = drawn[first : first + self.leg_size]
        return self._loader(draws, epoch * self.batches + first)

    def val_dataloader(self) -> Any:
        """Batches of people who validate."""
        return self._loader(self.validation, None)

    @property
    def validation(self) -> list[list[Draw]]:
        """Batches that validate."""
        return [[]] * self.others.validates if self.alone else validation_draws(self.data)

    def _loader(self, draws: Sequence[Sequence[Draw]], first: int | None) -> Any:
        trainer = self._trainer
        rank = 0 if trainer is None else trainer.global_rank
        processes = 1 if trainer is None else trainer.world_size
        batches = _Batches(self.data, draws, rank, processes, self.others, first)
        return DataLoader(batches, batch_size=None, shuffle=False)

    # -- steps

    def predicted(self, batch: Batch) -> Tensor:
        """Predict all people of a batch, those of other processes too."""
        if self.alone:
            return torch.zeros(0, device=self.device)
        each_person = self.training and self.recipe.dropout == "person"
        # statistics that are not of the batch leave windows apart, so their stretches can be shared
        share = self.recipe.batch_norm == "frozen" or not self.training
        found = self.network.people(batch.windows, batch.rows, self.table, share, each_person)
        found = found.float()
        trainer = self._trainer
        if trainer is not None and trainer.world_size > 1:
            every = self.all_gather(found, sync_grads=self.training)
            found = every.transpose(0, 1).flatten(0, 1)
        return found[: batch.people]

    def loss_of(self, item: tuple[Batch, dict[str, Any]]) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch, and its people's predictions."""
        batch, others = item
        found = self.predicted(batch)
        if others or self.training or self.recipe.others == "none":
            return self.loss(found, batch, self.recipe, self._other_losses(others)), found
        pair = strategies.pair_classification if self.recipe.head == "track" else None
        return (pair or strategies.pair_regression)(found, batch, self.recipe, {}), found

    def _other_losses(self, others: Mapping[str, Any]) -> dict[str, Tensor]:
        """Compute losses of data trained on besides, by name."""
        found: dict[str, Tensor] = {}
        for name, given in others.items():
            if name == "mpra":
                alleles, effects, measured = given
                activity = self.network.reporters(self.network.embed(alleles))
                first, second = activity.chunk(2)
                found[name] = losses.masked_squared_error(first - second, effects, measured)
                continue
            values, tracks = self._values_of(name, given)
            found[name] = losses.poisson(values, tracks)
            if name == "human" and self.recipe.head == "track":
                at = self.network.head.track
                found["track"] = losses.poisson(values[..., at], tracks[..., at])
        return found

    def _values_of(self, species: str, given: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return a species' tracks as predicted and as they are: (windows, bins, tracks)."""
        windows, tracks = given
        x = self.network.embed(self.table[windows.long()])
        edge = (x.shape[1] - tracks.shape[1]) // 2
        head = self.network.body.heads(self.network.base)[species]
        return head(x[:, edge : edge + tracks.shape[1]]), tracks

    def training_step(self, item: tuple[Batch, dict[str, Any]], number: int) -> Tensor:
        """Compute the loss of a batch."""
        loss, _ = self.loss_of(item)
        self.log("loss", loss.detach(), on_step=False, on_epoch=True, batch_size=1)
        self._log_epoch()
        return loss

    def _log_epoch(self) -> None:
        """Log the epoch from 0, -1 before training, where Lightning would log the leg."""
        before = self.trainer.state.fn == "validate"
        epoch = -1 if before else self.leg // self.legs
        self.log("epoch", float(epoch), on_step=False, on_epoch=True, batch_size=1)

    def validation_step(self, item: tuple[Batch, dict[str, Any]], number: int) -> None:
        """Compute the monitored number of a batch of people who validate."""
        batch, others = item
        loss, found = self.loss_of(item if self.alone else (batch, {}))
        self._log_epoch()
        self.log("val_loss", loss, batch_size=1)
        if self.recipe.monitor != "loss":
            values = found[:, 1] if found.ndim == 2 else found
            if self.alone:
                found = r2_of_tracks(*self._values_of("human", others["human"]))
            else:
                found = strategies.score(self.recipe.monitor, values, batch)
            self.log("val_score", found, batch_size=1)

    def configure_optimizers(self) -> Any:
        """Make the optimiser, and its schedule by step."""
        recipe = self.recipe
        kind = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
        trained = [p for p in self.network.parameters() if p.requires_grad]
        made = kind(trained, lr=recipe.rate, weight_decay=recipe.weight_decay)
        if recipe.schedule == "constant":
            return made
        steps, warm_up = self.steps, min(recipe.warm_up, max(1, self.steps // 10))

        def share(step: int) -> float:
            """Return the share of the learning rate at a step."""
            if recipe.schedule == "triangular":
                return schedules.triangular(step, 0.5, 2.0, recipe.warm_up)
            return schedules.warm_up_then_cosine(step, 1.0, warm_up, steps)

        schedule = torch.optim.lr_scheduler.LambdaLR(made, share)
        return {"optimizer": made, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    # -- what is to be the same however a training is cut

    def on_train_epoch_start(self) -> None:
        """Put the network in training mode, which Lightning leaves as it was, but for parts."""
        self.network.train()
        if self.recipe.batch_norm == "frozen":
            schedules.freeze_batch_norm(self.network)
        if self.recipe.dropout == "none":
            for module in self.network.modules():
                if isinstance(module, torch.nn.modules.dropout._DropoutNd):
                    module.eval()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Let a batch's random numbers depend on its number alone."""
        number = self.leg * self.leg_size + batch_idx
        torch.manual_seed((self.recipe.seed * 1_000_003 + number) * 64 + self.global_rank)

    def on_train_epoch_end(self) -> None:
        """Count the leg, before the checkpoint that ends it."""
        self.leg += 1

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what training changes alone."""
        kept = {f"network.{name}" for name in self.changed}
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {n: t for n, t in state.items() if n in kept}
        checkpoint["leg"] = self.leg

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the leg that follows."""
        self.leg = int(checkpoint["leg"])


class _Stopped(EarlyStopping):
    """Early stopping that a training goes on to heed when it is resumed after its last epoch."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Stop at once where the epochs without a better score are already enough."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class _Said(lightning.Callback):
    """Says how each epoch went, and counts seconds of training."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.begun = say, time.perf_counter()

    def on_train_epoch_end(self, trainer: Any, pl_module: Loop) -> None:
        """Say the losses of an epoch once its last leg has ended."""
        epoch, rest = divmod(pl_module.leg + 1, pl_module.legs)
        if rest == 0 and trainer.is_global_zero:
            found = sorted((k, float(v)) for k, v in trainer.callback_metrics.items())
            numbers = ", ".join(f"{name} {value:.4g}" for name, value in found if name != "epoch")
            seconds = time.perf_counter() - self.begun
            self.say(f"epoch {epoch}/{pl_module.recipe.epochs}: {numbers}; {seconds:.0f} s")


def r2_of_tracks(predicted: Tensor, tracks: Tensor) -> Tensor:
    """Return the mean over tracks of R2 over all bins: (windows, bins, tracks) both."""
    rest = ((predicted - tracks) ** 2).sum(dim=(0, 1))
    total = ((tracks - tracks.mean(dim=(0, 1))) ** 2).sum(dim=(0, 1))
    varies = total > 0
    return (1 - rest[varies] / total[varies]).mean()


@dataclass(frozen=True)
class Trained:
    """What a training left: the changed tensors of the best epoch, steps and seconds."""

    tensors: dict[str, Tensor]
    steps: int
    epochs: int
    seconds: float


def trainer_of(loop: Loop, folder: Path, devices: int, accelerator: str, say: Any) -> Any:
    """Make Lightning's trainer for a training in `folder`."""
    recipe = loop.recipe
    mode = "min" if recipe.monitor == "loss" else "max"
    name = "val_loss" if recipe.monitor == "loss" else "val_score"
    validates = bool(loop.validation)
    kept = folder / "checkpoints"
    last = ModelCheckpoint(
        kept, filename="last", save_on_train_epoch_end=True, enable_version_counter=False
    )
    callbacks: list[Any] = [last, _Said(say)]
    if validates:
        best = ModelCheckpoint(
            kept,
            filename="best",
            monitor=name,
            mode=mode,
            save_weights_only=True,
            enable_version_counter=False,
        )
        callbacks.append(best)
        if recipe.patience:
            callbacks.append(_Stopped(name, patience=recipe.patience, mode=mode))
    loggers: list[Any] = [CSVLogger(folder, name="", version="logs")]
    if is_installed("tensorboard"):
        from lightning.pytorch.loggers import TensorBoardLogger

        loggers.append(TensorBoardLogger(folder, name="", version="logs"))
    return lightning.Trainer(
        accelerator=accelerator,
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        precision=_PRECISION[recipe.precision],
        max_epochs=recipe.epochs * loop.legs,
        check_val_every_n_epoch=loop.legs,
        limit_val_batches=1.0 if validates else 0,
        val_check_interval=1.0,
        num_sanity_val_steps=0,
        accumulate_grad_batches=recipe.accumulate,
        gradient_clip_val=recipe.clip or None,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        logger=loggers,
        callbacks=callbacks,
        plugins=[_Whole()],
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )


def train(
    loop: Loop,
    folder: Path,
    *,
    devices: int = 1,
    accelerator: str = "auto",
    say: Callable[[str], None] = print,
) -> Trained:
    """Train, going on from the last checkpoint in `folder`; return what changed."""
    begun, log = time.perf_counter(), folder / "logs" / "metrics.csv"
    if log.is_file():  # Lightning would delete it
        earlier = len(list(log.parent.glob("metrics-*.csv")))
        log.rename(log.with_name(f"metrics-{earlier:03}.csv"))
    with _quiet():
        trainer = trainer_of(loop, folder, devices, accelerator, say)
        last = folder / "checkpoints" / "last.ckpt"
        if last.is_file():
            say(f"goes on from {last}")
        elif loop.validation:
            trainer.validate(loop, verbose=False)
        trainer.fit(loop, ckpt_path=str(last) if last.is_file() else None, weights_only=True)
    best = folder / "checkpoints" / "best.ckpt"
    state = loop.state_dict()
    if best.is_file():
        state |= torch.load(best, map_location="cpu", weights_only=True)["state_dict"]
    tensors = {n: state[f"network.{n}"].detach().cpu().contiguous() for n in loop.changed}
    epochs = loop.leg // loop.legs
    return Trained(tensors, trainer.global_step, epochs, time.perf_counter() - begun)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out Lightning's own words: what it says of loaders and devices is chosen here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning|torch")
        for name in ("lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
        yield
