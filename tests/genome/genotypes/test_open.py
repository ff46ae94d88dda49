"""Every kind of genotype file behind `open_variants`; the round trip through PLINK."""

from __future__ import annotations

import re
import shutil
import subprocess
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest

from helpers.plink_files import write_bed
from helpers.strategies import CONTIG, Record, World, write_vcf
from howfar.cli.app import main
from howfar.cohort.files import input_files, unphased_rule
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.genome.genes import read_genes
from howfar.genome.genotypes.base import BESIDE_CALLS
from howfar.genome.genotypes.open import SplitVariants, kind_of, open_variants, variant_files
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.intervals import Interval
from howfar.genome.reference import Reference
from howfar.genome.windows import build_windows
from howfar.prediction import run as predict
from howfar.prediction.store import open_store
from howfar.study.schema import Study

SEQUENCE = "ACGTACGTAC" * 4
WHOLE = Interval(CONTIG, 0, 40)
PEOPLE = ("p0", "p1", "p2")
RECORD = Record(3, "G", ("A",), ("0|1", "1|1", "0|0"))
WITHIN = Interval("chr20", 480_000, 520_000)
PLINK2 = pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")


def text_vcf(path: Path, formats: str, *lines: str, people=PEOPLE, sets="Integer") -> Path:
    """A VCF with FORMAT fields `formats` ('DS' or 'GT') in its header; sets: the type of PS."""
    kinds = {
        "DS": "Number=A,Type=Float",
        "GT": "Number=1,Type=String",
        "HDS": "Number=2,Type=Float",
        "GP": "Number=G,Type=Float",
        "PS": f"Number=1,Type={sets}",
    }
    head = ["##fileformat=VCFv4.2", f"##contig=<ID={CONTIG},length=40>"]
    head += [f'##FORMAT=<ID={f},{kinds[f]},Description="{f}">' for f in formats.split()]
    fixed = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *people]
    body = ["\t".join(line.split()) for line in lines]
    path.write_text("\n".join([*head, "\t".join(fixed), *body]) + "\n")
    pysam.tabix_compress(str(path), f"{path}.gz", force=True)
    pysam.tabix_index(f"{path}.gz", preset="vcf", force=True)
    return Path(f"{path}.gz")


@pytest.fixture
def reference(tmp_path):
    fasta, _ = World(SEQUENCE, [RECORD], PEOPLE).write(tmp_path)
    with Reference(fasta) as opened:
        yield opened


# --- one seam -------------------------------------------------------------------------------


def test_the_path_decides(tmp_path, reference):
    write_bed(tmp_path / "g", [(CONTIG, 3, "A", "G")], [[1, 2, 0]], PEOPLE)
    given = [tmp_path / "variants.vcf.gz", tmp_path / "g", tmp_path / "g.bed"]
    given.append(tmp_path / "{chrom}.bed")
    write_bed(tmp_path / CONTIG, [(CONTIG, 3, "A", "G")], [[1, 2, 0]], PEOPLE)
    for path in given:
        with open_variants(path) as file:
            values, _ = file.dosages(WHOLE, reference)
        assert values[:, 0].tolist() == [1, 2, 0], path
    assert [kind_of(p) for p in given] == ["vcf", "plink1", "plink1", "template"]
    assert kind_of("a.pgen") == "plink2" and kind_of("a.bcf") == "vcf"
    (tmp_path / "g.pgen").touch()
    with pytest.raises(HowfarError, match=r"found both a \.bed and a \.pgen file"):
        open_variants(tmp_path / "g")
    with pytest.raises(HowfarError, match="none: found no such file"):
        open_variants(tmp_path / "none")


def test_ids_of_records_give_their_positions(tmp_path):
    """From a VCF, PLINK 1, and one file per contig; several ids of a record, or none."""
    lines = [f"{CONTIG} {p} {i} G A . . . GT 0|1 1|1 0|0" for p, i in ((3, "rs1;rs2"), (7, "."))]
    vcf = text_vcf(tmp_path / "v.vcf", "GT", *lines)
    write_bed(tmp_path / CONTIG, [(CONTIG, 3, "A", "G")], [[1, 2, 0]], PEOPLE)
    for path, expected in (
        (vcf, {"rs1": 3, "rs2": 3}),
        (tmp_path / f"{CONTIG}.bed", {"v0": 3}),
        (tmp_path / "{chrom}.bed", {"v0": 3}),
    ):
        with open_variants(path) as file:
            assert file.ids(WHOLE) == expected
            assert file.ids(Interval(CONTIG, 10, 40)) == {}


