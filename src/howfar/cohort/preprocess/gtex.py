"""The GTEx Consortium's pipeline for eQTL mapping (2020, supplement): normal scores."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from howfar.cohort.preprocess.base import Prepared, align, check_matrix, varying_genes
from howfar.cohort.preprocess.statistics import MILLION, normal_scores, tmm_factors
from howfar.core.errors import HowfarError


def prepare(
    counts: pd.DataFrame,
    covariates: pd.DataFrame | None = None,
    genotype_pcs: pd.DataFrame | None = None,
    pcs: int = 0,
    tpm: pd.DataFrame | None = None,
) -> Prepared:
    """Read counts to normal scores: the GTEx pipeline for eQTL mapping (v8).

    Genes with at least 6 reads (and, where `tpm` is given, more than 0.1 TPM) in 20 % of the
    samples; TMM-normalised CPM; each gene's ranks over samples as normal quantiles,
    rank / (samples + 1), ties at their mean rank. Nothing is regressed out: covariates enter the
    eQTL model.
    """
    if covariates is not None or genotype_pcs is not None or pcs:
        raise HowfarError(
            "recipe gtex",
            found="covariates or components",
            expected="none: they enter the eQTL model",
            do="Give them to `howfar eqtl`.",
        )
    check_matrix(counts, "read counts", whole=True)
    enough = (counts >= 6).mean(axis=1) >= 0.2
    if tpm is not None:
        check_matrix(tpm, "TPM")
        enough &= (align(tpm, counts, "TPM") > 0.1).mean(axis=1) >= 0.2
    dropped = Counter({"genes expressed in fewer than 20 % of the samples": int((~enough).sum())})
    cpm = counts / (counts.sum() * tmm_factors(counts)) * MILLION
    left = varying_genes(cpm[enough])
    dropped["genes of one value"] = int(enough.sum()) - len(left)
    return Prepared(normal_scores(cpm.loc[left]), "normal scores", dropped)
