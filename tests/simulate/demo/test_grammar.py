"""The grammar against a slow, independent reading of its definition."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from howfar.core.errors import HowfarError
from howfar.models.base import reverse_complement
from howfar.simulate.demo import grammar as g


@pytest.fixture(scope="module")
def drawn():
    return g.draw(np.random.default_rng(5))


def random_windows(rng, n, length, grammar, planted=40):
    """Random bases with copies of motifs, so that sites and pairs occur."""
    out = rng.choice(np.frombuffer(b"ACGT", np.uint8), (n, length))
    for row in out:
        for _ in range(planted):
            start = rng.integers(0, length - g.WIDTH)
            motif = grammar.motifs[rng.integers(len(grammar.motifs))]
            row[start : start + g.WIDTH] = np.frombuffer(motif.encode(), np.uint8)
    return out


def slow_sites(text, grammar):
    """(start, motif, occupancy) of one sequence, letter by letter."""
    found = []
    for start in range(len(text) - 9):
        word = text[start : start + 10]
        if set(word) - set("ACGT"):
            continue
        for m, motif in enumerate(grammar.motifs):
            costs = zip(word, motif, grammar.penalties[m], strict=True)
            lost = sum(cost for x, y, cost in costs if x != y)
            occupancy = 1 / (1 + math.exp(-2.5 * (1.3 - lost)))
            if occupancy >= 0.05:
                found.append((start, m, occupancy))
    return found


def slow_log_expression(text, grammar, tss, cell):
    """The module's formula, site by site."""
    found = slow_sites(text, grammar)
    proximal = distal = 0.0
    for start, m, occupancy in found:
        distance = abs(start + 4.5 - tss)
        if m >= 12:
            proximal += grammar.weights[cell][m] * occupancy * (distance <= 40)
            continue
        effect = grammar.weights[cell][m] * occupancy
        for f, partner, weight in grammar.pairs:
            if f == m:
                near = sum(o for s, n, o in found if n == partner and abs(s - start) <= 100)
                effect += weight * occupancy * math.tanh(near)
        if distance <= 320:
            proximal += effect
        elif distance <= 3900:
            distal += effect * math.exp(-distance / 1500)
    around = text[max(0, tss - 250) : tss + 251]
    gc = sum(base in "GC" for base in around) / len(around)
    parts = (proximal, distal, gc)
    rows = zip(parts, grammar.shares, grammar.centre[cell], grammar.scale[cell], strict=True)
    return grammar.level + sum(a * (x - c) / s for x, a, c, s in rows)


def test_motifs_are_palindromes_far_from_each_other(drawn):
    codes = np.array([["ACGT".index(b) for b in motif] for motif in drawn.motifs])
    assert (codes == 3 - codes[:, ::-1]).all()
    distances = (codes[:, None] != codes[None]).sum(axis=2)
    assert distances[~np.eye(len(codes), dtype=bool)].min() >= 4


def test_sites_equal_a_slow_scan(drawn):
    windows = random_windows(np.random.default_rng(0), 3, 700, drawn)
    windows[1, 300:303] = ord("N")
    found = g.sites(windows, drawn)
    for row, window in enumerate(windows):
        slow = slow_sites(window.tobytes().decode(), drawn)
        mine = found.window == row
        assert [(s, m) for s, m, _ in slow] == [
            *zip(found.start[mine], found.motif[mine], strict=True)
        ]
        np.testing.assert_allclose(
            found.occupancy[mine] / g.UNIT, [o for _, _, o in slow], atol=1 / g.UNIT
        )


@pytest.mark.parametrize("length, tss", [(8192, 4096), (1501, 700), (900, 100)])
def test_log_expression_equals_the_formula_site_by_site(drawn, length, tss):
    windows = random_windows(np.random.default_rng(1), 2, length, drawn)
    calibrated = g.calibrate(drawn, random_windows(np.random.default_rng(2), 30, 8192, drawn))
    fast = g.log_expression(windows, calibrated, tss)
    for row, window in enumerate(windows):
        text = window.tobytes().decode()
        slow = [slow_log_expression(text, calibrated, tss, cell) for cell in range(2)]
        np.testing.assert_allclose(fast[row], slow, atol=1e-3)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
def test_values_depend_on_neither_strand_nor_chunks(seed, chunk):
    grammar = g.draw(np.random.default_rng(5)) if seed < 0 else _shared
    windows = random_windows(np.random.default_rng(seed), 6, 1200, grammar)
    forward = g.log_expression(windows, grammar)
    backward = g.log_expression(reverse_complement(windows), grammar, 1200 - 1 - 600)
    np.testing.assert_allclose(backward, forward, atol=1e-9)
    assert (g.log_expression(windows, grammar, chunk=chunk) == forward).all()


_shared = g.draw(np.random.default_rng(6))


def test_calibration_standardises(drawn):
    windows = random_windows(np.random.default_rng(3), 60, 8192, drawn)
    calibrated = g.calibrate(drawn, windows)
    parts = g.components(windows, calibrated)
    z = (parts - calibrated.centre) / np.asarray(calibrated.scale)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-9)


def test_written_and_read_again(drawn, tmp_path):
    calibrated = g.calibrate(drawn, random_windows(np.random.default_rng(3), 20, 8192, drawn))
    g.save(calibrated, tmp_path / "grammar.json")
    again = g.load(tmp_path / "grammar.json")
    windows = random_windows(np.random.default_rng(4), 5, 8192, drawn)
    assert (g.log_expression(windows, again) == g.log_expression(windows, calibrated)).all()


def test_a_file_that_is_no_grammar(tmp_path):
    (tmp_path / "grammar.json").write_text('{"motifs": []}')
    with pytest.raises(HowfarError, match="grammar.json"):
        g.load(tmp_path / "grammar.json")
