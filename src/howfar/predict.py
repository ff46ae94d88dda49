"""Predictions of a run: raw model outputs per gene and distinct haplotype, resumable.

A run's store is a Zarr group ``results/<study>/predictions/<run>-<hash>.zarr``; the hash is of
everything that defines the raw outputs (inputs, weights, tracks, bins, alleles), so a changed
definition never meets old values. Each gene is a group of its own, written under another name
and moved into place, so that a killed run leaves whole genes only:

``values`` float32 (1 + distinct haplotypes, bins, tracks), row 0 the reference sequence;
``index`` int32 (people, 2), the row of each person's haplotypes.

Logs, sums and means come later (`transform`), so one store serves every definition of
"the prediction" on the same bins and tracks.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import zarr

from . import provenance
from .cohort import OpenCohort, input_files, unphased_rule
from .errors import HowfarError, about
from .haplotypes import Windows
from .intervals import Gene
from .models import load_model
from .models.base import SequenceModel, parse_bins, reverse_complement
from .progress import ahead, track
from .provenance import sha256_of
from .study import Run, Study, resolve
from .whole_files import file_name, whole

_ELEMENTWISE = {
    "log": np.log,
    "log1p": np.log1p,
    "log2p1": lambda x: np.log2(1 + x),
    "log10p1": lambda x: np.log10(1 + x),
}
_AXES = {"haplotypes": 1, "bins": 2, "tracks": 3}
_REDUCE = {"sum": np.sum, "mean": np.mean}


def transform(values: np.ndarray, steps: Sequence[str]) -> np.ndarray:
    """One number a person from raw outputs (people, 2 haplotypes, bins, tracks).

    `steps` are applied in order: ``log``; ``log1p``, ``log2p1``, ``log10p1`` (of 1 + x); and
    ``sum_`` or ``mean_`` of ``haplotypes``, ``bins``, ``tracks``, each exactly once. The order
    matters: a mean of logs is not the log of a mean. A value without a logarithm is an error.
    """
    check_transform(steps)
    x = np.asarray(values, np.float64)
    for step in steps:
        if step in _ELEMENTWISE:
            x = _logarithm(x, step)
        else:
            how, axis = step.split("_")
            x = _REDUCE[how](x, axis=_AXES[axis], keepdims=True)
    return x[:, 0, 0, 0]


def of_reference(values: np.ndarray, steps: Sequence[str]) -> float:
    """The transformed prediction of the reference (row 0 of `values`), on both haplotypes."""
    return float(transform(values[np.zeros((1, 2), int)], steps)[0])


def _logarithm(x: np.ndarray, step: str) -> np.ndarray:
    lowest = 0.0 if step == "log" else -1.0
    if not (x > lowest).all():
        raise HowfarError(
            f"transform step {step}",
            found=f"a value of {x.min():.4g}",
            expected=f"values above {lowest:g}",
            do="Correct the run's `transform` in the study file, or use log1p instead of log.",
        )
    return _ELEMENTWISE[step](x)


def check_transform(steps: Sequence[str]) -> None:
    """Raise HowfarError unless `steps` are known and reduce each axis exactly once."""
    reductions = [s.split("_")[1] for s in steps if s not in _ELEMENTWISE and "_" in s]
    known = {f"{how}_{axis}" for how in _REDUCE for axis in _AXES} | set(_ELEMENTWISE)
    if not set(steps) <= known or sorted(reductions) != sorted(_AXES):
        raise HowfarError(
            "transform",
            found=f"the steps {', '.join(steps) or 'none'}",
            expected="each of haplotypes, bins and tracks reduced once, by steps of "
            f"{', '.join(sorted(known))}",
            do="Correct the run's `transform` in the study file.",
        )


def _sha256(*arrays: np.ndarray) -> str:
    """Hex SHA-256 of arrays' types, shapes and values."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype.str} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


@contextmanager
def _undamaged(path: Path) -> Iterator[zarr.Group]:
    """The group of a finished gene, open; a HowfarError for what can't be read of it."""
    try:
        yield zarr.open_group(path, mode="r")
    except PermissionError:
        raise
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise HowfarError(
            str(path),
            found=f"a damaged prediction ({error})",
            expected="what was predicted for a gene",
            do="Delete the folder and run `howfar predict` again; the gene is predicted anew.",
        ) from error


