"""The panel of a cohort: expression, genes, populations and dosages."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError
from howfar.genome.intervals import Variant

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
        listed = self.populations.reindex(self.expression.columns)
        return np.asarray(listed, dtype=object)

    def covariates(self) -> np.ndarray | None:
        """Populations as 0/1 columns (people, populations - 1); None if there is only one."""
        names = np.unique(self.groups)[1:]
        return (self.groups[:, None] == names).astype(float) if len(names) else None


FEWEST = 3  # people that a correlation needs


_CACHE_BYTES = 1 << 29  # of dosages kept in memory; more are read again when asked for


def cached_dosages(read: Dosages, room: int | None = None) -> Dosages:
    """Return a reader of dosages by gene id that keeps what fits in `room` bytes of memory."""
    kept: dict[str, tuple[np.ndarray, list[Variant]]] = {}
    left = _CACHE_BYTES if room is None else room

    def read_cached(gene_id: str) -> tuple[np.ndarray, list[Variant]]:
        """Dosages and variants of a gene, kept while there is room."""
        nonlocal left
        if gene_id not in kept:
            dosages = read(gene_id)
            if dosages[0].nbytes > left:
                return dosages
            left -= dosages[0].nbytes
            kept[gene_id] = dosages
        return kept[gene_id]

    return read_cached
