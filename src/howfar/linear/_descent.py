"""The elastic net along a path of penalties, compiled.

Minimises 1/2 |y - Z'w|^2 + l1 sum|w_j| + 1/2 l2 sum s_j w_j^2 for falling l1 and l2, from the last
solution each time. Z is (p, n), rows centred; y (n,).

Coordinate descent with covariance updates (Friedman et al. 2010, J Stat Softw 33(1), 2.2) runs on
the rows that ever broke the optimality conditions, so that a sweep never touches Z. Linkage makes
descent crawl, so sweeps alternate with the exact minimum on the current support (feature-sign
steps, Lee et al. 2006, NIPS 19): the objective falls in both, so their alternation converges. A
solution is accepted on its duality gap over all rows, as in scikit-learn.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from .compiled import compiled

#: rows: int64 places in Z of the working rows; z: their values; gram: their products; w:
#: coefficients; g: gradient z (y - z'w); c: z y; ridge: s. Capacity grows; m are in use.
Work = namedtuple("Work", "rows z gram w g c ridge")
_ROUNDS = 2_000  # of sweeps with sign steps
_TRIES = 100  # of them, before a gap is given back as it is
_GUESSES = 12
_JITTER = 1e-10  # part of a row's square: keeps the support's matrix invertible for the lasso


@compiled
def _dot(a, b):
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@compiled
def _room(capacity, n):
    return Work(
        np.empty(capacity, np.int64),
        np.empty((capacity, n)),
        np.zeros((capacity, capacity)),
        np.zeros(capacity),
        np.zeros(capacity),
        np.zeros(capacity),
        np.ones(capacity),
    )


@compiled
def _grown(work, m):
    wider = _room(2 * len(work.rows), work.z.shape[1])
    wider.rows[:m] = work.rows[:m]
    wider.z[:m] = work.z[:m]
    wider.gram[:m, :m] = work.gram[:m, :m]
    wider.w[:m], wider.g[:m] = work.w[:m], work.g[:m]
    wider.c[:m], wider.ridge[:m] = work.c[:m], work.ridge[:m]
    return wider


@compiled
def _enter(work, m, row, z, c, gradient, ridge):
    """Row `row` of Z becomes the working row `m`."""
    work.rows[m], work.w[m], work.g[m], work.c[m] = row, 0.0, gradient, c
    work.z[m], work.ridge[m] = z, ridge
    products = work.z[: m + 1] @ z
    work.gram[m, : m + 1] = products
    work.gram[: m + 1, m] = products


@compiled
def _shift(work, m, k, change):
    """Coefficient `k` changes by `change`; gradients follow."""
    work.w[k] += change
    row, g = work.gram[k], work.g
    for q in range(m):
        g[q] -= change * row[q]


@compiled
def _sweep(work, m, l1, l2):
    """One pass of coordinate descent; returns the largest change, as objective."""
    largest = 0.0
    for k in range(m):
        scale = work.gram[k, k] + l2 * work.ridge[k]
        pull = work.g[k] + work.gram[k, k] * work.w[k]
        new = max(abs(pull) - l1, 0.0) / scale
        change = (new if pull > 0 else -new) - work.w[k]
        if change != 0.0:
            _shift(work, m, k, change)
            largest = max(largest, change * change * scale)
    return largest


@compiled
def _solved(matrix, right):
    """Solution of a symmetric positive definite system."""
    lower = np.linalg.cholesky(matrix)
    x = right.copy()
    for i in range(x.size):
        x[i] = (x[i] - _dot(lower[i, :i], x[:i])) / lower[i, i]
    upper = np.ascontiguousarray(lower.T)
    for i in range(x.size - 1, -1, -1):
        x[i] = (x[i] - _dot(upper[i, i + 1 :], x[i + 1 :])) / upper[i, i]
    return x


@compiled
def _solved_on(work, support, right, l2):
    """Solution of the support's system (products of its rows, plus the ridge)."""
    size = len(support)
    matrix = np.empty((size, size))
    for i, k in enumerate(support):
        for j, q in enumerate(support):
            matrix[i, j] = work.gram[k, q]
        matrix[i, i] += max(l2 * work.ridge[k], _JITTER * work.gram[k, k])
    return _solved(matrix, right)


@compiled
def _put(work, m, support, values):
    """Coefficients `values` on the support and 0 elsewhere; gradients follow."""
    work.w[:m], work.g[:m] = 0.0, work.c[:m]
    for i, k in enumerate(support):
        _shift(work, m, k, values[i])


