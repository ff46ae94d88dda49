"""Reading expression: BED, GCT, Parquet, and tables of many makers."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.core import sealed
from howfar.core.errors import HowfarError
from howfar.core.text import (
    PARQUET,
    cells_of,
    lines_of,
    separator_of,
    starts_with,
    stem_of,
    words_of,
)
from howfar.genome.genes import check_versions, strip_version

MISSING = ["", "NA", "NaN", "nan", "-nan", "N/A", "n/a", "na", "<NA>", "NULL", "null", "."]
_CHROMOSOME = ("chr", "chrom", "chromosome")
# Columns before the samples in tables of featureCounts, GEUVADIS, nf-core and GTEx, ids first.
_LAYOUTS = (
    ("geneid", "chr", "start", "end", "strand", "length"),
    ("targetid", "gene_symbol", "chr", "coord"),
    ("gene_id", "gene_name"),
    ("gene_id", "gene_symbol"),
    ("name", "description"),
)
_GCT_VERSIONS = ("#1.2", "#1.3")
_GTEX_TISSUE = ["id", "name", "description"]  # a GCT 1.2 of GTEx with a column before the usual two
# Rows of HTSeq below its genes.
_NO_GENES = {
    "__no_feature",
    "__ambiguous",
    "__too_low_aQual",
    "__not_aligned",
    "__alignment_not_unique",
}
_TRANSCRIPT = re.compile(r"ENS[A-Z]*T\d+[^|]*\|ENS[A-Z]*G\d")
# Numbers of a table with semicolons, whose decimals have a comma or a point.
_COMMA = re.compile(r"(?<=;)\s*([+-]?\d+),(\d+)(?=(?:[eE][+-]?\d+)?\s*(?:;|$))")
_POINT = re.compile(r";\s*[+-]?\d*\.\d+(?:[eE][+-]?\d+)?\s*(?:;|$)")
_GENE_HEADERS = {"", "gene", "genes", "gene_id", "geneid", "gene_name", "id", "name"}


@dataclass(frozen=True)
class Lines:
    """A table's lines from its header on. first: the header's 1-based line in the file."""

    texts: list[str]
    separator: str
    first: int


@dataclass(frozen=True)
class _Table:
    """A table of expression as its file has it.

    rows: the cells, in numbered columns, of which the first `keys` stand before the samples.
    first: 1-based line of the header.
    """

    header: list[str]
    rows: pd.DataFrame
    keys: int
    first: int


@dataclass(frozen=True)
class Expression:
    """Expression of a cohort.

    `values`: float64 frame, gene_id x sample, NaN where missing. `positions`: frame indexed by
    gene_id with `chrom`, `start0`, `end` as in the BED file (0-based, half-open), or None for a
    plain matrix. `missing`: number of missing cells.
    """

    values: pd.DataFrame
    positions: pd.DataFrame | None
    missing: int


def read_expression(path: str | Path, gene_versions: str = "keep") -> Expression:
    """Expression from a BED file of FastQTL, QTLtools or tensorQTL, GCT, CSV/TSV or Parquet.

    A BED file has the columns #chr, start, end, gene id, then samples; QTLtools' two columns
    between (the second named strand or strd) are recognised; its name ends in .bed, or its header
    shows it. GCT (1.2, 1.3): the ids of the first column, metadata left out, the stated numbers of
    rows and columns checked. A matrix has gene ids in its first column and samples in its header,
    which may lack the first cell, as R writes it; columns between that featureCounts, GEUVADIS,
    nf-core and GTEx have are left out, and so are HTSeq's rows that are no genes. Tabs, commas,
    semicolons or blanks stand between the cells; with semicolons decimals may have commas. Parquet
    holds either, as tensorQTL and pandas write them, gene ids in the index or a column. `.gz` text
    is read too.
    gene_versions: 'keep', or 'strip' (ENSG...1.5 becomes ENSG...1). Raises HowfarError for
    transcripts with their gene between bars, as GENCODE's FASTA names them, a file without header,
    ragged rows, a cell that is no number (line and column), an infinite one, and genes or samples
    that occur twice.
    """
    path = Path(path)
    check_versions(str(path), gene_versions)
    bed = stem_of(path).endswith((".bed", ".bed.parquet"))
    read = _read_parquet if starts_with(path, PARQUET) else _read_text
    table = read(path, bed)
    header, keys = table.header, table.keys
    bed = bed or _like_bed(header)
    values = _numbers(path, table.rows, keys, table.first)
    id_column = 3 if bed else int(_lower(header[:3]) == _GTEX_TISSUE and keys == 3)
    names = table.rows.iloc[:, id_column].astype(str).str.strip()
    is_gene = _find_genes(path, names).to_numpy()
    rows, values, names = table.rows[is_gene], values[is_gene], names[is_gene]
    genes = _gene_ids(path, names, gene_versions)
    values.index, values.columns = genes, pd.Index(header[keys:], name="sample")
    positions = _positions(path, rows, genes, table.first) if bed else None
    return Expression(values, positions, int(values.isna().to_numpy().sum()))


def read_words(
    path: Path, change: Callable[[Lines], Lines] = lambda lines: lines
) -> tuple[pd.DataFrame, int]:
    """Read a table's cells as text, by its first column and its header.

    change: what is done to the lines before. Returns the 1-based line of the header too.
    """
    texts, first = table_lines(path)
    changed = change(Lines(*_separate(path, texts, first), first))
    lines, sep, first = changed.texts, changed.separator, changed.first
    header = cells_of(lines[0], sep, f"{path}, header")
    lines, header = _with_corner(path, lines, header, sep)
    _check_header(path, header, 1)
    _check_width(path, lines, sep, len(header), first)
    table = _parse(path, lines, sep, len(header))
    names = _gene_ids(path, table[0].str.strip(), "keep", "first column")
    cells = table.iloc[:, 1:].apply(lambda cell: cell.str.strip())
    return pd.DataFrame(cells.to_numpy(object), names.rename(None), header[1:]), first


def _read_text(path: Path, bed: bool) -> _Table:
    lines, first = table_lines(path)
    named = stem_of(path).endswith(".gct") or lines[0].rstrip("\t") in _GCT_VERSIONS
    gct = _gct(path, lines, first) if named else None
    if gct is not None:
        lines, first = lines[2:], first + 2
    lines, sep = (lines, "\t") if gct else _separate(path, lines, first)
    header = cells_of(lines[0], sep, f"{path}, header")
    bed = bed or (gct is None and _like_bed(header))
    if not (bed or gct):
        lines, header = _with_corner(path, lines, header, sep)
    keys = gct[0] if gct else _bed_columns(path, header) if bed else _keys(header)
    _check_header(path, header, keys)
    _check_width(path, lines, sep, len(header), first)
    if gct and gct[1]:  # metadata of the samples: rows below the header
        lines, first = [lines[0], *lines[1 + gct[1] :]], first + gct[1]
    return _Table(header, _parse(path, lines, sep, keys), keys, first)


def _lower(cells: Sequence[str]) -> list[str]:
    return [cell.lower() for cell in cells]


def _keys(header: list[str]) -> int:
    """Number of columns before the samples in a plain matrix."""
    head = tuple(_lower(header))
    return next((len(names) for names in _LAYOUTS if head[: len(names)] == names), 1)


def _find_genes(path: Path, names: pd.Series) -> pd.Series:
    """Whether each row is a gene, not HTSeq's count of reads without one; warns of the others."""
    others = names.isin(_NO_GENES)
    if others.any():
        warnings.warn(f"{path}: {others.sum()} rows of HTSeq are no genes", stacklevel=3)
    return ~others


