"""The published numbers of Sasse et al. 2023, worked out again from the result tables.

Ids follow the figures: ``S.2A.n`` is a number of Fig. 2A, ``S.S9.median`` of Fig. S9.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar import stats
from howfar.evaluation import run_comparison
from howfar.evaluation.run_comparison import (
    STRONG,
    beyond_null,
    compare_sides,
    driver_types,
    null_p,
)
from howfar.results.number_rows import Rows

_STATISTICS, _DRIVERS = "SupplementaryTable1.tsv", "SupplementaryTable2.tsv"
_REFERENCE = "MeanGeXPredFineTuned.txt"
_GENES = {"DDX11": "ENSG00000013573", "C2orf74": "ENSG00000237651", "GSTM3": "ENSG00000134202"}
_NEAR = 1000


def numbers(frames: dict[str, pd.DataFrame], windows: int) -> pd.DataFrame:
    """Table `numbers` with the study's own ids, from its other tables.

    windows: number of 13-base windows around drivers that are public.
    """
    rows = Rows(frames["genes"])
    across = frames["across"].set_index(["run_id", "gene_id"])
    network = across.loc["enformer"].assign(gene_id=lambda f: f.index)
    _reference(rows, frames["reference"])
    _significance(rows, network)
    _pairs(rows, frames["across"])
    _fine_mapped(rows, network["pearson"], frames["features"])
    _drivers(rows, frames["drivers"])
    _support(rows, frames)
    _attribution(rows, frames, windows)
    return rows.frame()


def _reference(rows: Rows, table: pd.DataFrame) -> None:
    outside = table[table["region"] == "test"]
    files = f"{_REFERENCE}, enformer_test_set_genes.npy"
    for key, part, words, source in (
        ("S.1C", table, "all genes of the table", _REFERENCE),
        ("S.S1", outside, "the table's genes outside Enformer's training regions", files),
    ):
        rows.add(f"{key}.n", len(part), len(table), f"Number of {words}.", source)
        rows.over_genes(
            f"{key}.R",
            part[["prediction", "observed_mean"]],
            part["gene_id"],
            stats.weighted_pearson,
            "Pearson r of the fine-tuned model's reference prediction with "
            f"mean observed expression (log2 CPM), over {words}",
            source,
        )


def _significance(rows: Rows, network: pd.DataFrame) -> None:
    given = network.dropna(subset=["pearson"])
    r, source = network["pearson"], _STATISTICS
    rows.add(
        "S.2A.n",
        len(given),
        len(network),
        "Genes of the table whose r across people, adult brain CAGE track, is given.",
        source,
    )
    for key, statistic, words in (
        ("meanR", stats.weighted_mean, "Mean"),
        ("medianR", stats.weighted_median, "Median"),
    ):
        rows.over_genes(
            f"S.2A.{key}",
            given["pearson"],
            given["gene_id"],
            statistic,
            f"{words} over genes of r across people, CAGE track",
            source,
        )
    p = null_p(network)
    found = beyond_null(network)
    strict = found & (p < p[found].max())
    strong = found & (r.abs() > STRONG)
    null = "beyond the gene-specific null at a false discovery rate of 5 %, T = (|r| - m) / "
    null += "sqrt(s / 50), one-sided t with 49 df, p = 1 where T < 0 or r is missing"
    for key, chosen, words in (
        ("2A.sigBH", found, f"Genes {null}"),
        (
            "2A.sigStrict",
            strict,
            "The genes of S.2A.sigBH without the one of the largest p among "
            "them (p strictly smaller than that)",
        ),
        ("2A.neg", found & (r < 0), "The genes of S.2A.sigBH with r < 0"),
        ("2A.pos", found & (r > 0), "The genes of S.2A.sigBH with r > 0"),
        ("set02.n", strong, "The genes of S.2A.sigBH with |r| > 0.2"),
        ("set02.pos", strong & (r > 0), "The genes of S.2A.sigBH with r > 0.2"),
        ("set02.neg", strong & (r < 0), "The genes of S.2A.sigBH with r < -0.2"),
    ):
        rows.add(f"S.{key}", chosen.sum(), len(network), f"{words}.", source)
    for name, gene in _GENES.items():
        row = network.loc[gene] if gene in network.index else pd.Series(dtype=float)
        rows.add(
            f"S.gene.{name}",
            row.get("pearson", np.nan),
            row.get("n", 0),
            f"r across people of {name} ({gene}), CAGE track; Fisher interval; n: people.",
            source,
            (row.get("ci_low", np.nan), row.get("ci_high", np.nan)),
        )


def _pairs(rows: Rows, across: pd.DataFrame) -> None:
    both = run_comparison.paired(across, "enformer", "predixcan")
    network, linear = both["first"], both["second"]
    common = "over genes with both Enformer's and PrediXcan's r"
    rows.add(
        "S.2C.n",
        len(both),
        len(both),
        "Genes with both Enformer's (CAGE track) and PrediXcan's r across people.",
        _STATISTICS,
    )
    for key, values, statistic, words in (
        ("meanEnformer", network, stats.weighted_mean, "Mean of Enformer's r"),
        ("meanPrediXcan", linear, stats.weighted_mean, "Mean of PrediXcan's r"),
        ("medianEnformer", network, stats.weighted_median, "Median of Enformer's r"),
        ("medianPrediXcan", linear, stats.weighted_median, "Median of PrediXcan's r"),
        (
            "difference",
            both["difference"],
            stats.weighted_mean,
            "Mean of the paired difference, Enformer's r less PrediXcan's",
        ),
        (
            "Rabs",
            np.column_stack([network.abs(), linear]),
            stats.weighted_pearson,
            "Pearson r of Enformer's |r| with PrediXcan's r",
        ),
    ):
        rows.over_genes(
            f"S.2C.{key}", values, both["gene_id"], statistic, f"{words}, {common}", _STATISTICS
        )
    for key, chosen, words in (
        ("pxWins", linear > network, "PrediXcan's r exceeds Enformer's"),
        ("pxWinsAbs", linear > network.abs(), "PrediXcan's r exceeds Enformer's |r|"),
        ("enfAbove", network > STRONG, "Enformer's r exceeds 0.2"),
        ("pxAbove", linear > STRONG, "PrediXcan's r exceeds 0.2"),
    ):
        rows.add(
            f"S.2C.{key}", chosen.sum(), len(both), f"Genes with both where {words}.", _STATISTICS
        )
    tuned = run_comparison.paired(across, "enformer_finetuned", "enformer")
    rows.over_genes(
        "S.S5.R",
        tuned[["first", "second"]],
        tuned["gene_id"],
        stats.weighted_pearson,
        "Pearson r over genes of the fine-tuned model's r across people with the CAGE track's",
        _STATISTICS,
    )


def _fine_mapped(rows: Rows, r: pd.Series, features: pd.DataFrame) -> None:
    for tissue in ("Brain", "Cortex"):
        listed = features[features["feature"] == f"fine_mapped_distance_{tissue.lower()}"]
        values = r.reindex(listed["gene_id"]).dropna()
        words = f"a causal variant by SuSiE in the {tissue.lower()} column and r on the CAGE track"
        rows.add(f"S.S6.n{tissue}", len(values), len(listed), f"Genes with {words}.", _STATISTICS)
        rows.add(
            f"S.S6.neg{tissue}",
            (values < 0).sum(),
            len(values),
            f"Genes with {words} below 0.",
            _STATISTICS,
        )


def _drivers(rows: Rows, drivers: pd.DataFrame) -> None:
    mains = drivers[drivers["is_main"].fillna(False).astype(bool)]
    per_gene = drivers.groupby("gene_id").size()
    rows.add("S.drv.n", len(drivers), len(drivers), "Driver variants in the table.", _DRIVERS)
    rows.add("S.drv.genes", len(per_gene), len(drivers), "Genes with a driver.", _DRIVERS)
    rows.add("S.S9.max", per_gene.max(), len(per_gene), "Most drivers of a gene.", _DRIVERS)
    far = mains["distance"].abs().astype(float)
    for key, values, ids, statistic, words in (
        (
            "2F.main1kb",
            far < _NEAR,
            mains["gene_id"],
            stats.weighted_mean,
            "Share of main drivers nearer than 1,000 bp to the TSS",
        ),
        (
            "2F.mainMedian",
            far,
            mains["gene_id"],
            stats.weighted_median,
            "Median distance (bp, unsigned) of main drivers to the TSS",
        ),
        (
            "2F.all1kb",
            drivers["distance"].abs() < _NEAR,
            drivers["gene_id"],
            stats.weighted_mean,
            "Share of all drivers nearer than 1,000 bp to the TSS",
        ),
        (
            "S9.median",
            per_gene,
            per_gene.index,
            stats.weighted_median,
            "Median number of drivers over genes with any",
        ),
    ):
        rows.over_genes(f"S.{key}", values.astype(float), ids, statistic, words, _DRIVERS)


def _support(rows: Rows, frames: dict[str, pd.DataFrame]) -> None:
    source = f"{_STATISTICS}, {_DRIVERS}"
    network = frames["across"][frames["across"]["run_id"] == "enformer"]
    table = run_comparison.support(frames["drivers"], network, frames["features"])
    chosen = run_comparison.trusted(table)
    for key, side, sign in (("pos", "positive", "r > 0.2"), ("neg", "negative", "r < -0.2")):
        part, mains = chosen[chosen["side"] == side], table[table["side"] == side]
        words = f"genes with {sign}, r of the sum of ISM with the prediction above 0.2, and drivers"
        rows.add(f"S.2E.{key}.genes", len(part), len(table), f"Number of {words}.", source)
        for what, statistic in (("mean", stats.weighted_mean), ("median", stats.weighted_median)):
            rows.over_genes(
                f"S.2E.{key}.{what}Supported",
                part["supported"],
                part["gene_id"],
                statistic,
                f"{what.capitalize()} over {words} of the share of drivers "
                "whose ISM and eQTL slope have the same sign",
                source,
            )
        rows.over_genes(
            f"S.2E.{key}.mainSupported",
            mains["main"].eq("supported").astype(float),
            mains["gene_id"],
            stats.weighted_mean,
            f"Share of genes with {sign} whose main driver's ISM and eQTL slope have the same sign",
            source,
        )
    sides = compare_sides(chosen, frames["genes"])
    rows.add(
        "S.2E.difference",
        sides.difference,
        len(chosen),
        "Mean share of supported drivers, "
        "genes of positive r less genes of negative r; interval by bootstrap over "
        f"{sides.unit}.",
        source,
        sides.ci,
    )
    rows.add(
        "S.2E.p",
        sides.p,
        len(chosen),
        "Mann-Whitney p, two-sided, of the shares of "
        "supported drivers in the two sets, genes taken as independent.",
        source,
    )


def _attribution(rows: Rows, frames: dict[str, pd.DataFrame], windows: int) -> None:
    source = f"{_DRIVERS}, SupplementaryTable3.txt"
    size = frames["features"]
    size = size[size["feature"] == "main_driver_relative_size"].set_index("gene_id")["value"]
    drivers = frames["drivers"]
    mains = drivers[drivers["is_main"].fillna(False).astype(bool)]
    types = driver_types(mains)
    for kind in ("supported", "unsupported"):
        ids = mains["gene_id"][types == kind]
        words = f"main drivers that are {kind} by the eQTL's sign"
        rows.add(f"S.S13.{kind}.n", len(ids), len(mains), f"Number of {words}.", source)
        for level in (10, 20):
            rows.over_genes(
                f"S.S13.{kind}.ge{level}",
                size[ids].ge(level / 100).astype(float),
                ids,
                stats.weighted_mean,
                f"Share of {words} whose mean ISM, the larger of the reference"
                f" and the variant sequence, is at least {level} % of the gene's largest",
                source,
            )
    rows.add(
        "S.S10.n",
        windows,
        windows,
        "Windows of 13 bases around drivers that are public.",
        "ALLgenes_ism_attributions_driversfw_refseq_winsize13.npz",
    )
