"""The Markov chain of `bslmm`, compiled.

Everything is in the eigenbasis of the kinship: x (variants, k) rows of U'Z, y (k,), d (k,)
eigenvalues; along the other directions x is 0 and only the sum of squares of y (`rest`) counts.

A chain's state is a `State`: sparse effects, residual y - x'b, the hyperparameters h, rho, log pi,
the precision tau, the number of variants included.
"""

from __future__ import annotations

import math
from collections import namedtuple

import numba
import numpy as np

Data = namedtuple("Data", "x d y rest free most")
State = namedtuple("State", "effects residual hyper scalars")
#: Columns of a chain's record.
RECORD = ("h", "rho", "log_pi", "included", "pve", "pve_parts", "pge")
TAU, INCLUDED = 0, 1
#: Widths of the steps of h and rho as parts of their range; log pi's are `_LOG_STEP` times these.
_STEPS = np.array([1.0, 0.3, 0.08])
_LOG_STEP = 4.0
_MOVES = 10

_compile = numba.njit(cache=True, fastmath={"reassoc", "contract", "arcp", "nsz"})


@_compile
def _variances(hyper, variants):
    """Variance of a sparse effect and of the polygenic part, in units of 1 / tau."""
    odds = hyper[0] / (1 - hyper[0])
    return odds * hyper[1] / (variants * math.exp(hyper[2])), odds * (1 - hyper[1])


@_compile
def _weights(data, polygenic, weights):
    """1 / (polygenic d + 1), and the sum of its logarithms' negatives."""
    total, product = 0.0, 1.0
    for i in range(len(data.d)):
        v = polygenic * data.d[i] + 1
        weights[i] = 1 / v
        product *= v
        if product > 1e200:
            total, product = total + math.log(product), 1.0
    return total + math.log(product)


@_compile
def _log_posterior(data, hyper, included, squared, residual, fitted, scale, weights):
    """Log posterior of the hyperparameters given the effects times `scale`; tau integrated out.

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


@_compile
def _reflect(value, low, high):
    """`value` mirrored at the bounds until it lies within."""
    while value < low or value > high:
        value = 2 * low - value if value < low else 2 * high - value
    return value


@_compile
def _propose(hyper, lowest, rng, proposal):
    step = _STEPS[int(rng.random() * 3)]
    proposal[0] = _reflect(hyper[0] + step * (rng.random() - 0.5), 1e-9, 1 - 1e-9)
    proposal[1] = _reflect(hyper[1] + step * (rng.random() - 0.5), 1e-9, 1 - 1e-9)
    proposal[2] = _reflect(hyper[2] + step * _LOG_STEP * (rng.random() - 0.5), lowest, -1e-9)


@_compile
def _fitted(data, effects):
    """x'b, anew: differences to the residual would grow where effects are multiplied."""
    fitted = np.zeros(len(data.y))
    for j in np.flatnonzero(effects):
        fitted += effects[j] * data.x[j]
    return fitted


@_compile
def _update_hyper(data, state, rng, weights, rescale):
    """Metropolis steps of h, rho, log pi; with `rescale` the effects follow their variance.

    Effects that stay and effects that follow are the two parametrisations of one model: where one
    mixes slowly the other mixes fast (Yu and Meng 2011, J Comput Graph Stat 20:531).
    """
    variants, hyper, proposal = data.x.shape[0], state.hyper, np.empty(3)
    included, squared = state.scalars[INCLUDED], (state.effects**2).sum()
    fitted, scale = _fitted(data, state.effects), 1.0
    state.residual[:] = data.y - fitted
    now = _log_posterior(data, hyper, included, squared, state.residual, fitted, 1.0, weights)
    for _ in range(_MOVES):
        _propose(hyper, -math.log(variants), rng, proposal)
        factor = 1.0
        if rescale:
            factor = math.sqrt(_variances(proposal, variants)[0] / _variances(hyper, variants)[0])
        then = _log_posterior(
            data, proposal, included, squared, state.residual, fitted, scale * factor, weights
        )
        # The last term is the Jacobian of multiplying the effects.
        if math.log(rng.random()) < then - now + included * math.log(factor):
            hyper[:], now, scale = proposal, then, scale * factor
    if scale != 1.0:
        state.residual[:] = data.y - scale * fitted
        state.effects[:] *= scale


