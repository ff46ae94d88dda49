"""Rows of table `summary` on cures of a network (`attribution.cures`): means over genes of r."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from howfar import stats
from howfar.attribution import cures
from howfar.attribution.cures import Options
from howfar.cohort.files import input_files
from howfar.cohort.known_values import true_values
from howfar.cohort.opened import OpenCohort
from howfar.core.threads import one_thread
from howfar.prediction.run import open_model
from howfar.results import cache
from howfar.results.cache import Key
from howfar.stats.blocks import blocks_of
from howfar.study.schema import Run, Study

#: Set of table `summary`: mean r across people. method: a cure; group: which genes and people.
CURES = "cures"
CEILING = "True genetic value"


def path_of(results: str | Path, study: str) -> Path:
    """Where `howfar cures` writes a study's rows of table `summary`."""
    return Path(results) / study / "cures" / "summary.parquet"


def key_of(cohort: OpenCohort, options: dict) -> Key:
    """Return the cache key of the rows; options: of the comparison, run and weights included."""
    return cache.cohort_key(
        cohort, "cures", options, ["attribution", "evaluation", "linear", "prediction", "stats"]
    )


def load(cohort: OpenCohort, results: str | Path) -> pd.DataFrame:
    """The rows that `run` wrote; none where they are out of date."""
    return cache.read_rows(path_of(results, cohort.study.name), partial(key_of, cohort))


def run(study: Study, chosen: Run, results: str | Path, options: Options | None = None) -> Path:
    """Compare the cures of one run's network on a study's cohort; return the path of the rows."""
    cohort, path = OpenCohort(study), path_of(results, study.name)
    options = cures.with_populations(options or Options(), cohort.panel().groups)
    model = open_model(chosen)
    named = {"run": chosen.id, "weights_sha256": model.weights_sha256}
    named |= {"version": dict(model.version)}
    key = key_of(cohort, asdict(options) | named)
    if not cache.is_current(path, key):
        with one_thread():
            data = list(cures.gene_data(cohort, chosen, model, options))
            table = cures.compare(data, cures.splits_of(cohort, options), options)
        rows = rows_of(with_ceiling(table, cohort, options), cohort.panel().genes, options.seed)
        cache.write_rows(path, rows, key, input_files(cohort.study), seed=options.seed)
    return path


def with_ceiling(table: pd.DataFrame, cohort: OpenCohort, options: Options) -> pd.DataFrame:
    """Add the r of the true genetic value, on the same genes and people, where it is known."""
    truth = true_values(cohort.study)
    if truth is None:
        return table
    values, panel = truth[cohort.samples], cohort.panel()
    parts = [table]
    for name, split in cures.splits_of(cohort, options).items():
        there = np.flatnonzero(split.fold() >= 0)
        rows = table[(table["split"] == name) & (table["method"] == cures.NETWORK)]
        genes = rows["gene_id"]
        r, _ = stats.pearson_rows(
            values.loc[genes].to_numpy()[:, there], panel.expression.loc[genes].to_numpy()[:, there]
        )
        parts.append(rows.assign(method=CEILING, r=r))
    return pd.concat(parts, ignore_index=True)


def rows_of(table: pd.DataFrame, genes: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Mean r of each method in each group, with block-bootstrap intervals over genes.

    Groups: all genes, those the network trained on and those it didn't, people not trained on; and
    the population judged. A gene without people who train can be served by the network and by the
    pooled weights alone: 'genes not trained on' has these two.
    """
    people = table[table["split"] == cures.PEOPLE]
    pooled = people["method"].isin([cures.NETWORK, cures.POOLED, CEILING])
    groups = {
        f"all genes, {cures.PEOPLE}": people,
        f"genes of the network's training, {cures.PEOPLE}": people[people["seen"]],
        "genes not trained on": people[~people["seen"] & pooled],
    }
    groups |= {n: rows for n, rows in table.groupby("split", sort=False) if n != cures.PEOPLE}
    out = []
    for group, rows in groups.items():
        for method, part in rows.groupby("method", sort=False):
            out.append(
                {"method": cures.LABELS.get(method, method), "group": group}
                | _mean(part.set_index("gene_id")["r"], genes, seed)
            )
    return pd.DataFrame(out).assign(set=CURES, units="mean r over genes", replicate=1)


def _mean(r: pd.Series, genes: pd.DataFrame, seed: int) -> dict[str, float | int]:
    blocks, _ = blocks_of(genes, r.index)
    low, high = stats.block_bootstrap(r.to_numpy(float), blocks, np.mean, seed=seed)
    return {"value": r.mean(), "n": len(r), "ci_low": low, "ci_high": high}
