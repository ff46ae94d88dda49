"""Tables about people: who they are, which expression sample is whose, and covariates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.cohort.expression import (
    MISSING,
    Expression,
    Lines,
    is_number,
    read_expression,
    read_words,
    table_lines,
)
from howfar.core.errors import HowfarError
from howfar.core.text import PARQUET, cells_of, separator_of, starts_with, stem_of

# The first of these that a header has is the column of people; `id` may number the rows.
_SAMPLE_HEADERS = (
    "sample",
    "samples",
    "sample_id",
    "sampleid",
    "sample name",
    "iid",
    "individual",
    "individual id",
    "individual_id",
    "id",
)
_POPULATION_HEADERS = {"population", "pop", "population code"}
# Names of the two columns of a sample map; the second pair is GTEx's and the eQTL Catalogue's.
_PAIRED = (
    (
        ("expression", "expression_id", "expression_sample"),
        ("genotype", "genotype_id", "genotype_sample"),
    ),
    (("sample_id",), ("participant_id", "genotype_id")),
)


def read_samples(path: str | Path, known: Sequence[str] | None = None) -> pd.Series:
    """Populations by sample: from a table with a header, or a list with one sample a line.

    A table (CSV or TSV; the 1000 Genomes Project's and PLINK's too) has the columns `sample` and,
    optionally, `population` (NA or nothing where unknown); others are ignored. A list has no header
    and no populations; PLINK's have a family before each person. known: samples of the genotypes,
    if at hand, to tell a header from a person. Returns strings named `population`,
    <NA> where unknown. Raises HowfarError for a table without header (its first person would
    vanish), a header in a list, and samples that occur twice.
    """
    path = Path(path)
    rows, first = read_rows(path)
    head = [c.lower().lstrip("#") for c in rows[0]]
    named = any(c in _SAMPLE_HEADERS for c in head)
    if not named and known is not None:
        rows = _second_words(rows, set(known))
    if named and known is not None and rows[0][0] in set(known):
        raise _header_doubt(path, first, "a column name that is also a genotyped sample")
    if not named and len(rows[0]) > 1:
        raise _header_doubt(path, first, f"{len(head)} columns and no column named 'sample'")
    if not named:
        _check_list(path, [r[0] for r in rows], known, first)
    samples, populations = _columns(rows, head, named)
    repeats = len(samples) - len(set(samples))
    if repeats or "" in samples:
        raise HowfarError(
            str(path),
            found=f"{repeats} repeated and {samples.count('')} empty samples",
            expected="each sample once",
            do="Remove the repeats.",
        )
    index = pd.Index(samples, name="sample", dtype=object)
    return pd.Series(populations, index=index, name="population", dtype="string")


def read_rows(path: Path) -> tuple[list[list[str]], int]:
    """The cells of each line of a CSV or TSV file, and the 1-based number of its first line."""
    lines, first = table_lines(path)
    sep = separator_of(lines[0])
    if sep is None or (sep == " " and not _named_columns(cells_of(lines[0], " ", str(path)))):
        sep = "\t"  # a list, whose names may have blanks
    rows = [cells_of(line, sep, f"{path}, line {first + i}") for i, line in enumerate(lines)]
    return rows, first


def has_sample_column(path: Path) -> bool:
    """Whether a table's header names a column of people, as `read_samples` wants it."""
    head = [cell.lower().lstrip("#") for cell in read_rows(path)[0][0]]
    return any(name in head for name in _SAMPLE_HEADERS)


def _second_words(rows: list[list[str]], known: set[str]) -> list[list[str]]:
    """The people of PLINK's lists and .fam files: family, person and what follows; else `rows`."""
    words = [row if len(row) > 1 else row[0].split() for row in rows]
    whole = any(len(row) == 1 and row[0] in known for row in rows)  # names that have blanks
    plink = all(len(w) in (2, 6) for w in words) and any(w[1] in known for w in words)
    return [[w[1]] for w in words] if plink and not whole else rows


def _named_columns(header: list[str]) -> bool:
    known = {*_SAMPLE_HEADERS, *_POPULATION_HEADERS, "expression", "genotype"}
    return bool(known & {cell.lower().lstrip("#") for cell in header})


def _header_doubt(path: Path, line: int, found: str) -> HowfarError:
    return HowfarError(
        f"{path}, line {line}",
        found=found,
        expected="a header 'sample,population', or a plain list with one sample a line",
        do="Add the header line (the first person must not be taken for one), or remove it.",
    )


