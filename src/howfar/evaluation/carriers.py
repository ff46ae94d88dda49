"""How many of a gene's common variants each person carries (Sasse et al. 2023, Fig. S2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from howfar.cohort.panel import Panel

#: Set of table `summary`; method: gene_id, x: variants carried, value: people.
CARRIED = "variants_carried"
#: Share of people who carry a variant, above which it counts.
_COMMON = 0.1


def rows(panel: Panel, genes: Sequence[str]) -> pd.DataFrame:
    """Rows of table `summary`: people by how many common variants of a gene they carry.

    Counts of people, so for studies whose individuals are public. A variant counts that more than
    a tenth of the people carry; n: how many there are.
    """
    parts = []
    for gene in genes:
        carried = np.nan_to_num(panel.dosages(gene)[0]) > 0
        common = carried[:, carried.mean(axis=0) > _COMMON]
        x, people = np.unique(common.sum(axis=1), return_counts=True)
        columns = {"set": CARRIED, "method": gene, "group": "people", "x": x.astype(float)}
        columns |= {"value": people.astype(float), "n": common.shape[1], "units": "people"}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
