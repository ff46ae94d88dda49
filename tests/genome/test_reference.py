"""The reference: windows, contig names, the index, and what must stop."""

from __future__ import annotations

import gzip
import os
import shutil

import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from howfar.core.errors import HowfarError
from howfar.genome.intervals import Interval
from howfar.genome.reference import Reference, index_fits, match_contig


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "howfar" / "fai"


def write(folder, text, name="g.fa"):
    path = folder / name
    path.write_text(text)
    return path


def fetch(path, chrom, start, end):
    with Reference(path) as reference:
        return reference.fetch(Interval(chrom, start, end)).tobytes().decode()


def test_fetch_upper_cases_and_pads_with_n(tmp_path):
    path = write(tmp_path, ">20 x\nacgtn\nACG\n>21\nTT\n")
    assert fetch(path, "20", 0, 8) == "ACGTNACG"
    assert fetch(path, "20", -3, 2) == "NNNAC"
    assert fetch(path, "20", 6, 12) == "CGNNNN"
    assert fetch(path, "20", -5, -2) == "NNN" and fetch(path, "20", 20, 22) == "NN"
    assert fetch(path, "chr21", 0, 2) == "TT"
    with Reference(path) as reference:
        assert reference.length("chr20") == 8 and reference.contigs == {"20": 8, "21": 2}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sequences=st.lists(st.text("ACGTNacgtn", min_size=1, max_size=50), min_size=1, max_size=3),
    line=st.integers(1, 20),
    end=st.sampled_from(["\n", ""]),
    data=st.data(),
)
def test_fetch_equals_slicing(tmp_path, sequences, line, end, data):
    text = "\n".join(
        f">c{i} words\n" + "\n".join(s[j : j + line] for j in range(0, len(s), line))
        for i, s in enumerate(sequences)
    )
    path = write(tmp_path, text + end)
    number = data.draw(st.integers(0, len(sequences) - 1))
    start = data.draw(st.integers(-10, 60))
    length = data.draw(st.integers(0, 70))
    padded = "N" * 10 + sequences[number].upper() + "N" * 150
    assert fetch(path, f"c{number}", start, start + length) == padded[start + 10 :][:length]


def test_iupac_codes_are_n_and_counted(tmp_path):
    with Reference(write(tmp_path, ">1\nARYGn\n")) as reference:
        assert reference.fetch(Interval("1", 0, 5)).tobytes() == b"ANNGN"
        assert reference.counts["ambiguous bases read as N"] == 2


def test_other_bytes_are_an_error(tmp_path):
    with pytest.raises(HowfarError, match=r"contig 1, position 3 .*found the letter '\*'"):
        fetch(write(tmp_path, ">1\nAC*T\n"), "1", 0, 4)


def test_a_missing_contig_is_an_error_that_lists_the_contigs(tmp_path):
    with pytest.raises(HowfarError, match="contig '22': found no such contig among 20, chrX"):
        fetch(write(tmp_path, ">20\nAC\n>chrX\nA\n"), "22", 0, 2)


@pytest.mark.parametrize(
    ("name", "have", "expected"),
    [
        ("20", ["20", "chr20"], "20"),
        ("20", ["chr20"], "chr20"),
        ("chr20", ["2", "20"], "20"),
        ("chrM", ["MT"], "MT"),
        ("MT", ["chrM"], "chrM"),
        ("NC_000020.11", ["2", "chr20"], "chr20"),
        ("chr20", ["NC_000002.12", "NC_000020.11"], "NC_000020.11"),
        ("NC_000023.10", ["23", "X"], "X"),
        ("M", ["NC_000001.11", "NC_012920.1"], "NC_012920.1"),
        ("NC_000020.11", ["20", "NC_000020.11"], "NC_000020.11"),
    ],
)
def test_contig_names_are_reconciled(name, have, expected):
    assert match_contig(name, have, "file") == expected


def test_nothing_is_written_beside_the_fasta(tmp_path, cache):
    folder = tmp_path / "read_only"
    folder.mkdir()
    path = write(folder, ">1\nACGT\n")
    assert fetch(path, "1", 0, 4) == "ACGT"
    assert [p.name for p in folder.iterdir()] == ["g.fa"]
    assert len(list(cache.iterdir())) == 1


def test_an_index_that_fits_is_used_where_it_is(tmp_path, cache):
    path = write(tmp_path, ">1\nACGT\n")
    pysam.faidx(str(path))
    assert fetch(path, "1", 1, 3) == "CG" and not cache.exists()
    os.utime(path)  # an older index that still fits is copied, so that pyfaidx takes it
    os.utime(str(path) + ".fai", (1, 1))
    assert fetch(path, "1", 1, 3) == "CG"


