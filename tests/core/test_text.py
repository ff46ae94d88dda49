"""Text files are read line by line, or refused with the file and the line."""

from __future__ import annotations

import gzip

import pytest

from howfar.core.errors import HowfarError
from howfar.core.text import (
    as_sentence,
    cells_of,
    is_gzip,
    lines_of,
    separator_of,
    stem_of,
    words_of,
)


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_lines_of_plain_and_compressed_files_without_byte_order_mark(tmp_path, name):
    path, text = tmp_path / name, "\ufeffa\tb\n\nlast".encode()
    path.write_bytes(gzip.compress(text, mtime=0) if name.endswith(".gz") else text)
    assert list(lines_of(path, "a table")) == ["a\tb", "", "last"]
    assert is_gzip(path) == name.endswith(".gz") and stem_of(path) == "a.txt"
    moved = path.rename(tmp_path / "b.tsv")  # what a file is shows in its bytes
    assert len(list(lines_of(moved, "a table"))) == 3


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"a\nb\0c\n", r"a\.txt, line 2: found a byte of value 0"),
        ("a.txt", b"\xff\xfea", r"unreadable file \(bytes that are no UTF-8 text\)"),
        ("a.gz", b"\x1f\x8b, some text", r"unreadable file \(no gzip-compressed data\)"),
        (
            "a.gz",
            gzip.compress(b"text" * 99, mtime=0)[:-9],
            r"unreadable file \(its end is missing\)",
        ),
    ],
)
def test_what_is_no_text_is_named(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(HowfarError, match=message):
        list(lines_of(path, "a table"))
    with pytest.raises(HowfarError, match=r"none\.txt: found no such file; expected a table"):
        list(lines_of(tmp_path / "none.txt", "a table"))


@pytest.mark.parametrize(
    ("header", "separator"),
    [("a\tb,c", "\t"), ("a,b", ","), ("a;b;c,d", ";"), ("a  b", " "), ("ab", None), ("ab ", None)],
)
def test_the_separator_of_a_header(header, separator):
    assert separator_of(header) == separator


def test_cells_and_words_keep_what_is_quoted():
    assert cells_of('"a,b", c ,', ",", "f") == ["a,b", "c", ""]
    assert cells_of('"a b"  c', " ", "f") == ["a b", "c"] and cells_of("", ",", "f") == [""]
    assert words_of('x "a b" y') == ["x", '"a b"', "y"]
    with pytest.raises(HowfarError, match="f, line 1: found a line that can't be split"):
        cells_of("a" * 200_000, ",", "f, line 1")


def test_a_sentence_keeps_its_commands_as_code_and_escapes_the_rest():
    said = as_sentence("run `howfar run --dry-run`: <b> a*b")
    assert said == r"run `howfar run --dry-run`: \<b\> a\*b"
