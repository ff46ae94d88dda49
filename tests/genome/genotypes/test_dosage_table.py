"""Tables of dosages against the same genotypes as VCF, and what is wrong with a table."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pysam
import pytest

from helpers.places import REGION
from howfar.core.errors import HowfarError
from howfar.genome.genotypes.check import check_variants
from howfar.genome.genotypes.open import kind_of, open_variants, variant_files
from howfar.genome.intervals import Interval
from howfar.genome.reference import Reference

WITHIN = Interval("chr20", 480_000, 520_000)
EQTL = "CHROM\tPOS\tREF\tALT\ta\tb\n7\t3\tG\tA\t0.5\t2.0\n7\t5\tAC\tA\t-1.0\t1\n"
PREDIXCAN = "chr7 rs1 3 G A 0.6 0.5 2\nchr7 rs2 5 AC A 0.5 NA 1\n"
PEOPLE = "f a\nf b\n"


def catalogue(path: Path, vcf: Path, people: int = 40) -> Path:
    """An eQTL Catalogue table of the biallelic records of a VCF, its copies counted by htslib."""
    with pysam.VariantFile(str(vcf)) as file, gzip.open(path, "wt") as out:
        names = list(file.header.samples)[:people]
        out.write("\t".join(["CHROM", "POS", "REF", "ALT", *names]) + "\n")
        for record in file.fetch("20", WITHIN.start, WITHIN.end):
            if len(record.alts) == 1:
                calls = [record.samples[name]["GT"] for name in names]
                copies = [-1.0 if None in call else float(sum(call)) for call in calls]
                out.write(
                    "\t".join(map(str, ["20", record.pos, record.ref, *record.alts, *copies]))
                )
                out.write("\n")
    return path


def test_dosages_are_those_of_the_vcf(tmp_path):
    vcf, fasta = REGION / "chr20_1Mb.vcf.gz", REGION / "chr20_1Mb.fa"
    table = catalogue(tmp_path / "LCL.dose.tsv.gz", vcf)
    with Reference(fasta) as reference, open_variants(vcf) as calls, open_variants(table) as file:
        names = list(file.samples)[::-1]
        expected, variants = calls.dosages(WITHIN, reference, samples=names)
        for known in (reference, None):
            values, found = file.dosages(WITHIN, known, samples=names)
            wanted = {str(v): expected[:, i] for i, v in enumerate(variants)}
            assert len(found) > 300
            np.testing.assert_array_equal(values.T, [wanted[str(v)] for v in found])
    assert kind_of(table) == "dosages" and not list(check_variants(table))


@pytest.mark.parametrize(("name", "text"), [("c.tsv", EQTL), ("chr7.txt", PREDIXCAN)])
def test_both_kinds_are_read_and_have_no_windows(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    (tmp_path / "samples.txt").write_text(PEOPLE)
    with open_variants(tmp_path / name) as file:
        values, variants = file.dosages(Interval("7", 0, 40), None)
        assert file.samples == ("a", "b") and file.record_count == 2
        assert [f"{v.pos}:{v.ref}:{v.alt}" for v in variants] == ["3:G:A", "5:AC:A"]
        np.testing.assert_array_equal(values, np.array([[0.5, np.nan], [2, 1]], np.float32))
        with pytest.raises(HowfarError, match="dosages, without haplotypes"):
            file.read(Interval("7", 0, 40), None)
    beside = {"variants samples"} if text == PREDIXCAN else set()
    assert set(variant_files(tmp_path / name)) - {"variants"} == beside


def test_one_table_per_contig(tmp_path):
    for chrom in "78":
        (tmp_path / f"chr{chrom}.txt").write_text(PREDIXCAN.replace("chr7", f"chr{chrom}"))
    (tmp_path / "samples.txt").write_text(PEOPLE)
    with open_variants(tmp_path / "chr{chrom}.txt") as file:
        assert file.dosages(Interval("8", 0, 40), None)[1][0].chrom == "8"


@pytest.mark.parametrize(
    ("text", "people", "message"),
    [
        (EQTL.replace("2.0", "2.5"), "", r"line 2: found '2.5', no dosage"),
        (EQTL.replace("2.0", "x"), "", r"line 2: found 'x', no dosage"),
        (EQTL.replace("\t2.0", ""), "", r"line 2: found 5 columns"),
        (EQTL.replace("2.0", "2.0\t1"), "", r"line 2: found 7 columns"),
        (EQTL.replace("\tb\n", "\ta\n"), "", r"1 of whose IIDs"),
        (EQTL.replace("\t3\t", "\t3.5\t"), "", r"line 2: found '3.5' as position"),
        (EQTL.splitlines()[0] + "\n", "", "no variant"),
        (PREDIXCAN, "f a\n", r"line 1: found 8 columns; expected 7"),
        (PREDIXCAN, None, r"samples.txt: found no such file"),
    ],
)
def test_a_wrong_table_is_named(tmp_path, text, people, message):
    (tmp_path / "t.tsv").write_text(text)
    if people is not None:
        (tmp_path / "samples.txt").write_text(people)
    with pytest.raises(HowfarError, match=message):
        open_variants(tmp_path / "t.tsv").dosages(Interval("7", 0, 40), None)
