"""Predict people's expression from their two haplotypes; finished genes are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.cohort.files import input_files
from howfar.cohort.opened import OpenCohort
from howfar.core import provenance
from howfar.core.errors import HowfarError, about
from howfar.core.progress import ahead, track
from howfar.core.project import resolve, results_folder
from howfar.genome.exons import Intervals
from howfar.genome.intervals import Gene
from howfar.genome.windows import Windows
from howfar.models.base import SequenceModel, reverse_complement
from howfar.models.engine.gene_bins import carried, covered
from howfar.models.readout import TrackReadout, read_readout
from howfar.models.registry import load_model
from howfar.prediction.given import GivenPredictions
from howfar.prediction.spans import GeneSpans, reference_positions, require_bins, shown_bases
from howfar.prediction.store import (
    Outputs,
    Store,
    collect,
    describe,
    network_row,
    open_store,
    outputs_of,
    require_store,
    settle_engine,
)
from howfar.prediction.transform import check_transform
from howfar.results.cache import MemoryUnits
from howfar.results.kept_windows import keep_windows
from howfar.results.predictions import Predictions
from howfar.study.schema import Run, Study


def open_model(run: Run) -> SequenceModel:
    """Load the run's model with its weights, on its device."""
    weights = run.weights and resolve(run.weights)
    with about(run.place):
        model = load_model(
            run.model,
            weights=weights,
            device=run.device,
            batch_size=run.batch_size,
            **run.network_options,
        )
        if run.readout is None:
            return model
        weights, recipe = resolve(run.readout.weights), run.readout.recipe
        return TrackReadout(model, read_readout(weights, model, recipe, run.bins))


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
    keep: bool = False,
) -> Predicted:
    """Predict `run` for a study's people and genes; finished genes are not done again.

    `gene` (id or name) or `chrom` restrict the genes; `sample` makes a store of its own for one
    person. `shard` (i, n): every n-th gene from the i-th (1-based) on, so that n processes share
    the work, each gene's values in files that one process alone writes. keep: as `keep_windows`.
    """
    with about(run.place):
        check_transform(run.transform)
    cohort, model = OpenCohort(study), open_model(run)
    if keep:
        keep_windows(cohort, results)
    if sample is not None:
        _restrict(cohort, sample)
    store = open_store(cohort, run, model, results)
    genes = cohort.genes_to_run(gene, chrom)[shard[0] - 1 :: shard[1]]
    about_files = predict_missing(cohort, run, model, store, genes)
    cohort.warnings = about_files + store.counts(genes)
    _write_provenance(store, cohort, model, about_files + store.counts(cohort.genes))
    return Predicted(store, cohort, genes)


@dataclass(frozen=True)
class Prediction:
    """Predictions of one network for a cohort: raw outputs, and one number per person.

    `run` says how raw outputs become numbers; `store` holds them, in memory or on disk.
    """

    run: Run
    cohort: OpenCohort
    store: Store
    genes: list[Gene]

    @cached_property
    def _collected(self) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
        return collect(self.store, self.genes, self.cohort.samples, self.run.transform)

    @property
    def people(self) -> pd.DataFrame:
        """Predictions, gene_id x sample."""
        return self._collected[0]

    @property
    def reference(self) -> pd.Series:
        """Predictions from the reference genome, by gene_id."""
        return self._collected[1]

    def values(self, gene: str) -> np.ndarray:
        """Return raw outputs of a gene, float32 (people, 2 haplotypes, bins, tracks)."""
        arrays = self.store.read(self.cohort.gene(gene).gene_id).arrays
        return arrays["values"][arrays["index"]]

    @property
    def run_row(self) -> dict[str, Any]:
        """The row of table `runs`."""
        return network_row(self.cohort.study, self.run, self.store.description)

    @property
    def folds(self) -> None:
        """None: a network holds nobody out."""
        return None

    @property
    def predictions(self) -> Predictions:
        """The predictions as an evaluation takes them: of people held out from training."""
        people, reference, regions = self._collected
        known = None if regions.isna().all() else regions
        people = self.store.description.held_out(people)
        return Predictions(self.run.id, people, reference, known)


