"""Sasse et al. 2023: log2 CPM of read counts, without covariates and components."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from howfar.cohort.preprocess.base import Prepared, check_matrix, join_covariates, varying_genes
from howfar.cohort.preprocess.statistics import (
    components,
    log2_cpm,
    regressed_out,
    tmm_factors,
    voom_weights,
)


def prepare(
    counts: pd.DataFrame,
    covariates: pd.DataFrame | None = None,
    genotype_pcs: pd.DataFrame | None = None,
    pcs: int = 10,
    min_mean: float = 2.0,
) -> Prepared:
    """Read counts to log2 CPM without covariates: Sasse et al. 2023 (ROSMAP).

    TMM effective library sizes, log2 CPM with voom weights, genes with a mean log2 CPM above
    `min_mean`; covariates (sample x covariate) and the first `pcs` components of expression
    regressed out by weighted least squares, gene means kept. The study regresses out no genotype
    components; those given are added to the covariates.
    """
    check_matrix(counts, "read counts", whole=True)
    left = varying_genes(counts)
    library = counts.sum() * tmm_factors(counts)
    values = log2_cpm(counts.loc[left], library)
    known = join_covariates([covariates, genotype_pcs], list(counts.columns))
    weights = voom_weights(values, library, known)
    kept = values.mean(axis=1) > min_mean
    values, weights = values[kept], weights[kept]
    dropped = {"genes of one value": len(counts) - len(left)}
    dropped[f"genes with a mean log2 CPM of {min_mean:g} or below"] = int((~kept).sum())
    nuisance = join_covariates([known, components(values.T, pcs)], list(values.columns))
    cleaned = regressed_out(values, nuisance, weights)
    return Prepared(cleaned, "log2 CPM, corrected", Counter(dropped), weights)
