"""Saturation mutagenesis (ISM): the prediction with each base replaced, less that as it is.

Where a network's first layers see few neighbours, only what a substitution changes in them is
computed (`models.engine.substitutions`), and what follows them on each mutant.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from howfar.models.base import SequenceModel
from howfar.prediction import transform
from howfar.study.schema import Run

_BYTES = np.frombuffer(b"ACGT", np.uint8)


def ism(
    model: SequenceModel,
    run: Run,
    bins: Sequence[int],
    tracks: Sequence[int],
    window: np.ndarray,
    start: int,
    stop: int,
) -> np.ndarray:
    """Predict every substitution of window[start:stop], less the window itself: (positions, 4).

    window: uint8 (context,) as the model reads it; columns A, C, G, T. In the units of the run's
    prediction, transformed on one haplotype. 0 for the letter that is there.
    """
    where = window[start:stop, None] != _BYTES
    place, letter = where.nonzero()
    # The window as it is goes first, through the same arithmetic.
    at, letter = np.r_[start, start + place], np.r_[-1, letter]
    parts = model.predict_substitutions(window, at, letter, bins, tracks)
    values = np.concatenate(list(parts))
    numbers = transform.transform(values[:, None], run.transform)
    found = np.zeros(where.shape)
    found[where] = numbers[1:] - numbers[0]
    return found
