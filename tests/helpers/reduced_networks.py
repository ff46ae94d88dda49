"""Small networks of the zoo with seeded weights, written as the files that a user would have."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helpers.keras_files import random_layers, write_keras
from howfar.models.registry import load_model

ENFORMER = {"dim": 48, "depth": 2, "heads": 2, "attn_dim_key": 16, "dim_divisible_by": 4}
BELUGA_LAYERS = {0: (4, 3), 2: (3, 4), 6: (4, 5), 8: (5, 4), 12: (4, 3), 14: (3, 4)}


def fill(network: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Tensors of the network's shapes from NumPy's generator: the same with every PyTorch."""
    draw = np.random.default_rng(seed)
    state: dict[str, torch.Tensor] = {}
    kept = set(network.state_dict())
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if name not in kept or name.endswith("num_batches_tracked"):
            continue
        values = draw.standard_normal(tuple(tensor.shape))
        if name.endswith("running_var"):
            values = np.exp(0.3 * values)
        elif tensor.ndim > 1:
            values *= 1.5 / np.sqrt(np.prod(tensor.shape[1:]))
        else:
            values = 0.2 * values + (name.endswith("weight"))
        state[name] = torch.from_numpy(np.asarray(values, np.float32))
    return state


def demo_enformer(folder: Path) -> Path:
    """The demo's small Enformer: five halvings, three tracks."""
    from enformer_pytorch import Enformer
    from safetensors.torch import save_file

    hparams = ENFORMER | {"num_downsamples": 5, "target_length": -1, "use_tf_gamma": False}
    hparams["output_heads"] = {"human": 3}
    config = {"hparams": hparams, "context": 1024, "bin_size": 32, "tracks": ["a", "b", "c"],
              "units": "toys", "regions": {"g1": "train"}}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    save_file(fill(Enformer.from_hparams(**hparams), 1), folder / "weights.safetensors")
    return folder


def enformer(folder: Path) -> Path:
    """Enformer of seven halvings with three human tracks and two of the mouse."""
    from enformer_pytorch import Enformer
    from safetensors.torch import save_file

    sizes = ENFORMER | {"num_downsamples": 7, "output_heads": {"human": 3, "mouse": 2}}
    (folder / "config.json").write_text(json.dumps(sizes | {"model_type": "enformer"}))
    save_file(fill(Enformer.from_hparams(**sizes), 2), folder / "model.safetensors")
    lines = [f"{k}\tCAGE:tissue {k}" for k in range(3)]
    (folder / "targets.txt").write_text("\n".join(["index\tdescription", *lines]) + "\n")
    return folder


def basenji2(folder: Path) -> Path:
    """A narrow Basenji2 of 8,192 bp."""
    from howfar.models.zoo.basenji2 import PUBLISHED, architecture_of

    model = json.loads(json.dumps(PUBLISHED)) | {"seq_length": 8192, "target_length": 64}
    stem, tower, dilated, crop, last = model["trunk"]
    stem["filters"], tower["filters_init"], dilated["filters"] = 8, 9, 6
    last["filters"], crop["cropping"], model["head_human"]["units"] = 12, 6, 3
    (folder / "params.json").write_text(json.dumps({"model": model}))
    layers = random_layers(architecture_of(model).shapes(), seed=3, gain=1.1)
    return write_keras(folder / "model.h5", layers)


def beluga(folder: Path) -> Path:
    """A narrow Beluga of seven outputs, and a linear model of ExPecto on them."""
    draw, state = np.random.default_rng(4), {}
    shapes = {
        f"model.0.{i}": (outputs, inputs, 1, 8) for i, (inputs, outputs) in BELUGA_LAYERS.items()
    }
    for name, shape in (shapes | {"model.1.2.1": (6, 4 * 106), "model.1.4.1": (7, 6)}).items():
        scale = np.sqrt(2 / np.prod(shape[1:]))
        state[f"{name}.weight"] = torch.from_numpy(draw.normal(0, scale, shape).astype(np.float32))
        state[f"{name}.bias"] = torch.from_numpy(draw.normal(0, 0.1, shape[0]).astype(np.float32))
    torch.save(state, folder / "beluga.pth")
    booster = {"name": "gblinear", "model": {"weights": draw.normal(size=71).round(3).tolist()}}
    learner = {"learner_model_param": {"base_score": "[2E0]", "num_feature": "70"},
               "gradient_booster": booster, "objective": {"name": "reg:squarederror"}}  # fmt: skip
    (folder / "round.basescore2.Liver.json").write_text(json.dumps({"learner": learner}))
    return folder / "beluga.pth"


def xpresso(folder: Path) -> Path:
    """Xpresso, whose sizes are fixed."""
    from howfar.models.zoo.xpresso import architecture

    return write_keras(folder / "x.h5", random_layers(architecture(), seed=5, gain=1.5))


def borzoi(folder: Path, **more: Any) -> Path:
    """Borzoi for windows of 1,024 bp with a narrow transformer."""
    from borzoi_pytorch import Borzoi
    from borzoi_pytorch.config_borzoi import BorzoiConfig
    from safetensors.torch import save_file

    from howfar.models.engine.rotary_attention import in_place_of_flash_attn

    sizes = {"dim": 64, "depth": 2, "heads": 2, "attn_dim_key": 16, "attn_dim_value": 32} | more
    with in_place_of_flash_attn():
        network = Borzoi(BorzoiConfig(**sizes, enable_mouse_head=False))
    (folder / "config.json").write_text(json.dumps(sizes | {"model_type": "borzoi"}))
    save_file(fill(network, 6), folder / "model.safetensors")
    return folder


