"""Numbers of the tests of single genes: against 0, and against the gene-specific null."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar import stats
from howfar.evaluation.numbers.correlations import people_of
from howfar.evaluation.run_comparison import false_positive_rate, null_p
from howfar.results import tables
from howfar.results.number_rows import Rows

_SOURCE = "across.parquet"
#: p of a gene against its null, by rule.
RULES = {
    "as_published": "T = (|r| - m) / sqrt(s / 50)",
    "standard_error": "T = (|r| - m) / (s / sqrt(50)), a mistake for judging one gene",
    "calibrated_from_moments": "T = (|r| - m) / (s sqrt(1 + 1/50))",
    "calibrated": "p = (1 + #{r_k >= |r|}) / (K + 1)",
}


def best_rules(table: pd.DataFrame) -> dict[str, str]:
    """The three rules to name beside each other, and the key in `RULES` of each.

    Calibrated: from the draws where the rows of `across` have p_null, else from the moments.
    """
    known = table["p_null"].notna().any()
    calibrated = "calibrated" if known else "calibrated_from_moments"
    rules = ("as_published", "standard_error")
    return dict(zip(rules, rules, strict=True)) | {"calibrated": calibrated}


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
        if table["null_sd"].notna().any():
            _add_rules(rows, key, table, people)
            _add_chance(rows, key, table["null_sd"].dropna())


def _add_rules(rows: Rows, key: str, table: pd.DataFrame, people: str) -> None:
    rules = {rule: words for rule, words in RULES.items() if rule != "calibrated"}
    if table["p_null"].notna().any():
        rules["calibrated"] = RULES["calibrated"]
    for rule, words in rules.items():
        called = p_and_q(table, rule).query("q <= 0.05")["r"]
        id_, n = f"{key}.significant_{rule}", len(table)
        text = "Genes beyond the gene-specific null at a false discovery rate of 5 %, "
        text += f"{words}, over {people}; genes without p count as 1."
        rows.add(id_, len(called), n, text, _SOURCE)
        rows.add(f"{id_}.negative", (called < 0).sum(), n, "Of these genes, r < 0.", _SOURCE)
        rows.add(f"{id_}.positive", (called > 0).sum(), n, "Of these genes, r > 0.", _SOURCE)
        text = "Smallest |r| of these genes; missing where there are none."
        rows.add(f"{id_}.smallest", called.abs().min(), n, text, _SOURCE)


def _add_chance(rows: Rows, key: str, sd: pd.Series) -> None:
    middle = float(sd.median())
    text = "Median over genes of the SD of the gene-specific null's |r|."
    rows.add(f"{key}.null_sd", middle, len(sd), text, _SOURCE)
    for rule in ("as_published", "standard_error", "calibrated_from_moments"):
        text = f"Share of random predictors with p <= 0.05 at the median SD, {RULES[rule]}; the "
        text += "null's |r| taken as normal."
        share = np.ravel(false_positive_rate(middle, rule))[0]
        rows.add(f"{key}.chance_{rule}", share, len(sd), text, _SOURCE)
