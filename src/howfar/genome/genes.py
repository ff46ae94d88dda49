"""Gene tables: one row per gene with its transcription start site."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

import pandas as pd

from howfar.core.errors import HowfarError
from howfar.core.text import cells_of, lines_of, separator_of, stem_of
from howfar.genome.intervals import Gene
from howfar.genome.reference import NoSuchContig

COLUMNS = ("gene_id", "name", "chrom", "tss", "strand")
TSS_RULES = ("gene", "canonical", "first", "centre")
_CANONICAL = "Ensembl_canonical"
# An attribute of GTF; a quoted value may hold semicolons.
_ATTRIBUTE = re.compile(r'\s*([^\s;"]+)\s+(?:"([^"]*)"|([^\s;"]+))\s*(?:;|$)')
# A version follows an Ensembl gene id only: the `.7` of RP11-34P13.7 is part of its name.
# GENCODE's lifted-over ids add `_2` to the version; before release 25 its PAR_Y ids began ENSGR.
_VERSIONED = re.compile(r"^(ENS[A-Z]*GR?\d+)\.\d+(?:_\d+)?(_PAR_Y)?$")
_OPTIONAL = ("name", "strand")
#: The eQTL Catalogue's columns. Its place of a gene is the gene's middle, and so has no strand.
_MIDDLE = {"chromosome": "chrom", "phenotype_pos": "tss", "gene_name": "name", "strand": "_"}
_EXPECTED = f"a gene table: GTF, GFF3, BED, or CSV/TSV with the columns {', '.join(COLUMNS)}"


def read_genes(path: str | Path, tss: str = "gene", gene_versions: str = "keep") -> list[Gene]:
    """The genes of a GTF, GFF3, BED, CSV or TSV file (`.gz` too), told apart by their first rows.

    CSV, TSV: the columns gene_id, name, chrom, tss (1-based), strand, with tabs, commas, semicolons
    or blanks between; further ones are ignored, and name and strand may lack
    ('.': no strand). Of the eQTL Catalogue's phenotype metadata, chromosome and phenotype_pos are
    read, which is the middle of a gene: no TSS, so that no strand is taken. BED: chrom, start
    (0-based), end, gene id, score, strand; the TSS is the first base by the strand. GTF, GFF3
    (GENCODE, Ensembl), 1-based: tss 'gene' takes the first base of the gene's
    record by its strand, 'canonical' that of its transcript tagged Ensembl_canonical, 'first' that
    of the first transcript the file lists; a GTF without records of genes has the span of their
    transcripts instead. The other formats state a TSS and allow 'gene' alone; but of a BED of peaks
    'centre' takes each row's middle, forward strand, and columns beyond the name may lack.
    gene_versions: 'keep', or 'strip' (ENSG...1.5 becomes ENSG...1).

    Raises HowfarError with the line for a missing column, a value that can't be, a gene id that
    occurs twice (stripped versions included), and a gene without the transcript asked for.
    """
    path = Path(path)
    check_versions(str(path), gene_versions)
    genes: list[Gene] = []
    lines: dict[str, int] = {}
    for number, gene in _rows(lines_of(path, _EXPECTED), path, tss):
        kept = _apply_versions(gene, gene_versions)
        _check_new(path, kept, lines, number, stripped=kept.gene_id != gene.gene_id)
        genes.append(kept)
    if not genes:
        raise _wrong(
            str(path),
            "no gene",
            "at least one row of a gene",
            "Check that the file is complete; a GTF or GFF3 file needs records of the "
            "feature gene or, in a GTF, transcript.",
        )
    return genes


def check_versions(where: str, gene_versions: str) -> None:
    """Raise HowfarError for a rule of gene versions that isn't known."""
    if gene_versions not in ("keep", "strip"):
        raise _wrong(
            where,
            f"gene_versions {gene_versions!r}",
            "'keep' or 'strip'",
            "Correct `cohort.gene_versions` in the study file.",
        )


def strip_version(gene: str) -> str:
    """An Ensembl gene id without its version; other names as they are."""
    match = _VERSIONED.match(gene)
    return match.group(1) + (match.group(2) or "") if match else gene


