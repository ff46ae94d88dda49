"""Attribution in the neighbourhood of a driver: its size beside the gene's largest, and how far
equal sizes reach (Sasse et al. 2023, figure S13).

A window is (positions, 4): the change of the prediction when the base at a position is replaced,
0 for the base that is there. A base's score is minus the mean of its three changes, as a share of
the gene's largest |change| near its TSS. The driver is in the middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Shares of the gene's largest change at which stretches are measured.
THRESHOLDS = (0.05, 0.1, 0.2, 0.5)


def base_scores(windows: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Score every base of windows (n, positions, 4), `largest` (n,): shape (n, positions)."""
    return -windows.sum(axis=2) / (3 * np.asarray(largest, float)[:, None])


@dataclass(frozen=True)
class Around:
    """Drivers' neighbourhoods; arrays (n,) or (n, thresholds).

    centre: score of the driver's base. size: bases around it, itself included, without a gap that
    reach the threshold with its sign; 0 where it doesn't. distance: bases to the nearest that
    reaches it with either sign; the farthest position where none does. score: of that base.
    """

    centre: np.ndarray
    size: np.ndarray
    distance: np.ndarray
    score: np.ndarray


def around(scores: np.ndarray, thresholds: tuple[float, ...] = THRESHOLDS) -> Around:
    """Measure the neighbourhood of the middle base of each row of scores (n, positions)."""
    middle = scores.shape[1] // 2
    signed = scores * np.sign(scores[:, [middle]])
    # By distance from the middle, both sides: (n, 2, distance).
    along = np.stack([signed[:, middle::-1], signed[:, middle:]], axis=1)
    raw = np.stack([scores[:, middle::-1], scores[:, middle:]], axis=1)
    size, distance, score = (np.zeros((len(scores), len(thresholds))) for _ in range(3))
    rows = np.arange(len(scores))
    for k, threshold in enumerate(thresholds):
        reaches = np.abs(raw[:, 0, 0]) >= threshold
        run = np.cumprod(along[:, :, 1:] >= threshold, axis=2).sum(axis=(1, 2))
        size[:, k] = np.where(reaches, 1 + run, 0)
        high = (np.abs(raw) >= threshold).any(axis=1)
        step = np.where(high.any(axis=1), high.argmax(axis=1), middle)
        left, right = raw[rows, 0, step], raw[rows, 1, step]
        distance[:, k] = step
        score[:, k] = np.where(np.abs(right) > np.abs(left), right, left)
    return Around(scores[:, middle], size.astype(int), distance.astype(int), score)
