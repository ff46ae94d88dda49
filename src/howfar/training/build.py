"""Build a network to train: base, head and what of it trains; again when it is served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from howfar.models.base import Layout, SequenceModel, encoding_table
from howfar.models.registry import load_model
from howfar.models.replicates import Replicates
from howfar.training import heads, schedules
from howfar.training.data import Reads
from howfar.training.mpra import CELLS, LENGTH
from howfar.training.network import ENFORMER, PersonalNetwork, SagePeople, body_of
from howfar.training.recipe import Recipe, lacking
from howfar.training.sagenet import SageNet

#: Layers that low-rank adapters are added to: queries, keys, values and outputs of attention.
_ADAPTED = ("to_q", "to_k", "to_v", "to_out")


@dataclass(frozen=True)
class Built:
    """A network to train, and how it reads.

    model: the loaded network that it begins from; None for SAGE-net. whole_people: it predicts a
    person from all windows together. table: float32 (256, 4), one-hot of letters.
    """

    network: Any
    model: SequenceModel | None
    reads: Reads
    table: np.ndarray
    layout: Layout
    whole_people: bool

    @property
    def shares(self) -> bool:
        """Whether the tower can run once for each distinct stretch."""
        body = getattr(self.network, "body", None)
        return body is not None and body.halo(self.network.base) is not None

    def merge(self) -> None:
        """Add low-rank adapters to the weights that they adapt, so that nothing else is needed."""
        from peft.tuners.tuners_utils import BaseTunerLayer

        for parent in list(self.network.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, BaseTunerLayer):
                    child.merge()
                    setattr(parent, name, child.get_base_layer())


def _head_of(
    recipe: Recipe, body: Any, base: nn.Module, channels: int, track: int
) -> nn.Module | None:
    """Return the head that a recipe asks for; HowfarError where the network has no such part."""
    if recipe.head == "none":
        return None
    if recipe.head == "track":
        own = body.heads(base)
        if not own:
            found = "a network without a head of its own"
            raise lacking(recipe.strategy, found, "tracks to read", "Choose `head: attention`.")
        return heads.TrackHead(next(iter(own.values())), track)
    return {"attention": heads.AttentionHead, "centre": heads.CentreHead}[recipe.head](channels)


def build(base: Mapping[str, Any] | None, recipe: Recipe, device: str = "cpu") -> Built:
    """Build the network that a recipe trains, its new parts drawn from the recipe's seed.

    base: model, weights and options of the run that it begins from; None: of none.
    """
    torch.manual_seed(recipe.seed)
    if recipe.task == "gene_and_person":
        return _sagenet(recipe, device)
    if base is None:
        raise lacking(
            recipe.strategy, "no run to begin from", "a network of the study", "Name one by --run."
        )
    weights = None if base["weights"] is None else Path(base["weights"])
    model = load_model(base["model"], weights, device, **base["options"])
    if isinstance(model, Replicates):
        do = "Name one replicate's folder as the run's `weights`."
        raise lacking(recipe.strategy, "a mean over replicates", "one network", do)
    before = model.built if model.name == "fine-tuned" else None
    if before is not None and before.model is None:
        body_of(model)
    body = body_of(model) if before is None else before.network.body
    network = model.network if before is None else before.network.base
    if recipe.init == "random":
        _draw_again(model if before is None else before.model, network)
    reads = Reads.of(model)
    table = np.asarray(model._table.cpu()) if hasattr(model, "_table") else encoding_table()
    with torch.no_grad():
        network.eval()
        window = torch.from_numpy(table[np.full((1, reads.context), ord("N"))]).to(device)
        found = body.after(network, body.tower(network, window))
    if found.ndim != 3:
        shape = tuple(found.shape)
        raise lacking(
            recipe.strategy,
            f"embeddings of shape {shape}",
            "(windows, bins, channels)",
            "Correct the model's `embeddings`.",
        )
    bins = found.shape[1]
    track = recipe.track
    if recipe.head == "track" and track < 0:
        track = model.track_indices(base.get("tracks"))[0]
    head = _head_of(recipe, body, network, found.shape[2], track)
    head = before.network.head if before is not None and head is None else head
    personal = PersonalNetwork(network, head, body)
    if recipe.others == "mpra":
        with torch.no_grad():
            bins = body.after(network, body.tower(network, window[:, :LENGTH])).shape[1]
        personal.reporters = heads.ReporterHead(found.shape[2], len(CELLS), bins)
    if recipe.rank:
        _adapt(network, recipe)
    bins = found.shape[1]
    size = reads.context // bins if body is ENFORMER else model.layout.bin_size
    first = reads.context // 2 - (reads.context // 2) % size
    layout = Layout(reads.context, size, 1, min(first, reads.context - size))
    whole = recipe.input == "mean"
    return Built(personal.to(device), model, reads, table, layout, whole)


def _sagenet(recipe: Recipe, device: str) -> Built:
    """SAGE-net from its start, at full width unless the window is short."""
    small = recipe.context < 20_000
    sizes = {"first": 64, "filters": 32, "hidden": 32} if small else {}
    net = SageNet(recipe.context, **sizes)
    middle = recipe.context // 2 - 1  # base 19,999 of 40,000
    reads = Reads(recipe.context, {"+": middle, "-": middle}, False, True)
    table = encoding_table(0.25)
    layout = Layout(recipe.context, recipe.context, 1)
    return Built(SagePeople(net).to(device), None, reads, table, layout, True)


def _draw_again(model: Any, network: nn.Module) -> None:
    """Give a network first weights in the place of its own."""
    from howfar.models.engine.enformer_network import build_network

    sizes = getattr(model, "_sizes", None) or getattr(model, "_config", {}).get("hparams")
    if sizes:
        network.load_state_dict(build_network(sizes).state_dict())
        return
    for module in network.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()


def _adapt(network: nn.Module, recipe: Recipe) -> None:
    """Add low-rank adapters to the attention layers; HowfarError where there is none."""
    from peft import LoraConfig, inject_adapter_in_model

    names = [n for n, m in network.named_modules() if isinstance(m, nn.Linear)]
    adapted = [n for n in names if n.rpartition(".")[2] in _ADAPTED]
    if not adapted:
        raise lacking(
            recipe.strategy,
            "a network without attention (to_q, to_k, to_v, to_out)",
            "layers that low-rank adapters are added to",
            "Choose another `train`.",
        )
    config = LoraConfig(r=recipe.rank, lora_alpha=recipe.rank, target_modules=adapted)
    inject_adapter_in_model(config, network)


def choose_trained(network: Any, recipe: Recipe) -> list[str]:
    """Let the parts that a recipe names train, and no other; return names of what may change.

    HowfarError where the network lacks the part. Statistics of batch norm change too where they
    are not frozen.
    """
    parts = network.parts()
    wanted = {
        "all": list(parts),
        "head": ["head"],
        "pointwise": ["pointwise", "head"],
        "transformer": ["transformer", "pointwise", "head"],
        "tower": ["tower", "pointwise", "head"],
        "heads": [],
    }.get(recipe.train, ["head"])
    if recipe.train not in ("all", "heads") and not recipe.rank:
        named = recipe.train if recipe.train in parts else wanted[0]
        if not parts.get(named):
            raise lacking(
                recipe.strategy,
                f"a network without a part {recipe.train!r}",
                f"one of {', '.join(name for name, modules in parts.items() if modules)}",
                "Choose another `train`.",
            )
    network.requires_grad_(False)
    for name in wanted:
        for module in parts.get(name, []):
            module.requires_grad_(True)
    if recipe.rank:
        for name, parameter in network.named_parameters():
            if ".lora_" in name:
                parameter.requires_grad_(True)
    if recipe.others == "tracks":
        for head in network.body.heads(network.base).values():
            head.requires_grad_(True)
    if recipe.batch_norm == "frozen":
        schedules.freeze_batch_norm(network)
    changed = [name for name, p in network.named_parameters() if p.requires_grad]
    if recipe.batch_norm == "training":
        changed += [n for n, _ in network.named_buffers() if "running_" in n or "num_batches" in n]
    if recipe.init == "random" or recipe.start:
        changed = list(network.state_dict())
    return changed
