"""Rows that `howfar transfer` and `howfar stack` keep: taken up unchanged, made again otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers.linear_cohort import small_study
from howfar import evaluation
from howfar.cohort.opened import OpenCohort
from howfar.evaluation import transfer
from howfar.evaluation.study_tables import frames_of
from howfar.prediction import run
from howfar.results import cache, tables
from howfar.stacking import compare
from howfar.stacking import compare as stacking
from howfar.stacking.compare import Options
from howfar.study.schema import Study

SMALL = transfer.Options(genes=0, models=("top1",), sizes=(1.0,), draws=1)


@pytest.fixture
def linear(tmp_path):
    """A study of forty people; `expression.csv` lies in `tmp_path`."""
    return small_study(tmp_path)[0]


def values(path):
    return tables.read(path, "summary")["value"].to_numpy()


def test_transfer_is_taken_up_unchanged_and_made_again_with_other_options(linear, tmp_path):
    path = transfer.run(linear, tmp_path, SMALL)
    first, written = values(path), path.stat().st_mtime_ns
    transfer.run(linear, tmp_path, SMALL)
    assert path.stat().st_mtime_ns == written
    transfer.run(linear, tmp_path, replace(SMALL, seed=2))
    assert not np.array_equal(values(path), first)
    transfer.run(linear, tmp_path, replace(SMALL, models=("blup",)))
    assert set(tables.read(path, "summary")["method"]) == {"BLUP"}
    transfer.run(linear, tmp_path, SMALL)
    np.testing.assert_array_equal(values(path), first)


def test_rows_from_other_files_are_not_taken_up(linear, tmp_path):
    path = transfer.run(linear, tmp_path, SMALL)
    first, found = values(path), transfer.load(OpenCohort(linear), tmp_path)
    np.testing.assert_array_equal(found["value"], first)
    expression = pd.read_csv(tmp_path / "expression.csv", index_col=0)
    (expression * np.tile([1, 2], 20)).to_csv(tmp_path / "expression.csv")
    assert transfer.load(OpenCohort(linear), tmp_path).empty
    transfer.run(linear, tmp_path, SMALL)
    assert not np.array_equal(values(path), first)
    assert len(transfer.load(OpenCohort(linear), tmp_path)) == len(first)


@pytest.mark.parametrize(
    "change", [{"evaluation": {"min_maf": 0.3}}, {"evaluation": {"cis_window": 50}},
               {"cohort": {"alleles": "all"}}]
)  # fmt: skip
def test_rows_of_other_settings_of_the_study_are_not_taken_up(linear, tmp_path, change):
    transfer.run(linear, tmp_path, SMALL)
    given = linear.model_dump()
    for section, items in change.items():
        given[section] |= items
    assert transfer.load(OpenCohort(Study.model_validate(given)), tmp_path).empty


def test_rows_of_another_version_of_the_code_are_made_again(linear, tmp_path, monkeypatch):
    path = transfer.run(linear, tmp_path, SMALL)
    written = path.stat().st_mtime_ns
    monkeypatch.setattr(evaluation, "VERSION", evaluation.VERSION + 1)
    assert transfer.load(OpenCohort(linear), tmp_path).empty
    transfer.run(linear, tmp_path, SMALL)
    assert path.stat().st_mtime_ns > written


def test_rows_without_a_record_of_their_making_are_left_out(linear, tmp_path):
    path = transfer.run(linear, tmp_path, SMALL)
    tables.write(path, "summary", tables.read(path, "summary"), {"seed": 1})
    assert transfer.load(OpenCohort(linear), tmp_path).empty
    assert cache.read_rows(tmp_path / "none.parquet", lambda _: None).empty


def _compared(pairs, genes, options):
    row = {"set": "stacking.mse", "method": "Ridge", "group": "level; pairs; network", "x": 2}
    value = float(pairs.x.sum()) + options.seed
    return pd.DataFrame([row | {"value": value, "n": 8, "replicate": 1, "units": ""}])


def test_a_stack_is_made_again_where_options_or_runs_differ(study, model, tmp_path, monkeypatch):
    monkeypatch.setattr(stacking, "compare", _compared)
    run.predict(study, study.runs[0], tmp_path)
    options = Options(genes=0, people=0, folds=2)
    path = compare.stack(study, tmp_path, options)
    first, written = values(path), path.stat().st_mtime_ns
    compare.stack(study, tmp_path, options)
    assert path.stat().st_mtime_ns == written
    compare.stack(study, tmp_path, replace(options, seed=5))
    np.testing.assert_allclose(values(path), first + 4)
    steps = ["sum_bins", "mean_tracks", "mean_haplotypes", "log1p"]
    other = study.model_copy(
        update={"runs": [study.runs[0].model_copy(update={"transform": steps})]}
    )
    assert compare.load(OpenCohort(other), tmp_path).empty
    compare.stack(other, tmp_path, replace(options, seed=5))
    assert values(path) != first + 4
    assert len(compare.load(OpenCohort(other), tmp_path))


def test_the_evaluation_leaves_out_what_is_out_of_date_and_counts_it(study, model, tmp_path):
    run.predict(study, study.runs[0], tmp_path)
    transfer.run(study, tmp_path, replace(SMALL, held=0.75))  # 3 of 4 people are tested on
    frames, counts = frames_of(study, tmp_path)
    name = "comparisons out of date (`howfar transfer`, `baseline --sweep`, `stack`, `cures`)"
    assert transfer.TRAINING in set(frames["summary"]["set"]) and not counts[name]
    changed = study.evaluation.model_copy(update={"min_maf": 0.2})
    frames, counts = frames_of(study.model_copy(update={"evaluation": changed}), tmp_path)
    assert transfer.TRAINING not in set(frames["summary"]["set"]) and counts[name] == 1
