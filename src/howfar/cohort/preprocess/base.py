"""What a recipe of expression returns, and the checks of what it is given."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError


@dataclass(frozen=True)
class Prepared:
    """A recipe's result.

    `values`: float64, gene x sample; `units`: of them; `counts`: genes left out, by reason, and
    what else was counted; `weights`: precision weights of each value (voom), or None.
    """

    values: pd.DataFrame
    units: str
    counts: Counter[str] = field(default_factory=Counter)
    weights: pd.DataFrame | None = None


def check_matrix(values: pd.DataFrame, what: str, whole: bool = False) -> None:
    """Raise HowfarError for a matrix that is not complete, finite, >= 0, or too small.

    whole: fractions are refused too, up to the rounding of estimated counts (RSEM's and the
    like are fractions: round them).
    """
    matrix = values.to_numpy(float)
    lost, negative = int((~np.isfinite(matrix)).sum()), int((matrix < 0).sum())
    parts = int((np.abs(matrix - np.round(matrix)) > 1e-6).sum()) if whole and not lost else 0
    empty = int((matrix.sum(axis=0) <= 0).sum()) if not (lost or negative) else 0
    if lost or negative or parts or empty or min(matrix.shape) < 3:
        raise HowfarError(
            f"{what}, {matrix.shape[0]} genes x {matrix.shape[1]} samples",
            found=f"{lost} missing or infinite, {negative} negative and {parts} fractional values, "
            f"{empty} samples without any expression",
            expected="at least 3 genes and 3 samples, every value finite and not negative"
            + (", counts whole" if whole else ""),
            do="Give the matrix before any transform; round estimated counts.",
        )


def align(other: pd.DataFrame, values: pd.DataFrame, what: str) -> pd.DataFrame:
    """`other` with the genes and samples of `values`; HowfarError where it lacks some."""
    genes = len(values.index.difference(other.index))
    samples = len(values.columns.difference(other.columns))
    if genes or samples:
        raise HowfarError(
            what,
            found=f"{genes} genes and {samples} samples fewer than the other matrix",
            expected="the same genes and samples",
            do="Write both matrices from the same run.",
        )
    return other.loc[values.index, values.columns]


def join_covariates(tables: list[pd.DataFrame | None], samples: list[str]) -> pd.DataFrame:
    """Covariates (sample x covariate) side by side, in the order of `samples`."""
    found = [pd.DataFrame(index=samples)]
    for table in tables:
        if table is None:
            continue
        lacking = sum(s not in table.index for s in samples)
        chosen = table.reindex(samples).astype(float)
        if lacking or chosen.isna().to_numpy().any():
            raise HowfarError(
                "covariates",
                found=f"{lacking} of {len(samples)} samples without a row, "
                f"{int(chosen.isna().to_numpy().sum())} missing values",
                expected="a number for every sample of the expression",
                do="Add the samples, or turn the table if its rows are covariates.",
            )
        found.append(chosen)
    return pd.concat(found, axis=1)


def varying_genes(values: pd.DataFrame) -> pd.Index:
    """The genes that vary; HowfarError where none does."""
    matrix = values.to_numpy(float)
    varies = np.ptp(matrix, axis=1) > 1e-12 * np.abs(matrix).max(axis=1)
    if not varies.any():
        raise HowfarError(
            "genes to prepare",
            found=f"none left: {len(values)} expressed in enough samples, none of which varies",
            expected="genes whose expression differs between samples",
            do="Check that the matrix has the values of each sample, before any transform.",
        )
    return values.index[varies]
