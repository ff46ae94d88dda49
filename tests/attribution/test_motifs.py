"""Grouping of short windows: planted patterns are found at their shift and strand."""

from __future__ import annotations

import numpy as np
import pytest

from howfar.attribution import motifs

MOTIF = "TGACTCAGG"  # unlike its own reverse complement


def one_hot(sequence: str) -> np.ndarray:
    return np.eye(4)[["ACGT".index(base) for base in sequence]]


def planted(rng: np.random.Generator, n: int, length: int = 13) -> tuple[np.ndarray, list]:
    """Windows that hold the motif at a random place, every second one on the other strand."""
    windows, places = [], []
    for i in range(n):
        at = int(rng.integers(0, length - len(MOTIF) + 1))
        letters = rng.choice(list("ACGT"), length)
        letters[at : at + len(MOTIF)] = list(MOTIF)
        window = one_hot("".join(letters))
        windows.append(window[::-1, ::-1] if i % 2 else window)
        places.append((at, bool(i % 2)))
    return np.array(windows), places


def brute_force(a: np.ndarray, b: np.ndarray, largest: int) -> float:
    """Best cosine over shifts and strands, position by position."""
    best = -np.inf
    for other in (b, b[::-1, ::-1]):
        for step in range(-largest, largest + 1):
            total = sum(a[i] @ other[i - step] for i in range(len(a)) if 0 <= i - step < len(other))
            best = max(best, total / np.linalg.norm(a) / np.linalg.norm(other))
    return best


def test_likeness_is_the_best_cosine_over_shifts_and_strands():
    windows = np.random.default_rng(2).normal(size=(7, 9, 4))
    found = motifs.align(windows, 3)
    for i in range(7):
        for j in range(7):
            assert found.likeness[i, j] == pytest.approx(
                brute_force(windows[i], windows[j], 3), abs=1e-5
            )
    np.testing.assert_allclose(found.likeness, found.likeness.T, atol=1e-5)


def test_shift_and_strand_are_those_of_the_planted_motif():
    windows, places = planted(np.random.default_rng(1), 8)
    found = motifs.align(motifs.sequence_windows(windows))
    at, turned = places[0]
    for j, (other, flipped) in enumerate(places):
        assert found.flipped[0, j] == (flipped != turned)
        if not flipped:
            assert found.shift[0, j] == at - other


def test_a_planted_pattern_is_the_largest_group_and_its_logo():
    rng = np.random.default_rng(4)
    windows = np.concatenate([planted(rng, 25)[0], np.eye(4)[rng.integers(0, 4, (60, 13))]])
    centred = motifs.sequence_windows(windows)
    alignment = motifs.align(centred)
    group = motifs.clusters(alignment)
    members = np.flatnonzero(group == 1)
    assert (members < 25).sum() >= 20 and (members >= 25).sum() <= 2
    mean = motifs.logo(centred, alignment, members) + 0.25
    letters = "".join("ACGT"[i] for i in np.nan_to_num(mean, nan=0).argmax(axis=1))
    mirror = MOTIF[::-1].translate(str.maketrans("ACGT", "TGCA"))
    assert MOTIF in letters or mirror in letters
    np.testing.assert_allclose(np.nansum(mean, axis=1)[~np.isnan(mean[:, 0])], 1)
    sizes = np.bincount(group)[1:]
    assert (np.diff(sizes) <= 0).all()


def test_shuffled_windows_keep_their_letters_and_lose_the_pattern():
    windows, _ = planted(np.random.default_rng(3), 30)
    mixed = motifs.shuffled(windows)
    np.testing.assert_array_equal(mixed.sum(axis=1), windows.sum(axis=1))
    assert (mixed.sum(axis=2) == 1).all() and not np.array_equal(mixed, windows)
    groups = [motifs.clusters(motifs.align(motifs.sequence_windows(w))) for w in (windows, mixed)]
    assert np.bincount(groups[0]).max() > 2 * np.bincount(groups[1]).max()


def test_unknown_bases_and_few_windows_make_no_likeness():
    windows = np.zeros((2, 13, 4))
    windows[0] = one_hot("ACGTACGTACGTA")
    found = motifs.align(motifs.sequence_windows(windows))
    assert found.likeness[0, 1] == 0
    assert motifs.clusters(found).tolist() == [1, 2]
    assert motifs.clusters(motifs.align(windows[:1])).tolist() == [1]
