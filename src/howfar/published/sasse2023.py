"""Sasse et al. 2023: statistics per gene over 839 people of ROSMAP, cortex (hg38).

Correlations are the published ones (three digits); p-values and intervals are worked out from r
and n. The p and q columns of the published tables are -log10 and aren't used.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar import stats
from howfar.evaluation.run_comparison import driver_types
from howfar.published import sasse2023_attribution as attribution
from howfar.published.files import Files, long_features
from howfar.published.sasse2023_numbers import numbers
from howfar.stats import null
from howfar.study.schema import Study

STATISTICS = "sasse2023/SupplementaryTable1.tsv"
DRIVERS = "sasse2023/SupplementaryTable2.tsv"
REFERENCE = "sasse2023/MeanGeXPredFineTuned.txt"
TEST_GENES = "sasse2023/enformer_test_set_genes.npy"
POSITIONS = "sasse2023/gene-ids-and-positions.tsv"
PEOPLE = 839
_TRACK = "CAGE,adult,brain"
_RUNS = {
    "enformer": f"PearsonR{_TRACK}",
    "enformer_finetuned": "PearsonRfineTuned",
    "predixcan": "PrediXcanR",
}
_DRIVER_COLUMNS = {
    "ISM": "effect",
    "eQTL": "eqtl_slope",
    "DisttoTSS": "distance",
    f"IncreasedFractionofSumPearonRbyrankedDriverto{_TRACK}": "gain",
    "NIndividualsWithSNV": "carriers",
}
_APPROXIMATION = f"SumISMPearsonRto{_TRACK}"
_LARGEST = "MaxISM+-1000TSS"
_FINE_MAPPED = {
    "SuSieCausalBrainhg38": "fine_mapped_distance_brain",
    "SusieCausalCortexhg38": "fine_mapped_distance_cortex",
}


def load(study: Study, files: Files) -> dict[str, pd.DataFrame]:
    """Tables runs, genes, features, reference, across, drivers, summary and numbers."""
    statistics = _statistics(files)
    reference = _reference(files)
    given = _driver_table(files)
    wanted = statistics.index.union(reference["gene_id"]).union(given["gene_id"].unique())
    genes, drivers = _genes(files, wanted), _drivers(given)
    frames = {
        "runs": _runs(study.name),
        "genes": genes,
        "features": pd.concat(
            [
                _features(statistics, given),
                _main_driver_size(files, drivers),
                _fine_mapped(files, statistics, genes),
            ],
            ignore_index=True,
        ),
        "reference": reference,
        "across": across(statistics),
        "drivers": drivers,
        "summary": _summary(files, drivers, given, genes),
    }
    return frames | {"numbers": numbers(frames, len(attribution.driver_windows(files)[0]))}


def _statistics(files: Files) -> pd.DataFrame:
    """Published statistics per gene (index: gene id)."""
    numbers = ["MeanObs", "StdObs", "RmeanRandom", "Rstdrandom", *_RUNS.values()]
    text = ["gene_id", *_FINE_MAPPED]
    frame = files.table(STATISTICS, text, numbers, sep="\t").set_index("gene_id")
    outside = int((frame[list(_RUNS.values())].abs() > 1).to_numpy().sum())
    if frame.index.duplicated().any() or outside:
        raise files.bad(STATISTICS, f"repeated genes, {outside} r beyond 1", "one row per gene")
    return frame


def across(statistics: pd.DataFrame) -> pd.DataFrame:
    """Rows of `across`: p, q and interval from r and n = 839; the null for the CAGE track only.

    A gene whose r is missing in the published table keeps its row with r missing (12 of 6,820 for
    the CAGE track). The elastic nets exist for some genes only: the others have no row.
    """
    parts = [_run_rows(run, statistics[column]) for run, column in _RUNS.items()]
    parts[0]["null_mean"] = statistics["RmeanRandom"].to_numpy()
    parts[0]["null_sd"] = statistics["Rstdrandom"].to_numpy()
    parts[0]["p_null"] = null.simulated_tail(
        parts[0]["pearson"].to_numpy(), parts[0]["null_mean"], parts[0]["null_sd"]
    )
    parts[2] = parts[2][parts[2]["pearson"].notna()]
    return pd.concat(parts, ignore_index=True)


def _run_rows(run: str, r: pd.Series) -> pd.DataFrame:
    values = r.to_numpy(float)
    p = stats.correlation_p(values, PEOPLE - 2)
    low, high = stats.fisher_interval(values, PEOPLE)
    return pd.DataFrame(
        {
            "run_id": run,
            "gene_id": r.index,
            "population": "pooled",
            "n": pd.Series(PEOPLE, range(len(r)), "Int64").mask(np.isnan(values)),
            "pearson": values,
            "p": p,
            "q": stats.benjamini_hochberg(p),
            "ci_low": low,
            "ci_high": high,
        }
    )


def _reference(files: Files) -> pd.DataFrame:
    """Fine-tuned model on the reference sequence; region 'test': outside Enformer's training.

    Genes that the list of such genes lacks have no region here: it doesn't say why it lacks them.
    """
    given = ["mean gene expression", "Enf prediction, Reference, fine-tuned"]
    frame = files.table(REFERENCE, ["Unnamed: 0"], given, sep="\t")
    frame.columns = ["gene_id", "observed_mean", "prediction"]
    if frame["gene_id"].duplicated().any() or frame.isna().any(axis=None):
        raise files.bad(REFERENCE, "repeated genes or empty cells", "two numbers per gene")
    outside = frame["gene_id"].isin(_test_genes(files))
    region = pd.Series(np.where(outside, "test", None), index=frame.index, dtype="string")
    return frame.assign(run_id="enformer_finetuned", region=region)


def _test_genes(files: Files) -> set[str]:
    try:
        found = np.load(files.path(TEST_GENES), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise files.bad(TEST_GENES, f"no readable array ({error})", "gene ids") from error
    if found.ndim != 1 or found.dtype.kind != "U" or not len(found):
        raise files.bad(TEST_GENES, f"shape {found.shape}, type {found.dtype}", "gene ids")
    return set(found.tolist())


def _genes(files: Files, wanted: pd.Index) -> pd.DataFrame:
    """Name, chromosome, TSS (hg38, 1-based) and strand of the genes in any of the tables."""
    text = ["gene_id", "gene_name", "chr_hg38", "strand_hg38"]
    frame = files.table(POSITIONS, text, ["tss_hg38"], sep="\t").set_index("gene_id")
    lacking = wanted.difference(frame.index)
    if frame.index.duplicated().any() or len(lacking):
        raise files.bad(POSITIONS, f"{len(lacking)} genes without a row", "one row per gene")
    names = {
        "gene_name": "name",
        "chr_hg38": "chrom",
        "tss_hg38": "tss",
        "strand_hg38": "strand",
    }
    return frame.loc[wanted].rename(columns=names).rename_axis("gene_id").reset_index()


def _driver_table(files: Files) -> pd.DataFrame:
    text = ["gene_id", "chr_hg38", "LociDriverhg38", "IsMainDriver"]
    numbers = [*_DRIVER_COLUMNS, _APPROXIMATION, _LARGEST]
    frame = files.table(DRIVERS, text, numbers, sep="\t")
    if not frame["IsMainDriver"].isin(["True", "False"]).all():
        raise files.bad(DRIVERS, "other words in column IsMainDriver", "True or False")
    mains = frame[frame["IsMainDriver"] == "True"]["gene_id"]
    if mains.duplicated().any():
        raise files.bad(DRIVERS, "a gene with two main drivers", "one main driver per gene")
    return frame


def _drivers(frame: pd.DataFrame) -> pd.DataFrame:
    """Drivers of the CAGE track; `distance` is position - TSS, not signed by strand."""
    given = frame[list(_DRIVER_COLUMNS)].rename(columns=_DRIVER_COLUMNS)
    return given.assign(
        run_id="enformer",
        gene_id=frame["gene_id"],
        variant=frame["chr_hg38"] + ":" + frame["LociDriverhg38"],
        is_main=frame["IsMainDriver"] == "True",
    )


def _features(statistics: pd.DataFrame, drivers: pd.DataFrame) -> pd.DataFrame:
    """Mean log2 CPM; CV of CPM if it is log-normal; main driver's distance; linear approximation.

    CV = sqrt(exp((s ln 2)^2) - 1), s the published SD of log2 CPM: the SD and mean of CPM itself
    aren't published, and neither are medians.
    """
    sd = statistics["StdObs"] * np.log(2)
    genes = statistics[["MeanObs"]].assign(cv=np.sqrt(np.expm1(sd**2)))
    main = drivers[drivers["IsMainDriver"] == "True"].set_index("gene_id")
    main = main.assign(bp=main["DisttoTSS"].abs())
    return pd.concat(
        [
            long_features(genes, "log2 CPM, 839 people", {"MeanObs": "mean_expression"}),
            long_features(genes, "CPM taken as log-normal", {"cv": "cv_expression"}),
            long_features(
                main,
                "drivers of the CAGE track",
                {"bp": "main_driver_distance", _APPROXIMATION: "linear_approximation_r"},
            ),
        ],
        ignore_index=True,
    )


def _main_driver_size(files: Files, drivers: pd.DataFrame) -> pd.DataFrame:
    """Feature main_driver_relative_size, for the main drivers of the published table."""
    size = attribution.relative_size(files)
    mains = drivers[drivers["is_main"]].set_index("gene_id")["variant"].str.split(":").str[1]
    other = int((size["variant"].reindex(mains.index) != mains).sum())
    if other:
        raise files.bad(attribution.RELATIVE, f"{other} other main drivers", f"those of {DRIVERS}")
    names = {"largest": "main_driver_relative_size"}
    return long_features(size.loc[mains.index], "drivers of the CAGE track", names)


def _fine_mapped(files: Files, statistics: pd.DataFrame, genes: pd.DataFrame) -> pd.DataFrame:
    """Distance to the TSS of the variant that SuSiE names as causal, per eQTL study."""
    tss = genes.set_index("gene_id")["tss"].reindex(statistics.index)
    table = pd.DataFrame(index=statistics.index)
    for column, feature in _FINE_MAPPED.items():
        parts = statistics[column].str.extract(r"^chr\w+?_(\d+)_[ACGT]+_[ACGT]+_b38$")[0]
        unread = int((statistics[column].notna() & parts.isna()).sum())
        if unread:
            raise files.bad(STATISTICS, f"{unread} unreadable {column}", "chr_position_ref_alt_b38")
        table[feature] = (parts.astype(float) - tss).abs()
    names = {feature: feature for feature in _FINE_MAPPED.values()}
    return long_features(table, "SuSiE, causal variant as published", names)


def _summary(
    files: Files, drivers: pd.DataFrame, given: pd.DataFrame, genes: pd.DataFrame
) -> pd.DataFrame:
    """Attribution around the main drivers, and groups of alike driver windows."""
    found = attribution.contributions(files)
    mains = drivers[drivers["is_main"]]
    mains = mains.assign(position=mains["variant"].str.split(":").str[1], type=driver_types(mains))
    keys = [
        (s, g, p)
        for s in ("reference", "variant")
        for g, p in zip(mains["gene_id"], mains["position"], strict=True)
    ]
    lacking = sum(key not in found for key in keys)
    if lacking:
        raise files.bad(attribution.PROFILES, f"{lacking} profiles missing", "all main drivers")
    largest = given.drop_duplicates("gene_id").set_index("gene_id")[_LARGEST]
    parts = [
        attribution.profiles(found, mains, largest, genes),
        attribution.motif_rows(files, found),
    ]
    return pd.concat(parts, ignore_index=True)


def _runs(study: str) -> pd.DataFrame:
    common = {"study": study, "alleles": "snv", "population": "ROSMAP"}
    network = common | {"kind": "network", "model": "Enformer", "context": 196_608}
    return pd.DataFrame(
        [
            network
            | {
                "run_id": "enformer",
                "label": "Enformer",
                "tracks": "4980 CAGE:brain, adult",
                "transform": "as published (central bins > log10p1 > sum > mean_haplotypes)",
            },
            network
            | {
                "run_id": "enformer_finetuned",
                "label": "Enformer + elastic net",
                "tracks": "all 5,313",
                "transform": "log2 > elastic net on mean expression > sum_haplotypes",
                "units": "log2 CPM",
            },
            common
            | {
                "run_id": "predixcan",
                "label": "PrediXcan (GTEx v8)",
                "kind": "linear",
                "model": "PrediXcan",
                "transform": "dosages, published weights",
                "units": "as published",
            },
        ]
    )
