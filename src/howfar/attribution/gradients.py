"""Attribution by gradients: plain, integrated (captum) and DeepLIFT/SHAP (tangermeme).

All are of one number, the mean over bins and tracks before any transform of a run, with respect to
the one-hot window; strands and shifts are averaged as the model does.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from howfar.core.errors import HowfarError
from howfar.core.extras import require_module
from howfar.models.base import SequenceModel
from howfar.models.engine.network import NetworkModel
from howfar.models.engine.precision import arithmetic
from howfar.models.weights.locating import first_line

#: Points along the path of integrated gradients; references of DeepLIFT/SHAP.
STEPS, REFERENCES = 50, 20
#: DeepLIFT's contributions must add up to the difference from the references, but for this share.
_UNEXPLAINED = 0.01


class _Mean:
    """The mean over bins and tracks, as a function of one-hot windows (n, context, 4)."""

    def __init__(self, model: SequenceModel, bins: Sequence[int], tracks: Sequence[int]) -> None:
        import torch

        if not isinstance(model, NetworkModel):
            raise HowfarError(
                f"model {model.name}",
                found="a model without gradients",
                expected="a network of PyTorch",
                do="Take --method ism, which needs predictions alone.",
            )
        self.model, self._bins = model, list(bins)
        self._tracks = torch.as_tensor(list(tracks), device=model.device)

    def one_hot(self, window: np.ndarray) -> Any:
        """Return the model's own reading of a window, (1, context, 4)."""
        import torch

        return self.model._table[torch.from_numpy(window[None].astype(np.int64))].clone()

    def __call__(self, one_hot: Any) -> Any:
        """Compute float64 (n,)."""
        import torch

        model = self.model
        # The network's own reading of letters is taken over by one that can be differentiated.
        model.__dict__["_one_hot"] = lambda bases: one_hot
        try:
            letters = torch.zeros(one_hot.shape[:2], dtype=torch.uint8, device=model.device)
            values = model._forward(letters, self._bins, self._tracks)
        finally:
            del model.__dict__["_one_hot"]
        return values.double().mean(dim=(1, 2))

    @contextmanager
    def differentiable(self) -> Iterator[None]:
        """Run what is inside with gradients of the input, in the model's precision."""
        import torch

        with torch.enable_grad(), arithmetic(self.model.precision, self.model.device):
            yield


def gradient(
    model: SequenceModel, bins: Sequence[int], tracks: Sequence[int], window: np.ndarray
) -> np.ndarray:
    """Differentiate the mean over bins and tracks by the one-hot window: float64 (bases, 4)."""
    import torch

    mean = _Mean(model, bins, tracks)
    x = mean.one_hot(window).requires_grad_(True)
    with mean.differentiable():
        (found,) = torch.autograd.grad(mean(x).sum(), x)
    return np.asarray(found[0].double().cpu())


def integrated(
    model: SequenceModel, bins: Sequence[int], tracks: Sequence[int], window: np.ndarray
) -> np.ndarray:
    """Integrate gradients from a window of N to the window (Sundararajan et al. 2017): (bases, 4).

    Their sum over letters and bases is the prediction's difference from that of N alone.
    """
    require_module("captum")
    from captum.attr import IntegratedGradients

    mean = _Mean(model, bins, tracks)
    start, end = (mean.one_hot(w) for w in (np.full_like(window, ord("N")), window))
    with mean.differentiable():
        found = IntegratedGradients(mean).attribute(
            end, start, n_steps=STEPS, internal_batch_size=1
        )
    return np.asarray(found[0].detach().double().cpu())


def deeplift_shap(
    model: SequenceModel, bins: Sequence[int], tracks: Sequence[int], window: np.ndarray
) -> np.ndarray:
    """DeepLIFT/SHAP against shuffles that keep dinucleotides (tangermeme): (bases, 4).

    0 but for the base that is there. HowfarError where the rules don't fit the network: what they
    give must add up to the difference from the references.
    """
    require_module("tangermeme")
    import torch
    from tangermeme.deep_lift_shap import deep_lift_shap
    from tangermeme.ersatz import dinucleotide_shuffle

    mean = _Mean(model, bins, tracks)

    class Module(torch.nn.Module):
        """The network, found by hooks on its layers, from (n, 4, context) to (n, 1)."""

        def __init__(self) -> None:
            super().__init__()
            self.network = mean.model.network

        def forward(self, x: Any) -> Any:
            """Return the mean output of one-hot letters (n, 4, bp): (n, 1)."""
            return mean(x.transpose(1, 2).to(mean.model._table.dtype))[:, None]

    known = np.isin(window, np.frombuffer(b"ACGT", np.uint8))
    if not known.all():
        raise _unfit(model, f"{int((~known).sum())} bases that are not A, C, G or T")
    x = mean.one_hot(window).transpose(1, 2)
    references = dinucleotide_shuffle(x.float(), n=REFERENCES, random_state=1).to(x.dtype)
    module = Module()
    try:
        with mean.differentiable(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whether it adds up is looked at below
            found = deep_lift_shap(
                module, x, references=references, batch_size=1, device=model.device
            )
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        raise _unfit(model, first_line(error)) from error
    with torch.no_grad():
        ends = torch.cat([module(one[None]) for one in (x[0], *references[0])])[:, 0]
    wanted, given = float(ends[0] - ends[1:].mean()), float(found.sum())
    if abs(given - wanted) > _UNEXPLAINED * float((ends[0] - ends[1:]).abs().mean()):
        words = f"contributions of {given:.4g} in all, a difference of {wanted:.4g}"
        raise _unfit(model, words)
    return np.asarray(found[0].T.double().cpu())


def _unfit(model: SequenceModel, why: str) -> HowfarError:
    return HowfarError(
        f"model {model.name}, deeplift_shap",
        found=why,
        expected="a network whose non-linear layers are modules of PyTorch that DeepLIFT has rules "
        "for, so that contributions add up to the difference from the references",
        do="Take --method ism, gradient or integrated_gradients.",
    )