def _like_bed(header: list[str]) -> bool:
    """Whether the columns are those of a BED file, whatever its name."""
    head = [cell.lower().lstrip("#") for cell in header[:3]]
    return bool(head) and head[0] in _CHROMOSOME and head[1:] == ["start", "end"]


def _with_corner(
    path: Path, lines: list[str], header: list[str], sep: str
) -> tuple[list[str], list[str]]:
    """Lines and header with a first cell for the gene ids, where R left it out."""
    rows = lines[1:]
    ends = {len(cells_of(row, sep, str(path))) for row in (*rows[:1], *rows[-1:])}
    trailing = all(row.endswith(sep) for row in rows)  # an empty cell at the end of each row
    if ends != {len(header) + 1} or trailing or header[0].lower() in _GENE_HEADERS:
        return lines, header
    return [sep + lines[0], *rows], ["", *header]


def _gct(path: Path, lines: list[str], first: int) -> tuple[int, int]:
    """(key columns, metadata rows) of a GCT file, its own counts checked."""
    version = lines[0].split("\t")[0].strip()
    try:
        sizes = [int(cell) for cell in lines[1].split("\t") if cell.strip()]
    except (IndexError, ValueError):
        sizes = []
    if version not in _GCT_VERSIONS or len(sizes) != (2 if version == "#1.2" else 4):
        raise HowfarError(
            f"{path}, lines {first} and {first + 1}",
            found=f"{lines[0][:40]!r} and {(lines[1] if len(lines) > 1 else '')[:40]!r}",
            expected="'#1.2' and 2 counts, or '#1.3' and 4 counts",
            do="Write the file again; a GCT file starts with its version and its size.",
        )
    tissue = _lower(lines[2].split("\t", 3)[:3]) == _GTEX_TISSUE if len(lines) > 2 else False
    keys, meta = (2 + tissue, 0) if version == "#1.2" else (1 + sizes[2], sizes[3])
    width = lines[2].count("\t") + 1 if len(lines) > 2 else 0
    found = (len(lines) - 3 - meta, width - keys)
    if found != tuple(sizes[:2]):
        raise HowfarError(
            f"{path}, line {first + 1}",
            found=f"{found[0]} rows of genes and {found[1]} samples",
            expected=f"{sizes[0]} and {sizes[1]}, as the line says",
            do="Fetch or write the file again; it may be cut short.",
        )
    return keys, meta


