"""Tissues compared: each tissue's tracks, and other predictions, against each tissue's expression.

One pass has predicted the tracks of all tissues. Beside them stand linear models, trained on the
first tissue, and the look-up: a person's expression in another tissue as the prediction.
"""

from __future__ import annotations

import pandas as pd

from howfar import stats
from howfar.evaluation.inputs import Inputs
from howfar.prediction.store import collect, finished_genes
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
        genes = finished_genes(inputs.cohort, run, store)
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
    parts, genes = [], inputs.panel.genes
    for (method, of, name), part in per_gene(inputs).groupby(["method", "of", "in"], sort=False):
        blocks, _ = blocks_of(genes, part["gene_id"])
        r = part["r"].to_numpy()
        seed = inputs.options.seed
        low, high = stats.block_bootstrap(r, blocks, stats.weighted_mean, seed=seed, weighted=True)
        row = {"set": TISSUES, "method": method, "group": f"{of} | {name}", "x": 0, "replicate": 0}
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
