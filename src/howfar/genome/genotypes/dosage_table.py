"""Tables of dosages: the eQTL Catalogue's and PrediXcan's text, plain or gzip-compressed.

The eQTL Catalogue's: a header CHROM, POS, REF, ALT and the people, tabs between; -1 is missing.
PrediXcan's: no header; contig, id, position, REF, ALT, frequency and a dosage for each person,
blanks between; the people stand in ``samples.txt`` beside it, one a line (FID IID, or IID). A
dosage, from 0 to 2, is of ALT. The whole table is held in memory, 4 bytes a dosage.

Dosages have no haplotypes: windows are refused.
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError, no_such_file
from howfar.core.text import is_gzip, lines_of
from howfar.genome.genotypes.base import MISSING, Genotypes, RawCalls
from howfar.genome.genotypes.plink_tables import check_people, check_positions
from howfar.genome.genotypes.sites import SiteSource
from howfar.genome.intervals import Interval
from howfar.genome.reference import Reference

_HEADER = ["CHROM", "POS", "REF", "ALT"]
_PREDIXCAN = ["chrom", "id", "pos", "ref", "alt", "frequency"]
_MISSING = ["", "-1", "-1.0", "NA", "NaN", "nan", "."]
_ABOUT = "a table of dosages: CHROM POS REF ALT and the people, or PrediXcan's text"
_LINE = 1 << 20  # bytes of a first line that are looked at


def starts_as_dosages(path: Path) -> bool:
    """Whether the first line of a file, if it is there, is one of a table of dosages."""
    if not path.is_file():
        return False
    try:
        with (gzip.open if is_gzip(path) else open)(path, "rb") as handle:
            words = handle.readline(_LINE).decode("ascii", "replace").split()
    except (OSError, EOFError, zlib.error):
        return False
    return words[:4] == _HEADER or (
        len(words) > len(_PREDIXCAN)
        and words[2].isdigit()
        and all(set(allele) <= set("ACGTN") for allele in words[3:5])
        and all(map(_is_dosage, words[5:]))
    )


def people_file(path: Path) -> Path | None:
    """PrediXcan's list of people beside a table; None for a table with a header."""
    return None if _header(path)[:4] == _HEADER else path.parent / "samples.txt"


