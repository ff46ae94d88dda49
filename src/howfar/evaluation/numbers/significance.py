"""Numbers of the tests of single genes: against 0, and against the gene-specific null."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import t as t_distribution

from howfar import stats
from howfar.evaluation.numbers.correlations import people_of
from howfar.evaluation.run_comparison import STRONG, false_positive_rate, null_p
from howfar.results import tables
from howfar.results.number_rows import Rows
from howfar.stats import null

_SOURCE = "across.parquet"
#: p of a gene, by rule; the first asks whether r is 0, the others whether it is more than random
#: weights on the gene's variants give.
RULES = {
    "t_test": "two-sided t test of r against 0",
    "as_published": "T = (|r| - m) / sqrt(s / 50)",
    "standard_error": "T = (|r| - m) / (s / sqrt(50)), a mistake for judging one gene",
    "own_null": "p = (1 + #{r_k >= |r|}) / (K + 1)",
    "simulated_tail": "tail of draws on simulated genotypes of the same m / s",
    "normal_tail": "|r_k| as if normal, T = (|r| - m) / (s sqrt(1 + 1/50))",
    "half_normal": "r_k as if normal around 0, variance m^2 + s^2",
    "half_normal_t": "r_k as if of a t with 50 df around 0, variance m^2 + s^2",
}
#: The rules that take a shape of the tail for granted, where only m and s are known.
TAILS = ("simulated_tail", "normal_tail", "half_normal", "half_normal_t")


def best_rules(from_draws: bool) -> dict[str, str]:
    """The rules to name beside each other, and the key in `RULES` of each.

    The own null is from the draws where they are known, else by the tail of simulated draws.
    """
    rules = ("t_test", "as_published", "standard_error")
    own = "own_null" if from_draws else "simulated_tail"
    return dict(zip(rules, rules, strict=True)) | {"own_null": own}


def p_and_q(table: pd.DataFrame, rule: str) -> pd.DataFrame:
    """gene_id, r, p and q of rows of `across` under a rule; a gene without p counts as p = 1."""
    p = null_p(table, rule)
    q = stats.benjamini_hochberg(p.fillna(1))
    columns = {"gene_id": table["gene_id"], "rule": rule, "r": table["pearson"], "p": p, "q": q}
    return pd.DataFrame(columns)


def add_numbers(rows: Rows, result: tables.Tables) -> None:
    """Genes called by the t test of r and by each rule against the gene-specific null."""
    for (run_id, population), table in result["across"].groupby(["run_id", "population"]):
        key, people = f"{run_id}.across.{population}", people_of(population)
        if table["q"].notna().any():
            found = table[table["q"] <= 0.05]
            text = "Genes with r different from 0 at a false discovery rate of 5 % (t test, "
            text += f"Benjamini-Hochberg), over {people}."
            rows.add(f"{key}.significant", len(found), len(table), text, _SOURCE)
            text = "Of the significant genes, those with negative r."
            negative = (found["pearson"] < 0).sum()
            rows.add(f"{key}.significant_negative", negative, len(table), text, _SOURCE)
        _add_directions(rows, key, table, people)
        if table["null_sd"].notna().any():
            _add_rules(rows, key, table, people)
            _add_expected_false(rows, key, table)
            _add_chance(rows, key, table.dropna(subset=["null_sd"]))


def _add_directions(rows: Rows, key: str, table: pd.DataFrame, people: str) -> None:
    """Share of genes with r above 0, of those whose r is clear; a coin has one half."""
    r = table["pearson"].astype(float)
    for name, chosen, words in (
        ("significant", table["q"] <= 0.05, "q of the t test at most 0.05"),
        ("strong", r.abs() > STRONG, f"|r| above {STRONG}"),
    ):
        part = table[chosen.fillna(False).astype(bool)]
        if len(part) > 1:
            text = f"Share of genes with r above 0, of those with {words}, over {people}"
            up, ids, mean = part["pearson"] > 0, part["gene_id"], stats.weighted_mean
            rows.over_genes(f"{key}.right_sign.{name}", up, ids, mean, text, _SOURCE)


def _add_rules(rows: Rows, key: str, table: pd.DataFrame, people: str) -> None:
    rules = dict(RULES)
    if not from_draws(table):
        del rules["own_null"]
    for rule, words in rules.items():
        called = p_and_q(table, rule).query("q <= 0.05")["r"]
        id_, n = f"{key}.significant_{rule}", len(table)
        text = "Genes called at a false discovery rate of 5 %, "
        text += f"{words}, over {people}; genes without p count as 1."
        rows.add(id_, len(called), n, text, _SOURCE)
        rows.add(f"{id_}.negative", (called < 0).sum(), n, "Of these genes, r < 0.", _SOURCE)
        rows.add(f"{id_}.positive", (called > 0).sum(), n, "Of these genes, r > 0.", _SOURCE)
        text = "Smallest |r| of these genes; missing where there are none."
        rows.add(f"{id_}.smallest", called.abs().min(), n, text, _SOURCE)


def _add_expected_false(rows: Rows, key: str, table: pd.DataFrame) -> None:
    """How many genes chance alone gives among those called with the null's |r| as normal."""
    found = p_and_q(table, "normal_tail").query("q <= 0.05")["p"]
    nulls = table.dropna(subset=["null_sd", "pearson"]).query("null_sd > 0")
    if not len(found) or nulls.empty:
        return
    half = np.sqrt(1 + 1 / null.PUBLISHED_DRAWS)
    z = t_distribution.isf(found.max(), null.PUBLISHED_DRAWS - 1) * half
    ratio = (nulls["null_mean"] / nulls["null_sd"]).to_numpy(float)
    text = "Genes that random weights would be expected to give among those called with the null's "
    text += "|r| as normal, by the tail of draws on simulated genotypes of the same m / s."
    id_ = f"{key}.significant_normal_tail.expected_false"
    rows.add(id_, null.tail(np.full(len(ratio), z), ratio).sum(), len(nulls), text, _SOURCE)


def from_draws(table: pd.DataFrame) -> bool:
    """Whether p_null of rows of `across` is from the draws, not from their mean and SD alone."""
    known = table.dropna(subset=["p_null", "null_sd"])
    by_moments = null_p(known, "simulated_tail")
    return bool(len(known)) and not np.allclose(known["p_null"].astype(float), by_moments)


def _add_chance(rows: Rows, key: str, nulls: pd.DataFrame) -> None:
    sd, mean = (nulls[c].astype(float) for c in ("null_sd", "null_mean"))
    middle, ratio = float(sd.median()), float((mean / sd).replace(np.inf, np.nan).median())
    text = "Median over genes of the SD of the gene-specific null's |r|."
    rows.add(f"{key}.null_sd", middle, len(sd), text, _SOURCE)
    text = "Root mean square over genes of r of random weights on the gene's own variants."
    rows.add(f"{key}.null_rms", np.sqrt(np.mean(mean**2 + sd**2)), len(sd), text, _SOURCE)
    text = "Median over genes of the mean of the gene-specific null's |r| over its SD."
    rows.add(f"{key}.null_ratio", ratio, len(sd), text, _SOURCE)
    for rule in ("as_published", "standard_error", "normal_tail"):
        for level, name in ((0.05, ""), (0.001, ".strict")):
            text = f"Share of random weightings with p <= {level} at the median mean and SD, "
            text += f"{RULES[rule]}; by the tail of draws on simulated genotypes."
            share = np.ravel(false_positive_rate(middle, ratio, rule, level))[0]
            rows.add(f"{key}.chance_{rule}{name}", share, len(sd), text, _SOURCE)
