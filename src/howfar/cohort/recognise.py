"""Recognise a cohort's files by what is in them, for a first study file."""

from __future__ import annotations

import gzip
import re
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.cohort.expression import Expression, read_expression
from howfar.cohort.files import is_here
from howfar.cohort.people import (
    covariates_of,
    has_sample_column,
    read_sample_map,
    read_samples,
)
from howfar.core.errors import HowfarError, no_such_file
from howfar.core.text import PARQUET, is_gzip, starts_with
from howfar.genome.genes import read_genes, strip_version
from howfar.genome.genotypes.open import kind_of, open_variants, split_files, variant_files
from howfar.genome.reference import Reference

_INDEXES = (".fai", ".gzi", ".tbi", ".csi", ".dict", ".zmetadata")
#: First bytes of files that aren't text, once decompressed: those of calls.
_CALLS = (b"##fileformat=VCF", b"\xef\xbb\xbf##fileformat=VCF", b"BCF", b"\x6c\x1b")
_KINDS = {
    "vcf": "VCF or BCF",
    "plink1": "PLINK 1",
    "plink2": "PLINK 2",
    "dosages": "dosages",
    "zarr": "VCF Zarr",
    "template": "one file per contig",
}
_LINEAR_FROM = 100  # a larger value, and none below 0, is of no logarithm of expression
_SHOWN = 5  # contigs or populations that are named


@dataclass(frozen=True)
class Recognised:
    """A file and what it was taken for.

    role: its key of `cohort`, or 'covariates'; '' where it is of no use here. path: the file, or a
    template with {chrom}. seen: what it is and holds, or why it isn't used.
    """

    role: str
    path: Path
    seen: str


@dataclass(frozen=True)
class Found:
    """The files of a cohort as recognised, and what they say of a study's other keys.

    keys: of `cohort`: the value and the reason. left: what the user has to fill in, by key.
    """

    files: list[Recognised]
    keys: dict[str, tuple[str, str]]
    left: dict[str, str]


def recognise(paths: Sequence[str | Path]) -> Found:
    """Recognise the cohort's files among `paths`, files or folders (their own files alone).

    Content decides, not names; indexes and the other files of PLINK go with those they belong to.
    Raises HowfarError for a path that isn't there, and where two files could be one thing.
    """
    calls, texts = _sorted(_files(paths))
    read: dict[Path, Expression] = {}
    found = _settle([*_genotypes(calls), *(_tell(path, read) for path in texts)], read)
    _check_alone(found)
    by_role = {file.role: file.path for file in found}
    keys, left = _further(by_role, read)
    return Found(sorted(found, key=lambda file: not file.role), keys, left)


def _files(paths: Sequence[str | Path]) -> list[Path]:
    files: dict[Path, None] = {}
    for path in map(Path, paths):
        if is_here(path):
            files[path] = None
        elif path.is_dir():
            inside = sorted(p for p in path.iterdir() if is_here(p) and p.name[0] != ".")
            files |= dict.fromkeys(inside)
        else:
            raise no_such_file(path, "a file of your cohort, or a folder of such files")
    return list(files)


def _start(path: Path) -> bytes:
    """The first bytes of a file, decompressed; none where that can't be done."""
    try:
        with (gzip.open if is_gzip(path) else open)(path, "rb") as handle:
            return handle.read(32)
    except (OSError, EOFError, zlib.error):
        return b""


def _is_calls(path: Path) -> bool:
    return _start(path).startswith(_CALLS) or kind_of(path) in ("dosages", "zarr")


def _sorted(files: list[Path]) -> tuple[list[Path], list[Path]]:
    """(files of calls, other files), without those that only go with others."""
    calls = [path for path in files if _is_calls(path)]
    beside = {p for path in calls for p in list(variant_files(path).values())[1:]}
    rest = [p for p in files if p not in {*calls, *beside} and p.suffix not in _INDEXES]
    return calls, rest


def _genotypes(calls: list[Path]) -> Iterator[Recognised]:
    template = _template(calls) if len(calls) > 1 else None
    for path in [template] if template else calls:
        with open_variants(path) as source:
            kind = _KINDS[kind_of(path)]
            seen = f"{len(source.samples):,} people, contigs {_listed(source.contigs)}"
        yield Recognised("variants", path, f"genotypes ({kind}): {seen}")


def _template(files: list[Path]) -> Path | None:
    """The name with {chrom} that means all of `files`, if there is one."""
    name = files[0].name
    for place in re.finditer(r"\d+|(?<![A-Za-z])[XYM](?![A-Za-z])|chr[XYM]", name):
        path = files[0].with_name(f"{name[: place.start()]}{{chrom}}{name[place.end() :]}")
        try:
            if set(split_files(path).values()) == set(files):
                return path
        except HowfarError:
            continue
    return None


def _tell(path: Path, read: dict[Path, Expression]) -> Recognised:
    """What a file other than of calls is; tables of expression are kept in `read`."""
    if _start(path).startswith(b">"):
        with Reference(path) as fasta:
            total = sum(fasta.contigs.values()) / 1e6
            seen = f"FASTA: {total:,.1f} Mb, contigs {_listed(list(fasta.contigs))}"
        return Recognised("reference", path, seen)
    if starts_with(path, PARQUET):
        return _first(path, [_expression], read)
    return _first(path, [_expression_bed, _genes, _sample_map, _samples, _expression], read)


_Look = Callable[[Path, dict[Path, Expression]], Recognised | None]


