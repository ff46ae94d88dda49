"""People's windows and expression in one HDF5 file, in the layout of Rastogi, Reddy et al. 2024.

One row a gene and person: `genes`, `samples`, `ancestries` (strings), `seqs` float16 (rows, 2,
bases, 4), one-hot of A, C, G, T, N all zeros, both haplotypes; `Y` expression, `Z` standardised
over the gene's people (float32), `P` its percentile (float64). Training here needs no such file:
windows are built from variants as they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.cohort.opened import OpenCohort
from howfar.core.atomic import whole
from howfar.core.errors import HowfarError
from howfar.core.progress import track
from howfar.genome.intervals import Gene
from howfar.training import targets

CONTEXT = 49_152
_STRINGS = ("genes", "samples", "ancestries")
_NUMBERS = {"Y": np.float32, "Z": np.float32, "P": np.float64}
_LETTERS = np.frombuffer(b"ACGT", np.uint8)


def size_of(genes: int, people: int, context: int = CONTEXT) -> int:
    """Return the bytes of the sequences before compression."""
    return genes * people * 2 * context * 4 * 2


def write_people(
    cohort: OpenCohort,
    out: Path,
    genes: Sequence[Gene],
    people: Sequence[str] | None = None,
    context: int = CONTEXT,
) -> int:
    """Write rows of genes, in their order, and people; return how many.

    people: left out: all. Z and P are over all of a gene's people with expression, whoever is
    written, as in the study. People without expression of a gene have no row of it. The TSS is the
    middle base, context // 2, on the forward strand.
    """
    import h5py

    values = cohort.require_expression("to write a training set").values
    samples = list(cohort.samples)
    chosen = np.isin(samples, samples if people is None else list(people))
    if people is not None and chosen.sum() < len(set(people)):
        raise HowfarError(
            "people of a training set",
            found=f"{len(set(people)) - int(chosen.sum())} names that the cohort lacks",
            expected="some of the cohort's people",
            do="Correct the list.",
        )
    groups = cohort.populations
    ancestries = np.array(["" if groups is None else str(groups[s]) for s in samples], object)
    with whole(out) as part, h5py.File(part, "w") as file:
        sets = {n: _growing(file, n, (), h5py.string_dtype()) for n in _STRINGS}
        sets |= {n: _growing(file, n, (), kind) for n, kind in _NUMBERS.items()}
        sets["seqs"] = _growing(file, "seqs", (2, context, 4), np.float16)
        total = 0
        for gene in track(genes, len(genes), "training set: genes"):
            y = values.loc[gene.gene_id, samples].to_numpy(float)
            known = np.isfinite(y)
            rows = np.flatnonzero(known & chosen)
            if not len(rows):
                continue
            z, p = np.full(len(y), np.nan), np.full(len(y), np.nan)
            z[known] = targets.z_scores(y[known][None])[0]
            p[known] = targets.percentiles(y[known][None])[0]
            built = cohort.windows(gene, context)
            for data in sets.values():
                data.resize(total + len(rows), axis=0)
            here = slice(total, total + len(rows))
            of_row = {"genes": gene.gene_id, "samples": np.array(samples, object)[rows]}
            of_row |= {"ancestries": ancestries[rows], "Y": y[rows], "Z": z[rows], "P": p[rows]}
            for name, value in of_row.items():
                sets[name][here] = value
            for k, row in enumerate(rows):
                windows = built.sequences[built.index[row]]
                sets["seqs"][total + k] = windows[..., None] == _LETTERS
            total += len(rows)
    return total


def _growing(file: Any, name: str, shape: tuple[int, ...], kind: Any) -> Any:
    options = {"chunks": (1, *shape), "compression": "gzip"} if shape else {}
    return file.create_dataset(name, (0, *shape), kind, maxshape=(None, *shape), **options)


@dataclass(frozen=True)
class TrainingSet:
    """A file of this layout. table: gene, sample, ancestry, Y, Z, P by row; length: bases."""

    path: Path
    table: pd.DataFrame
    length: int

    def windows(self, context: int | None = None) -> Iterator[np.ndarray]:
        """Yield each row's windows, uint8 (2, bases), ASCII; their middle where context is less."""
        import h5py

        wanted = self.length if context is None else context
        start = (self.length - wanted) // 2
        letters = np.append(_LETTERS, ord("N")).astype(np.uint8)
        with h5py.File(self.path) as file:
            for row in range(len(self.table)):
                one_hot = file["seqs"][row, :, start : start + wanted]
                yield letters[np.where(one_hot.any(-1), one_hot.argmax(-1), 4)]


def read_people(path: Path) -> TrainingSet:
    """Open a file of this layout, the published ones included; HowfarError for another."""
    import h5py

    try:
        with h5py.File(path) as file:
            shapes = {name: file[name].shape for name in (*_STRINGS, *_NUMBERS, "seqs")}
            columns = {name: file[name].asstr()[:] for name in _STRINGS}
            columns |= {name: file[name][:] for name in _NUMBERS}
    except (OSError, KeyError, TypeError) as error:
        raise _other_layout(path, str(error)) from error
    rows, seqs = {shape[0] for shape in shapes.values()}, shapes["seqs"]
    if len(rows) > 1 or len(seqs) != 4 or seqs[1::2] != (2, 4):
        raise _other_layout(path, f"shapes {shapes}")
    names = dict(zip(_STRINGS, ("gene", "sample", "ancestry"), strict=True))
    return TrainingSet(path, pd.DataFrame(columns).rename(columns=names), seqs[2])


def _other_layout(path: Path, found: str) -> HowfarError:
    return HowfarError(
        str(path),
        found=found,
        expected=f"HDF5 with {', '.join(_STRINGS)}, seqs (rows, 2, bases, 4), Y, Z, P, row by row",
        do="Write it with `howfar training-set`.",
    )