def as_bcf(vcf: Path, name: str) -> Path:
    """The records of a VCF as BCF, without an index."""
    out = vcf.with_name(name)
    source = pysam.VariantFile(str(vcf))
    with source, pysam.VariantFile(str(out), "wb", header=source.header) as written:
        for record in source:
            written.write(record)
    return out


def moved(vcf: Path, name: str, index: str = "") -> Path:
    """A copy of a VCF under another name, with an index whose name ends in `index`."""
    out = Path(shutil.copy(vcf, vcf.with_name(name)))
    if index:
        pysam.tabix_index(str(out), preset="vcf", csi=index == ".csi", force=True)
    return out


NAMES = {
    "VCF named .bcf": lambda vcf: moved(vcf, "v.bcf"),
    "VCF named .bcf with its CSI": lambda vcf: moved(vcf, "v.bcf", ".csi"),
    "VCF named .bcf with its TBI": lambda vcf: moved(vcf, "v.bcf", ".tbi"),
    "VCF named .bed": lambda vcf: moved(vcf, "v.bed", ".tbi"),
    "VCF without an ending": lambda vcf: moved(vcf, "v", ".tbi"),
    "plain VCF named .bcf": lambda vcf: moved(vcf.with_suffix(""), "v.bcf"),
    "plain VCF named .vcf.gz": lambda vcf: moved(vcf.with_suffix(""), "w.vcf.gz"),
    "BCF named .vcf.gz": lambda vcf: as_bcf(vcf, "w.vcf.gz"),
    "BCF named .pgen": lambda vcf: as_bcf(vcf, "w.pgen"),
    "PLINK 1 named .dat": lambda vcf: bed_of_record(vcf.with_name("g")).rename(
        vcf.with_name("g.dat")
    ),
    "PLINK 1 named .vcf": lambda vcf: bed_of_record(vcf.with_name("g")).rename(
        vcf.with_name("g.vcf")
    ),
}


def bed_of_record(prefix: Path) -> Path:
    """PLINK 1 files of RECORD."""
    return write_bed(prefix, [(CONTIG, 3, "A", "G")], [[1, 2, 0]], PEOPLE)


@pytest.mark.filterwarnings("ignore:.*the index")
@pytest.mark.parametrize("case", NAMES)
def test_the_content_tells_the_kind_and_not_the_name(tmp_path, reference, case):
    path = NAMES[case](tmp_path / "variants.vcf.gz")
    with open_variants(path) as file:
        values, _ = file.dosages(WHOLE, reference)
        few, _ = file.dosages(WHOLE, reference, samples=["p1"])
    assert values[:, 0].tolist() == [1, 2, 0] and few.tolist() == [[2]]
    assert variant_files(path)["variants"] == path


# --- contigs --------------------------------------------------------------------------------


def contigs_vcf(path: Path, header: tuple[str, ...], records: tuple[str, ...]) -> Path:
    """A VCF whose header names some contigs and whose records are RECORD on others."""
    packed = write_vcf(path, [], PEOPLE, CONTIG, 40)
    text = path.read_text()
    line = f"##contig=<ID={CONTIG},length=40>\n"
    lines = "".join(f"##contig=<ID={name},length=40>\n" for name in header)
    body = [f"{name}\t3\t.\tG\tA\t.\t.\t.\tGT\t0|1\t1|1\t0|0\n" for name in records]
    path.write_text(text.replace(line, lines) + "".join(body))
    pysam.tabix_compress(str(path), str(packed), force=True)
    pysam.tabix_index(str(packed), preset="vcf", force=True)
    return packed


@pytest.mark.parametrize("bcf", [False, True])
def test_a_contig_is_one_that_has_records(tmp_path, reference, bcf):
    header = (CONTIG, f"chr{CONTIG}", "8")
    path = contigs_vcf(tmp_path / "c.vcf", header if bcf else header[:1], (f"chr{CONTIG}",))
    if bcf:
        path = as_bcf(path, "c.bcf")
        pysam.tabix_index(str(path), preset="bcf", csi=True)
    with open_variants(path) as file:
        assert file.contigs == [f"chr{CONTIG}"]
        assert len(file.read(WHOLE, reference)) == 1 and file.cluster_start(CONTIG, 3) == 3
        with pytest.raises(HowfarError, match=rf"contig '8': found no record .* chr{CONTIG}"):
            file.read(Interval("8", 0, 40), reference)


