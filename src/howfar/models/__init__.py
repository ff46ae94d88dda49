"""Sequence-to-expression models behind one interface (`base.SequenceModel`)."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import HowfarError
from .base import Layout, SequenceModel

__all__ = ["MODELS", "Layout", "SequenceModel", "load_model"]


def _demo_enformer(weights: Path | None, device: str, **options: Any) -> SequenceModel:
    from .enformer import EnformerModel

    return EnformerModel("demo-enformer", weights, device=device, **options)


#: Loader of each model by name; torch is imported only when one is called.
MODELS: dict[str, Callable[..., SequenceModel]] = {"demo-enformer": _demo_enformer}


def _loader_of(name: str) -> Callable[..., SequenceModel]:
    """The loader that ``package.module:name`` points to: a model of the user's own."""
    module, _, attribute = name.partition(":")
    try:
        if attribute:
            return getattr(import_module(module), attribute)
        found = "no model of that name"
    except (ImportError, AttributeError) as error:
        found = str(error)
    raise HowfarError(
        f"model {name!r}",
        found=found,
        expected=f"one of {', '.join(sorted(MODELS))}, or package.module:loader of your own",
        do="Correct the run's `model` in the study file.",
    )


def load_model(
    name: str, weights: str | Path | None = None, device: str = "auto", **options: Any
) -> SequenceModel:
    """The model of that name, ready to predict.

    name: of `MODELS`, or ``package.module:loader`` for a model of your own; the loader is called
    as loader(weights, device, **options) and returns a `SequenceModel`.
    weights: the model's folder of weights. device: 'cpu', 'cuda', 'cuda:1', or 'auto' (CUDA
    where there is one). options: passed to the model. Raises HowfarError for an unknown name
    or option, an absent device, and missing or unsuitable weights.
    """
    loader = MODELS.get(name) or _loader_of(name)
    try:
        return loader(None if weights is None else Path(weights), device, **options)
    except TypeError as error:
        if not options:
            raise
        raise HowfarError(
            f"model {name}, options {sorted(options)}",
            found=str(error),
            expected="options that this model takes",
            do="Correct the run's `options` in the study file.",
        ) from error