def run_in_memory(
    model: SequenceModel,
    tracks: Sequence[int | str | dict[str, Any]] | None,
    bins: str | Sequence[int] | None,
    transform: Sequence[str],
    alleles: str | None = None,
    name: str | None = None,
    **keys: Any,
) -> Run:
    """Return the run that a study file would describe by these keys, for a loaded model."""
    given = {"id": name or model.name, "label": name or model.name, "model": model.name}
    given |= {"tracks": tracks and list(tracks), "transform": list(transform), "alleles": alleles}
    rule = bins if bins is None or isinstance(bins, str) else list(bins)
    return Run.model_validate(given | {"bins": rule} | keys)


def predict_cohort(
    cohort: OpenCohort,
    model: SequenceModel,
    genes: Sequence[str] | None = None,
    *,
    tracks: Sequence[int | str | dict[str, Any]] | None = None,
    bins: str | Sequence[int] | None = None,
    transform: Sequence[str] = ("sum_bins", "mean_tracks", "mean_haplotypes"),
    alleles: str | None = None,
    name: str | None = None,
    store: str | Path | None = None,
    annotation: str | Path | None = None,
    transcripts: str | Sequence[str] = "merged",
    strand: str = "both",
) -> Prediction:
    """Predict a cohort's people with a network, in memory or resumably on disk.

    Parameters
    ----------
    cohort, model
        Of `howfar.open_cohort` and `howfar.load_model`.
    genes
        Gene ids or names; all of the gene table where left out.
    tracks, bins, transform, alleles
        As the keys of a study file's run: which outputs of the network are kept (bins None: as the
        network is read, or three around the TSS, or the one there is; tracks None: the only one
        there is), how they become one number per person, and 'snv' or 'all' alleles (None: as the
        cohort says).
    name
        Id of the run, the model's name where left out.
    store
        A results folder: finished genes are kept there, in the store of `howfar predict`, and are
        not predicted again.
    annotation, transcripts
        With bins 'exons' or 'gene': a GTF or GFF3 in the place of the cohort's gene table, and
        'merged', 'canonical' or a list of transcripts.
    strand
        'sense': each gene by the tracks of its own strand, where tracks come in pairs.

    Returns
    -------
    Prediction
        `.people` (gene_id x sample), `.reference`, and raw outputs by `.values(gene)`.

    Examples
    --------
    >>> import howfar as hf
    >>> cohort = hf.example_cohort()
    >>> prediction = hf.predict(cohort, hf.load_model("gc-content"), bins="centre1")
    >>> prediction.people.shape
    (6, 20)
    """
    chosen_exons = {"annotation": annotation and Path(annotation), "transcripts": transcripts}
    keys = chosen_exons | {"strand": strand}
    run = run_in_memory(model, tracks, bins, transform, alleles, name, **keys)
    check_transform(run.transform)
    chosen = cohort.genes_to_run() if genes is None else [cohort.gene(gene) for gene in genes]
    if store is None:
        settle_engine(cohort, run, model)
    kept = (
        Store(MemoryUnits(), describe(run, model))
        if store is None
        else open_store(cohort, run, model, store)
    )
    predict_missing(cohort, run, model, kept, chosen)
    return Prediction(run, cohort, kept, chosen)


def load_prediction(
    cohort: OpenCohort, run: str | None = None, results: str | Path = "results"
) -> Prediction:
    """Read what `howfar predict` has made of a study's run; no weights are needed.

    Parameters
    ----------
    cohort
        Of `howfar.open_cohort`, with a study that has runs.
    run
        Id of the run; the study's first where left out.
    results
        The results folder.

    Raises
    ------
    HowfarError
        Where no current predictions are there, with the command that makes them.

    Examples
    --------
    >>> import howfar as hf
    >>> try:
    ...     hf.load_prediction(hf.example_cohort(), "enformer", "no_such_folder")
    ... except hf.HowfarError as error:
    ...     print(error.found)
    no run 'enformer' among none at all
    """
    chosen = cohort.study.run(run) if run else cohort.study.chosen_runs()[0]
    store = require_store(cohort, chosen, results_folder(results))
    return Prediction(chosen, cohort, store, [gene for gene in cohort.genes if store.has(gene)])


