"""Predict people's expression from their two haplotypes; finished genes are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from howfar.cohort.files import input_files
from howfar.cohort.opened import OpenCohort
from howfar.core import provenance
from howfar.core.errors import HowfarError, about
from howfar.core.progress import ahead, track
from howfar.core.project import resolve
from howfar.genome.intervals import Gene
from howfar.genome.windows import Windows
from howfar.models.base import SequenceModel, reverse_complement
from howfar.models.registry import load_model
from howfar.prediction.store import Outputs, Store, open_store, outputs_of
from howfar.prediction.transform import check_transform
from howfar.study.schema import Run, Study


def open_model(run: Run) -> SequenceModel:
    """Load the run's model with its weights, on its device."""
    weights = run.weights and resolve(run.weights)
    with about(run.place):
        return load_model(
            run.model, weights=weights, device=run.device, batch_size=run.batch_size, **run.options
        )


@dataclass(frozen=True)
class Predicted:
    """What `predict` leaves: the store, the cohort with its counts, and the genes asked for."""

    store: Store
    cohort: OpenCohort
    genes: list[Gene]


def predict(
    study: Study,
    run: Run,
    results: str | Path = "results",
    *,
    gene: str | None = None,
    chrom: str | None = None,
    sample: str | None = None,
    shard: tuple[int, int] = (1, 1),
) -> Predicted:
    """Predict `run` for a study's people and genes; finished genes are not done again.

    `gene` (id or name) or `chrom` restrict the genes; `sample` makes a store of its own for one
    person. `shard` (i, n): every n-th gene from the i-th (1-based) on, so that n processes share
    the work, each gene's values in files that one process alone writes.
    """
    with about(run.place):
        check_transform(run.transform)
    cohort, model = OpenCohort(study), open_model(run)
    if sample is not None:
        _restrict(cohort, sample)
    store = open_store(cohort, run, model, results)
    genes = cohort.genes_to_run(gene, chrom)[shard[0] - 1 :: shard[1]]
    about_files = predict_missing(cohort, run, model, store, genes)
    cohort.warnings = about_files + store.counts(genes)
    _write_provenance(store, cohort, model, about_files + store.counts(cohort.genes))
    return Predicted(store, cohort, genes)


def predict_missing(
    cohort: OpenCohort, run: Run, model: SequenceModel, store: Store, genes: Sequence[Gene]
) -> Counter[str]:
    """Predict those of `genes` that `store` lacks; return what was counted of the files alone."""
    todo = [gene for gene in genes if not store.has(gene)]
    for contig in dict.fromkeys(gene.chrom for gene in todo):
        cohort.variants.contig(contig)  # raises before any gene is done, not hours later
    counts: dict[str, Counter[str]] = {}
    values_of = predict_genes(cohort, run, model, outputs_of(run, model), todo, counts)
    done = len(genes) - len(todo)
    for gene, values, index in track(values_of, len(genes), f"{run.id}: genes", done=done):
        store.write(gene, values, index, counts[gene.gene_id], model.region_of(gene.gene_id))
    return cohort.warnings - sum(counts.values(), Counter())


def _write_provenance(
    store: Store, cohort: OpenCohort, model: SequenceModel, counts: Counter[str]
) -> None:
    block = provenance.block(
        store.units.key,
        input_files(cohort.study),
        device=model.device,
        precision=model.precision,
        warnings=counts,
    )
    provenance.write(store.provenance_path, block)


def _restrict(cohort: OpenCohort, sample: str) -> None:
    if sample not in cohort.samples:
        raise HowfarError(
            "--sample",
            found="a person who is not in every input file",
            expected=f"one of the {len(cohort.samples)} people in all of them",
            do=f"Check the spelling against {cohort.variants.path}.",
        )
    cohort.samples = [sample]


def predict_genes(
    cohort: OpenCohort,
    run: Run,
    model: SequenceModel,
    outputs: Outputs,
    genes: Sequence[Gene],
    counts: dict[str, Counter] | None = None,
) -> Iterator[tuple[Gene, np.ndarray, np.ndarray]]:
    """(gene, values (1 + distinct, bins, tracks), index (people, 2)) of each gene, in order.

    counts: gets what was counted for each gene id before that gene comes.
    A gene's windows go to the model in blocks of a few batches, so that memory doesn't grow with
    the cohort. Genes with fewer windows (one person has three) share a block: a window's values
    depend on nothing else in its batch, so they are the same however windows are grouped.
    """
    room = model.windows_at_once
    waiting: list[tuple[Gene, np.ndarray, np.ndarray]] = []
    context, offset = model.layout.context, model.tss_offset
    every = ((g, cohort.windows(g, context, offset(g.strand), run.alleles)) for g in genes)
    for gene, built in ahead(every):  # files are read while the device works on the gene before
        if counts is not None:
            counts[gene.gene_id] = built.counts
        index = (built.index + 1).astype(np.int32)
        if sum(len(windows) for _, windows, _ in waiting) + len(built) + 1 > room:
            yield from _predicted(run, model, outputs, waiting)
            waiting = []
        if len(built) + 1 > room:
            with about(run.place):
                blocks = [
                    _values(model, outputs, gene, w) for w in _blocks(model, gene, built, room)
                ]
            yield gene, _finite(np.concatenate(blocks), run, gene), index
        else:
            waiting.append((gene, next(_blocks(model, gene, built, room)), index))
    yield from _predicted(run, model, outputs, waiting)


def _blocks(model: SequenceModel, gene: Gene, built: Windows, room: int) -> Iterator[np.ndarray]:
    """Windows as the model reads them, the reference first, at most `room` at a time."""
    turned = model.oriented and gene.strand == "-"
    for start in range(-1, len(built), room):
        rows = built.rows(max(start, 0), start + room)
        block = np.concatenate([built.reference[None], rows]) if start < 0 else rows
        yield reverse_complement(block) if turned else block


def _values(model: SequenceModel, outputs: Outputs, gene: Gene, windows: np.ndarray) -> np.ndarray:
    return model.predict(windows, outputs.bins[gene.strand], outputs.tracks)


def _predicted(
    run: Run, model: SequenceModel, outputs: Outputs, waiting: list
) -> Iterator[tuple[Gene, np.ndarray, np.ndarray]]:
    """`waiting` (gene, windows, index) with values for windows; strands may differ in bins."""
    values: dict[str, Iterator[np.ndarray]] = {}
    for one in {gene.strand: gene for gene, _, _ in waiting}.values():
        parts = [windows for gene, windows, _ in waiting if gene.strand == one.strand]
        with about(run.place):
            joined = _values(model, outputs, one, np.concatenate(parts))
        ends = np.cumsum([len(part) for part in parts])
        values[one.strand] = iter(np.split(joined, ends[:-1]))
    for gene, _, index in waiting:
        yield gene, _finite(next(values[gene.strand]), run, gene), index


def _finite(values: np.ndarray, run: Run, gene: Gene) -> np.ndarray:
    if not np.isfinite(values).all():
        raise HowfarError(
            f"{run.place}, gene {gene.gene_id}",
            found=f"{int((~np.isfinite(values)).sum())} values that are not finite",
            expected="finite model outputs",
            do="Check the weights and the precision of the run.",
        )
    return values.astype(np.float32)
