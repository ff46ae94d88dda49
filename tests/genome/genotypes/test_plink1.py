"""PLINK 1: alleles oriented by the FASTA, calls without phase; broken files are named."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.plink_files import write_bed
from howfar.core.errors import HowfarError
from howfar.genome.genotypes.plink1 import PlinkFile
from howfar.genome.intervals import Gene, Interval
from howfar.genome.reference import Reference
from howfar.genome.windows import build_windows

SEQUENCE = "ACGTACGTAC" * 4  # 1-based: 3 G, 4 T, 5 A, 6 C, 7 G
WHOLE = Interval("7", 0, 40)
PEOPLE = ("p0", "p1", "p2", "p3", "p4")
COPIES = [0, 1, 2, None, 1]


@pytest.fixture
def reference(tmp_path):
    path = tmp_path / "r.fa"
    path.write_text(f">7\n{SEQUENCE}\n")
    with Reference(path) as opened:
        yield opened


def opened(folder, variants, copies=None):
    copies = copies or [COPIES] * len(variants)
    return PlinkFile(write_bed(folder / "g", variants, copies, PEOPLE))


def test_either_allele_may_be_the_reference(tmp_path, reference):
    file = opened(tmp_path, [("7", 3, "A", "G"), ("7", 7, "G", "A")])
    values, variants = file.dosages(WHOLE, reference)
    assert [str(v) for v in variants] == ["7:3:G:A", "7:7:G:A"]
    expected = [[0, 2], [1, 1], [2, 0], [np.nan, np.nan], [1, 1]]
    np.testing.assert_array_equal(values, np.array(expected, np.float32))
    found = file.read(WHOLE, reference, alleles="all")
    assert found.counts["variants whose A1 is REF"] == 1
    assert found.counts["missing calls"] == 2 and found.counts["unphased calls"] == 4


def test_a_heterozygote_is_one_iupac_window_by_default(tmp_path, reference):
    file = opened(tmp_path, [("7", 3, "A", "G")])
    gene = Gene("g", "g", "chr7", 5, "+")
    windows = build_windows(reference, file, gene, 10, tss_offset=4)
    spelled = [windows.sequences[row].tobytes().decode() for row in windows.index[:, 0]]
    assert spelled == [f"AC{x}TACGTAC" for x in "GRAGR"]
    assert (windows.index[:, 0] == windows.index[:, 1]).all()
    with pytest.raises(HowfarError, match="record chr7:3: found 2 heterozygous"):
        build_windows(reference, file, gene, 10, unphased="error")
    coin = file.read(WHOLE, reference, unphased="random(4)")
    assert coin.calls[0].sum(1).tolist() == [0, 1, 2, -2, 1]


def test_samples_are_taken_in_the_order_asked_for(tmp_path, reference):
    file = opened(tmp_path, [("7", 3, "A", "G")])
    values, _ = file.dosages(WHOLE, reference, samples=["p4", "p2", "p0"])
    assert values[:, 0].tolist() == [1, 2, 0]
    with pytest.raises(HowfarError, match=r"1 are not in the file .*\.fam") as error:
        file.dosages(WHOLE, reference, samples=["nobody"])
    assert "nobody" not in str(error.value)


def test_neither_allele_matching_is_counted_and_above_a_rate_an_error(tmp_path, reference):
    good = [("7", p, "N", SEQUENCE[p - 1]) for p in range(1, 20)]
    file = opened(tmp_path, [*good, ("7", 23, "A", "C"), ("7", 24, "A", "C")])
    found = file.read(WHOLE, reference, max_ref_mismatch=0.1)
    assert len(found) == 19 and found.counts["REF mismatches"] == 2
    with pytest.raises(HowfarError, match=r"2 of 21 records .*7:23 REF C FASTA G.*ref-from-fa"):
        file.read(WHOLE, reference)


def test_palindromic_and_monomorphic_variants_are_counted(tmp_path, reference):
    rows = [("7", 3, "C", "G"), ("7", 5, "0", "A"), ("7", 6, "C", "0"), ("7", 7, "0", "T")]
    found = opened(tmp_path, rows).read(WHOLE, reference, max_ref_mismatch=0.5)
    assert len(found) == 1 and found.counts["palindromic SNVs"] == 1
    assert found.counts["variants of one allele, left out"] == 2
    assert found.counts["REF mismatches"] == 1  # everybody has T where the FASTA has G


def test_indels_of_which_either_allele_fits_follow_the_file(tmp_path, reference):
    """`AC` and `A` both fit the FASTA; other variants tell whether A2 is always the reference."""
    kept = opened(tmp_path, [("7", 5, "A", "AC"), ("7", 10, "A", "C")])
    assert kept.read(WHOLE, reference, alleles="all").alleles[0] == (b"AC", b"A")
    unsure = opened(tmp_path, [("7", 5, "A", "AC"), ("7", 10, "C", "A")])
    found = unsure.read(WHOLE, reference, alleles="all")
    assert [a[0] for a in found.alleles] == [b"C"]
    assert found.counts["indels either allele of which may be REF, left out"] == 1


def test_a_variant_that_reaches_into_the_interval_is_read(tmp_path, reference):
    file = opened(tmp_path, [("7", 2, "C", "CGTA"), ("7", 5, "A", "ACGT"), ("7", 30, "A", "C")])
    found = file.read(Interval("7", 6, 9), reference, alleles="all")
    assert found.starts.tolist() == [4]
    assert [file.cluster_start("chr7", p) for p in (0, 1, 2, 6, 8, 20)] == [0, 1, 1, 1, 8, 20]
    assert len(file.read(Interval("7", 12, 12), reference)) == 0


def test_variants_without_a_place_are_left_out_and_numbered_contigs_found(tmp_path, reference):
    file = opened(tmp_path, [("0", 0, "A", "G"), ("7", -3, "A", "G"), ("7", 3, "A", "G")])
    assert file.contigs == ["7"] and len(file.read(WHOLE, reference)) == 1
    (tmp_path / "x.fa").write_text(f">chrX\n{SEQUENCE}\n")
    sex = opened(tmp_path, [("23", 3, "A", "G")])
    with Reference(tmp_path / "x.fa") as other:
        assert len(sex.read(Interval("chrX", 0, 40), other)) == 1
        with pytest.raises(HowfarError, match=r"g\.bim, contig '9': found no such contig among 23"):
            sex.cluster_start("9", 4)


@pytest.mark.parametrize(("own", "shared"), [("23", "25"), ("X", "PAR1"), ("chrX", "chrXY")])
def test_the_shared_regions_of_x_are_part_of_it(tmp_path, own, shared):
    (tmp_path / "x.fa").write_text(f">chrX\n{SEQUENCE}\n")
    sites = [(own, 5, "G", "A"), (own, 15, "G", "A"), (shared, 3, "A", "G"), (shared, 23, "A", "G")]
    file = opened(tmp_path, sites, [COPIES, COPIES[::-1], COPIES[::-1], COPIES])
    with Reference(tmp_path / "x.fa") as other:
        for chrom in ("X", "chrX"):
            values, variants = file.dosages(Interval(chrom, 0, 40), other)
            assert [v.pos for v in variants] == [3, 5, 15, 23]
            expected = [COPIES[::-1], COPIES, COPIES[::-1], COPIES]
            np.testing.assert_array_equal(values.T, np.array(expected, np.float32))


def test_25_is_a_contig_of_its_own_where_x_has_a_name(tmp_path, reference):
    (tmp_path / "x.fa").write_text(f">X\n{SEQUENCE}\n>25\n{SEQUENCE}\n")
    file = opened(tmp_path, [("X", 3, "A", "G"), ("25", 3, "A", "G"), ("25", 7, "A", "G")])
    with Reference(tmp_path / "x.fa") as other:
        sizes = [len(file.read(Interval(c, 0, 40), other, unphased="dosage")) for c in ("X", "25")]
    assert sizes == [1, 2]


def _bed(content: bytes):
    return lambda folder: (folder / "g.bed").write_bytes(content)


def _text(name: str, text: str):
    return lambda folder: (folder / name).write_text(text)


def _gone(name: str):
    return lambda folder: (folder / name).unlink()


BAD = {
    "magic": (_bed(b"chr1\t0\t10"), r"g\.bed: found .* 63 68 72; expected 6c 1b 01"),
    "empty": (_bed(b""), "g.bed: found a file that starts with the bytes ;"),
    "by person": (_bed(b"\x6c\x1b\x00" + b"\0" * 4), "calls person by person"),
    "cut short": (_bed(b"\x6c\x1b\x01" + b"\0" * 3), "found 6 bytes; expected 7: 2 variants"),
    "too long": (_bed(b"\x6c\x1b\x01" + b"\0" * 9), r"found 12 bytes; expected 7: .* 5 people"),
    "no bim": (_gone("g.bim"), r"g\.bim: found no such file; expected the files \.bed"),
    "no fam": (_gone("g.fam"), r"g\.fam: found no such file"),
    "more variants": (_text("g.bim", "7 a 0 3 A G\n" * 3), "expected 9: 3 variants"),
    "fewer columns": (_text("g.bim", "7 a 0 3 A G\n7 b 0 4 A\n"), r"g\.bim, line 2: found fewer"),
    "more columns": (_text("g.bim", "7 a 0 3 A G\n7 b 0 4 A C x\n"), r"line 2: found more"),
    "header": (_text("g.bim", "chr id cm pos a1 a2\n7 a 0 3 A G\n"), "line 1: found 'pos' as pos"),
    "same allele": (
        _text("g.bim", "7 a 0 3 A G\n7 b 0 4 A A\n"),
        "line 2: found the allele 'A' tw",
    ),
    "nothing": (_text("g.bim", ""), "found 7 bytes; expected 3: 0 variants"),
    "binary": (lambda f: (f / "g.bim").write_bytes(b"\xff\xfe\0\1\n"), r"g\.bim"),
    "duplicate people": (_text("g.fam", "f p 0 0 0 0\n" * 5), "5 people, 4 of whose IIDs"),
    "fam columns": (_text("g.fam", "f p 0\n"), r"g\.fam, line 1: found fewer"),
}


@pytest.mark.parametrize("case", BAD)
def test_broken_files_are_named(tmp_path, case):
    bed = write_bed(tmp_path / "g", [("7", 3, "A", "G"), ("7", 4, "A", "T")], [COPIES] * 2, PEOPLE)
    breaks, message = BAD[case]
    breaks(tmp_path)
    with pytest.raises(HowfarError, match=message) as error:
        PlinkFile(bed)
    assert "p0" not in str(error.value)
    assert error.value.found and error.value.expected and error.value.do


def test_unsorted_variants_are_named(tmp_path, reference):
    file = opened(tmp_path, [("7", 9, "G", "A"), ("7", 3, "A", "G")])
    with pytest.raises(HowfarError, match=r"g\.bim, variant 2: found position 3 after 9"):
        file.read(WHOLE, reference)
