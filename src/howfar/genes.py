"""Gene tables: one row per gene with its transcription start site."""

from __future__ import annotations

import csv
from pathlib import Path

from .errors import HowfarError
from .intervals import Gene

COLUMNS = ("gene_id", "name", "chrom", "tss", "strand")


def read_genes(path: str | Path) -> list[Gene]:
    """The genes of a CSV file with the columns gene_id, name, chrom, tss (1-based), strand.

    Further columns are ignored. Raises HowfarError with the line number for a missing column,
    a value that can't be, or a gene id that occurs twice.
    """
    path = Path(path)
    if not path.is_file():
        raise HowfarError(
            str(path),
            found="no such file",
            expected=f"a gene table with the columns {', '.join(COLUMNS)}",
            do="Correct the path of the gene table.",
        )
    with path.open(newline="", encoding="utf-8-sig") as handle:
        reader = csv.DictReader(handle)
        _check_header(path, reader.fieldnames or [])
        lines: dict[str, int] = {}
        genes = []
        for row in reader:
            gene = _gene(row, f"{path}, line {reader.line_num}")
            _check_new(path, gene, lines, reader.line_num)
            genes.append(gene)
    if not genes:
        raise HowfarError(
            str(path),
            found="no gene",
            expected="at least one row below the header",
            do="Check that the file is complete.",
        )
    return genes


def _check_header(path: Path, header: list[str]) -> None:
    missing = [c for c in COLUMNS if c not in header]
    if missing or len(header) != len(set(header)):
        raise HowfarError(
            f"{path}, line 1",
            found=f"the columns {', '.join(header) or '(none)'}",
            expected=f"a comma-separated header with {', '.join(COLUMNS)}, each once",
            do=f"Add or rename the column(s) {', '.join(missing) or 'that occur twice'}.",
        )


def _gene(row: dict[str, str | None], where: str) -> Gene:
    values = {c: (row[c] or "").strip() for c in COLUMNS}
    blank = [c for c in COLUMNS if not values[c] and c != "name"]
    if blank or None in row:
        raise HowfarError(
            where,
            found=f"no value for {', '.join(blank)}" if blank else "more values than columns",
            expected="one value for each column of the header",
            do="Correct the line.",
        )
    try:
        tss = int(values["tss"])
    except ValueError:
        raise HowfarError(
            where,
            found=f"TSS {values['tss']!r}",
            expected="a whole number, 1-based",
            do="Correct the line.",
        ) from None
    try:
        return Gene(**(values | {"tss": tss, "name": values["name"] or values["gene_id"]}))
    except HowfarError as error:
        raise HowfarError(where, found=error.found, expected=error.expected, do=error.do) from error


def _check_new(path: Path, gene: Gene, lines: dict[str, int], line: int) -> None:
    if gene.gene_id in lines:
        raise HowfarError(
            f"{path}, line {line}",
            found=f"gene id {gene.gene_id}, which line {lines[gene.gene_id]} has too",
            expected="each gene id once, with one TSS",
            do="Keep one line per gene.",
        )
    lines[gene.gene_id] = line
