"""Numbers of the central figures: r across genes, across people, and within people."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar import stats
from howfar.cohort.panel import RESERVED
from howfar.results import tables
from howfar.results.number_rows import NOWHERE, Rows
from howfar.stats.blocks import blocks_of

_PEOPLE = {
    "pooled": "all people",
    "centred": "all people with population means removed",
    "permuted": "people permuted within population, population means removed (a control)",
}
_SOURCE = "across.parquet"


def people_of(population: str) -> str:
    """The people behind rows of `across`, in words."""
    return _PEOPLE.get(population, f"people of {population}")


def add_reference(rows: Rows, result: tables.Tables) -> None:
    """Correlation over genes of each run's reference prediction with mean expression."""
    for run_id, table in result["reference"].groupby("run_id"):
        parts = {"": table} | {f".{region}": part for region, part in table.groupby("region")}
        for suffix, part in parts.items():
            part = part.dropna(subset=["prediction", "observed_mean"])
            if len(part) < stats.MIN_PAIRS:
                continue
            regions = f" of the model's {suffix[1:]} regions" if suffix else ""
            for key, name, statistic in (
                ("pearson", "Pearson r", stats.weighted_pearson),
                ("spearman", "Spearman rho", stats.weighted_spearman),
            ):
                rows.over_genes(
                    f"{run_id}.reference.{key}{suffix}",
                    part[["prediction", "observed_mean"]],
                    part["gene_id"],
                    statistic,
                    f"{name} over genes{regions} of the reference prediction with mean "
                    "expression (median where the study says so)",
                    "reference.parquet",
                )


def averages(r: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean, median, mean size and negative share of r (genes,): (draws, 4)."""
    columns = (r, np.abs(r), (r < 0).astype(float))
    mean, size, negative = (stats.weighted_mean(c, weights) for c in columns)
    return np.column_stack([mean, stats.weighted_median(r, weights), size, negative])


def add_averages(
    rows: Rows, r: np.ndarray, gene_ids: pd.Series, names: dict[str, tuple[int, str]], source: str
) -> tuple[np.ndarray, str]:
    """Add rows of `averages`; `names`: id to (column, words). Returns the genes' blocks."""
    blocks, unit = blocks_of(rows.genes, gene_ids)
    low, high = stats.block_bootstrap(r, blocks, averages, rows.draws, rows.seed, weighted=True)
    values = averages(r, np.ones((1, len(r))))[0]
    for key, (i, words) in names.items():
        # All draws are equal for the share of genes all of one sign: there is no interval.
        ends = (low[i], high[i]) if low[i] < high[i] else NOWHERE
        text = f"{words}; interval by bootstrap over {unit}."
        rows.add(key, values[i], len(r), text, source, ends)
    return blocks, unit


def add_across(rows: Rows, result: tables.Tables) -> None:
    """Averages, range and spread over genes of r across people, per run and population."""
    groups = _with_free(result["across"]).groupby(["run_id", "population"])
    for (run_id, population), table in groups:
        key, people = f"{run_id}.across.{population}", people_of(population)
        rows.add(
            f"{key}.genes_tested",
            table["pearson"].notna().sum(),
            len(table),
            f"Genes with a correlation over {people}, a constant prediction as r = 0; the rest "
            "have constant expression, or too few people.",
            _SOURCE,
        )
        table = table.dropna(subset=["pearson"]).astype({"n": float})
        if table["n"].notna().any():
            for what, words in (("min", "Fewest"), ("max", "Most")):
                text = f"{words} people of a gene with a correlation, over {people}."
                rows.add(f"{key}.{what}_people", table["n"].agg(what), len(table), text, _SOURCE)
        if len(table) < 2:
            continue
        if table["n"].notna().any():
            text = f"Median number of people per gene, over {people}."
            rows.add(f"{key}.median_people", table["n"].median(), len(table), text, _SOURCE)
        _add_averages_and_spread(rows, key, table, people)


def _add_averages_and_spread(rows: Rows, key: str, table: pd.DataFrame, people: str) -> None:
    r = table["pearson"].to_numpy(float)
    words = ["Mean over genes of Pearson r", "Median over genes of Pearson r"]
    words += ["Mean over genes of |Pearson r|", "Share of genes with negative Pearson r"]
    names = ("mean_r", "median_r", "mean_abs_r", "share_negative")
    named = {
        f"{key}.{name}": (i, f"{words[i]} of prediction and expression over {people}")
        for i, name in enumerate(names)
    }
    blocks, unit = add_averages(rows, r, table["gene_id"], named, _SOURCE)
    for what, value, word in (("min_r", r.min(), "Lowest"), ("max_r", r.max(), "Highest")):
        text = f"{word} Pearson r of a gene over {people}."
        rows.add(f"{key}.{what}", value, len(table), text, _SOURCE)
    spread = stats.spread(table["pearson"], table["free"], blocks, rows.draws, rows.seed)
    if not spread.genes:  # a published table that doesn't say how many people there were
        return
    over = f"interval by bootstrap over {unit}"
    detectable = stats.smallest_detectable_r(float(table["free"].median()))
    for what, value, ci, words in (
        ("observed_sd", spread.observed_sd, NOWHERE, "SD over genes of Pearson r"),
        (
            "sampling_sd",
            spread.sampling_sd,
            NOWHERE,
            "SD of r that sampling alone gives at these numbers of people, were every gene's true "
            "r the mean, (1 - r^2) / sqrt(n - 1)",
        ),
        (
            "true_sd",
            spread.true_sd,
            spread.true_sd_ci,
            "SD over genes of the true r: the variance of r less the mean sampling variance, "
            f"(1 - r^2)^2 / (n - 1); {over}",
        ),
        (
            "smallest_detectable_r",
            detectable,
            NOWHERE,
            "Smallest true |r| that a test at 0.05 finds with power 0.8 at the median number of "
            "people",
        ),
    ):
        rows.add(f"{key}.{what}", value, spread.genes, f"{words}, over {people}.", _SOURCE, ci)


def _with_free(across: pd.DataFrame) -> pd.DataFrame:
    """`across` with `free`: n, for 'centred' less the population means removed but one."""
    index = ["run_id", "gene_id"]
    inner = across[~across["population"].isin(RESERVED) & (across["n"] > 0)]
    removed = inner.groupby(index).size().sub(1).rename("removed")
    removed = across[index].join(removed, on=index)["removed"].fillna(0).astype(float)
    n = across["n"].astype(float)
    return across.assign(free=n.where(across["population"] != "centred", n - removed))


def add_within(rows: Rows, result: tables.Tables) -> None:
    """Median and range over people of the correlation across genes within one person."""
    for run_id, table in result["within"].groupby("run_id"):
        r = table["pearson"].dropna()
        for what, name in (("median", "Median"), ("min", "Lowest"), ("max", "Highest")):
            if len(r):
                text = f"{name} over people of the Pearson r across genes within one person."
                rows.add(f"{run_id}.within.{what}_r", r.agg(what), len(r), text, "within.parquet")
