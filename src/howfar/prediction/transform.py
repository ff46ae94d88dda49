"""From raw model outputs to one number per person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from howfar.core.errors import HowfarError

_ELEMENTWISE = {
    "log": np.log,
    "log1p": np.log1p,
    "log2p1": lambda x: np.log2(1 + x),
    "log10p1": lambda x: np.log10(1 + x),
}


_AXES = {"haplotypes": 1, "bins": 2, "tracks": 3}


_REDUCE = {"sum": np.sum, "mean": np.mean}


def transform(values: np.ndarray, steps: Sequence[str]) -> np.ndarray:
    """One number a person from raw outputs (people, 2 haplotypes, bins, tracks).

    `steps` are applied in order: ``log``; ``log1p``, ``log2p1``, ``log10p1`` (of 1 + x); and
    ``sum_`` or ``mean_`` of ``haplotypes``, ``bins``, ``tracks``, each exactly once. The order
    matters: a mean of logs is not the log of a mean. A value without a logarithm is an error.
    """
    check_transform(steps)
    x = np.asarray(values, np.float64)
    for step in steps:
        if step in _ELEMENTWISE:
            x = _logarithm(x, step)
        else:
            how, axis = step.split("_")
            x = _REDUCE[how](x, axis=_AXES[axis], keepdims=True)
    return x[:, 0, 0, 0]


def reference_prediction(values: np.ndarray, steps: Sequence[str]) -> float:
    """The transformed prediction of the reference (row 0 of `values`), on both haplotypes."""
    return float(transform(values[np.zeros((1, 2), int)], steps)[0])


def _logarithm(x: np.ndarray, step: str) -> np.ndarray:
    lowest = 0.0 if step == "log" else -1.0
    if not (x > lowest).all():
        raise HowfarError(
            f"transform step {step}",
            found=f"a value of {x.min():.4g}",
            expected=f"values above {lowest:g}",
            do="Correct the run's `transform` in the study file, or use log1p instead of log.",
        )
    return _ELEMENTWISE[step](x)


def check_transform(steps: Sequence[str]) -> None:
    """Raise HowfarError unless `steps` are known and reduce each axis exactly once."""
    reductions = [s.split("_")[1] for s in steps if s not in _ELEMENTWISE and "_" in s]
    known = {f"{how}_{axis}" for how in _REDUCE for axis in _AXES} | set(_ELEMENTWISE)
    if not set(steps) <= known or sorted(reductions) != sorted(_AXES):
        raise HowfarError(
            "transform",
            found=f"the steps {', '.join(steps) or 'none'}",
            expected="each of haplotypes, bins and tracks reduced once, by steps of "
            f"{', '.join(sorted(known))}",
            do="Correct the run's `transform` in the study file.",
        )
