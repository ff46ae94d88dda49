"""Sequence-to-expression models: interface, registry, engine, weights, and the zoo of networks."""

from howfar.models.base import Layout, SequenceModel

__all__ = ["Layout", "SequenceModel"]
