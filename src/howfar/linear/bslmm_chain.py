"""The Markov chain of `bslmm`, compiled.

Everything is in the eigenbasis of the kinship: x (variants, k) rows of U'Z, y (k,), d (k,)
eigenvalues; along the other directions x is 0 and only the sum of squares of y (`rest`) counts;
`free` directions in all, at most `most` variants included.

A chain's state is a `State`: sparse effects, residual y - x'b, the hyperparameters h, rho, log pi,
the precision tau, the number of variants included.
"""

from __future__ import annotations

import math
from collections import namedtuple

import numpy as np

from howfar.linear.compiled import compiled

Data = namedtuple("Data", "x d y rest free most")
State = namedtuple("State", "effects residual hyper scalars")
#: Columns of a chain's record.
RECORD = ("h", "rho", "log_pi", "included", "pve", "pve_parts", "pge")
TAU, INCLUDED = 0, 1
#: Widths of the steps of h and rho as parts of their range; log pi's are `_LOG_STEP` times these.
_STEPS = np.array([1.0, 0.3, 0.08])
_LOG_STEP = 4.0
_MOVES = 10  # of the hyperparameters per sweep: they cost k each, a sweep of effects variants x k


@compiled
def _variances(hyper, variants):
    """Compute the variance of a sparse effect and of the polygenic part, in units of 1 / tau."""
    odds = hyper[0] / (1 - hyper[0])
    return odds * hyper[1] / (variants * math.exp(hyper[2])), odds * (1 - hyper[1])


@compiled
def _weights(data, polygenic, weights):
    """Fill `weights` with 1 / (polygenic d + 1); return the sum of their logarithms' negatives."""
    # One logarithm of a product costs less than one for each direction; it must not overflow.
    total, product = 0.0, 1.0
    for i in range(len(data.d)):
        v = polygenic * data.d[i] + 1
        weights[i] = 1 / v
        product *= v
        if product > 1e200:
            total, product = total + math.log(product), 1.0
    return total + math.log(product)


@compiled
def _log_posterior(data, hyper, included, squared, residual, fitted, scale, weights):
    """Compute the log posterior of the hyperparameters given effects times `scale`.

    Tau is integrated out: a step of h at a given tau would be a small one.

    squared: sum of squared effects; residual: y - fitted, both before scaling.
    """
    variants = data.x.shape[0]
    sparse, polygenic = _variances(hyper, variants)
    determinant = _weights(data, polygenic, weights)
    squares = data.rest
    for i in range(len(residual)):
        value = residual[i] + (1 - scale) * fitted[i]
        squares += weights[i] * value * value
    if included > 0:
        squares += scale * scale * squared / sparse
    prior = included * hyper[2] + (variants - included) * math.log(-math.expm1(hyper[2]))
    spread = determinant + included * math.log(sparse) + (data.free + included) * math.log(squares)
    return prior - 0.5 * spread


@compiled
def _squares(values):
    total = 0.0
    for i in range(len(values)):
        total += values[i] * values[i]
    return total


@compiled
def _reflect(value, low, high):
    """Mirror `value` at the bounds until it lies within, so that steps stay symmetric."""
    while value < low or value > high:
        value = 2 * low - value if value < low else 2 * high - value
    return value


@compiled
def _propose(hyper, lowest, rng, proposal):
    # Steps of three widths: which one fits depends on the gene, and none needs tuning.
    step = _STEPS[int(rng.random() * 3)]
    proposal[0] = _reflect(hyper[0] + step * (rng.random() - 0.5), 1e-9, 1 - 1e-9)
    proposal[1] = _reflect(hyper[1] + step * (rng.random() - 0.5), 1e-9, 1 - 1e-9)
    proposal[2] = _reflect(hyper[2] + step * _LOG_STEP * (rng.random() - 0.5), lowest, -1e-9)


