"""Numbers of two runs compared gene by gene, and of all runs on the genes they share."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from howfar import stats
from howfar.core.registry import LINEAR_MODELS
from howfar.evaluation import run_comparison
from howfar.results import tables
from howfar.results.number_rows import Rows

_SOURCE = "across.parquet"
_QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
_SCORES = {LINEAR_MODELS[name].help for name in ("prs_pt", "prs")}
#: A linear model's r above which a gene with r below 0 in the network is marked.
WRONG = 0.2


def add_numbers(rows: Rows, result: tables.Tables) -> None:
    """Every network against every other run, and the two polygenic scores, over shared genes."""
    runs = result["runs"].set_index("run_id")
    across = result["across"]
    judged = across.loc[across["population"].eq("pooled") & across["pearson"].notna(), "run_id"]
    kinds = runs["kind"].drop(runs.index[runs["kind"] == "truth"])
    for first, second in combinations(sorted(kinds.index.intersection(judged)), 2):
        scores = {runs.loc[first, "label"], runs.loc[second, "label"]} == _SCORES
        if scores or "network" in (kinds[first], kinds[second]):
            _add_pair(rows, run_comparison.paired(across, first, second), first, second)


def _add_pair(rows: Rows, both: pd.DataFrame, first: str, second: str) -> None:
    if len(both) < 2:
        return
    pair = run_comparison.summarise_pair(both, rows.genes, rows.draws, rows.seed)
    key, where = f"{first}.paired.{second}", f"over genes with r of both {first} and {second}"
    over = f"; interval by bootstrap over {pair.unit}."
    below = (both[["first", "second"]] < 0).mean()
    missing = (np.nan, np.nan)
    for what, value, ci, words in (
        ("mean_first", pair.means[0], missing, f"Mean r of {first} {where}."),
        ("mean_second", pair.means[1], missing, f"Mean r of {second} {where}."),
        ("difference", pair.difference, pair.difference_ci, f"Mean difference of r {where}{over}"),
        ("wins", pair.wins, missing, f"Genes where r of {first} is higher."),
        ("losses", pair.losses, missing, f"Genes where r of {second} is higher."),
        ("r", pair.r, pair.r_ci, f"Pearson r of the two runs' r {where}{over}"),
        ("negative_first", below["first"], missing, f"Share below 0: r of {first} {where}."),
        ("negative_second", below["second"], missing, f"Share below 0: r of {second} {where}."),
    ):
        rows.add(f"{key}.{what}", value, pair.genes, words, _SOURCE, ci)


def add_common_genes(rows: Rows, result: tables.Tables) -> None:
    """Mean and quantiles of r of every run, over the genes that all runs have."""
    for run, part in run_comparison.common_genes(result["across"]).groupby("run_id"):
        where = "over the genes that all runs have, a constant prediction as r = 0"
        key, r = f"{run}.common_genes", part["pearson"]
        text = f"Mean r across people {where}"
        rows.over_genes(f"{key}.mean_r", r, part["gene_id"], stats.weighted_mean, text, _SOURCE)
        for name, quantile in _QUANTILES.items():
            text = f"Quantile {quantile} of r across people {where}."
            value = np.quantile(r.to_numpy(float), quantile)
            rows.add(f"{key}.{name}", value, len(r), text, _SOURCE)


def add_classes(rows: Rows, result: tables.Tables) -> None:
    """Each network against each linear model, in every class of genes; no r counts as 0."""
    kinds = dict(zip(result["runs"]["run_id"], result["runs"]["kind"], strict=True))
    wide = run_comparison.by_class(result["across"])
    for population, part in wide.drop(["centred", "permuted"], errors="ignore").groupby(
        "population"
    ):
        linear_runs = [run for run in wide.columns if kinds.get(run) == "linear"]
        # The elastic net is what the field calls PrediXcan.
        for linear in ["elastic_net"] if "elastic_net" in linear_runs else linear_runs:
            for network in (run for run in wide.columns if kinds.get(run) == "network"):
                both = part[[linear, network]].dropna()
                if len(both) >= stats.MIN_PAIRS:
                    _add_class(rows, f"{linear}.against.{network}.{population}", both)


def _add_class(rows: Rows, key: str, both: pd.DataFrame) -> None:
    linear, network = both.columns
    ids, n = both.index.get_level_values("gene_id"), len(both)
    words = f"r across people of {network} and of {linear}, a constant prediction as r = 0"
    text = f"Pearson r over genes of {words}"
    rows.over_genes(f"{key}.r", both, ids, stats.weighted_pearson, text, _SOURCE, seed=0)
    higher = (both[network] > both[linear]).sum()
    rows.add(f"{key}.higher", higher, n, f"Genes where {network} has the higher r.", _SOURCE)
    text = f"Genes with r above {WRONG} for {linear} and below 0 for {network}."
    wrong = ((both[linear] > WRONG) & (both[network] < 0)).sum()
    rows.add(f"{key}.wrong_way", wrong, n, text, _SOURCE)
