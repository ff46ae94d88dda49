"""The full check reads every kind of variant file, and tells the first fault of each file."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from helpers.plink_files import write_bed
from helpers.strategies import CONTIG, Record, write_vcf
from howfar.genome.genotypes.check import check_variants
from howfar.genome.genotypes.open import open_variants

PEOPLE = ("a", "b")
RECORDS = [Record(3, "G", ("A",), ("0|1", "1|1")), Record(9, "A", ("C", "T"), ("1|0", "0|2"))]


def told(path) -> list[str]:
    return [str(error) for error in check_variants(path)]


@pytest.fixture
def vcf(tmp_path):
    return write_vcf(tmp_path / "v.vcf", RECORDS, PEOPLE, CONTIG, 40)


@pytest.mark.filterwarnings("ignore:.*the index is not there")
def test_good_files_of_every_kind(tmp_path, vcf, capsys):
    bed = write_bed(
        tmp_path / "p", [(CONTIG, 3, "A", "G"), ("0", 0, "A", "G")], [[0, 1]] * 2, PEOPLE
    )
    for path in (vcf, vcf.with_suffix(""), bed):
        assert told(path) == []
    assert "v.vcf.gz records: 2/2" in capsys.readouterr().err
    with open_variants(bed) as source:  # a variant without a place on the genome is left out
        assert source.record_count == 1 and list(source.check_records()) == [1]


def test_plink2_files_with_damaged_calls(tmp_path):
    pgenlib = pytest.importorskip("pgenlib")
    number, path = 30, str(tmp_path / "p.pgen").encode()
    draw = np.random.default_rng(1)
    with pgenlib.PgenWriter(
        path, 40, variant_ct=number, nonref_flags=False, hardcall_phase_present=True
    ) as writer:
        for alleles in draw.integers(0, 2, (number, 80)).astype(np.int32):
            writer.append_alleles(alleles, all_phased=True)
    sites = "".join(f"{CONTIG}\t{p}\t.\tA\tC\n" for p in range(1, number + 1))
    (tmp_path / "p.pvar").write_text(f"#CHROM\tPOS\tID\tREF\tALT\n{sites}")
    (tmp_path / "p.psam").write_text("#IID\n" + "".join(f"p{i}\n" for i in range(40)))
    assert told(tmp_path / "p") == []
    pgen = tmp_path / "p.pgen"
    pgen.write_bytes(pgen.read_bytes()[:-20])
    (message,) = told(tmp_path / "p")
    assert "p.pgen: found calls that are damaged or cut short" in message
    pvar = tmp_path / "p.pvar"
    pvar.write_text(pvar.read_text().replace("\tA\tC", "\tA\tC?", 1))
    (message,) = told(tmp_path / "p")
    assert f"{pvar}, variant 1: found the allele 'C?'" in message


def test_plink1_variants_out_of_order_or_of_odd_alleles(tmp_path):
    for sites, message in (
        (
            [(CONTIG, 9, "A", "G"), (CONTIG, 3, "A", "G")],
            "p.bim, variant 2: found position 3 after 9",
        ),
        ([(CONTIG, 3, "A", "G"), (CONTIG, 9, "?", "G")], "p.bim, variant 2: found the allele '?'"),
    ):
        bed = write_bed(tmp_path / "p", sites, [[0, 1]] * 2, PEOPLE)
        (error,) = told(bed)
        assert message in error


@pytest.mark.filterwarnings("ignore:.*the index is not there")
def test_each_file_of_a_template_is_told_of_and_so_are_people_that_differ(tmp_path, vcf):
    for contig in ("1", "2", "3"):
        shutil.copy(vcf.with_suffix(""), tmp_path / f"chr{contig}.vcf")
    template = tmp_path / "chr{chrom}.vcf"
    assert told(template) == []
    other = tmp_path / "chr3.vcf"
    other.write_text(other.read_text().replace("\ta\tb", "\tb\ta"))
    (message,) = told(template)
    assert "chr3.vcf: found 2 people, in another order" in message
    for contig in ("2", "3"):
        path = tmp_path / f"chr{contig}.vcf"
        path.write_text(path.read_text().replace("0|1", "x"))
    assert ["line 6: found the call 'x'" in message for message in told(template)] == [True, True]
    (message,) = told(tmp_path / "none{chrom}.vcf")
    assert "no file of that name for any contig" in message