@compiled
def _refit(data, state, fitted):
    """Compute x'b and the residual anew: rounding would grow where effects are multiplied."""
    for i in range(len(fitted)):
        fitted[i] = 0.0
    for j in range(len(state.effects)):
        if state.effects[j] != 0:
            for i in range(len(fitted)):
                fitted[i] += state.effects[j] * data.x[j, i]
    for i in range(len(fitted)):
        state.residual[i] = data.y[i] - fitted[i]


@compiled
def _update_hyper(data, state, rng, weights, fitted, rescale):
    """Take Metropolis steps of h, rho, log pi; with `rescale` 1 effects follow them.

    Effects that stay and effects that follow are the two parametrisations of one model: where one
    mixes slowly the other mixes fast (Yu and Meng 2011, J Comput Graph Stat 20:531).
    """
    variants, hyper, proposal, scale = data.x.shape[0], state.hyper, np.empty(3), 1.0
    included, squared, residual = state.scalars[INCLUDED], _squares(state.effects), state.residual
    now = _log_posterior(data, hyper, included, squared, residual, fitted, 1.0, weights)
    for _ in range(_MOVES):
        # One variant leaves log pi no range; a narrow one does the same.
        _propose(hyper, -max(math.log(variants), 0.01), rng, proposal)
        ratio = _variances(proposal, variants)[0] / _variances(hyper, variants)[0]
        factor = 1.0 + rescale * (math.sqrt(ratio) - 1.0)
        then = _log_posterior(
            data, proposal, included, squared, residual, fitted, scale * factor, weights
        )
        # The last term is the Jacobian of multiplying the effects.
        if math.log(rng.random()) < then - now + included * math.log(factor):
            now, scale = then, scale * factor
            for i in range(3):
                hyper[i] = proposal[i]
    for j in range(variants):
        state.effects[j] *= scale
    _refit(data, state, fitted)


@compiled
def _sample_tau(data, state, rng, weights):
    sparse, polygenic = _variances(state.hyper, data.x.shape[0])
    _weights(data, polygenic, weights)
    squares = data.rest + _squares(state.effects) / sparse
    for i in range(len(weights)):
        squares += weights[i] * state.residual[i] * state.residual[i]
    shape = 0.5 * (data.free + state.scalars[INCLUDED])
    state.scalars[TAU] = rng.standard_gamma(shape) / (0.5 * squares)
    return sparse


@compiled
def _project(row, weights, weighted):
    """Sum up row * weighted residual, and row^2 * weights."""
    along, size = 0.0, 0.0
    for i in range(len(row)):
        along += row[i] * weighted[i]
        size += row[i] * row[i] * weights[i]
    return along, size


@compiled
def _change(row, step, residual, weights, weighted):
    """Update the residual for an effect that has grown by `step`."""
    for i in range(len(row)):
        residual[i] -= step * row[i]
        weighted[i] = weights[i] * residual[i]


@compiled
def _log_odds(along, size, sparse, tau):
    """Compute the log Bayes factor for an effect, and its precision in units of tau."""
    precision = size + 1 / sparse
    return 0.5 * (tau * along * along / precision - math.log(sparse * precision)), precision


@compiled
def _sweep(data, state, rng, weights, weighted, sparse, mean):
    """Update each variant's inclusion and effect (Gibbs); add expected effects to `mean`."""
    tau, prior = state.scalars[TAU], state.hyper[2] - math.log(-math.expm1(state.hyper[2]))
    for j in range(data.x.shape[0]):
        row, old = data.x[j], state.effects[j]
        along, size = _project(row, weights, weighted)
        along += size * old  # as if the variant's own effect were taken out first
        odds, precision = _log_odds(along, size, sparse, tau)
        chance = 1 / (1 + math.exp(-max(min(odds + prior, 700.0), -700.0)))
        if old == 0 and state.scalars[INCLUDED] >= data.most:
            chance = 0.0
        # The expectation given all others, not the draw: the same mean with less noise
        # (Rao-Blackwell).
        mean[j] += chance * along / precision
        new = 0.0
        if rng.random() < chance:
            new = along / precision + rng.standard_normal() / math.sqrt(tau * precision)
        if new != old:
            state.scalars[INCLUDED] += (new != 0) - (old != 0)
            state.effects[j] = new
            _change(row, new - old, state.residual, weights, weighted)


