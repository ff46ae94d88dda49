"""A run checks what it reads of a VCF or BCF, and reads no more of it for what lies elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from helpers.long_vcf import CONTIG, WINDOW, write_long_vcf
from howfar.core.errors import HowfarError
from howfar.genome.genotypes.check import check_variants
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.intervals import Interval
from howfar.genome.reference import Reference

IO = Path("/proc/self/io")
INSIDE, OUTSIDE = 500, 4_000  # records, by their place in the file
STEP = WINDOW // 1_000  # bp from one record to the next


def read_window(path: Path) -> int:
    """Open the file and read its window, as a run does; returns the number of records."""
    fasta = path.with_name("reference.fa")
    fasta.write_text(f">{CONTIG}\n{'A' * WINDOW}\n")
    with Reference(fasta) as reference, VariantFile(path) as source:
        return len(source.read(Interval(CONTIG, 0, WINDOW), reference, alleles="all"))


def bytes_read() -> int:
    """Bytes that this process has asked the system for so far, in whatever library."""
    return int(IO.read_text().split()[1])


@pytest.mark.skipif(not IO.is_file(), reason="the system counts no bytes read")
@pytest.mark.parametrize("bcf", [False, True], ids=["VCF", "BCF"])
def test_what_is_read_does_not_grow_with_the_file(tmp_path, bcf):
    read, sizes = [], []
    for number, outside in enumerate((1_000, 1_000, 30_000)):  # the first time modules are loaded
        folder = tmp_path / str(number)
        folder.mkdir()
        path = write_long_vcf(folder / "v.vcf.gz", outside, bcf=bcf)
        before = bytes_read()
        assert read_window(path) == 1_000
        read.append(bytes_read() - before)
        sizes.append(path.stat().st_size)
    # 100,000 bytes are room for the index, which has more bins.
    assert read[2] - read[1] < 100_000 < (sizes[2] - sizes[1]) / 3


def change_line(at: int, old: str, new: str):
    """Replace the first `old` in record number `at` by `new`, which is as long."""

    def edit(rows: list[str]) -> None:
        assert old in rows[at] and len(old) == len(new)
        rows[at] = rows[at].replace(old, new, 1)

    return edit


def swap_lines(at: int):
    """Swap a record and the next."""

    def edit(rows: list[str]) -> None:
        rows[at : at + 2] = rows[at + 1], rows[at]

    return edit


def three_alleles(at: int):
    """Give one call a third allele and leave another but one, so that the length stays."""

    def edit(rows: list[str]) -> None:
        *rest, one, _, _, two = rows[at].split("\t")
        rows[at] = "\t".join([*rest, f"{one}|1", "0", "0|0", two])

    return edit


#: What is wrong with a record, by what the message says.
FAULTS = {
    "columns": lambda at: change_line(at, "\t", "."),
    "an empty cell": lambda at: change_line(at, "\t.\tA", "\t\t.A"),
    "POS ": lambda at: change_line(at, f"{1 + at * STEP}", f"{1 + at * STEP}"[:-1] + "x"),
    "REF ": lambda at: change_line(at, "\tA\t", "\t?\t"),
    "the call ": lambda at: change_line(at, "0|1", "0|x"),
    "a header line": lambda at: change_line(at, CONTIG, "#"),
    "position ": swap_lines,
    "allele number ": lambda at: change_line(at, "0|1", "0|7"),
    "3 alleles": three_alleles,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_window_ends_a_run_with_its_place(tmp_path, fault):
    path = write_long_vcf(tmp_path / "v.vcf.gz", 1_000, FAULTS[fault](INSIDE))
    with pytest.raises(HowfarError, match=fault) as error:
        read_window(path)
    line = INSIDE + 4 + 1 + (fault == "position ")
    at_record = fault in ("allele number ", "3 alleles")
    place = f"record {CONTIG}:{1 + INSIDE * STEP}" if at_record else f"line {line}"
    assert error.value.where == f"{path}, {place}"


def test_a_fault_in_a_very_large_file_is_named_by_the_record_before(tmp_path, monkeypatch):
    monkeypatch.setattr("howfar.genome.genotypes.regions._NAME_LINES", 0)
    path = write_long_vcf(tmp_path / "v.vcf.gz", 1_000, FAULTS["the call "](INSIDE))
    with pytest.raises(HowfarError, match="the call '0|x'") as error:
        read_window(path)
    assert error.value.where == f"{path}, the record after {CONTIG}:{1 + (INSIDE - 1) * STEP}"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_no_window_asks_for_is_found_by_the_full_check(tmp_path, fault):
    path = write_long_vcf(tmp_path / "v.vcf.gz", 5_000, FAULTS[fault](OUTSIDE))
    assert read_window(path) == 1_000
    (error,) = check_variants(path)
    assert fault in error.found and error.where.startswith(f"{path}, ")
    assert read_window(path) == 1_000


@pytest.mark.parametrize("bcf", [False, True], ids=["VCF", "BCF"])
@pytest.mark.parametrize("inside", [True, False], ids=["in the window", "elsewhere"])
def test_a_broken_block_is_found_where_it_is_read(tmp_path, bcf, inside):
    path = write_long_vcf(tmp_path / "v.vcf.gz", 5_000, bcf=bcf)
    data = bytearray(path.read_bytes())
    data[len(data) // (500 if inside else 2)] ^= 0xFF
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))  # the index is newer, as it was before the damage
    if inside:
        with pytest.raises(HowfarError, match=r"found a broken block after [\d,]+ bytes of"):
            read_window(path)
    else:
        assert read_window(path) == 1_000
    (error,) = check_variants(path)
    assert "a broken block after" in error.found and error.where == str(path)


def test_a_file_that_was_checked_in_full_is_not_checked_again(tmp_path, monkeypatch):
    path = write_long_vcf(tmp_path / "v.vcf.gz", 1_000)
    assert not list(check_variants(path))
    monkeypatch.setattr("howfar.genome.genotypes.vcf_text.LineCheck.line", pytest.fail)
    assert read_window(path) == 1_000
