"""Do models agree with one another? On reference sequences, on people, on single variants.

Huang et al. 2023 (figures 2a and 2b) compare four models so. Published scales differ, so that
reference predictions are compared by rank; a gene's predictions for people are compared by
correlation over the people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from howfar import stats
from howfar.evaluation.inputs import Inputs, Table
from howfar.results import tables

#: Kinds of run whose predictions are compared: a lead SNP and a known truth are no models.
KINDS = ("network", "linear")
_STRETCH = 1000  # bp that share what a network reads; the block of a bootstrap over variants


def make(inputs: Inputs) -> Table:
    """Table `agreement` of networks and linear models."""
    return Table("agreement", agreement_table({run.run_id: run.people for run in inputs.models}))


def agreement_table(people: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Table `agreement`: per gene and pair of runs, the correlation of their predictions.

    people: run_id to predictions (gene_id x sample), NaN where there is none. Correlations are over
    all people whom both runs predict, populations together; the interval is Fisher's, of Pearson's
    r. A run that repeats another one's predictions on fewer people is left out, and genes that two
    runs do not share have no row. A constant prediction has no correlation: missing, n kept.
    """
    kept = {run: people[run] for run in sorted(people) if not _repeats(people, run)}
    parts = [_of_pair(kept, run, other) for run, other in combinations(kept, 2)]
    return tables.stack("agreement", parts, "agreement of runs")


def _repeats(people: Mapping[str, pd.DataFrame], run: str) -> bool:
    """Whether another run gives the same predictions and more (or comes first, if the same)."""
    mine = people[run]
    for other, theirs in people.items():
        if other == run or not mine.index.isin(theirs.index).all():
            continue
        if not mine.columns.isin(theirs.columns).all():
            continue
        same = theirs.loc[mine.index, mine.columns].where(mine.notna())
        more = theirs.notna().to_numpy().sum() > mine.notna().to_numpy().sum()
        if same.equals(mine) and (more or other < run):
            return True
    return False


def _of_pair(people: Mapping[str, pd.DataFrame], run: str, other: str) -> pd.DataFrame:
    first, second = people[run].align(people[other], join="inner")
    if first.empty:
        return pd.DataFrame()
    x, y = first.to_numpy(float), second.to_numpy(float)
    (r, n), (rho, _) = stats.pearson_rows(x, y), stats.spearman_rows(x, y)
    low, high = stats.fisher_interval(r, n)
    found = pd.DataFrame({"gene_id": first.index, "n": n, "pearson": r, "spearman": rho})
    found = found.assign(run_id=run, other_id=other, ci_low=low, ci_high=high)
    return found[found["n"] > 0]


def of_individuals(individuals: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Table `agreement` of the tables `individuals` and `runs`, runs of `KINDS` only."""
    models = runs.loc[runs["kind"].isin(KINDS), "run_id"]
    rows = individuals[individuals["run_id"].isin(models)]
    return agreement_table(
        {
            run: part.pivot(index="gene_id", columns="sample", values="predicted")
            for run, part in rows.groupby("run_id")
        }
    )


@dataclass(frozen=True)
class Comparison:
    """Values of two runs side by side, as one number of table `numbers` needs them.

    id: of the number, without the study. both: columns gene_id or variant, first, second. blocks:
    what a bootstrap resamples and its name in words; None for those of the genes.
    """

    id: str
    words: str
    source: str
    both: pd.DataFrame
    blocks: tuple[np.ndarray, str] | None = None


def comparisons(result: tables.Tables) -> Iterator[Comparison]:
    """Reference predictions over genes, r across people over genes, effects over variants."""
    yield from _genes(result["reference"], "prediction", "reference")
    agreed = result["agreement"]
    pooled = result["across"][result["across"]["population"] == "pooled"]
    pooled = pooled[pooled["run_id"].isin([*agreed["run_id"], *agreed["other_id"]])]
    yield from _genes(pooled, "pearson", "across")
    effects = variants_of(result["effects"])
    for gene, rows in effects.groupby("gene_id"):
        for run, other, both in paired(rows, "effect", "variant"):
            words = f"the effects of variants in the window of {gene}, {run} with {other}"
            stretch = positions(both["variant"]) // _STRETCH
            yield Comparison(
                f"{run}.agreement.{other}.effects.{gene}",
                words,
                "effects.parquet",
                both,
                (stretch, "stretches of 1 kb"),
            )


def _genes(table: pd.DataFrame, value: str, name: str) -> Iterator[Comparison]:
    what = {"reference": "reference predictions over genes", "across": "r across people over genes"}
    for run, other, both in paired(table, value):
        words = f"{what[name]}, {run} with {other}"
        yield Comparison(f"{run}.agreement.{other}.{name}", words, f"{name}.parquet", both)


def paired(table: pd.DataFrame, value: str, key: str = "gene_id") -> Iterator[tuple]:
    """(run, other, frame) of each pair of runs that share three or more keys.

    table: rows of run_id, `key` and `value`, one per run and key. The frame has the columns
    `key`, first and second: the values of the two runs, where both have one.
    """
    values = table.pivot(index=key, columns="run_id", values=value).astype(float)
    for run, other in combinations(sorted(values.columns), 2):
        both = values[[run, other]].dropna().set_axis(["first", "second"], axis=1)
        if len(both) >= stats.MIN_PAIRS:
            yield run, other, both.reset_index()


def positions(variants: pd.Series) -> np.ndarray:
    """int64: 1-based positions of variants named chrom:pos:ref:alt."""
    return variants.str.rsplit(":", n=3).str[1].astype("int64").to_numpy()


def variants_of(effects: pd.DataFrame) -> pd.DataFrame:
    """Rows of table `effects` that this package computed, with `driven`.

    `driven`: the SD that the variant gives a prediction among people in Hardy-Weinberg proportions,
    |effect| sqrt(2 MAF (1 - MAF)), effect being that of one copy on one haplotype, halved as a
    person's prediction is the mean of two.
    """
    own = effects[effects["source"] == "model"]
    spread = np.sqrt(2 * own["maf"] * (1 - own["maf"]))
    return own.assign(driven=own["effect"].abs() / 2 * spread)
