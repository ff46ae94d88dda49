"""The panel of a cohort: expression, genes, populations and dosages."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from howfar.cohort.files import input_files
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError, about
from howfar.genome.intervals import Gene, Variant

#: Rows of `across` that are no population of the study.
RESERVED = ("pooled", "centred", "permuted")


Dosages = Callable[[str], tuple[np.ndarray, list[Variant]]]


@dataclass(frozen=True)
class Panel:
    """What was observed in a cohort.

    `expression`: gene_id x sample, NaN where missing. `genes`: table `genes`. `populations`: of
    each sample, or None. `dosages`: gene_id to (people, variants) float32 in the columns' order
    of `expression`, missing NaN, and the variants; or None without genotypes. `units` of the
    expression; `log_scale`: it is a logarithm, to `log_base`.
    """

    expression: pd.DataFrame
    genes: pd.DataFrame
    populations: pd.Series | None = None
    dosages: Dosages | None = None
    units: str = "expression"
    log_scale: bool = True
    log_base: float = math.e

    def __post_init__(self) -> None:
        lacking = self.expression.index.difference(self.genes["gene_id"])
        repeats = (
            self.expression.index.duplicated().sum() + self.expression.columns.duplicated().sum()
        )
        if len(lacking) or repeats:
            raise HowfarError(
                "expression of the gene table's genes",
                found=f"{len(lacking)} genes that the gene table lacks, {repeats} repeated rows "
                "or columns",
                expected="each gene and sample once, all genes in the gene table",
                do="Check the gene ids and their versions in both files.",
            )
        self._check_populations()

    def _check_populations(self) -> None:
        if self.populations is None:
            return
        listed = self.populations[~self.populations.index.duplicated()]
        groups = listed.reindex(self.expression.columns)
        clash = sorted(set(groups.dropna()) & set(RESERVED))
        repeats = len(self.populations) - len(listed)
        if groups.isna().any() or clash or repeats:
            raise HowfarError(
                "populations",
                found=f"{int(groups.isna().sum())} people of {len(groups)} without population, "
                f"{repeats} listed twice"
                + (f", and a population named {clash[0]!r}" if clash else ""),
                expected=f"one for each person with expression, none named {', '.join(RESERVED)}",
                do="Complete the sample table, or leave its population column out.",
            )

    @property
    def groups(self) -> np.ndarray:
        """Population of each column of `expression`, one name for all where unknown."""
        if self.populations is None:
            return np.full(self.expression.shape[1], "all", dtype=object)
        return self.populations.reindex(self.expression.columns).to_numpy(dtype=object)

    def covariates(self) -> np.ndarray | None:
        """Populations as 0/1 columns (people, populations - 1); None if there is only one."""
        names = np.unique(self.groups)[1:]
        return (self.groups[:, None] == names).astype(float) if len(names) else None


_FEWEST = 3  # people that a correlation needs


_CACHE_BYTES = 1 << 29  # of dosages kept in memory; more are read again when asked for


def make_panel(cohort: OpenCohort) -> Panel:
    """Expression, genes, populations and dosages of the people and genes in all inputs."""
    genes = cohort.measured(cohort.genes, "to evaluate predictions against")
    values = cohort.expression.values
    strangers = len(values) - len(genes)
    cohort.warnings["genes of the expression file that the gene table lacks"] += strangers
    _check_values(cohort, values.loc[[g.gene_id for g in genes], cohort.samples])
    columns = ("gene_id", "name", "chrom", "tss", "strand")
    table = pd.DataFrame([{c: getattr(g, c) for c in columns} for g in genes])
    populations = cohort.populations
    with about(input_files(cohort.study).get("samples", cohort.study.place)):
        return Panel(
            expression=values.loc[[g.gene_id for g in genes], cohort.samples],
            genes=table,
            populations=populations if populations is None else populations.loc[cohort.samples],
            dosages=_dosage_reader(cohort, {g.gene_id: g for g in genes}),
            units=cohort.settings.expression_units,
            log_scale=cohort.settings.log_base is not None,
            log_base=cohort.settings.log_base or math.e,
        )


def _check_values(cohort: OpenCohort, values: pd.DataFrame) -> None:
    """Too few people stop the evaluation; genes without variation are counted."""
    if values.shape[1] < _FEWEST:
        files = input_files(cohort.study)
        raise HowfarError(
            f"{files['variants']} against {files['expression']}",
            found=f"{values.shape[1]} person(s) with genotypes and expression",
            expected=f"at least {_FEWEST}, as correlations are taken across people",
            do="Add people; `howfar predict` works with one.",
        )
    seen, ranged = values.notna().any(axis=1), values.max(axis=1) > values.min(axis=1)
    cohort.warnings["genes with one expression value for everybody"] += int((seen & ~ranged).sum())
    cohort.warnings["genes whose expression is missing for everybody"] += int((~seen).sum())


def _dosage_reader(
    cohort: OpenCohort, genes: dict[str, Gene]
) -> Callable[[str], tuple[np.ndarray, list[Variant]]]:
    """A reader of dosages by gene id that keeps what fits in memory."""
    kept: dict[str, tuple[np.ndarray, list[Variant]]] = {}
    room = _CACHE_BYTES

    def read(gene_id: str) -> tuple[np.ndarray, list[Variant]]:
        """Dosages and variants of a gene, kept while there is room."""
        nonlocal room
        if gene_id not in kept:
            found = cohort.dosages(genes[gene_id], cohort.study.evaluation.cis_window)
            if found[0].nbytes > room:
                return found
            room -= found[0].nbytes
            kept[gene_id] = found
        return kept[gene_id]

    return read