#: AlphaGenome in miniature.
ALPHAGENOME = {
    **{"channels": 12, "step": 2, "blocks": 3, "heads": 2, "key": 8, "value": 6, "pair": 6},
    **{"pair_heads": 3, "positions": 16, "hidden": 24, "pair_hidden": 8, "embedding": 20},
    **{"organisms": 2, "tracks": 5},
}


def alphagenome(folder: Path) -> Path:
    """AlphaGenome of three blocks with five RNA-seq tracks."""
    from howfar.bench.alphagenome import random_weights

    return random_weights(folder, ALPHAGENOME)


def fine_tuned(folder: Path) -> Path:
    """The demo's small Enformer with an attention head, its transformer changed by training."""
    from dataclasses import asdict

    from safetensors.torch import save_file

    from howfar.core import sealed
    from howfar.training.build import build
    from howfar.training.recipe import recipe_of

    (folder / "base").mkdir()
    base = {"model": "demo-enformer", "weights": str(demo_enformer(folder / "base")), "options": {}}
    recipe = recipe_of("pair_regression", {"train": "transformer"})
    built = build(base, recipe)
    state = fill(built.network, 8)
    changed = {n: t for n, t in state.items() if "transformer" in n or n.startswith("head.")}
    save_file(changed, folder / "weights.safetensors", {sealed.KEY: sealed.BLANK})
    sealed.seal(folder / "weights.safetensors")
    config = {"base": base | {"weights_sha256": built.model.weights_sha256}, "units": "toys",
              "recipe": asdict(recipe), "splits": {"people": {}, "genes": {}}}  # fmt: skip
    sealed.write_json(folder / "config.json", config)
    return folder


def _enformer_options(folder: Path) -> dict[str, Any]:
    return {"context": 2048, "targets": folder / "targets.txt", "batch_size": 2}


def _both(folder: Path) -> dict[str, Any]:
    return {"rc": True, "shifts": [1, 0, -1]}


_Options = Callable[[Path], dict[str, Any]]
#: (case, model, what writes its files, its options).
CASES: list[tuple[str, str, Callable[[Path], Path], _Options]] = [
    ("gc-content", "gc-content", lambda f: f, lambda f: {}),
    ("demo-enformer", "demo-enformer", demo_enformer, lambda f: {}),
    ("demo-enformer plain", "demo-enformer", demo_enformer, lambda f: {"engine": "plain"}),
    ("enformer", "enformer", enformer, _enformer_options),
    ("enformer views", "enformer", enformer, lambda f: _enformer_options(f) | _both(f)),
    ("enformer plain", "enformer", enformer, lambda f: _enformer_options(f) | {"engine": "plain"}),
    ("enformer mouse", "enformer", enformer, lambda f: {"context": 1024, "species": "mouse"}),
    ("basenji2", "basenji2", basenji2, lambda f: {"params": f / "params.json"}),
    (
        "basenji2 plain",
        "basenji2",
        basenji2,
        lambda f: {"params": f / "params.json", "engine": "plain", "iupac": "n"},
    ),
    ("beluga", "beluga", beluga, lambda f: {"windows": 5}),
    ("beluga forward", "beluga", beluga, lambda f: {"strands": "forward"}),
    ("expecto", "expecto", beluga, lambda f: {}),
    ("expecto plain", "expecto", beluga, lambda f: {"engine": "plain"}),
    ("xpresso", "xpresso", xpresso, lambda f: {}),
    (
        "xpresso zero",
        "xpresso",
        xpresso,
        lambda f: {"iupac": "zero", "half_life": [1, 0, 0, 0, 0, 2]},
    ),
    ("borzoi", "borzoi", borzoi, lambda f: {"context": 1024} | {"rc": True, "shifts": [0, 2]}),
    ("alphagenome", "alphagenome", alphagenome, lambda f: {"context": 4096}),
    (
        "flashzoi",
        "flashzoi",
        lambda f: borzoi(f, flashed=True, dim=160, heads=1),
        lambda f: {"context": 1024},
    ),
    ("fine-tuned", "fine-tuned", fine_tuned, lambda f: {}),
]


def load(case: str, folder: Path, device: str = "cpu") -> Any:
    """The reduced network of `case`, its files written into `folder`."""
    _, name, write, options = next(row for row in CASES if row[0] == case)
    return load_model(name, write(folder), device, **options(folder))


def widen(model: Any) -> None:
    """Compute in float64 from now on: values that no processor rounds otherwise."""
    networks = [one for one in (model, getattr(model, "beluga", model)) if hasattr(one, "_network")]
    for one in networks:
        one._network = one._network.double()
        one._table = one._table.double()
    if model.engine == "shared" and hasattr(model, "_tower"):
        model._share(model._split(model._network), "shared")


def windows(model: Any, number: int = 3) -> np.ndarray:
    """uint8 (number, context): a random sequence with substitutions, N and an IUPAC letter."""
    draw = np.random.default_rng(7)
    letters = np.frombuffer(b"ACGT", np.uint8)
    rows = np.tile(draw.choice(letters, model.layout.context), (number, 1))
    for k, row in enumerate(rows[1:], start=1):
        row[draw.integers(0, len(row), 8)] = draw.choice(letters, 8)
        row[len(row) // 2 + 3] = ord("NR"[k % 2])
    return rows


def predict(model: Any) -> np.ndarray:
    """float32 (3, bins, tracks): values of a few bins around the middle and of a few tracks."""
    n_bins, n_tracks = model.layout.n_bins, len(model.tracks)
    bins = sorted({0, n_bins // 2, n_bins - 1})
    tracks = sorted({0, n_tracks // 2, n_tracks - 1}, reverse=True)
    return model.predict(windows(model), bins, tracks)
