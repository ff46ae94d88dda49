"""Rastogi, Reddy et al. 2024: Enformer fine-tuned on people, beside linear models (hg19).

Lymphoblastoid cell lines of 421 people. The parts: `rastogi2024_performance` (averages as the
authors give them), `rastogi2024_individuals` (worked out again from people; heritability),
`rastogi2024_variants` (drivers, footprints, unseen alleles), `rastogi2024_causal` (fine-mapped
eQTLs and reporter assay).
"""

from __future__ import annotations

import pandas as pd

from howfar.published import (
    huang2023,
    rastogi2024_causal,
    rastogi2024_individuals,
    rastogi2024_variants,
)
from howfar.published import rastogi2024_performance as performance
from howfar.published.files import Files
from howfar.published.rastogi2024_methods import TESTED, runs
from howfar.results.number_rows import Rows
from howfar.study.schema import Study


def load(study: Study, files: Files) -> dict[str, pd.DataFrame]:
    """Tables runs, genes, features, across, drivers, effects, summary and numbers."""
    genes = huang2023.gene_list(files)
    classes = rastogi2024_individuals.gene_classes(files, genes)
    listed = genes[genes["gene_id"].isin(classes.index)].drop(columns="key")
    rows = Rows(listed, study.evaluation.seed)
    parts = (
        _performance(files, rows),
        _individuals(study, files, genes, classes, rows),
        _variants(files, genes, classes, rows),
        _causal(files, genes, rows),
    )
    summary = pd.concat([part.pop("summary") for part in parts], ignore_index=True)
    summary = pd.concat([summary, performance.averaged(summary)], ignore_index=True)
    tables = {name: frame for part in parts for name, frame in part.items()}
    tables |= {"runs": runs(study.name), "genes": listed, "summary": summary}
    return tables | {"numbers": rows.frame()}


def _performance(files: Files, rows: Rows) -> dict[str, pd.DataFrame]:
    tables = {v: performance.read_summary(files, v) for v in performance.SUMMARIES}
    scaling = performance.read_scaling(files)
    performance.add_numbers(rows, tables[""], scaling)
    return {"summary": performance.summaries(tables, scaling)}


def _individuals(study, files, genes, classes, rows) -> dict[str, pd.DataFrame]:
    observed = huang2023.observed_expression(files, genes)
    seed = study.evaluation.seed
    across = rastogi2024_individuals.across(files, genes, observed, classes, seed)
    features = rastogi2024_individuals.heritability(files, genes, classes)
    rastogi2024_individuals.add_performance(rows, across)
    rastogi2024_individuals.add_heritability(rows, features, classes)
    rastogi2024_individuals.add_split(rows, rastogi2024_individuals.split_sizes(files))
    summary = [
        rastogi2024_individuals.means(across, genes, seed),
        rastogi2024_individuals.blup_again(files, genes, observed, classes),
    ]
    return {"across": across, "features": features, "summary": pd.concat(summary)}


def _variants(files, genes, classes, rows) -> dict[str, pd.DataFrame]:
    drivers = rastogi2024_variants.read_drivers(files, genes)
    dnase = rastogi2024_variants.dnase(files)
    unseen = rastogi2024_variants.read_unseen(files, genes, classes)
    rastogi2024_variants.add_drivers(rows, drivers, int(classes.isin(TESTED).sum()))
    rastogi2024_variants.add_dnase(rows, dnase)
    rastogi2024_variants.add_unseen(rows, unseen)
    summary = [
        rastogi2024_variants.driver_quantiles(drivers),
        dnase,
        rastogi2024_variants.unseen_frequencies(unseen),
        rastogi2024_variants.unseen_shares(files, genes),
    ]
    return {"drivers": drivers.drop(columns="maf"), "summary": pd.concat(summary)}


def _causal(files, genes, rows) -> dict[str, pd.DataFrame]:
    causal = rastogi2024_causal
    mage, mpra = causal.read_mage(files), causal.read_mpra(files)
    effects = causal.read_weights(files)
    for name, pairs in ((causal.MAGE, mage), (causal.MPRA, mpra)):
        causal.check_known(files, name, pairs, effects["blup"])
    fine, assay = causal.causal(mage), causal.active(mpra)
    keys = sorted({*fine["key"], *assay["key"]})
    effects["enformer"] = causal.read_ism(files, keys, effects["blup"])
    causal.add_numbers(rows, effects, mage, mpra, genes)
    summary = [
        causal.curves(effects, "mage_curve", fine, genes),
        causal.curves(effects, "mpra_curve", assay, genes),
        causal.concordance(effects, mage, mpra),
    ]
    table = causal.effects_table(effects, mage, mpra, genes)
    return {"effects": table, "summary": pd.concat(summary)}
