"""A gene's genotypes as linear models read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from howfar.cohort.opened import OpenCohort
from howfar.eqtl.lead import column_means, minor_frequency
from howfar.genome.intervals import Gene, Variant


@dataclass(frozen=True)
class CisOptions:
    """Which variants. window: bp in total, centred on the TSS. min_maf: frequency of the rarer
    allele from which on a variant is used, in the people who train. max_missing: share of missing
    calls up to which one is used, in the whole cohort. variant_types: 'snv' or 'all'.
    """

    window: int = 196_608
    min_maf: float = 0.05
    max_missing: float = 0.05
    variant_types: Literal["snv", "all"] = "snv"


@dataclass(frozen=True)
class CisData:
    """variants: chrom, pos (1-based), ref, alt, maf (whole cohort). dosages: float32 (people,
    variants) of the alternative allele, NaN where missing. samples: the people.
    """

    gene: Gene
    variants: pd.DataFrame
    dosages: np.ndarray
    samples: tuple[str, ...]


def cis_data(cohort: OpenCohort, gene: Gene, options: CisOptions = CisOptions()) -> CisData:
    """Variants around a gene's TSS that differ between the cohort's people, by their place.

    The limit on frequencies is left to `training`, as it depends on who trains.
    """
    dosages, variants = cohort.dosages(gene, options.window)
    missing = np.isnan(dosages).mean(axis=0)
    maf = minor_frequency(np.where(np.isnan(dosages), column_means(dosages), dosages))
    typed = np.array([options.variant_types == "all" or _is_snv(v) for v in variants], bool)
    keep = typed & (missing <= options.max_missing) & (maf > 0)
    cohort.warnings["cis variants left out for missing calls"] += int(
        (typed & (missing > options.max_missing)).sum()
    )
    columns = ("chrom", "pos", "ref", "alt")
    table = pd.DataFrame([{c: getattr(v, c) for c in columns} for v in variants], columns=columns)
    table = table[keep].assign(maf=maf[keep]).reset_index(drop=True)
    # Of variants in perfect linkage some models take the first: not the first in the file, nor by
    # which of the alleles is REF.
    places = [_place(*row) for row in table[["pos", "ref", "alt"]].itertuples(index=False)]
    order = sorted(range(len(table)), key=places.__getitem__)
    table = table.loc[order].reset_index(drop=True)
    return CisData(gene, table, dosages[:, keep][:, order], tuple(cohort.samples))


def _place(pos: int, ref: str, alt: str) -> tuple[int, list[str]]:
    return pos, sorted((ref, alt))


def _is_snv(variant: Variant) -> bool:
    return len(variant.ref) == len(variant.alt) == 1


def training(
    dosages: np.ndarray, trains: np.ndarray, min_maf: float
) -> tuple[np.ndarray, np.ndarray]:
    """(float64 (people, kept) dosages; places of the kept variants) for a fit.

    A variant is kept where the rarer allele has a frequency of `min_maf` or more, and of more than
    0, in the people who train (bool, people); missing calls of anybody become their mean.
    """
    mean = column_means(dosages[trains])
    x = np.where(np.isnan(dosages), mean, dosages).astype(float)
    maf = minor_frequency(x[trains])
    kept = np.flatnonzero((maf >= min_maf) & (maf > 0))
    return x[:, kept], kept
