"""The elastic net along a path of penalties, compiled.

Minimises 1/2 |y - Z'w|^2 + l1 sum|w_j| + 1/2 l2 sum s_j w_j^2 for falling l1 and l2, from the last
solution each time. Z is (p, n), rows centred; y (n,).

The work is done on the rows that ever broke the optimality conditions, from their products, so that
it never touches Z. With a ridge part the signs are guessed and the guess corrected (a primal-dual
active set), which takes a few systems of equations per penalty. The lasso has none to keep its
systems well away from singular, and linkage makes both that guess and coordinate descent crawl: its
support changes by one variable at a time (Osborne et al. 2000, IMA J Numer Anal 20:389), with a
Cholesky factor that follows. Coordinate descent (Friedman et al. 2010, J Stat Softw 33(1), 2.2)
stands in where rounding keeps both from an end. A solution is accepted on its duality gap over all
rows, as in scikit-learn.

Vectors are copied and compared in loops: numba compiles a slice's assignment, with its messages
about shapes, for longer than the rest of its function.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from howfar.linear.compiled import compiled

#: rows: int64 places in Z of the working rows; z: their values; gram: their products; w:
#: coefficients; g: gradient z (y - z'w); c: z y; ridge: s. Capacity grows; m are in use.
Work = namedtuple("Work", "rows z gram w g c ridge")
_SWEEPS = 20_000  # of coordinate descent: the last resort, which may crawl but ends
_NONE = np.int64(0)  # a plain 0 has a type of its own, and what takes it is compiled twice
# Rounds of "solve, look at all rows" before a gap is given back as it is: each adds rows or narrows
# the tolerance, and a few are the rule.
_TRIES = 100
_GUESSES = 12  # of signs; the active set that finds none by then runs in a circle
_DEPENDENT = 1e-9  # part of a row's square that the others leave of it
_JITTER = 1e-10  # part of a row's square: keeps the support's matrix invertible for the lasso


@compiled
def _dot(a, b):
    # A loop, not BLAS: the vectors are short, and its sums don't depend on the number of threads.
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
    for k in range(m):
        wider.rows[k], wider.w[k], wider.g[k] = work.rows[k], work.w[k], work.g[k]
        wider.c[k], wider.ridge[k] = work.c[k], work.ridge[k]
        for i in range(work.z.shape[1]):
            wider.z[k, i] = work.z[k, i]
        for q in range(m):
            wider.gram[k, q] = work.gram[k, q]
    return wider


@compiled
def _enter(work, m, row, z, c, gradient, ridge):
    """Make row `row` of Z the working row `m`."""
    # Products with the rows in use are worked out once: from here on Z is not touched.
    work.rows[m], work.w[m], work.g[m], work.c[m] = row, 0.0, gradient, c
    work.ridge[m] = ridge
    for i in range(z.size):
        work.z[m, i] = z[i]
    products = work.z[: m + 1] @ z
    for k in range(m + 1):
        work.gram[m, k] = work.gram[k, m] = products[k]


@compiled
def _shift(work, m, k, change):
    """Change coefficient `k` by `change`; gradients follow."""
    work.w[k] += change
    row, g = work.gram[k], work.g
    for q in range(m):
        g[q] -= change * row[q]


@compiled
def _sweep(work, m, l1, l2):
    """Run one pass of coordinate descent; return the largest change, as objective."""
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
    """Solve a symmetric positive definite system."""
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
    """Solve the support's system (products of its rows, plus the ridge)."""
    size = len(support)
    matrix = np.empty((size, size))
    for i, k in enumerate(support):
        for j, q in enumerate(support):
            matrix[i, j] = work.gram[k, q]
        # Variants in perfect linkage make the products singular where the ridge is small.
        matrix[i, i] += max(l2 * work.ridge[k], _JITTER * work.gram[k, k])
    return _solved(matrix, right)


@compiled
def _put(work, m, support, values):
    """Put coefficients `values` on the support and 0 elsewhere; gradients follow."""
    # From 0 upwards: differences from the last coefficients would carry their rounding along.
    for k in range(m):
        work.w[k], work.g[k] = 0.0, work.c[k]
    for i, k in enumerate(support):
        _shift(work, m, k, values[i])


@compiled
def _pull(gradient, limit):
    """Return the sign with which a row of this gradient would enter, 0 where it stays out."""
    return np.sign(gradient) if abs(gradient) > limit else 0.0


@compiled
def _corrected(work, m, support, values, l1, signs):
    """Correct guessed signs in place by the support's solution; return whether they were right."""
    right, i = True, 0
    for k in range(m):
        if i < len(support) and support[i] == k:
            new = signs[k] if values[i] * signs[k] > 0 else 0.0
            i += 1
        else:
            # Rows that the solution pulls in; the margin keeps rounding from pulling a row in and
            # out.
            new = _pull(work.g[k], l1 * (1 + 1e-9))
        right &= new == signs[k]
        signs[k] = new
    return right


