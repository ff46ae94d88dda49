"""The lead-SNP baseline: out-of-fold predictions by the lead cis-eQTL."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar.cohort.panel import Panel
from howfar.core.errors import HowfarError
from howfar.eqtl.lead import lead_snp_prediction
from howfar.genome.intervals import Variant
from howfar.results.predictions import Predictions


def near(
    dosages: np.ndarray, variants: list[Variant], tss: int, window: int | None
) -> tuple[np.ndarray, list[Variant]]:
    """Dosages (people, variants) and variants within window // 2 bp of the TSS; None: all."""
    if window is None:
        return dosages, variants
    kept = [i for i, v in enumerate(variants) if abs(v.start0 - (tss - 1)) <= window // 2]
    return dosages[:, kept], [variants[i] for i in kept]


def lead_snp_run(
    panel: Panel,
    run_id: str = "lead_snp",
    folds: int = 5,
    seed: int = 1,
    min_maf: float = 0.05,
    window: int | None = None,
) -> tuple[Predictions, pd.DataFrame]:
    """The lead-SNP-only prediction of every gene and person, out of fold, and the folds.

    The same people share a fold for all genes. There is no reference prediction (missing): a
    variant says nothing about a gene's level.
    """
    if panel.dosages is None:
        raise HowfarError(
            f"run {run_id}",
            found="a study without genotypes",
            expected="genotypes",
            do="Leave this run out.",
        )
    tss = panel.genes.set_index("gene_id")["tss"]
    genes, people = panel.expression.index, panel.expression.columns
    predicted, fold = np.full((len(genes), len(people)), np.nan), None
    for i, gene in enumerate(genes):
        dosages, _ = near(*panel.dosages(gene), int(tss[gene]), window)
        predicted[i], fold = lead_snp_prediction(
            dosages, panel.expression.loc[gene].to_numpy(float), folds, seed, min_maf
        )
    frame = pd.DataFrame(predicted, index=genes, columns=people)
    assigned = pd.DataFrame(np.tile(fold, (len(genes), 1)), index=genes, columns=people)
    return Predictions(run_id, frame, pd.Series(np.nan, index=genes, dtype=float)), assigned
