"""What population means do to r: the genes whose r changes sign when they are removed."""

from __future__ import annotations

import numpy as np
import pandas as pd

_COLUMNS = ["run_id", "gene_id", "pooled", "centred", "significant", "flips"]
_DERIVED = ("pooled", "centred", "permuted")


def compared_populations(across: pd.DataFrame) -> list[str]:
    """Populations of `across` to compare: 'pooled', the populations, 'centred'.

    Empty where there is one population only, or nothing with population means removed.
    """
    given = set(across["population"])
    inner = sorted(given - set(_DERIVED))
    return ["pooled", *inner, "centred"] if len(inner) > 1 and "centred" in given else []


def centring(across: pd.DataFrame) -> pd.DataFrame:
    """One row per run and gene whose people come from two populations or more.

    Columns run_id, gene_id, pooled, centred (r), significant (q of the pooled r at most 0.05) and
    flips (1.0 where the two r differ in sign, else 0.0).
    """
    table = across.dropna(subset=["pearson"])
    inner = compared_populations(across)[1:-1]
    if not inner:
        return pd.DataFrame(columns=_COLUMNS)
    index = ["run_id", "gene_id"]
    present = table[table["population"].isin(inner)].groupby(index).size()
    wide = table.pivot(index=index, columns="population", values="pearson")
    wide = wide.reindex(columns=[*wide.columns.union(["pooled", "centred"])])
    q = table[table["population"] == "pooled"].set_index(index)["q"]
    wide = wide.assign(significant=q <= 0.05, populations=present)
    wide = wide[wide["populations"] > 1].dropna(subset=["pooled", "centred"]).reset_index()
    flips = (np.sign(wide["pooled"]) != np.sign(wide["centred"])).astype(float)
    return wide.assign(flips=flips)[_COLUMNS]
