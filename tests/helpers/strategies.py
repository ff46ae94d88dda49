"""Random references and VCF files, written as the real files are, for property tests."""

from __future__ import annotations

import functools
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pysam
from hypothesis import strategies as st

CONTIG = "7"
_COLUMNS = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]


@dataclass(frozen=True)
class Record:
    """One VCF record: `pos` 1-based, `calls` one GT string per person."""

    pos: int
    ref: str
    alts: tuple[str, ...]
    calls: tuple[str, ...]


@dataclass
class World:
    """A reference of one contig and records that fit it."""

    sequence: str
    records: list[Record]
    people: tuple[str, ...] = ("p0", "p1")
    contigs: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path, *, line: int = 50, vcf_contig: str = CONTIG) -> tuple[Path, Path]:
        """Write reference.fa and variants.vcf.gz (+ .tbi); returns their paths."""
        fasta = folder / "reference.fa"
        sequences = {CONTIG: self.sequence} | self.contigs
        with fasta.open("w") as handle:
            for name, bases in sequences.items():
                lines = [bases[i : i + line] for i in range(0, len(bases), line)]
                handle.write(f">{name}\n" + "\n".join(lines) + "\n")
        pysam.faidx(str(fasta))
        return fasta, write_vcf(
            folder / "variants.vcf", self.records, self.people, vcf_contig, len(self.sequence)
        )


def write_vcf(
    path: Path, records: list[Record], people: tuple[str, ...], contig: str, length: int
) -> Path:
    """A bgzipped, indexed VCF; returns its path (`path` + '.gz')."""
    head = [
        "##fileformat=VCFv4.2",
        f"##contig=<ID={contig},length={length}>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        '##ALT=<ID=DEL,Description="Deletion">',
        "\t".join([*_COLUMNS, *people] if people else _COLUMNS[:-1]),
    ]
    body = [
        "\t".join([contig, str(r.pos), ".", r.ref, ",".join(r.alts), ".", ".", ".", "GT", *r.calls])
        for r in records
    ]
    path.write_text("\n".join(head + body) + "\n")
    packed = path.with_name(path.name + ".gz")
    pysam.tabix_compress(str(path), str(packed), force=True)
    pysam.tabix_index(str(packed), preset="vcf", force=True)
    return packed


@functools.cache  # to make a strategy takes longer than to draw from it
def bases(low: int, high: int, letters: str = "ACGT") -> st.SearchStrategy[str]:
    """DNA of `low` to `high` bases."""
    return st.text(letters, min_size=low, max_size=high)


@functools.cache
def _alts(ref: str, star: bool) -> st.SearchStrategy[list[str]]:
    """One to three ALTs of any kind for `ref`, itself perhaps among them."""
    kinds = [
        bases(len(ref), len(ref)),  # SNV or MNP
        bases(1, 5).map(lambda b: ref + b),  # insertion
        st.integers(1, len(ref)).map(lambda n: ref[:n]),  # deletion
        st.integers(0, len(ref) - 1).map(lambda n: ref[n:]),  # deletion, first base not shared
        bases(1, 6),  # anything
        *([st.just("*")] if star else []),
    ]
    return st.lists(st.one_of(kinds), min_size=1, max_size=3, unique=True)


@st.composite
def alleles(draw, ref: str, star: bool) -> tuple[str, ...]:
    """One to three ALTs of any kind for `ref`."""
    found = draw(_alts(ref, star))
    other = "C" if ref[0] != "C" else "G"
    return tuple(a for a in found if a != ref) or (other + ref[1:],)


@st.composite
def records(draw, sequence: str, people: int, star: bool = True) -> list[Record]:
    """Records that crowd the contig, sorted by position, with phased diploid calls."""
    found = []
    for _ in range(draw(st.integers(1, 14))):
        start = draw(st.integers(0, len(sequence) - 1))
        ref = sequence[start : start + draw(st.sampled_from([1, 1, 1, 2, 3, 6, 12]))]
        alts = draw(alleles(ref, star))
        call = st.sampled_from(["0", ".", *(str(k + 1) for k in range(len(alts)))] + ["1"] * 3)
        calls = [f"{draw(call)}|{draw(call)}" for _ in range(people)]
        found.append(Record(start + 1, ref, alts, tuple(calls)))
    return sorted(found, key=lambda r: r.pos)


@st.composite
def worlds(draw, star: bool = True) -> World:
    """A contig of 5 to 130 bp (often of few letters, so that alleles align in many ways)."""
    sequence = draw(bases(5, 130, draw(st.sampled_from(["ACGT", "AC", "A"]))))
    return World(sequence, draw(records(sequence, 2, star)))