class DosageTable(SiteSource):
    """A table of dosages; see the module. HowfarError for one that is damaged or cut short."""

    ref_advice = "Use the FASTA of the table's genome build, or leave cohort.reference out."
    list_samples = "the table's header, or samples.txt beside it"

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        listed = people_file(path)
        if listed is None:
            people, sites = _header(path)[4:], [name.lower() for name in _HEADER]
        else:
            people, sites = _listed(listed), _PREDIXCAN
        check_people(path if listed is None else listed, pd.Series(people))
        skipped = int(listed is None)
        table, self._values = _read(path, sites, len(people), skipped)
        table["pos"] = check_positions(path, table, skipped)
        super().__init__(path, people, path, table)

    def read(self, interval: Interval, reference: Reference, **options: Any) -> Genotypes:
        """Raise HowfarError: a dosage says how many copies a person has, not on which haplotype."""
        raise no_haplotypes(self.path)

    def _alleles(self, table: pd.DataFrame) -> list[tuple[bytes, ...]]:
        pairs = zip(table["ref"].str.upper(), table["alt"].str.upper(), strict=True)
        return [(ref.encode(), alt.encode()) for ref, alt in pairs]

    def _fetch(
        self,
        interval: Interval,
        reference: Reference | None,
        columns: np.ndarray,
        alleles: str,
        counts: Counter[str],
    ) -> RawCalls:
        sites, kept, names = self._wanted(interval, alleles, counts)
        values = self._read_calls(sites.rows[kept], columns)
        # What a call would be isn't known; that it is missing is.
        matrix = np.zeros((*values.shape, 3), np.int16)
        matrix[np.isnan(values), :2] = MISSING
        return RawCalls(sites.starts[kept].tolist(), names, matrix, [v[:, None] for v in values])

    def _read_calls(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """float32 (V, P): copies of ALT, NaN where missing."""
        return np.ascontiguousarray(self._values[rows][:, columns])


def no_haplotypes(path: Path) -> HowfarError:
    """Return the error for haplotypes asked of a file of dosages."""
    return HowfarError(
        str(path),
        found="dosages, without haplotypes",
        expected="phased calls, as networks read each haplotype's sequence",
        do="Name a phased VCF, BCF, PLINK 2 file or VCF Zarr in cohort.variants; or leave `runs` "
        "empty, as linear models, eQTL maps and heritability run on dosages.",
    )


def _is_dosage(word: str) -> bool:
    try:
        return word in _MISSING or 0 <= float(word) <= 2
    except ValueError:
        return False


def _header(path: Path) -> list[str]:
    return next(iter(lines_of(path, _ABOUT)), "").split("\t")


def _listed(path: Path) -> list[str]:
    """The people of PrediXcan's samples.txt: the second word of a line, or the only one."""
    if not path.is_file():
        raise no_such_file(path, "PrediXcan's list of people, beside its dosages")
    return [
        words[min(1, len(words) - 1)]
        for line in lines_of(path, "a list of people")
        if (words := line.split())
    ]


def _read(
    path: Path, sites: list[str], people: int, skipped: int
) -> tuple[pd.DataFrame, np.ndarray]:
    """(columns chrom, pos, ref, alt, id if there, as text; float32 (V, people) dosages)."""
    width = len(sites) + people
    expected = f"{width} columns in each line: {', '.join(sites)} and {people:,} people"
    do = "Fetch or make the file again; PrediXcan's people stand in samples.txt beside it."
    numbers = range(len(sites), width)
    try:
        table = pd.read_csv(
            path,
            sep="\t" if skipped else r"\s+",
            header=None,
            skiprows=skipped,
            names=range(width + 1),
            dtype=dict.fromkeys(range(len(sites)), str) | dict.fromkeys(numbers, np.float32),
            keep_default_na=False,
            na_values=dict.fromkeys(numbers, _MISSING),
            index_col=False,
            skip_blank_lines=False,
            compression="gzip" if is_gzip(path) else None,
        )
    except (pd.errors.ParserError, ValueError, OSError, EOFError, zlib.error) as error:
        bad = next(_bad_lines(path, len(sites), width, skipped, None), None)
        where, found = bad or (str(path), f"a table that can't be read ({error})")
        raise HowfarError(where, found=found, expected=expected, do=do) from error
    values = table[list(numbers)].to_numpy(np.float32)
    odd = ((values < 0) | (values > 2)).any(axis=1) | np.isnan(values[:, -1])
    rows = set(np.flatnonzero(odd | (table[width] != "")).tolist())
    for where, found in _bad_lines(path, len(sites), width, skipped, rows):
        raise HowfarError(where, found=found, expected=expected, do=do)
    if not len(table):
        raise HowfarError(str(path), found="no variant", expected=expected, do=do)
    named = table[list(range(len(sites)))].set_axis(sites, axis=1)
    return named, values


def _bad_lines(
    path: Path, keys: int, width: int, skipped: int, rows: set[int] | None
) -> Iterator[tuple[str, str]]:
    """(line, what is wrong) of each with too many or few cells, or one that is no dosage.

    rows: whose cells are looked at, None: all.
    """
    for number, line in enumerate(lines_of(path, _ABOUT), start=1):
        if number <= skipped:
            continue
        cells = line.split("\t" if skipped else None)
        looked_at = rows is None or number - 1 - skipped in rows
        bad = [cell for cell in cells[keys:] if not _is_dosage(cell)] if looked_at else []
        if len(cells) != width:
            yield f"{path}, line {number}", f"{len(cells)} columns"
        elif bad:
            yield f"{path}, line {number}", f"{bad[0]!r}, no dosage from 0 to 2"
