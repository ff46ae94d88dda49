"""Exons of genes from a GTF or GFF3: of all transcripts, of the canonical one, of named ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from howfar.core.errors import HowfarError
from howfar.core.text import lines_of
from howfar.genome.genes import strip_version

#: Which transcripts of a gene count: all, or the one tagged Ensembl_canonical.
MERGED, CANONICAL = "merged", "canonical"
Intervals = NDArray[np.int64]
_EXPECTED = "a GTF or GFF3 file with exons"
# Of a GTF `key "value"`, of a GFF3 `key=value`.
_VALUE = r'(?:^|[;\s]){key}[\s=]+"?([^";\s]+)'
_GENE, _TRANSCRIPT, _ID, _PARENT = (
    re.compile(_VALUE.format(key=key)) for key in ("gene_id", "transcript_id", "ID", "Parent")
)
_PREFIX = re.compile(r"(?:gene|transcript|rna)[:-]")


class Exons:
    """The exons of an annotation, looked up by gene."""

    def __init__(self, path: Path, exons: dict[str, dict[str, list[tuple[int, int]]]]) -> None:
        """exons: (start, end), 0-based half-open, by gene id and transcript id."""
        self.path, self._exons = path, exons
        self._bare: dict[str, list[str]] = {}
        for gene in exons:
            self._bare.setdefault(strip_version(gene), []).append(gene)

    def of(self, gene_id: str) -> Intervals:
        """Return a gene's exons, merged: (n, 2), 0-based half-open, ascending; none if unknown.

        A gene of another version is the same gene, where there is one such alone.
        """
        others = self._bare.get(strip_version(gene_id), [])
        known = gene_id if gene_id in self._exons or len(others) != 1 else others[0]
        every = sorted(e for part in self._exons.get(known, {}).values() for e in part)
        merged: list[list[int]] = []
        for start, end in every:
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        return np.array(merged, np.int64).reshape(-1, 2)


def read_exons_of(path: Path, transcripts: str | Sequence[str] = MERGED) -> Exons:
    """Read the exons of a GTF or GFF3 (`.gz` too), once for all genes.

    transcripts: 'merged', 'canonical', or ids of transcripts (versions may be left out). Raises
    HowfarError for a file without exons, and where none of its transcripts is asked for.
    """
    chosen = transcripts if isinstance(transcripts, str) else tuple(transcripts)
    stat = path.stat() if path.is_file() else None
    return _read(path, chosen, stat and (stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=4)
def _read(path: Path, transcripts: str | tuple[str, ...], _: object) -> Exons:
    found: dict[str, dict[str, list[tuple[int, int]]]] = {}
    canonical: set[str] = set()
    gene_of: dict[str, str] = {}  # of a GFF3, whose exons may name their transcript alone
    for number, line in enumerate(lines_of(path, _EXPECTED), start=1):
        cells = line.split("\t")
        if line.startswith("#") or len(cells) != 9:
            continue
        gene, transcript = _GENE.search(cells[8]), _TRANSCRIPT.search(cells[8])
        parents, own = _ids(_PARENT, cells[8]), _ids(_ID, cells[8])
        exon = cells[2] == "exon"
        transcripts_of = [transcript[1]] if transcript else parents if exon else own
        if not exon and own and (gene or parents):
            gene_of[own[0]] = gene[1] if gene else parents[0]
        if "Ensembl_canonical" in cells[8]:
            canonical.update(transcripts_of)
        for name in transcripts_of if exon else ():
            known = gene[1] if gene else gene_of.get(name, name)
            place = _place(f"{path}, line {number}", cells)
            found.setdefault(known, {}).setdefault(name, []).append(place)
    asked = _asked(transcripts, canonical)
    kept = {g: {t: e for t, e in each.items() if asked(t)} for g, each in found.items()}
    if not any(kept.values()):
        raise HowfarError(
            str(path),
            found="no exon" if not found else f"exons of {len(found):,} genes, none chosen",
            expected="exons" if not found else f"the transcripts {_words(transcripts)}",
            do="Name a GTF with exons as the run's `annotation`, or correct its `transcripts`.",
        )
    return Exons(path, kept)


def _ids(key: re.Pattern[str], text: str) -> list[str]:
    match = key.search(text)
    return [_PREFIX.sub("", name, count=1) for name in match[1].split(",")] if match else []


def _place(where: str, cells: list[str]) -> tuple[int, int]:
    if cells[3].isdecimal() and cells[4].isdecimal() and 1 <= int(cells[3]) <= int(cells[4]):
        return int(cells[3]) - 1, int(cells[4])
    raise HowfarError(
        where,
        found=f"an exon from {cells[3]!r} to {cells[4]!r}",
        expected="1 <= start <= end",
        do="Correct the line.",
    )


def _asked(transcripts: str | tuple[str, ...], canonical: set[str]) -> Callable[[str], bool]:
    if transcripts == MERGED:
        return lambda name: True
    if transcripts == CANONICAL:
        return lambda name: name in canonical
    wanted = set(transcripts)
    return lambda name: name in wanted or name.partition(".")[0] in wanted


def _words(transcripts: str | Sequence[str]) -> str:
    return transcripts if isinstance(transcripts, str) else ", ".join(transcripts)
