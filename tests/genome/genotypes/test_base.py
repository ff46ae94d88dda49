"""Calls of every kind, read as decided; what must stop, stops and names the record."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.places import REGION
from helpers.strategies import CONTIG, Record, World, worlds, write_vcf
from howfar.core.errors import HowfarError
from howfar.genome.genotypes.base import is_snv_site
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.intervals import Interval, Variant
from howfar.genome.reference import Reference

SEQUENCE = "ACGTACGTAC" * 4
WHOLE = Interval(CONTIG, 0, 40)


def read(folder, *records, people=("p0", "p1", "p2"), interval=WHOLE, **options):
    """Genotypes of the records over SEQUENCE; all alleles unless told otherwise."""
    fasta, vcf = World(SEQUENCE, list(records), people).write(folder)
    with Reference(fasta) as reference, VariantFile(vcf) as variants:
        return variants.read(interval, reference, **({"alleles": "all"} | options))


def calls(genotypes, record=0):
    return genotypes.calls[record].tolist()


def test_spans_alleles_and_calls(tmp_path):
    found = read(
        tmp_path,
        Record(3, "G", ("a", "GTT"), ("0|1", "2|0", "1|2")),
        Record(5, "ACG", ("A",), ("0|0", "1|1", "0|0")),
    )
    assert found.starts.tolist() == [2, 4] and found.ends.tolist() == [3, 7]
    assert found.alleles == [(b"G", b"A", b"GTT"), (b"ACG", b"A")]
    assert calls(found) == [[0, 1], [2, 0], [1, 2]]
    assert found.calls.dtype == np.int8 and found.samples == ("p0", "p1", "p2")


def test_missing_half_and_haploid_calls(tmp_path):
    found = read(tmp_path, Record(3, "G", ("A",), (".|.", ".|1", "1")))
    assert calls(found) == [[-1, -1], [-1, 1], [1, 1]]
    assert found.counts["missing calls"] == found.counts["half calls"] == 1
    assert found.counts["haploid calls"] == 1
    alone = read(tmp_path, Record(3, "G", ("A",), ("1", ".", "0")))
    assert calls(alone) == [[1, 1], [-1, -1], [0, 0]]
    assert alone.counts["haploid calls"] == 2 and alone.counts["missing calls"] == 1


def test_polyploid_calls_are_an_error(tmp_path):
    with pytest.raises(HowfarError, match=f"record {CONTIG}:3: found a call with 3 alleles"):
        read(tmp_path, Record(3, "G", ("A",), ("0|1|1", "0|0", "0|0")))


def test_star_and_symbolic_alleles_are_counted(tmp_path):
    found = read(
        tmp_path,
        Record(3, "G", ("*", "A"), ("1|2", "0|0", "0|0")),
        Record(4, "T", ("<DEL>",), ("1|1", "0|0", "0|0")),
        Record(5, "A", ("<DEL>", "C"), ("1|2", "0|0", "0|0")),
    )
    assert found.starts.tolist() == [2, 4]
    assert found.counts["star alleles"] == 1 and found.counts["symbolic alleles"] == 2
    dosages, variants = found.dosages()
    assert [str(v) for v in variants] == [f"{CONTIG}:3:G:A", f"{CONTIG}:5:A:C"]
    assert dosages.tolist() == [[1, 1], [0, 0], [0, 0]]


def test_a_deletion_that_reaches_in_from_the_left_is_counted(tmp_path):
    plain = write_vcf(
        tmp_path / "v.vcf",
        [
            Record(3, "G", ("<DEL>",), ("1|1", "0|0")),
            Record(25, "A", ("C",), ("0|1", "0|0")),
        ],
        ("a", "b"),
        CONTIG,
        40,
    ).with_suffix("")
    info = '##INFO=<ID=END,Number=1,Type=Integer,Description="e">\n##ALT'
    text = plain.read_text().replace("##ALT", info).replace("\t.\tGT", "\tEND=20\tGT", 1)
    plain.write_text(text)
    pysam.tabix_compress(str(plain), f"{plain}.gz", force=True)
    pysam.tabix_index(f"{plain}.gz", preset="vcf", force=True)
    fasta, _ = World(SEQUENCE, []).write(tmp_path)
    with Reference(fasta) as reference, VariantFile(f"{plain}.gz") as variants:
        for start, met in ((2, 1), (3, 1), (19, 1), (20, 0)):
            found = variants.read(Interval(CONTIG, start, 40), reference, alleles="all")
            assert found.starts.tolist() == [24], start
            assert found.counts["symbolic alleles"] == met, start
        assert variants.cluster_start(CONTIG, 15) == 15


def test_a_reader_of_few_people_is_opened_once(tmp_path, monkeypatch):
    names = ("^a", "b", "c", "d", "e")
    record = Record(3, "G", ("A",), ("0|1", *["0|0"] * 4))
    fasta, vcf = World(SEQUENCE, [record], names).write(tmp_path)
    opened, own = [], VariantFile._open
    monkeypatch.setattr(
        VariantFile, "_open", lambda self, people: opened.append(people) or own(self, people)
    )
    with Reference(fasta) as reference, VariantFile(vcf) as variants:
        for chosen in (["^a"], ["c", "b"]):
            opened.clear()
            for _ in range(3):
                found = variants.read(WHOLE, reference, samples=chosen)
                assert found.calls[0, 0].tolist() == [0, int(chosen == ["^a"])]
            assert opened == [sorted(chosen)]


def test_duplicate_positions_are_kept_and_counted(tmp_path):
    record = Record(3, "G", ("A",), ("1|0", "0|0", "0|0"))
    found = read(tmp_path, record, Record(3, "G", ("GT",), ("0|1", "0|0", "0|0")))
    assert len(found) == 2 and found.counts["duplicate positions"] == 1


def test_snv_mode(tmp_path):
    one = ("1|0", "0|0", "0|0")
    kinds = [("G", ("A",)), ("T", ("TA",)), ("AC", ("GT",)), ("CG", ("CT",)), ("G", ("A", "GT"))]
    places = [3, 4, 5, 6, 7]
    records = [Record(p, ref, alts, one) for p, (ref, alts) in zip(places, kinds, strict=True)]
    found = read(tmp_path, *records, alleles="snv")
    assert (found.starts + 1).tolist() == [3, 6]
    assert found.counts["non-SNV sites left out"] == 3
    assert is_snv_site((b"A", b"C", b"*")) and not is_snv_site((b"A", b"*"))
    assert not is_snv_site((b"A", b"C", b"<DEL>"))


@pytest.mark.parametrize("other", ["<*>", "<NON_REF>", "<X>"])
def test_any_other_allele_of_a_gvcf_leaves_an_snv_one(tmp_path, other):
    calls = ("1|0", "0|0", "2|1")
    found = read(tmp_path, Record(3, "G", ("A", other), calls), alleles="snv")
    assert found.calls[0].tolist() == [[1, 0], [0, 0], [2, 1]]
    assert found.counts["symbolic alleles"] == 1 and not found.counts["non-SNV sites left out"]
    assert not is_snv_site((b"G", other.encode()))


@pytest.mark.skipif(shutil.which("bcftools") is None, reason="bcftools is not installed")
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=worlds())
def test_snv_sites_are_those_of_bcftools_view(tmp_path, world):
    fasta, vcf = world.write(tmp_path)
    kinds = "indels,mnps,ref,bnd,other"
    done = subprocess.run(
        ["bcftools", "view", "-H", "-v", "snps", "-V", kinds, vcf],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:  # -v and -V exclude one another: two steps
        first = subprocess.run(
            ["bcftools", "view", "-v", "snps", vcf], capture_output=True, check=True
        )
        done = subprocess.run(
            ["bcftools", "view", "-H", "-V", kinds], input=first.stdout, capture_output=True
        )
        done.stdout = done.stdout.decode()
    expected = [int(line.split("\t")[1]) - 1 for line in done.stdout.splitlines()]
    with Reference(fasta) as reference, VariantFile(vcf) as variants:
        whole = Interval(CONTIG, 0, len(world.sequence))
        assert variants.read(whole, reference).starts.tolist() == expected


def test_unphased_heterozygotes_stop_with_the_record_and_no_name(tmp_path):
    records = (
        Record(3, "G", ("A",), ("1/1", "0/0", "./.")),
        Record(7, "G", ("A",), ("0/1", "0|1", "./1")),
    )
    with pytest.raises(HowfarError, match=rf"record {CONTIG}:7: found 2 heterozygous") as error:
        read(tmp_path, *records)
    assert "p0" not in str(error.value)
    assert len(read(tmp_path, records[0])) == 1  # homozygous calls need no phase


def test_random_phase_depends_on_seed_record_and_person_alone(tmp_path):
    people = tuple(f"p{i}" for i in range(64))
    records = [Record(p, "G", ("A",), ("0/1",) * 64) for p in (3, 7, 13)]
    options = {"people": people, "unphased": "random(5)"}
    whole = read(tmp_path, *records, **options)
    part = read(tmp_path, *records, interval=Interval(CONTIG, 5, 9), **options)
    few = read(tmp_path, *records, samples=["p9", "p3"], **options)
    assert (part.calls[0] == whole.calls[1]).all()
    assert (few.calls == whole.calls[:, [9, 3]]).all()
    assert (whole.calls.sum(2) == 1).all() and whole.counts["unphased calls"] == 192
    first = whole.calls[:, :, 0]
    assert 0.3 < first.mean() < 0.7 and (first[0] != first[1]).any()
    other = read(tmp_path, *records, people=people, unphased="random(6)")
    assert (other.calls != whole.calls).any()


def test_dosage_phase_writes_iupac_codes_and_skips_indels(tmp_path):
    found = read(
        tmp_path,
        Record(3, "G", ("A", "T"), ("0/1", "1/2", "1|0")),
        Record(5, "AC", ("A", "GT"), ("0/1", "0/2", "2/2")),
        unphased="dosage",
    )
    spelled = [[found.alleles[0][k].decode() for k in pair] for pair in calls(found)]
    assert spelled == [["R", "R"], ["W", "W"], ["A", "G"]]
    assert [found.alleles[1][k].decode() for k, _ in calls(found, 1)] == ["AC", "RY", "GT"]
    assert found.counts["unphased indels skipped"] == 1
    dosages, variants = found.dosages()
    assert [v.alt for v in variants] == ["A", "T", "A", "GT"]
    assert dosages[:, [0, 1, 3]].tolist() == [[1, 0, 0], [1, 1, 1], [1, 0, 2]]


def test_dosages_per_alt_with_missing_as_nan(tmp_path):
    world = World(
        SEQUENCE,
        [
            Record(3, "GTA", ("G",), ("1|1", "0|0", "0|0")),
            Record(5, "A", ("C", "AT"), ("0/1", "1|2", ".|2")),
            Record(7, "G", ("A",), ("1", ".", "0")),
        ],
        ("p0", "p1", "p2"),
    )
    fasta, vcf = world.write(tmp_path)
    with Reference(fasta) as reference, VariantFile(vcf) as variants:
        values, names = variants.dosages(Interval(f"chr{CONTIG}", 4, 20), reference)
    assert names[0] == Variant(f"chr{CONTIG}", 5, "A", "C") and len(names) == 3
    expected = [[1, 0, 2], [1, 1, np.nan], [np.nan, np.nan, 0]]
    np.testing.assert_array_equal(values, np.array(expected, np.float32))
    assert values.dtype == np.float32


def test_records_that_start_before_the_interval_but_reach_into_it(tmp_path):
    found = read(
        tmp_path,
        Record(3, "GTACG", ("G",), ("1|1", "0|0", "0|0")),
        Record(4, "T", ("C",), ("1|1", "0|0", "0|0")),
        interval=Interval(CONTIG, 6, 10),
    )
    assert found.starts.tolist() == [2]


def test_cluster_start_follows_overlaps_to_the_left(tmp_path):
    calls = ("0|0", "0|0", "0|0")
    records = [Record(2, "CGTA", ("C",), calls), Record(5, "ACGT", ("A",), calls)]
    fasta, vcf = World(SEQUENCE, records, ("a", "b", "c")).write(tmp_path)
    del fasta
    with VariantFile(vcf) as variants:
        assert [variants.cluster_start(CONTIG, p) for p in (0, 1, 2, 6, 8, 20)] == [
            0,
            1,
            1,
            1,
            8,
            20,
        ]


def test_ref_mismatches_are_left_out_and_counted_up_to_a_rate(tmp_path):
    good = [Record(p, SEQUENCE[p - 1], ("N",), ("0|0",) * 3) for p in range(1, 31)]
    bad = Record(33, "T", ("A",), ("1|1",) * 3)
    found = read(tmp_path, *good, bad, max_ref_mismatch=0.05)
    assert len(found) == 30 and found.counts["REF mismatches"] == 1
    assert read(tmp_path, *good, bad).counts["REF mismatches"] == 1  # one says nothing of the build
    with pytest.raises(HowfarError, match=r"1 of 31 records .* share of 0 .*--max-ref-mismatch"):
        read(tmp_path, *good, bad, max_ref_mismatch=0)
    again = Record(37, "A", ("C",), ("1|1",) * 3)
    with pytest.raises(HowfarError, match=rf"2 of 32 records .*{CONTIG}:33 REF T FASTA G"):
        read(tmp_path, *good, bad, again)
    beyond = Record(40, "CA", ("C",), ("1|1",) * 3)
    assert read(tmp_path, *good, beyond, max_ref_mismatch=0.05).counts["REF mismatches"] == 1


def test_contig_names_are_reconciled_and_a_missing_one_is_an_error(tmp_path):
    record = Record(3, "G", ("A",), ("1|0", "0|0", "0|0"))
    fasta, _ = World(SEQUENCE, [record], ("a", "b", "c")).write(tmp_path)
    vcf = write_vcf(tmp_path / "chr.vcf", [record], ("a", "b", "c"), f"chr{CONTIG}", 40)
    with Reference(fasta) as reference, VariantFile(vcf) as variants:
        assert len(variants.read(WHOLE, reference)) == 1
        assert len(variants.read(Interval(f"chr{CONTIG}", 0, 40), reference)) == 1
        with pytest.raises(HowfarError, match=f"contig '8': found no record of .*chr{CONTIG}"):
            variants.read(Interval("8", 0, 40), reference)


def test_samples_are_taken_in_the_order_asked_for(tmp_path):
    record = Record(3, "G", ("A",), ("0|0", "0|1", "1|1", "1|0", "0|0"))
    people = ("a", "b", "c", "d", "e")
    for asked in (("d", "b"), ("e", "d", "c", "b")):
        found = read(tmp_path, record, people=people, samples=asked)
        assert found.samples == asked
        wanted = [[int(x) for x in record.calls[people.index(s)].split("|")] for s in asked]
        assert calls(found) == wanted


@pytest.mark.parametrize("asked", [["p0", "nobody"], ["p0", "p0"], []])
def test_wrong_sample_lists_are_an_error_without_names(tmp_path, asked):
    with pytest.raises(HowfarError, match=r"\d samples asked for") as error:
        read(tmp_path, Record(3, "G", ("A",), ("0|0",) * 3), samples=asked)
    assert "nobody" not in str(error.value)


def test_wrong_options_are_named(tmp_path):
    record = Record(3, "G", ("A",), ("0|0",) * 3)
    with pytest.raises(HowfarError, match="^--unphased"):
        read(tmp_path, record, unphased="random")
    with pytest.raises(HowfarError, match="^--alleles"):
        read(tmp_path, record, alleles="indels")


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(HowfarError, match="no such file"):
        VariantFile(tmp_path / "none.vcf.gz")
    vcf = write_vcf(tmp_path / "v.vcf", [], ("a",), CONTIG, 40)
    with pytest.raises(HowfarError, match="a header and no record"):
        VariantFile(vcf)
    sites = write_vcf(tmp_path / "s.vcf", [], (), CONTIG, 40)
    with pytest.raises(HowfarError, match="no genotypes"):
        VariantFile(sites)
    twice = write_vcf(tmp_path / "twice.vcf", [], ("a", "a"), CONTIG, 40)
    with pytest.raises(HowfarError, match=r"line 5: found one name in the columns 10 and 11"):
        VariantFile(twice)
    rubbish = tmp_path / "page.vcf.gz"
    rubbish.write_bytes(b"<html>not found</html>")
    with pytest.raises(HowfarError, match="starts with '<html>"):
        VariantFile(rubbish)


@pytest.mark.skipif(shutil.which("bcftools") is None, reason="bcftools is not installed")
def test_bcf_with_csi_reads_the_same(tmp_path):
    records = [
        Record(3, "G", ("A", "GT"), ("0|1", "2|.", "1")),
        Record(9, "ACA", ("A",), ("1|0", "0|0", "1|1")),
    ]
    fasta, vcf = World(SEQUENCE, records, ("a", "b", "c")).write(tmp_path)
    bcf = tmp_path / "v.bcf"
    subprocess.run(["bcftools", "view", "-Ob", "-o", bcf, vcf], check=True)
    subprocess.run(["bcftools", "index", bcf], check=True)
    with Reference(fasta) as reference, VariantFile(vcf) as one, VariantFile(bcf) as two:
        a, b = (f.read(WHOLE, reference, alleles="all") for f in (one, two))
    assert a.alleles == b.alleles and (a.calls == b.calls).all() and a.counts == b.counts


@pytest.mark.skipif(not REGION.is_dir(), reason="the real megabase is not here")
def test_dosages_of_the_real_megabase_give_its_allele_frequencies():
    """Its carriers were simulated to published frequencies, which the file states per site."""
    from cyvcf2 import VCF

    path = REGION / "chr20_1Mb.vcf.gz"
    interval = Interval("chr20", 300_000, 500_000)
    with Reference(REGION / "chr20_1Mb.fa") as reference, VariantFile(path) as variants:
        values, names = variants.dosages(interval, reference)
        european = np.array([s.startswith("EUR") for s in variants.samples])
    stated = {}
    for record in VCF(str(path))("20:300001-500000"):
        given_af = record.INFO["EUR_AF"]
        listed = given_af if isinstance(given_af, tuple) else (given_af,)
        stated |= {(record.POS, record.REF, a): f for a, f in zip(record.ALT, listed, strict=True)}
    expected = np.array([stated[v.pos, v.ref, v.alt] for v in names])
    observed = values[european].mean(0) / 2
    assert values.shape == (421, len(names)) and len(names) > 2000
    assert np.corrcoef(expected, observed)[0, 1] > 0.99


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=worlds(), start=st.integers(-5, 130), length=st.integers(0, 60))
def test_a_region_is_the_overlapping_part_of_the_whole(tmp_path, world, start, length):
    fasta, vcf = world.write(tmp_path)
    with Reference(fasta) as reference, VariantFile(vcf) as variants:
        part = variants.read(Interval(CONTIG, start, start + length), reference, alleles="all")
    inside = [
        (r.ref, *r.alts)
        for r in world.records
        if r.pos - 1 < start + length
        and r.pos - 1 + len(r.ref) > max(start, 0)
        and set(r.alts) != {"*"}
        and start + length > 0 < length
    ]
    assert [tuple(a.decode() for a in alleles) for alleles in part.alleles] == inside


def rewritten(folder, old: bytes, new: bytes):
    """A VCF of one record with some of its bytes replaced."""
    record = Record(3, "G", ("A",), ("0|1", "0|0"))
    plain = write_vcf(folder / "v.vcf", [record], ("a", "b"), CONTIG, 40).with_suffix("")
    text = plain.read_bytes()
    assert old in text
    plain.write_bytes(text.replace(old, new))
    pysam.tabix_compress(str(plain), f"{plain}.gz", force=True)
    pysam.tabix_index(f"{plain}.gz", preset="vcf", force=True)
    return Path(f"{plain}.gz")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"\ta\tb\n", b"\t\xff\tb\n", "header: found bytes that are no UTF-8"),
        (b"\tG\tA\t", b"\tG\t\xe4\t", "line 6: found REF 'G', ALT"),
    ],
)
def test_bytes_that_are_no_text_are_an_error(tmp_path, old, new, message):
    vcf = rewritten(tmp_path, old, new)
    fasta, _ = World(SEQUENCE, []).write(tmp_path)
    with pytest.raises(HowfarError, match=message), VariantFile(vcf) as variants:
        variants.read(WHOLE, Reference(fasta))


def test_alleles_of_iupac_codes_are_left_out_and_counted(tmp_path):
    calls = ("0|1", "0|0", "0|0")
    found = read(
        tmp_path, Record(3, "G", ("K",), calls), Record(5, "A", ("R", "C", "A[7:9["), calls)
    )
    assert found.starts.tolist() == [4]
    with pytest.raises(HowfarError, match="line 6: found REF 'G', ALT 'X'"):
        read(tmp_path, Record(3, "G", ("X",), calls))
    assert found.counts["alleles of IUPAC codes"] == 2
    assert found.counts["symbolic alleles"] == 1


@pytest.mark.skipif(shutil.which("bcftools") is None, reason="bcftools is not installed")
def test_snvs_of_the_other_strand_come_with_the_command_that_turns_them(tmp_path):
    calls = ("0|1", "1|1")
    flipped = [
        Record(3, "C", ("T",), calls),
        Record(5, "T", ("G",), calls),
        Record(8, "A", ("T",), calls),
        Record(10, "G", ("A",), calls),
    ]
    fasta, vcf = World("ACGTACGTAC" * 4, flipped).write(tmp_path)
    with Reference(fasta) as reference:
        with pytest.raises(HowfarError, match="letters of the other strand") as error:
            VariantFile(vcf).read(Interval(CONTIG, 0, 40), reference)
        names = {"FILE": vcf, "NEW.vcf.gz": tmp_path / "new.vcf.gz", "FASTA": fasta}
        words = re.search("`(.+)`", error.value.do)[1].split()
        words = [str(names.get(word, word)) for word in words]
        subprocess.run(words, check=True, capture_output=True)
        with pytest.warns(UserWarning, match="the index is not there"):
            found = VariantFile(tmp_path / "new.vcf.gz").read(Interval(CONTIG, 0, 40), reference)
        assert found.alleles == [(b"G", b"A"), (b"A", b"C"), (b"C", b"T")]
        assert found.calls.tolist() == [[[0, 1], [1, 1]]] * 3
        swapped = [Record(3, "A", ("G",), calls), Record(5, "C", ("A",), calls)]
        _, vcf = World("ACGTACGTAC" * 4, swapped).write(tmp_path)
        with pytest.raises(HowfarError, match=r"FASTA A; .*major and minor allele"):
            VariantFile(vcf).read(Interval(CONTIG, 0, 40), reference)
