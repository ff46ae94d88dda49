"""Values of haplotypes that share work, beside those without: whether they differ, and what then.

Each network compares some of its first windows, so that nothing shared wrongly goes on.
"""

from __future__ import annotations

import sys

import numpy as np

from howfar.models.base import SequenceModel

#: Of the largest value: how far a declared network may be from its plain way in float32.
ROUNDING = 1e-4
_OF_SPREAD = 1e-3  # of the standard deviation between windows, where that is more


def difference(shared: np.ndarray, plain: np.ndarray, part: float) -> str:
    """Say how values (windows, bins, tracks) differ from those without sharing; "" if they don't.

    part: of the largest value, that rounding may change.
    """
    allowed = max(part * np.abs(plain).max(initial=0), _OF_SPREAD * plain.std(axis=0).max())
    worst = np.abs(shared - plain).max(initial=0)
    if worst <= allowed:
        return ""
    return f"the first windows differed by {worst:.1e} when they shared stretches"


def ended(model: SequenceModel, reason: str) -> str:
    """Return the sentence on why a model shares nothing from now on, which is said as well."""
    sentence = f"Nothing is shared: {reason}."
    print(f"howfar: model {model.name}: {sentence}", file=sys.stderr)
    return sentence
