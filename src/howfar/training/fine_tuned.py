"""A network that `howfar finetune` trained, as a `SequenceModel`: a run like any other.

Its folder holds what training changed, ``weights.safetensors``, and ``config.json``: which network
it began from, its head, and who and what was trained on. The network itself is loaded from where
it lies, and its checksum compared.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.core import sealed
from howfar.core.errors import HowfarError, damaged_file, no_such_file
from howfar.models import engine
from howfar.models.base import Card
from howfar.models.engine.attention import Transformer
from howfar.models.engine.averaging import AveragingModel
from howfar.models.engine.options import NetworkOptions, choose
from howfar.models.engine.shared_network import Parts, SharedNetwork
from howfar.models.weights.checkpoint import read_tensors
from howfar.results.policy import began_from

#: Raised when this network's values change by its own code (see `models.engine.VERSION`).
VERSION = 1
CONFIG, TENSORS = "config.json", "weights.safetensors"
_KEYS = {"base", "recipe", "splits", "units"}
_OUTPUTS = {"people": False, "network": True}


@dataclass(frozen=True, kw_only=True)
class FineTunedOptions(NetworkOptions):
    """Options of a fine-tuned network, beside the shared ones.

    rc: mean over both strands; None: where training turned windows. base: weights of the network
    that training began from, where they have moved. output: 'people', the head that was trained on
    people; 'network', the network's own tracks with its changed weights. network: where weights
    are a checkpoint of Rastogi, Reddy et al. 2024, Enformer's options beside the study's own
    (a context of 49,152 bp, N as nothing).
    """

    engine: str = "shared"
    rc: Any = None
    base: str | None = None
    output: str = "people"
    network: Mapping[str, Any] | None = None

    takes = frozenset({"engine", "rc", "precision"})


class FineTunedModel(SharedNetwork, AveragingModel):
    """A fine-tuned network read from its folder: one value per haplotype.

    A person's prediction is the mean of both. Where training saw a person's windows together
    (SAGE-net, the mean of two one-hots), `whole_people` is set and `predict_people` predicts.
    """

    name = "fine-tuned"
    version = engine.versions("fine-tuned", VERSION)
    option_class = FineTunedOptions
    options: FineTunedOptions
    card = Card(
        reads="what the network reads that it was trained from",
        gives="expression, as it was trained on: one number per haplotype",
        checked="training's parts are verified against the authors' own code",
        licence="of the network it was trained from; as private as the people it was trained on",
        extra="training",
        package="peft",
        run="""
