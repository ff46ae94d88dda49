"""Reading expression: what is right is read, what is wrong is named."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from howfar.cohort.expression import read_expression
from howfar.core.errors import HowfarError

# warnings of this module are errors; sockets that another test left open are not its concern
pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")

BED = (
    "#chr\tstart\tend\tphenotype_id\tP1\tP2\tP3\n"
    "1\t99\t100\tENSG00000000001.4\t1.5\t-2\tNA\n"
    "X\t199\t200\tENSG00000000002.1\t0\t1e-3\t7\n"
)
MATRIX = "gene,P1,P2\nENSG00000000001.4,1,2\nRP11-34P13.7,3,\n"


def put(tmp_path, name, text):
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["e.bed", "e.bed.gz"])
def test_a_bed_file(tmp_path, name):
    found = read_expression(put(tmp_path, name, BED))
    assert found.values.columns.tolist() == ["P1", "P2", "P3"]
    assert found.values.index.tolist() == ["ENSG00000000001.4", "ENSG00000000002.1"]
    np.testing.assert_array_equal(found.values, [[1.5, -2, np.nan], [0, 1e-3, 7]])
    assert found.values.to_numpy().dtype == float and found.missing == 1
    assert found.positions.loc["ENSG00000000002.1"].tolist() == ["X", 199, 200]


@pytest.mark.parametrize(
    "names",
    [
        "pid gid strand",
        "gene info strand",
        "exon geneID strand",
        "id gid strd",
        "gene length strand",
    ],
)
def test_the_columns_of_qtltools(tmp_path, names):
    columns = names.replace(" ", "\t")
    text = f"#Chr\tstart\tend\t{columns}\tP1\n1\t9\t10\tG1\tG1\t+\t3.5\n"
    found = read_expression(put(tmp_path, "e.bed", text))
    assert found.values.columns.tolist() == ["P1"] and found.values.iloc[0, 0] == 3.5


@pytest.mark.parametrize("name", ["e.csv", "e.csv.gz", "e.tsv", "e.txt.gz"])
def test_a_matrix(tmp_path, name):
    text = MATRIX if ".csv" in name else MATRIX.replace(",", "\t")
    found = read_expression(put(tmp_path, name, text))
    np.testing.assert_array_equal(found.values, [[1, 2], [3, np.nan]])
    assert found.positions is None and found.missing == 1


def test_sample_names_that_are_numbers(tmp_path):
    found = read_expression(put(tmp_path, "e.csv", "gene,1000234,1000235\nG,1.5,2.5\n"))
    assert found.values.columns.tolist() == ["1000234", "1000235"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.floats(allow_infinity=False), min_size=3, max_size=3), min_size=1))
def test_every_float_comes_back_as_it_was(tmp_path_factory, rows):
    frame = pd.DataFrame(rows, index=[f"G{i}" for i in range(len(rows))], columns=list("ABC"))
    path = tmp_path_factory.mktemp("e") / "e.tsv"
    frame.to_csv(path, sep="\t", na_rep="NA", index_label="gene")
    np.testing.assert_array_equal(read_expression(path).values, frame)


@pytest.mark.parametrize("names", ["1_1 2_2", "1.0 2.5", "1e5 2E3", "NA nan", "007 7"])
def test_names_that_read_as_numbers_stay_as_they_are(tmp_path, names):
    one, two = names.split()
    bed = BED.replace("P1\tP2\tP3", f"{one}\t{two}\tP3")
    matrix = MATRIX.replace("P1,P2", f"{one},{two}")
    for name, text in (("e.bed", bed), ("e.csv", matrix)):
        assert read_expression(put(tmp_path, name, text)).values.columns[:2].tolist() == [one, two]
    fam = "1_1\t2_2\nG\t1\t2\n"
    assert read_expression(put(tmp_path, "e.tsv", fam)).values.columns.tolist() == ["1_1", "2_2"]


@pytest.mark.parametrize("name", ["e.bed.bgz", "e.bed"])
def test_compressed_text_is_told_by_its_first_bytes(tmp_path, name):
    (tmp_path / name).write_bytes(gzip.compress(BED.encode()))
    found, expected = read_expression(tmp_path / name), read_expression(put(tmp_path, "p.bed", BED))
    pd.testing.assert_frame_equal(found.values, expected.values)
    pd.testing.assert_frame_equal(found.positions, expected.positions)


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_table_of_r_whose_header_lacks_the_first_cell(tmp_path, quote):
    rows = [["P1", "P2"], ["A", "1", "2"], ["B", "3", "NA"]]
    cells = [[f"{quote}{c}{quote}" if c[0] in "PAB" else c for c in row] for row in rows]
    text = "\n".join("\t".join(row) for row in cells) + "\n"
    found = read_expression(put(tmp_path, "e.txt", text)).values
    assert found.columns.tolist() == ["P1", "P2"] and found.index.tolist() == ["A", "B"]
    np.testing.assert_array_equal(found, [[1, 2], [3, np.nan]])
    shifted = "GENE\tP1\tP2\nA\t1\t2\t\nB\t3\t4\t\n"  # a tab too many in the rows
    with pytest.raises(HowfarError, match="line 2: found 4 columns"):
        read_expression(put(tmp_path, "s.txt", shifted))


def test_missing_values_and_notes_above_the_header(tmp_path):
    text = "# from us\n##more\ngene,P1,P2\nA, NA ,null\nB,-nan, 4 \nC,<NA>,5\n"
    found = read_expression(put(tmp_path, "e.csv", text))
    np.testing.assert_array_equal(found.values, [[np.nan, np.nan], [np.nan, 4], [np.nan, 5]])
    with pytest.raises(HowfarError, match=r"line 5, column 3: found '1_000' \(1 such"):
        read_expression(put(tmp_path, "e.csv", text.replace(" 4 ", "1_000")))


@pytest.mark.parametrize("name", ["e.tsv", "e.parquet", "e.bed.parquet"])
def test_a_bed_file_is_told_by_its_header_too(tmp_path, name):
    path = put(tmp_path, name, BED)
    if "parquet" in name:  # with its gene ids in the index, as pandas read by tensorQTL
        table = pd.read_csv(put(tmp_path, "e.txt", BED), sep="\t", dtype={"#chr": str})
        table.set_index("phenotype_id").to_parquet(path)
    found, expected = read_expression(path), read_expression(put(tmp_path, "e.bed", BED))
    pd.testing.assert_frame_equal(found.values, expected.values)
    pd.testing.assert_frame_equal(found.positions, expected.positions)


@pytest.mark.parametrize("name", ["e.csv", "e.parquet", "e.txt.gz", "e"])
def test_the_content_tells_the_format_and_not_the_name(tmp_path, name):
    expected = read_expression(put(tmp_path, "right.csv", MATRIX)).values
    path = tmp_path / name
    for data in (MATRIX.encode(), gzip.compress(MATRIX.encode())):
        path.write_bytes(data)
        pd.testing.assert_frame_equal(read_expression(path).values, expected)
    expected.to_parquet(path)
    pd.testing.assert_frame_equal(read_expression(path).values, expected)
    path.write_text(GCT)
    assert read_expression(path).values.columns.tolist() == ["P1", "P2", "P3"]


def test_a_parquet_file_of_chosen_rows_or_of_numbers_as_text(tmp_path):
    table = pd.DataFrame({"gene_id": ["A", "B", "C"], "P1": [1.0, 2, 3], "P2": [4.0, 5, 6]})
    table[table["P1"] != 2].to_parquet(tmp_path / "rows.parquet")
    found = read_expression(tmp_path / "rows.parquet").values
    assert found.index.tolist() == ["A", "C"] and found["P2"].tolist() == [4, 6]
    table.astype({"P1": str}).to_parquet(tmp_path / "text.parquet")
    assert read_expression(tmp_path / "text.parquet").values["P1"].tolist() == [1, 2, 3]


def test_gene_versions(tmp_path):
    path = put(tmp_path, "e.csv", MATRIX)
    stripped = read_expression(path, "strip").values.index
    assert stripped.tolist() == ["ENSG00000000001", "RP11-34P13.7"]
    assert read_expression(path, "keep").values.index[0] == "ENSG00000000001.4"
    twice = put(tmp_path, "t.csv", "gene,P\nENSG00000000001.4,1\nENSG00000000001.5,2\n")
    assert len(read_expression(twice).values) == 2
    with pytest.raises(HowfarError, match="once their versions are stripped"):
        read_expression(twice, "strip")
    par = put(tmp_path, "p.csv", "gene,P\nENSG00000000001.4,1\nENSG00000000001.4_PAR_Y,2\n")
    assert read_expression(par, "strip").values.index[1] == "ENSG00000000001_PAR_Y"
    with pytest.raises(HowfarError, match="gene_versions"):
        read_expression(path, "drop")


SEMICOLONS = "gene;P1;P2\nA;1,5;-2\nB;0,125;1,5e-3\n"


def equal_tables(found, expected):
    assert found.index.tolist() == expected.index.tolist()
    assert found.columns.tolist() == expected.columns.tolist()
    np.testing.assert_array_equal(found, expected)


def test_semicolons_and_decimal_commas(tmp_path):
    """As pandas reads them when told; R's write.csv2 writes such tables, names quoted."""
    path = put(tmp_path, "e.csv", SEMICOLONS)
    expected = pd.read_csv(path, sep=";", decimal=",", index_col=0)
    with pytest.warns(UserWarning, match="3 decimal commas are read as points"):
        equal_tables(read_expression(path).values, expected)
    quoted = SEMICOLONS.replace("gene;P1;P2", '"";"P1";"P2"').replace("A;", '"A";')
    with pytest.warns(UserWarning, match="3 decimal"):
        found = read_expression(put(tmp_path, "q.csv", quoted)).values
    equal_tables(found, expected)
    points = put(tmp_path, "p.csv", SEMICOLONS.replace(",", "."))
    equal_tables(read_expression(points).values, expected)