def _first(path: Path, looks: list[_Look], read: dict[Path, Expression]) -> Recognised:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the doctor says them again
        for look in looks:
            with suppress(HowfarError, ValueError):
                found = look(path, read)
                if found is not None:
                    return found
    return Recognised("", path, "not recognised")


def _expression_bed(path: Path, read: dict[Path, Expression]) -> Recognised | None:
    found = _expression(path, read)
    if read[path].positions is not None:
        return found
    del read[path]
    return None


def _expression(path: Path, read: dict[Path, Expression]) -> Recognised:
    read[path] = table = read_expression(path)
    if not table.values.size:
        raise ValueError("no value")
    low, high = np.nanmin(table.values), np.nanmax(table.values)
    rows, people = table.values.shape
    missing = f", {table.missing:,} missing" if table.missing else ""
    seen = f"expression: {rows:,} genes, {people:,} people, values {low:.3g} to {high:.3g}{missing}"
    return Recognised("expression", path, seen)


def _genes(path: Path, _: dict[Path, Expression]) -> Recognised:
    genes = read_genes(path)
    strands = "" if all(gene.strand in "+-" for gene in genes) else ", not all with a strand"
    contigs = _listed(list(dict.fromkeys(gene.chrom for gene in genes)))
    return Recognised("genes", path, f"genes: {len(genes):,}, contigs {contigs}{strands}")


def _sample_map(path: Path, _: dict[Path, Expression]) -> Recognised:
    pairs = len(read_sample_map(path))
    return Recognised("sample_map", path, f"names in expression and genotypes: {pairs:,} pairs")


def _samples(path: Path, _: dict[Path, Expression]) -> Recognised | None:
    if not has_sample_column(path):
        return None
    groups = read_samples(path).dropna().value_counts()
    named = [f"{name} {n:,}" for name, n in groups.items()]
    seen = f"people: {len(read_samples(path)):,}, populations: {_listed(named)}"
    return Recognised("samples", path, seen)


def _settle(found: list[Recognised], read: dict[Path, Expression]) -> list[Recognised]:
    """Tell covariates from expression: their rows are no genes of the gene table."""
    genes = next((read_genes(f.path) for f in found if f.role == "genes"), [])
    calls = next((f.path for f in found if f.role == "variants"), None)
    names = {strip_version(word) for gene in genes for word in (gene.gene_id, gene.name)}
    placed = [table for table in read.values() if table.positions is not None]
    names |= {strip_version(str(i)) for table in placed for i in table.values.index}
    settled = []
    for file in found:
        table = read.get(file.path)
        rows = set() if table is None else {strip_version(str(i)) for i in table.values.index}
        if file.role not in ("expression", "samples") or (names & rows) or (rows and not names):
            settled.append(file)
            continue
        seen = _covariates(file.path, calls)
        if seen:
            settled.append(Recognised("covariates", file.path, seen))
        elif file.role == "samples":
            settled.append(file)
        else:
            none = "a table of numbers whose rows are no genes of the gene table"
            settled.append(Recognised("", file.path, none))
    return settled


def _covariates(path: Path, calls: Path | None) -> str:
    """What a table of covariates holds; nothing where it is none of the genotyped people."""
    if calls is None:
        return ""
    with open_variants(calls) as source:
        names = covariates_of(path, source.samples)
    return f"covariates of eQTLs: {len(names):,} ({_listed(names)})" if names else ""


def _check_alone(found: list[Recognised]) -> None:
    """Raise HowfarError where several files are of one role."""
    for role in {file.role for file in found} - {""}:
        paths = [file.path for file in found if file.role == role]
        if len(paths) > 1:
            raise HowfarError(
                ", ".join(map(str, paths)),
                found=f"{len(paths)} files that may be the {role}",
                expected="one",
                do="Point at single files instead of their folder.",
            )


def _further(
    by_role: dict[str, Path], read: dict[Path, Expression]
) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """(keys of `cohort` that the files decide, with the reason; keys that are left to fill in)."""
    keys: dict[str, tuple[str, str]] = {}
    left = {f"cohort.{role}": "no such file seen" for role in ("variants",) if role not in by_role}
    path = by_role.get("expression")
    if path is None:
        left["cohort.expression"] = "no such file seen"
    else:
        keys, more = _of_values(read[path].values)
        left |= more
    if "genes" in by_role and path is not None:
        ids = {gene.gene_id for gene in read_genes(by_role["genes"])}
        rows = set(map(str, read[path].values.index))
        plain = {strip_version(i) for i in ids} & {strip_version(i) for i in rows}
        if len(plain) > len(ids & rows):
            keys["gene_versions"] = ("strip", f"{len(plain):,} genes in common without versions")
    elif path is None or read[path].positions is None:
        left["cohort.genes"] = "no such file seen"
    else:
        keys["genes"] = ("null", "the TSS is what the expression BED states")
    return keys, left


def _of_values(values: pd.DataFrame) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    low, high = np.nanmin(values), np.nanmax(values)
    whole = bool((values.dropna().to_numpy() % 1 == 0).all())
    left = {"cohort.expression_units": "for axis labels, such as log2 CPM"}
    if low >= 0 and whole:
        left["cohort.expression"] = "whole numbers, so counts: `howfar preprocess` prepares them"
    if low >= 0 and high > _LINEAR_FROM:
        return {"log_base": ("null", "values on a linear scale, by their range")}, left
    left["cohort.log_base"] = "of the values, if they are logarithms; e is assumed"
    return {}, left


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "none") + more
