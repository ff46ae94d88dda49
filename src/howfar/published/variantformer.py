"""VariantFormer's published predictions of one public person, beside other people's mean.

Its example notebook has predictions from the person's own genome: 17,859 genes in 63 tissues. The
observed expression is that of huang2023's genes in the other people of Geuvadis, whose mean is the
look-up that a prediction across genes must be read beside, and the person's own.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar import stats
from howfar.core import sealed
from howfar.evaluation import row_zero
from howfar.published import huang2023
from howfar.published.files import Files
from howfar.results import tables
from howfar.results.number_rows import Rows
from howfar.study.schema import Study

PREDICTIONS = "variantformer/HG00096_vcf2exp_predictions.parquet"
TISSUE = "cells - ebv-transformed lymphocytes"
RUN = "variantformer"


def load(study: Study, files: Files) -> dict[str, pd.DataFrame]:
    """Tables runs, genes, reference, summary (the look-up) and numbers."""
    genes = huang2023.gene_list(files)
    observed = huang2023.observed_expression(files, genes)
    person = PREDICTIONS.split("/")[1].split("_")[0]
    own, others = observed[person], observed.drop(columns=person).mean(axis=1)
    values = pd.DataFrame({"predicted": _predictions(files), "others": others, "own": own})
    values = values.dropna(subset=["predicted", "others"])
    if len(values) < stats.MIN_PAIRS:
        raise files.bad(PREDICTIONS, f"{len(values)} genes of {huang2023.GENES}", "most of them")
    genes = genes[genes["gene_id"].isin(values.index)].drop(columns="key")
    pairs = values[["others", "own"]]
    lookup = row_zero.lookup(
        row_zero.LOOKUP, "others to this person", pairs, genes, study.evaluation.seed
    )
    reference = pd.DataFrame(
        {
            "run_id": RUN,
            "gene_id": values.index,
            "prediction": values["predicted"].to_numpy(),
            "observed_mean": values["others"].to_numpy(),
        }
    )
    return {
        "runs": pd.DataFrame([_run(study.name)]),
        "genes": genes,
        "reference": reference,
        "summary": tables.stack("summary", [pd.DataFrame([lookup])], study.name),
        "numbers": _numbers(values, genes),
    }


def _predictions(files: Files) -> pd.Series:
    """The prediction of each gene (id without version) in `TISSUE`, log scale."""
    frame = sealed.read_parquet(files.path(PREDICTIONS))
    ids = frame["gene_id"].str.split(".").str[0]
    tissues = [list(row[0]) for row in frame["tissues"]]
    if ids.duplicated().any() or any(TISSUE not in names for names in tissues):
        raise files.bad(PREDICTIONS, "repeated genes or another list of tissues", TISSUE)
    cells = zip(frame["predicted_expression"], tissues, strict=True)
    return pd.Series([float(row[0][names.index(TISSUE)][0]) for row, names in cells], index=ids)


def _run(study: str) -> dict:
    return {
        "run_id": RUN,
        "study": study,
        "label": "VariantFormer (one person)",
        "kind": "network",
        "model": "VariantFormer",
        "tracks": TISSUE,
        "transform": "one person's own genome, as published",
        "units": "log expression, as published",
        "alleles": "all",
    }


def _numbers(values: pd.DataFrame, genes: pd.DataFrame) -> pd.DataFrame:
    """How the prediction goes with the person's deviation from others, once their mean is known."""
    line = np.polyfit(values["others"], values["predicted"], 1)
    left = values["predicted"] - np.polyval(line, values["others"])
    deviation = values["own"] - values["others"]
    pairs = pd.DataFrame({"left": left, "deviation": deviation}).dropna()
    rows = Rows(genes)
    rows.over_genes(
        "V.deviation",
        pairs,
        pairs.index,
        stats.weighted_pearson,
        "Pearson r over genes of the prediction, less its line in other people's mean, with the "
        "person's deviation from that mean",
        PREDICTIONS.split("/")[1],
    )
    return rows.frame()