@compiled
def _primal_dual(work, m, l1, l2):
    """Guess signs, solve, correct the guess; return whether it came to rest, at the solution.

    Where it doesn't within a few rounds, everything is left as it was.
    """
    w, g = work.w[:m].copy(), work.g[:m].copy()
    # The last penalty's signs, and rows that break the new penalty's conditions: as penalties fall
    # by small steps this is nearly always right at once.
    signs = np.empty(m)
    for k in range(m):
        signs[k] = _pull(g[k], l1) if w[k] == 0.0 else np.sign(w[k])
    for _ in range(_GUESSES):
        support = np.flatnonzero(signs)
        right = np.empty(len(support))
        for i, k in enumerate(support):
            right[i] = work.c[k] - l1 * signs[k]
        values = _solved_on(work, support, right, l2)
        _put(work, m, support, values)
        if _corrected(work, m, support, values, l1, signs):
            return True
    for k in range(m):
        work.w[k], work.g[k] = w[k], g[k]
    return False


# --- one variable at a time; the support's matrix is U'U, `upper` = U, `size` rows in use --------


@compiled
def _forward(upper, size, right):
    """Solve U'v = right for v."""
    v = right.copy()
    for q in range(size):
        v[q] /= upper[q, q]
        row = upper[q]
        for r in range(q + 1, size):
            v[r] -= v[q] * row[r]
    return v


@compiled
def _backward(upper, size, v):
    """Solve Ux = v for x."""
    x = v.copy()
    for q in range(size - 1, -1, -1):
        x[q] = (x[q] - _dot(upper[q, q + 1 : size], x[q + 1 :])) / upper[q, q]
    return x


@compiled
def _drop(support, upper, size, i):
    """Take place `i` out of the support; rotations of its rows make U triangular again."""
    # A new factor would cost size^3 for each variable that leaves, and they leave one by one.
    for q in range(i, size - 1):
        support[q] = support[q + 1]
    for q in range(size):
        row = upper[q]
        for r in range(max(q - 1, i), size - 1):
            row[r] = row[r + 1]
    for q in range(i, size - 1):
        first, second = upper[q], upper[q + 1]
        length = np.hypot(first[q], second[q])
        cosine, sine = first[q] / length, second[q] / length
        for r in range(q, size - 1):
            one, other = first[r], second[r]
            first[r] = cosine * one + sine * other
            second[r] = cosine * other - sine * one


@compiled
def _move(work, m, support, way, longest):
    """Go along `way` until a coefficient is 0, `longest` at most; (length, its place or -1)."""
    # Beyond a 0 the penalty's slope has the other sign, and `way` no longer leads down.
    step, ended = longest, -1
    for i, k in enumerate(support):
        if work.w[k] * way[i] < 0.0 and -work.w[k] / way[i] <= step:
            step, ended = -work.w[k] / way[i], i
    if step < np.inf:
        for i, k in enumerate(support):
            _shift(work, m, k, -work.w[k] if i == ended else step * way[i])
    return step, ended


@compiled
def _exchange(work, m, support, upper, size, k, v):
    """Swap a linearly dependent row `k` into the support, for the first that it brings to 0.

    Along this way the fit stays as it is, and sum|w| falls: with linkage a row is often a
    combination of others, and the lasso's minimum lies where one of them is 0. v: U'v = the row's
    products with the support. Returns the new size, -1 where none comes to 0.
    """
    sign = 1.0 if work.g[k] >= 0.0 else -1.0
    way = -sign * _backward(upper, size, v)
    step, ended = _move(work, m, support[:size], way, np.inf)
    if ended < 0:
        return -1
    _shift(work, m, k, sign * step)
    _drop(support, upper, size, ended)
    return size - 1


@compiled
def _add(work, m, support, upper, size, k, l2):
    """Add row `k` to the support; return the new size, or -1 as `_exchange`."""
    square = work.gram[k, k] + l2 * work.ridge[k]
    v = _forward(upper, size, work.gram[k][support[:size]])
    # What the support leaves of the row: a factor with less than this would be rounding.
    if square - _dot(v, v) <= _DEPENDENT * square:
        size = _exchange(work, m, support, upper, size, k, v)
        if size < 0:
            return -1
        v = _forward(upper, size, work.gram[k][support[:size]])
    for q in range(size):
        upper[q, size] = v[q]
    upper[size, size] = np.sqrt(max(square - _dot(v, v), _DEPENDENT * square))
    support[size] = k
    return size + 1