def predict_missing(
    cohort: OpenCohort, run: Run, model: SequenceModel, store: Store, genes: Sequence[Gene]
) -> Counter[str]:
    """Predict those of `genes` that `store` lacks; return what was counted of the files alone."""
    todo = [gene for gene in genes if not store.has(gene)]
    counts: dict[str, Counter[str]] = {}
    if isinstance(model, GivenPredictions):
        for gene, values, index in model.predict_genes(cohort, todo, counts):
            store.write(gene, values, index, counts[gene.gene_id])
        return cohort.warnings - sum(counts.values(), Counter())
    for contig in dict.fromkeys(gene.chrom for gene in todo):
        cohort.variants.contig(contig)  # raises before any gene is done, not hours later
    values_of = predict_genes(cohort, run, model, outputs_of(run, model, every=True), todo, counts)
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
        notes=list(getattr(model, "notes", ())),
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
    spans = GeneSpans.of_run(cohort, run, outputs.rule, genes) if outputs.rule else None
    for gene, built in ahead(every):  # files are read while the device works on the gene before
        if counts is not None:
            counts[gene.gene_id] = built.counts
        if getattr(model, "whole_people", False):
            values = _finite(_whole_people(model, built), run, gene)
            yield gene, values, _each_person(len(built.index))
            continue
        if spans is not None:
            with about(run.place):
                values = _summed(model, outputs, built, spans.of(gene))
            yield gene, _finite(values, run, gene), (built.index + 1).astype(np.int32)
            continue
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


def _summed(
    model: SequenceModel, outputs: Outputs, built: Windows, intervals: Intervals
) -> np.ndarray:
    """Sums over the bins that a gene has in each window: (1 + distinct, 1, tracks)."""
    turned = model.oriented and built.gene.strand == "-"
    positions = [reference_positions(model, built.gene)]
    positions += [built.position_map(row) for row in range(len(built))]
    of_window = np.array([covered(carried(p, intervals), model.layout, turned) for p in positions])
    require_bins(model, built.gene, of_window[0])
    beyond = shown_bases(model, positions[0], intervals, turned) < np.diff(intervals).sum()
    built.counts["genes that reach beyond the network's output, summed as far as it goes"] += int(
        beyond
    )
    lost = ~of_window[1:].any(axis=1)
    built.counts["haplotypes without a base of their gene, whose sum is 0"] += int(
        lost[built.index].sum()
    )
    bins = np.flatnonzero(of_window.any(axis=0))
    parts, done = [], 0
    for block in _blocks(model, built.gene, built, model.windows_at_once):
        values = model.predict(block, bins.tolist(), outputs.tracks_on(built.gene.strand))
        which = of_window[done : done + len(block), bins]
        parts.append(np.einsum("nbt,nb->nt", values.astype(np.float64), which)[:, None])
        done += len(block)
    return np.concatenate(parts)


def _whole_people(model: Any, built: Windows) -> np.ndarray:
    """Values of the reference, as a person who has it twice, then of each person."""
    windows = np.concatenate([built.reference[None], built.sequences])
    index = np.concatenate([np.zeros((1, 2), np.int64), built.index + 1])
    turned = model.oriented and built.gene.strand == "-"
    windows = reverse_complement(windows) if turned else windows
    return model.predict_people(windows[0], windows, index)


def _each_person(count: int) -> np.ndarray:
    """Rows of each person's values, which stand for both haplotypes: int32 (people, 2)."""
    return np.repeat(np.arange(1, count + 1, dtype=np.int32)[:, None], 2, axis=1)


def _blocks(model: SequenceModel, gene: Gene, built: Windows, room: int) -> Iterator[np.ndarray]:
    """Windows as the model reads them, the reference first, at most `room` at a time."""
    turned = model.oriented and gene.strand == "-"
    for start in range(-1, len(built), room):
        rows = built.rows(max(start, 0), start + room)
        block = np.concatenate([built.reference[None], rows]) if start < 0 else rows
        yield reverse_complement(block) if turned else block


def _values(model: SequenceModel, outputs: Outputs, gene: Gene, windows: np.ndarray) -> np.ndarray:
    return model.predict(windows, outputs.at(gene.strand), outputs.tracks_on(gene.strand))


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
