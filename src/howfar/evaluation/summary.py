"""Table `summary`: values over genes or variants, in sets that each answer one question."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from howfar.attribution.variant_effects import linear_approximation
from howfar.cohort.files import input_files
from howfar.cohort.known_values import has_peaks
from howfar.eqtl import network_agreement
from howfar.eqtl.covariates import covariate_words
from howfar.evaluation import (
    carriers,
    cures,
    driver_halves,
    gene_detail,
    known_truth,
    locus,
    row_zero,
    sweep,
    tissues,
    trainings,
    transfer,
)
from howfar.evaluation.inputs import Inputs, Table
from howfar.results import tables
from howfar.stacking import compare

_COMMANDS = "`howfar transfer`, `baseline --sweep`, `stack`, `cures`"


def make(inputs: Inputs) -> Table:
    """Table `summary`, of what is computed here and what other commands have left."""
    counts: Counter[str] = Counter()
    variants = inputs.table("effects").frame
    people = {run.run_id: run.people for run in inputs.models}
    parts = [linear_approximation(inputs.cohort, variants, people, inputs.context)]
    for step in (transfer, sweep, compare, cures):
        rows = step.load(inputs.cohort, inputs.results)
        parts.append(rows)
        stale = rows.empty and step.path_of(inputs.results, inputs.study.name).is_file()
        counts[f"comparisons out of date ({_COMMANDS})"] += stale
    trained, left_out = trainings.rows(
        inputs.study.name,
        inputs.results,
        input_files(inputs.study),
        inputs.panel.genes,
        inputs.options.seed,
    )
    parts.append(trained)
    counts += left_out
    parts += _of_map(inputs, variants)
    parts.append(driver_halves.rows(inputs.panel, inputs.networks, inputs.options.seed))
    if inputs.study.individuals == "public" and inputs.panel.dosages is not None:
        shown = variants["gene_id"].unique() if len(variants) else []
        parts.append(carriers.rows(inputs.panel, list(shown[:1])))
    parts += [gene_detail.rows(inputs), tissues.rows(inputs)]
    parts.append(row_zero.rows(inputs.panel, inputs.options))
    if inputs.truth is not None and not has_peaks(inputs.study):  # causal variants are of genes
        parts.append(_of_truth(inputs))
    return Table("summary", tables.stack("summary", parts, f"study {inputs.study.name}"), counts)


def _of_map(inputs: Inputs, variants: pd.DataFrame) -> list[pd.DataFrame]:
    """What the cis-eQTL map says by itself, and of the networks' effects of variants."""
    mapped, genes, seed = inputs.eqtl_map, inputs.panel.genes, inputs.options.seed
    if mapped is None:
        return []
    words = covariate_words(mapped.options, inputs.panel.populations is not None)
    if inputs.external_eqtls is not None:
        words += f"; slopes beside effects are those of {inputs.external_eqtls.path.name}"
    return [
        network_agreement.covariates(mapped.lead, words),
        network_agreement.signals(mapped.lead, mapped.conditional),
        network_agreement.signs(variants, genes, seed),
        network_agreement.overlaps(variants, genes, seed=seed),
        network_agreement.lead_only(variants, mapped.lead),
        locus.overlap_rows(variants, seed),
    ]


def _of_truth(inputs: Inputs) -> pd.DataFrame:
    people, r = (inputs.table(name).frame for name in ("individuals", "across"))
    networks = [run.run_id for run in inputs.networks]
    weights = {each.predictions.run_id: each.weights for each in inputs.linear}
    return known_truth.summary_rows(
        inputs.study, inputs.panel, people, r, networks, weights, inputs.context
    )