weights: results/demo/finetune/NAME # a folder that `howfar finetune` wrote
tracks: [expression]
bins: centre1 # the one that there is
transform: [mean_bins, mean_tracks, mean_haplotypes]
batch_size: 4 # windows at once
""",
    )

    def _locate(self, weights: Path | None) -> Path:
        if weights is not None and weights.is_file():
            return weights
        for file in (CONFIG, TENSORS):
            if weights is None or not (weights / file).is_file():
                do = "Run `howfar finetune`, and name the folder it writes as the run's `weights`."
                where = file if weights is None else weights / file
                raise no_such_file(where, "the folder of a fine-tuned network", do)
        return weights / TENSORS

    def _describe(self, file: Path) -> None:
        from howfar.training.build import build
        from howfar.training.recipe import Recipe

        own = file.name == TENSORS and file.with_name(CONFIG).is_file()
        config = read_config(file.with_name(CONFIG)) if own else self._of_checkpoint(file)
        self._config, self._own_layout = config, own
        self.made = " ".join(began_from(file.parent))
        base = config["base"]
        if base is not None and self.options.base is not None:
            base = base | {"weights": self.options.base}
        self.recipe = Recipe(**config["recipe"])
        self.built = build(base, self.recipe, self.device)
        model = self.built.model
        if base is not None and model.weights_sha256 != base["weights_sha256"]:
            raise HowfarError(
                str(base["weights"]),
                found="other weights than training began from",
                expected=f"those of SHA-256 {base['weights_sha256'][:12]}...",
                do="Name where those lie as the option `base` of the run, or train again.",
            )
        no_head = getattr(self.built.network, "head", 1) is None  # its own heads alone were trained
        self._of_network = choose(self.name, "output", self.options.output, _OUTPUTS) or no_head
        if self._of_network and model is None:
            choose(self.name, "output", self.options.output, {"people": False})
        self.oriented = self.built.reads.oriented
        self.whole_people = self.built.whole_people and not self._of_network
        if self._of_network:
            while isinstance(model, FineTunedModel):  # trained further
                model = model.built.model
            self._own = model
            self.layout, self.tracks, self.units = model.layout, model.tracks, model.units
        else:
            self.layout, self.units = self.built.layout, config["units"]
            self.tracks = pd.DataFrame({"description": ["expression"]})

    def _of_checkpoint(self, file: Path) -> dict[str, Any]:
        """Describe a checkpoint of Rastogi, Reddy et al. 2024 as if it had been trained here.

        Who was trained on isn't in it, so that nobody counts as held out or not.
        """
        from dataclasses import asdict

        from howfar.core.provenance import digest
        from howfar.training.recipe import recipe_of

        options = {"context": 49_152, "n_value": 0.0} | dict(self.options.network or {})
        base = {"model": "enformer", "weights": str(file), "options": options}
        return {
            "base": base | {"weights_sha256": digest(file)},
            "recipe": asdict(recipe_of("single", {})),
            "splits": {},
            "units": "expression, as the published network was trained",
        }

    def _check_options(self) -> None:
        turned = self.recipe.augment if self.options.rc is None else self.options.rc
        object.__setattr__(self.options, "rc", turned)
        super()._check_options()

    def _letters(self) -> np.ndarray:
        return self.built.table

    def _build(self, file: Path) -> Any:
        tensors = read_tensors(file)
        load_changed(
            self.built.network, tensors if self._own_layout else renamed(tensors, file), file
        )
        self.built.merge()
        return self.built.network

    def _split(self, network: Any) -> Parts:
        if not self.built.shares or self._of_network:
            return Parts(lambda x: x, lambda *_: None, 0, 0)
        base, body, head = network.base, network.body, _in_double(network.head)
        bins = self.built.layout.context // self.built.layout.bin_size
        chosen, transformer = head_bins(self.recipe, bins), Transformer(base)

        def after(features: Any, bins: Sequence[int], tracks: Any) -> Any:
            """Run what follows the tower, and the trained head."""
            x = base.final_pointwise(transformer(features, chosen))
            return head(x.double()).float()[:, None, None]

        halo = body.halo(base)
        return Parts(partial(body.tower, base), after, features_of(base), halo, self._views)

    def _share(self, parts: Parts, engine: str, memory: float | None = None) -> None:
        super()._share(parts, engine if parts.halo else "plain", memory)

    def tss_index(self, strand: str) -> int:
        """Return the TSS base's index as the network that training began from."""
        offset = self.built.reads.offset[strand]
        turned = self.oriented and strand == "-"
        return self.layout.context - 1 - offset if turned else offset

    def predict(
        self, windows: np.ndarray, bins: Sequence[int], tracks: Sequence[int]
    ) -> np.ndarray:
        """Predict windows; of SAGE-net, people who have the window twice, without a reference."""
        if self._of_network:
            return self._own.predict(windows, bins, tracks)
        if self.built.model is None:
            raise HowfarError(
                f"model {self.name}",
                found="single windows",
                expected="people: SAGE-net compares both haplotypes with the reference",
                do="Use `howfar predict`; effects of single variants aren't defined for it.",
            )
        return super().predict(windows, bins, tracks)

    def predict_people(self, reference: np.ndarray, windows: np.ndarray, index: Any) -> np.ndarray:
        """Predict people from all their windows: float32 (people, 1, 1).

        reference: uint8 (context,), of the gene. windows: uint8 (n, context). index: (people, 2).
        """
        import torch

        from howfar.training.data import mixed

        if self.built.model is not None:
            kinds, rows = np.unique(index, axis=0, return_inverse=True)
            seen = mixed(windows[kinds[:, 0]], windows[kinds[:, 1]])
            return self.predict(seen, [0], [0])[rows.reshape(-1)]
        every = torch.from_numpy(np.concatenate([reference[None], windows])).to(self.device)
        rows = torch.from_numpy(np.asarray(index) + 1).to(self.device)
        rows = torch.cat([torch.zeros_like(rows[:, :1]), rows], dim=1)
        net = self._network.net
        dense = _in_double(net)
        with torch.inference_mode():
            parts = every.split(self.batch_size)
            features = [net.trunk(self._table[p.long()].transpose(1, 2)) for p in parts]
            features = torch.cat(features).double()
            found = dense.compared(*(features[rows[:, k]] for k in range(3)))
        return found[:, self.recipe.column].float().cpu().numpy()[:, None, None]

    def _values(self, one_hot: Any, bins: Sequence[int], tracks: Any) -> Any:
        head = _in_double(self._network.head)
        return head(self._network.embed(one_hot).double()).float()[:, None, None]

    def region_of(self, gene_id: str) -> str | None:
        """Return 'train' for a gene that was trained on, 'test' for one that was not."""
        kind = self._config["splits"].get("genes", {}).get(gene_id)
        return None if kind is None else "test" if kind == "unseen" else "train"

    @property
    def splits(self) -> Mapping[str, Any]:
        """Who and what was trained on: `people` by class and part, `genes`, `definition`."""
        return self._config["splits"]