@dataclass(frozen=True)
class Store:
    """Where a run's raw outputs lie, and what defines them."""

    path: Path
    definition: dict

    def _folder(self, gene_id: str) -> Path:
        return self.path / file_name(gene_id)

    def has(self, gene: Gene) -> bool:
        """Whether the gene is finished."""
        return (self._folder(gene.gene_id) / "zarr.json").is_file()

    def write(self, gene: Gene, values: np.ndarray, index: np.ndarray, counts: Counter) -> None:
        """Write a gene, whole or not at all, with what was counted on the way."""
        final = self._folder(gene.gene_id)
        with whole(final) as part:
            group = zarr.open_group(part, mode="w", zarr_format=3)
            group.create_array("values", data=values, chunks=values.shape)
            group.create_array("index", data=index, chunks=index.shape)
            group.attrs["sha256"] = _sha256(values, index)
            group.attrs["warnings"] = {what: int(n) for what, n in sorted(counts.items()) if n}
            shutil.rmtree(final, ignore_errors=True)  # what a kill between two renames may leave

    def read(self, gene_id: str) -> tuple[np.ndarray, np.ndarray]:
        """`values` and `index` of a finished gene; HowfarError where they aren't as written."""
        with _undamaged(self._folder(gene_id)) as group:
            values, index = group["values"][:], group["index"][:]
            # A chunk that is gone reads as zeros: zarr itself takes it for one that has no data.
            if group.attrs.get("sha256") not in (None, _sha256(values, index)):
                raise ValueError("other values than were written")
        return values, index

    def counts(self, gene: Gene) -> Counter:
        """What was counted when a finished gene was made."""
        with _undamaged(self._folder(gene.gene_id)) as group:
            return Counter(group.attrs.get("warnings", {}))

    @property
    def provenance_path(self) -> Path:
        """The JSON file beside the store: how it was made, and the counts of all its genes."""
        return self.path.with_suffix(".json")


def open_store(
    study: Study,
    run: Run,
    model: SequenceModel,
    samples: Sequence[str],
    results: str | Path,
    suffix: str = "",
) -> Store:
    """The store of a run on these people; made if it isn't there."""
    n_bins = model.layout.n_bins
    with about(run.place):
        bins = {s: parse_bins(run.bins, model.tss_bin(s), n_bins, model.tss_edge(s)) for s in "+-"}
        tracks = model.track_indices(run.tracks)
    definition = {
        "study": study.name,
        "run": run.id,
        "model": model.name,
        "weights_sha256": model.weights_sha256,
        "context": model.layout.context,
        "bins": bins,
        "tracks": tracks,
        "options": run.options,
        "alleles": run.alleles or study.cohort.alleles,
        "unphased": unphased_rule(study),
        "precision": model.precision,
        "engine": model.engine,
        "units": model.units,
        "samples": hashlib.sha256("\n".join(samples).encode()).hexdigest(),
        **({} if study.cohort.tss == "gene" else {"tss": study.cohort.tss}),
        "inputs": {
            role: sha256_of(path)
            for role, path in input_files(study).items()
            if role.split()[0] in ("reference", "variants", "genes")
        },
    }
    digest = hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:12]
    path = Path(results) / study.name / "predictions" / f"{run.id}{suffix}-{digest}.zarr"
    if not (path / "zarr.json").is_file():
        _make_store(path, {"definition": definition, "samples": list(samples)})
    return Store(path, definition)


def _make_store(path: Path, attributes: dict) -> None:
    """An empty store at `path`; where another process was faster, its store stays."""
    try:
        with whole(path) as part:
            zarr.open_group(part, mode="w", zarr_format=3).attrs.update(attributes)
    except OSError:
        if not path.is_dir():  # else another was faster: a folder that isn't empty stays
            raise


def open_model(run: Run) -> SequenceModel:
    """The run's model with its weights, on its device."""
    weights = run.weights and resolve(run.weights)
    with about(run.place):
        return load_model(
            run.model, weights=weights, device=run.device, batch_size=run.batch_size, **run.options
        )


