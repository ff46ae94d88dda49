"""Huang et al. 2023: reference predictions of four models and lead-eQTL features (hg19).

Correlations across people aren't public for this study, so its `across` table is empty.
"""

from __future__ import annotations

import pandas as pd

from .. import evaluate, tables
from ..study import Study
from .files import Files, gene_rows, long_features

GENES = "huang2023/gene_list.csv"
PREDICTIONS = "huang2023/all_models_ref_preds.csv"
EQTLS = "huang2023/eqtl_features.csv"
COUNTS = (
    "rastogi2024/random_split.1Mb.LCL_weights/counts.csv",
    "rastogi2024/population_split.1Mb.LCL_weights/counts.csv",
)
#: Source of median and coefficient of variation in the `features` table.
OBSERVED = "Geuvadis test people, ln TPM"
_TRACK = "5110 CAGE:B lymphoblastoid cell line: GM12878 ENCODE"
_MODELS = {
    "Enformer": {"tracks": _TRACK, "context": 196_608, "units": "CAGE, linear"},
    "Basenji2": {"tracks": _TRACK, "context": 131_072, "units": "as published"},
    "ExPecto": {"units": "as published"},
    "Xpresso": {"tracks": "GM12878", "context": 10_500, "units": "z of log10(RPKM + 0.1)"},
}


def load(study: Study, files: Files) -> dict[str, pd.DataFrame]:
    """Tables runs, genes, features, reference; `across` is empty."""
    genes = gene_list(files)
    observed = observed_expression(files, genes)
    panel = evaluate.Panel(observed, genes.drop(columns="key"), units="ln TPM")
    expression = evaluate.features_table(panel, OBSERVED)
    return {
        "runs": model_runs(study.name),
        "genes": panel.genes,
        "features": pd.concat([lead_eqtls(files, genes), expression], ignore_index=True),
        "reference": reference(files, genes, observed),
        "across": tables.empty("across"),
    }


def gene_list(files: Files) -> pd.DataFrame:
    """gene_id, chrom, tss (hg19, 1-based), name, strand, and `key`: the name in other files.

    The key is the symbol in lower case, or the Ensembl id in lower case for genes without one.
    """
    columns = ["gene_id", "chrom", "tss", "name", "strand"]
    frame = files.table(GENES, columns, [], header=False)
    key = frame["name"].fillna(frame["gene_id"]).str.lower()
    if key.duplicated().any() or frame["gene_id"].duplicated().any():
        raise files.bad(GENES, f"{int(key.duplicated().sum())} repeated names", "distinct genes")
    if frame[["gene_id", "chrom", "tss", "strand"]].isna().any(axis=None):
        raise files.bad(GENES, "empty cells", "an id, chromosome, TSS and strand per gene")
    return frame.assign(tss=_positions(files, frame["tss"]), key=key)


def _positions(files: Files, column: pd.Series) -> pd.Series:
    try:
        return pd.to_numeric(column).astype("Int64")
    except (TypeError, ValueError) as error:
        raise files.bad(GENES, f"a TSS that isn't a whole number ({error})", "bp") from error


def ids_of(genes: pd.DataFrame) -> dict[str, str]:
    """Key to gene id."""
    return dict(zip(genes["key"], genes["gene_id"], strict=True))


def observed_expression(files: Files, genes: pd.DataFrame) -> pd.DataFrame:
    """Observed expression, (genes, people), ln(TPM + 0.01) corrected, float16 precision.

    The test people of two splits of rastogi2024: 77 random ones per gene and all 77 Yoruba. Where
    both give a value they must agree.
    """
    first, second = (gene_rows(files, c, files.matrix(c), ids_of(genes)) for c in COUNTS)
    same = [set(a) == set(b) for a, b in zip(first.axes, second.axes, strict=True)]
    if not all(same) or len(first) != len(genes):
        raise files.bad(
            COUNTS[1],
            f"{second.shape} genes and people, not those of {COUNTS[0]}, {first.shape}",
            f"the same {len(genes)} genes and the same people",
        )
    second = second.reindex(index=first.index, columns=first.columns)
    differ = int(((first != second) & first.notna() & second.notna()).to_numpy().sum())
    if differ:
        raise files.bad(COUNTS[1], f"{differ} values that differ from {COUNTS[0]}", "the same")
    return first.combine_first(second)


def lead_eqtls(files: Files, genes: pd.DataFrame) -> pd.DataFrame:
    """Features of the lead eQTL per gene in 373 European people of Geuvadis (unsigned distance)."""
    numbers = ["distance", "minor_allele_freq", "rvalue", "log10pvalue"]
    frame = files.table(EQTLS, ["GENE_ID", "name"], numbers)
    if frame["name"].duplicated().any() or set(frame["name"]) != set(genes["key"]):
        raise files.bad(EQTLS, "other gene names than in the gene list", "one row per gene")
    frame.index = pd.Index(frame["name"].map(ids_of(genes)), name="gene_id")
    given = frame["GENE_ID"].notna()
    if (frame["GENE_ID"].str.split(".").str[0] != frame.index)[given].any():
        raise files.bad(EQTLS, "gene ids that disagree with the gene list", "matching ids")
    names = ["lead_eqtl_distance", "lead_eqtl_maf", "lead_eqtl_r", "lead_eqtl_log10p"]
    return long_features(frame, "Geuvadis EUR373", dict(zip(numbers, names, strict=True)))


def reference(files: Files, genes: pd.DataFrame, observed: pd.DataFrame) -> pd.DataFrame:
    """Reference predictions of the four models beside the median over the available people."""
    frame = files.table(PREDICTIONS, ["gene"], list(_MODELS)).set_index("gene")
    frame = gene_rows(files, PREDICTIONS, frame, ids_of(genes))
    if frame.index.duplicated().any() or frame.isna().any(axis=None):
        raise files.bad(PREDICTIONS, "repeated genes or empty cells", "one number per model, gene")
    median = observed.median(axis=1).reindex(frame.index)
    parts = [
        pd.DataFrame(
            {
                "run_id": model.lower(),
                "gene_id": frame.index,
                "prediction": frame[model].to_numpy(),
                "observed_mean": median.to_numpy(),
            }
        )
        for model in _MODELS
    ]
    return pd.concat(parts, ignore_index=True)


def model_runs(study: str) -> pd.DataFrame:
    """One run per model, all on the reference sequence."""
    rows = [
        {
            "run_id": model.lower(),
            "study": study,
            "label": model,
            "kind": "network",
            "model": model,
            "transform": "reference sequence, as published",
            "alleles": "snv",
        }
        | fields
        for model, fields in _MODELS.items()
    ]
    return pd.DataFrame(rows)
