"""Numbers of heritability as the ceiling of a prediction."""

from __future__ import annotations

import re

import numpy as np

from howfar import stats
from howfar.evaluation.heritability import attained, ceilings, per_gene, sources
from howfar.results import tables
from howfar.results.number_rows import NOWHERE, Rows

_ACROSS, _FEATURES = "across.parquet, features.parquet", "features.parquet"


def source_key(source: str) -> str:
    """A source of h2 as part of an id: every white space as an underscore."""
    return re.sub(r"\s", "_", source)


def add_numbers(rows: Rows, result: tables.Tables) -> None:
    """Mean sqrt(h2), and the share of it that each run reaches."""
    known = sources(result)
    features = result["features"]
    for source in known:
        key = f"h2.{source_key(source)}"
        part = features[(features["feature"] == "h2") & (features["source"] == source)]
        part = part.dropna(subset=["value"])
        root = np.sqrt(part["value"].clip(lower=0))
        text = f"Mean over genes of sqrt(max(h2, 0)), {source}"
        mean = stats.weighted_mean
        rows.over_genes(f"{key}.root", root, part["gene_id"], mean, text, _FEATURES, seed=0)
        for row in ceilings(result, source, rows.seed).itertuples():
            text = f"{text}, genes with r across {row.group}"
            ends = (row.ci_low, row.ci_high)
            rows.add(f"{key}.{row.group}.root", row.ceiling, row.genes, text, _ACROSS, ends)
            text = f"Root of mean h2, {source}, genes with r across {row.group}."
            rows.add(f"{key}.{row.group}.rms", row.rms, row.genes, text, _ACROSS)
    if known:
        _add_attained(rows, result, known[0])
        _add_genes(rows, result, known[0])


def _add_attained(rows: Rows, result: tables.Tables, source: str) -> None:
    for row in attained(result, source, rows.seed).itertuples():
        key, words = f"{row.run_id}.heritability.{row.group}", f"genes of {row.group}, {source}"
        for what, value, ci, text in (
            ("mean_r", row.mean_r, NOWHERE, "Mean r across people, a constant prediction as 0"),
            ("ceiling", row.ceiling, NOWHERE, "Mean of sqrt(max(h2, 0))"),
            ("rms", row.rms, NOWHERE, "Root of mean h2"),
            ("ratio", row.ratio, (row.ci_low, row.ci_high), "Mean r over mean sqrt(max(h2, 0))"),
        ):
            rows.add(f"{key}.{what}", value, row.genes, f"{text}, {words}.", _ACROSS, ci)


def _add_genes(rows: Rows, result: tables.Tables, source: str) -> None:
    for (run, group), part in per_gene(result, source).groupby(["run_id", "population"]):
        key, words = f"{run}.heritability.{group}", f"sqrt(max(h2, 0)), {source}"
        pairs, n = part[["root", "r"]], len(part)
        text = f"Spearman rho over genes of r across people with {words}"
        spearman = stats.weighted_spearman
        rows.over_genes(f"{key}.rho", pairs, part["gene_id"], spearman, text, _ACROSS, seed=0)
        text = f"Genes with r across people above {words}."
        rows.add(f"{key}.above", (part["r"] > part["root"]).sum(), n, text, _ACROSS)
        text = "Of these genes, r across people below 0."
        rows.add(f"{key}.negative", (part["r"] < 0).sum(), n, text, _ACROSS)