def _check_list(path: Path, samples: list[str], known: Sequence[str] | None, first: int) -> None:
    rest = sum(s in set(known) for s in samples[1:]) if known is not None else 0
    if rest and samples[0] not in set(known or ()) and rest == len(samples) - 1:
        raise _header_doubt(
            path, first, "a first line that is no genotyped sample, while all others are"
        )


def _columns(
    rows: list[list[str]], head: list[str], named: bool
) -> tuple[list[str], list[str | None]]:
    if not named:
        return [r[0] for r in rows], [None] * len(rows)
    sample = head.index(next(c for c in _SAMPLE_HEADERS if c in head))
    population = next((i for i, c in enumerate(head) if c in _POPULATION_HEADERS), None)
    body = [r + [""] * (len(head) - len(r)) for r in rows[1:]]
    groups = [
        None if population is None or r[population] in MISSING else r[population] for r in body
    ]
    return [r[sample] for r in body], groups


def common_samples(
    genotype_samples: Sequence[str],
    expression_samples: Sequence[str],
    wanted: Sequence[str] | None = None,
) -> tuple[list[str], dict[str, int]]:
    """The people in all inputs, in the genotypes' order, and how many each input has.

    wanted: a sample list, or None for everybody. The report counts `genotypes`, `expression`,
    `wanted` (if given), `common`, and the people left out for the lack of each.
    `only_first_missing` is 1 where nobody but the first person of some input is left out: the
    mark of a list elsewhere that lost its first line to a header (420 people instead of 421).
    Raises HowfarError, with counts and no identifier, for no overlap.
    """
    expressed = set(expression_samples)
    chosen = set(genotype_samples) | expressed if wanted is None else set(wanted)
    common = [s for s in genotype_samples if s in expressed and s in chosen]
    report = {
        "genotypes": len(genotype_samples),
        "expression": len(expression_samples),
        **({} if wanted is None else {"wanted": len(wanted)}),
        "common": len(common),
        "without_expression": sum(s not in expressed for s in genotype_samples),
        "without_genotypes": len(expressed - set(genotype_samples)),
    }
    if wanted is not None:
        report["wanted_but_absent"] = len(chosen - set(common))
    if not common:
        raise HowfarError(
            "samples",
            found=", ".join(f"{v} {k.replace('_', ' ')}" for k, v in report.items()),
            expected="people that occur in all inputs",
            do="Compare the names of the samples in the files, or join them by a "
            "cohort.sample_map; is the matrix transposed?",
        )
    inputs = [genotype_samples, expression_samples, *([] if wanted is None else [wanted])]
    lost = [len(i) == len(common) + 1 and i[0] not in set(common) for i in inputs]
    report["only_first_missing"] = int(any(lost))
    return common, report


def read_sample_map(path: str | Path) -> dict[str, str]:
    """Genotype sample by expression sample, from a CSV or TSV with a header.

    Columns `expression` and `genotype`, in any order; others are ignored. GTEx's lookup table has
    `sample_id` and `participant_id`, and several samples of a person; of these one alone may be in
    the expression file (`rename_samples`). The eQTL Catalogue's metadata has `sample_id` and
    `genotype_id`. Raises HowfarError with the line for a missing column, an empty cell, and an
    expression sample that occurs twice.
    """
    path = Path(path)
    rows, first = read_rows(path)
    head = [cell.lower().lstrip("#") for cell in rows[0]]
    found = [_columns_of(head, pair) for pair in _PAIRED]
    places = next((pair for pair in found if all(map(len, pair))), found[0])
    if [len(p) for p in places] != [1, 1]:
        raise HowfarError(
            f"{path}, line {first}",
            found=f"{len(head)} columns, without one `expression` and one `genotype` among them",
            expected="a header with the columns expression and genotype",
            do="Add the header line; without it the first person would be lost.",
        )
    genotype_of: dict[str, str] = {}
    for line, row in enumerate(rows[1:], start=first + 1):
        _add_pair(genotype_of, row, [p[0] for p in places], f"{path}, line {line}")
    return genotype_of


def _columns_of(head: list[str], pair: tuple[tuple[str, ...], ...]) -> list[list[int]]:
    """Places of the header's columns with a name of each of the two."""
    return [[i for i, cell in enumerate(head) if cell in names] for names in pair]


def _add_pair(genotype_of: dict[str, str], row: list[str], places: list[int], where: str) -> None:
    cells = [row[i] if i < len(row) else "" for i in places]
    twice = cells[0] in genotype_of
    if "" in cells or twice:
        raise HowfarError(
            where,
            found="an expression sample that an earlier line has too" if twice else "an empty cell",
            expected="one expression sample and one genotype sample, the former in one line only",
            do="Correct the line.",
        )
    genotype_of[cells[0]] = cells[1]


