"""Weights read, matched and applied."""

from __future__ import annotations

import gzip
import sqlite3
import subprocess
import tarfile

import numpy as np
import pandas as pd
import pytest

from howfar.core.errors import HowfarError
from howfar.genome.intervals import Gene, Interval, Variant
from howfar.linear import weights
from howfar.linear.weights import COLUMNS, Around, Weights, apply, match, read_weights

ROWS = [
    ("g", "1", 10, "A", "C", 1.0),
    ("g", "1", 20, "G", "A", 2.0),
    ("g", "1", 30, "T", "TA", -1.0),
    ("g", "1", 40, "A", "T", 4.0),
]
WRITTEN = [Variant("chr1", *row[2:5]) for row in ROWS]
X = np.array([[0, 1, 2, 0], [1, 1, 0, 2], [2, 0, 1, 1]], np.float32)


@pytest.fixture
def made():
    return Weights(pd.DataFrame(ROWS, columns=COLUMNS), pd.Series({"g": 0.5}), "made")


def predict(made, dosages, variants, **options):
    values, counts = apply(made, ["g"], lambda gene: (dosages, variants), **options)
    return values.loc["g"].to_numpy(), counts


def test_dosages_of_a_gene_are_read_once():
    reads = []
    rows = [("g", "1", 5, "A", "G", 2.0), ("g", "1", 9, "C", "T", 1.0)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    sites = [Variant("1", 9, "C", "T"), Variant("1", 7, "A", "C"), Variant("1", 5, "G", "A")]

    def dosages(gene):
        reads.append(gene)
        return np.array([[1.0, 9, 0], [0, 9, 2]]), sites

    values, _ = apply(Weights(table, pd.Series({"g": 0.5}), "w"), ["g"], dosages)
    assert values.loc["g"].tolist() == [0.5 + 4 + 1, 0.5] and reads == ["g"]


def test_alleles_as_written(made):
    found, counts = predict(made, X, WRITTEN)
    np.testing.assert_allclose(found, X @ [1, 2, -1, 4] + 0.5)
    assert counts["used"] == 4 and counts["palindromic, taken as written"] == 1


def test_exchanged_alleles_count_the_other_way(made):
    variants = [WRITTEN[0], Variant("1", 20, "A", "G"), Variant("1", 30, "TA", "T"), WRITTEN[3]]
    turned = X.copy()
    turned[:, 1:3] = 2 - turned[:, 1:3]
    found, counts = predict(made, turned, variants)
    np.testing.assert_allclose(found, X @ [1, 2, -1, 4] + 0.5)
    assert counts["alleles swapped"] == 2


def test_another_strand_is_counted_and_leaves_no_ambiguous_variant(made):
    variants = [Variant("1", 10, "T", "G"), Variant("1", 20, "T", "C"), WRITTEN[2], WRITTEN[3]]
    turned = X.copy()
    turned[:, 1] = 2 - turned[:, 1]
    found, counts = predict(made, turned, variants, min_share=0.7)
    np.testing.assert_allclose(found, X[:, :3] @ [1, 2, -1] + 0.5)
    assert counts["alleles flipped"] == counts["alleles flipped and swapped"] == 1
    assert counts["palindromic, left out"] == 1


def test_another_variant_at_the_place_is_not_taken(made):
    variants = [Variant("1", 10, "A", "T"), *WRITTEN[1:]]
    assert match(made.table, variants).row.tolist() == [1, 2, 3]


def test_too_few_variants_stop_the_work(made):
    with pytest.raises(HowfarError, match="4 weights, 2 used, 2 not found"):
        predict(made, X[:, :2], WRITTEN[:2])
    assert len(predict(made, X[:, :2], WRITTEN[:2], min_share=0.5)[0]) == 3


TWO = [*ROWS, ("far", "1", 9_000, "A", "C", 1.0), ("far", "2", 10, "A", "C", 1.0)]


def test_a_gene_is_missing_by_itself_and_named():
    """Not 0 for everybody, and no gene's variants make up for another's."""
    two = Weights(pd.DataFrame(TWO, columns=COLUMNS), pd.Series({"g": 0.5, "far": 3.0}), "made")
    around = {"g": Around(Interval("1", 0, 100)), "far": Around(Interval("chr1", 0, 8_000))}.get
    given = (two, ["g", "far"], lambda gene: (X, WRITTEN))
    values, counts = apply(*given, around=around)
    assert values.loc["far"].isna().all() and values.loc["g"].notna().all()
    assert counts["genes left missing, too few of their weights found: far"] == 1
    assert counts["not found, outside the window"] == 2 and counts["not found"] == 0
    assert apply(*given, min_share=0)[0].loc["far"].isna().all()  # of nothing nothing follows


def test_versions_of_genes_are_stripped_as_the_study_says(tmp_path):
    (tmp_path / "ENSG00000000001.5.enet.weights.txt").write_text(TEXT)
    kept = read_weights(tmp_path)
    with pytest.raises(HowfarError, match="the ids of 1 gene differ by their version") as error:
        apply(kept, ["ENSG00000000001"], lambda gene: (X, WRITTEN))
    assert "gene_versions to strip" in error.value.do
    stripped = read_weights(tmp_path, "strip")
    values, _ = apply(stripped, ["ENSG00000000001"], lambda gene: (X, WRITTEN))
    np.testing.assert_allclose(values.loc["ENSG00000000001"], X[:, :2] @ [1.5, -2.0])
    (tmp_path / "ENSG00000000001.6.enet.weights.txt").write_text(TEXT)
    with pytest.raises(HowfarError, match="twice once versions are stripped"):
        read_weights(tmp_path, "strip")


def test_a_file_of_r_says_how_to_convert_it(tmp_path):
    """The line was run by R 4.2 on a file with the rows below; it wrote the text below."""
    (tmp_path / "g.wgt.RDat").write_bytes(b"RDX2")
    with pytest.raises(HowfarError, match="a file of R") as error:
        read_weights(tmp_path / "g.wgt.RDat")
    assert (
        f'load("{tmp_path}/g.wgt.RDat"); m <- "enet"; s <- snps; w <- wgt.matrix[, m]; '
        'if (m == "top1") w[-which.max(w^2)] <- 0; '
        'write.table(data.frame(sprintf("%s_%s_%d", s$V2, s$V1, s$V4), s$V5, s$V6, w), '
        'paste0("g.", m, ".weights.txt"), sep="\\t", quote=FALSE, row.names=FALSE, '
        "col.names=FALSE)"
    ) in error.value.do
    # snps: 1 rs1 0 100000 C A, 1 1:200:T:G 0 200 T G, 1 rs3 0 300 G T
    text = "rs1_1_100000\tC\tA\t0.25\n1:200:T:G_1_200\tT\tG\t-1e-05\nrs3_1_300\tG\tT\t0\n"
    (tmp_path / "g.enet.weights.txt").write_text(text)
    assert read_weights(tmp_path / "g.enet.weights.txt").table.to_numpy().tolist() == [
        ["g", "1", 100_000, "A", "C", 0.25],
        ["g", "1", 200, "G", "T", -1e-05],
        ["g", "1", 300, "T", "G", 0.0],
    ]


@pytest.mark.parametrize("harmonised", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_a_score_of_the_pgs_catalog_says_how_to_convert_it(tmp_path, harmonised, packed):
    more = "\thm_chr\thm_pos" if harmonised else ""
    place = "\t1\t12" if harmonised else ""
    head = "rsID\tchr_name\tchr_position\teffect_allele\tother_allele\teffect_weight"
    text = "###PGS CATALOG SCORING FILE\n#pgs_id=PGS1\n"
    text += f"{head}{more}\nrs5\t1\t10\tC\tA\t0.5{place}\n"
    path = tmp_path / "PGS000001.txt"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    with pytest.raises(HowfarError, match="PGS Catalog, which names no gene") as error:
        read_weights(path)
    line = error.value.do.partition("gene's id: ")[2].partition(" (a folder")[0]
    subprocess.run(["sh", "-c", line], cwd=tmp_path, check=True)
    found = read_weights(tmp_path / "GENE.score").table
    assert found.to_numpy().tolist() == [["GENE", "1", 12 if harmonised else 10, "A", "C", 0.5]]


def test_no_gene_in_common(made):
    with pytest.raises(HowfarError, match="0 genes in common"):
        apply(made, ["h"], lambda gene: (X, WRITTEN))


def test_a_missing_call_is_the_mean(made):
    x = X.copy()
    x[0, 3] = np.nan
    expected = X.copy()
    expected[0, 3] = 1.5
    np.testing.assert_allclose(
        predict(made, x, WRITTEN)[0], expected @ np.array([1, 2, -1, 4]) + 0.5
    )


def predictdb(path, rows, count):
    with sqlite3.connect(path) as base:
        names = ["rsid", "gene", "weight", "ref_allele", "eff_allele", "varID"]
        pd.DataFrame(rows, columns=names).to_sql("weights", base, index=False)
        extra = {"gene": ["g", "empty"], "n.snps.in.model": [count, 0]}
        pd.DataFrame(extra).to_sql("extra", base, index=False)
    return path


DB_ROWS = [
    ("rs1", "g", 0.5, "A", "C", "chr1_10_A_C_b38"),
    ("rs2", "g", -2.0, "G", "A", "chr1_20_G_A_b38"),
]


def test_predictdb(tmp_path):
    found = read_weights(predictdb(tmp_path / "m.db", DB_ROWS, 2))
    assert found.table["pos"].tolist() == [10, 20] and found.table["alt"].tolist() == ["C", "A"]
    values, _ = apply(found, ["g", "empty"], lambda gene: (X, WRITTEN))
    np.testing.assert_allclose(values.loc["g"], X[:, :2] @ [0.5, -2.0])
    np.testing.assert_array_equal(values.loc["empty"], 0)


@pytest.mark.parametrize(
    ("rows", "count", "says"),
    [
        (DB_ROWS, 3, "another number of weights"),
        ([("1:10", "g", 0.5, "A", "C", "rs1_10")], 1, "without a position"),
        ([("rs1", "g", 0.5, "A", "<DEL>", "chr1_10_A_C_b38")], 1, "record 1"),
        ([DB_ROWS[0], DB_ROWS[0]], 2, "1 variant twice"),
    ],
)
def test_a_broken_predictdb_is_refused(tmp_path, rows, count, says):
    with pytest.raises(HowfarError, match=says):
        read_weights(predictdb(tmp_path / "m.db", rows, count))


SCORE = "rs1\tC\tA\t 0.5\nrs2\tA\tG\t-2.0\nrs9\tA\tG\t 0.1\n"


@pytest.mark.parametrize("kind", ["predictdb", "make_score"])
def test_weights_that_name_variants_by_rsid_alone(tmp_path, kind):
    """The cohort's own ids give them their places."""
    if kind == "predictdb":
        rows = [(*row[:5], None) for row in DB_ROWS] + [("rs9", "g", 0.1, "G", "A", None)]
        path = predictdb(tmp_path / "m.db", rows, 3)
    else:
        path = tmp_path / "g.score"
        path.write_text(SCORE)
    found = read_weights(path)
    here = Around(Interval("chr1", 0, 100), {"rs1": 10, "rs2": 20})
    given = (found, ["g"], lambda gene: (X, WRITTEN))
    values, counts = apply(*given, min_share=0.6, around=lambda gene: here)
    np.testing.assert_allclose(values.loc["g"], X[:, :2] @ [0.5, -2.0])
    assert counts["used"] == 2 and counts["not found"] == 1
    with pytest.raises(HowfarError, match="0 used") as error:
        apply(*given, around=lambda gene: Around(here.window))
    assert "by rsid alone" in error.value.do


def test_the_content_tells_the_format_and_not_the_name(tmp_path):
    base = predictdb(tmp_path / "m.sqlite", DB_ROWS, 2)
    assert read_weights(base).table["pos"].tolist() == [10, 20]
    table = read_weights(base).table
    table.to_parquet(tmp_path / "m.weights.pq")
    genes = pd.DataFrame({"gene_id": ["g"], "intercept": [1.0]})
    genes.to_parquet(tmp_path / "m.genes.pq")
    assert read_weights(tmp_path / "m.weights.pq").table.equals(table)


def test_no_database(tmp_path):
    (tmp_path / "m.db").write_text("text")
    with pytest.raises(HowfarError, match="no PredictDB file"):
        read_weights(tmp_path / "m.db")


TEXT = "snp_1_10\tC\tA\t1.5\nNA\tNA\tNA\tNA\nsnp_1_20\tA\tG\t-2\n"


def test_fusion_text_has_the_alternative_allele_first(tmp_path):
    (tmp_path / "g.lasso.weights.txt").write_text(TEXT)
    for path in (tmp_path, tmp_path / "g.lasso.weights.txt"):
        found = read_weights(path)
        assert found.table[["ref", "alt"]].to_numpy().tolist() == [["A", "C"], ["G", "A"]]
    with tarfile.open(tmp_path / "W.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "g.lasso.weights.txt", "w/g.lasso.weights.txt")
    values, counts = apply(read_weights(tmp_path / "W.tar.gz"), ["g"], lambda gene: (X, WRITTEN))
    np.testing.assert_allclose(values.loc["g"], X[:, :2] @ [1.5, -2.0])
    assert counts["alleles same"] == 2


def test_a_broken_line_is_named(tmp_path):
    (tmp_path / "g.enet.weights.txt").write_text(TEXT + "snp_1_x\tA\tG\t1\n")
    with pytest.raises(HowfarError, match="line 4"):
        read_weights(tmp_path)
    (tmp_path / "g.enet.weights.txt").write_text(TEXT)
    (tmp_path / "g.blup.weights.txt").write_text(TEXT)
    with pytest.raises(HowfarError, match="of one model"):
        read_weights(tmp_path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(HowfarError, match="no such file"):
        read_weights(tmp_path / "x.weights.parquet")


def test_palindromes():
    assert weights.is_palindromic("A", "T") and weights.is_palindromic("G", "C")
    assert not weights.is_palindromic("A", "C") and not weights.is_palindromic("AT", "A")


def test_a_file_name_may_hold_what_an_address_may_not(tmp_path):
    """SQLite opens by address, in which ?, # and % mean something."""
    path = tmp_path / "50%20?mode=x#1.db"
    rows = pd.DataFrame({"gene": ["g"], "varID": ["1_10_A_C_b38"], "ref_allele": ["A"],
                         "eff_allele": ["C"], "weight": [2.0]})  # fmt: skip
    base = sqlite3.connect(path)
    rows.to_sql("weights", base, index=False)
    pd.DataFrame({"gene": ["g"]}).to_sql("extra", base, index=False)
    base.close()
    assert read_weights(path).table["weight"].tolist() == [2.0]


def test_the_files_behind_weights(tmp_path):
    ours = tmp_path / "m.weights.parquet"
    assert set(weights.files_of(ours)) == {"weights", "genes of the weights"}
    assert weights.files_of(tmp_path / "w.db") == {"weights": tmp_path / "w.db"}
    for gene in ("a", "b"):
        (tmp_path / f"{gene}.enet.weights.txt").write_text("")
    assert len(weights.files_of(tmp_path)) == 2


def test_a_predictdb_file_with_a_view_is_refused_before_it_is_asked(tmp_path):
    path = predictdb(tmp_path / "m.db", DB_ROWS, 2)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    with sqlite3.connect(path) as base:
        base.execute("DROP TABLE weights")
        base.execute(f"CREATE VIEW Weights AS {endless}")
    with pytest.raises(HowfarError, match="views in the place of tables"):
        read_weights(path)


def test_predictdb_as_scpredixcan_writes_it_genes_by_name(tmp_path):
    """The same tables: genes may be symbols, the variants' places stand in `rsid`."""
    path = tmp_path / "lymphocytes.db"
    rows = [("chr1_10_A_C", "SYM", 0.5, "A", "C"), ("chr1_20_G_A", "SYM", -2.0, "G", "A")]
    rows += [("chr1_10_A_C", "TWIN", 1.0, "A", "C")]
    with sqlite3.connect(path) as base:
        names = ["rsid", "gene", "weight", "ref_allele", "eff_allele"]
        pd.DataFrame(rows, columns=names).to_sql("weights", base, index=False)
        extra = {"gene": ["SYM", "TWIN"], "n.snps.in.model": [2, 1]}
        pd.DataFrame(extra).to_sql("extra", base, index=False)
    genes = [Gene("ENSG1", "SYM", "1", 15, "+")]
    genes += [Gene(f"ENSG{k}", "TWIN", "1", 15, "+") for k in (2, 3)]
    found, named = weights._by_name(read_weights(path), genes)
    assert named == 1  # a name of two genes says nothing
    values, _ = apply(found, ["ENSG1", "ENSG2"], lambda gene: (X, WRITTEN))
    np.testing.assert_allclose(values.loc["ENSG1"], X[:, :2] @ [0.5, -2.0])
    assert list(values.index) == ["ENSG1"]
