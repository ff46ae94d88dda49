"""How a model reads the letters of IUPAC beyond A, C, G, T and N.

Within the package such a letter stands for an unphased heterozygote, so that its row is an equal
mixture of its bases (R: half an A, half a G). The authors of the published models read none: for
Xpresso's the row is zero, for Basenji2's it is that of N. Sequences from elsewhere are therefore
best read with the authors' rule, to be comparable with their numbers.
"""

from __future__ import annotations

import numpy as np

from howfar.models.base import encoding_table
from howfar.models.engine.options import bad_option

RULES = ("mixture", "zero", "n")
_BEYOND = np.frombuffer(b"RYSWKMBDHVryswkmbdhv", np.uint8)


def letters_table(name: str, iupac: str, n_value: float) -> np.ndarray:
    """Return float32 (256, 4): the row (A, C, G, T) of each ASCII byte for model `name`.

    iupac: 'mixture', equal shares of the bases; 'zero', nothing; 'n', as N. n_value: N in each
    channel. HowfarError for another rule.
    """
    if iupac not in RULES:
        raise bad_option(name, "iupac", iupac, " or ".join(map(repr, RULES)))
    table = encoding_table(n_value)
    if iupac != "mixture":
        table[_BEYOND] = n_value if iupac == "n" else 0
    return table
