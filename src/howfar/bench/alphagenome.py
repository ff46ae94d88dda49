"""AlphaGenome with random weights, of any size: what `howfar bench inference` measures."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from howfar.models.weights.alphagenome import METADATA, ORGANISMS, random_tensor
from howfar.models.zoo.alphagenome import BIN, LONGEST, UNIT, AlphaGenomeModel

__all__ = ["LONGEST", "NARROW", "PUBLISHED", "QUICK", "UNIT", "Measured", "random_weights"]

#: The published widths, and an eighth of them: of a pass over 131,072 bp the tower is 92 and 85 %.
PUBLISHED = {
    **{"channels": 768, "step": 128, "blocks": 9, "heads": 8, "key": 128, "value": 192},
    **{"pair": 128, "pair_heads": 32, "positions": 64, "hidden": 3072, "pair_hidden": 256},
    **{"embedding": 3072, "organisms": 2, "tracks": 768},
}
QUICK = {
    **{"channels": 96, "step": 16, "blocks": 9, "heads": 8, "key": 16, "value": 24},
    **{"pair": 16, "pair_heads": 32, "positions": 64, "hidden": 384, "pair_hidden": 32},
    **{"embedding": 384, "organisms": 2, "tracks": 768},
}
#: Half of that again: for long windows on two cores.
NARROW = {
    **{"channels": 48, "step": 8, "blocks": 9, "heads": 8, "key": 8, "value": 12},
    **{"pair": 8, "pair_heads": 32, "positions": 64, "hidden": 192, "pair_hidden": 16},
    **{"embedding": 192, "organisms": 2, "tracks": 768},
}


def random_weights(folder: Path, sizes: dict[str, int], head: str = "rna_seq") -> Path:
    """Write weights drawn at random, with means of tracks beside them; returns their file."""
    import torch
    from safetensors.torch import save_file

    from howfar.models.engine.alphagenome_network import AlphaGenome, Sizes

    with torch.device("meta"):
        network = AlphaGenome(Sizes(**sizes), head)
    state: dict[str, Any] = {
        name: torch.from_numpy(random_tensor(name, tensor.shape))
        for name, tensor in network.state_dict().items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "model.safetensors")
    means = random_tensor(f"_heads.{head}.track_means", (sizes["organisms"], sizes["tracks"]))
    described = {"means": means.tolist(), "num_tracks": [sizes["tracks"]] * sizes["organisms"]}
    text = json.dumps({"organisms": ORGANISMS[: sizes["organisms"]], "heads": {head: described}})
    (folder / METADATA).write_text(text)
    return folder / "model.safetensors"


class Measured:
    """AlphaGenome as `bench.inference.Subject`: the central bin of one RNA-seq track.

    What it stands beside is the same forward pass on each window by itself: the ports would run
    the decoder to single bases too, as much work again.
    """

    def __init__(self, case: Any, device: str, scorer: Callable, count: Callable) -> None:
        """case: `bench.inference.Case`. scorer, count: its functions of that name."""
        self._case, self._device, self._scorer, self._count = case, device, scorer, count
        with tempfile.TemporaryDirectory() as folder:
            file = random_weights(Path(folder), case.sizes)
            self._one = self._load(file, "plain", "float32", 1)
            self._models = {
                engine: self._load(file, engine, case.precision, case.batch_size)
                for engine in ("plain", "shared")
            }

    def _load(self, file: Path, engine: str, precision: str, batch: int) -> AlphaGenomeModel:
        given = {"engine": engine, "precision": precision, "batch_size": batch}
        return AlphaGenomeModel(file, self._device, context=self._case.windows.shape[1], **given)

    def whole(self) -> Callable[[np.ndarray], np.ndarray]:
        """Return the studies' way: one window at a time, in float32."""
        return self._scorer(self._one)

    def model(self, engine: str) -> AlphaGenomeModel:
        """Return the model with that engine."""
        return self._models[engine]

    def work(self) -> dict[str, float]:
        """Count operations for one window: tower, what follows it for one bin, and both."""
        import torch

        from howfar.models.engine.alphagenome_network import AlphaGenome, Sizes

        sizes, context = Sizes(**self._case.sizes), self._case.windows.shape[1]
        with torch.device("meta"):
            network = AlphaGenome(sizes, "rna_seq").eval()
            one_hot = torch.empty(1, context, 4)
            features = torch.empty(1, context // BIN, sizes.features)
            tower = self._count(lambda: network.tower(one_hot))
            after = self._count(lambda: network.embeddings(features, [context // BIN // 2], 0))
        return {"whole": tower + after, "tower": tower, "after": after}