def _in_double(module: Any) -> Any:
    """Copy what makes the value in float64, so that rounding doesn't depend on a window's place."""
    return copy.deepcopy(module).double()


#: The authors' names of the parts of the head.
_HEAD = {"attention_pool.attention.": "head.attention.", "prediction_head.": "head.prediction."}


def renamed(tensors: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Return a checkpoint of Rastogi, Reddy et al. 2024 under this package's names.

    HowfarError where it has no head that was trained on people (the strategies that read a track).
    """
    found = dict(tensors)
    for theirs, ours in _HEAD.items():
        for part in ("weight", "bias"):
            if theirs + part not in found:
                raise HowfarError(
                    str(file),
                    found=f"no tensor {theirs}{part}",
                    expected="a checkpoint with the head of Rastogi, Reddy et al. 2024, or a "
                    "folder that `howfar finetune` wrote",
                    do="Take `model: enformer` with these weights where a track was trained.",
                )
            found[ours + part] = found.pop(theirs + part)
    return found


def features_of(base: Any) -> int:
    """Return the channels of an Enformer's tower."""
    return int(base.conv_tower[-1][0][2].out_channels)


def head_bins(recipe: Any, bins: int) -> list[int]:
    """Return the bins that a recipe's head reads, of so many."""
    from howfar.training.heads import centre

    return [bins // 2] if recipe.head == "centre" else list(range(bins))[centre(bins)]


def read_config(path: Path) -> dict[str, Any]:
    """Read a fine-tuned network's config.json; HowfarError where it is damaged."""
    config = sealed.read_json(path)
    if missing := _KEYS - set(config):
        raise damaged_file(path, f"no {', '.join(sorted(missing))}", "a fine-tuned network")
    return config


def load_changed(network: Any, tensors: Mapping[str, Any], file: Path) -> None:
    """Put what training changed into a network; HowfarError for tensors that it doesn't have."""
    known = network.state_dict()
    wrong = [n for n, t in tensors.items() if n not in known or known[n].shape != t.shape]
    if wrong:
        raise damaged_file(file, f"{wrong[0]} doesn't fit the network", "what training changed")
    network.load_state_dict(dict(tensors), strict=False)
