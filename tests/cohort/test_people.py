import shutil
import subprocess

import numpy as np
import pandas as pd
import patsy
import pytest

from howfar.cohort.expression import read_expression
from howfar.cohort.people import (
    common_samples,
    read_covariates,
    read_sample_map,
    read_samples,
    rename_samples,
)
from howfar.core.errors import HowfarError

PAIRS = "genotype,expression,sex\nP1,R1,1\nP2,R2,2\n"


def put(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_sample_map_names_expression_as_the_genotypes_do(tmp_path):
    pairs = read_sample_map(put(tmp_path, "m.csv", PAIRS))
    assert pairs == {"R1": "P1", "R2": "P2"}
    assert read_sample_map(put(tmp_path, "m.tsv", PAIRS.replace(",", "\t"))) == pairs
    given = read_expression(put(tmp_path, "e.csv", "gene,R2,R3,R1\nG,2,3,\n"))
    found, counts = rename_samples(given, pairs | {"R9": "P9"}, "m.csv")
    assert found.values.columns.tolist() == ["P2", "P1"] and found.missing == 1
    assert found.values.loc["G", "P2"] == 2 and np.isnan(found.values.loc["G", "P1"])
    assert sorted(counts.values()) == [1, 1]
    with pytest.raises(HowfarError, match="none of the 3 expression samples among 1 row"):
        rename_samples(given, {"P1": "R1"}, "m.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("P1,R1\nP2,R2\n", "line 1: found 2 columns, without"),
        (PAIRS + "P3,R1,1\n", "line 4: found an expression sample that an earlier line has"),
        (PAIRS + "P3\n", "line 4: found an empty cell"),
        (PAIRS + "\n" + "P3,R3,1\n", "line 4: found an empty cell"),
        ("", "an empty file"),
    ],
)
def test_a_wrong_sample_map_is_named_by_its_line(tmp_path, text, message):
    with pytest.raises(HowfarError, match=message):
        read_sample_map(put(tmp_path, "m.csv", text))


def test_the_lookup_table_of_gtex_is_a_sample_map(tmp_path):
    """It lists every tissue's samples; the expression file has one of each person."""
    people = [f"GTEX-{i}" for i in (1, 2)]
    rows = [f"{p}-{tissue}\t{p}" for p in people for tissue in ("0005", "0226")]
    table = "\n".join(["sample_id\tparticipant_id", *rows]) + "\n"
    pairs = read_sample_map(put(tmp_path, "lookup.txt", table))
    given = read_expression(put(tmp_path, "e.csv", "gene,GTEX-2-0226,GTEX-1-0226\nG,2,3\n"))
    assert rename_samples(given, pairs, "lookup.txt")[0].values.columns.tolist() == people[::-1]
    both = put(tmp_path, "b.csv", "gene,GTEX-1-0005,GTEX-1-0226\nG,2,3\n")
    with pytest.raises(HowfarError, match="1 sample more than people"):
        rename_samples(read_expression(both), pairs, "lookup.txt")
    with pytest.raises(HowfarError, match="1 sample more than people"):
        read_covariates(both, people[:1], pairs)


ROWS = "id\tA\tB\tC\nage\t30\t40\t50\nsex\t1\t2\t1\n"


def test_covariates_either_way_round(tmp_path):
    found = read_covariates(put(tmp_path, "c.tsv", ROWS), ["C", "B"])
    turned = pd.read_csv(tmp_path / "c.tsv", sep="\t", index_col=0).T.rename_axis("person")
    turned.to_csv(tmp_path / "t.csv")
    other = read_covariates(tmp_path / "t.csv", ["C", "B"])
    for table in (found, other):
        assert table.index.tolist() == ["C", "B"] and table.columns.tolist() == ["age", "sex"]
        assert table["age"].tolist() == [50, 40] and table["sex"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROWS.replace("B", "D"), "2 of 3 people in the header, 0 in the first column"),
        (ROWS.replace("\tA", "\tage"), "2 of 3 people in the header"),
        ("id\tA\tB\tC\nA\t1\t2\t3\n", "3 of 3 people in the header, 1 in the first column"),
        (ROWS.replace("40", "NA"), r"1 covariates with missing values.*\(first: age\)"),
        (ROWS.replace("2\t1", "1\t1"), r"1 covariates .* one value for all \(first: sex\)"),
        (ROWS.replace("40", "forty"), "line 2, column 3: found 'forty'"),
    ],
)
def test_wrong_covariates_are_named(tmp_path, text, message):
    with pytest.raises(HowfarError, match=message):
        read_covariates(put(tmp_path, "c.tsv", text), ["A", "B", "C"])