def test_a_contig_under_two_names_stops(tmp_path, reference):
    path = contigs_vcf(tmp_path / "c.vcf", (), (CONTIG, f"chr{CONTIG}"))
    with open_variants(path) as file, pytest.raises(HowfarError, match=r"two names, 7 and chr7"):
        file.read(WHOLE, reference)


def test_a_file_of_another_contig_and_one_cut_behind_its_header_stop(tmp_path, reference):
    for place, contig in (("1", "1"), ("2", "1")):
        contigs_vcf(tmp_path / f"{place}.vcf", ("1", "2", "3"), (contig,))
    contigs_vcf(tmp_path / "3.vcf", ("1", "2", "3"), ())
    with open_variants(tmp_path / "{chrom}.vcf.gz") as files:
        with pytest.raises(HowfarError, match=r"2\.vcf\.gz, contig '2': found no record of it"):
            files.read(Interval("2", 0, 40), reference)
        with pytest.raises(HowfarError, match=r"3\.vcf\.gz: found a header and no record"):
            files.read(Interval("3", 0, 40), reference)


def test_the_index_of_a_file_before_it_had_records_is_not_used(tmp_path, reference):
    path = contigs_vcf(tmp_path / "c.vcf", (CONTIG,), ())
    empty = Path(f"{path}.tbi").read_bytes()
    contigs_vcf(tmp_path / "c.vcf", (CONTIG,), (CONTIG,))
    Path(f"{path}.tbi").write_bytes(empty)
    with pytest.warns(UserWarning, match="the index does not fit"), open_variants(path) as file:
        assert len(file.read(WHOLE, reference)) == 1


# --- people ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["^C", "-", "^", "Lee, C", "p0,p1", ",", "p 2", "p0,", " p0"])
def test_a_person_gets_their_own_calls_whatever_the_name(tmp_path, reference, name):
    people = ("p0", "p1", name, "p3", "p4")
    calls = ("0|0", "0|0", "1|1", "0|1", "0|0")
    vcf = write_vcf(tmp_path / "n.vcf", [Record(3, "G", ("A",), calls)], people, CONTIG, 40)
    for asked in ([name], ["p0", name], [name, "p1"]):
        with open_variants(vcf) as file:
            found = file.read(WHOLE, reference, samples=asked)
        assert found.samples == tuple(asked)
        assert found.calls[0, asked.index(name)].tolist() == [1, 1] and found.calls.sum() == 2


def test_one_file_per_contig_is_opened_when_asked_for(tmp_path, reference):
    for contig in ("7", "8", "10"):
        write_vcf(tmp_path / f"chr{contig}.vcf", [RECORD], PEOPLE, contig, 40)
    file = open_variants(tmp_path / "chr{chrom}.vcf.gz")
    assert file.contigs == ["7", "8", "10"] and file.samples == PEOPLE
    (tmp_path / "chr8.vcf.gz").write_bytes(b"broken")  # nobody asks for it yet
    assert len(file.read(Interval("chr7", 0, 40), reference)) == 1
    assert file.cluster_start("7", 5) == 5
    with pytest.raises(HowfarError, match=r"chr8\.vcf\.gz: found a file that starts"):
        file.cluster_start("chr8", 5)
    with pytest.raises(HowfarError, match="contig '9': found no such contig among 7, 8, 10"):
        file.cluster_start("9", 5)
    file.close()


def test_files_of_contigs_must_have_the_same_people(tmp_path):
    for contig, people in (("7", PEOPLE), ("8", PEOPLE[::-1]), ("9", ("p0", "p1", "x"))):
        write_vcf(tmp_path / f"{contig}.vcf", [RECORD], people, contig, 40)
    file = SplitVariants(tmp_path / "{chrom}.vcf.gz")
    with pytest.raises(HowfarError, match=r"8\.vcf\.gz: found 3 people, in another order") as one:
        file.cluster_start("8", 3)
    with pytest.raises(HowfarError, match="3 people, 2 of whom one file alone has"):
        file.cluster_start("9", 3)
    assert "p0" not in str(one.value)
    with pytest.raises(HowfarError, match="no file of that name for any contig"):
        open_variants(tmp_path / "none{chrom}.vcf.gz")
    with pytest.raises(HowfarError, match=r"\{chrom\} 2 times"):
        open_variants(tmp_path / "{chrom}/{chrom}.vcf.gz")