def bcftools_consensus(
    fasta: Path, vcf: Path, sample: str, haplotype: int, chain: Path | None = None
) -> str:
    """The whole first contig of a haplotype, made by ``bcftools consensus``."""
    command = ["bcftools", "consensus", "-f", fasta, "-s", sample, "-H", str(haplotype)]
    command += ["-c", chain] if chain is not None else []
    done = subprocess.run([*command, vcf], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return "".join(done.stdout.split(">")[1].split("\n")[1:]).upper()


# --- VCF text, right and wrong ---------------------------------------------------------------


@dataclass(frozen=True)
class VcfText:
    """The text of a VCF file, what is special about it, and whether it may be read."""

    text: str
    what: str
    valid: bool


_COLUMN = {
    "CHROM": 0,
    "POS": 1,
    "ID": 2,
    "REF": 3,
    "ALT": 4,
    "QUAL": 5,
    "FILTER": 6,
    "INFO": 7,
    "FORMAT": 8,
    "call": 9,
}
#: Cells that make a record invalid.
BAD_CELLS = {
    "POS": ["x", "", "1.5", "-3", "1e1", "+4", "0x5", "99999999999999999999", "999"],
    "REF": ["", "?", "<DEL>", "A C", "1", "A,C", "*", "."],
    "ALT": ["", "?", "1", "A;C", "AC?", "A,", ",A", "A,,C", "<DEL", "A-C"],
    "call": [
        "0|99",
        "190",
        "0|256",
        "a|b",
        "",
        "|",
        "0||1",
        "-1|0",
        "0|1|0",
        "0,1",
        "0|x",
        "1e0|0",
        "0|1 ",
    ],
}
#: Cells that leave a record valid.
GOOD_CELLS = {
    "ID": ["rs1", "rs1;rs2", "a b"],
    "QUAL": [".", "0", "29.5", "1e3"],
    "FILTER": [".", "PASS"],
    "INFO": [".", "DP=3", "H2;DP=3"],
    "ALT": ["<DEL>", "*", "."],
    "call": ["0|0", ".|.", ".", "0", "0|.", "0/0", "./."],
}


@st.composite
def vcf_texts(draw) -> VcfText:
    """A VCF of a `World`'s records with one cell, line or byte changed, or none."""
    world = draw(worlds())
    rows = [
        [CONTIG, str(r.pos), ".", r.ref, ",".join(r.alts), ".", ".", ".", "GT", *r.calls]
        for r in world.records
    ]
    kinds = [
        "none",
        "good cell",
        "bad cell",
        "fewer columns",
        "more columns",
        "unsorted",
        "CRLF",
        "fields",
        "byte",
    ]
    kind = draw(st.sampled_from(kinds))
    valid = kind in ("none", "good cell", "CRLF", "fields")
    if kind in ("good cell", "bad cell"):
        kind = f"{kind}: {draw(_changed_cell(rows, BAD_CELLS if 'bad' in kind else GOOD_CELLS))}"
    elif kind == "fewer columns":
        row = draw(st.sampled_from(rows))
        del row[draw(st.integers(1, len(row) - 1)) :]
    elif kind == "more columns":
        draw(st.sampled_from(rows)).append("0|0")
    elif kind == "unsorted":
        valid = len({row[1] for row in rows}) == 1
        rows.reverse()
    elif kind == "fields":
        for row in rows:
            row[8:] = ["GT:DP", *(f"{call}:7" for call in row[9:])]
    text = _vcf_text(world, rows)
    if kind == "CRLF":
        text = text.replace("\n", "\r\n")
    if kind == "byte":
        return VcfText(draw(_changed_byte(text)), kind, False)
    return VcfText(text, kind, valid)


def _vcf_text(world: World, rows: list[list[str]]) -> str:
    head = [
        "##fileformat=VCFv4.2",
        f"##contig=<ID={CONTIG},length={len(world.sequence)}>",
        '##FILTER=<ID=PASS,Description="All filters passed">',
        '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">',
        '##INFO=<ID=H2,Number=0,Type=Flag,Description="HapMap2">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">',
        '##ALT=<ID=DEL,Description="Deletion">',
        "\t".join([*_COLUMNS, *world.people]),
    ]
    return "\n".join([*head, *("\t".join(row) for row in rows)]) + "\n"


@st.composite
def _changed_cell(draw, rows: list[list[str]], cells: dict[str, list[str]]) -> str:
    row, column = draw(st.sampled_from(rows)), draw(st.sampled_from(sorted(cells)))
    row[_COLUMN[column]] = draw(st.sampled_from(cells[column]))
    return f"{column} {row[_COLUMN[column]]!r}"


@st.composite
def _changed_byte(draw, text: str) -> str:
    """Text with one character below its header replaced, removed or doubled."""
    at = draw(st.integers(text.rindex("#CHROM"), len(text) - 1))
    new = draw(
        st.sampled_from(["", "\t", "\n", "0", "9", "A", "|", "/", ".", "#", "é", text[at] * 2])
    )
    return text[:at] + new + text[at + 1 :]