@pytest.mark.parametrize(
    "now", [">0\nA\n>1\nCCCCCCCC\n", ">1\nACGTACGTAC\nACGT\n", ">2\nACGTACGT\n", ">1\nACGTA\n"]
)
def test_a_stale_index_is_noticed_and_not_used(tmp_path, now):
    path = write(tmp_path, ">1\nACGTACGT\n")
    pysam.faidx(str(path))
    assert index_fits(path, tmp_path / "g.fa.fai")
    path.write_text(now)
    os.utime(str(path) + ".fai", (4e9, 4e9))  # dates don't tell
    name = "2" if ">2" in now else "1"
    expected = now.split(f">{name}\n")[1].replace("\n", "")
    with pytest.warns(UserWarning, match="does not fit the FASTA"), Reference(path) as reference:
        found = reference.fetch(Interval(name, 0, len(expected))).tobytes().decode()
        assert reference.counts["stale index of the reference ignored"] == 1
    assert found == expected


def test_an_index_of_rubbish_does_not_fit(tmp_path):
    path = write(tmp_path, ">1\nACGTACGT\n")
    for rubbish in ("", "1\t8\n", "1\tx\t3\t8\t9\n", "1\t8\t999\t8\t9\n"):
        assert not index_fits(path, write(tmp_path, rubbish, "bad.fai"))


def test_files_that_are_no_fasta(tmp_path):
    with pytest.raises(HowfarError, match="no such file"):
        Reference(tmp_path / "none.fa")
    with pytest.raises(HowfarError, match="instead of '>'"):
        Reference(write(tmp_path, "chr1\t5\n"))
    with pytest.raises(HowfarError, match="FASTA file with lines of equal length"):
        Reference(write(tmp_path, ">1\nACGT\nAC\nACGT\n"))
    with pytest.raises(HowfarError, match="contig names that differ"):
        Reference(write(tmp_path, ">1\nACGT\n>1\nACGT\n", "twice.fa"))
    plain = write(tmp_path, ">1\nACGT\n", "plain.fa")
    packed = tmp_path / "p.fa.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    with pytest.raises(HowfarError, match="found a compressed file, not by bgzip.*gunzip"):
        Reference(packed)


def test_a_bgzipped_fasta_reads_the_same_whatever_index_lies_beside_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = ">a words\n" + "ACGTRacgtn\n" * 9000 + ">b\nTTTT\n"
    plain = write(tmp_path, text)
    packed = tmp_path / "p.fa.gz"
    pysam.tabix_compress(str(plain), str(packed))
    (tmp_path / "p.fa.gz.fai").write_text("z\t3\t0\t3\t4\n")
    before = sorted(tmp_path.glob("p.*"))
    with Reference(plain) as one, Reference(packed) as two:
        assert one.contigs == two.contigs == {"a": 90000, "b": 4}
        for start, end in [(-5, 20), (65270, 65300), (89990, 90010)]:
            interval = Interval("chra", start, end)
            assert (one.fetch(interval) == two.fetch(interval)).all()
        assert one.counts == two.counts
    assert sorted(tmp_path.glob("p.*")) == before


@pytest.mark.parametrize("name", ["g.fa.gz", "g.BGZ", "g.vcf"])
def test_a_plain_fasta_is_read_whatever_its_name_ends_in(tmp_path, name):
    path = write(tmp_path, ">1\nACGT\nAC\n", name)
    for _ in range(2):  # the index is made, then found
        with Reference(path) as reference:
            assert reference.fetch(Interval("1", 2, 6)).tobytes() == b"GTAC"
    assert path.read_text() == ">1\nACGT\nAC\n"


def test_a_bgzipped_fasta_that_was_cut_or_is_none_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    packed = tmp_path / "p.fa.gz"
    pysam.tabix_compress(str(write(tmp_path, ">a\n" + "ACGT\n" * 9000)), str(packed), force=True)
    packed.write_bytes(packed.read_bytes()[:-30])
    with pytest.raises(HowfarError, match="cut short"):
        Reference(packed)
    pysam.tabix_compress(str(write(tmp_path, "a\tb\n")), str(packed), force=True)
    with pytest.raises(HowfarError, match="instead of '>'"):
        Reference(packed)


def test_a_cache_that_cannot_be_written_is_replaced(tmp_path, monkeypatch):
    blocked = write(tmp_path, "a file, not a folder", "blocked")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert fetch(write(tmp_path, ">1\nACGT\n"), "1", 0, 4) == "ACGT"
    shutil.rmtree(next(tmp_path.glob("howfar-fai-*")))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_empty_lines_at_a_contigs_end_do_no_harm(tmp_path, end):
    path = tmp_path / "r.fa"
    path.write_bytes(end.join([">a", "ACGT", "AC", "", "", ">b", "GGTT", "", "", ""]).encode())
    with Reference(path) as opened:
        assert opened.contigs == {"a": 6, "b": 4}
        assert opened.fetch(Interval("a", 3, 7)).tobytes() == b"TACN"
        assert opened.fetch(Interval("b", 0, 4)).tobytes() == b"GGTT"
    path.write_text(">a\nACGT\n\n\nACGT\n")
    with pytest.raises(HowfarError, match="lines of unequal length in contig 'a', line 3"):
        Reference(path)
