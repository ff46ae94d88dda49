"""Predictions that were made elsewhere: a table in the place of a network.

Whoever runs a model that is not in Python, behind an address, or on a cluster of their own joins
with its predictions: a run with ``predictions: FILE`` is evaluated as any other, without weights
and without a reference genome.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from howfar.cohort.expression import read_expression
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError, damaged_file, no_such_file
from howfar.core.extras import require_module
from howfar.core.provenance import digest
from howfar.genome.intervals import Gene
from howfar.models.base import Card, Layout, SequenceModel

#: Raised when the values of a run from a table change.
VERSION = 1
#: Endings of the columns of a table that has a person's two haplotypes apart.
HAPLOTYPES = (".hap1", ".hap2")
REFERENCE = "reference"
_HDF5 = b"\x89HDF\r\n\x1a\n"


class GivenPredictions(SequenceModel):
    """Predictions read from a table: one number per gene and person, or per haplotype."""

    name = "table"
    version: ClassVar = {"table": VERSION}
    card = Card(
        reads="no sequence: a table of gene x person, CSV, TSV, Parquet, h5ad or zarr",
        gives="the table's numbers",
        checked="a network's own predictions, written and read back, give the same tables",
        licence="of the model that made them",
        run="""
weights: predictions.parquet # or, in the place of model and weights, `predictions: FILE`
tracks: null # the one that there is
bins: centre1 # the one that there is
transform: [mean_bins, mean_tracks, mean_haplotypes] # begin with log where they are linear
batch_size: 8 # without effect
options: { units: not stated, made: not stated } # how they were made, in words
""",
    )
    layout = Layout(1, 1, 1)
    engine, precision, device = "given", "as given", "none"

    def __init__(
        self,
        weights: Path | None,
        device: str,
        *,
        units: str = "not stated",
        made: str = "not stated",
        batch_size: int = 8,
        table: pd.DataFrame | None = None,
    ) -> None:
        """Read the table `weights`; table: the numbers themselves, gene_id x column."""
        if table is None:
            if weights is None or not weights.exists():
                do = "Correct the run's `predictions`."
                raise no_such_file(weights or "predictions", "a table of predictions", do)
            table, self.weights_sha256 = _read(weights), _digest(weights)
        else:
            text = table.to_csv(float_format="%.9g").encode()
            self.weights_sha256 = hashlib.sha256(text).hexdigest()
        self.place, self.made = str(weights or "predictions"), made
        self.table, self.units = _checked(table, self.place), units
        self.tracks = pd.DataFrame({"description": [f"given: {made}"]})

    def predict(
        self, windows: np.ndarray, bins: Sequence[int], tracks: Sequence[int]
    ) -> np.ndarray:
        """Raise HowfarError: there is no network that could predict another sequence."""
        raise HowfarError(
            self.place,
            found="predictions without the network that made them",
            expected="a network, as this asks what other sequences give",
            do="Leave this run out here.",
        )

    def predict_genes(
        self, cohort: OpenCohort, genes: Sequence[Gene], counts: dict[str, Counter[str]]
    ) -> Iterator[tuple[Gene, np.ndarray, np.ndarray]]:
        """Yield gene, values (1 + people or haplotypes, 1, 1) and index (people, 2) of each.

        Row 0 is the table's column `reference`, else the mean of its people. Genes are found by
        id, then by name; those that the table lacks are left out. People that it lacks are NaN.
        """
        halves = bool(self.table.columns.str.endswith(HAPLOTYPES).any())
        people = cohort.samples
        columns = [s + half for s in people for half in HAPLOTYPES] if halves else people
        n = len(people)
        index = np.arange(1, 1 + 2 * n).reshape(n, 2)
        index = index if halves else np.repeat(np.arange(1, 1 + n)[:, None], 2, axis=1)
        lacking = [c for c in columns if c not in self.table.columns]
        if len(lacking) == len(columns):
            raise HowfarError(
                self.place,
                found=f"none of the cohort's {n} people among its columns",
                expected="their ids, as in the genotypes"
                + f", with {' and '.join(HAPLOTYPES)}" * halves,
                do="Rename the columns.",
            )
        named = self.table.index
        for gene in genes:
            row = next((g for g in (gene.gene_id, gene.name) if g in named), None)
            if row is None:
                continue
            given = self.table.loc[row]
            found, level = given.reindex(columns).to_numpy(float), given.get(REFERENCE, np.nan)
            if np.isnan(level) and np.isfinite(found).any():
                level = np.nanmean(found)
            counts[gene.gene_id] = Counter(
                {"haplotypes or people without a given prediction": int(np.isnan(found).sum())}
            )
            values = np.concatenate([[level], found]).astype(np.float32)
            yield gene, values[:, None, None], index.astype(np.int32)


def _checked(table: pd.DataFrame, place: str) -> pd.DataFrame:
    """The table; HowfarError for genes or people twice, and for infinite numbers."""
    for axis, what in ((table.index, "gene"), (table.columns, "column")):
        twice = axis[axis.duplicated()]
        if len(twice):
            raise HowfarError(
                place,
                found=f"{what} {str(twice[0])!r} twice",
                expected=f"each {what} once",
                do="Leave one of them out.",
            )
    values = table.to_numpy(float)
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        raise HowfarError(
            f"{place}, gene {table.index[row]}, {table.columns[column]}",
            found=str(values[row, column]),
            expected="a finite number, or an empty cell",
            do="Correct it; the logarithm of 0 is no prediction.",
        )
    one, other = (sum(str(c).endswith(half) for c in table.columns) for half in HAPLOTYPES)
    if one != other:
        raise HowfarError(
            place,
            found=f"{one} columns for {HAPLOTYPES[0]}, {other} for {HAPLOTYPES[1]}",
            expected="two of each person, or none",
            do="Write both haplotypes of each person, or one number.",
        )
    return table.set_axis(table.index.astype(str)).set_axis(table.columns.astype(str), axis=1)


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files and their names."""
    if path.is_file():
        return digest(path)
    files = sorted(each for each in path.rglob("*") if each.is_file())
    lines = [f"{each.relative_to(path)} {digest(each)}" for each in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _read(path: Path) -> pd.DataFrame:
    if path.is_dir():
        require_module("zarr")
        import zarr

        with _anndata(path, "zarr"):
            return _table_of(zarr.open_group(str(path), mode="r"))
    with path.open("rb") as file:
        hdf5 = file.read(len(_HDF5)) == _HDF5
    if not hdf5:
        return read_expression(path).values
    require_module("h5py")
    import h5py

    with _anndata(path, "h5ad"), h5py.File(path) as file:
        return _table_of(file)


@contextmanager
def _anndata(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        do = f"Write it by anndata's write_{kind}: people as obs, genes as var."
        raise damaged_file(path, error, "an AnnData file of predictions", do) from error


def _table_of(file: Any) -> pd.DataFrame:
    """Genes x people of AnnData: `obs` are people, `var` genes, layers hap1 and hap2."""
    people, genes = (_names(file[axis]) for axis in ("obs", "var"))
    halves = [f"layers/{end.strip('.')}" for end in HAPLOTYPES]
    if all(name in file for name in halves):
        parts = [
            pd.DataFrame(_matrix(file[name]), [p + end for p in people], genes).T
            for name, end in zip(halves, HAPLOTYPES, strict=True)
        ]
        return pd.concat(parts, axis=1)
    return pd.DataFrame(_matrix(file["X"]), people, genes).T


def _names(group: Any) -> list[str]:
    found = group[str(group.attrs["_index"])]
    return [str(name) for name in (found.asstr() if hasattr(found, "asstr") else found)[:]]


def _matrix(data: Any) -> np.ndarray:
    """A dense matrix, or a sparse one as AnnData keeps it."""
    if not hasattr(data, "keys"):
        return data[:].astype(float)
    from scipy import sparse

    kinds = {"csr_matrix": sparse.csr_matrix, "csc_matrix": sparse.csc_matrix}
    kind = kinds[str(data.attrs["encoding-type"])]
    parts = tuple(data[name][:] for name in ("data", "indices", "indptr"))
    return kind(parts, shape=tuple(data.attrs["shape"])).toarray().astype(float)


def predictions_from(
    table: pd.DataFrame, units: str = "not stated", made: str = "not stated"
) -> GivenPredictions:
    """Take predictions that were made elsewhere in the place of a network.

    Parameters
    ----------
    table
        Numbers, gene_id (or name) x sample, or x sample.hap1 and sample.hap2; a column `reference`
        has those of the reference genome. Empty where there is none.
    units, made
        Units, and how they were made, in words.

    Returns
    -------
    GivenPredictions
        For `howfar.predict`, and from there to `howfar.evaluate`.

    Raises
    ------
    HowfarError
        For a gene or person twice, an infinite number, or one haplotype without the other.

    Examples
    --------
    >>> import howfar as hf
    >>> cohort = hf.example_cohort()
    >>> given = hf.predictions_from(cohort.expression.values, units="log TPM")
    >>> hf.predict(cohort, given).people.shape
    (6, 20)
    """
    return GivenPredictions(None, "none", units=units, made=made, table=table)