@pytest.mark.parametrize(
    "text", ["gene P1  P2\nA 1.5 2\nB  3   4\n", '"P1" "P2"\n"A" 1.5 2\n"B" 3 4']
)
def test_blanks_between_cells(tmp_path, text):
    found = read_expression(put(tmp_path, "e.txt", text)).values
    assert found.columns.tolist() == ["P1", "P2"] and found.index.tolist() == ["A", "B"]
    np.testing.assert_array_equal(found, [[1.5, 2], [3, 4]])


P = "P1.bam\tP2.bam\n"
PUBLISHED = {
    "featureCounts": (
        "f.txt",
        '# Program:featureCounts v2.0.1; Command:"featureCounts" "-a" "x.gtf"\n'
        f"Geneid\tChr\tStart\tEnd\tStrand\tLength\t{P}"
        "G.1\t1;1\t5;9\t7;12\t+;+\t7\t1\t2\nH.1\t2\t5\t7\t-\t3\t3\t4\n",
    ),
    "GEUVADIS": (
        "g.txt",
        f"TargetID\tGene_Symbol\tChr\tCoord\t{P}G.1\tG.1\t5\t59\t1\t2\nH.1\tH.1\tX\t7\t3\t4\n",
    ),
    "nf-core": ("n.tsv", f"gene_id\tgene_name\t{P}G.1\tAB\t1\t2\nH.1\t7\t3\t4\n"),
    "GTEx, one tissue": (
        "t.gct",
        f"#1.2\n2\t2\nid\tName\tDescription\t{P}0\tG.1\tAB\t1\t2\n1\tH.1\tCD\t3\t4\n",
    ),
}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_columns_that_published_tables_have_before_the_samples(tmp_path, kind):
    found = read_expression(put(tmp_path, *PUBLISHED[kind]))
    assert found.values.index.tolist() == ["G.1", "H.1"] and found.positions is None
    assert found.values.columns.tolist() == ["P1.bam", "P2.bam"]
    np.testing.assert_array_equal(found.values, [[1, 2], [3, 4]])


