"""Rows of table `numbers`, of any study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from howfar import stats
from howfar.results import tables
from howfar.stats.blocks import blocks_of

NOWHERE = (float("nan"), float("nan"))
_DRAWS = 2000


class Rows:
    """Collects rows of table `numbers`.

    genes: table `genes`, which gives the blocks of the bootstrap. study: its name comes before
    each id; empty where the ids have it. draws, seed: of the bootstrap.
    """

    def __init__(
        self,
        genes: pd.DataFrame | None = None,
        seed: int = 1,
        study: str = "",
        draws: int = _DRAWS,
    ) -> None:
        self.genes, self.seed, self.draws = genes, seed, draws
        self._rows: list[dict[str, Any]] = []
        self._prefix = f"{study}." if study else ""

    def add(
        self,
        key: str,
        value: float,
        n: int,
        definition: str,
        source: str,
        ci: tuple[float, float] = NOWHERE,
    ) -> None:
        """One number; `n`: what it is over; `source`: the files it comes from."""
        self._rows.append(
            {
                "id": f"{self._prefix}{key}",
                "value": float(value),
                "n": int(n),
                "ci_low": float(ci[0]),
                "ci_high": float(ci[1]),
                "definition": definition,
                "source": source,
            }
        )

    def over_genes(
        self,
        key: str,
        values: np.ndarray,
        gene_ids: Sequence[str],
        statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
        definition: str,
        source: str,
        blocks: tuple[np.ndarray, str] | None = None,
        seed: int | None = None,
    ) -> None:
        """A statistic over genes with its 95 % interval by block bootstrap.

        values: (genes,) or (genes, k), none missing. statistic: one of the weighted ones of
        `howfar.stats`, taking the rows and weights (draws, genes). blocks: what is resampled and
        its name in words, by default `blocks_of` the genes. seed: other than the rows'. Over no
        genes the value is missing; where all genes have the same value there is no interval.
        """
        values = np.asarray(values, float)
        if not len(values):
            self.add(key, np.nan, 0, f"{definition}; no such genes.", source)
            return
        codes, unit = blocks or blocks_of(self.genes, gene_ids)
        seed = self.seed if seed is None else seed
        low, high = stats.block_bootstrap(values, codes, statistic, self.draws, seed, weighted=True)
        value = statistic(values, np.ones((1, len(values))))[0]
        if np.ptp(values) == 0:  # resampling equal values would give an interval of width 0
            low, high = NOWHERE
        text = f"{definition}; interval by bootstrap over {unit}."
        self.add(key, value, len(values), text, source, (float(low), float(high)))

    def frame(self) -> pd.DataFrame:
        """The rows as a checked table `numbers`."""
        return tables.stack("numbers", [pd.DataFrame(self._rows)], "numbers of a study")
