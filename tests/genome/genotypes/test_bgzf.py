"""Broken bgzipped files stop; an index that is missing or stale is made in the results folder."""

from __future__ import annotations

import gzip
import os
import warnings
from pathlib import Path

import numpy as np
import pysam
import pytest

from helpers.strategies import CONTIG, Record, World, write_vcf
from howfar.core.errors import HowfarError
from howfar.genome.genotypes.bgzf import check_whole, indexed, is_bgzf
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.intervals import Interval
from howfar.genome.reference import Reference

SEQUENCE = "ACGTACGTAC" * 4
WHOLE = Interval(CONTIG, 0, 40)
RECORDS = [Record(3, "G", ("A",), ("0|1", "1|1")), Record(9, "A", ("C",), ("1|0", "0|0"))]


@pytest.fixture
def world(tmp_path):
    """(reference, bgzipped and indexed VCF)."""
    fasta, vcf = World(SEQUENCE, RECORDS).write(tmp_path)
    with Reference(fasta) as reference:
        yield reference, vcf


def older(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def starts(path, reference):
    with VariantFile(path) as file:
        return (file.read(WHOLE, reference).starts + 1).tolist()


def test_a_fitting_index_beside_the_file_is_used(world):
    assert indexed(world[1]) == world[1]


def test_a_plain_file_may_have_a_byte_order_mark_and_empty_lines_at_its_end(world, tmp_path):
    reference, vcf = world
    text = vcf.with_suffix("").read_bytes()
    for number, data in enumerate([b"\xef\xbb\xbf" + text, text + b"\n\n", text[:-1]]):
        path = tmp_path / f"{number}.vcf"
        path.write_bytes(data)
        with pytest.warns(UserWarning, match="the index is not there"):
            assert starts(path, reference) == [3, 9]
        assert path.read_bytes() == data
    pysam.tabix_compress(str(tmp_path / "0.vcf"), str(tmp_path / "0.vcf.gz"))
    with pytest.raises(HowfarError, match=r"byte order mark.*`gunzip -c 0\.vcf\.gz \| tail -c \+4"):
        VariantFile(tmp_path / "0.vcf.gz")


@pytest.mark.parametrize("kind", ["none", "stale", "plain", "bcf"])
def test_an_index_is_made_in_the_results_folder_with_a_message(world, results_folder, kind):
    reference, vcf = world
    index = Path(f"{vcf}.tbi")
    if kind == "stale":  # of another file: reading through it would find nothing
        older(index)
    else:
        index.unlink()
    if kind == "plain":
        vcf = vcf.with_suffix("")
    if kind == "bcf":
        vcf = bcf_of(vcf)
    before = sorted(vcf.parent.glob("v*"))
    with pytest.warns(UserWarning, match="is older" if kind == "stale" else "is not there"):
        assert starts(vcf, reference) == [3, 9]
    assert sorted(vcf.parent.glob("v*")) == before
    assert len(list(results_folder.glob("indexes/*/*.csi"))) == 1
    assert not list(results_folder.glob("indexes/*/*.part"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the second time it is there
        assert starts(vcf, reference) == [3, 9]


def bcf_of(vcf: Path) -> Path:
    path = vcf.with_name("v.bcf")
    with (
        pysam.VariantFile(str(vcf)) as source,
        pysam.VariantFile(str(path), "wb", header=source.header) as sink,
    ):
        for record in source:
            sink.write(record)
    return path


def test_a_file_that_changed_gets_a_new_index(world, tmp_path):
    reference, vcf = world
    plain = vcf.with_suffix("")
    with pytest.warns(UserWarning):
        assert starts(plain, reference) == [3, 9]
    plain.write_text("".join(plain.read_text().splitlines(keepends=True)[:-1]))
    with pytest.warns(UserWarning):
        assert starts(plain, reference) == [3]


def rewritten(vcf: Path, change) -> Path:
    """The VCF with its text changed, bgzipped again, without index."""
    plain = vcf.with_name("changed.vcf")
    plain.write_text(change(vcf.with_suffix("").read_text()))
    pysam.tabix_compress(str(plain), f"{plain}.gz", force=True)
    return Path(f"{plain}.gz")


def test_a_bcf_with_a_deletion_past_the_end_of_its_contig_is_indexed(tmp_path):
    vcf = write_vcf(tmp_path / "v.vcf", RECORDS, ("a", "b"), CONTIG, 16_000)
    text = vcf.with_suffix("").read_text()
    text = text.replace("##ALT", '##INFO=<ID=END,Number=1,Type=Integer,Description="e">\n##ALT')
    line = f"{CONTIG}\t50\t.\tA\t<DEL>\t.\t.\tEND=140000\tGT\t0|1\t0|0\n"
    vcf.with_suffix("").write_text(text + line)
    pysam.tabix_compress(str(vcf.with_suffix("")), str(vcf), force=True)
    with pytest.warns(UserWarning, match="index"):
        assert VariantFile(bcf_of(vcf)).samples == ("a", "b")


def test_unsorted_bcf_is_an_error(tmp_path):
    vcf = write_vcf(tmp_path / "v.vcf", RECORDS, ("a", "b"), CONTIG, 16_000)
    plain = vcf.with_suffix("")
    lines = plain.read_text().splitlines()
    plain.write_text("\n".join([*lines[:-2], lines[-1], lines[-2]]) + "\n")
    with pytest.warns(UserWarning), pytest.raises(HowfarError, match="records that can't be ind"):
        VariantFile(bcf_of(plain))


BAD_LINES = {
    "unsorted": (
        lambda t: "\n".join([*t.splitlines()[:-2], *t.splitlines()[:-3:-1]]) + "\n",
        "line 7: found position 3 after 9; expected records sorted",
    ),
    "contig twice": (
        lambda t: t + "8\t5\t.\tA\tC\t.\t.\t.\tGT\t0|1\t0|1\n" + t.splitlines()[-1] + "\n",
        "line 9: found contig '7' a second time, apart",
    ),
    "POS": (
        lambda t: t.replace("7\t9\t", "7\tnine\t"),
        "line 7: found POS 'nine'",
    ),
    "one column": (lambda t: t + "7\n", "line 8: found 1 column"),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_line_that_cannot_be_indexed_is_named(world, case):
    change, message = BAD_LINES[case]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(HowfarError, match=message):
            VariantFile(rewritten(world[1], change))


def test_a_file_cut_short_or_damaged_stops(tmp_path):
    """htslib would end the records at the damage without a word."""
    rng = np.random.default_rng(1)
    records = [Record(p, "ACGT"[(p - 1) % 4], ("N",), ("0|1", "1|1")) for p in range(1, 9000)]
    _, vcf = World("ACGT" * 2500, records).write(tmp_path)
    whole = vcf.read_bytes()
    check_whole(vcf)
    for n in (len(whole) - 1, len(whole) - 28, len(whole) // 2):
        vcf.write_bytes(whole[:n])
        with pytest.raises(HowfarError, match="cut short"):
            VariantFile(vcf)
    for place in rng.integers(len(whole) // 3, len(whole) - 60, 8):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        vcf.write_bytes(damaged)
        with pytest.raises(HowfarError, match=r"variants\.vcf\.gz: found a broken block after"):
            VariantFile(vcf)


def test_files_of_other_kinds_are_named(world, tmp_path):
    path = tmp_path / "x.vcf.gz"
    path.write_bytes(gzip.compress(world[1].with_suffix("").read_bytes()))
    assert not is_bgzf(path)
    with pytest.raises(HowfarError, match=r"gzip, and not bgzip.*gunzip -c x\.vcf\.gz \| bgzip"):
        indexed(path)
    for content, message in [
        (b"", "an empty file"),
        (b"<!DOCTYPE html>", "may have brought an error page"),
        (b"BCF\2\2rest", "BCF that is not compressed.*bcftools view -Ob"),
    ]:
        path.write_bytes(content)
        with pytest.raises(HowfarError, match=message):
            indexed(path)
    with pytest.raises(HowfarError, match="no such file"):
        indexed(tmp_path / "none.vcf")


def test_a_file_is_checked_in_full_once(world, results_folder, monkeypatch):
    check_whole(world[1])
    monkeypatch.setattr(
        "howfar.genome.genotypes.bgzf.read_through", lambda *_, **__: pytest.fail("read again")
    )
    check_whole(world[1])