@compiled
def _primal_dual(work, m, l1, l2):
    """Guess signs, solve, correct the guess; whether it came to rest, at the solution.

    Where it doesn't within a few rounds, everything is left as it was.
    """
    w, g = work.w[:m].copy(), work.g[:m].copy()
    signs = np.where(w == 0.0, np.where(np.abs(g) > l1, np.sign(g), 0.0), np.sign(w))
    for _ in range(_GUESSES):
        support = np.flatnonzero(signs)
        values = _solved_on(work, support, work.c[support] - l1 * signs[support], l2)
        _put(work, m, support, values)
        outside = np.where(np.abs(work.g[:m]) > l1 * (1 + 1e-9), np.sign(work.g[:m]), 0.0)
        outside[support] = np.where(values * signs[support] > 0, signs[support], 0.0)
        if np.array_equal(outside, signs):
            return True
        signs = outside
    work.w[:m], work.g[:m] = w, g
    return False


@compiled
def _step_length(w, way, length, l1):
    """The exact minimum along `way`, and which coefficient becomes 0 there (-1: none).

    The slope is length (t - 1), plus 2 l1 |way_k| from where coefficient k changes its sign on.
    """
    jumps = 0.0
    times = np.where(w * way < 0, -w / way, 2.0)
    for i in np.argsort(times):
        if times[i] >= 1 - jumps / length:
            break
        jumps += 2 * l1 * abs(way[i])
        if length * (times[i] - 1) + jumps >= 0:
            return times[i], i
    return 1 - jumps / length, -1


@compiled
def _sign_step(work, m, l1, l2):
    """Go to the minimum on the support along the straight way, as far as the objective falls."""
    support = np.flatnonzero(work.w[:m])
    if not len(support):
        return
    right = np.empty(len(support))
    for i, k in enumerate(support):
        right[i] = work.g[k] - l2 * work.ridge[k] * work.w[k] - l1 * np.sign(work.w[k])
    way = _solved_on(work, support, right, l2)
    length = _dot(way, right)
    if length <= 0.0:
        return
    step, ended = _step_length(work.w[support], way, length, l1)
    for i, k in enumerate(support):
        _shift(work, m, k, -work.w[k] if i == ended else step * way[i])


@compiled
def _settle(work, m, l1, l2, enough):
    """Coordinate descent and sign steps among the working rows until changes are small."""
    for attempt in range(_ROUNDS):
        if attempt == 1 and _primal_dual(work, m, l1, l2):
            return
        for _ in range(5 + np.count_nonzero(work.w[:m]) // 10):
            if _sweep(work, m, l1, l2) <= enough:
                return
        _sign_step(work, m, l1, l2)


@compiled
def _refresh(work, m, z, y):
    """Residual and the gradient of all rows, from the coefficients; ends drift."""
    residual = y - work.w[:m] @ work.z[:m]
    gradient = z @ residual
    for k in range(m):
        work.g[k] = gradient[work.rows[k]]
    return residual, gradient


@compiled
def _gap(work, m, y, residual, gradient, inside, l1, l2):
    """Duality gap of the coefficients (Fercoq et al. 2015 for the lasso, extended by rows)."""
    top, ones, squares = 0.0, 0.0, 0.0
    for k in range(m):
        ones += abs(work.w[k])
        squares += work.ridge[k] * work.w[k] ** 2
        top = max(top, abs(work.g[k] - l2 * work.ridge[k] * work.w[k]))
    for j in range(len(gradient)):
        if not inside[j]:
            top = max(top, abs(gradient[j]))
    part = min(1.0, l1 / top) if top > 0 else 1.0
    fit = 0.5 * (1 + part * part) * (_dot(residual, residual) + l2 * squares)
    return fit + l1 * ones - part * _dot(residual, y)


@compiled
def descend(z, y, ridge, l1s, l2s, tolerance):
    """Coefficients (penalties, p) and duality gaps (penalties,) as parts of |y|^2.

    ridge: s, (p,). l1s, l2s: falling penalties. Stops at a gap of `tolerance` or below.
    """
    p, n = z.shape
    found, gaps = np.zeros((len(l1s), p)), np.zeros(len(l1s))
    inside = np.zeros(p, np.bool_)
    work, m = _room(min(p, 64), n), 0
    correlation, total = z @ y, max(_dot(y, y), 1e-300)
    gradient = correlation
    for a in range(len(l1s)):
        l1, l2, enough = l1s[a], l2s[a], 0.1 * tolerance * total
        for _ in range(_TRIES):
            for j in np.flatnonzero((np.abs(gradient) > l1 * (1 + 1e-9)) & ~inside):
                if m == len(work.rows):
                    work = _grown(work, m)
                _enter(work, m, j, z[j], correlation[j], gradient[j], ridge[j])
                inside[j], m = True, m + 1
            _settle(work, m, l1, l2, enough)
            residual, gradient = _refresh(work, m, z, y)
            gaps[a] = _gap(work, m, y, residual, gradient, inside, l1, l2) / total
            if gaps[a] <= tolerance:
                break
            enough *= 0.3
        for k in range(m):
            found[a, work.rows[k]] = work.w[k]
    return found, gaps