def rename_samples(
    expression: Expression, pairs: dict[str, str], where: str
) -> tuple[Expression, Counter[str]]:
    """Expression with its samples named as in the genotypes, and counts of what has no partner.

    pairs: of `read_sample_map`. Samples of expression that it lacks are left out and counted.
    """
    samples = expression.values.columns
    known = [s for s in samples if s in pairs]
    if not known:
        raise HowfarError(
            where,
            found=f"none of the {len(samples)} expression samples among {len(pairs)} rows",
            expected="the expression file's samples in the column `expression`",
            do="Check whether the two columns are swapped.",
        )
    _check_one_each([pairs[s] for s in known], where)
    values = expression.values[known].rename(columns=pairs)
    counts = Counter(
        {
            "expression samples that the sample map lacks": len(samples) - len(known),
            "rows of the sample map without expression": len(pairs) - len(known),
        }
    )
    missing = int(values.isna().to_numpy().sum())
    return Expression(values, expression.positions, missing), counts


def _check_one_each(people: Sequence[str], where: str) -> None:
    """Raise HowfarError where several samples that a file has are of one person."""
    several = len(people) - len(set(people))
    if several:
        raise HowfarError(
            where,
            found=f"{several} samples more than people, among those that it gives to one person",
            expected="one sample of each person in the file whose samples are renamed",
            do="Choose one sample where a person has several, and leave the others out of it.",
        )