def test_rows_of_htseq_that_are_no_genes_are_left_out(tmp_path):
    text = "gene\tP1\tP2\nA\t1\t2\n__no_feature\t9\t9\n__ambiguous\t9\t9\n__mine\t5\t6\n"
    with pytest.warns(UserWarning, match="2 rows of HTSeq are no genes"):
        found = read_expression(put(tmp_path, "h.txt", text)).values
    assert found.index.tolist() == ["A", "__mine"] and found["P2"].tolist() == [2, 6]


WRONG = {
    "transcripts": (
        "Name,P\nENST00000456328.2|ENSG00000223972.5|OTT|DDX11L1|,1\n",
        "gene ids: found the transcript 'ENST00000456328.2.*tximport",
    ),
    "thousands or decimals": ("gene;P\nA;1,234\nB;2,345\n", "line 2.*'1,234', whose comma may"),
    "commas and points": ("gene;P\nA;1.5\nB;2,3\n", "line 3.*'2,3', whose comma may"),
    "decimal commas": ("gene\tP\nA\t1,5\n", r"line 2, column 2.*'1,5'.*with decimal points"),
    "text in a cell": (MATRIX.replace(",1,2", ",1,high"), r"line 2, column 3.*'high'"),
    "truth value": ("gene,P\nA,True\nB,False\n", r"line 2, column 2.*'True'"),
    "infinity": (MATRIX.replace(",1,2", ",1,-inf"), r"line 2, column 3.*infinite"),
    "overflow": (MATRIX.replace(",1,2", ",1,1e999"), r"line 2, column 3.*infinite"),
    "gene twice": ("gene,P\nA,1\nA,2\n", r"1 repeated \(first: A\)"),
    "no gene id": ("gene,P\n,1\n", "an empty id"),
    "sample twice": ("gene,P,P\nA,1,2\n", "2 samples, 1 repeated"),
    "sample unnamed": ("gene,P,\nA,1,2\n", "1 unnamed"),
    "short row": ("gene,P,Q\nA,1,2\nB,1\n", "line 3: found 2 columns"),
    "long row": ("gene,P,Q\nA,1,2,3\n", "line 2: found 4 columns"),
    "blank line": ("gene,P,Q\n\nA,1,2\n", "line 2: found 1 column"),
    "header lost": ("A,0.5,1.5\nB,1,2\n", "The header line is missing"),
    "header lost, counts": (
        "ENSG00000000001.4,5,6\nENSG00000000002,1,2\n",
        "header line is missing",
    ),
    "empty": ("", "an empty file"),
    "wrong separator": ("gene|P|Q\nA|1|2\n", "0 samples"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(tmp_path, case):
    text, message = WRONG[case]
    with pytest.raises(HowfarError, match=message):
        read_expression(put(tmp_path, "e.csv", text))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("#chr\tstart", "1\t5", "the first not '#chr'"),
        ("99\t100", "100\t99", "line 2.*start '100', end '99'"),
        ("99\t100", "9.5\t100", "line 2.*start '9.5'"),
        ("\t7\n", "\tx\n", "line 3, column 7.*'x'"),
    ],
)
def test_what_is_wrong_in_a_bed_file_is_named(tmp_path, old, new, message):
    with pytest.raises(HowfarError, match=message):
        read_expression(put(tmp_path, "e.bed", BED.replace(old, new)))