@_compile
def _sample_tau(data, state, rng, weights):
    sparse, polygenic = _variances(state.hyper, data.x.shape[0])
    _weights(data, polygenic, weights)
    squares = data.rest + (weights * state.residual**2).sum() + (state.effects**2).sum() / sparse
    shape = 0.5 * (data.free + state.scalars[INCLUDED])
    state.scalars[TAU] = rng.standard_gamma(shape) / (0.5 * squares)
    return sparse


@_compile
def _project(row, weights, weighted):
    """Sum of row * weighted residual, and of row^2 * weights."""
    along, size = 0.0, 0.0
    for i in range(len(row)):
        along += row[i] * weighted[i]
        size += row[i] * row[i] * weights[i]
    return along, size


@_compile
def _change(row, step, residual, weights, weighted):
    """The residual after an effect has grown by `step`."""
    for i in range(len(row)):
        residual[i] -= step * row[i]
        weighted[i] = weights[i] * residual[i]


@_compile
def _log_odds(along, size, sparse, tau):
    """Log Bayes factor for an effect, its precision in units of tau."""
    precision = size + 1 / sparse
    return 0.5 * (tau * along * along / precision - math.log(sparse * precision)), precision


@_compile
def _sweep(data, state, rng, weights, weighted, sparse, mean):
    """Gibbs update of each variant's inclusion and effect; adds expected effects to `mean`."""
    tau, prior = state.scalars[TAU], state.hyper[2] - math.log(-math.expm1(state.hyper[2]))
    for j in range(data.x.shape[0]):
        row, old = data.x[j], state.effects[j]
        along, size = _project(row, weights, weighted)
        along += size * old
        odds, precision = _log_odds(along, size, sparse, tau)
        chance = 1 / (1 + math.exp(-max(min(odds + prior, 700.0), -700.0)))
        if old == 0 and state.scalars[INCLUDED] >= data.most:
            chance = 0.0
        mean[j] += chance * along / precision
        new = 0.0
        if rng.random() < chance:
            new = along / precision + rng.standard_normal() / math.sqrt(tau * precision)
        if new != old:
            state.scalars[INCLUDED] += (new != 0) - (old != 0)
            state.effects[j] = new
            _change(row, new - old, state.residual, weights, weighted)


@_compile
def _pick(log_odds, rng):
    """An index drawn with probability proportional to exp(log_odds)."""
    chances = np.cumsum(np.exp(log_odds - log_odds.max()))
    return min(np.searchsorted(chances, rng.random() * chances[-1]), len(chances) - 1)


@_compile
def _relocate(data, state, rng, weights, weighted, sparse):
    """Gibbs update of the place of one included effect: among all variants not included.

    It crosses linkage disequilibrium, where taking a variant out before its proxy comes in is rare.
    """
    inside = np.flatnonzero(state.effects)
    if len(inside) == 0:
        return
    old = inside[int(rng.random() * len(inside))]
    _change(data.x[old], -state.effects[old], state.residual, weights, weighted)
    state.effects[old] = 0.0
    found = np.full(data.x.shape[0], -np.inf)
    for j in range(len(found)):
        if state.effects[j] == 0:
            along, size = _project(data.x[j], weights, weighted)
            found[j], _ = _log_odds(along, size, sparse, state.scalars[TAU])
    new = _pick(found, rng)
    along, size = _project(data.x[new], weights, weighted)
    precision = size + 1 / sparse
    noise = rng.standard_normal() / math.sqrt(state.scalars[TAU] * precision)
    state.effects[new] = along / precision + noise
    _change(data.x[new], state.effects[new], state.residual, weights, weighted)


@_compile
def _record(data, state, rng, weights, people, polygenic_mean, row):
    """Draw the polygenic part, add its mean, and write down the shares of the variance."""
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
    row[:3], row[3] = state.hyper, state.scalars[INCLUDED]
    row[4], row[5] = total / (total + noise), parts / (parts + noise)
    row[6] = sparse_part / parts if parts > 0 else 0.0


@_compile
def run(data, state, rng, people, record, mean, polygenic_mean):
    """Advance a chain by len(record) sweeps; `state`, `record` and the sums are filled in place."""
    weights = np.empty(len(data.d))
    for t in range(len(record)):
        _update_hyper(data, state, rng, weights, False)
        _update_hyper(data, state, rng, weights, True)
        sparse = _sample_tau(data, state, rng, weights)
        weighted = weights * state.residual
        _sweep(data, state, rng, weights, weighted, sparse, mean)
        _relocate(data, state, rng, weights, weighted, sparse)
        _record(data, state, rng, weights, people, polygenic_mean, record[t])
