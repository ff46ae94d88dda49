"""What moved between two results folders is found, to the cell, and with its cause."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from howfar.cli.app import app
from howfar.core.errors import HowfarError
from howfar.results import tables
from howfar.results.difference import describe, diff

BLOCK = {
    "commit": "a" * 40,
    "created": "2026-11-28",
    "inputs": {"variants": {"file": "v.vcf.gz", "sha256": "1" * 64}},
    "packages": {"numpy": "2.4.6"},
    "parameters": {"study": {"name": "s", "title": "S", "evaluation": {"seed": 1}}},
    "versions": {"stats": 2},
}
#: What is changed in a provenance block, and how the cause says it.
CAUSES = {
    "nothing": ({}, "nothing recorded differs"),
    "created": ({"created": "2026-11-29"}, "nothing recorded differs"),
    "title": ({"parameters": {"study": {"name": "s", "title": "T", "evaluation": {"seed": 1}}}},
              "nothing recorded differs"),
    "input": ({"inputs": {"variants": {"file": "w.vcf.gz", "sha256": "2" * 64}}},
              "input variants: 111111111111 -> 222222222222"),
    "option": ({"parameters": {"study": {"name": "s", "evaluation": {"seed": 2}}}},
               "option evaluation.seed: 1 -> 2"),
    "layer": ({"versions": {"stats": 3}, "commit": "b" * 40},
              "layer stats: version 2 -> 3; code: commit aaaaaaaa -> bbbbbbbb"),
    "package": ({"packages": {"numpy": "2.5.0"}}, "numpy 2.4.6 -> 2.5.0"),
    "code": ({"commit": "b" * 40},
             "code: commit aaaaaaaa -> bbbbbbbb; no layer's version was raised"),
    "dirty": ({"commit": "a" * 40 + "+"},
              "code: commit aaaaaaaa -> aaaaaaaa+; no layer's version was raised"),
}  # fmt: skip
FRAMES = {
    "runs": pd.DataFrame({"run_id": ["m", "n"], "study": "s", "label": "M", "kind": "network",
                          "model": "x", "seed": [1, 2]}),
    "across": pd.DataFrame({"run_id": ["m", "m", "n"], "gene_id": ["g", "h", "g"],
                            "population": "pooled", "n": [90, 80, 70],
                            "pearson": [0.1, -0.2, 0.0], "p": [0.3, None, 1e-30]}),
    "summary": pd.DataFrame({"set": "trained", "method": ["a", "a"], "group": "g",
                             "x": [None, 0.5], "replicate": 1, "value": [1.0, 2.0]}),
    "numbers": pd.DataFrame({"id": ["s.a", "s.b"], "value": [1.5, None]}),
}  # fmt: skip
CELLS = [
    ("across", row, column, value)
    for row in range(3)
    for column, value in (("pearson", 0.7), ("p", 0.5), ("spearman", -0.4), ("n", 11))
] + [("summary", 0, "value", 3.0), ("summary", 1, "value", None), ("numbers", 0, "value", 1.6),
     ("numbers", 1, "value", 0.0), ("runs", 1, "label", "N"), ("runs", 0, "seed", 7)]  # fmt: skip


def write(folder: Path, changed: dict | None = None, **frames: pd.DataFrame) -> Path:
    """A results folder of study `s`, whose provenance has `changed` entries."""
    block = BLOCK | (changed or {})
    for name, frame in (FRAMES | frames).items():
        # table `numbers` records neither inputs nor options: what it is made of does
        kept = block if name != "numbers" else {"commit": block["commit"]}
        tables.write(tables.path_of(folder, "s", name), name, frame, kept)
    return folder


@pytest.fixture(scope="module")
def a(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("a"))


def test_a_folder_against_itself_is_empty(a, tmp_path):
    found = diff(a, shutil.copytree(a, tmp_path / "copy"))
    assert not found and found.moved.empty and set(found.parts["moved"]) == {0}
    assert found.parts["values"].sum() == sum(
        len(frame) * (len(tables.SCHEMAS[name].columns) - len(tables.SCHEMAS[name].unique))
        for name, frame in FRAMES.items()
    )
    assert describe(found).startswith("s: 0 of ")


# Each cell with two causes, and so each cause with several cells.
@pytest.mark.parametrize(
    ("cell", "cause"),
    [(c, sorted(CAUSES)[(k + 4 * m) % len(CAUSES)]) for k, c in enumerate(CELLS) for m in range(2)],
)
def test_a_changed_cell_is_found_with_its_cause(a, tmp_path, cell, cause):
    name, row, column, value = cell
    frame = tables.validate(name, FRAMES[name], "test")
    frame.loc[row, column] = value
    changed, said = CAUSES[cause]
    b = write(tmp_path / "b", changed, **{name: frame})
    found = diff(a, b)
    assert len(found.moved) == 1
    (moved,) = found.moved.to_dict("records")
    key = frame.loc[row, tables.SCHEMAS[name].unique].astype(object)
    assert (moved["study"], moved["table"], moved["column"]) == ("s", name, column)
    assert all(str(each) in moved["key"] for each in key.dropna())
    assert pd.isna(moved["b"]) if value is None else moved["b"] == value
    (part,) = found.parts.query("moved > 0").itertuples()
    assert said in part.cause and part.table == name
    text = describe(found)
    assert "1 of" in text and part.cause in text and column in text


def test_rows_columns_tables_and_figures_that_one_has(a, tmp_path):
    b = write(tmp_path / "b", across=FRAMES["across"].assign(gene_id=["g", "i", "g"]))
    (tables.path_of(b, "s", "summary")).unlink()
    for folder, text in ((a, "gene,r\ng,0.5\nh,0.25\n"), (b, "gene,r,n\ng,0.5,9\nh,0.26,9\n")):
        (folder / "s" / "figures").mkdir(exist_ok=True)
        (folder / "s" / "figures" / "ranked.s.csv").write_text(text)
    found = diff(a, b).moved
    shutil.rmtree(a / "s" / "figures")
    shown = found[["table", "key", "column", "a", "b"]].astype(str).agg("|".join, axis=1)
    assert sorted(shown) == sorted([
        "across|run_id=m gene_id=h population=pooled|row|there|absent",
        "across|run_id=m gene_id=i population=pooled|row|absent|there",
        "summary||file|there|absent",
        "figure ranked||column n|absent|there",
        "figure ranked|row 2|r|0.25|0.26",
    ])  # fmt: skip


def test_differences_within_the_tolerance_are_none(a, tmp_path):
    nearly = FRAMES["across"].assign(pearson=FRAMES["across"]["pearson"] * (1 + 5e-7))
    b = write(tmp_path / "b", across=nearly)
    assert not diff(a, b) and len(diff(a, b, tolerance=1e-7).moved) == 2


def test_people_are_not_compared(a, tmp_path):
    b = write(tmp_path / "b")
    people = pd.DataFrame({"run_id": "m", "gene_id": "g", "sample": ["HG1"], "predicted": 1.0})
    tables.write(tables.path_of(b, "s", "individuals"), "individuals", people, {})
    assert not diff(a, b)


@pytest.mark.parametrize("where", ["nothing here", "another study"])
def test_folders_that_cannot_be_compared(a, tmp_path, where):
    if where == "another study":
        shutil.copytree(a / "s", tmp_path / "t")
    with pytest.raises(HowfarError, match="no study in both|no result tables"):
        diff(a, tmp_path)


def test_the_command_ends_as_its_help_says(a, tmp_path):
    b = write(tmp_path / "b", {"commit": "b" * 40}, numbers=FRAMES["numbers"].assign(value=2.0))
    run = CliRunner().invoke
    same, other = (run(app, ["diff", str(a), str(folder)]) for folder in (a, b))
    assert same.exit_code == 0 and "0 of" in same.stdout
    assert other.exit_code == 1 and "id=s.a, value: 1.5 -> 2 (+0.5)" in other.stdout
    assert "commit aaaaaaaa -> bbbbbbbb" in other.stdout
    run(app, ["diff", str(a), str(b), "--out", str(tmp_path / "moved.csv")])
    assert pd.read_csv(tmp_path / "moved.csv")["key"].tolist() == ["id=s.a", "id=s.b"]