def predict(
    study: Study,
    run: Run,
    results: str | Path = "results",
    *,
    gene: str | None = None,
    chrom: str | None = None,
    sample: str | None = None,
    shard: tuple[int, int] = (1, 1),
) -> tuple[Store, OpenCohort, list[Gene]]:
    """Predict `run` for a study's people and genes; finished genes are not done again.

    `gene` (id or name) or `chrom` restrict the genes; `sample` makes a store of its own for one
    person. `shard` (i, n): every n-th gene from the i-th (1-based) on, so that n processes share
    the work, each gene's values in files that one process alone writes. Returns the store, the
    cohort (with its warning counts) and the genes asked for.
    """
    with about(run.place):
        check_transform(run.transform)
    cohort, model = OpenCohort(study), open_model(run)
    if sample is not None:
        _restrict(cohort, sample)
    # names of people appear in no path, as paths end up in logs
    suffix = "" if sample is None else f"@{hashlib.sha256(sample.encode()).hexdigest()[:8]}"
    store = open_store(study, run, model, cohort.samples, results, suffix)
    genes = cohort.genes_to_run(gene, chrom)[shard[0] - 1 :: shard[1]]
    todo = [g for g in genes if not store.has(g)]
    for each in dict.fromkeys(g.chrom for g in todo):
        cohort.variants.contig(each)  # raises before any gene is done, not hours later
    done = len(genes) - len(todo)
    counts: dict[str, Counter] = {}
    made = predict_genes(cohort, run, model, store.definition, todo, counts)
    for each, values, index in track(made, len(genes), f"{run.id}: genes", done=done):
        store.write(each, values, index, counts[each.gene_id])
    about_files = cohort.warnings - sum(counts.values(), Counter())
    cohort.warnings = about_files + _counts_of(store, genes)
    _note_provenance(store, study, model, about_files + _counts_of(store, cohort.genes))
    return store, cohort, genes


def _counts_of(store: Store, genes: Sequence[Gene]) -> Counter:
    """The counts of those of the genes that are finished, whichever process made them."""
    return sum((store.counts(gene) for gene in genes if store.has(gene)), Counter())


def _note_provenance(store: Store, study: Study, model: SequenceModel, counts: Counter) -> None:
    block = provenance.block(
        store.definition,
        input_files(study),
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
    definition: dict,
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
            yield from _predicted(run, model, definition, waiting)
            waiting = []
        if len(built) + 1 > room:
            with about(run.place):
                blocks = [
                    _values(model, definition, gene, w) for w in _blocks(model, gene, built, room)
                ]
            yield gene, _finite(np.concatenate(blocks), run, gene), index
        else:
            waiting.append((gene, next(_blocks(model, gene, built, room)), index))
    yield from _predicted(run, model, definition, waiting)


def _blocks(model: SequenceModel, gene: Gene, built: Windows, room: int) -> Iterator[np.ndarray]:
    """Windows as the model reads them, the reference first, at most `room` at a time."""
    turned = model.oriented and gene.strand == "-"
    for start in range(-1, len(built), room):
        rows = built.rows(max(start, 0), start + room)
        block = np.concatenate([built.reference[None], rows]) if start < 0 else rows
        yield reverse_complement(block) if turned else block


def _values(model: SequenceModel, definition: dict, gene: Gene, windows: np.ndarray) -> np.ndarray:
    return model.predict(windows, definition["bins"][gene.strand], definition["tracks"])


def _predicted(
    run: Run, model: SequenceModel, definition: dict, waiting: list
) -> Iterator[tuple[Gene, np.ndarray, np.ndarray]]:
    """`waiting` (gene, windows, index) with values for windows; strands may differ in bins."""
    values: dict[str, Iterator[np.ndarray]] = {}
    for one in {gene.strand: gene for gene, _, _ in waiting}.values():
        parts = [windows for gene, windows, _ in waiting if gene.strand == one.strand]
        with about(run.place):
            joined = _values(model, definition, one, np.concatenate(parts))
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


def collect(
    store: Store, genes: Sequence[Gene], samples: Sequence[str], steps: Sequence[str]
) -> tuple[pd.DataFrame, pd.Series]:
    """Transformed predictions: (genes x people) and, per gene, of the reference sequence."""
    people, reference = {}, {}
    for gene in genes:
        values, index = store.read(gene.gene_id)
        people[gene.gene_id] = transform(values[index], steps)
        reference[gene.gene_id] = of_reference(values, steps)
    frame = pd.DataFrame.from_dict(people, orient="index", columns=list(samples))
    return frame, pd.Series(reference, name="reference")
