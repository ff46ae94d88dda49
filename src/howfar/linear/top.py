"""The top SNP, as in FUSION (Gusev et al. 2016, Nat Genet 48:245)."""

from __future__ import annotations

import numpy as np

from howfar.linear.base import Fit, null_fit, obstacle, standardise


def fit_top1(x: np.ndarray, y: np.ndarray, seed: int = 0) -> Fit:
    """The variant with the largest squared marginal z, with its least-squares slope.

    FUSION's weight of the variant is z itself; here the slope, so that predictions are in units
    of expression, which no correlation sees. Of several equal ones the first is taken. details: z.
    """
    problem = obstacle(x, y)
    if problem:
        return null_fit(x, y, problem)
    std = standardise(x, y)
    slopes = std.z.T @ std.y / len(y)
    top = int(np.argmax(np.round(np.abs(slopes), 12)))
    beta = np.zeros(len(slopes))
    beta[top] = slopes[top]
    z = slopes[top] * np.sqrt(len(y))
    return std.fit(beta, z=float(z), n_selected=1)
