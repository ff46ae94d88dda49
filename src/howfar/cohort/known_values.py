"""True genetic values of simulated cohorts."""

from __future__ import annotations

import pandas as pd

from howfar.cohort.files import cohort_of
from howfar.core import sealed
from howfar.core.project import resolve
from howfar.study.schema import Study


def true_values(study: Study) -> pd.DataFrame | None:
    """Gene x sample true genetic values of a simulated study (cell type A), or None."""
    reference = cohort_of(study).reference
    if not study.simulate or reference is None:
        return None
    path = resolve(reference).parent / "truth_values.parquet"
    if not path.is_file():
        return None
    long = sealed.read_own_parquet(path, columns=["gene_id", "sample", "value_a"])
    return long.pivot(index="gene_id", columns="sample", values="value_a")
