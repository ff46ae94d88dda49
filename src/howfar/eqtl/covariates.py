"""Covariates of an eQTL map: populations, a file, components of expression and of genotypes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from howfar.cohort.panel import Panel
from howfar.cohort.people import read_covariates, read_sample_map
from howfar.cohort.preprocess import statistics
from howfar.core.project import resolve
from howfar.eqtl.lead import filled, minor_frequency
from howfar.genome.intervals import Variant
from howfar.study.schema import Eqtl

_SPACING = 2_000  # bp between variants from which genotype components are made


def covariate_table(panel: Panel, options: Eqtl, sample_map: Path | None = None) -> pd.DataFrame:
    """Collect all covariates of a map, sample x covariate, in the order of `panel.expression`.

    Populations as 0/1 columns (the first left out), those of the file, and the first principal
    components of expression and of genotypes. sample_map: the study's, where names differ.
    """
    people = list(panel.expression.columns)
    parts = [pd.DataFrame(index=people)]
    if options.populations and panel.populations is not None:
        groups = panel.populations.reindex(people).astype(str)
        parts.append(pd.get_dummies(groups, drop_first=True, dtype=float, prefix="population"))
    if options.covariates is not None:
        pairs = None if sample_map is None else read_sample_map(resolve(sample_map))
        parts.append(read_covariates(resolve(options.covariates), people, pairs))
    if options.expression_pcs:
        components = expression_components(panel, options.expression_pcs)
        parts.append(components.rename(columns=lambda i: f"expression_pc{i + 1}"))
    if options.genotype_pcs:
        components = genotype_components(panel, options.genotype_pcs)
        parts.append(components.rename(columns=lambda i: f"genotype_pc{i + 1}"))
    return pd.concat(parts, axis=1)


def covariate_words(options: Eqtl, populations: bool) -> str:
    """Say which covariates a map has; populations: whether the sample table has some."""
    components = {"expression": options.expression_pcs, "genotypes": options.genotype_pcs}
    words = ["populations"] if options.populations and populations else []
    words += [] if options.covariates is None else [f"the file {options.covariates.name}"]
    words += [f"{n} principal components of {what}" for what, n in components.items() if n]
    return ", ".join(words) or "none"


def expression_components(panel: Panel, count: int) -> pd.DataFrame:
    """Compute first components of standardised expression, genes with a missing value left out."""
    values = panel.expression.dropna()
    return statistics.components(statistics.standardised(values)[0].T, count)


def genotype_components(panel: Panel, count: int, min_maf: float = 0.05) -> pd.DataFrame:
    """Compute first components of the people's dosages at common variants 2 kb or more apart.

    Variants are those of the genes' windows, each once, standardised. The distance thins linkage,
    or one block of many variants would be a component.
    """
    people = panel.expression.columns
    # Columns while they are fewer than people; from then on their product, summed gene by gene, as
    # the variants of a cohort are not small.
    columns, product = np.zeros((len(people), 0)), None
    last: dict[str, int] = {}
    for gene in panel.genes.sort_values(["chrom", "tss"])["gene_id"]:
        dosages, variants = panel.dosages(gene)
        x = filled(dosages.astype(float))
        maf = minor_frequency(x)
        kept = [i for i, v in enumerate(variants) if maf[i] >= min_maf and _apart(last, v)]
        x = x[:, kept] - x[:, kept].mean(axis=0)
        x = x[:, x.std(axis=0) > 0]
        x /= x.std(axis=0)
        if product is None:
            columns = np.hstack([columns, x])
            if columns.shape[1] >= len(people):
                product = columns @ columns.T
        else:
            product += x @ x.T
    if product is None:
        return statistics.components_of_columns(columns, people, count)
    return statistics.components_of_product(product, people, count)


def _apart(last: dict[str, int], variant: Variant) -> bool:
    """Tell whether a variant is 2 kb beyond the last taken on its contig; it is then the last."""
    if variant.start0 < last.get(variant.chrom, -_SPACING) + _SPACING:
        return False
    last[variant.chrom] = variant.start0
    return True
