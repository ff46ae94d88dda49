"""The genes of a cohort as stretches of the reference, for `bins: exons` and `bins: gene`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from howfar.core.errors import HowfarError
from howfar.core.project import resolve
from howfar.genome.exons import Exons, Intervals, read_exons_of
from howfar.genome.intervals import Gene
from howfar.models.base import SequenceModel
from howfar.models.engine.gene_bins import body, carried, covered
from howfar.prediction.store import Outputs
from howfar.study.schema import Run


@dataclass(frozen=True)
class GeneSpans:
    """Exons, or stretches from the first to the last, by gene. rule: 'exons' or 'gene'."""

    exons: Exons
    rule: str

    @classmethod
    def of_run(cls, cohort: Any, run: Run, rule: str, genes: Sequence[Gene]) -> GeneSpans:
        """Read the run's annotation, else the cohort's gene table.

        HowfarError where it has no exons, or lacks those of some of `genes`.
        """
        cohort = getattr(cohort, "cohort", cohort)  # of one in appearance (`SingleAlleles`)
        path = resolve(run.annotation) if run.annotation else Path(cohort.genes_path)
        spans = cls(read_exons_of(path, run.transcripts), rule)
        if lacking := [gene.gene_id for gene in genes if not len(spans.exons.of(gene.gene_id))]:
            raise HowfarError(
                f"{path}, transcripts {run.transcripts}",
                found=f"no exon of {len(lacking)} of {len(genes)} genes, such as {lacking[0]}",
                expected=f"exons of every gene, as {run.place} has `bins: {rule}`",
                do="Name a GTF that has them as the run's `annotation`, take `transcripts: "
                "merged`, or leave the genes out by `cohort.only`.",
            )
        return spans

    def of(self, gene: Gene) -> Intervals:
        """Return a gene's stretches: (n, 2), 0-based half-open."""
        exons = self.exons.of(gene.gene_id)
        return exons if self.rule == "exons" else body(exons)


def reference_positions(model: SequenceModel, gene: Gene) -> np.ndarray:
    """Return the 0-based position of each base of a gene's reference window."""
    window = gene.window(model.layout.context, model.tss_offset(gene.strand))
    return np.maximum(np.arange(window.start, window.end), -1)


def shown_bases(
    model: SequenceModel, positions: np.ndarray, intervals: Intervals, turned: bool
) -> int:
    """Count the bases of `intervals` that lie in the network's output."""
    layout = model.layout
    first, last = layout.first_base, layout.first_base + layout.n_bins * layout.bin_size
    shown = positions[layout.context - last : layout.context - first] if turned else None
    inside = carried(positions[first:last] if shown is None else shown, intervals)
    return int(np.diff(inside).sum())


def require_bins(model: SequenceModel, gene: Gene, found: np.ndarray) -> None:
    """HowfarError where none of a gene's bins (bool (bins,)) is in the network's output."""
    if not found.any():
        raise HowfarError(
            f"gene {gene.gene_id}",
            found="no exon within the network's output around its TSS",
            expected="one at least",
            do="Take other `transcripts`, or leave the gene out by `cohort.only`.",
        )


def bins_on(
    cohort: Any,
    run: Run,
    model: SequenceModel,
    outputs: Outputs,
    gene: Gene,
    positions: np.ndarray | None = None,
) -> list[int]:
    """Return the bins of a gene in one window; of the reference where no `positions` are given.

    positions: reference position of each base of the forward-strand window, -1 for inserted ones.
    """
    if not outputs.rule:
        return outputs.at(gene.strand)
    spans = GeneSpans.of_run(cohort, run, outputs.rule, [gene])
    at = reference_positions(model, gene) if positions is None else positions
    turned = model.oriented and gene.strand == "-"
    found = covered(carried(at, spans.of(gene)), model.layout, turned)
    require_bins(model, gene, found)
    return [int(b) for b in np.flatnonzero(found)]
