"""Golden tables: a few values of each layer's public estimators, kept beside the layer's version.

A layer's ``VERSION`` says which of its kept results are still current, so whoever changes values
must raise it. After raising it, ``HOWFAR_WRITE_GOLDEN=1`` with the layer's golden test writes the
table anew; the old version is never written over with other values.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

RELATIVE = 1e-6  # processors differ in the last digits


def check(path: Path, version: int, values: Mapping[str, object]) -> None:
    """Compare `values` with the golden table at `path`, made by `version` of the layer.

    values: name to a string, an integer, a float or an array of these. Integers and strings must
    be equal, floats within 1e-6 relative.
    """
    frame = pd.DataFrame(_rows(values), columns=["name", "kind", "value"])
    kept = pd.read_csv(path, dtype=str, keep_default_na=False) if path.is_file() else None
    if os.environ.get("HOWFAR_WRITE_GOLDEN") and (
        kept is None or int(kept["version"][0]) < version
    ):
        frame.assign(version=version).to_csv(path, index=False, lineterminator="\n")
        return
    assert kept is not None, f"{path} is missing: make it with HOWFAR_WRITE_GOLDEN=1"
    changed = _changed(kept, frame)
    if int(kept["version"][0]) == version:
        assert not changed, (
            f"values changed without a new VERSION of the layer ({path.parent.name}): {changed[:5]}"
        )
    else:
        raise AssertionError(f"{path} is of another VERSION: make it anew, HOWFAR_WRITE_GOLDEN=1")


def _rows(values: Mapping[str, object]) -> list[tuple[str, str, str]]:
    rows = []
    for name, value in values.items():
        array = np.asarray(value)
        kind = "float" if array.dtype.kind == "f" else "exact"
        for place, each in np.ndenumerate(array):
            label = f"{name}[{','.join(map(str, place))}]" if place else name
            rows.append((label, kind, repr(float(each)) if kind == "float" else str(each)))
    return rows


def _changed(kept: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    """Names whose values differ, or that only one of the two tables has."""
    old, new = kept.set_index("name"), frame.set_index("name")
    changed = sorted(set(old.index) ^ set(new.index))
    both = old.merge(new, left_index=True, right_index=True, suffixes=("_old", "_new"))
    is_float = (both["kind_old"] == "float") & (both["kind_new"] == "float")
    before, after = (both.loc[is_float, f"value_{side}"].astype(float) for side in ("old", "new"))
    close = np.isclose(after, before, rtol=RELATIVE, atol=0, equal_nan=True)
    exact = both[~is_float]
    differs = (exact["value_old"] != exact["value_new"]) | (exact["kind_old"] != exact["kind_new"])
    return changed + list(before.index[~close]) + list(exact.index[differs])
