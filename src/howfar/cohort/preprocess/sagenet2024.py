"""SAGE-net (Spiro, Tu et al. 2025): log2(TPM + 1) without covariates and components."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from howfar.cohort.preprocess.base import Prepared, check_matrix, join_covariates, varying_genes
from howfar.cohort.preprocess.statistics import (
    components,
    r_squared,
    regressed_out,
    standardised,
)


def prepare(
    tpm: pd.DataFrame,
    covariates: pd.DataFrame | None = None,
    genotype_pcs: pd.DataFrame | None = None,
    pcs: int = 10,
    explained: float = 0.9,
) -> Prepared:
    """TPM to log2(TPM + 1) without covariates: SAGE-net (ROSMAP).

    The first `pcs` components of standardised expression, genotype components (3 in the study),
    and those known covariates of which the expression components explain less than `explained`
    (R2) are regressed out together, gene means kept.
    """
    check_matrix(tpm, "TPM")
    left = varying_genes(tpm)
    values = np.log2(tpm.loc[left] + 1)
    first = components(standardised(values)[0].T, pcs)
    known = join_covariates([covariates], list(values.columns))
    share = r_squared(known, first)
    kept = known.loc[:, share < explained]
    counts = Counter({"genes of one value": len(tpm) - len(left)})
    counts["covariates left to the components that explain them"] = known.shape[1] - kept.shape[1]
    nuisance = join_covariates([kept, first, genotype_pcs], list(values.columns))
    return Prepared(regressed_out(values, nuisance), "log2(TPM + 1), corrected", counts)