def test_lines_are_counted_from_the_top_of_the_file(tmp_path):
    text = "## made by us\n" + BED.replace("\t7\n", "\tx\n")
    with pytest.raises(HowfarError, match="line 4, column 7"):
        read_expression(put(tmp_path, "e.bed", text))


def test_files_that_cant_be_read(tmp_path):
    with pytest.raises(HowfarError, match="no such file"):
        read_expression(tmp_path / "absent.bed")
    cut = tmp_path / "e.bed.gz"
    cut.write_bytes(gzip.compress(BED.encode())[:40])
    with pytest.raises(HowfarError, match="unreadable"):
        read_expression(cut)


def test_errors_name_no_sample(tmp_path):
    text = "gene,NA12878,NA12878\nA,1,2\n"
    with pytest.raises(HowfarError) as caught:
        read_expression(put(tmp_path, "e.csv", text))
    assert "NA12878" not in str(caught.value)


# --- other formats ---------------------------------------------------------------------------

GCT = "#1.2\n2\t3\nName\tDescription\tP1\tP2\tP3\nG1\tone\t1\t2\t3\nG2\ttwo\t4\tNA\t6\n"
GCT3 = "#1.3\n2\t2\t1\t1\nid\tsymbol\tP1\tP2\nage\tna\t30\tunknown\nG1\tone\t1\t2\nG2\ttwo\t4\t5\n"


