"""Overlap of the top variants of two rankings, beside what chance gives.

A ranking is by a score, highest first; equal scores keep their order, missing ones come last.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from howfar import stats
from howfar.core.errors import HowfarError

#: Sizes k of the two top lists at which overlaps are given.
SIZES = tuple(range(5, 401, 5))
#: Blocks of the bootstrap over variants, bp: longer than the windows of the models.
BLOCK = 250_000


def ranks(score: np.ndarray) -> np.ndarray:
    """Rank from 0, the highest score first; missing scores last. score: (variants,)."""
    order = np.argsort(-np.asarray(score, float), kind="stable")  # NaN sorts last
    rank = np.empty(order.size, int)
    rank[order] = np.arange(order.size)
    return rank


def top(score: np.ndarray, size: int) -> np.ndarray:
    """Mark (bool) the `size` highest variants; a missing score is never among them."""
    score = np.asarray(score, float)
    return (ranks(score) < size) & ~np.isnan(score)


def shared(first: np.ndarray, second: np.ndarray, sizes: Sequence[int] = SIZES) -> np.ndarray:
    """Count variants in the top k of both scores (variants,), for each k: (sizes,)."""
    return _shared_with(second, sizes)(first)


def _shared_with(second: np.ndarray, sizes: Sequence[int]) -> Callable[[np.ndarray], np.ndarray]:
    """Return what counts the variants `shared` by a score and `second`, ranked once."""
    second = np.asarray(second, float)
    ranked, missing, sizes = ranks(second), np.isnan(second), np.asarray(sizes)

    def count(first: np.ndarray) -> np.ndarray:
        """Return `shared` of `first` and `second`: (sizes,)."""
        first = np.asarray(first, float)
        worst = np.maximum(ranks(first), ranked)[~(missing | np.isnan(first))]
        below = np.bincount(worst, minlength=len(second) + 1).cumsum()
        return np.where(sizes > 0, below[np.clip(sizes - 1, 0, len(second))], 0)

    return count


def by_chance(
    variants: int, sizes: Sequence[int] = SIZES, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute mean, low and high of the overlap of two random lists of k (hypergeometric).

    Each is (sizes,). Takes variants as exchangeable, which linkage disequilibrium makes untrue:
    see `rotated`.
    """
    sizes = np.asarray(sizes)
    law = scipy_stats.hypergeom(variants, sizes, sizes)
    return sizes**2 / variants, law.ppf((1 - level) / 2), law.ppf((1 + level) / 2)


def rotated(first: np.ndarray, second: np.ndarray, sizes: Sequence[int] = SIZES) -> np.ndarray:
    """Count overlaps after each turn of `first` along the region, (variants - 1, sizes).

    Variants must be in order of position. Neighbours stay neighbours, so that the runs of like
    values that linkage disequilibrium and overlapping windows make are kept.
    """
    first = np.asarray(first, float)
    count = _shared_with(second, sizes)
    return np.array([count(np.roll(first, turn)) for turn in range(1, len(first))])


def unit(score: np.ndarray) -> np.ndarray:
    """Bring `score` to 0..1 by its lowest and highest value."""
    score = np.asarray(score, float)
    low, high = np.nanmin(score), np.nanmax(score)
    if not high > low:
        raise HowfarError(
            "scores of variants",
            found="one value for all",
            expected="scores that differ",
            do="Check the table that the scores come from.",
        )
    return (score - low) / (high - low)


def combined(effect: np.ndarray, log10p: np.ndarray) -> np.ndarray:
    """Add up |effect| and -log10 p, each brought to 0..1: the score of capstone2025.

    It holds the p-value, so its overlap with a ranking by p is high whatever the effects are.
    """
    return unit(np.abs(effect)) + unit(log10p)


def shuffled(
    effect: np.ndarray,
    log10p: np.ndarray,
    sizes: Sequence[int] = SIZES,
    draws: int = 1000,
    seed: int = 1,
) -> np.ndarray:
    """Count overlaps of `combined` and the ranking by p, effects permuted: (draws, sizes)."""
    rng, count = np.random.default_rng(seed), _shared_with(log10p, sizes)
    by_effect, by_p = unit(np.abs(effect)), unit(log10p)  # the two parts of `combined`
    return np.array([count(rng.permutation(by_effect) + by_p) for _ in range(draws)])


