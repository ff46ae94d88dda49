"""Joint strategies: people together with other data, in one loss.

As published, the pair loss is added twice (the sum starts from itself): `as_published` says so.
"""

from __future__ import annotations

from torch import Tensor


def with_tracks(
    pairs: Tensor, human: Tensor, mouse: Tensor, track: Tensor | None, *, as_published: bool
) -> Tensor:
    """Add the losses of pairs and of both species' tracks.

    track: the loss of the pairs' own track, for classification (added as it is; not doubled in the
    study); None for regression, whose pair loss the study doubles.
    """
    if track is not None:
        return pairs + human + mouse + track
    return (2 if as_published else 1) * pairs + human + mouse


def with_reporters(pairs: Tensor, reporters: Tensor, *, as_published: bool) -> Tensor:
    """Add the losses of pairs and of MPRA variants; the study doubles both."""
    return (2 if as_published else 1) * (pairs + reporters)