def test_all_files_of_a_source_are_named(tmp_path):
    write_bed(tmp_path / "g", [(CONTIG, 3, "A", "G")], [[1, 2, 0]], PEOPLE)
    names = variant_files(tmp_path / "g")
    assert {k: f.name for k, f in names.items()} == {
        "variants": "g.bed",
        "variants bim": "g.bim",
        "variants fam": "g.fam",
    }
    for contig in ("2", "10"):
        write_vcf(tmp_path / f"c{contig}.vcf", [], PEOPLE, contig, 40)
    split = variant_files(tmp_path / "c{chrom}.vcf.gz")
    assert list(split) == ["variants 2", "variants 10"]
    assert variant_files(tmp_path / "none") == {"variants": tmp_path / "none"}


# --- calls and dosages of VCF files -----------------------------------------------------------


def test_a_file_of_dosages_alone_gives_dosages_and_no_windows(tmp_path, reference):
    vcf = text_vcf(
        tmp_path / "ds.vcf",
        "DS",
        f"{CONTIG} 2 . CGT C . . . DS 1 1 1",
        f"{CONTIG} 3 . G A . . . DS 0.25 . 1.5",
        f"{CONTIG} 5 . A C,<DEL>,T . . . DS 0.5,1,0.1 0,0,2 1,0,0",
        f"{CONTIG} 9 . G C . . . DS 1 1 1",
    )
    with open_variants(vcf) as file:
        interval = Interval(CONTIG, 2, 40)
        values, variants = file.dosages(interval, reference, max_ref_mismatch=0.5)
        assert [str(v) for v in variants] == ["7:3:G:A", "7:5:A:C", "7:5:A:T"]
        expected = [[0.25, 0.5, 0.1], [np.nan, 0, 2], [1.5, 1, 0]]
        np.testing.assert_array_equal(values, np.array(expected, np.float32))
        one, _ = file.dosages(interval, reference, samples=["p2"], max_ref_mismatch=0.5)
        assert one.tolist() == [[1.5, 1, 0]]
        with pytest.raises(HowfarError, match="1 of 4 records whose REF differs"):
            file.dosages(interval, reference, max_ref_mismatch=0)
        with pytest.raises(HowfarError, match=r"found dosages \(FORMAT field DS\) and no calls"):
            file.read(WHOLE, reference)


STATED = {
    "HDS": ["0.1,0.8 0,0 1,0.6", "0,0.3 . 1,1"],  # as Minimac4 writes them by default
    "GP": ["0.2,0.7,0.1 1,0,0 0,0.5,0.5", "0.75,0.25,0 . 0,0,1"],
}


def stated_vcf(folder: Path, name: str, people=PEOPLE) -> Path:
    first, second = STATED[name]
    rows = [f"{CONTIG} 3 . G A . . . {name} {first}", f"{CONTIG} 5 . A C . . . {name} {second}"]
    return text_vcf(folder / "stated.vcf", name, *rows, people=people)


@PLINK2
@pytest.mark.parametrize("name", STATED)
def test_dosages_of_haplotypes_and_of_probabilities_are_those_of_plink(tmp_path, reference, name):
    vcf = stated_vcf(tmp_path, name)
    words = ["--vcf", vcf, f"dosage={name}", "--export", "vcf", "vcf-dosage=DS-force"]
    subprocess.run(["plink2", *words, "--out", tmp_path / "p"], check=True, capture_output=True)
    rows = [
        line.split("\t")[9:]
        for line in (tmp_path / "p.vcf").read_text().splitlines()
        if line[0] != "#"
    ]
    theirs = [
        [float(cell.split(":")[1].replace(".", "nan", cell.endswith(":."))) for cell in row]
        for row in rows
    ]
    with open_variants(vcf) as file:
        values, variants = file.dosages(WHOLE, reference)
        assert [str(v) for v in variants] == ["7:3:G:A", "7:5:A:C"]
        np.testing.assert_allclose(values.T, theirs, atol=1e-4)
        with pytest.raises(HowfarError, match=rf"found dosages \(FORMAT field {name}\) and no"):
            file.read(WHOLE, reference)


