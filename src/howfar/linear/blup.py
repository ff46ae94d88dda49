"""Best linear unbiased prediction: every cis variant has an effect, all of equal variance.

The effects' variance relative to the noise comes from REML (`reml`), so nothing is tuned by
cross-validation: ridge regression on standardised dosages with penalty p (1 - h2) / h2. FUSION's
'blup' (GEMMA's ridge) on standardised dosages is the same model.
"""

from __future__ import annotations

import numpy as np

from howfar.linear import reml
from howfar.linear.base import Fit, null_fit, obstacle, standardise

#: Above this h2 the penalty stays as it is here (GEMMA bounds the variance ratio likewise).
_LARGEST = 1 - 1e-5


def effects(z: np.ndarray, y: np.ndarray, basis: reml.Spectrum, h2: float) -> np.ndarray:
    """Predicted effects (p,) of standardised dosages z (people, p) for a known h2 in (0, 1).

    Z' (ZZ' + penalty I)^-1 y with penalty p (1 - h2) / h2, in the eigenbasis of ZZ'/p.
    """
    ratio = (1 - h2) / h2
    along, _ = basis.project(y)
    return z.T @ (basis.vectors @ (along / (basis.values + ratio))) / z.shape[1]


def fit_blup(x: np.ndarray, y: np.ndarray, seed: int, max_p: float | None = None) -> Fit:
    """BLUP of one gene; nothing is random, `seed` is there for the interface.

    x: (people, variants) dosages; y: (people,). max_p: no weights above this p of h2 = 0
    (`reml.FUSION_P` is FUSION's rule); by default only an h2 that isn't positive leaves the gene
    without. details: h2 (unconstrained), h2_se, h2_p, lambda (the penalty on standardised
    dosages), n_selected.
    """
    status = obstacle(x, y)
    if status:
        return null_fit(x, y, status)
    data = standardise(x, y)
    basis, found = reml.of_gene(data)
    if found is None:
        return null_fit(x, y, "no_heritability")
    details = {"h2": found.h2, "h2_se": found.se, "h2_p": found.p}
    if not found.h2 > 0 or (max_p is not None and not found.usable(max_p)):
        return null_fit(x, y, "no_heritability", **details)
    h2, p = min(found.h2, _LARGEST), data.z.shape[1]
    details |= {"lambda": p * (1 - h2) / h2, "n_selected": float(p)}
    return data.fit(effects(data.z, data.y, basis, h2), **details)