def test_gct_leaves_its_metadata_out(tmp_path):
    found = read_expression(put(tmp_path, "e.gct.gz", GCT)).values
    np.testing.assert_array_equal(found, [[1, 2, 3], [4, np.nan, 6]])
    assert found.index.tolist() == ["G1", "G2"] and found.columns.tolist() == ["P1", "P2", "P3"]
    other = read_expression(put(tmp_path, "e3.gct", GCT3)).values
    np.testing.assert_array_equal(other, [[1, 2], [4, 5]])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2\t3", "3\t3", "line 2: found 2 rows of genes and 3 samples; expected 3 and 3"),
        ("2\t3", "2\t2", "line 2: found 2 rows"),
        ("#1.2", "#2.0", "lines 1 and 2"),
        ("2\t3", "two", "lines 1 and 2"),
        ("\tNA\t", "\tx\t", "line 5, column 4: found 'x'"),
    ],
)
def test_what_is_wrong_in_a_gct_file_is_named(tmp_path, old, new, message):
    with pytest.raises(HowfarError, match=message):
        read_expression(put(tmp_path, "e.gct", GCT.replace(old, new, 1)))


def test_parquet_with_the_gene_ids_in_the_index_or_a_column(tmp_path):
    frame = pd.DataFrame({"P1": [1.5, np.nan], "P2": [3, 4]}, index=["G1", "G2"])
    frame.rename_axis("gene_id").to_parquet(tmp_path / "i.parquet")
    frame.rename_axis("gene_id").reset_index().to_parquet(tmp_path / "c.parquet", index=False)
    for name in ("i.parquet", "c.parquet"):
        found = read_expression(tmp_path / name)
        pd.testing.assert_frame_equal(
            found.values,
            frame.astype(float),
            check_names=False,
            check_index_type=False,
            check_column_type=False,
        )
        assert found.missing == 1 and found.positions is None
    bed = pd.DataFrame(
        {"#chr": ["1"], "start": [9], "end": [10], "phenotype_id": ["G"], "P": [2.0]}
    )
    bed.to_parquet(tmp_path / "t.bed.parquet")
    found = read_expression(tmp_path / "t.bed.parquet")
    assert found.values.loc["G", "P"] == 2 and found.positions.loc["G"].tolist() == ["1", 9, 10]
    bed.assign(P=[np.inf]).to_parquet(tmp_path / "t.bed.parquet")
    with pytest.raises(HowfarError, match="infinite"):
        read_expression(tmp_path / "t.bed.parquet")
    bed.assign(P=["high"]).to_parquet(tmp_path / "t.bed.parquet")
    with pytest.raises(HowfarError, match="'high'"):
        read_expression(tmp_path / "t.bed.parquet")


def test_a_real_file_of_fastqtl(shared):
    found = next((shared / "mirror").glob("francois-a/fastqtl/*/example/phenotypes.bed.gz"), None)
    if found is None:
        pytest.skip("FastQTL's example is not here")
    mine = read_expression(found)
    theirs = pd.read_csv(found, sep="\t", index_col=3).drop(columns=["#Chr", "start", "end"])
    assert mine.values.shape == theirs.shape and mine.missing == 0
    np.testing.assert_array_equal(mine.values, theirs)
    assert mine.values.columns.tolist() == theirs.columns.tolist()
    assert (mine.positions["end"] - mine.positions["start0"] == 1).all()