@PLINK2
def test_the_command_named_for_minimac_writes_phased_calls(tmp_path, reference):
    vcf = stated_vcf(tmp_path, "HDS")
    with pytest.raises(HowfarError) as error, open_variants(vcf) as file:
        file.read(WHOLE, reference)
    words = re.search(r"`(plink2 .+?)`", error.value.do)[1].replace("FILE", str(vcf)).split()
    subprocess.run([*words, "--out", tmp_path / "new"], check=True, capture_output=True)
    with pytest.warns(UserWarning, match="the index is not there"):
        calls = open_variants(tmp_path / "new.vcf.gz").read(WHOLE, reference).calls
    assert calls[:, [0, 2]].tolist() == [[[0, 1], [1, 1]], [[0, 0], [1, 1]]]


def test_haploid_dosages_count_twice_as_haploid_calls_do(tmp_path, reference):
    alone = {"HDS": "0.4 0.5,0.5 1", "GP": "0.6,0.4 0,1,0 0,1"}
    for name, cells in alone.items():
        vcf = text_vcf(tmp_path / "one.vcf", name, f"{CONTIG} 3 . G A . . . {name} {cells}")
        values, _ = open_variants(vcf).dosages(WHOLE, reference)
        np.testing.assert_allclose(values[:, 0], [0.8, 1, 2], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "alt", "cells", "message"),
    [
        (
            "GP",
            "A",
            "0,30,40 1,0,0 1,0,0",
            "field GP: found 3 .* to 40, for 1 ALT",
        ),  # of phred scale
        (
            "GP",
            "A,C",
            "1,0,0,0,0,0 1,0,0,0,0,0 1,0,0,0,0,0",
            "found 6 .* for 2 ALT; expected one ALT",
        ),
        ("HDS", "A", "0,0,1 0,0,1 0,0,1", "field HDS: found 3"),
    ],
)
def test_stated_values_that_are_no_dosages(tmp_path, reference, name, alt, cells, message):
    vcf = text_vcf(tmp_path / "x.vcf", name, f"{CONTIG} 3 . G {alt} . . . {name} {cells}")
    with pytest.raises(HowfarError, match=message):
        open_variants(vcf).dosages(WHOLE, reference)


def test_a_header_without_format_lines_is_read_as_htslib_reads_it(tmp_path, reference):
    rows = [
        f"{CONTIG} 3 . G A . . . GT 0|1 1|1 .|0",
        f"{CONTIG} 5 . A C . . . DP:GT 3:0|1 1:1|0 .:.",
    ]
    with open_variants(text_vcf(tmp_path / "bare.vcf", "", *rows)) as file:
        found = file.read(WHOLE, reference)
    assert found.calls.tolist()[0] == [[0, 1], [1, 1], [-1, 0]]
    assert found.calls.tolist()[1] == [[0, 1], [1, 0], [-1, -1]]
    rows = [f"{CONTIG} 3 . G A . . . DP 1 2 3"]
    with open_variants(text_vcf(tmp_path / "none.vcf", "", *rows)) as file:
        found = file.read(WHOLE, reference)
    assert not len(found) and found.counts["records without genotypes"] == 1


def test_records_that_fail_a_filter_are_used_and_counted(tmp_path, reference):
    sites = ("3 . G A . q10 .", "5 . A C . PASS .", "7 . G A . . .", "9 . A T . q10;s50 .")
    rows = [f"{CONTIG} {site} GT 0|1 1|1 0|0" for site in sites]
    vcf = text_vcf(tmp_path / "f.vcf", "GT", *rows)
    for interval, failed in ((WHOLE, 2), (Interval(CONTIG, 4, 7), 0)):
        found = open_variants(vcf).read(interval, reference)
        assert found.counts["records that do not pass FILTER, used"] == failed
    assert open_variants(vcf).dosages(WHOLE, reference)[0].shape == (3, 4)


def test_provisional_ref_alleles_are_counted(tmp_path, reference):
    sites = ("3 . G A . . PR", "5 . A C . . .", "7 . G A . . PR")
    rows = [f"{CONTIG} {site} GT 0|1 1|1 0|0" for site in sites]
    vcf = text_vcf(tmp_path / "pr.vcf", "GT", *rows)
    plain = tmp_path / "pr.vcf"
    line = '##INFO=<ID=PR,Number=0,Type=Flag,Description="Provisional reference allele">\n#CHROM'
    plain.write_text(plain.read_text().replace("#CHROM", line))
    pysam.tabix_compress(str(plain), str(vcf), force=True)
    pysam.tabix_index(str(vcf), preset="vcf", force=True)
    found = open_variants(vcf).read(WHOLE, reference)
    assert found.counts["records whose REF is provisional (INFO field PR)"] == 2
    assert len(found) == 3