def shuffled_p(effect: np.ndarray, log10p: np.ndarray, size: int, draws: int, seed: int) -> float:
    """Compute one-sided p of the combined overlap: (1 + #{shuffled >= seen}) / (draws + 1)."""
    seen = shared(combined(effect, log10p), log10p, [size])[0]
    chance = shuffled(effect, log10p, [size], draws, seed)[:, 0]
    return float((1 + (chance >= seen).sum()) / (draws + 1))


def curves(effects: pd.DataFrame, sizes: Sequence[int] = SIZES, seed: int = 1) -> pd.DataFrame:
    """Compute rows of table `summary`: overlap with the ranking by p against the lists' size x.

    effects: rows of that table for one gene and source, with p. `set` is 'overlap' (observed),
    'overlap_random' (hypergeometric mean and 95 % range), 'overlap_rotated', 'overlap_shuffled',
    or, of two runs with each other, 'overlap_runs'. `group` is 'model' (ranked by |effect| alone)
    or 'combined'. Variants without a p stay in the model's list.
    """
    parts = []
    for run, rows in effects.sort_values("distance", kind="stable").groupby("run_id", sort=False):
        effect = rows["effect"].abs().to_numpy(float)
        log10p = -np.log10(rows["p"].to_numpy(float))
        kept = [k for k in sizes if k <= len(rows)]
        parts += _curve_parts(str(run), effect, log10p, kept, seed)
    return pd.concat([*parts, between_runs(effects, sizes)], ignore_index=True)


def between_runs(effects: pd.DataFrame, sizes: Sequence[int] = SIZES) -> pd.DataFrame:
    """Compute rows of `summary`, set 'overlap_runs': what two runs' lists share; as `curves`."""
    index = ["variant", "distance"]
    effect = effects.pivot(index=index, columns="run_id", values="effect").abs()
    log10p = -np.log10(effects.pivot(index=index, columns="run_id", values="p"))
    kept, parts = [k for k in sizes if k <= len(effect)], []
    for a, b in itertools.combinations(effect.columns, 2):
        mixed = [combined(effect[run], log10p[run]) for run in (a, b)]
        for group, pair in (("model", (effect[a], effect[b])), ("combined", mixed)):
            row = {"x": kept, "value": shared(*pair, kept), "method": f"{a}/{b}", "group": group}
            parts.append(pd.DataFrame(row))
    if not parts:
        return pd.DataFrame()
    rows = pd.concat(parts, ignore_index=True)
    return rows.assign(set="overlap_runs", replicate=0, n=len(effect), units="variants")


def rank_agreement(effects: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """Compute Spearman's rho of |effect| and -log10 p: run_id, rho, ci_low, ci_high, n (variants).

    effects: as in `curves`. 95 % intervals by bootstrap over blocks of 250 kb, as neighbouring
    variants aren't independent.
    """
    rows = []
    for run, part in effects.dropna(subset=["p", "effect"]).groupby("run_id", sort=False):
        pairs = np.column_stack([part["effect"].abs(), -np.log10(part["p"])])
        blocks = (part["distance"] // BLOCK).to_numpy()
        statistic = stats.weighted_spearman
        low, high = stats.block_bootstrap(pairs, blocks, statistic, seed=seed, weighted=True)
        rho = statistic(pairs, np.ones((1, len(pairs))))[0]
        rows.append({"run_id": run, "rho": rho, "ci_low": low, "ci_high": high, "n": len(pairs)})
    return pd.DataFrame(rows)


def _curve_parts(run: str, effect, log10p, sizes, seed: int) -> list[pd.DataFrame]:
    score, low_high = combined(effect, log10p), (0.025, 0.975)
    turned = rotated(effect, log10p, sizes)
    mixed = shuffled(effect, log10p, sizes, seed=seed)
    curves_by_set = {
        ("overlap", "model"): (shared(effect, log10p, sizes), np.nan, np.nan),
        ("overlap", "combined"): (shared(score, log10p, sizes), np.nan, np.nan),
        ("overlap_random", "model"): by_chance(len(effect), sizes),
        ("overlap_rotated", "model"): (turned.mean(0), *np.quantile(turned, low_high, axis=0)),
        ("overlap_shuffled", "combined"): (mixed.mean(0), *np.quantile(mixed, low_high, axis=0)),
    }
    names = ("value", "ci_low", "ci_high")
    return [
        pd.DataFrame(dict(zip(names, values, strict=True)) | {"x": sizes}).assign(
            set=what, method=run, group=group, replicate=0, n=len(effect), units="variants"
        )
        for (what, group), values in curves_by_set.items()
    ]
