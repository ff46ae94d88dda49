"""Sequence-to-expression models behind one interface (`base.SequenceModel`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from howfar.core import registry
from howfar.core.errors import HowfarError, refused_option
from howfar.core.extras import require_addresses
from howfar.models.base import Card, Layout, SequenceModel
from howfar.models.engine.options import refused
from howfar.models.replicates import load_replicates
from howfar.models.tracks import TrackTable

__all__ = [
    "MODELS",
    "Layout",
    "Model",
    "SequenceModel",
    "licence_of",
    "load_model",
    "version_of",
]


@dataclass(frozen=True)
class Model:
    """A network of the zoo before its weights are loaded.

    `network`: its class, called as network(weights, device, **options).
    """

    name: str
    title: str
    network: Any

    @property
    def card(self) -> Card:
        """What a user wants to know of it."""
        return self.network.card

    @property
    def sources(self) -> tuple[str, ...]:
        """Ids of ``data/sources.csv`` that `howfar fetch <name>` brings, its weights first."""
        return self.card.sources


class _Models(Mapping[str, Model]):
    """Networks of the zoo by name; a module is imported, without torch, when it is asked for."""

    def __getitem__(self, name: str) -> Model:
        entry = registry.MODELS[name]
        return Model(name, entry.help, entry.load())

    def __iter__(self) -> Iterator[str]:
        return iter(registry.MODELS)

    def __len__(self) -> int:
        return len(registry.MODELS)

    def __contains__(self, name: object) -> bool:
        return name in registry.MODELS


#: Models by name.
MODELS: Mapping[str, Model] = _Models()


def load_model(
    name: str, weights: str | Path | None = None, device: str = "auto", **options: Any
) -> SequenceModel:
    """Load the model of that name, ready to predict.

    name: of `MODELS`, or ``package.module:loader`` for a model of your own; the loader is called
    as loader(weights, device, **options) and returns a `SequenceModel`.
    weights: the model's file or folder of weights; None: what `howfar fetch` brought. device:
    'cpu', 'cuda', 'cuda:1', or 'auto' (CUDA where there is one). options: passed to the model.
    Raises HowfarError for an unknown name or option, an absent device, missing or unsuitable
    weights, and a model of your own that doesn't keep to `SequenceModel`.

    Examples
    --------
    >>> import howfar as hf
    >>> model = hf.load_model("gc-content", context=1_024)
    >>> model.layout.n_bins, model.units
    (8, 'share of G and C')
    """
    if "batch_size" in options:
        _check_batch_size(name, options["batch_size"])
    path = None if weights is None else Path(weights)
    if _is_own(name):
        from howfar.models.zoo.user_model import load_own

        return _with_finder(load_own(name, path, _device(device), options))
    require_addresses()
    try:
        network = MODELS[name].network
        replicates = load_replicates(network, path, device, options)
        return _with_finder(replicates or network(path, device, **options))
    except TypeError as error:  # an option of another kind than the network computes with
        if not options:
            raise
        raise refused(f"model {name}", refused_option(error)) from error


def _with_finder(model: SequenceModel) -> SequenceModel:
    """Give a model's table of tracks the method `find`."""
    model.tracks = TrackTable(model.tracks)
    return model


def track_table(name: str) -> TrackTable:
    """Return the tracks of a model, by its published table where that needs no weights."""
    published = None if _is_own(name) else MODELS[name].network.published_tracks()
    return TrackTable(load_model(name).tracks if published is None else published)


def version_of(name: str) -> dict[str, int | str]:
    """Return the versions of the code that decides a model's values, without its weights.

    Of a network of the zoo its number and the engine's; of a model of your own the SHA-256 of
    each module that its loader and its classes are from. A loaded model has it as `version`.
    """
    if _is_own(name):
        from howfar.models.zoo.user_model import loader_version

        return loader_version(name)
    return dict(MODELS[name].network.version)


def licence_of(name: str) -> str:
    """Return the licence of a model's weights, which its values carry; '' of one of your own."""
    return MODELS[name].card.licence if name in MODELS else ""


def _device(wanted: str) -> str:
    """Resolve 'auto', which a model of the user's own need not know; without torch, the CPU."""
    if wanted != "auto" or find_spec("torch") is None:
        return "cpu" if wanted == "auto" else wanted
    require_addresses()
    from howfar.models.engine.network import pick_device

    return pick_device(wanted)


def _is_own(name: str) -> bool:
    """Whether `name` is ``package.module:loader``; HowfarError where it is no model's."""
    if name in MODELS or ":" in name:
        return name not in MODELS
    raise HowfarError(
        f"model {name!r}",
        found="no model of that name",
        expected=f"one of {', '.join(sorted(MODELS))}, or package.module:loader of your own",
        do="Correct the run's `model` in the study file.",
    )


def _check_batch_size(name: str, size: Any) -> None:
    """HowfarError unless `size` is a number of windows: others hang a network or skip windows."""
    if type(size) is not int or size < 1:
        raise HowfarError(
            f"model {name}, batch_size",
            found=repr(size),
            expected="a whole number of windows, 1 or more",
            do="Correct `batch_size`.",
        )
