"""Made-up effects and slopes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

GENES = pd.DataFrame({"gene_id": [f"g{i}" for i in range(12)], "chrom": "1", "strand": "+"})
GENES = GENES.assign(tss=np.arange(12) * 1_000_000 + 500_000, name="x")


def effects(seed=1, follow=0.0, variants=20) -> pd.DataFrame:
    """12 genes of one run; `follow`: how far effects go with the slopes' z."""
    rng = np.random.default_rng(seed)
    rows = [(g, f"1:{j}:A:G", j * 700.0 - 6000) for g in GENES["gene_id"] for j in range(variants)]
    table = pd.DataFrame(rows, columns=["gene_id", "variant", "distance"])
    z = rng.normal(0, 3, len(table))
    table["effect"] = follow * z + rng.normal(size=len(table))
    table = table.assign(slope=0.1 * z, slope_se=0.1, maf=rng.uniform(0.05, 0.5, len(table)))
    p = 2 * stats.norm.sf(np.abs(z))
    return table.assign(p=p, pip=rng.uniform(size=len(table)), run_id="net", source="model")
