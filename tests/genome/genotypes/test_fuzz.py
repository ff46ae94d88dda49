"""Readers on input that is wrong in many ways: a result that is right, or one clear error.

HOWFAR_LONG=1 runs 20,000 examples of VCF text instead of a few hundred.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from helpers.strategies import CONTIG, VcfText, vcf_texts
from howfar.cohort.expression import read_expression
from howfar.cohort.people import read_samples
from howfar.core.errors import HowfarError
from howfar.genome.genes import read_genes
from howfar.genome.genotypes.base import is_resolved
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.intervals import Interval
from howfar.genome.reference import Reference
from inputs.cohort import bed_text, expression_values
from inputs.expression import gct_text
from inputs.genes import gff3_text, gtf_text

LONG = os.environ.get("HOWFAR_LONG") == "1"
SECONDS = 20  # that one example may take; a hang is a failure
relaxed = settings(suppress_health_check=list(HealthCheck), database=None)
SEQUENCE_LENGTH = 130


@contextmanager
def in_time():
    """The block ends within SECONDS, or fails."""

    def late(*_):
        raise TimeoutError("a reader hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def folder():
    """A folder for one example, its results included."""
    before = os.environ.get("HOWFAR_RESULTS")
    with tempfile.TemporaryDirectory() as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that an index was made
        os.environ["HOWFAR_RESULTS"] = f"{made}/results"
        yield Path(made)
    if before is not None:
        os.environ["HOWFAR_RESULTS"] = before


def records_of(text: str) -> list[tuple]:
    """(start, alleles, calls) of each record by the rules of VCF 4.2; ValueError for a wrong one.

    Written without htslib. None for a missing allele; a haploid call is a pair of its allele.
    """
    found, before, width = [], 0, None
    for line in re.split("\r?\n", text):
        if line.startswith("#CHROM"):
            width = len(line.split("\t"))
        if line.startswith("#") and width and not line.startswith("#CHROM"):
            raise ValueError("a header line among records")
        if not line or line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) != width or not re.fullmatch("[0-9]{1,9}", cells[1]):
            raise ValueError("columns")
        ref, alts = cells[3].upper(), cells[4].upper().split(",")
        # bases, a star, a symbol, or a single breakend (VCF 4.2, 5.4.9)
        good = re.compile(r"[ACGTNRYSWKMBDHVU]+|\*|<[^<>\s]+>|\.[ACGTN]+|[ACGTN]+\.")
        if "" in cells or not re.fullmatch("[ACGTNRYSWKMBDHVU]+", ref):
            raise ValueError("REF")
        if cells[4] != "." and not all(good.fullmatch(alt) for alt in alts):
            raise ValueError("ALT")
        if cells[0] != CONTIG:  # a record of its own, elsewhere: VCF asks for no contig lines
            continue
        if int(cells[1]) < before:
            raise ValueError("order")
        before = int(cells[1])
        most = 0 if cells[4] == "." else len(alts)
        called = cells[8].split(":")[0] == "GT"
        if not called or not any(is_resolved(alt.encode()) for alt in alts[:most]):
            continue  # of no use, so its calls are not looked at
        calls = [call_of(cell.split(":")[0], most) for cell in cells[9:]]
        found.append((before - 1, (ref, *alts[:most]), calls))
    return found


def call_of(text: str, most: int) -> list[int | None]:
    parts = re.split(r"[|/]", text)
    if len(parts) > 2 or not all(re.fullmatch(r"\.|[0-9]+", part) for part in parts):
        raise ValueError("call")
    numbers = [None if part == "." else int(part) for part in parts]
    if any(n is not None and n > most for n in numbers):
        raise ValueError("allele")
    return numbers * 2 if len(numbers) == 1 else numbers


def kept(records: list[tuple], sequence: str) -> list[tuple]:
    """Those that are of use: REF is the sequence's, some ALT is bases."""
    return [
        r
        for r in records
        if any(is_resolved(a.encode()) for a in r[1][1:])
        and sequence[r[0] : r[0] + len(r[1][0])] == r[1][0]
    ]


def read_vcf(place: Path, text: str):
    """(records as `records_of` has them, the sequence they were read against)."""
    sequence = ("ACGT" * SEQUENCE_LENGTH)[:SEQUENCE_LENGTH]
    valid = re.findall(rf"(?m)^{CONTIG}\t(\d{{1,3}})\t[^\t]*\t([ACGTN]+)\t", text)
    letters = list(sequence)
    for pos, ref in valid:  # so that REF fits wherever it can
        letters[int(pos) - 1 : int(pos) - 1 + len(ref)] = ref
    sequence = "".join(letters)[:SEQUENCE_LENGTH]
    (place / "r.fa").write_text(f">{CONTIG}\n{sequence}\n")
    with (place / "v.vcf").open("w", newline="") as handle:
        handle.write(text)
    with Reference(place / "r.fa") as reference, VariantFile(place / "v.vcf") as variants:
        got = variants.read(
            Interval(CONTIG, 0, SEQUENCE_LENGTH),
            reference,
            alleles="all",
            unphased="random(1)",
            max_ref_mismatch=1.0,
        )
    calls = [[[None if a < 0 else a for a in pair] for pair in row] for row in got.calls.tolist()]
    alleles = [tuple(a.decode() for a in names) for names in got.alleles]
    return list(zip(got.starts.tolist(), alleles, calls, strict=True)), sequence


