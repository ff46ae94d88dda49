"""Versions of the layers: numbers that say whether a kept result is still what the code makes.

Each package that decides values has ``VERSION`` in its ``__init__``, raised by hand when its
values change; a golden table per layer (``tests/<layer>/golden.csv``) fails where values change
and the number doesn't.
"""

from __future__ import annotations

from importlib import import_module

#: The packages with a version, which provenance blocks list.
VERSIONED = (
    "attribution",
    "cohort",
    "eqtl",
    "evaluation",
    "genome",
    "linear",
    "prediction",
    "published",
    "simulate",
    "stacking",
    "stats",
    "training",
)


def versions_of(*layers: str) -> dict[str, int]:
    """Return the version of each layer ("genome", "eqtl", ...) by its name."""
    return {layer: int(import_module(f"howfar.{layer}").VERSION) for layer in sorted(layers)}