@pytest.mark.parametrize("stated", ["2.5 0 0", "-0.1 0 0", "0,1 0,1 0,1"])
def test_dosages_that_cannot_be_are_an_error(tmp_path, reference, stated):
    vcf = text_vcf(tmp_path / "ds.vcf", "DS", f"{CONTIG} 3 . G A . . . DS {stated}")
    with pytest.raises(HowfarError, match=f"record {CONTIG}:3, field DS: found"):
        open_variants(vcf).dosages(WHOLE, reference)


def test_dosages_as_text_are_an_error(tmp_path, reference):
    vcf = text_vcf(tmp_path / "ds.vcf", "DS", f"{CONTIG} 3 . G A . . . DS 1.0 . 2")
    plain = tmp_path / "text.vcf"
    plain.write_text((tmp_path / "ds.vcf").read_text().replace("Type=Float", "Type=String"))
    assert vcf.is_file()
    with pytest.raises(HowfarError, match=r"text\.vcf, header, FORMAT field DS: found a field of"):
        open_variants(plain).dosages(WHOLE, reference)


def test_dosages_beside_calls_are_counted_where_dosages_are_asked_for(tmp_path, reference):
    vcf = text_vcf(
        tmp_path / "both.vcf",
        "GT DS",
        f"{CONTIG} 3 . G A . . . GT:DS 0|1:0.9 1|1:1.8 0|0:0.2",
        f"{CONTIG} 5 . A C . . . GT 0|1 1|1 0|0",
    )
    counts = Counter()
    with open_variants(vcf) as file:
        values, _ = file.dosages(WHOLE, reference, counts=counts)
        assert not file.read(WHOLE, reference).counts[BESIDE_CALLS]
    assert values.T.tolist() == [[1, 2, 0]] * 2 and counts[BESIDE_CALLS] == 1


def test_calls_declared_as_numbers_are_named(tmp_path):
    vcf = text_vcf(tmp_path / "gt.vcf", "GT", f"{CONTIG} 3 . G A . . . GT 0|1 1|1 0|0")
    plain = vcf.with_suffix("")
    plain.write_text(plain.read_text().replace("Type=String", "Type=Integer"))
    with pytest.warns(UserWarning), pytest.raises(HowfarError, match="GT: found Type=Integer"):
        open_variants(plain)


@pytest.mark.parametrize("kind", ["Integer", "String"])
def test_people_with_several_phase_sets_are_counted(tmp_path, reference, kind):
    vcf = text_vcf(
        tmp_path / "ps.vcf",
        "GT PS",
        f"{CONTIG} 3 . G A . . . GT:PS 0|1:3 0|1:3 0|1:3",
        f"{CONTIG} 5 . A C . . . GT 0|1 0|1 0|1",
        f"{CONTIG} 7 . G A . . . GT:PS 1|0:7 1|0:3 1|1:7",
        f"{CONTIG} 20 . C G . . . GT:PS 0|1:. 0|1:3 0/0:9",
        sets=kind,
    )
    with open_variants(vcf) as file:
        found = file.read(WHOLE, reference)
        assert found.counts["people's windows over several phase sets, read as one"] == 1
        assert found.calls[0].tolist() == [[0, 1]] * 3 and len(found) == 4
        for people, several in ((["p0"], 1), (["p2", "p1"], 0)):
            counts = file.read(WHOLE, reference, samples=people).counts
            assert counts["people's windows over several phase sets, read as one"] == several
        near = file.read(Interval(CONTIG, 0, 5), reference).counts
        assert not near["people's windows over several phase sets, read as one"]
        counts = Counter()
        file.dosages(WHOLE, reference, counts=counts)
        assert "people's windows over several phase sets, read as one" not in counts


BAD_RECORDS = {
    "allele": ("GT 0|1 0|3 0|0", "record 7:3: found the allele number 3 .*expected 0 to 1"),
    "few calls": ("GT 0|1 0|1", "line 5: found 11 columns; expected 12"),
    "no number": ("GT 0|1 x|1 0|0", r"line 5: found the call 'x\|1' in column 11"),
}


