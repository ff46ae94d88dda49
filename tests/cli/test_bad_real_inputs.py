"""A real megabase, damaged in the ways that files are: one message each, and nothing written.

The files are a cohort's genotypes, reference and gene table (see `realregion/README.md` beside
the checkout); each case changes one of them and gives them to the command line.
"""

from __future__ import annotations

import gzip
import re
import shutil
from pathlib import Path

import pysam
import pytest

from helpers.places import REGION
from inputs.running import Outcome, command_line

PEOPLE, RECORDS = 40, 2_500  # of 421 and 11,317, so that a changed file is quickly written
VCF, FASTA, GENES = "chr20_1Mb.vcf.gz", "chr20_1Mb.fa", "genes.csv"
pytestmark = pytest.mark.skipif(not REGION.is_dir(), reason="the real megabase is not here")


class Region:
    """Copies of the real files in a folder, to be damaged."""

    def __init__(self, folder: Path, head: list[str], rows: list[list[str]]) -> None:
        """head: the VCF's header lines. rows: its records' columns."""
        self.folder, self.head, self.rows = folder, list(head), [list(row) for row in rows]
        self.context, self.more = "501", []
        for name in (FASTA, GENES):
            shutil.copyfile(REGION / name, folder / name)
        self.vcf()

    def vcf(self) -> None:
        """Write the VCF from `head` and `rows`."""
        text = "\n".join([*self.head, *("\t".join(row) for row in self.rows)]) + "\n"
        plain = self.folder / VCF.removesuffix(".gz")
        plain.write_text(text)
        pysam.tabix_compress(str(plain), f"{plain}.gz", force=True)
        plain.unlink()

    def cell(self, row: int, column: int, text: str) -> None:
        """Change one cell of the VCF, both 0-based."""
        self.rows[row][column] = text
        self.vcf()

    def change(self, name: str, old: str, new: str) -> None:
        """Replace the first match of a regular expression in a text file."""
        path = self.folder / name
        text, done = re.subn(old, new, path.read_text(), count=1, flags=re.MULTILINE)
        assert done, old
        path.write_text(text)

    def run(self) -> Outcome:
        """`howfar sequences` of the files, to windows.csv."""
        files = {"--reference": FASTA, "--variants": VCF, "--genes": GENES}
        words = [w for flag, name in files.items() for w in (flag, str(self.folder / name))]
        out = ["--checksums", str(self.folder / "windows.csv")]
        results = ["--results", str(self.folder / "results")]
        done = command_line(
            [*results, "sequences", *words, "--context", self.context, *out, *self.more]
        )
        left = [
            p.name
            for p in self.folder.rglob("*")
            if p.name.startswith("windows") or ".part" in p.name
        ]
        return Outcome(*done, tuple(sorted(left)))


@pytest.fixture(scope="module")
def lines() -> tuple[list[str], list[list[str]]]:
    """(header lines, columns of the first records) of the real VCF, for the first people."""
    with gzip.open(REGION / VCF, "rt") as handle:
        text = [line.rstrip("\n") for _, line in zip(range(RECORDS), handle, strict=False)]
    cells = [line.split("\t")[: 9 + PEOPLE] for line in text]
    head = [line for line in text if line.startswith("##")]
    return [*head, "\t".join(cells[len(head)])], cells[len(head) + 1 :]


@pytest.fixture
def region(tmp_path, lines) -> Region:
    return Region(tmp_path, *lines)


def _bytes(name: str, edit):
    def damage(region: Region) -> None:
        path = region.folder / name
        path.write_bytes(edit(path.read_bytes()))

    return damage