def read_covariates(
    path: str | Path, samples: Sequence[str], pairs: dict[str, str] | None = None
) -> pd.DataFrame:
    """Covariates of `samples`, float64 frame sample x covariate in their order.

    The file (any format of `read_expression`) has covariates in rows and people in its header, as
    FastQTL's, or people in rows: where the people are found decides. PLINK's tables, whose first
    columns are FID and IID, name people by the IID; `.eigenvec` files need no header. A covariate
    in words is a factor, as in FastQTL and QTLtools: one column of 0 and 1 for each word but the
    alphabetically first. pairs: of `read_sample_map`, with which people may go by their names in
    the expression file too. Raises HowfarError for people without covariates, for people on both
    sides or none, for names that mean other people in genotypes and expression, for values that
    are missing, the same for all or numbers and words mixed, and for words that differ in all.
    """
    path = Path(path)
    cells, first = _cells(path, {*samples, *(pairs or ())})
    numbered = np.arange(cells.size).reshape(cells.shape)  # so that a cell's place stays known
    places = _by_people(path, pd.DataFrame(numbered, cells.index, cells.columns), samples, pairs)
    flat = cells.to_numpy(object).ravel()
    columns = [
        _coded(path, name, flat[at], at // cells.shape[1] + first + 1, at % cells.shape[1] + 2)
        for name, at in zip(places.columns, places.to_numpy().T, strict=True)
    ]
    table = pd.DataFrame({n: v for column in columns for n, v in column.items()}, places.index)
    table.index.name, table.columns.name = "sample", "covariate"
    return _complete(path, table)


def covariates_of(path: Path, people: Sequence[str]) -> list[str]:
    """Names of the covariates in a table of numbers for some of `people`; none where it is none."""
    cells, _ = _cells(path, set(people))
    sides = [set(people) & set(names) for names in (cells.columns, cells.index)]
    if not any(sides) or not cells.stack().map(lambda cell: is_number(str(cell))).all():
        return []
    return list(map(str, cells.index if sides[0] else cells.columns))


def _cells(path: Path, people: set[str]) -> tuple[pd.DataFrame, int]:
    """(the file's cells as text or numbers, 1-based line of its header)."""
    if starts_with(path, PARQUET) or stem_of(path).endswith((".gct", ".bed")):
        return read_expression(path).values, 1
    return read_words(path, lambda lines: _drop_families(path, people, lines))


def _drop_families(path: Path, people: set[str], lines: Lines) -> Lines:
    """Leave PLINK's columns FID and SID out; lines without a header, as of PLINK 1.9, get one."""
    sep, first = lines.separator, lines.first
    rows = [cells_of(line, sep, f"{path}, line {i}") for i, line in enumerate(lines.texts, first)]
    head = [cell.lower().lstrip("#") for cell in rows[0]]
    if _headless(rows, people):
        rows.insert(0, ["FID", "IID", *(f"PC{i + 1}" for i in range(len(head) - 2))])
        head, first = ["fid", "iid"], first - 1
    drop = [i for i, name in enumerate(head[:3]) if name in ("fid", "sid")]
    if "iid" not in head[:2] or not drop:
        return lines
    kept = [[cell for i, cell in enumerate(row) if i not in drop] for row in rows]
    return Lines(["\t".join(row) for row in kept], "\t", first)


def _headless(rows: list[list[str]], people: set[str]) -> bool:
    """Whether lines are family, person and numbers from the first on, as PLINK 1.9 writes them."""
    rest = rows[0][2:]
    named = sum(len(row) > 1 and row[1] in people for row in rows)
    return bool(rest) and all(map(is_number, rest)) and named > len(people & set(rows[0][2:]))


def _by_people(
    path: Path, values: pd.DataFrame, samples: Sequence[str], pairs: dict[str, str] | None
) -> pd.DataFrame:
    """The table with `samples` in rows, in their order."""
    if pairs:
        values = _by_genotype(path, values, set(samples), pairs)
    wanted = set(samples)
    across, down = (len(wanted & set(names)) for names in (values.columns, values.index))
    if (across == 0) == (down == 0) or max(across, down) < len(wanted):
        raise HowfarError(
            str(path),
            found=f"{across} of {len(wanted)} people in the header, {down} in the first column",
            expected="every person once, all in the header or all in the first column",
            do="Add the people that lack; name them as the genotypes or the expression file do.",
        )
    return (values.T if across else values).loc[list(samples)]


def _coded(
    path: Path, name: str, cells: np.ndarray, lines: np.ndarray, columns: np.ndarray
) -> dict[str, np.ndarray]:
    """float64 (P,) by name: a covariate's numbers, or 0 and 1 for each word but the first.

    cells: (P,), of text or numbers. lines, columns: their places in the file, 1-based.
    """
    missing = np.array([cell is None or str(cell) in MISSING for cell in cells])
    number = np.array([is_number(str(cell)) and np.isfinite(float(cell)) for cell in cells])
    words = ~missing & ~number
    if words.any() and (number.any() or len(set(cells)) == len(cells)):
        bad = int(np.flatnonzero(words)[0])
        mixed = "beside numbers" if number.any() else "and another word for everybody"
        raise HowfarError(
            f"{path}, line {lines[bad]}, column {columns[bad]}",
            found=f"{str(cells[bad])!r} ({words.sum()} such cells of covariate {name}, {mixed})",
            expected="numbers, or words that several people share",
            do="Correct the cell, or leave the covariate out.",
        )
    if not words.any() or missing.any():
        kept = np.where(missing | words, np.nan, np.where(number, cells, np.nan))
        return {name: kept.astype(float)}
    first, *others = sorted(set(cells))
    if not others:
        return {name: np.zeros(len(cells))}
    return {f"{name}_{word}": (cells == word).astype(float) for word in others}


def _by_genotype(
    path: str | Path, values: pd.DataFrame, wanted: set[str], pairs: dict[str, str]
) -> pd.DataFrame:
    """The table with its people, if they go by their names in the expression file, renamed."""
    names = {e: g for e, g in pairs.items() if g in wanted}
    matches = {
        kind: max(len(people & set(side)) for side in (values.columns, values.index))
        for kind, people in (("expression", set(names)), ("genotype", wanted))
    }
    if matches["expression"] <= matches["genotype"] < len(wanted) or not matches["expression"]:
        return values
    if min(matches.values()) == len(wanted) and any(e != g for e, g in names.items()):
        raise HowfarError(
            str(path),
            found="names that the genotypes and the expression file both have, for other people",
            expected="names that mean one person each, whichever of the two they are taken from",
            do="Name the people so that only one of the two files has the names.",
        )
    if matches["genotype"] == len(wanted):
        return values
    across = any(name in values.columns for name in names)
    own = [name for name in names if name in (values.columns if across else values.index)]
    _check_one_each([names[name] for name in own], str(path))
    kept = values[own] if across else values.loc[own]
    return kept.rename(names, axis="columns" if across else "index")


def _complete(path: str | Path, table: pd.DataFrame) -> pd.DataFrame:
    bad = table.columns[table.isna().any() | (table.nunique() < 2)]
    if len(bad):
        raise HowfarError(
            str(path),
            found=f"{len(bad)} covariates with missing values or one value for all "
            f"(first: {bad[0]})",
            expected="a number for every person, not the same for all",
            do="Fill in or remove the covariate.",
        )
    return table
