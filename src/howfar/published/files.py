"""Reading fetched files with their shape checked; messages count and never name people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError
from howfar.core.provenance import sha256_of
from howfar.fetch import catalogue


class Files:
    """The fetched files that a study needs, by their id in ``data/sources.csv``."""

    def __init__(self, needs: Sequence[str], study: str, folder: Path, verify: bool = True):
        self.study, self.folder, self._verify = study, folder, verify
        self._sources = {s.id: s for s in catalogue.select(needs)} if verify else {}

    def path(self, name: str) -> Path:
        """Where the file lies. Raises HowfarError if it is missing or its content differs."""
        file = self.folder / name
        if not file.is_file():
            raise HowfarError(
                str(file),
                found="no such file",
                expected=f"a public file that the study {self.study} needs",
                do=f"Run `howfar fetch {self.study}`.",
            )
        if self._verify and name in self._sources:
            self._same(file, sha256_of(file), self._sources[name].sha256)
        return file

    def _same(self, file: Path, found: str, expected: str) -> None:
        if found != expected:
            raise HowfarError(
                str(file),
                found=f"SHA-256 {found}",
                expected=expected,
                do=f"Delete the file and run `howfar fetch {self.study}`.",
            )

    def bad(self, name: str, found: str, expected: str) -> HowfarError:
        """The error of a file whose content isn't what the loader knows."""
        return HowfarError(
            str(self.folder / name),
            found=found,
            expected=expected,
            do=f"Delete the file and run `howfar fetch {self.study}`; if it is the right file, the "
            "loader doesn't know this version of it.",
        )

    def table(
        self,
        name: str,
        text: Sequence[str],
        numbers: Sequence[str],
        *,
        header: bool = True,
        sep: str = ",",
    ) -> pd.DataFrame:
        """The columns `text` and `numbers` of a delimited file, checked.

        Without a header the file has exactly these columns, in the order text, numbers. Empty and
        'NA'-like cells are missing values.
        """
        wanted = [*text, *numbers]
        frame = self._read(name, sep, header, wanted)
        lacking = [c for c in wanted if c not in frame.columns]
        if lacking or frame.empty:
            raise self.bad(name, f"no column {lacking}" if lacking else "no rows", f"{wanted}")
        return self._typed(name, frame[wanted], text, numbers)

    def _read(
        self, name: str, sep: str, header: bool, wanted: list[str], cells: type = str
    ) -> pd.DataFrame:
        path = self.path(name)
        try:
            frame = pd.read_csv(path, sep=sep, dtype=cells, header=0 if header else None)
        except (ValueError, UnicodeDecodeError) as error:  # pandas' parser errors are ValueErrors
            raise self.bad(name, f"text that can't be read ({error})", f"{wanted}") from error
        if not header and frame.shape[1] != len(wanted):
            raise self.bad(name, f"{frame.shape[1]} columns", f"{len(wanted)}: {wanted}")
        return frame if header else frame.set_axis(wanted, axis=1)

    def _typed(self, name, frame: pd.DataFrame, text, numbers) -> pd.DataFrame:
        values = {}
        for column in numbers:
            try:
                values[column] = pd.to_numeric(frame[column]).astype(float)
            except ValueError as error:
                raise self.bad(name, f"column {column}: {error}", "numbers") from error
        return pd.DataFrame({c: frame[c].astype("string") for c in text} | values)

    def matrix(self, name: str) -> pd.DataFrame:
        """A table of genes (rows, first column) by people (columns), float64, NaN if missing."""
        frame = self._read(name, ",", True, ["genes by people"], object)
        frame = frame.set_index(frame.iloc[:, 0].astype(str)).iloc[:, 1:]
        repeated = int(frame.index.duplicated().sum() + frame.columns.duplicated().sum())
        if repeated or frame.empty or frame.index.isna().any():
            raise self.bad(name, f"{frame.shape}, {repeated} repeated names", "genes by people")
        try:
            return frame.astype(float)
        except ValueError as error:
            raise self.bad(name, "cells that aren't numbers", "expression values") from error


def gene_rows(files: Files, name: str, matrix: pd.DataFrame, ids: dict[str, str]) -> pd.DataFrame:
    """`matrix` with its gene names replaced by gene ids; HowfarError for names without one."""
    unknown = [gene for gene in matrix.index if gene not in ids]
    if unknown:
        raise files.bad(
            name, f"{len(unknown)} unknown genes, first {unknown[0]!r}", "genes of the gene list"
        )
    return matrix.set_axis([ids[gene] for gene in matrix.index], axis=0)


def long_features(frame: pd.DataFrame, source: str, names: dict[str, str]) -> pd.DataFrame:
    """Rows of the `features` table from columns of `frame` (index: gene id); missing ones left out.

    `names`: column of `frame` to feature name.
    """
    parts = [
        pd.DataFrame(
            {"gene_id": frame.index, "feature": feature, "source": source, "value": frame[column]}
        )
        for column, feature in names.items()
    ]
    rows = pd.concat(parts, ignore_index=True)
    return rows[rows["value"].notna()].assign(se=np.nan)