@pytest.mark.parametrize("case", BAD_RECORDS)
def test_records_that_cannot_be_read_are_named(tmp_path, reference, case):
    calls, message = BAD_RECORDS[case]
    vcf = text_vcf(tmp_path / "x.vcf", "GT", f"{CONTIG} 3 . G A . . . {calls}")
    with pytest.raises(HowfarError, match=message), open_variants(vcf) as file:
        file.read(WHOLE, reference)


# --- a study with PLINK files -------------------------------------------------------------------


def with_bed(study: Study, folder: Path) -> Study:
    """The tiny study with its genotypes as PLINK 1 files."""
    with VariantFile(study.cohort.variants) as file, Reference(study.cohort.reference) as fasta:
        found = file.read(Interval("1", 0, 400), fasta, alleles="all")
        copies = [row.sum(1).tolist() for row in found.calls]
        rows = [
            ("1", s + 1, a[1].decode(), a[0].decode())
            for s, a in zip(found.starts, found.alleles, strict=True)
        ]
        bed = write_bed(folder / "plink", rows, copies, file.samples)
    cohort = study.cohort.model_copy(update={"variants": bed.with_suffix("")})
    return study.model_copy(update={"cohort": cohort})


def test_a_study_of_plink_files_uses_dosage_and_says_so(study, tmp_path):
    made = with_bed(study, tmp_path)
    assert (unphased_rule(study), unphased_rule(made)) == ("error", "dosage")
    assert {"variants", "variants bim", "variants fam"} <= set(input_files(made))
    cohort, phased = OpenCohort(made), OpenCohort(study)
    gene = cohort.genes[0]
    windows = cohort.windows(gene, 64, 32, "all")
    assert (windows.index[:, 0] == windows.index[:, 1]).all()
    assert cohort.warnings["genes with unphased dosage, not the mean of two haplotypes"] == 1
    one, two = (c.dosages(gene, 200) for c in (cohort, phased))
    np.testing.assert_array_equal(one[0], two[0])
    assert one[1] == two[1]
    (tmp_path / "plink.fam").unlink()
    with pytest.raises(HowfarError, match=r"plink\.fam: found no such file; expected the variants"):
        OpenCohort(made)


def test_predictions_depend_on_each_of_the_plink_files(study, tmp_path, model, results_folder):
    made = with_bed(study, tmp_path)

    def key():
        return open_store(OpenCohort(made), made.runs[0], model, results_folder).units.key

    first = key()
    assert first["options"]["unphased"] == "dosage"
    index = predict.predict(made, made.runs[0], results_folder).store.read("g1").arrays["index"]
    assert (index[:, 0] == index[:, 1]).all()  # one window a person
    bim = tmp_path / "plink.bim"
    bim.write_text(bim.read_text().replace("v0", "renamed"))
    assert key()["inputs"] != first["inputs"]


def test_howfar_sequences_reads_plink_files(study, tmp_path, capsys):
    made = with_bed(study, tmp_path)
    words = [
        "sequences",
        "--reference",
        study.cohort.reference,
        "--genes",
        study.cohort.genes,
        "--context",
        64,
        "--alleles",
        "all",
        "--variants",
    ]
    out = tmp_path / "out.csv"
    done = [str(w) for w in [*words, made.cohort.variants, "--checksums", out]]
    assert run(done) == 0
    table = pd.read_csv(out)
    per_person = table.groupby(["gene", "sample"])["sha256"].nunique()
    assert len(table) == 16 and (per_person == 1).all()
    out.unlink()
    (tmp_path / "plink.bed").write_bytes(b"\x6c\x1b\x01")
    assert run(done) == 2
    assert "plink.bed: found 3 bytes; expected 6" in capsys.readouterr().err
    assert not list(tmp_path.glob("*out.csv*"))


def run(words: list[str]) -> int:
    """Exit code of `howfar` with these words."""
    with pytest.raises(SystemExit) as ended, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["howfar", *words])
        main()
    return int(ended.value.code or 0)


# --- the real megabase through PLINK ------------------------------------------------------------


