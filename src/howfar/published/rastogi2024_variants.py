"""Rastogi et al. 2024: drivers, DNase footprints and alleles that training never saw (hg19)."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from howfar import stats
from howfar.published import huang2023
from howfar.published.files import Files, gene_rows
from howfar.published.rastogi2024_methods import BY_DRIVER, METHODS, TESTED
from howfar.results.number_rows import Rows
from howfar.stats.blocks import blocks_of

DRIVERS = "rastogi2024/drivers.csv"
DNASE = "rastogi2024/dnase1_enrichment.csv"
UNSEEN = "rastogi2024/unseen_alleles.csv"
COUNTS = "rastogi2024/gene_variant_stats.csv"
_QUANTILES = np.linspace(0, 1, 41)
_TEST_ONLY = "Percent of all variants only seen during testing"


def key_of(name: str) -> str:
    """A method's name in a file as part of an id: every white space as an underscore."""
    return re.sub(r"\s", "_", name)


# --- drivers ---------------------------------------------------------------------------------


def read_drivers(files: Files, genes: pd.DataFrame) -> pd.DataFrame:
    """One row per driver: run_id, gene_id, variant, distance (unsigned, bp), maf (training)."""
    numbers = ["train_MAF", "TSS_dist"]
    table = files.table(DRIVERS, ["model", "gene", "driver"], numbers)
    unknown = set(table["model"]) - set(BY_DRIVER)
    table = gene_rows(files, DRIVERS, table.set_index("gene"), huang2023.ids_of(genes))
    if unknown or table.isna().any(axis=None) or not (table["TSS_dist"] >= 0).all():
        raise files.bad(
            DRIVERS, f"other models ({len(unknown)}), empty cells or negative distances", "drivers"
        )
    return pd.DataFrame(
        {
            "run_id": [BY_DRIVER[m].run_id for m in table["model"]],
            "gene_id": table.index,
            "variant": table["driver"].to_numpy(),
            "distance": table["TSS_dist"].to_numpy(),
            "maf": table["train_MAF"].to_numpy(),
        }
    )


def driver_quantiles(drivers: pd.DataFrame) -> pd.DataFrame:
    """Rows of table `summary`: quantiles `x` over the drivers of a method.

    Set driver_maf: of the minor allele frequency in the training people; driver_distance: of the
    unsigned distance to the TSS, 10 bp and below as 10.
    """
    values = {
        ("driver_maf", "minor allele frequency"): drivers["maf"],
        ("driver_distance", "bp"): drivers["distance"].clip(lower=10),
    }
    parts = []
    for (what, units), column in values.items():
        for method in METHODS:
            chosen = column[drivers["run_id"] == method.run_id]
            if len(chosen):
                quantiles = {"x": _QUANTILES, "value": np.quantile(chosen, _QUANTILES)}
                part = pd.DataFrame(quantiles).assign(n=len(chosen), set=what, units=units)
                parts.append(part.assign(method=method.label, group="drivers"))
    return pd.concat(parts)


def add_drivers(rows: Rows, drivers: pd.DataFrame, tested: int) -> None:
    """Per method: number of drivers, median distance to the TSS, median allele frequency."""
    for method in METHODS:
        part = drivers[drivers["run_id"] == method.run_id]
        if method.driver is None or part.empty:
            continue
        key, genes = f"R.drv.{key_of(method.driver)}", part["gene_id"].nunique()
        rows.add(
            f"{key}.n",
            len(part),
            tested,
            f"Drivers of {method.label}, in {genes} of {tested} genes.",
            DRIVERS,
        )
        for what, column, words in (
            ("tss", "distance", "Median distance of the drivers from the TSS, unsigned, bp"),
            ("maf", "maf", "Median minor allele frequency of the drivers in the training people"),
        ):
            rows.over_genes(
                f"{key}.{what}",
                part[column],
                part["gene_id"],
                stats.weighted_median,
                f"{words}: {method.label}",
                DRIVERS,
            )


# --- DNase I footprints ----------------------------------------------------------------------