def _wrong(where: str, found: str, expected: str, do: str) -> HowfarError:
    return HowfarError(where, found=found, expected=expected, do=do)


Numbered = Iterator[tuple[int, Gene]]


def _format_of(path: Path, lines: list[str]) -> str:
    """Return 'gtf', 'gff3', 'bed' or 'table' by a file's first rows; by its name where none fits.

    lines: those up to the first that is neither a comment nor blank.
    """
    first = lines[-1] if lines else ""
    cells = first.split("\t")
    if len(cells) == 9 and cells[3].isdecimal() and cells[4].isdecimal():
        if lines[0].startswith("##gff-version") or re.match(r"\s*[^\s;=\"]+=", cells[8]):
            return "gff3"
        return "gtf"
    if len(cells) >= 3 and cells[1].isdecimal() and cells[2].isdecimal():
        return "bed"
    if "gene_id" in cells_of(lines[0], separator_of(lines[0]) or ",", f"{path}, line 1"):
        return "table"
    ends = {".gtf": "gtf", ".gff": "gff3", ".gff3": "gff3", ".bed": "bed"}
    ends |= dict.fromkeys((".csv", ".tsv", ".txt"), "table")
    named = ends.get(Path(stem_of(path)).suffix)
    if named is None:
        raise _wrong(
            str(path),
            f"a file that begins with {lines[0][:40]!r}",
            _EXPECTED,
            "Give a file of one of these formats.",
        )
    return named


def _is_data(line: str) -> bool:
    return bool(line.strip()) and not line.startswith(("#", "track", "browser"))


def _rows(lines: Iterator[str], path: Path, tss: str) -> Numbered:
    """The genes by the reader for the file's format, after a check that the rule `tss` fits it."""
    head: list[str] = []
    for line in lines:
        head.append(line)
        if _is_data(line):
            break
    kind = _format_of(path, head or [""])
    fits = {"gtf": TSS_RULES[:3], "gff3": TSS_RULES[:3], "bed": ("gene", "centre")}
    if tss not in fits.get(kind, ("gene",)):
        raise _wrong(
            str(path),
            f"the TSS rule {tss!r}",
            f"one of {', '.join(TSS_RULES)}; 'gene' for a CSV or TSV file, 'gene' or 'centre' for "
            "a BED, any but 'centre' for a GTF or GFF3",
            "Correct `cohort.tss` in the study file, or give a file of another format.",
        )
    every = chain(head, lines)
    if kind == "table":
        return _table(every, path)
    if kind == "bed":
        return _bed(every, path, tss == "centre")
    return _annotation(every, path, tss, kind == "gff3")


def _apply_versions(gene: Gene, gene_versions: str) -> Gene:
    if gene_versions == "keep":
        return gene
    gene_id = strip_version(gene.gene_id)
    name = gene_id if gene.name == gene.gene_id else gene.name
    return Gene(gene_id, name, gene.chrom, gene.tss, gene.strand)


def _check_new(path: Path, gene: Gene, lines: dict[str, int], line: int, stripped: bool) -> None:
    if gene.gene_id in lines:
        raise _wrong(
            f"{path}, line {line}",
            f"gene id {gene.gene_id}, which line {lines[gene.gene_id]} has too"
            + (" once versions are stripped" if stripped else ""),
            "each gene id once, with one TSS",
            "Keep one line per gene" + (", or set gene_versions to keep." if stripped else "."),
        )
    lines[gene.gene_id] = line


def _make_gene(where: str, gene_id: str, name: str, chrom: str, tss: int, strand: str) -> Gene:
    """The gene, with the file's line in the message where it can't be one."""
    try:
        return Gene(gene_id, name or gene_id, chrom, tss, strand)
    except HowfarError as error:
        raise _wrong(where, error.found, error.expected, error.do) from error


