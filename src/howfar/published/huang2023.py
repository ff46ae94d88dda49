"""Huang et al. 2023: reference predictions of four models and lead-eQTL features (hg19).

Correlations across people aren't public for this study, so its `across` table is empty. The numbers
of Figure 1 are worked out from values that rastogi2024 published for people of the same cohort.
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from howfar import stats
from howfar.cohort.panel import Panel
from howfar.evaluation import row_zero
from howfar.evaluation.features import features_table
from howfar.published.files import Files, gene_rows, long_features
from howfar.results import tables
from howfar.results.number_rows import Rows
from howfar.study.schema import Study

GENES = "huang2023/gene_list.csv"
PREDICTIONS = "huang2023/all_models_ref_preds.csv"
EQTLS = "huang2023/eqtl_features.csv"
COUNTS = (
    "rastogi2024/random_split.1Mb.LCL_weights/counts.csv",
    "rastogi2024/population_split.1Mb.LCL_weights/counts.csv",
)
#: Enformer without fine-tuning on each person: 500 of the genes, by people.
ENFORMER_PEOPLE = "rastogi2024/baseline_enformer.384_bins.rc.csv"
SAMPLES = "huang2023/samples.txt"
#: Mean log2 CPM of 839 people of ROSMAP, column `_LEVEL`.
CORTEX, _LEVEL = "sasse2023/MeanGeXPredFineTuned.txt", "mean gene expression"
#: Source of median and coefficient of variation in the `features` table.
OBSERVED = "Geuvadis test people, ln TPM"
_TRACK = "5110 CAGE:B lymphoblastoid cell line: GM12878 ENCODE"
_MODELS = {
    "Enformer": {"tracks": _TRACK, "context": 196_608, "units": "CAGE, linear"},
    "Basenji2": {"tracks": _TRACK, "context": 131_072, "units": "as published; scale not stated"},
    "ExPecto": {"units": "as published; log or linear is not stated"},
    "Xpresso": {"tracks": "GM12878", "context": 10_500, "units": "z of log10(RPKM + 0.1)"},
}


def load(study: Study, files: Files) -> dict[str, pd.DataFrame]:
    """Tables runs, genes, features, reference and numbers; `across` is empty."""
    genes = gene_list(files)
    observed = observed_expression(files, genes)
    panel = Panel(observed, genes.drop(columns="key"), units="ln TPM")
    expression = features_table(panel, OBSERVED)
    frames = {
        "runs": model_runs(study.name),
        "genes": panel.genes,
        "features": pd.concat([lead_eqtls(files, genes), expression], ignore_index=True),
        "reference": reference(files, genes, observed),
        "across": tables.empty("across"),
        "summary": _other_tissue(files, observed, panel.genes, study),
    }
    enformer = people_matrix(files, ENFORMER_PEOPLE, genes, observed)
    people = sample_count(files, observed)
    own = numbers(frames, people, observed, enformer, study.evaluation.seed)
    return frames | {"numbers": own}


def _other_tissue(
    files: Files, observed: pd.DataFrame, genes: pd.DataFrame, study: Study
) -> pd.DataFrame:
    """Row zero across genes: mean expression in the cortex of other people, and look-ups here."""
    cortex = files.table(CORTEX, ["Unnamed: 0"], [_LEVEL], sep="\t")
    level = cortex.drop_duplicates("Unnamed: 0").set_index("Unnamed: 0")[_LEVEL]
    pairs = pd.DataFrame({"cortex": level, "median": observed.median(axis=1)}).dropna()
    if len(pairs) < stats.MIN_PAIRS:
        return tables.empty("summary")
    ranks, seed = pairs.rank(), study.evaluation.seed
    row = row_zero.lookup(row_zero.TISSUE, "cortex to LCL", ranks, genes, seed)
    row["units"] = "Spearman rho over genes"
    return tables.stack("summary", [pd.DataFrame([row])], study.name)


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


def people_matrix(
    files: Files, name: str, genes: pd.DataFrame, observed: pd.DataFrame
) -> pd.DataFrame:
    """Values of a file by gene id and person, the people as in `observed`, who must be the same."""
    frame = gene_rows(files, name, files.matrix(name), ids_of(genes))
    if set(frame.columns) != set(observed.columns):
        common = len(set(frame.columns) & set(observed.columns))
        raise files.bad(
            name, f"{len(frame.columns)} people, {common} known", f"{len(observed.columns)} people"
        )
    return frame[observed.columns]


def sample_count(files: Files, observed: pd.DataFrame) -> int:
    """How many people the study analysed; its list has no header and names those of `observed`."""
    listed = files.table(SAMPLES, ["sample"], [], header=False)["sample"]
    common = len(set(listed) & set(observed.columns))
    if listed.duplicated().any() or not len(listed) == common == observed.shape[1]:
        raise files.bad(
            SAMPLES,
            f"{len(listed)} lines, {common} of them known people",
            f"the {observed.shape[1]} people of {COUNTS[0]}, one a line, each once",
        )
    return len(listed)


def lead_eqtls(files: Files, genes: pd.DataFrame) -> pd.DataFrame:
    """Features of the lead eQTL per gene in 373 European people of Geuvadis (unsigned distance).

    The table has none for 907 genes and none beyond 20 kb of the TSS: it may have been cut there.
    """
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
    if frame["Enformer"].lt(0).any():
        raise files.bad(PREDICTIONS, "values of Enformer below 0", "its outputs, 0 or more")
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


# --- the study's own numbers -----------------------------------------------------------------


def numbers(
    frames: dict[str, pd.DataFrame],
    people: int,
    observed: pd.DataFrame,
    enformer: pd.DataFrame,
    seed: int,
) -> pd.DataFrame:
    """Table `numbers` under the study's own ids (H.*).

    frames: the study's tables; people: length of its sample list; observed, enformer: expression
    and Enformer's prediction by gene id and person, columns alike.
    """
    rows = Rows(frames["genes"], seed)
    rows.add("H.ngenes", len(frames["genes"]), len(frames["genes"]), "Genes of the list.", GENES)
    rows.add("H.nsamples", people, people, "People of the sample list (no header).", SAMPLES)
    wide = frames["reference"].pivot(index="gene_id", columns="run_id", values="prediction")
    wide = wide.rename(columns={model.lower(): model for model in _MODELS})
    _agreement_numbers(rows, wide)
    _reference_numbers(rows, wide, observed.median(axis=1).reindex(wide.index))
    _eqtl_numbers(rows, frames["features"])
    _people_numbers(rows, observed, enformer)
    return rows.frame()


def _agreement_numbers(rows: Rows, wide: pd.DataFrame) -> None:
    for first, second in itertools.combinations(_MODELS, 2):
        rows.over_genes(
            f"H.ref.{first}.{second}",
            wide[[first, second]],
            wide.index,
            stats.weighted_spearman,
            f"Spearman rho over genes of the reference predictions of {first} and {second}",
            PREDICTIONS,
        )


def _reference_numbers(rows: Rows, wide: pd.DataFrame, median: pd.Series) -> None:
    what = "with the median observed expression (ln TPM, corrected) of 129-149 people per gene, a "
    what += "substitute for the study's own expression table"
    source = ", ".join([PREDICTIONS, *COUNTS])
    for model in _MODELS:
        rows.over_genes(
            f"H.1b.ref.{model}",
            np.column_stack([wide[model], median]),
            wide.index,
            stats.weighted_spearman,
            f"Spearman rho over genes of {model}'s reference prediction {what}",
            source,
        )
    rows.over_genes(
        "H.1b.ref.Enformer.pearsonlog",
        np.column_stack([np.log10(wide["Enformer"] + 1), median]),
        wide.index,
        stats.weighted_pearson,
        f"Pearson r over genes of log10(Enformer's reference prediction + 1) {what}",
        source,
    )


def _eqtl_numbers(rows: Rows, features: pd.DataFrame) -> None:
    lead = features.pivot_table(index="gene_id", columns="feature", values="value")
    lead = lead.dropna(subset=["lead_eqtl_r"])
    r, distance = lead["lead_eqtl_r"], lead["lead_eqtl_distance"]
    rows.add(
        "H.eqtl.n",
        len(lead),
        len(features["gene_id"].unique()),
        "Genes with a lead eQTL in 373 Europeans; none in the table is beyond 20 kb.",
        EQTLS,
    )
    rows.add(
        "H.eqtl.neg",
        (r < 0).sum(),
        len(lead),
        "Of the genes with a lead eQTL, those whose r is negative.",
        EQTLS,
    )
    for key, values, statistic, words in (
        (
            "1kb",
            distance < 1000,
            stats.weighted_mean,
            "Share of lead eQTLs less than 1,000 bp from the TSS",
        ),
        (
            "medianDist",
            distance,
            stats.weighted_median,
            "Median distance of the lead eQTL from the TSS, bp",
        ),
        (
            "medianAbsR",
            r.abs(),
            stats.weighted_median,
            "Median |Pearson r| of the lead eQTL with expression",
        ),
    ):
        rows.over_genes(f"H.eqtl.{key}", values, lead.index, statistic, words, EQTLS)


def _people_numbers(rows: Rows, observed: pd.DataFrame, enformer: pd.DataFrame) -> None:
    """Enformer against expression across people: genes with a constant prediction have no r."""
    r, _ = stats.pearson_rows(enformer.to_numpy(), observed.loc[enformer.index].to_numpy())
    r = pd.Series(r, enformer.index).dropna()
    what = "Pearson r of Enformer (not fine-tuned) with expression over all people of a gene"
    source = ", ".join([ENFORMER_PEOPLE, *COUNTS])
    rows.over_genes(
        "H.1c.enformer500.mean",
        r,
        r.index,
        stats.weighted_mean,
        f"Mean over genes of {what}",
        source,
    )
    for key, value, words in (
        ("min", r.min(), "Lowest over genes of"),
        ("max", r.max(), "Highest over genes of"),
        ("neg", (r < 0).sum(), "Genes below 0 in"),
    ):
        rows.add(f"H.1c.enformer500.{key}", value, len(r), f"{words} {what}.", source)
