"""Tissues compared: each tissue's tracks, and other predictions, against each tissue's expression.

One pass has predicted the tracks of all tissues. Beside them stand linear models, trained on the
first tissue, and the look-up: a person's expression in another tissue as the prediction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from howfar import stats
from howfar.cohort.opened import OpenCohort
from howfar.evaluation.inputs import Inputs, predictions_of
from howfar.genome.intervals import Gene
from howfar.prediction.store import Store, collect
from howfar.results import tables
from howfar.stats.blocks import blocks_of
from howfar.stats.correlation import pearson_rows

#: Set of table `summary`; its method for the look-up; feature of table `features`.
TISSUES, LOOK_UP, FEATURE = "tissues", "look-up", "tissue_r"
_COLUMNS = ["method", "of", "in", "gene_id", "r", "n"]


def per_gene(inputs: Inputs) -> pd.DataFrame:
    """Rows of r over people: method, of (tissue that predicts), in (tissue), gene_id, r, n.

    Genes with r of at least `stats.MIN_PAIRS` people; empty for a study of one tissue.
    """
    names = list(inputs.cohort.settings.tissues)
    if len(names) < 2:
        return pd.DataFrame(columns=_COLUMNS)
    own = inputs.panel.expression
    measured = {name: inputs.cohort.tissue(name) for name in names[1:]}
    measured = {names[0]: own} | {n: e.reindex_like(own) for n, e in measured.items()}
    predicted = {(LOOK_UP, name): frame for name, frame in measured.items()}
    for each in inputs.linear:
        predicted[each.predictions.run_id, names[0]] = each.predictions.people
    for run in inputs.predicted:
        store = inputs.stores[run.id]
        genes = _predicted_genes(inputs, store)
        for name in store.description.tissues or names[:1]:
            people, *_ = collect(store, genes, inputs.cohort.samples, run.transform, name)
            predicted[run.id, name] = store.description.held_out(people)
    parts = []
    for (method, of), people in predicted.items():
        aligned = people.reindex(index=own.index, columns=own.columns).to_numpy(float)
        for name, observed in measured.items():
            if method == LOOK_UP and of == name:
                continue
            r, n = pearson_rows(aligned, observed.to_numpy(float))
            part = pd.DataFrame({"gene_id": own.index, "r": r, "n": n})
            parts.append(part.assign(**{"method": method, "of": of, "in": name}))
    rows = pd.concat(parts, ignore_index=True)
    return rows[rows["r"].notna() & (rows["n"] >= stats.MIN_PAIRS)][_COLUMNS]


def rows(inputs: Inputs) -> pd.DataFrame:
    """Rows of table `summary`: mean r over genes; group: 'tissue that predicts | tissue'."""
    parts, genes, seed = [], inputs.panel.genes, inputs.options.seed
    found = inputs.table("features").frame.query("feature == @FEATURE")
    for source, part in found.groupby("source", sort=False):
        method, group = source.split(": ", 1)
        blocks, _ = blocks_of(genes, part["gene_id"])
        r = part["value"].to_numpy()
        low, high = stats.block_bootstrap(r, blocks, stats.weighted_mean, seed=seed, weighted=True)
        row = {"set": TISSUES, "method": method, "group": group, "x": 0, "replicate": 0}
        row |= {"value": r.mean(), "n": len(r), "ci_low": low, "ci_high": high}
        parts.append(row | {"units": "mean r over genes"})
    return pd.DataFrame(parts)


def features(inputs: Inputs) -> pd.DataFrame:
    """Rows of table `features`: r of each gene, source 'method: tissue that predicts | tissue'."""
    found = per_gene(inputs)
    if found.empty:
        return tables.empty("features")
    source = found["method"] + ": " + found["of"] + " | " + found["in"]
    kept = pd.DataFrame({"gene_id": found["gene_id"], "value": found["r"], "source": source})
    return kept.assign(feature=FEATURE)


def further(inputs: Inputs) -> Iterator[Inputs]:
    """Each further tissue as a study of its own, results below ``tissues`` of the study's.

    Its networks' own tracks where a run names some, else those of the first tissue. What was fitted
    to the first tissue, or is known of it alone, is left out.
    """
    study, settings = inputs.study, inputs.cohort.settings
    folder = inputs.results / study.name / "tissues"
    eqtl = study.eqtl if study.eqtl and study.eqtl.covariates is None else None
    for name, file in list(settings.tissues.items())[1:]:
        own = settings.model_copy(update={"expression": file, "tissues": {}})
        only = {"name": name, "cohort": own, "simulate": None, "eqtl": eqtl, "cures": None}
        cohort = OpenCohort(study.model_copy(update=only | {"effects": [], "finetune": []}))
        stores, networks = {}, []
        for run in inputs.predicted:
            store = inputs.stores[run.id]
            if (places := store.description.tissues.get(name)) is not None:
                tracks = [str(track) for track in run.tissue_tracks[name]]
                told = replace(store.description, tracks=tracks, tissues={name: places})
                store = replace(store, description=told)
            stores[run.id] = store
            genes = _predicted_genes(inputs, store)
            networks.append(predictions_of(inputs.cohort, run, store, genes))
        yield Inputs(cohort, cohort.panel(), tuple(networks), stores, (), folder)


def _predicted_genes(inputs: Inputs, store: Store) -> list[Gene]:
    return [gene for gene in inputs.cohort.genes_to_run() if store.has(gene)]