PLINK2 = "#FID\tIID\tPC1\tPC2\nF\tA\t0.1\t-0.2\nF\tB\t0.3\t4e-2\nG\tC\t0\t1\n"


@pytest.mark.parametrize(
    "text",
    [
        PLINK2,
        PLINK2.replace("\t", " ").partition("\n")[2],  # PLINK 1.9 and GCTA
        PLINK2.replace("\tIID", "\tIID\tSID").replace("\t0", "\t0\t0"),
        PLINK2.replace("#FID\tIID", "#IID").replace("F\t", "").replace("G\t", ""),
        PLINK2.replace("\tA", "\t1").replace("\tB", "\t2").replace("\tC", "\t3"),
    ],
)
def test_components_of_plink(tmp_path, text):
    people = ["3", "1", "2"] if "F\t1" in text else ["C", "A", "B"]
    found = read_covariates(put(tmp_path, "p.eigenvec", text), people)
    assert found.columns.tolist() == ["PC1", "PC2"] and found.index.tolist() == people
    np.testing.assert_array_equal(found, [[0, 1], [0.1, -0.2], [0.3, 0.04]])


@pytest.mark.parametrize("program", [["plink2"], ["plink1.9"], ["plink1.9", "header", "tabs"]])
def test_components_as_the_programs_write_them(tmp_path, shared, program):
    if not (shutil.which(program[0]) and shutil.which("plink2")):
        pytest.skip(f"{program[0]} is not installed")
    name, *modifiers = program
    made = [
        [
            "plink2",
            "--vcf",
            shared / "realregion" / "chr20_1Mb.vcf.gz",
            "--max-alleles",
            "2",
            "--maf",
            "0.05",
            "--set-all-var-ids",
            "@:#",
            "--new-id-max-allele-len",
            "99",
            "--rm-dup",
            "force-first",
            "--double-id",
            "--make-bed",
        ],
        [name, "--bfile", "x", "--pca", "3", *modifiers],
    ]
    for words in made:
        words = [*map(str, words), "--threads", "1", "--memory", "640", "--out", "x"]
        subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    rows = [line.split() for line in (tmp_path / "x.eigenvec").read_text().splitlines()]
    rows = rows[rows[0][0].endswith("FID") :]
    people = [row[1] for row in rows][::-1][:300]
    found = read_covariates(tmp_path / "x.eigenvec", people)
    by_hand = {row[1]: [float(cell) for cell in row[2:]] for row in rows}
    np.testing.assert_array_equal(found, [by_hand[person] for person in people])
    assert len(by_hand) == 421 and found.columns.tolist() == ["PC1", "PC2", "PC3"]


WORDS = "id\tA\tB\tC\tD\nsex\tM\tF\tF\tM\nbatch\tb2\tb1\tb3\tb1\nage\t30\t40\t50\t60\n"


@pytest.mark.parametrize("turned", [False, True])
def test_covariates_in_words_are_factors(tmp_path, turned):
    path = put(tmp_path, "c.tsv", WORDS)
    table = pd.read_csv(path, sep="\t", index_col=0).T
    if turned:
        table.to_csv(path, sep="\t")
    found = read_covariates(path, list("DCBA"))
    assert found.columns.tolist() == ["sex_M", "batch_b2", "batch_b3", "age"]
    design = patsy.dmatrix("sex + batch + age", table.loc[list("DCBA")].astype({"age": float}))
    np.testing.assert_array_equal(found, np.asarray(design)[:, 1:])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            WORDS.replace("b2", "2"),
            r"line 3, column 3: found 'b1' \(3 such cells of covariate batch",
        ),
        (WORDS.replace("M\tF\tF\tM", "M\tF\tNA\tM"), r"missing values.*\(first: sex\)"),
        (WORDS.replace("M\tF\tF\tM", "M\tM\tM\tM"), r"one value for all \(first: sex\)"),
        (WORDS.replace("M\tF\tF\tM", "M\tF\tG\tH"), "line 2, column 2: found 'M'.*for everybody"),
        (WORDS.replace("30", "inf"), "line 4, column 2: found 'inf'"),
    ],
)
def test_words_that_are_no_factor(tmp_path, text, message):
    with pytest.raises(HowfarError, match=message):
        read_covariates(put(tmp_path, "c.tsv", text), list("ABCD"))


