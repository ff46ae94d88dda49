"""A model of which nothing is known but `predict`: its networks found, and run shared.

While such a model predicts, the PyTorch modules that it calls on whole windows are seen. The first
one, from the outermost inwards, that `shared_module` can share is replaced by its shared form, for
as long as the model predicts; all around it stays the model's own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np

from howfar.models.base import SequenceModel
from howfar.models.engine.agreement import difference, ended

#: Numbers for each base that a module may be given to count as one that reads the sequence.
_CHANNELS = 6
_SHORTEST = 64  # bp
#: Different numbers in the input of such a module, for a sequence of A, C, G and T.
_LETTERS = 4
#: Of the largest value: how far sharing may differ by rounding.
_ROUNDING = {"bfloat16": 3e-2}
_ROUNDING_FLOAT32 = 3e-5


class Sharing:
    """The networks of one model, shared where they can be."""

    def __init__(self, model: SequenceModel, engine: str) -> None:
        """engine: 'shared', or 'plain' for a model that is to be left as it is."""
        self._model, self._wanted = model, engine == "shared" and model.engine == "plain"
        self._reason = ""

    @cached_property
    def _found(self) -> tuple[dict[Any, Any], str]:
        """Modules with their shared form, and words on them, or on why there is none."""
        if not self._wanted or "torch" not in sys.modules:
            return {}, ""
        from howfar.models.engine.locality import NotLocal
        from howfar.models.engine.shared_module import share
        from howfar.models.engine.shared_network import room

        found: dict[Any, Any] = {}
        words, reason = [], ""
        for module, x, precision in self._called():
            if any(module in set(outer.modules()) for outer in found):
                continue
            try:
                with precision:
                    memory = room(str(x.device)) / 2 ** len(found)
                    found[module] = share(module.forward, x, memory)
                words.append(f"{type(module).__name__} is {found[module].boundary}.")
            except NotLocal as error:
                reason = reason or f"{type(module).__name__} isn't shared: {error}."
        if reason and not found:
            print(f"howfar: model {self._model.name}: {reason}", file=sys.stderr)
        return found, " ".join(words) or reason

    @property
    def modules(self) -> dict[Any, Any]:
        """Modules that are shared, with their shared form."""
        return {} if self._reason else self._found[0]

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence on what is shared, or why nothing is; none for a model without a network."""
        words = self._reason or self._found[1]
        return (words,) if words else ()

    @contextmanager
    def on(self) -> Iterator[None]:
        """Have the networks share within, wherever they are called with whole windows."""
        modules = self.modules
        try:
            for module, shared in modules.items():
                module.forward = self._in_place_of(module.forward, shared)
            yield
        finally:
            for module in modules:
                del module.forward

    def agrees(self, shared: np.ndarray, plain: np.ndarray) -> bool:
        """Whether values (windows, bins, tracks) are those without sharing; else it ends here."""
        if not self.modules:
            return True
        part = _ROUNDING.get(self._model.precision, _ROUNDING_FLOAT32)
        reason = difference(shared, plain, part)
        if reason:
            self._end(reason)
        return not reason

    def _end(self, reason: str) -> None:
        self._reason = ended(self._model, reason)

    def _in_place_of(self, plain: Any, shared: Any) -> Any:
        """Return a `forward` that shares what fits, and is `plain` for anything else."""
        from howfar.models.engine.locality import NotLocal

        def forward(*given: Any, **more: Any) -> Any:
            """Share where the input is of the kind that was looked at; else run plain."""
            if len(given) == 1 and not more and not self._reason and shared.fits(given[0]):
                try:
                    return shared(given[0])
                except NotLocal as error:
                    self._end(str(error))
            return plain(*given, **more)

        return forward

    def _called(self) -> list[tuple[Any, Any, Any]]:
        """List modules that the model calls on a sequence, the outermost first.

        With each, what it is given, and the automatic precision that it is called in.
        """
        import torch
        from torch.nn.modules.module import register_module_forward_pre_hook

        calls: dict[Any, tuple[Any, Any]] = {}
        draw = np.random.default_rng(0)
        letters = np.frombuffer(b"ACGT", np.uint8)
        windows = draw.choice(letters, (2, self._model.layout.context))

        def seen(module: Any, given: tuple[Any, ...]) -> None:
            """Keep what a module is given the first time, and under which autocast."""
            if module in calls or len(given) != 1 or not _reads(given[0]):
                return
            kind = given[0].device.type
            on, to = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
            calls[module] = given[0].detach(), torch.autocast(kind, to, enabled=on)

        hook = register_module_forward_pre_hook(seen)
        try:
            tracks = [int(self._model.tracks.index[0])]
            self._model.predict(windows, [self._model.layout.n_bins // 2], tracks)
        except Exception:  # comes up again, with its message, when windows are predicted
            return []
        finally:
            hook.remove()
        return [(module, *with_what) for module, with_what in calls.items()]


def _reads(x: Any) -> bool:
    """Whether a module's input is a batch of sequences, one-hot or alike."""
    import torch

    if not isinstance(x, torch.Tensor) or not x.is_floating_point() or x.ndim < 3 or not len(x):
        return False
    longest = max(x.shape[1:])
    small = longest >= _SHORTEST and x[0].numel() <= _CHANNELS * longest
    return small and len(x[0].unique()) <= _LETTERS
