"""BLUP whose prior variances come from a network's effects of the variants.

The variance of a variant's effect is alpha times what the network gives it plus (1 - alpha) times
an equal share, so that a network can say which variants matter where its signs are worth nothing.
alpha and h2 are chosen by the restricted likelihood in the training people.
"""

from __future__ import annotations

import numpy as np

from howfar.linear import blup, reml
from howfar.linear.base import Fit, null_fit, obstacle, standardise

#: Shares of the variance that follow the network's effects, of which the likelihood picks one.
ALPHAS = (0.0, 0.3, 0.6, 0.9)
_LARGEST = 1 - 1e-5


def fit_prior(x: np.ndarray, y: np.ndarray, seed: int, effects: np.ndarray) -> Fit:
    """BLUP with the kernel alpha G diag(e^2) G' + (1 - alpha) Z Z' / p, each of mean diagonal 1.

    x: (people, variants) dosages G, Z standardised; y: (people,); effects: e, (variants,), per
    copy. alpha is 0 where no effect differs from 0 among variants that vary. Nothing is random;
    `seed` is there for the interface. details: h2 (unconstrained), alpha, n_selected.
    """
    status = obstacle(x, y)
    if status:
        return null_fit(x, y, status)
    data = standardise(x, y)
    count = data.z.shape[1]
    given = (data.sd * np.asarray(effects, float)[data.keep]) ** 2
    informed = given / given.sum() if given.sum() > 0 else None
    best = None
    for alpha in ALPHAS if informed is not None else ALPHAS[:1]:
        share = np.full(count, (1 - alpha) / count)
        if alpha:
            share += alpha * informed
        scale = np.sqrt(share * count)
        basis = reml.spectrum(data.z * scale)
        if not basis.differs:
            continue
        found = reml.estimate(basis, data.y)
        if best is None or found.log_likelihood > best[0].log_likelihood:
            best = found, alpha, scale, basis
    if best is None or not best[0].h2 > 0:
        return null_fit(x, y, "no_heritability")
    found, alpha, scale, basis = best
    h2 = min(found.h2, _LARGEST)
    beta = scale * blup.effects(data.z * scale, data.y, basis, h2)
    return data.fit(beta, h2=found.h2, alpha=alpha, n_selected=float(count))