def unordered(records: list[tuple]) -> list[tuple]:
    """Records with the two alleles of each call in a fixed order, as phase may be drawn."""
    return [(s, a, [sorted(c, key=str) for c in calls]) for s, a, calls in records]


def check_vcf(given_text: VcfText) -> None:
    try:
        expected = records_of(given_text.text)
    except ValueError:
        expected = None
    with in_time(), folder() as place:
        try:
            found, sequence = read_vcf(place, given_text.text)
        except HowfarError as error:
            event("refused")
            assert expected is None or not given_text.valid, f"{given_text.what}: {error}"
            return
    event("read")
    assert expected is not None, f"accepted although invalid: {given_text.what}"
    assert unordered(found) == unordered(kept(expected, sequence)), given_text.what


@settings(relaxed, max_examples=20_000 if LONG else 250)
@given(vcf_texts())
def test_vcf_text_is_read_rightly_or_refused(given_text):
    check_vcf(given_text)


@settings(relaxed, max_examples=2_000 if LONG else 40)
@given(vcf_texts().filter(lambda v: v.valid))
def test_vcf_text_is_read_as_bcftools_reads_it(given_text):
    if shutil.which("bcftools") is None:
        pytest.skip("bcftools is not here")
    with in_time(), folder() as place:
        try:
            found, sequence = read_vcf(place, given_text.text)
        except HowfarError:
            return  # an allele number that the changed ALT lacks; judged above
        query = ["bcftools", "query", "-f", "%POS\t%REF\t%ALT[\t%GT]\n", place / "v.vcf"]
        done = subprocess.run(query, capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    theirs = [
        (
            int(pos) - 1,
            (ref.upper(), *alts.upper().split(",")),
            [call_of(call, 99) for call in calls],
        )
        for pos, ref, alts, *calls in rows
    ]
    assert unordered(found) == unordered(kept(theirs, sequence))


def test_the_long_mode_is_long():
    """As many examples as stated, so that a shorter run isn't taken for it."""
    chosen = test_vcf_text_is_read_rightly_or_refused._hypothesis_internal_use_settings
    assert chosen.max_examples == (20_000 if LONG else 250)


# --- tables ----------------------------------------------------------------------------------

TABLES = {
    "g.csv": "gene_id,name,chrom,tss,strand\nG,A,20,1000,+\nH,B,20,2000,-\n",
    "g.bed": "20\t999\t1000\tG\t0\t+\n20\t1999\t2000\tH\t0\t-\n",
    "g.gtf": gtf_text(),
    "g.gff3": gff3_text(),
    "e.bed": bed_text(expression_values()),
    "e.gct": gct_text(expression_values()),
    "e.csv": expression_values().rename_axis("gene").to_csv(),
    "s.csv": "sample,population\nP1,X\nP2,Y\n",
    "s.txt": "P1\nP2\nP3\n",
}
ODD = ["", "\t", ",", "\n", '"', "'", "\r", "\0", "é", "-", "1e999", "nan", "#", ";", "=", " ", "0"]
READERS = {"g": read_genes, "e": read_expression, "s": read_samples}


@settings(relaxed, max_examples=20_000 if LONG else 300)
@given(st.data(), st.sampled_from(sorted(TABLES)))
def test_tables_are_read_or_refused(data, name):
    text = TABLES[name]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        end = at + data.draw(st.sampled_from([0, 0, 1, 1, 5, len(text)]))
        text = text[:at] + data.draw(st.sampled_from(ODD) | st.text(max_size=3)) + text[end:]
    with in_time(), folder() as place:
        (place / name).write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
        try:
            found = READERS[name[0]](place / name)
        except HowfarError as error:
            assert name in error.where and error.found and error.do
            return
    if name[0] == "g":
        assert all(gene.tss >= 1 and gene.strand in "+-." for gene in found)
        assert len({gene.gene_id for gene in found}) == len(found)
    if name[0] == "e":
        values = found.values
        assert values.index.is_unique and values.columns.is_unique and values.shape[0]
        assert not (values.abs() == float("inf")).to_numpy().any()
    if name[0] == "s":
        assert found.index.is_unique and "" not in found.index
