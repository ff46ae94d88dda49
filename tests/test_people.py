import numpy as np
import pandas as pd
import pytest

from howfar.errors import HowfarError
from howfar.expression import read_expression
from howfar.people import read_covariates, read_sample_map, renamed

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
    found, counts = renamed(given, pairs | {"R9": "P9"}, "m.csv")
    assert found.values.columns.tolist() == ["P2", "P1"] and found.missing == 1
    assert found.values.loc["G", "P2"] == 2 and np.isnan(found.values.loc["G", "P1"])
    assert sorted(counts.values()) == [1, 1]
    with pytest.raises(HowfarError, match="none of the 3 expression samples among 1 rows"):
        renamed(given, {"P1": "R1"}, "m.csv")


@pytest.mark.parametrize(("text", "message"), [
    ("P1,R1\nP2,R2\n", "line 1: found 2 columns, without"),
    (PAIRS + "P3,R1,1\n", "line 4: found a sample that an earlier line has too"),
    (PAIRS + "P1,R3,1\n", "line 4: found a sample that an earlier line has too"),
    (PAIRS + "P3\n", "line 4: found an empty cell"),
    (PAIRS + "\n" + "P3,R3,1\n", "line 4: found an empty cell"),
    ("", "an empty file"),
])  # fmt: skip
def test_a_wrong_sample_map_is_named_by_its_line(tmp_path, text, message):
    with pytest.raises(HowfarError, match=message):
        read_sample_map(put(tmp_path, "m.csv", text))


ROWS = "id\tA\tB\tC\nage\t30\t40\t50\nsex\t1\t2\t1\n"


def test_covariates_either_way_round(tmp_path):
    found = read_covariates(put(tmp_path, "c.tsv", ROWS), ["C", "B"])
    turned = pd.read_csv(tmp_path / "c.tsv", sep="\t", index_col=0).T.rename_axis("person")
    turned.to_csv(tmp_path / "t.csv")
    other = read_covariates(tmp_path / "t.csv", ["C", "B"])
    for table in (found, other):
        assert table.index.tolist() == ["C", "B"] and table.columns.tolist() == ["age", "sex"]
        assert table["age"].tolist() == [50, 40] and table["sex"].tolist() == [1, 2]


@pytest.mark.parametrize(("text", "message"), [
    (ROWS.replace("B", "D"), "2 of 3 people in the header, 0 in the first column"),
    (ROWS.replace("\tA", "\tage"), "2 of 3 people in the header"),
    ("id\tA\tB\tC\nA\t1\t2\t3\n", "3 of 3 people in the header, 1 in the first column"),
    (ROWS.replace("40", "NA"), r"1 covariates with missing values.*\(first: age\)"),
    (ROWS.replace("2\t1", "1\t1"), r"1 covariates .* one value for all \(first: sex\)"),
    (ROWS.replace("40", "forty"), "line 2, column 3: found 'forty'"),
])  # fmt: skip
def test_wrong_covariates_are_named(tmp_path, text, message):
    with pytest.raises(HowfarError, match=message):
        read_covariates(put(tmp_path, "c.tsv", text), ["A", "B", "C"])


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
