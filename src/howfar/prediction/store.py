"""A run's store: raw model outputs per gene and distinct haplotype."""

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

from howfar.cohort.files import input_files, unphased_rule
from howfar.cohort.opened import OpenCohort
from howfar.core.atomic import file_name, whole
from howfar.core.errors import HowfarError, about
from howfar.core.provenance import sha256_of
from howfar.genome.intervals import Gene
from howfar.models.base import SequenceModel, parse_bins
from howfar.prediction.transform import of_reference, transform
from howfar.study.schema import Run, Study


def finished(study: Study, run: Run, store: Store, cohort: OpenCohort) -> list[Gene]:
    """The cohort's genes; HowfarError where the run has not predicted them all."""
    genes = [g for g in cohort.genes if store.has(g)]
    if len(genes) < len(cohort.genes):
        raise HowfarError(
            f"{store.path}, run {run.id}",
            found=f"predictions of {len(genes)} genes",
            expected=f"of all {len(cohort.genes)}",
            do=f"Run `howfar predict --study {study.handle} --run {run.id}`.",
        )
    return genes


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
