"""The demo world's small Enformer (after Avsec et al. 2021, Nature Methods 18:1196).

`howfar train` writes its folder: ``weights.safetensors`` and ``config.json`` (hyper-parameters,
tracks, regions of the genes).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from howfar.core import sealed
from howfar.core.errors import HowfarError, no_such_file
from howfar.models import engine
from howfar.models.base import Card, Layout
from howfar.models.engine.enformer_network import build_network, embeddings, split
from howfar.models.engine.options import NetworkOptions
from howfar.models.engine.shared_network import Parts, SharedNetwork
from howfar.models.weights.checkpoint import assemble

#: Raised when this network's values change by its own code (see `models.engine.VERSION`).
VERSION = 1
CONFIG, TENSORS = "config.json", "weights.safetensors"


@dataclass(frozen=True, kw_only=True)
class DemoEnformerOptions(NetworkOptions):
    """Options of the demo's Enformer: `engine` and `batch_size`."""

    engine: str = "shared"

    takes = frozenset({"engine"})


class DemoEnformerModel(SharedNetwork):
    """A small Enformer read from a folder of weights.

    Values are the head's outputs (linear, after softplus) in the units of ``config.json``.
    """

    name = "demo-enformer"
    version = engine.versions("demo-enformer", VERSION)
    option_class = DemoEnformerOptions
    card = Card(
        reads="8,192 bp of the simulated genome, forward strand",
        gives="256 bins of 32 bp, simulated CAGE",
        checked="trained here by `howfar train`; verified against the world's known truth",
        licence="MIT",
        run="""
weights: results/demo/weights # `howfar run --study demo` trains them
tracks: ["CAGE:cell type A"]
bins: centre3 # the TSS bin and one either side
transform: [sum_bins, mean_tracks, mean_haplotypes, log]
batch_size: 8
""",
    )

    def _locate(self, weights: Path | None) -> Path:
        if weights is None:
            raise HowfarError(
                f"model {self.name}",
                found="no `weights`",
                expected="the folder of its weights",
                do="Set `weights` in the run of the study file.",
            )
        for file in (CONFIG, TENSORS):
            if not (weights / file).is_file():
                do = "Train it (`howfar train` trains the demo cohort's) or correct `weights`."
                raise no_such_file(weights / file, f"the weights of {self.name}", do)
        return weights / TENSORS

    def _describe(self, file: Path) -> None:
        config = self._config = _read_config(file.with_name(CONFIG))
        context, size = config["context"], config["bin_size"]
        self.layout = Layout(context, size, context // size)
        self.tracks = pd.DataFrame({"description": config["tracks"]})
        self.units = config["units"]

    def _build(self, file: Path) -> Any:
        return assemble(lambda: build_network(self._config["hparams"]), file)

    def _split(self, network: Any) -> Parts:
        return split(network, self._head)

    def region_of(self, gene_id: str) -> str | None:
        """Return 'train', 'valid' or 'test', by the gene's contig; None if not known."""
        return self._config["regions"].get(gene_id)

    def _forward(self, bases: Any, bins: Sequence[int], tracks: Any) -> Any:
        return self._head(embeddings(self._network, self._one_hot(bases), bins), tracks)

    def _head(self, x: Any, tracks: Any) -> Any:
        linear, positive = self._network.heads["human"]
        # The head in float64: vectorised softplus rounds by a row's place in the batch, by one
        # unit in the last place of float32.
        weight, bias = linear.weight[tracks].double(), linear.bias[tracks].double()
        return positive(x.double() @ weight.T + bias).float()


def _read_config(path: Path) -> dict[str, Any]:
    """Read config.json of the weights' folder; HowfarError where it doesn't fit the network."""
    sealed.check(path)
    try:
        config = json.loads(path.read_text())
        missing = {"hparams", "context", "bin_size", "tracks", "units", "regions"} - set(config)
    except (ValueError, TypeError) as error:
        config, missing = {}, {f"readable JSON ({error})"}
    found = f"no {', '.join(sorted(missing))}" if missing else _unfit(config)
    if found:
        expected = "the file that the training writes"
        raise HowfarError(str(path), found=found, expected=expected, do="Train the model again.")
    return config


def _unfit(config: dict[str, Any]) -> str:
    """Say what in config.json doesn't fit the network; '' where all does.

    Its tensors fit whatever the lengths of window, bin and list of tracks are.
    """
    hparams, tracks = config["hparams"], config["tracks"]
    if not isinstance(hparams, dict) or hparams.get("use_tf_gamma"):
        return "`hparams` of no network for any length"
    halvings, heads = hparams.get("num_downsamples"), hparams.get("output_heads")
    size = config["bin_size"]
    whole = type(halvings) is int and type(size) is int
    if not whole or not 1 <= halvings <= 20 or size != 2**halvings:
        return f"`bin_size` {size!r} for {halvings!r} halvings of the window"
    if type(hparams.get("depth")) is not int or not 1 <= hparams["depth"] <= 100:
        return f"`depth` {hparams.get('depth')!r}"
    context = config["context"]
    if type(context) is not int or context < 1 or context % size:
        return f"`context` {context!r}, not a number of whole bins"
    named = isinstance(tracks, list) and all(isinstance(t, str) and t.strip() for t in tracks)
    if not named or not isinstance(heads, dict) or heads.get("human") != len(tracks):
        return "`tracks` that aren't the names of the network's outputs"
    good = isinstance(config["units"], str) and isinstance(config["regions"], dict)
    return "" if good else "`units` or `regions` of another kind"