@pytest.fixture(scope="module")
def trip(shared, tmp_path_factory):
    """VCF -> PLINK 2 -> PLINK 1, by plink2: (VCF, prefix of PLINK 2, prefix of PLINK 1)."""
    folder = tmp_path_factory.mktemp("trip")
    vcf = shared / "realregion" / "chr20_1Mb.vcf.gz"
    common = ["plink2", "--threads", "1", "--memory", "1000"]
    steps = [
        ["--vcf", vcf, "--make-pgen", "--out", folder / "two"],
        ["--pfile", folder / "two", "--max-alleles", "2", "--make-bed", "--out", folder / "one"],
    ]
    for step in steps:
        subprocess.run([*common, *map(str, step)], check=True, capture_output=True)
    return vcf, folder / "two", folder / "one"


@pytest.fixture
def fasta(shared):
    with Reference(shared / "realregion" / "chr20_1Mb.fa") as opened:
        yield opened


@PLINK2
def test_plink2_files_give_the_windows_of_the_vcf(trip, fasta, shared):
    pytest.importorskip("pgenlib")
    for gene in read_genes(shared / "realregion" / "genes.csv")[:3]:
        for alleles in ("snv", "all"):
            a, b = (
                build_windows(fasta, open_variants(f), gene, 49_152, alleles=alleles)
                for f in trip[:2]
            )
            assert (a.index == b.index).all() and (a.sequences == b.sequences).all()
            assert len(a) > 20
    a, b = (open_variants(f).dosages(WITHIN, fasta) for f in trip[:2])
    np.testing.assert_array_equal(a[0], b[0])
    assert a[1] == b[1] and a[0].shape[1] > 300


@PLINK2
def test_plink1_files_give_the_dosages_and_half_and_half_windows(trip, fasta, shared):
    vcf, bed = open_variants(trip[0]), open_variants(trip[2])
    for alleles in ("snv", "all"):
        (a, names), (b, kept) = (f.dosages(WITHIN, fasta, alleles=alleles) for f in (vcf, bed))
        place = {v: i for i, v in enumerate(names)}
        np.testing.assert_array_equal(a[:, [place[v] for v in kept]], b)
        assert len(kept) > 0.97 * len(names)  # those of three alleles can't be in such a file
    gene = read_genes(shared / "realregion" / "genes.csv")[0]
    both = build_windows(fasta, bed, gene, 20_000, alleles="snv")
    calls = bed.read(Interval(gene.chrom, gene.start0 - 10_000, gene.start0 + 10_000), fasta)
    for person in (0, 17, 400):
        row = both.sequences[both.index[person, 0]]
        differs = np.flatnonzero(row != both.reference) + gene.start0 - 10_000
        carried = (calls.calls[:, person] > 0).any(1)
        assert differs.tolist() == np.unique(calls.starts[carried]).tolist()
        mixed = np.isin(row, np.frombuffer(b"RYSWKM", np.uint8)).sum()
        hets = (vcf_calls(vcf, gene, fasta)[:, person].sum(1) == 1).sum()
        assert mixed == hets > 0


def vcf_calls(vcf, gene, fasta):
    interval = Interval(gene.chrom, gene.start0 - 10_000, gene.start0 + 10_000)
    found = vcf.read(interval, fasta)
    two = np.array([len(a) == 2 for a in found.alleles])
    return found.calls[two]


@PLINK2
def test_alleles_turned_round_by_plink_are_turned_back(trip, fasta, tmp_path):
    """PLINK 1 puts the rarer allele first; the FASTA says which one is the reference's."""
    swap = pd.read_csv(trip[2].with_suffix(".bim"), sep="\t", header=None)
    chosen = swap[swap[1] != "."][::2]
    chosen = chosen[chosen[4].str.len() + chosen[5].str.len() == 2].drop_duplicates(1)
    chosen[[1, 4]].to_csv(tmp_path / "ref.txt", sep="\t", header=False, index=False)
    command = ["plink2", "--threads", "1", "--memory", "1000", "--bfile", str(trip[2])]
    command += ["--ref-allele", "force", str(tmp_path / "ref.txt"), "2", "1"]
    command += ["--make-bed", "--out", str(tmp_path / "swapped")]
    subprocess.run(command, check=True, capture_output=True)
    straight, turned = (open_variants(p) for p in (trip[2], tmp_path / "swapped"))
    a, b = (f.read(WITHIN, fasta) for f in (straight, turned))
    assert b.counts["variants whose A1 is REF"] > 100 > a.counts["variants whose A1 is REF"]
    assert a.alleles == b.alleles and (a.calls == b.calls).all()


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the index is not there")
        yield
