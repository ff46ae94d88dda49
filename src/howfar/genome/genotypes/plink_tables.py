"""PLINK's tables of variants and people, and the files that belong together."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError, no_such_file
from howfar.core.text import starts_with

_ZSTD = b"\x28\xb5\x2f\xfd"
# The files of variants and of people beside a .pgen: the first that is there.
_SITES = (".pvar", ".pvar.zst", ".bim", ".bim.zst")
_PEOPLE = (".psam", ".fam")


def together(path: str | Path, ends: Sequence[str]) -> list[Path]:
    """The files that differ in their ending alone; `path` is the first, or their prefix.

    The first may have another ending than `ends` says, as its content tells what it is.
    """
    text, first = str(path), Path(path)
    prefix = str(first.with_suffix("")) if first.is_file() else text.removesuffix(ends[0])
    return [
        first if first.is_file() else Path(prefix + ends[0]),
        *(Path(prefix + end) for end in ends[1:]),
    ]


def pgen_ends(path: str | Path) -> tuple[str, str, str]:
    """The endings of the PLINK 2 files that `path` means: calls, variants and people."""
    sites, people = (
        next((end for end in ends if together(path, (".pgen", end))[1].is_file()), ends[0])
        for ends in (_SITES, _PEOPLE)
    )
    return ".pgen", sites, people


def files_together(path: str | Path, ends: Sequence[str], maker: str) -> list[Path]:
    """As `together`, all there. maker: the command that makes such files, for messages."""
    files = together(path, ends)
    missing = [f for f in files if not f.is_file()]
    if missing:
        expected = f"the files {', '.join(ends)} side by side, with one name"
        if files[0].is_file() and files[0].suffix != ends[0]:
            expected += f", as {files[0].name} is a {ends[0]} file by its content"
        do = f"Correct the path of the variants, or make the files with `{maker}`."
        raise no_such_file(missing[0], expected, do)
    return files


def check_people(path: Path, names: pd.Series) -> None:
    """Raise HowfarError for a list of people that is empty or has a name twice."""
    repeated = len(names) - names.nunique()
    if repeated or not len(names):
        raise HowfarError(
            str(path),
            found=f"{len(names)} people, {repeated} of whose IIDs stand there before",
            expected="at least one person, and IIDs that differ",
            do="Give each person an IID of their own with `plink2 --update-ids`.",
        )


def check_positions(path: Path, table: pd.DataFrame, skipped: int = 0) -> pd.Series:
    """The column `pos` as whole numbers; HowfarError naming the line of one that is none."""
    numbers = pd.to_numeric(table["pos"], errors="coerce")
    bad = np.flatnonzero(numbers.isna() | (numbers % 1 != 0))
    if len(bad):
        raise HowfarError(
            f"{path}, line {bad[0] + 1 + skipped}",
            found=f"{table['pos'].iloc[bad[0]]!r} as position",
            expected="a whole number, 1-based",
            do="Repair the line; a header that the format doesn't have may stand there.",
        )
    return numbers.astype(np.int64)


def open_table(path: Path) -> IO[bytes]:
    """Open the file as bytes, decompressed where Zstandard compressed it."""
    if not starts_with(path, _ZSTD):
        return path.open("rb")
    import pyarrow

    return io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd"))


def read_rows(
    path: Path,
    names: list[str],
    *,
    maker: str,
    skipped: int = 0,
    sep: str = r"\s+",
) -> pd.DataFrame:
    """Read a table as text, by the columns' `names`; no row may have fewer cells or more.

    skipped: lines before the first row. maker: the command that makes such files, for messages.
    """
    expected = f"{len(names)} columns in each line: {', '.join(names)}"
    do = f"Make the files anew with `{maker}`, or fetch them again."
    wide = [*names, "beyond"]
    try:
        with open_table(path) as handle:
            table = pd.read_csv(
                handle,
                sep=sep,
                header=None,
                names=wide,
                skiprows=skipped,
                dtype=str,
                na_filter=False,
                quoting=csv.QUOTE_NONE,
                index_col=False,
            )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, OSError) as error:
        found = f"a table that can't be read ({error})"
        raise HowfarError(str(path), found=found, expected=expected, do=do) from error
    few, beyond = (table[n].isna() | (table[n] == "") for n in (names[-1], "beyond"))
    bad = np.flatnonzero(few | ~beyond)
    if len(bad):
        found = "fewer columns" if few.iloc[bad[0]] else "more columns"
        where = f"{path}, line {bad[0] + 1 + skipped}"
        raise HowfarError(where, found=found, expected=expected, do=do)
    return table[names]