@compiled
def _pick(log_odds, rng):
    """Draw an index with probability proportional to exp(log_odds)."""
    highest, total = -np.inf, 0.0
    for j in range(len(log_odds)):
        highest = max(highest, log_odds[j])
    for j in range(len(log_odds)):
        total += math.exp(log_odds[j] - highest)
    left, chosen = rng.random() * total, 0
    for j in range(len(log_odds)):
        if left > 0 and log_odds[j] > -np.inf:
            left, chosen = left - math.exp(log_odds[j] - highest), j
    return chosen


@compiled
def _relocate(data, state, rng, weights, weighted, sparse):
    """Draw one included effect's place anew among all variants not included (Gibbs).

    It crosses linkage disequilibrium, where taking a variant out before its proxy comes in is rare.
    """
    if state.scalars[INCLUDED] == 0:
        return
    left, old = int(rng.random() * state.scalars[INCLUDED]), 0
    for j in range(len(state.effects)):
        if state.effects[j] != 0:
            left, old = left - 1, (j if left == 0 else old)
    _change(data.x[old], -state.effects[old], state.residual, weights, weighted)
    state.effects[old] = 0.0
    found = np.empty(data.x.shape[0])
    for j in range(len(found)):
        found[j] = -np.inf
        if state.effects[j] == 0:
            along, size = _project(data.x[j], weights, weighted)
            found[j], _ = _log_odds(along, size, sparse, state.scalars[TAU])
    new = _pick(found, rng)
    along, size = _project(data.x[new], weights, weighted)
    precision = size + 1 / sparse
    noise = rng.standard_normal() / math.sqrt(state.scalars[TAU] * precision)
    state.effects[new] = along / precision + noise
    _change(data.x[new], state.effects[new], state.residual, weights, weighted)


@compiled
def _record(data, state, rng, weights, people, polygenic_mean, row):
    """Draw the polygenic part, add its mean, and record the shares of the variance."""
    _, polygenic = _variances(state.hyper, data.x.shape[0])
    sparse_part, poly_part, total = 0.0, 0.0, 0.0
    for i in range(len(data.d)):
        fit = data.y[i] - state.residual[i]
        share = polygenic * weights[i]
        polygenic_mean[i] += share * state.residual[i]
        spread = math.sqrt(share * data.d[i] / state.scalars[TAU])
        u = share * data.d[i] * state.residual[i] + spread * rng.standard_normal()
        sparse_part, poly_part = sparse_part + fit * fit, poly_part + u * u
        total += (fit + u) ** 2
    noise, parts = people / state.scalars[TAU], sparse_part + poly_part
    row[0], row[1], row[2] = state.hyper[0], state.hyper[1], state.hyper[2]
    row[3] = state.scalars[INCLUDED]
    row[4], row[5] = total / (total + noise), parts / (parts + noise)
    row[6] = sparse_part / parts if parts > 0 else 0.0


@compiled
def run(data, state, rng, people, record, mean, polygenic_mean) -> None:
    """Advance a chain by len(record) sweeps; fill `state`, `record` and the sums in place."""
    weights, weighted, fitted = np.empty(len(data.d)), np.empty(len(data.d)), np.empty(len(data.d))
    for t in range(len(record)):
        _refit(data, state, fitted)
        for rescale in range(2):
            _update_hyper(data, state, rng, weights, fitted, rescale)
        sparse = _sample_tau(data, state, rng, weights)
        for i in range(len(weights)):
            weighted[i] = weights[i] * state.residual[i]
        _sweep(data, state, rng, weights, weighted, sparse, mean)
        _relocate(data, state, rng, weights, weighted, sparse)
        _record(data, state, rng, weights, people, polygenic_mean, record[t])
