"""Gene tables: what is read, and that each wrong line is named."""

from __future__ import annotations

import pytest

from howfar.errors import HowfarError
from howfar.genes import read_genes
from howfar.intervals import Gene

HEAD = "gene_id,name,chrom,tss,strand,more\n"


def table(folder, text):
    path = folder / "genes.csv"
    path.write_text(text)
    return path


def test_reads_genes_and_ignores_further_columns(tmp_path):
    path = table(tmp_path, "\ufeff" + HEAD + "E1,AB,20,5,-,x\nE2,,chr1,7,+,y\n")
    assert read_genes(path) == [Gene("E1", "AB", "20", 5, "-"), Gene("E2", "E2", "chr1", 7, "+")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene_id,name,chrom,tss\nE,A,1,5\n", r"line 1: .*strand"),
        (HEAD.replace("more", "tss") + "E,A,1,5,+,6\n", r"line 1: .*each once"),
        (HEAD, "found no gene"),
        (HEAD + "E,A,1,5.0,+,\n", r"line 2: found TSS '5.0'"),
        (HEAD + "E,A,1,0,+,\n", r"line 2: found TSS 0"),
        (HEAD + "E,A,1,5,+,\nF,A,1,5,?,\n", r"line 3: found strand '\?'"),
        (HEAD + "E,A,,5,+,\n", r"line 2: found no value for chrom"),
        (HEAD + "E,A,1\n", r"line 2: found no value for tss, strand"),
        (HEAD + "E,A,1,5,+,x,y\n", r"line 2: found more values than columns"),
        (HEAD + "E,A,1,5,+,\nF,A,1,5,+,\nE,B,2,5,+,\n", r"line 4: .*which line 2 has too"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, text, message):
    with pytest.raises(HowfarError, match=message):
        read_genes(table(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(HowfarError, match=r"none.csv: found no such file"):
        read_genes(tmp_path / "none.csv")