MAP = {"R1": "A", "R2": "B", "R3": "C", "R4": "D"}  # genotype by expression sample


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("text", [ROWS, ROWS.replace("A\tB\tC", "R1\tR2\tR3")])
def test_covariates_by_the_names_of_genotypes_or_expression(tmp_path, text, turned):
    path = put(tmp_path, "c.tsv", text)
    if turned:
        pd.read_csv(path, sep="\t", index_col=0).T.rename_axis("person").to_csv(path, sep="\t")
    found = read_covariates(path, ["C", "B"], MAP)
    assert found.index.tolist() == ["C", "B"]
    assert found["age"].tolist() == [50, 40] and found.columns.tolist() == ["age", "sex"]


def test_names_that_two_files_give_to_other_people(tmp_path):
    path = put(tmp_path, "c.tsv", ROWS)
    swapped = {"A": "B", "B": "A", "C": "C"}
    with pytest.raises(HowfarError, match="both have, for other people"):
        read_covariates(path, ["A", "B", "C"], swapped)
    same = {name: name for name in "ABC"}
    assert read_covariates(path, ["A", "B"], same)["age"].tolist() == [30, 40]
    moved = {"A": "X", "B": "A", "R": "B"}  # only one reading has all people
    assert read_covariates(path, ["A", "B"], moved)["age"].tolist() == [30, 40]
    assert read_covariates(path, ["X", "A"], moved)["age"].tolist() == [30, 40]


def test_covariates_that_lack_a_person_of_the_map(tmp_path):
    path = put(tmp_path, "c.tsv", ROWS.replace("A\tB\tC", "R1\tR2\tR9"))
    with pytest.raises(HowfarError, match=r"2 of 3 people in the header.*or the expression file"):
        read_covariates(path, ["A", "B", "C"], MAP)


# --- samples ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Sample name\tSex\tPopulation code\tPopulation name\n"
        "P1\tmale\tX\tNorth\nP2\tmale\tY\tSouth\n",
        "sample\tpop\tsuper_pop\tgender\t\t\nP1\tX\tE\tmale\nP2\tY\tE\tmale\n",
        "Family ID\tIndividual ID\tPopulation\nF\tP1\tX\nF\tP2\tY\n",
        "FamilyID SampleID FatherID MotherID Sex Population\nF P1 0 0 1 X\nF P2 0 0 1 Y\n",
        "#FID\tIID\tSEX\tPopulation\nF\tP1\t1\tX\nF\tP2\t1\tY\n",
    ],
)
def test_sample_tables_of_1000_genomes_and_plink(tmp_path, text):
    found = read_samples(put(tmp_path, "s.txt", text), ["P1", "P2"])
    assert found.to_dict() == {"P1": "X", "P2": "Y"}


@pytest.mark.parametrize(
    "text", ["F P1\nF P3\n", "P1\tP1\nP3\tP3\n", "F P1 0 0 1 -9\nF P3 0 0 2 -9"]
)
def test_lists_of_plink_have_a_family_before_each_person(tmp_path, text):
    found = read_samples(put(tmp_path, "keep.txt", text), ["P1", "P2", "P3"])
    assert found.index.tolist() == ["P1", "P3"] and found.isna().all()
    with pytest.raises(HowfarError, match="1 repeated"):
        read_samples(put(tmp_path, "keep.txt", text.replace("P3", "P1")), ["P1", "P2"])
    with pytest.raises(HowfarError, match="a first line that is no genotyped sample"):
        read_samples(put(tmp_path, "keep.txt", text.replace("P1", "person")), ["P1", "P3"])
    with pytest.raises(HowfarError, match="3 columns and no column named 'sample'"):
        read_samples(put(tmp_path, "table.txt", "1\tP1\tX\n2\tP3\tY\n"), ["P1", "P3"])


