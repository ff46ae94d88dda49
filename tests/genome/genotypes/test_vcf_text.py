"""Rows of a VCF that are no records are named by their line; what may stand there is let be."""

import re
import subprocess
from pathlib import Path

import pytest

from howfar.core.errors import HowfarError
from howfar.genome.genotypes.vcf_text import LineCheck

HEAD = b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tP\n"
ROW = b"20\t5\t.\tA\tC\t.\t.\t.\tGT\t0|1\n"


def check(text: bytes, size: int) -> None:
    lines = LineCheck(Path("v.vcf"))
    for start in range(0, len(text), size):
        lines.feed(text[start : start + size])
    lines.end()


@pytest.mark.parametrize("alt", [b"C", b"c,*", b"<DEL>,<CN2>", b".", b"A[7:9[,]7:9]A", b".A", b"K"])
@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_what_an_alt_may_be(alt, size):
    check(HEAD + ROW.replace(b"\tC\t", b"\t" + alt + b"\t") + ROW[:-1], size)
    check((HEAD + ROW).replace(b"\n", b"\r\n"), size)


@pytest.mark.parametrize("call", ["0", ".", "./.", "12|3", ".|10", "0/1/1", "0|1:3", "0:é:", "."])
def test_what_a_call_may_be(call):
    form = b"GT:X" if ":" in call else b"GT"
    row = ROW.replace(b"GT\t0|1", form + b"\t" + call.encode())
    check(HEAD + ROW + row, 1_000)
    check(HEAD[:-1] + b"\tQ\n" + row[:-1] + b"\t0|1", 1_000)


def test_only_calls_are_looked_at_as_calls():
    check(HEAD + ROW.replace(b"GT\t0|1", b"DS\t1.5"), 1_000)
    check(HEAD.replace(b"\tFORMAT\tP", b"") + ROW.replace(b"\tGT\t0|1", b""), 1_000)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"\t0|1", b"", "line 4: found 9 columns; expected 10"),
        (b"\t0|1", b"\t0|1\t0|1", "line 4: found 11 columns"),
        (b"\t.\tGT", b"\t\tGT", "line 4: found an empty cell"),
        (b"0|1", b"", "line 4: found an empty cell"),
        (b"\t5\t", b"\t5.5\t", "line 4: found POS '5.5'"),
        (b"\tA\t", b"\t1\t", "line 4: found REF '1', ALT 'C'"),
        (b"\tC\t", b"\tC,\t", "line 4: found REF 'A', ALT 'C,'"),
        (b"\tC\t", b"\t\xe4\t", "line 4: found REF 'A', ALT"),
        (b"0|1", b"0|", r"line 4: found the call '0\|' in column 10; expected allele numbers"),
        (b"0|1", b"x", "line 4: found the call 'x' in column 10"),
        (b"0|1", b"0||1", "line 4: found the call"),
        (b"0|1", b"|0|1", r"line 4: found the call '\|0\|1' in .* which VCF 4.4 allows"),
        (b"0|1", b"/1", "line 4: found the call '/1' in .* which VCF 4.4 allows"),
        (b"0|1", b"||1", r"line 4: found the call '\|\|1' in column 10; expected allele numbers"),
        (b"GT\t0|1", b"GT:DP\t-1|0:3", "line 4: found the call '-1|0:3' in column 10"),
        (b"\t5\t.\tA\tC\t.\t.\t.\tGT\t0|1", b"", "line 4: found 1 column"),
    ],
)
@pytest.mark.parametrize("size", [3, 1_000])
def test_a_row_that_is_no_record_is_named(old, new, message, size):
    with pytest.raises(HowfarError, match=message):
        check(HEAD + ROW + ROW.replace(old, new), size)


@pytest.mark.parametrize("ends", [b"\n", b"\r\n\r\n", b"\n\n\n"])
def test_empty_lines_and_a_byte_order_mark_in_a_file_that_is_copied(ends):
    lines = LineCheck(Path("v.vcf"), copied=True)
    lines.feed(b"\xef\xbb\xbf" + HEAD + ROW + ends)
    lines.end()
    with pytest.raises(HowfarError, match="v.vcf, line 4: found an empty line"):
        check(HEAD + ROW + ends, 1_000)
    with pytest.raises(HowfarError, match="v.vcf, line 4: found an empty line"):
        lines.feed(ROW)
        lines.end()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            b"\tP\n",
            b"\tP\tQ\tP\n",
            "line 2: found one name in the columns 10 and 12; expected sample",
        ),
        (b"\tREF\tALT", b"\tREF\tAL", "line 2: found the columns #CHROM POS ID REF AL QUAL"),
        (
            b"\tFORMAT\tP",
            b"\tP",
            "line 2: found the columns .* INFO P; expected #CHROM POS ID REF ALT",
        ),
        (
            b"\tFILTER\tINFO\tFORMAT\tP",
            b"",
            "line 2: found the columns #CHROM POS ID REF ALT QUAL;",
        ),
    ],
)
def test_a_header_that_names_other_columns_is_refused(old, new, message):
    with pytest.raises(HowfarError, match=message):
        check(HEAD.replace(old, new), 1_000)


def test_the_command_named_puts_tabs_between_columns():
    with pytest.raises(HowfarError, match="line 2: found columns without tabs") as error:
        check((HEAD + ROW).replace(b"\t", b" "), 1_000)
    program = re.search(r"`sed -E '(.+)'`", error.value.do)[1]
    given = HEAD.replace(b"\n#C", b"\n##a b\n#C") + ROW
    blanks = given.replace(b"\t", b"  ")
    done = subprocess.run(["sed", "-E", program], input=blanks, capture_output=True, check=True)
    assert done.stdout == given


def test_the_command_named_takes_leading_phase_marks_away():
    marked = HEAD + ROW.replace(b"0|1", b"|0|1") + ROW.replace(b"0|1", b"/./1") + ROW
    with pytest.raises(HowfarError) as error:
        check(marked, 1_000)
    program = re.search(r"`sed -E '(.+)'`", error.value.do)[1]
    done = subprocess.run(["sed", "-E", program], input=marked, capture_output=True, check=True)
    assert done.stdout == HEAD + ROW + ROW.replace(b"0|1", b"./1") + ROW
    check(done.stdout, 1_000)


def test_a_record_without_header_is_refused():
    with pytest.raises(HowfarError, match="line 2: found a record; expected the line #CHROM"):
        check(HEAD.splitlines(keepends=True)[0] + ROW, 1_000)


def test_a_file_without_calls_has_a_header_of_eight_columns():
    check(HEAD.replace(b"\tFORMAT\tP", b""), 1_000)