def _flip(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def _swap(region: Region) -> None:
    region.rows[700:702] = region.rows[701], region.rows[700]
    region.vcf()


def _unphased(region: Region) -> None:
    region.rows = [[*r[:9], *(c.replace("|", "/") for c in r[9:])] for r in region.rows]
    region.vcf()


def _sites_only(region: Region) -> None:
    region.head[-1] = "\t".join(region.head[-1].split("\t")[:8])
    region.rows = [row[:8] for row in region.rows]
    region.vcf()


def _other_contig(region: Region) -> None:
    region.rows = [["21", *row[1:]] for row in region.rows]
    region.head = [line.replace("ID=20", "ID=21") for line in region.head]
    region.vcf()


def _short_row(region: Region) -> None:
    del region.rows[-1][30:]
    region.vcf()


def _merged_rows(region: Region) -> None:
    region.rows[50:52] = [region.rows[50] + region.rows[51]]
    region.vcf()


def _no_calls(region: Region) -> None:
    region.rows = [[*r[:8], "DP", *("9" for _ in r[9:])] for r in region.rows]
    region.head = [line.replace("FORMAT=<ID=GT", "FORMAT=<ID=DP") for line in region.head]
    region.vcf()


def _same_person(region: Region) -> None:
    region.head[-1] = region.head[-1].replace("EUR001", "EUR000")
    region.vcf()


def _moved(region: Region) -> None:
    """The reference moved by one base, as a build with one base more."""
    path = region.folder / FASTA
    head, *rows = path.read_text().splitlines()
    bases = "".join(rows)[1:] + "N"
    rows = [bases[i : i + 80] for i in range(0, len(bases), 80)]
    path.write_text("\n".join([head, *rows]) + "\n")


def _gzipped_reference(region: Region) -> None:
    path = region.folder / FASTA
    path.write_bytes(gzip.compress(path.read_bytes()))


def _option(*words: str):
    return lambda region: region.more.extend(words)


def _genes(old: str, new: str):
    return lambda region: region.change(GENES, old, new)


def _cell(row: int, column: int, text: str):
    return lambda region: region.cell(row, column, text)


#: title -> (the damage, the file that `where` names, what the message says)
DAMAGES = {
    "download cut in half": (_bytes(VCF, lambda d: d[: len(d) // 2]), VCF, "cut short"),
    "no end-of-file block": (_bytes(VCF, lambda d: d[:-28]), VCF, "no end-of-file block"),
    "a flipped byte": (_bytes(VCF, _flip), VCF, "broken block"),
    "gzip, not bgzip": (_bytes(VCF, lambda d: gzip.compress(gzip.decompress(d))), VCF, "bgzip"),
    "an error page": (_bytes(VCF, lambda d: b"<html>404</html>"), VCF, "error page"),
    "an empty file": (_bytes(VCF, lambda d: b""), VCF, "found an empty file"),
    "two records swapped": (_swap, f"{VCF}, line", "sorted"),
    "a row cut short": (_short_row, f"{VCF}, line", r"found 30 columns; expected 49"),
    "two rows in one": (_merged_rows, f"{VCF}, line", "found 98 columns; expected 49"),
    "calls without phase": (_unphased, f"{VCF}, record 20:", "without phase"),
    "sites without people": (_sites_only, VCF, "no genotypes"),
    "depths without calls": (_no_calls, VCF, "no genotypes"),
    "a person twice": (_same_person, f"{VCF}, line 10", "one name in the columns 10 and 11"),
    "another chromosome's calls": (_other_contig, VCF, "found no record of it, only of 21"),
    "POS with a decimal point": (_cell(9, 1, "1135.0"), f"{VCF}, line", "POS '1135.0'"),
    "an ALT with an empty part": (_cell(9, 4, "A,"), f"{VCF}, line", "ALT 'A,'"),
    "an empty REF": (_cell(9, 3, ""), f"{VCF}, line", "an empty cell"),
    "a call that is none": (_cell(9, 20, "0|O"), f"{VCF}, line", r"the call '0\|O' in column 21"),
    "a call of an allele that isn't there": (
        lambda r: r.cell(near(r), 20, "0|7"),
        f"{VCF}, record 20:",
        "allele number 7",
    ),
    "a call of three alleles": (
        lambda r: r.cell(near(r), 20, "0|1|1"),
        f"{VCF}, record 20:",
        "a call with 3 alleles",
    ),
    "a reference of another build": (_moved, FASTA, "records whose REF differs"),
    "a reference compressed by gzip": (_gzipped_reference, FASTA, "gzip"),
    "a reference with a stray letter": (
        lambda r: r.change(FASTA, r"^([ACGT]{60})", r"J\1"),
        FASTA,
        ".",
    ),
    "a reference named by accession": (
        lambda r: r.change(FASTA, "^>.*", ">CM000682.1"),
        FASTA,
        "found no such contig",
    ),
    "a reference that ends too soon": (
        _bytes(FASTA, lambda d: d[:50_000]),
        "",
        "a TSS at 20:|is not there|0 bp|on the contig",
    ),
    "an empty reference": (
        _bytes(FASTA, lambda d: b""),
        FASTA,
        "found nothing at the file's start",
    ),
    "positions of the whole chromosome": (_genes(",93906,", ",1093906,"), "gene", "1,093,906"),
    "a strand that is a number": (_genes(r",\+,", ",1,"), f"{GENES}, line 2", "strand"),
    "a TSS that is no whole number": (
        _genes(",93906,", ",93906.5,"),
        f"{GENES}, line 2",
        "TSS '93906.5'",
    ),
    "a gene twice": (_genes(r"(^ENSG.*\n)", r"\1\1"), f"{GENES}, line 3", "which line 2 has too"),
    "no column of the TSS": (_genes("^(gene_id,name,chrom,)tss", r"\1place"), GENES, "tss"),
    "a quote that never ends": (_genes("PSMF1", '"PSMF1'), GENES, "."),
    "a person who is not in the file": (_option("--samples", "EUR000,XX1"), VCF, "1 are not in"),
    "a person asked for twice": (_option("--samples", "EUR000,EUR000"), VCF, "1 are asked for"),
    "a rule for phase that doesn't exist": (
        _option("--unphased", "guess"),
        "--unphased",
        "^howfar: --unphased.*'guess'",
    ),
    "a set of alleles that doesn't exist": (
        _option("--alleles", "indel"),
        "--alleles",
        "^howfar: --alleles.*'indel'",
    ),
    "a context of nothing": (lambda r: setattr(r, "context", "0"), "window of 0 bp", "found"),
}


def near(region: Region) -> int:
    """The row of the first SNV in the first gene's window."""
    return next(
        i
        for i, row in enumerate(region.rows)
        if abs(int(row[1]) - 93_906) < 200 and len(row[3]) == len(row[4]) == 1
    )


@pytest.mark.parametrize("title", DAMAGES)
def test_damage_ends_in_one_message_and_nothing_else(region, title):
    damage, where, says = DAMAGES[title]
    damage(region)
    done = region.run()
    assert done.status == 2 and not done.left, done.message
    assert done.message.count("howfar: ") == 1 and not done.printed.strip()
    assert done.parts and all(done.parts.values()), done.message
    assert where in done.parts["where"], done.parts["where"]
    assert re.search(says, done.error), done.error
    assert not re.search(r"EUR\d|XX1", done.error)


@pytest.mark.parametrize(
    ("damage", "windows", "says"),
    [
        (_genes(",20,93906", ",22,93906"), 10, "genes left out: chr20_1Mb.* lacks contig 22: 1"),
        (_genes(r"(^ENSG00000125818)(.*\n)", r"\1.1\2\1.2\2"), 12, "haplotype windows"),
    ],
    ids=["a contig of which nothing is here", "one gene in two versions, named by ids"],
)
def test_genes_that_are_left_out_or_named_by_ids(region, damage, windows, says):
    damage(region)
    done = region.run()
    assert done.status == 0, done.message
    assert re.search(says, done.printed), done.printed
    rows = (region.folder / "windows.csv").read_text().splitlines()
    assert len(rows) == 1 + windows * 2 * PEOPLE


def test_the_files_work_as_they_are(region):
    """So that each damage, and nothing else, is what stopped the program."""
    done = region.run()
    assert done.status == 0 and done.left == ("windows.csv",)
    assert len((region.folder / "windows.csv").read_text().splitlines()) == 1 + 11 * 2 * PEOPLE


def test_there_are_thirty_and_more():
    assert len(DAMAGES) >= 30
