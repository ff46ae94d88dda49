"""Rastogi, Reddy et al. 2024: ln TPM without components of expression."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from howfar.cohort.preprocess.base import Prepared, check_matrix, varying_genes
from howfar.cohort.preprocess.statistics import standardised, to_tpm, without_components
from howfar.core.errors import HowfarError


def prepare(
    rpkm: pd.DataFrame,
    covariates: pd.DataFrame | None = None,
    genotype_pcs: pd.DataFrame | None = None,
    pcs: int = 10,
    offset: float = 0.01,
) -> Prepared:
    """RPKM to ln TPM without components: Rastogi, Reddy et al. 2024 (Geuvadis).

    TPM = RPKM / column sum x 10^6; genes at zero in half of the samples or more left out;
    ln(TPM + `offset`); each gene standardised (population SD), the first `pcs` components of the
    samples x genes matrix removed, the standardisation undone. The study removes no covariates.
    """
    if covariates is not None or genotype_pcs is not None:
        raise HowfarError(
            "recipe rastogi2024",
            found="covariates",
            expected="none: the study removes components of expression alone",
            do="Leave them out, or choose another recipe.",
        )
    check_matrix(rpkm, "RPKM")
    tpm = to_tpm(rpkm)
    zeros = (rpkm == 0).mean(axis=1) >= 0.5
    logs = np.log(tpm[~zeros] + offset)
    left = varying_genes(logs)
    counts = Counter({"genes at zero in half of the samples or more": int(zeros.sum())})
    counts["genes of one value"] = len(logs) - len(left)
    scaled, mean, sd = standardised(logs.loc[left])
    rest = without_components(scaled, pcs)
    return Prepared(rest.mul(sd, axis=0).add(mean, axis=0), "ln(TPM + 0.01), corrected", counts)