def test_people_in_tables_with_semicolons_or_blanks(tmp_path):
    for sep in (";", " "):
        path = put(tmp_path, "s.txt", f"iid{sep}pop\nP1{sep}X\nP2{sep}Y\n")
        assert read_samples(path).to_dict() == {"P1": "X", "P2": "Y"}
    names = put(tmp_path, "l.txt", "P 1\nP 2\n")
    for known in (None, ["P 1", "1", "P 2"]):
        assert read_samples(names, known).index.tolist() == ["P 1", "P 2"]


def test_sample_tables_and_lists(tmp_path):
    table = read_samples(put(tmp_path, "s.csv", "sample,population\nP1,EUR\nP2,AFR\nP3,\n"))
    assert table.index.tolist() == ["P1", "P2", "P3"]
    assert table.tolist()[:2] == ["EUR", "AFR"] and table.isna().tolist() == [False, False, True]
    other = read_samples(put(tmp_path, "s.tsv", "age\tSample_ID\tpop\n3\tP1\tEUR\n"))
    assert other.to_dict() == {"P1": "EUR"}
    plain = read_samples(put(tmp_path, "s.txt", "P1\nP2\nP3\n"))
    assert plain.index.tolist() == ["P1", "P2", "P3"] and plain.isna().all()


def test_the_column_sample_is_taken_before_one_of_numbers_and_na_is_no_population(tmp_path):
    text = "id,sample,population\n1,2,X\n2,1,NA\n3,NA,Y\n"
    found = read_samples(put(tmp_path, "s.csv", text), ["1", "2", "NA"])
    assert found.fillna("?").to_dict() == {"2": "X", "1": "?", "NA": "Y"}


def test_a_list_keeps_its_first_person_and_a_header_is_no_person(tmp_path):
    people = [f"P{i}" for i in range(421)]
    path = put(tmp_path, "s.txt", "\n".join(people) + "\n")
    assert len(read_samples(path, known=people)) == 421
    with pytest.raises(HowfarError, match="no genotyped sample, while all others are"):
        read_samples(put(tmp_path, "h.txt", "donor\n" + "\n".join(people)), known=people)
    with pytest.raises(HowfarError, match="no column named 'sample'"):
        read_samples(put(tmp_path, "n.csv", "P1,EUR\nP2,AFR\n"))
    with pytest.raises(HowfarError, match="also a genotyped sample"):
        read_samples(put(tmp_path, "i.txt", "id\nP2\n"), known=["id", "P2"])
    with pytest.raises(HowfarError, match="1 repeated"):
        read_samples(put(tmp_path, "t.txt", "P1\nP1\n"))


def test_common_samples_keep_the_order_of_the_genotypes():
    common, report = common_samples(list("ABCDE"), list("EDCXY"), list("CDEZ"))
    assert common == ["C", "D", "E"]
    assert report == {
        "genotypes": 5,
        "expression": 5,
        "wanted": 4,
        "common": 3,
        "without_expression": 2,
        "without_genotypes": 2,
        "wanted_but_absent": 1,
        "only_first_missing": 0,
    }


def test_a_first_person_lost_to_a_header_is_reported():
    people = [f"P{i}" for i in range(421)]
    assert common_samples(people, people[1:])[1]["only_first_missing"] == 1
    assert common_samples(people, people, people[1:])[1]["only_first_missing"] == 1
    assert common_samples(people, people)[1]["only_first_missing"] == 0
    assert common_samples(people, people[:-1])[1]["only_first_missing"] == 0


def test_no_overlap_stops_with_counts_and_without_names():
    with pytest.raises(HowfarError, match="2 genotypes, 1 expression, 0 common") as caught:
        common_samples(["NA1", "NA2"], ["HG3"])
    assert not {"NA1", "NA2", "HG3"} & set(str(caught.value).replace(",", " ").split())