def _whole(where: str, what: str, text: str, expected: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise _wrong(where, f"{what} {text!r}", expected, "Correct the line.")
    return int(text)


# --- CSV and TSV -----------------------------------------------------------------------------


def _table(lines: Iterable[str], path: Path) -> Numbered:
    lines = iter(lines)
    first = next(lines, "")
    sep = separator_of(first) or ","
    header = cells_of(first, sep, f"{path}, line 1")
    if "phenotype_pos" in header and "tss" not in header:
        header = [_MIDDLE.get(name, name) for name in header]
    _check_header(path, header)
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        cells = cells_of(line, sep, where)
        values = _values(where, header, cells)
        tss = _whole(where, "TSS", values.pop("tss"), "a whole number, 1-based")
        yield number, _make_gene(where, tss=tss, **values)


def _check_header(path: Path, header: list[str]) -> None:
    missing = [c for c in COLUMNS if c not in (*header, *_OPTIONAL)]
    if missing or len(header) != len(set(header)):
        raise _wrong(
            f"{path}, line 1",
            f"the columns {', '.join(header) or '(none)'}",
            f"a header with {', '.join(COLUMNS)}, each once, and tabs or commas between",
            f"Add or rename the column(s) {', '.join(missing) or 'that occur twice'}.",
        )


def _values(where: str, header: list[str], cells: list[str]) -> dict[str, str]:
    row = dict(zip(header, cells, strict=False))
    values = {c: row.get(c, "") for c in COLUMNS}
    values["strand"] = row.get("strand", "" if "strand" in header else ".")
    blank = [c for c in COLUMNS if not values[c] and c != "name"]
    if blank or len(cells) > len(header):
        raise _wrong(
            where,
            f"no value for {', '.join(blank)}" if blank else "more values than columns",
            "one value for each column of the header",
            "Correct the line.",
        )
    return values


# --- BED -------------------------------------------------------------------------------------


def centre_of(start0: int, end: int) -> int:
    """Return the middle base (1-based) of an interval, 0-based and half-open; of two, the right."""
    return (start0 + end) // 2 + 1


def _bed(lines: Iterable[str], path: Path, centre: bool) -> Numbered:
    fewest = 3 if centre else 6
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        where, cells = f"{path}, line {number}", line.split("\t")
        if len(cells) < fewest:
            raise _wrong(
                where,
                f"{len(cells)} columns separated by tabs",
                "chrom, start, end" + ("" if centre else ", gene id, score, strand"),
                "Add the columns; without a strand there is no TSS.",
            )
        chrom, start, end, gene_id, _, strand = (*(c.strip() for c in cells), *[""] * 3)[:6]
        low = _whole(where, "start", start, "a whole number, 0-based")
        high = _whole(where, "end", end, "a whole number, 0-based, not included")
        gene_id = gene_id or (f"{chrom}:{start}-{end}" if centre else "")
        if low < 0 or high <= low or not (chrom and gene_id):
            raise _wrong(
                where,
                f"{chrom}:{start}-{end}, gene id {gene_id!r}",
                "a contig, 0 <= start < end, and a gene id",
                "Correct the line.",
            )
        tss = high if strand == "-" else low + 1
        if centre:
            tss, strand = centre_of(low, high), "+"
        yield number, _make_gene(where, gene_id, "", chrom, tss, strand)


# --- GTF and GFF3 ----------------------------------------------------------------------------


@dataclass
class _GeneRecord:
    """A gene of an annotation: its line, contig, strand, and the TSS by the rule, if met."""

    line: int
    gene_id: str
    name: str
    chrom: str
    strand: str
    tss: int | None


def _annotation(lines: Iterable[str], path: Path, rule: str, gff3: bool) -> Numbered:
    genes: dict[str, _GeneRecord] = {}  # by the id that transcripts refer to
    again: list[_GeneRecord] = []  # ids that occur twice: the caller names both lines
    alone: list[tuple[int, list[str]]] = []  # transcripts, as long as there is no gene
    for number, cells in _features(lines, path):
        where = f"{path}, line {number}"
        if cells[2] == "gene" or (gff3 and _other_gene(cells)):
            key, gene = _gene_record(where, number, cells, gff3, rule)
            (again.append(gene) if key in genes else genes.__setitem__(key, gene))
        elif rule != "gene" and genes:
            _transcript(where, cells, gff3, rule, genes)
        elif cells[2] == "transcript" and not gff3 and not genes:
            alone.append((number, cells))
    if alone and not genes:
        warnings.warn(f"{path}: no record of a gene; genes span their transcripts", stacklevel=3)
        again = list(_spans(alone, path, rule))
    for gene in [*genes.values(), *again]:
        where = f"{path}, line {gene.line}"
        if gene.tss is None and gene not in again:
            raise _no_transcript(where, gene, rule)
        tss = gene.tss or 1
        yield gene.line, _make_gene(where, gene.gene_id, gene.name, gene.chrom, tss, gene.strand)


def _spans(
    transcripts: list[tuple[int, list[str]]], path: Path, rule: str
) -> Iterator[_GeneRecord]:
    """The genes of a GTF that has transcripts alone; one at two places is yielded twice."""
    genes: dict[tuple[str, str, str], _GeneRecord] = {}
    for number, cells in transcripts:
        where, values = f"{path}, line {number}", attributes(cells[8], gff3=False)
        gene_id = values.get("gene_id", [""])[0]
        if not gene_id:
            found = "a transcript without gene_id"
            raise _wrong(where, found, 'gene_id "..."', "Correct the line.")
        site = _start_site(where, cells)
        name = (values.get("gene_name") or values.get("ref_gene_name") or [gene_id])[0]
        new = _GeneRecord(number, gene_id, name, cells[0], cells[6], None)
        gene = genes.setdefault((gene_id, cells[0], cells[6]), new)
        if rule == "gene":
            outer = min if cells[6] == "+" else max
            gene.tss = site if gene.tss is None else outer(gene.tss, site)
        elif gene.tss is None and (rule == "first" or _CANONICAL in values.get("tag", [])):
            gene.tss = site
    for gene in genes.values():
        if gene.tss is None:
            raise _no_transcript(f"{path}, line {gene.line}", gene, rule)
        yield gene


def read_exons(path: str | Path, gene_id: str) -> list[tuple[int, int]]:
    """Exons (start, end), 1-based, both in, of a gene in a GTF; none for other files."""
    found = set()
    if ".gtf" not in Path(path).name:
        return []
    for _, cells in _features(lines_of(path, _EXPECTED), Path(path)):
        if cells[2] == "exon" and gene_id.partition(".")[0] in cells[8]:
            name = attributes(cells[8], gff3=False).get("gene_id", [""])[0]
            if gene_id in (name, name.partition(".")[0]):
                found.add((int(cells[3]), int(cells[4])))
    return sorted(found)


def _features(lines: Iterable[str], path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(lines, start=1):
        if line.startswith("##FASTA"):
            return
        if not line.strip() or line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) != 9:
            raise _wrong(
                f"{path}, line {number}",
                f"{len(cells)} columns separated by tabs",
                "the 9 columns of GTF and GFF3",
                "Correct the line; the file may be cut short.",
            )
        yield number, cells


def _other_gene(cells: list[str]) -> bool:
    """Ensembl's GFF3 has ncRNA_gene and pseudogene beside gene."""
    return cells[2].endswith("gene") and "Parent=" not in cells[8]


def attributes(text: str, gff3: bool) -> dict[str, list[str]]:
    """The ninth column of a GTF or GFF3 record: values by key, as a key may occur again."""
    values: dict[str, list[str]] = {}
    if not gff3:
        for match in _ATTRIBUTE.finditer(text):
            values.setdefault(match[1], []).append(match[2] if match[3] is None else match[3])
        return values
    for part in filter(str.strip, text.split(";")):
        key, _, value = part.strip().partition("=")
        values.setdefault(key, []).extend(map(unquote, value.split(",")))
    return values


def _gene_record(
    where: str, number: int, cells: list[str], gff3: bool, rule: str
) -> tuple[str, _GeneRecord]:
    """Return the id that transcripts refer to, and the gene."""
    values = attributes(cells[8], gff3)
    key = values.get("ID" if gff3 else "gene_id", [""])[0]
    gene_id = values.get("gene_id", [re.sub(r"^gene[:-]", "", key)])[0]
    if not (key and gene_id):
        raise _wrong(
            where,
            "a gene without an id",
            'gene_id "..." (GTF) or ID=... (GFF3)',
            "Correct the line.",
        )
    name = (values.get("gene_name") or values.get("Name") or values.get("gene") or [gene_id])[0]
    start = _start_site(where, cells)
    tss = start if rule == "gene" else None
    return key, _GeneRecord(number, gene_id, name, cells[0], cells[6], tss)


def _start_site(where: str, cells: list[str]) -> int:
    low = _whole(where, "start", cells[3], "a whole number, 1-based")
    high = _whole(where, "end", cells[4], "a whole number, 1-based, included")
    if not (cells[0].strip() and 1 <= low <= high and cells[6] in ("+", "-")):
        raise _wrong(
            where,
            f"{cells[0]}:{cells[3]}-{cells[4]}, strand {cells[6]!r}",
            "a contig, 1 <= start <= end, and the strand '+' or '-'",
            "Correct the line.",
        )
    return low if cells[6] == "+" else high


def _transcript(
    where: str, cells: list[str], gff3: bool, rule: str, genes: dict[str, _GeneRecord]
) -> None:
    """Note the TSS of a transcript that the rule takes for its gene."""
    if not gff3 and cells[2] != "transcript":
        return
    values = attributes(cells[8], gff3)
    gene = genes.get(values.get("Parent" if gff3 else "gene_id", [""])[0])
    if gene is None or gene.tss is not None:
        return
    if rule == "first" or _CANONICAL in values.get("tag", []):
        gene.tss = _start_site(where, cells)


def _no_transcript(where: str, gene: _GeneRecord, rule: str) -> HowfarError:
    wanted = f"transcript tagged {_CANONICAL}" if rule == "canonical" else "transcript"
    return _wrong(
        where,
        f"gene {gene.gene_id} without a {wanted}",
        "one for every gene",
        "Set cohort.tss to 'gene' or 'first', or take a newer annotation.",
    )


def genes_of_places(places: pd.DataFrame, where: str, tss: str = "gene") -> list[Gene]:
    """Return the genes of an expression BED, whose places are single bases, without strands.

    places: chrom, start0, end (0-based, half-open) by gene id. HowfarError, naming `where`, for
    one that is wider, as its TSS isn't stated. tss: 'centre' takes the middles of places (peaks)
    of any width, forward strand.
    """
    if tss == "centre":
        rows = zip(places.index, places["chrom"], places["start0"], places["end"], strict=True)
        return [Gene(p, p, chrom, centre_of(int(a), int(b)), "+") for p, chrom, a, b in rows]
    wide = places.index[places["end"] - places["start0"] != 1]
    if len(wide):
        raise _wrong(
            f"{where}, gene {wide[0]}",
            f"a place of more than one base ({len(wide)} such genes)",
            "each gene's TSS, one base, as FastQTL and tensorQTL have it",
            "Name a gene table in cohort.genes, or say `tss: centre` where rows are peaks.",
        )
    single = zip(places.index, places["chrom"], places["start0"], strict=True)
    return [Gene(gene, gene, chrom, int(start0) + 1, ".") for gene, chrom, start0 in single]


class _Contigs(Protocol):
    """A file with contigs."""

    path: Path

    def contig(self, chrom: str) -> str:
        """Return the file's own name of a contig; NoSuchContig where it has none."""


def on_contigs(genes: Sequence[Gene], *files: _Contigs) -> tuple[list[Gene], Counter[str]]:
    """Return the genes on contigs that all files have, and counts of the others by contig.

    Raises NoSuchContig where no gene is left.
    """
    lacking: dict[str, tuple[Path, NoSuchContig]] = {}
    for chrom in dict.fromkeys(gene.chrom for gene in genes):
        for file in files:
            try:
                file.contig(chrom)
            except NoSuchContig as error:
                lacking.setdefault(chrom, (file.path, error))
    kept = [gene for gene in genes if gene.chrom not in lacking]
    if lacking and not kept:
        raise next(iter(lacking.values()))[1]
    of = Counter(gene.chrom for gene in genes)
    left = {
        f"genes left out: {path.name} lacks contig {chrom}": of[chrom]
        for chrom, (path, _) in lacking.items()
    }
    return kept, Counter(left)