def dnase(files: Files) -> pd.DataFrame:
    """Rows of table `summary`, set dnase: mean enrichment of drivers, with a 95 % interval.

    The interval is from the 2.5th to the 97.5th percentile of the authors' 1000 bootstrap draws.
    """
    table = files.table(DNASE, ["model"], ["bootstrap", "enrichment"])
    unknown = set(table["model"]) - set(BY_DRIVER)
    sizes = table.groupby("model")["bootstrap"].agg(["size", "nunique"])
    if unknown or table["enrichment"].isna().any() or not (sizes == 1000).all(axis=None):
        raise files.bad(DNASE, f"{len(unknown)} other models or draws", "1000 draws per model")
    rows = []
    for method in METHODS:
        draws = table.loc[table["model"] == method.driver, "enrichment"]
        if len(draws):
            low, high = np.quantile(draws, [0.025, 0.975])
            rows.append((method.label, draws.mean(), len(draws), low, high))
    found = pd.DataFrame(rows, columns=["method", "value", "n", "ci_low", "ci_high"])
    units = "enrichment over the background"
    return found.assign(set="dnase", group="DNase I footprints", units=units)


def add_dnase(rows: Rows, summary: pd.DataFrame) -> None:
    """Mean enrichment per method."""
    found = summary.set_index("method")
    for method in METHODS:
        if method.driver and method.label in found.index:
            row = found.loc[method.label]
            rows.add(
                f"R.dnase.{key_of(method.driver)}",
                row["value"],
                row["n"],
                "Mean over the authors' 1000 bootstrap draws of the enrichment of drivers in DNase "
                f"I footprints; interval: percentiles of the draws: {method.label}.",
                DNASE,
                (row["ci_low"], row["ci_high"]),
            )


# --- alleles unseen in training --------------------------------------------------------------


def read_unseen(files: Files, genes: pd.DataFrame, classes: pd.Series) -> pd.DataFrame:
    """One row per test allele that no training person has: gene_id, class, af (test people)."""
    table = files.table(UNSEEN, ["gene", "variant", "allele"], ["test_af"])
    table = gene_rows(files, UNSEEN, table.set_index("gene"), huang2023.ids_of(genes))
    found = classes.reindex(table.index)
    if not found.isin(TESTED).all() or not table["test_af"].between(0, 1).all():
        raise files.bad(UNSEEN, "other genes or frequencies", "tested genes, 0 to 1")
    return pd.DataFrame(
        {"gene_id": table.index, "class": found.to_numpy(), "af": table["test_af"].to_numpy()}
    )


def unseen_frequencies(unseen: pd.DataFrame) -> pd.DataFrame:
    """Rows of table `summary`, set unseen_af: alleles by their frequency `x` in the test people."""
    # The file has 2/154 also as 1 - 152/154, which differs in its last digit.
    rounded = unseen.assign(af=unseen["af"].round(6))
    counts = rounded.groupby(["class", "af"]).size().rename("value").reset_index()
    counts = counts.rename(columns={"class": "group", "af": "x"})
    counts["n"] = counts.groupby("group")["value"].transform("sum")
    return counts.assign(set="unseen_af", method="test alleles", units="alleles")


def unseen_shares(files: Files, genes: pd.DataFrame) -> pd.DataFrame:
    """Rows of table `summary`, set unseen_share: percent of a gene's variants not in training.

    Mean over the genes of each class, with a block-bootstrap interval.
    """
    table = files.table(COUNTS, ["gene", "class"], [_TEST_ONLY])
    table = gene_rows(files, COUNTS, table.set_index("gene"), huang2023.ids_of(genes))
    if sorted(table.index) != sorted(genes["gene_id"]) or table.isna().any(axis=None):
        raise files.bad(COUNTS, f"{len(table)} genes or empty cells", f"the {len(genes)} genes")
    rows = []
    for gene_class in TESTED:
        values = table.loc[table["class"] == gene_class, _TEST_ONLY]
        blocks, _ = blocks_of(genes, values.index)
        low, high = stats.block_bootstrap(values, blocks, stats.weighted_mean, weighted=True)
        rows.append((gene_class, values.mean(), len(values), low, high))
    found = pd.DataFrame(rows, columns=["group", "value", "n", "ci_low", "ci_high"])
    return found.assign(set="unseen_share", method="test people", units="% of a gene's variants")


def add_unseen(rows: Rows, unseen: pd.DataFrame) -> None:
    """Number and median frequency of unseen alleles per class."""
    for gene_class in TESTED:
        part = unseen[unseen["class"] == gene_class]
        words = f"Alleles of test people unseen in training, {gene_class} genes."
        rows.add(f"R.unseen.{gene_class}.n", len(part), part["gene_id"].nunique(), words, UNSEEN)
        rows.over_genes(
            f"R.unseen.{gene_class}.medAF",
            part["af"],
            part["gene_id"],
            stats.weighted_median,
            f"Median frequency in the test people of alleles unseen in training, {gene_class} "
            "genes",
            UNSEEN,
        )