def _read_parquet(path: Path, bed: bool) -> _Table:
    """Read a Parquet file, whose rows count as lines from 2 on."""
    frame = _with_genes(_parquet_frame(path))
    header = [str(c).strip() for c in frame.columns]
    keys = _bed_columns(path, header) if bed or _like_bed(header) else _keys(header)
    _check_header(path, header, keys)
    frame.columns = range(frame.shape[1])
    if not len(frame):
        raise _empty(path, "no row")
    return _Table(header, frame.astype(dict.fromkeys(range(keys), str)), keys, 1)


def _with_genes(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its gene ids as a column: the fourth of a BED file, else the first."""
    numbers = frame.index.name is None and pd.api.types.is_integer_dtype(frame.index)
    if numbers and len(frame.columns) and not pd.api.types.is_numeric_dtype(frame.dtypes.iloc[0]):
        return frame.reset_index(drop=True)  # numbers of the rows
    if isinstance(frame.index, pd.RangeIndex):
        return frame
    place = 3 if _like_bed([str(c) for c in frame.columns[:3]]) else 0
    frame = frame.reset_index()
    genes = frame.columns[0]
    rest = [c for c in frame.columns if c != genes]
    return frame[[*rest[:place], genes, *rest[place:]]]


def _parquet_frame(path: Path) -> pd.DataFrame:
    found = "no such file"
    if path.is_file():
        try:
            return sealed.read_parquet(path)
        except HowfarError as error:  # whose advice is for files of ours
            found = error.found
    raise HowfarError(
        str(path),
        found=found,
        expected="a Parquet file of expression",
        do="Correct the path, or write the file again.",
    )


def table_lines(path: Path) -> tuple[list[str], int]:
    """Lines from the header on, and the 1-based line number of the header."""
    lines = list(lines_of(path, "an expression, covariate or sample file"))
    notes = ("##", "# ")
    first = next((i for i, line in enumerate(lines) if not line.startswith(notes)), len(lines))
    while lines and not lines[-1].strip():
        lines.pop()
    if len(lines) <= first:
        raise _empty(path, "an empty file")
    return lines[first:], first + 1


def _empty(path: Path, found: str) -> HowfarError:
    return HowfarError(
        str(path), found=found, expected="a header and at least one row", do="Write the file again."
    )


def _separate(path: Path, lines: list[str], first: int) -> tuple[list[str], str]:
    """The lines and their separator; blanks become tabs, decimal commas points.

    R and spreadsheets write tables with semicolons where the comma is the decimal sign.
    """
    sep = separator_of(lines[0]) or ("," if ".csv" in path.name.lower() else "\t")
    if sep == " ":
        return ["\t".join(words_of(line)) for line in lines], "\t"
    return (_with_points(path, lines, first) if sep == ";" else lines), sep


def _with_points(path: Path, lines: list[str], first: int) -> list[str]:
    """Lines separated by semicolons, their decimal commas as points.

    A warning says so. HowfarError where the commas may stand for thousands: where all numbers that
    have one look like such, as 1,250 does, or other cells have points.
    """
    rows = lines[1:]
    commas = [(i, m) for i, row in enumerate(rows) for m in _COMMA.finditer(row)]
    if not commas:
        return lines
    thousands = all(len(m[2]) == 3 and re.fullmatch(r"[+-]?[1-9]\d{0,2}", m[1]) for _, m in commas)
    if thousands or any(_POINT.search(row) for row in rows):
        line, number = commas[0]
        raise HowfarError(
            f"{path}, line {first + 1 + line}",
            found=f"'{number[1]},{number[2]}', whose comma may stand for thousands or for decimals",
            expected="decimal points alone, and nothing between thousands",
            do="Write the file with decimal points, as R's write.csv does.",
        )
    warnings.warn(f"{path}: {len(commas)} decimal commas are read as points", stacklevel=5)
    return [lines[0], *(_COMMA.sub(r"\1.\2", row) for row in rows)]


def _bed_columns(path: Path, header: list[str]) -> int:
    """Number of key columns of a BED file: 4, or 6 with QTLtools' group or note, and strand."""
    if len(header) < 5 or header[0].lower().lstrip("#") not in _CHROMOSOME:
        raise HowfarError(
            f"{path}, header",
            found=f"{len(header)} columns, the first not '#chr'",
            expected="#chr, start, end, gene id, then one column per sample",
            do="Restore the header line; FastQTL and tensorQTL need it too.",
        )
    return 6 if header[5:6] and header[5].lower() in ("strand", "strd") else 4


def _check_header(path: Path, header: list[str], keys: int) -> None:
    samples = header[keys:]
    # Sample ids may be whole numbers, but a header of decimals is a row of data, unless its first
    # cell says that it is none.
    plain = keys == 1 and header[0].lower() not in _GENE_HEADERS
    decimal = plain and any(is_number(s) and not s.isdigit() for s in samples)
    if samples and (decimal and all(is_number(s) or s in MISSING for s in samples)):
        raise _no_header(path, f"numbers in all {len(samples)} sample columns of the first line")
    if keys == 1 and re.match(r"^ENS[A-Z]*G\d{11}", header[0]):
        raise _no_header(path, "a gene id at the start of the first line")
    repeats = len(samples) - len(set(samples))
    if not samples or repeats or "" in samples:
        raise HowfarError(
            f"{path}, header",
            found=f"{len(samples)} samples, {repeats} repeated, {samples.count('')} unnamed",
            expected="one column per sample, each named once",
            do="Remove or rename the columns; check the separator if there seem to be none.",
        )


def is_number(text: str) -> bool:
    """Whether a cell of a table is a number, as files have them."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text and text.isascii()  # Python reads 1_000 and digits of all scripts


def _no_header(path: Path, found: str) -> HowfarError:
    return HowfarError(
        f"{path}, header",
        found=found,
        expected="the names of the samples",
        do="The header line is missing: restore it. Without it the first gene would be lost.",
    )


def _check_width(path: Path, lines: list[str], sep: str, width: int, first: int) -> None:
    for number, line in enumerate(lines, start=first):
        where = f"{path}, line {number}"
        found = len(cells_of(line, sep, where)) if '"' in line else line.count(sep) + 1
        if found != width:
            raise HowfarError(
                where,
                found=f"{found} columns",
                expected=f"{width}, as in the header",
                do="Correct that line; a row may be cut short.",
            )


def _parse(path: Path, lines: list[str], sep: str, keys: int) -> pd.DataFrame:
    width = len(cells_of(lines[0], sep, f"{path}, header"))
    if len(lines) == 1:
        raise _empty(path, "a header alone")
    try:
        return pd.read_csv(
            StringIO("\n".join(lines[1:])),
            sep=sep,
            header=None,
            dtype=dict.fromkeys(range(keys), str),
            keep_default_na=False,
            na_values={c: MISSING for c in range(keys, width)},
            skip_blank_lines=False,
            skipinitialspace=True,
            low_memory=False,
        )
    except (pd.errors.ParserError, OverflowError) as error:
        raise HowfarError(
            str(path),
            found=f"rows that can't be read ({error})",
            expected="one row a line, cells separated as in the header",
            do="Look for a quotation mark without its other half.",
        ) from error


def _numbers(path: Path, table: pd.DataFrame, keys: int, first: int) -> pd.DataFrame:
    values = table.iloc[:, keys:].copy()
    for column, kind in enumerate(values.dtypes):
        if not pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind):
            cells = values.iloc[:, column]
            values[values.columns[column]] = _spelled(path, cells, keys + column + 1, first)
    values = pd.DataFrame(values.to_numpy(float, na_value=np.nan))
    infinite = np.argwhere(np.isinf(values.to_numpy()))
    if len(infinite):
        row, column = infinite[0]
        raise HowfarError(
            f"{path}, line {first + 1 + row}, column {keys + column + 1}",
            found=f"an infinite value ({len(infinite)} in all)",
            expected="finite numbers, NA where missing",
            do="Check the transform that made it; a logarithm of zero?",
        )
    return values


def _spelled(path: Path, cells: pd.Series, column: int, first: int) -> pd.Series:
    """The numbers of a column of text, blanks round them removed; HowfarError for other text."""
    text = cells.astype(object).where(cells.notna(), "").astype(str).str.strip()
    text = text.mask(text.isin(MISSING))
    bad = np.flatnonzero([isinstance(t, str) and not is_number(t) for t in text])
    if len(bad):
        raise HowfarError(
            f"{path}, line {first + 1 + bad[0]}, column {column}",
            found=f"{text.iloc[bad[0]]!r} ({len(bad)} such cells in the column)",
            expected="a number, or NA where missing",
            do=_advice(text.iloc[bad[0]]),
        )
    return text.astype(float)


def _advice(text: str) -> str:
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        return "Write the numbers with decimal points, and nothing between thousands."
    return "Correct the cell; if the column is no sample, remove it."


def _gene_ids(
    path: Path, names: pd.Series, gene_versions: str, where: str = "gene ids"
) -> pd.Index:
    strip = gene_versions == "strip"
    parts = next((name for name in names if _TRANSCRIPT.match(name)), None)
    if parts:
        raise HowfarError(
            f"{path}, {where}",
            found=f"the transcript {parts[:50]!r}",
            expected="genes",
            do="Sum the transcripts of each gene, such as with R's tximport.",
        )
    genes = [strip_version(g) for g in names] if strip else list(names)
    index = pd.Index(genes, name="gene_id", dtype=object)
    twice = index[index.duplicated()].unique()
    if len(twice) or (index == "").any():
        stripped = strip and not names.duplicated().any()
        raise HowfarError(
            f"{path}, {where}",
            found=f"{len(twice)} repeated (first: {twice[0] if len(twice) else 'an empty id'})"
            + (" once their versions are stripped" if stripped else ""),
            expected="each gene once",
            do="Set gene_versions to keep, or remove the repeats."
            if stripped
            else "Remove the repeats, or sum them if they are parts of one gene.",
        )
    return index


def _positions(path: Path, table: pd.DataFrame, genes: pd.Index, first: int) -> pd.DataFrame:
    bounds = table[[1, 2]].apply(pd.to_numeric, errors="coerce")
    whole = (bounds % 1 == 0).all(axis=1)  # False for NaN too
    bad = np.flatnonzero(~whole | (bounds[1] < 0) | (bounds[2] <= bounds[1]))
    if bad.size:
        i = bad[0]
        raise HowfarError(
            f"{path}, line {first + 1 + i}",
            found=f"start {table[1].iloc[i]!r}, end {table[2].iloc[i]!r} ({bad.size} such rows)",
            expected="0-based start < end, as in BED",
            do="Correct the columns start and end.",
        )
    frame = pd.DataFrame({"chrom": table[0].str.strip(), "start0": bounds[1], "end": bounds[2]})
    frame = frame.astype({"start0": "int64", "end": "int64"})
    frame.index = genes
    return frame
