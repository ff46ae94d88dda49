"""Drivers: the few variants that carry a prediction over people, by the rules of two studies.

Arrays of one gene: `effects` (variants,) what one more copy does to the prediction (an attribution,
or a linear model's weight), `copies` (variants, people), `prediction` (people,). A variant's
contribution is its effect times its copies; where either is missing it contributes nothing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar import stats
from howfar.eqtl.lead import covariate_basis, filled, scan

#: Least gain of a driver, as a share of R (Sasse) or as a correlation (Rastogi).
GAIN = 0.05
#: Significance of a driver's own correlation, over all variants of the gene.
LEVEL = 0.01


def contributions(effects: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Multiply each variant's effect with its copies; 0 where one of them is missing."""
    return np.nan_to_num(np.asarray(effects, float)[:, None] * np.asarray(copies, float))


def approximation(effects: np.ndarray, copies: np.ndarray, prediction: np.ndarray) -> float:
    """Correlate the sum of all contributions with the prediction: Pearson r, NaN where flat."""
    total = contributions(effects, copies).sum(axis=0)
    return float(stats.pearson_rows(total, prediction)[0][0])


def _as_they_are(sums: np.ndarray) -> np.ndarray:
    return sums


def _log(sums: np.ndarray) -> np.ndarray:
    """Take log10(1 + x - min x) of every row: the study's option for skewed predictions."""
    return np.log10(1 + sums - sums.min(axis=-1, keepdims=True))


def _alone(c: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlate each contribution with the prediction; whether it passes by sign and p."""
    r, n = stats.pearson_rows(c, prediction)
    passes = (r > 0) & (stats.correlation_p(r, n - 2) < LEVEL / len(c))
    return r, passes


def _by_size(effects: np.ndarray) -> np.ndarray:
    """Order variants by decreasing size of their effect; ties as they stand, missing ones last."""
    return np.argsort(-np.abs(effects), kind="stable")


def sasse_forward(
    effects: np.ndarray, copies: np.ndarray, prediction: np.ndarray, log: bool = False
) -> pd.DataFrame:
    """Select drivers as Sasse et al. 2023: variants are added one by one, largest effect first.

    Every variant stays in the running sum, driver or not. Returns one row per driver, in this
    order: variant (index), r_all (R: of the sum of all), r_alone, r_sum (of the sum so far), loss
    (share of R that is lost without the variant), gain (share of R by which the sum so far gains).
    log: correlate log10(1 + x - min x) of every sum x.
    """
    scaled = _log if log else _as_they_are
    effects = np.asarray(effects, float)
    c = contributions(effects, copies)
    order = _by_size(effects)
    alone, passes = _alone(scaled(c), prediction)
    total = c.sum(axis=0)
    whole = _r(scaled(total), prediction)
    so_far, _ = stats.pearson_rows(scaled(np.cumsum(c[order], axis=0)), prediction)
    gain = np.diff(np.nan_to_num(so_far) / whole, prepend=0)
    chosen = np.flatnonzero((gain > GAIN) & passes[order])
    without = [_r(scaled(total - c[v]), prediction) for v in order[chosen]]
    return pd.DataFrame(
        {
            "variant": order[chosen],
            "r_all": whole,
            "r_alone": alone[order[chosen]],
            "r_sum": so_far[chosen],
            "loss": (whole - np.asarray(without, float)) / whole,
            "gain": gain[chosen],
        }
    )


def _r(x: np.ndarray, y: np.ndarray) -> float:
    return float(stats.pearson_rows(x, y)[0][0])


def sasse_backward(
    effects: np.ndarray, copies: np.ndarray, prediction: np.ndarray, log: bool = False
) -> pd.DataFrame:
    """Select drivers as Sasse et al. 2023, backward: drop the variant whose loss costs most of R.

    Ends when the rest no longer correlates. Returns one row per driver, in the order they are
    dropped: variant (index), r_all, r_alone, gain (share of R that the rest loses in this round),
    loss (share lost without this variant alone). log: as `sasse_forward`.
    """
    scaled = _log if log else _as_they_are
    c = contributions(effects, copies)
    alone, passes = _alone(scaled(c), prediction)
    rest = c.sum(axis=0)
    whole = _r(scaled(rest), prediction)
    left, rows, removed = np.flatnonzero(passes), [], 0.0
    once = (whole - stats.pearson_rows(scaled(rest - c), prediction)[0]) / whole
    while len(left) and _alone_one(scaled(rest), prediction, len(c)):
        without, _ = stats.pearson_rows(scaled(rest - c[left]), prediction)
        lost = 1 - np.nan_to_num(without) / whole
        place = int(np.argmax(lost))
        v = left[place]
        rows.append((v, whole, alone[v], lost[place] - removed, once[v]))
        rest, removed = rest - c[v], lost[place]
        left = np.delete(left, place)
    return _frame(rows, ["variant", "r_all", "r_alone", "gain", "loss"])


def _alone_one(x: np.ndarray, prediction: np.ndarray, tests: int) -> bool:
    r, n = stats.pearson_rows(x, prediction)
    return bool(r[0] > 0 and stats.correlation_p(r, n - 2)[0] < LEVEL / tests)


def rastogi(effects: np.ndarray, copies: np.ndarray, prediction: np.ndarray) -> pd.DataFrame:
    """Select drivers as Rastogi, Reddy et al. 2024: only accepted variants stay in the sum.

    Returns one row per driver, in order of the size of effects: variant (index), r_all, r_alone,
    r_sum (of the sum of drivers so far), gain (of r, not a share).
    """
    effects = np.asarray(effects, float)
    c = contributions(effects, copies)
    alone, n = stats.pearson_rows(c, prediction)
    adjusted = stats.correlation_p(alone, n - 2) * len(c)
    passes = (alone >= 0) & (adjusted <= LEVEL)
    kept, best, rows = np.zeros(c.shape[1]), 0.0, []
    whole, order = _r(c.sum(axis=0), prediction), _by_size(effects)
    for v in order[passes[order]]:
        r = _r(kept + c[v], prediction)
        if r >= best + GAIN:
            rows.append((v, whole, alone[v], r, r - best))
            kept, best = kept + c[v], r
    return _frame(rows, ["variant", "r_all", "r_alone", "r_sum", "gain"])


def slopes(copies: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Fit expression on the copies of each variant alone: the eQTL's slope, NaN without variation.

    copies: (variants, people), missing ones at the variant's mean; people without expression are
    left out.
    """
    measured = ~np.isnan(observed)
    genotype = filled(np.asarray(copies, float)[:, measured].T)
    return scan(genotype, observed[measured], covariate_basis(None, int(measured.sum()))).slope


def _frame(rows: list[tuple], columns: list[str]) -> pd.DataFrame:
    kinds = dict.fromkeys(columns, float) | {"variant": int}
    return pd.DataFrame(rows, columns=columns).astype(kinds)
