"""PLINK 2 files read as the VCF they were made from; broken files are named."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.strategies import CONTIG, Record, World
from howfar.core.errors import HowfarError
from howfar.genome.genotypes.open import variant_files
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.intervals import Interval
from howfar.genome.reference import Reference

pytest.importorskip("pgenlib")
if shutil.which("plink2") is None:
    pytest.skip("plink2 is not installed", allow_module_level=True)

from howfar.genome.genotypes.plink2 import PgenFile

WHOLE = Interval(CONTIG, 0, 40)
PEOPLE = ("a", "b", "c", "d")
RECORDS = [
    Record(3, "G", ("A",), ("0|1", "1|0", "1|1", ".|.")),
    Record(5, "A", ("C", "AT", "T"), ("1|2", "3|0", "0|3", "0|0")),
    Record(7, "GTA", ("G",), ("0|1", "0|0", "1|0", "1|1")),
    Record(20, "C", ("G", "<DEL>"), ("0|1", "2|0", "0|0", "0|0")),
]


def plink2(*words):
    done = subprocess.run(
        ["plink2", "--threads", "1", "--memory", "640", *map(str, words)], capture_output=True
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]


@pytest.fixture
def made(tmp_path):
    """(reference, VCF, prefix of the PLINK 2 files made from it)."""

    def make(records=RECORDS, *options):
        fasta, vcf = World("ACGTACGTAC" * 4, records, PEOPLE).write(tmp_path)
        plink2("--vcf", vcf, *options, "--make-pgen", "--out", tmp_path / "p")
        return Reference(fasta), VariantFile(vcf), tmp_path / "p"

    return make


@pytest.mark.parametrize("options", [(), ("vzs",)])
def test_phased_calls_of_every_kind_are_those_of_the_vcf(made, options):
    reference, vcf, prefix = made()
    if options:
        plink2("--pfile", prefix, "--make-pgen", *options, "--out", f"{prefix}z")
        prefix = f"{prefix}z"
    pgen = PgenFile(prefix)
    for asked in (None, ["d", "a"]):
        one, two = (f.read(WHOLE, reference, alleles="all", samples=asked) for f in (vcf, pgen))
        assert one.alleles == two.alleles and one.starts.tolist() == two.starts.tolist()
        assert (one.calls == two.calls).all() and one.samples == two.samples
        assert one.counts["symbolic alleles"] == two.counts["symbolic alleles"] == 1
        a, b = (f.dosages(WHOLE, reference, samples=asked) for f in (vcf, pgen))
        np.testing.assert_array_equal(a[0], b[0])
        assert a[1] == b[1]
    assert [pgen.cluster_start(CONTIG, p) for p in (3, 8, 9)] == [3, 6, 9]


def test_tables_may_have_blanks_between_their_cells_and_notes_above(made):
    reference, vcf, prefix = made()
    for end in (".psam", ".pvar"):
        path = Path(f"{prefix}{end}")
        lines = [li for li in path.read_text().splitlines() if not li.startswith("##")]
        text = "\n".join(["##x", "# a note", *lines]).replace("\t", " ") + "\n"
        path.write_text(text)
    plink2("--pfile", prefix, "--freq", "--out", f"{prefix}_read")  # PLINK takes them too
    with PgenFile(prefix) as pgen:
        found, expected = (f.read(WHOLE, reference, alleles="all") for f in (pgen, vcf))
    assert (found.calls == expected.calls).all() and found.samples == PEOPLE
    with pytest.raises(HowfarError, match=r"p\.psam, line 4: found more columns"):
        path = Path(f"{prefix}.psam")
        path.write_text(path.read_text().replace("a ", "a b "))
        PgenFile(prefix)


BIALLELIC = [RECORDS[0], Record(7, "GTA", ("G",), ("0|1", "0|0", "1|0", "1|1"))]


def same_calls(file, expected, reference):
    one, two = (f.read(WHOLE, reference, alleles="all") for f in (file, expected))
    assert one.alleles == two.alleles and one.starts.tolist() == two.starts.tolist()
    assert (one.calls == two.calls).all() and one.samples == two.samples


@pytest.mark.parametrize("options", [(), ("vzs",)])
def test_bim_and_fam_beside_a_pgen(made, options, tmp_path):
    reference, vcf, prefix = made(BIALLELIC)
    plink2("--pfile", prefix, "--make-bpgen", *options, "--out", tmp_path / "b")
    with PgenFile(tmp_path / "b") as pgen:
        same_calls(pgen, vcf, reference)
    names = {"b.pgen", "b.bim.zst" if options else "b.bim", "b.fam"}
    assert {file.name for file in variant_files(tmp_path / "b.pgen").values()} == names


@pytest.mark.parametrize("columns", [6, 5])
def test_tables_without_header_are_those_of_plink_1(made, tmp_path, columns):
    reference, vcf, prefix = made(BIALLELIC)
    plink2("--pfile", prefix, "--make-bpgen", "--out", tmp_path / "b")
    rows = [line.split("\t") for line in (tmp_path / "b.bim").read_text().splitlines()]
    kept = [row if columns == 6 else [*row[:2], *row[3:]] for row in rows]
    Path(f"{prefix}.pvar").write_text("\n".join("\t".join(row) for row in kept) + "\n")
    Path(f"{prefix}.psam").write_text((tmp_path / "b.fam").read_text())
    plink2("--pfile", prefix, "--freq", "--out", f"{prefix}_read")  # PLINK reads them so too
    with PgenFile(prefix) as pgen:
        same_calls(pgen, vcf, reference)


def test_unphased_heterozygotes_stop_unless_a_rule_is_chosen(made):
    calls = ("0/1", "0|1", "1/1", "0/0")
    reference, vcf, prefix = made([Record(3, "G", ("A",), calls)])
    with PgenFile(str(prefix) + ".pgen") as pgen:
        with pytest.raises(HowfarError, match=f"record {CONTIG}:3: found 1 heterozygous"):
            pgen.read(WHOLE, reference)
        for rule in ("dosage", "random(8)"):
            one, two = (f.read(WHOLE, reference, unphased=rule) for f in (vcf, pgen))
            assert (one.calls == two.calls).all() and one.alleles == two.alleles


def test_dosages_that_the_file_has_beside_calls_are_used(made, tmp_path):
    """Calls are dosages rounded, or missing where that would go too far."""
    reference, vcf, _ = made()
    *head, columns = (x for x in vcf.path.with_suffix("").read_text().splitlines() if x[0] == "#")
    head.append('##FORMAT=<ID=DS,Number=A,Type=Float,Description="DS">')
    stated = "0|1:1.25 1|0:0.5 1|1:1.75 .|.:."
    record = "\t".join(f"{CONTIG} 3 . G A . . . GT:DS {stated}".split())
    given = tmp_path / "ds.vcf"
    given.write_text("\n".join([*head, columns, record]) + "\n")
    plink2("--vcf", given, "dosage=DS", "--make-pgen", "--out", tmp_path / "ds")
    with PgenFile(tmp_path / "ds") as file:
        values, variants = file.dosages(WHOLE, reference)
        some, _ = file.dosages(WHOLE, reference, samples=["c", "a"])
    np.testing.assert_allclose(values[:, 0], [1.25, 0.5, 1.75, np.nan], atol=1e-4)
    np.testing.assert_allclose(some[:, 0], [1.75, 1.25], atol=1e-4)
    assert [str(v) for v in variants] == [f"{CONTIG}:3:G:A"]


def test_a_ref_that_is_not_the_fastas_is_an_error(made):
    reference, _, prefix = made([Record(p, "T", ("A",), ("0|1",) * 4) for p in (3, 5)])
    with pytest.raises(HowfarError, match="2 of 2 records .*REF T FASTA G.*ref-from-fa force"):
        PgenFile(prefix).read(WHOLE, reference)


def test_without_the_extra_the_message_names_it(made, monkeypatch):
    _, _, prefix = made()
    monkeypatch.setitem(sys.modules, "pgenlib", None)
    with pytest.raises(HowfarError, match=r"no package Pgenlib.*pip install 'howfar\[pgen\]'"):
        PgenFile(prefix)


def cut(name, size):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def edit(name, old, new):
    return lambda folder: (folder / name).write_text(
        (folder / name).read_text().replace(old, new, 1)
    )


BAD = {
    "magic": (lambda f: (f / "p.pgen").write_bytes(b"PK\3\4"), "bytes 50 4b 03"),
    "plink1": (lambda f: (f / "p.pgen").write_bytes(b"\x6c\x1b\x01\0"), "third byte of at least"),
    "cut short": (cut("p.pgen", 20), r"p\.pgen: found calls that are damaged or cut short"),
    "no header": (edit("p.pvar", "#CHROM", "CHROM"), r"p\.pvar, line \d+: found 'CHROM' at"),
    "no psam header": (edit("p.psam", "#IID", "IID"), r"p\.psam, line 1: found 'IID'"),
    "fewer variants": (
        cut("p.pvar", -30),
        r"p\.pvar, line \d+: found another number|expected 2 variants",
    ),
    "position": (edit("p.pvar", "\t20\t", "\t20x\t"), r"p\.pvar, line \d+: found '20x' as pos"),
    "one person less": (
        edit("p.psam", "d\tNA\n", ""),
        "4 people; expected 4 variants .* and 3 people",
    ),
    "people twice": (edit("p.psam", "d\tNA\n", "a\tNA\n"), "4 people, 1 of whose IIDs"),
    "no pvar": (lambda f: (f / "p.pvar").unlink(), r"p\.pvar: found no such file"),
}


@pytest.mark.parametrize("case", BAD)
def test_broken_files_are_named(made, tmp_path, case):
    reference, _, prefix = made()
    breaks, message = BAD[case]
    breaks(tmp_path)
    with pytest.raises(HowfarError, match=message) as error:
        PgenFile(prefix).read(WHOLE, reference, alleles="all")
    assert error.value.found and error.value.expected and error.value.do
