"""PrediXcan of the SAGE-net study: made-up files everywhere, the published ones where mirrored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.published_studies import expected, fetch_mirrored, given, load, needs_mirror
from helpers.sasse_files import write
from howfar import published
from howfar.core.errors import HowfarError
from howfar.evaluation.numbers import numbers_table
from howfar.published import sagenet2024
from howfar.results import tables
from howfar.study.reading import load_study

ROSMAP = "ensgs,train_pearson,val_pearson,test_pearson\ng1,0.3,0.2,0.1\ng2,0.5,,\ng3,0.2,0.1,-0.2\n"


@pytest.fixture
def folder(tmp_path) -> Path:
    write(tmp_path, sagenet2024.ROSMAP, ROSMAP)
    write(tmp_path, sagenet2024.GTEX, ",pearson\ng1,0.4\ng9,\n")
    rows = [f"S{i}\tg{i}\t{i}\t+\t{1000 * i}" for i in range(1, 8)]
    header = "gene_name\tgene_id\tchr_hg38\tstrand_hg38\ttss_hg38"
    write(tmp_path, sagenet2024.POSITIONS, "\n".join([header, *rows]) + "\n")
    return tmp_path


def test_tested_people_are_pooled_and_genes_without_r_have_no_row(folder):
    frames = load("sagenet2024", folder)
    rows = frames["across"].set_index(["run_id", "population", "gene_id"])["pearson"].sort_index()
    assert rows["predixcan", "pooled"].to_dict() == {"g1": 0.1, "g3": -0.2}
    assert rows["predixcan", "training"].to_dict() == {"g1": 0.3, "g2": 0.5, "g3": 0.2}
    assert rows["predixcan", "validation"].to_dict() == {"g1": 0.2, "g3": 0.1}
    assert rows["predixcan_gtex", "pooled"].to_dict() == {"g1": 0.4}
    assert frames["across"][["n", "p", "ci_low"]].isna().all(axis=None)
    genes = frames["genes"].set_index("gene_id")
    assert genes.loc["g3", ["name", "chrom", "tss"]].tolist() == ["S3", "3", 3000]
    assert pd.isna(genes.loc["g9", "chrom"])


def test_the_number_is_the_mean_over_given_genes_and_follows_a_cell(folder):
    before = load("sagenet2024", folder)["numbers"].set_index("id").loc["G.rosmap.test"]
    assert (before["value"], before["n"]) == (pytest.approx(-0.05), 2)
    write(folder, sagenet2024.ROSMAP, ROSMAP.replace("0.2,0.1\n", "0.2,0.3\n"))
    after = load("sagenet2024", folder)["numbers"].set_index("id").loc["G.rosmap.test"]
    assert after["value"] == pytest.approx(0.05)
    write(folder, sagenet2024.ROSMAP, ROSMAP.replace("0.3,0.2", "0.9,0.8"))  # not the test people
    same = load("sagenet2024", folder)["numbers"].set_index("id").loc["G.rosmap.test"]
    assert same["value"] == before["value"]


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        (sagenet2024.ROSMAP, lambda t: t.replace("g2", "g1"), "repeated genes"),
        (sagenet2024.ROSMAP, lambda t: t.replace("0.5", "1.5"), "1 r beyond 1"),
        (sagenet2024.GTEX, lambda t: t.replace("pearson", "rho"), "no column"),
        (
            sagenet2024.POSITIONS,
            lambda t: t.replace("\tg", "\tx").replace("xene", "gene"),
            "none of the study's",
        ),
    ],
)
def test_a_changed_file_is_refused(folder, name, change, found):
    write(folder, name, change((folder / name).read_text()))
    with pytest.raises(HowfarError, match=found):
        load("sagenet2024", folder)


def test_a_table_without_numbers_of_people_still_has_means(folder):
    frames = load("sagenet2024", folder)
    result = tables.Tables("s", {n: frames.get(n, tables.empty(n)) for n in tables.SCHEMAS})
    numbers = numbers_table(result, draws=100).set_index("id")["value"]
    assert numbers["s.predixcan.across.pooled.mean_r"] == pytest.approx(-0.05)
    assert not any("people" in i or "sampling" in i for i in numbers.index)
    assert numbers.notna().all()


@needs_mirror
def test_the_given_number_is_reproduced(tmp_path):
    folder = fetch_mirrored(load_study("sagenet2024").published.needs, tmp_path)
    frames = published.load_published(load_study("sagenet2024"), folder)
    ours = frames["numbers"].set_index("id")["value"]
    assert set(expected("sagenet2024")["id"]) <= set(ours.index)
    for key, value, tolerance in given("sagenet2024"):
        assert ours[key] == pytest.approx(value, abs=tolerance + 1e-8)
    raw = pd.read_csv(folder / sagenet2024.ROSMAP)["test_pearson"]
    assert ours["G.rosmap.test"] == pytest.approx(np.nanmean(raw))
    assert frames["genes"].notna().all(axis=None)
