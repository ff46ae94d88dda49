"""Random references and VCF files, written as the real files are, for property tests."""

from __future__ import annotations

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


def bases(low: int, high: int, letters: str = "ACGT") -> st.SearchStrategy[str]:
    """DNA of `low` to `high` bases."""
    return st.text(letters, min_size=low, max_size=high)


@st.composite
def alleles(draw, ref: str, star: bool) -> tuple[str, ...]:
    """One to three ALTs of any kind for `ref`."""
    kinds = [
        bases(len(ref), len(ref)),  # SNV or MNP
        bases(1, 5).map(lambda b: ref + b),  # insertion
        st.integers(1, len(ref)).map(lambda n: ref[:n]),  # deletion
        st.integers(0, len(ref) - 1).map(lambda n: ref[n:]),  # deletion, first base not shared
        bases(1, 6),  # anything
        *([st.just("*")] if star else []),
    ]
    found = draw(st.lists(st.one_of(kinds), min_size=1, max_size=3, unique=True))
    other = "C" if ref[0] != "C" else "G"
    return tuple(a for a in found if a != ref) or (other + ref[1:],)


@st.composite
def records(draw, sequence: str, people: int, star: bool = True) -> list[Record]:
    """Records that crowd the contig, sorted by position, with phased diploid calls."""
    found = []
    for _ in range(draw(st.integers(0, 14))):
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
