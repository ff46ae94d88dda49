"""Files of windows: each record says what it is, and holds what `build_windows` made."""

from __future__ import annotations

import csv
import gzip
import hashlib

import pytest

from helpers.places import REGION
from helpers.strategies import CONTIG, Record, World
from howfar.core.errors import HowfarError
from howfar.genome.fasta_export import Request, write_checksums, write_fasta
from howfar.genome.genes import read_genes
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.intervals import Gene
from howfar.genome.reference import Reference
from howfar.genome.windows import build_windows

GENES = [Gene("E1", "AB|C d", CONTIG, 40, "+"), Gene("E2", "XY", CONTIG, 70, "-")]


@pytest.fixture
def files(tmp_path):
    """An open reference and variant file of two people."""
    world = World(
        "ACGTTGCAAC" * 10,
        [
            Record(35, "T", ("C",), ("1|0", "0|1")),
            Record(42, "CGT", ("C",), ("1|0", "1|1")),
            Record(75, "T", ("A",), (".|1", "0|0")),
        ],
    )
    fasta, vcf = world.write(tmp_path)
    with Reference(fasta) as reference, VariantFile(vcf) as variants:
        yield reference, variants


def records(path):
    """{header: sequence} of a compressed FASTA."""
    with gzip.open(path, "rt") as handle:
        entries = handle.read().split(">")[1:]
    return {e.split("\n")[0]: "".join(e.split("\n")[1:]) for e in entries}


def test_fasta_names_and_holds_every_haplotype(files, tmp_path):
    out = tmp_path / "new" / "windows.fa.gz"
    request = Request(*files, GENES, [80, 7], ["snv", "all"])
    assert write_fasta(out, request) == 2 * 2 * 2 * 2 * 2
    found = records(out)
    assert len(found) == 32
    for gene, name in zip(GENES, ["AB%7CC%20d", "XY"], strict=True):
        for alleles in ("snv", "all"):
            windows = build_windows(*files, gene, 80, alleles=alleles)
            for p, sample in enumerate(windows.samples):
                for h in (1, 2):
                    header = f"gene={name}|sample={sample}|haplotype={h}|context=80"
                    expected = windows.sequences[windows.index[p, h - 1]].tobytes().decode()
                    assert found[f"{header}|variants={alleles}"] == expected
    assert request.counts["missing calls"] == 0 and request.counts["half calls"] > 0
    assert [p.name for p in out.parent.iterdir()] == ["windows.fa.gz"]


def test_checksums_of_some_people(files, tmp_path):
    out = tmp_path / "sums.csv"
    assert write_checksums(out, Request(*files, GENES[1:], [31], ["all"], ["p1"])) == 2
    with out.open() as handle:
        rows = list(csv.DictReader(handle))
    windows = build_windows(*files, GENES[1], 31, alleles="all", samples=["p1"])
    assert list(rows[0]) == ["gene", "sample", "haplotype", "context", "variants", "sha256"]
    for row, index in zip(rows, windows.index[0], strict=True):
        digest = hashlib.sha256(windows.sequences[index].tobytes()).hexdigest()
        assert (row["gene"], row["sample"], row["sha256"]) == ("XY", "p1", digest)


def test_a_failure_leaves_no_file(files, tmp_path):
    wrong = [GENES[0], Gene("E3", "off", CONTIG, 1000, "+")]
    for write in (write_fasta, write_checksums):
        with pytest.raises(HowfarError, match="gene E3"):
            write(tmp_path / "out" / "file", Request(*files, wrong, [31]))
        assert list((tmp_path / "out").iterdir()) == []


def test_genes_of_one_name_are_named_by_their_ids(files):
    """As Y_RNA and others in GENCODE; the name of another gene is no id."""
    again = [*GENES, Gene("E9", "XY", CONTIG, 5, "+")]
    request = Request(*files, again, [31])
    assert [gene.name for gene in request.genes] == ["AB|C d", "E2", "E9"]
    assert request.counts["genes named by their ids, as several have their name"] == 2
    with pytest.raises(HowfarError, match=r"the name\(s\) E9 more than once"):
        Request(*files, [*again, Gene("E8", "E9", CONTIG, 9, "+")], [31])


def test_genes_on_absent_contigs_are_left_out_and_counted(files):
    request = Request(*files, [*GENES, Gene("E9", "Z", "chrUn", 5, "+")], [31])
    assert [gene.gene_id for gene in request.genes] == ["E1", "E2"]
    assert request.counts[f"genes left out: {files[0].path.name} lacks contig chrUn"] == 1


@pytest.mark.skipif(not REGION.is_dir(), reason="the real megabase is not here")
def test_checksums_equal_those_of_the_consensus_loop(tmp_path):
    """The columns of the oracle, for one gene and three people."""
    with (REGION / "consensus_oracle.csv").open() as handle:
        oracle = [row for row in csv.DictReader(handle) if row["gene"] == "SNPH"]
    samples = sorted({row["sample"] for row in oracle})[:3]
    genes = [gene for gene in read_genes(REGION / "genes.csv") if gene.name == "SNPH"]
    out = tmp_path / "sums.csv"
    with (
        Reference(REGION / "chr20_1Mb.fa") as reference,
        VariantFile(REGION / "chr20_1Mb.vcf.gz") as variants,
    ):
        contexts = [10_500, 49_152, 196_608]
        write_checksums(out, Request(reference, variants, genes, contexts, ["snv", "all"], samples))
    with out.open() as handle:
        found = {tuple(row.values()) for row in csv.DictReader(handle)}
    keys = ("gene", "sample", "haplotype", "context", "variants", "sha256")
    expected = {tuple(r[k] for k in keys) for r in oracle if r["sample"] in samples}
    assert found == expected and len(found) == 36