@compiled
def _turned(work, support, signs, way):
    """Find the first place at 0 that `way` takes to the other sign; -1 for none."""
    for i, k in enumerate(support):
        if work.w[k] == 0.0 and way[i] * signs[k] < 0.0:
            return i
    return -1


@compiled
def _to_minimum(work, m, support, signs, upper, size, l1, l2):
    """Go to the minimum on the support, less what becomes 0 on the way; return the new size."""
    while size:
        used = support[:size]
        right = work.g[used] - l2 * work.ridge[used] * work.w[used] - l1 * signs[used]
        way = _backward(upper, size, _forward(upper, size, right))
        ended = _turned(work, used, signs, way)
        if ended < 0:
            ended = _move(work, m, used, way, 1.0)[1]
        if ended < 0:
            break
        _drop(support, upper, size, ended)
        size -= 1
    return size


@compiled
def _worst(work, m, support, l1):
    """Find the row outside the support that breaks the optimality conditions most; -1: none."""
    inside = np.zeros(m, np.bool_)
    for k in support:
        inside[k] = True
    worst, most = -1, l1 * (1 + 1e-9)
    for k in range(m):
        if not inside[k] and abs(work.g[k]) > most:
            worst, most = k, abs(work.g[k])
    return worst


@compiled
def _one_by_one(work, m, l1, l2):
    """Go from the coefficients as they are to the minimum; return whether it was reached."""
    support, upper, size = np.empty(m + 1, np.int64), np.empty((m + 1, m + 1)), _NONE
    for k in np.flatnonzero(work.w[:m]):
        size = _add(work, m, support, upper, size, k, l2)
        if size < 0:
            return False
    signs = np.sign(work.w[:m])
    # Each step enters a row and lowers the objective; only rounding needs more than a few per row.
    for _ in range(100 + 10 * m):
        size = _to_minimum(work, m, support, signs, upper, size, l1, l2)
        k = _worst(work, m, support[:size], l1)
        if k < 0:
            return True
        signs[k] = np.sign(work.g[k])
        size = _add(work, m, support, upper, size, k, l2)
        if size < 0:
            return False
    return False


@compiled
def _settle(work, m, l1, l2, enough):
    """Find the minimum among the working rows; by sweeps where nothing else ends there."""
    if l2 > 0.0 and _primal_dual(work, m, l1, l2):
        return
    if m and not _one_by_one(work, m, l1, l2):
        for _ in range(_SWEEPS):
            if _sweep(work, m, l1, l2) <= enough:
                return


@compiled
def _refresh(work, m, z, y):
    """Compute the residual and the gradient of all rows from the coefficients.

    Gradients that follow each change gather rounding; this also sees rows that never worked.
    """
    residual = y - work.w[:m] @ work.z[:m]
    gradient = z @ residual
    for k in range(m):
        work.g[k] = gradient[work.rows[k]]
    return residual, gradient


@compiled
def _gap(work, m, y, residual, gradient, inside, l1, l2):
    """Compute the duality gap (Fercoq et al. 2015 for the lasso, extended by the ridge's rows)."""
    # The residual, shrunk until no row exceeds l1, is a feasible point of the dual.
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
def descend(z, y, ridge, l1s, l2s, tolerance) -> tuple[np.ndarray, np.ndarray]:
    """Solve the path: coefficients (penalties, p), duality gaps (penalties,) as parts of |y|^2.

    ridge: s, (p,). l1s, l2s: falling penalties. Stops at a gap of `tolerance` or below.
    """
    p, n = z.shape
    found, gaps = np.zeros((len(l1s), p)), np.zeros(len(l1s))
    inside = np.zeros(p, np.bool_)
    work, m = _room(min(p, 64), n), _NONE
    correlation, total = z @ y, max(_dot(y, y), 1e-300)
    gradient = correlation
    for a in range(len(l1s)):
        l1, l2, enough = l1s[a], l2s[a], 0.1 * tolerance * total
        for _ in range(_TRIES):
            # Rows that break the conditions start to work, and stay: with falling penalties most of
            # them are needed again, and none of the others is looked at while solving.
            for j in range(p):
                if inside[j] or not abs(gradient[j]) > l1 * (1 + 1e-9):
                    continue
                if m == len(work.rows):
                    work = _grown(work, m)
                _enter(work, m, j, z[j], correlation[j], gradient[j], ridge[j])
                inside[j], m = True, m + 1
            _settle(work, m, l1, l2, enough)
            residual, gradient = _refresh(work, m, z, y)
            gaps[a] = _gap(work, m, y, residual, gradient, inside, l1, l2) / total
            if gaps[a] <= tolerance:
                break
            enough *= 0.3  # the sweeps stopped too early for the gap
        for k in range(m):
            found[a, work.rows[k]] = work.w[k]
    return found, gaps
