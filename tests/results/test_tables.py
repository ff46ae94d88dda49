import os

import numpy as np
import pandas as pd
import pytest

from howfar.core.errors import HowfarError
from howfar.results import tables


def across(**changes) -> pd.DataFrame:
    row = dict(run_id="m", gene_id="g", population="pooled", n=100, pearson=0.1, p=0.3)
    return pd.DataFrame([row | changes])


def test_round_trip_keeps_values_types_and_provenance(tmp_path):
    path = tables.write(tmp_path / "a.parquet", "across", across(), {"seed": 3})
    back = tables.read(path, "across")
    assert back.loc[0, "pearson"] == 0.1
    assert back["n"].dtype == "Int64"
    assert list(back.columns) == list(tables.SCHEMAS["across"].columns)
    assert np.isnan(back.loc[0, "spearman"])
    assert tables.read_provenance(path) == {"table": "across", "schema": 1, "seed": 3}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"pearson": 1.2}, "in_range"),
        ({"p": -0.1}, "in_range"),
        ({"n": -1}, "greater_than_or_equal"),
        ({"run_id": None}, "run_id"),
        ({"extra": 1}, "extra"),
    ],
)
def test_rows_that_break_the_schema_are_not_written(tmp_path, changes, what):
    with pytest.raises(HowfarError, match=what):
        tables.write(tmp_path / "a.parquet", "across", across(**changes), {})
    assert not list(tmp_path.iterdir())


def test_rows_that_keep_the_schema_are_those_of_pandera():
    schema, some = tables.SCHEMAS["across"], across(n=7.0, pearson=np.nan, q="1")
    rows = pd.concat([across(gene_id=3), some]).reindex(columns=list(schema.columns))
    kept = tables._kept(schema, rows.reset_index(drop=True))
    pd.testing.assert_frame_equal(kept, schema.validate(rows).reset_index(drop=True))
    assert kept["gene_id"].tolist() == ["3", "g"] and kept["n"].tolist() == [100, 7]


def test_repeated_keys_are_an_error(tmp_path):
    twice = pd.concat([across(), across(pearson=0.2)])
    with pytest.raises(HowfarError, match="not unique"):
        tables.write(tmp_path / "a.parquet", "across", twice, {})


def test_row_order_does_not_change_the_bytes(tmp_path):
    rows = pd.concat([across(gene_id=g, pearson=x) for g, x in [("b", 0.1), ("a", 0.2)]])
    first = tables.write(tmp_path / "1.parquet", "across", rows, {})
    second = tables.write(tmp_path / "2.parquet", "across", rows[::-1], {})
    assert first.read_bytes() == second.read_bytes()


def test_tables_of_another_schema_version_and_broken_files_are_refused(tmp_path, monkeypatch):
    path = tables.write(tmp_path / "a.parquet", "across", across(), {})
    monkeypatch.setattr(tables, "SCHEMA_VERSION", 2)
    with pytest.raises(HowfarError, match="found schema version 1; expected version 2"):
        tables.read(path, "across")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(HowfarError, match="a damaged file"):
        tables.read(path, "across")


def test_an_interrupted_write_leaves_the_old_table(tmp_path, monkeypatch):
    path = tables.write(tmp_path / "a.parquet", "across", across(), {})
    before = path.read_bytes()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        tables.write(path, "across", across(pearson=0.9), {})
    assert path.read_bytes() == before


def test_load_never_reads_individuals_and_says_when_nothing_is_there(tmp_path):
    assert tables.load("demo", tmp_path) is None
    run = pd.DataFrame(
        [dict(run_id="m", study="demo", label="M", kind="network", model="m", context=8)]
    )
    tables.write(tables.path_of(tmp_path, "demo", "runs"), "runs", run, {})
    person = pd.DataFrame([dict(run_id="m", gene_id="g", sample="P1", predicted=1.0)])
    tables.write(tables.path_of(tmp_path, "demo", "individuals"), "individuals", person, {})
    found = tables.load("demo", tmp_path)
    assert "individuals" not in found.frames
    assert found["across"].empty and list(found["runs"]["run_id"]) == ["m"]


def test_a_table_that_the_evaluation_wrote_and_that_is_gone_is_missed(tmp_path):
    run = pd.DataFrame([dict(run_id="m", study="demo", label="M", kind="network", model="m")])
    numbers = pd.DataFrame([dict(id="x", value=1.0)])
    tables.write_all(tmp_path, "demo", {"runs": run, "across": across()}, {})
    tables.write(tables.path_of(tmp_path, "demo", "numbers"), "numbers", numbers, {})
    old = tables.path_of(tmp_path, "demo", "within")
    tables.write(old, "within", tables.empty("within").assign(run_id=["gone"]).head(0), {})
    assert tables.names_of(tmp_path, "demo") == ["runs", "across", "numbers"]  # not the older one
    tables.path_of(tmp_path, "demo", "across").unlink()
    with pytest.raises(HowfarError, match=r"across\.parquet: found no such file"):
        tables.load("demo", tmp_path)
