"""The order of the packages: which may import from which.

A package imports only from layers before its own; packages of one layer don't import each other.
`tests/test_layers.py` reads every import, and the book draws the layers from this list.
"""

from __future__ import annotations

#: Packages of `howfar`, layer by layer from the lowest. What one holds stands in its docstring.
LAYERS = [
    ["core"],
    ["genome", "study", "fetch", "stats"],
    ["cohort", "models"],
    ["results"],
    ["eqtl"],
    ["linear"],
    ["prediction"],
    ["training", "attribution", "stacking"],
    ["simulate"],
    ["evaluation"],
    ["published"],
    ["figures", "bench", "doctor", "board"],
    ["workflow", "book"],
    ["cli"],
]
