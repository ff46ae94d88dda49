"""The gene-specific null: how well random weights on a gene's variants predict its expression.

Sasse et al. 2023 judge a gene's correlation |r| against correlations r_k of expression with random
linear combinations of the same variants, which share its linkage and its population structure.
With m and s the mean and SD of K of them, these rules are named here:

`as_published`: T = (|r| - m) / sqrt(s / K), K = 50. An SD stands in the place of a variance.
`standard_error`: T = (|r| - m) / (s / sqrt(K)). A mistake for judging one gene: it tells how well
m is known, and more draws make every gene significant.
`own_null`: the share of r_k that reach |r|. Where only m and s are public, a shape of the tail has
to be assumed: `normal_tail`, `half_normal`, `half_normal_t`, `simulated_tail`.

The own null asks whether r is more than random weights on the gene's variants give, not whether r
is 0: that is the question of the t test. A prediction that rests on few or rare variants is no
random weighting, so the own null need not keep its level where expression ignores the genome.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from importlib import resources

import numpy as np
import pandas as pd
import scipy

from howfar.core.errors import HowfarError

PUBLISHED_DRAWS = 50
_CHUNK = 1000
_KEPT = 1 << 23  # values that are kept at most: 64 MB


def gene_null(
    dosages: np.ndarray,
    observed: np.ndarray,
    draws: int = 10_000,
    seed: int = 1,
    absolute: bool = False,
) -> np.ndarray:
    """Draw |Pearson r| of expression with random linear combinations of a gene's variants.

    dosages: (people, variants), missing calls NaN (taken at the variant's mean). observed:
    (people,), NaN where missing (left out), or (people, m), m genes' worth of expression without
    gaps that share the draws. The weights are N(0, 1) for each variant on its dosage as counted,
    or |N(0, 1)| with `absolute`. Returns float64 (draws,) or (draws, m); 0 where the combination
    doesn't vary, as in Sasse et al. 2023.
    """
    genotype, expression = _prepare(dosages, observed)
    if absolute or genotype.shape[1] <= len(genotype):
        return _by_weights(genotype, expression, draws, seed, absolute)
    return _by_axes(genotype, expression, draws, np.random.default_rng(seed))


def _prepare(dosages: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre genotypes (people, variants) and scale expression to length 1, of people with both."""
    dosages, observed = np.asarray(dosages, float), np.asarray(observed, float)
    if dosages.ndim != 2 or len(dosages) != len(observed):
        raise HowfarError(
            "gene-specific null",
            found=f"dosages of shape {dosages.shape} for {observed.shape} people",
            expected="dosages (people, variants) in the order of the expression",
            do="Align people first.",
        )
    kept = ~np.isnan(observed.reshape(len(observed), -1)).any(axis=1)
    genotype, expression = dosages[kept], observed[kept]
    missing = np.isnan(genotype)
    called = np.maximum((~missing).sum(axis=0), 1)
    mean = np.where(missing, 0, genotype).sum(axis=0) / called
    genotype = genotype - mean
    # Rounding leaves a constant column of dosages at about 1e-16 of its level.
    genotype[missing | (np.abs(genotype) <= 1e-12 * np.abs(mean))] = 0
    expression = expression - expression.mean(axis=0) if len(expression) else expression
    length = np.linalg.norm(expression, axis=0)
    return genotype, np.where(length > 0, expression / np.where(length > 0, length, 1), 0)


class _Stream:
    """The N(0, 1) values that a seed gives one after the other, kept as far as they were read."""

    def __init__(self, seed: int) -> None:
        self._rng, self._values = np.random.default_rng(seed), np.empty(0)

    def first(self, count: int) -> np.ndarray:
        """Return the first `count` values, not to be written to: float64 (count,)."""
        if count > len(self._values):
            more = self._rng.standard_normal(count - len(self._values))
            self._values = np.concatenate([self._values, more])
        return self._values[:count]


#: A study's genes are drawn for with one seed: they read the same values, in rows as long as each
#: has variants, so these needn't be drawn anew.
_stream = functools.lru_cache(maxsize=1)(_Stream)


def _weights(draws: int, variants: int, seed: int) -> Iterator[np.ndarray]:
    """Yield N(0, 1) weights (some draws, variants), not to be written to."""
    kept = draws * variants <= _KEPT
    rows = _stream(seed).first(draws * variants).reshape(draws, variants) if kept else None
    rng = np.random.default_rng(seed)
    for first in range(0, draws, _CHUNK):
        last = min(first + _CHUNK, draws)
        yield rng.standard_normal((last - first, variants)) if rows is None else rows[first:last]


def _by_weights(genotype, expression, draws: int, seed: int, absolute: bool) -> np.ndarray:
    """Draw r_k from the weights themselves: |w . G'y| / sqrt(w G'G w), y of length 1."""
    products, with_expression = genotype.T @ genotype, genotype.T @ expression
    parts = []
    for w in _weights(draws, genotype.shape[1], seed):
        w = np.abs(w) if absolute else w
        parts.append(_ratio(w @ with_expression, np.einsum("ij,ij->i", w @ products, w)))
    return np.concatenate(parts)


def _by_axes(genotype, expression, draws: int, rng) -> np.ndarray:
    """Draw r_k for N(0, 1) weights of many variants on the principal axes of the people.

    With G = U S V' the combination G w is U S (V' w), and V' w is again N(0, 1) on each axis: so
    the cost of a draw is the number of people, whatever the number of variants.
    """
    value, axis = np.linalg.eigh(genotype @ genotype.T)
    if not value.size or value[-1] <= 0:
        return np.zeros(draws)
    kept = value > value[-1] * 1e-10
    along = (expression.T @ axis[:, kept]).T.astype(np.float32)
    if len(along) == 1:  # all variants in perfect linkage: every combination is the same one
        only = np.minimum(np.abs(expression.T @ axis[:, -1]), 1.0)
        return np.full((draws, *only.shape), only)
    drawn = rng.standard_normal((draws, len(along)), dtype=np.float32)
    drawn *= np.sqrt(value[kept]).astype(np.float32)
    return _ratio(drawn @ along, np.einsum("ij,ij->i", drawn, drawn)).astype(float)


def _ratio(product: np.ndarray, squared_length: np.ndarray) -> np.ndarray:
    squared_length = squared_length.reshape(-1, *[1] * (product.ndim - 1))
    varies = squared_length > 0
    length = np.sqrt(np.where(varies, squared_length, 1))
    return np.minimum(np.where(varies, np.abs(product) / length, 0), 1)


def as_published(
    r: np.ndarray, mean: np.ndarray, sd: np.ndarray, draws: int = PUBLISHED_DRAWS
) -> np.ndarray:
    """Compute p of |r| as Sasse et al. 2023: T = (|r| - m) / sqrt(s / K), upper t tail, K - 1 df.

    r: correlations of either sign; mean, sd: of the null's |r_k|. p = 1 where T < 0; NaN stays.
    """
    return _upper_tail(r, mean, np.sqrt(np.asarray(sd, float) / draws), draws)


def standard_error(
    r: np.ndarray, mean: np.ndarray, sd: np.ndarray, draws: int = PUBLISHED_DRAWS
) -> np.ndarray:
    """Compute p of |r| with the standard error of the null's mean: a mistake for one gene.

    Kept to show its size. Arguments as `as_published`.
    """
    return _upper_tail(r, mean, np.asarray(sd, float) / np.sqrt(draws), draws)


def _upper_tail(r, mean, scale, draws: int) -> np.ndarray:
    above = np.abs(np.asarray(r, float)) - np.asarray(mean, float)
    scale = np.where(np.asarray(scale) > 0, scale, np.nan)
    return np.where(above < 0, 1.0, scipy.stats.t.sf(above / scale, draws - 1))


def own_null(r: float, null: np.ndarray) -> float:
    """Compute p of |r| from the draws themselves: (1 + #{r_k >= |r|}) / (K + 1); NaN for NaN r.

    Exact only if the prediction is exchangeable with the draws (Phipson and Smyth 2010). As good as
    equal counts as equal: with one variant every r_k is that of any prediction, up to rounding,
    and predictions are in single precision.
    """
    if np.isnan(r):
        return float("nan")
    return float((1 + np.count_nonzero(null >= abs(r) - 1e-6)) / (len(null) + 1))


def normal_tail(
    r: np.ndarray, mean: np.ndarray, sd: np.ndarray, draws: int = PUBLISHED_DRAWS
) -> np.ndarray:
    """Compute p of |r| as if the |r_k| were normal: a new draw's prediction interval.

    T = (|r| - m) / (s sqrt(1 + 1/K)), upper tail of t with K - 1 df. They are skewed to the right:
    a p far in the tail is several times too small. Arguments as `as_published`.
    """
    scale = np.asarray(sd, float) * np.sqrt(1 + 1 / draws)
    above = np.abs(np.asarray(r, float)) - np.asarray(mean, float)
    return scipy.stats.t.sf(above / np.where(scale > 0, scale, np.nan), draws - 1)


def half_normal(r: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Compute p of |r| as if r_k were normal around 0, of variance m^2 + s^2."""
    return 2 * scipy.stats.norm.sf(_in_sds(r, mean, sd))


def half_normal_t(
    r: np.ndarray, mean: np.ndarray, sd: np.ndarray, draws: int = PUBLISHED_DRAWS
) -> np.ndarray:
    """Compute p of |r| as `half_normal`, the variance taken as one of K draws: t with K df."""
    return 2 * scipy.stats.t.sf(_in_sds(r, mean, sd), draws)


def _in_sds(r, mean, sd) -> np.ndarray:
    scale = np.hypot(np.asarray(mean, float), np.asarray(sd, float))
    return np.abs(np.asarray(r, float)) / np.where(scale > 0, scale, np.nan)


def simulated_tail(r: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Compute p of |r| by the tail that draws on simulated genotypes have at that m / s.

    z = (|r| - m) / s is looked up in `tail_table`, K = 50; p is not smaller than the table's
    smallest, about 1e-6.
    """
    z, ratio = _standardised(r, mean, sd)
    return np.where(np.isnan(z), np.nan, tail(z, ratio))


def _standardised(r, mean, sd) -> tuple[np.ndarray, np.ndarray]:
    mean, sd = np.asarray(mean, float), np.asarray(sd, float)
    sd = np.where(sd > 0, sd, np.nan)
    return (np.abs(np.asarray(r, float)) - mean) / sd, mean / sd


def tail(z: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Look up how often a draw lies at least z SDs above m, where m / s is `ratio`."""
    table = _kept_table()
    lows = table.index.to_numpy()
    z, ratio = np.broadcast_arrays(np.asarray(z, float), np.asarray(ratio, float))
    row = np.clip(np.searchsorted(lows, np.nan_to_num(ratio), "right") - 1, 0, None)
    found = np.full(z.shape, np.nan)
    for place, values in enumerate(table.to_numpy()):
        here = row == place
        found[here] = 10 ** np.interp(z[here], table.columns.to_numpy(float), values)
    return found


@functools.cache
def _kept_table() -> pd.DataFrame:
    """Read `tail_table` as made from the demo cohort: log10 of the tail, m / s by z."""
    with resources.files("howfar.stats").joinpath("null_tail.csv").open() as file:
        return pd.read_csv(file).pivot(index="ratio", columns="z", values="log10_tail")


#: Lower ends of the classes of m / s, and the z of `tail_table`.
RATIOS = (0.0, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 2.0)
_Z = np.arange(-3, 12.01, 0.25)


def tail_table(
    genes: Iterable[np.ndarray], expressions: int = 12, sets: int = 20, each: int = 250
) -> pd.DataFrame:
    """Table of the tail of (|r_k| - m) / s, m and s of 50 draws, in classes of m / s.

    genes: dosages (people, variants) of each, none missing. expressions: independent of genotype,
    drawn for every gene; sets: of 50 draws for each; each: further draws that a set's m and s are
    held against. Columns ratio (lower end of a class), z, log10_tail, draws.
    """
    counts = np.zeros((len(RATIOS), len(_Z)))
    totals = np.zeros(len(RATIOS))
    for i, dosages in enumerate(genes):
        y = np.random.default_rng(i).standard_normal((len(dosages), expressions))
        r = gene_null(dosages, y, sets * (PUBLISHED_DRAWS + each), seed=i).T
        first, rest = np.split(r, [sets * PUBLISHED_DRAWS], axis=1)
        first, rest = first.reshape(expressions * sets, -1), rest.reshape(expressions * sets, -1)
        m, s = first.mean(axis=1), first.std(axis=1)
        if not (s > 1e-12).all():  # one variant: every draw is the same
            continue
        z = (rest - m[:, None]) / s[:, None]
        row = np.searchsorted(RATIOS, m / s, "right") - 1
        for place in np.unique(row):
            values = np.sort(z[row == place], axis=None)
            counts[place] += len(values) - np.searchsorted(values, _Z, "left")
            totals[place] += len(values)
    share = np.maximum(counts, 1) / np.maximum(totals, 1)[:, None]
    columns = {"ratio": np.repeat(RATIOS, len(_Z)), "z": np.tile(_Z, len(RATIOS))}
    columns |= {"log10_tail": np.log10(share).ravel().round(4)}
    return pd.DataFrame(columns | {"draws": np.repeat(totals.astype(int), len(_Z))})


RULES = {
    "as_published": as_published,
    "standard_error": standard_error,
    "normal_tail": normal_tail,
    "half_normal": half_normal,
    "half_normal_t": half_normal_t,
    "simulated_tail": simulated_tail,
}
