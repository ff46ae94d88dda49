"""True genetic values of simulated cohorts."""

from __future__ import annotations

import pandas as pd

from howfar.cohort.files import cohort_of
from howfar.core import sealed
from howfar.core.project import resolve
from howfar.study.schema import Study


def has_peaks(study: Study) -> bool:
    """Return whether the rows of a simulated study are its world's peaks, not its genes."""
    genes = cohort_of(study).genes
    return bool(study.simulate) and genes is not None and genes.name.startswith("peaks")


def true_values(study: Study) -> pd.DataFrame | None:
    """Gene x sample true genetic values of a simulated study (cell type A, or peaks), or None."""
    reference = cohort_of(study).reference
    if not study.simulate or reference is None:
        return None
    name, value = ("peaks", "value") if has_peaks(study) else ("values", "value_a")
    path = resolve(reference).parent / f"truth_{name}.parquet"
    if not path.is_file():
        return None
    long = sealed.read_own_parquet(path, columns=["gene_id", "sample", value])
    return long.pivot(index="gene_id", columns="sample", values=value)
