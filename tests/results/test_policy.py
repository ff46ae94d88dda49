"""What may leave a results folder: no person, no handful of people, nothing that links points."""

import dataclasses
import itertools
import json

import numpy as np
import pandas as pd
import pytest

from helpers import tiny
from howfar.cohort.panel import Panel
from howfar.results import policy, tables

PEOPLE = [f"P{i:02d}" for i in range(30)]


def individuals(names: list[str], runs=("a", "b"), genes=("g1", "g2", "g3")) -> pd.DataFrame:
    """Rows of people whose values belong to them: other names sort them in another way."""
    values = np.random.default_rng(3)
    rows = []
    for run, gene in itertools.product(runs, genes):
        predicted, observed = values.normal(size=(2, len(names)))
        frame = pd.DataFrame({"sample": names, "predicted": predicted, "observed": observed})
        rows.append(frame.assign(run_id=run, gene_id=gene, fold=np.arange(len(names)) % 5))
    return tables.stack("individuals", rows, "test")


def test_points_are_the_same_whoever_the_people_are():
    one = policy.points(individuals(PEOPLE))
    two = policy.points(individuals(PEOPLE[::-1]))
    assert list(one.columns) == ["run_id", "gene_id", "predicted", "observed"]
    pd.testing.assert_frame_equal(one, two)


def test_nobody_is_found_from_the_order_of_points_over_genes_and_runs():
    """The attack: people in the order of a public list, or of one gene, looked for in another."""
    truth = individuals(PEOPLE)
    shown = policy.points(truth)
    key = truth.set_index(["run_id", "gene_id", "predicted"])["sample"]
    orders = {
        place: [key[(*place, value)] for value in part["predicted"]]
        for place, part in shown.groupby(["run_id", "gene_id"])
    }
    for one, two in itertools.pairwise(orders.values()):
        assert sum(a == b for a, b in zip(one, two, strict=True)) < 6  # 1 is expected by chance
    assert all(
        (part["predicted"].diff().dropna() >= 0).all()
        for _, part in shown.groupby(["run_id", "gene_id"])
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return tiny.make_study(tmp_path_factory.mktemp("tiny")).model_copy(update={"min_people": None})


@pytest.fixture
def panel():
    """30 people, of whom one has a value of g2."""
    expression = pd.DataFrame(1.0, index=["g1", "g2"], columns=PEOPLE)
    expression.loc["g2", PEOPLE[1:]] = np.nan
    genes = pd.DataFrame({"gene_id": ["g1", "g2"], "chrom": "1", "tss": 1, "strand": "+"})
    return Panel(expression, genes)


@pytest.mark.parametrize(
    ("name", "columns", "left"),
    [
        (
            "across",
            {"run_id": "r", "gene_id": "g1", "population": list("ABCD"), "n": [1, 9, 10, 30]},
            {"population": ["C", "D"]},
        ),
        (
            "agreement",
            {"run_id": "r", "other_id": "s", "gene_id": ["g1", "g2"], "n": [30, 1]},
            {"gene_id": ["g1"]},
        ),
        (
            "within",
            {
                "run_id": "r",
                "population": ["A"] * 10 + ["B"] * 3,
                "rank": [*range(1, 11), 1, 2, 3],
                "pearson": 0.5,
            },
            {"population": ["A"] * 10},
        ),
        (
            "effects",
            {
                "run_id": "r",
                "gene_id": "g1",
                "variant": ["once", "rare", "common", "unknown"],
                "source": "model",
                "maf": [1 / 60, 18 / 60, 19 / 60, np.nan],
            },
            {"variant": ["common"]},
        ),
        (
            "features",
            {
                "gene_id": ["g1", "g1", "g2", "g2"],
                "feature": ["median_expression", "lead_eqtl_maf", "median_expression", "h2"],
                "source": ["tiny", "tiny", "tiny", "Known h2"],
                "value": [1.0, 0.1, 2.0, 0.3],
            },
            {"feature": ["median_expression", "h2"]},
        ),
        (
            "summary",
            {
                "set": ["linear_approximation", "training_people", "row_zero"],
                "method": "m",
                "group": "g",
                "x": [np.nan, 4, 4],
                "n": [3, 60, 3],
                "value": 0.5,
            },
            {"set": ["row_zero"]},
        ),
    ],
)
def test_rows_of_few_people_are_left_out_of_a_private_study_and_counted(
    study, panel, name, columns, left
):
    frame = tables.validate(name, pd.DataFrame(columns), "test")
    frames, counts = policy.shareable(study, {name: frame}, panel)
    ((column, values),) = left.items()
    assert sorted(frames[name][column]) == sorted(values)
    assert sum(counts.values()) == len(frame) - len(values) and "fewer than 10" in "".join(counts)
    public = study.model_copy(update={"individuals": "public"})
    assert policy.shareable(public, {name: frame}, panel)[0][name].equals(frame)


def test_the_mean_of_few_people_goes_and_the_prediction_stays(study, panel):
    frame = tables.validate(
        "reference",
        pd.DataFrame(
            {"run_id": "r", "gene_id": ["g1", "g2"], "prediction": 3.0, "observed_mean": 1.0}
        ),
        "test",
    )
    frames, counts = policy.shareable(study, {"reference": frame}, panel)
    assert frames["reference"]["observed_mean"].isna().tolist() == [False, True]
    assert frames["reference"]["prediction"].notna().all() and sum(counts.values()) == 1


@pytest.mark.parametrize(
    ("changes", "fewest"),
    [({}, 10), ({"individuals": "public"}, 1), ({"min_people": 5}, 5), ({"cohort": None}, 1)],
)
def test_min_people_is_ten_for_private_cohorts(study, changes, fewest):
    assert policy.min_people(study.model_copy(update=changes)) == fewest


def test_notebooks_left_from_a_public_study_are_removed(study, tmp_path):
    (tmp_path / "notebooks").mkdir()
    for name in ("public", "private"):
        page = {"metadata": {"howfar": {"individuals": name}}, "cells": []}
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text(json.dumps(page))
    (tmp_path / "notebooks" / "unknown.ipynb").write_text("{}")
    removed = policy.remove_points(study, tmp_path / "figures")
    assert [page.stem for page in removed] == ["public", "unknown"]
    assert [page.stem for page in (tmp_path / "notebooks").iterdir()] == ["private"]


def test_points_left_from_a_public_study_are_removed(study, tmp_path):
    points = ["across_examples.tiny.csv", "carried.tiny.svg"]
    for name in (*points, "across_examples.other.csv", "central.tiny.csv"):
        (tmp_path / name).touch()
    assert [p.name for p in policy.remove_points(study, tmp_path)] == points
    assert policy.remove_points(study.model_copy(update={"individuals": "public"}), tmp_path) == []


@pytest.mark.parametrize("inside", ["data", "code", "../elsewhere/jane"])
def test_texts_lose_folders_and_nothing_else(study, tmp_path, monkeypatch, inside):
    here = tmp_path / "home" / "work"
    folder = here / inside
    folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    study._file = folder / "s.yaml"
    cell = {"cell_type": "code", "output_type": "display_data", "source": "data = code(1.5)"}
    said = {"text": f"{folder.resolve()}/s.yaml, file://{here.resolve()}/x, {inside}/s.yaml"}
    kept, text = policy.without_places([cell, said], tmp_path / "results", study)
    assert kept == cell
    assert "jane" not in text["text"] and str(tmp_path) not in text["text"]
    assert text["text"].endswith("s.yaml")


def test_summary_rows_that_name_a_small_population_are_left_out(study, panel):
    groups = pd.Series(["EUR"] * 28 + ["YRI"] * 2, index=PEOPLE)
    rows = ["EUR to YRI", "YRI, trained on EUR", "EUR", "YRIx"]
    frame = pd.DataFrame({"set": "row_zero", "method": "m", "group": rows, "x": 0, "n": 60})
    few = dataclasses.replace(panel, populations=groups)
    kept, counts = policy.shareable(study, {"summary": frame}, few)
    # Two people alone can't be left out: all people less the others would be they.
    assert list(kept["summary"]["group"]) == ["YRIx"] and sum(counts.values()) == 3


@pytest.mark.parametrize(
    ("sizes", "hidden"),
    [
        ({"A": 40, "B": 12, "C": 3}, "BC"),
        ({"A": 40, "B": 12, "C": 3, "D": 8}, "CD"),
        ({"A": 40, "B": 12}, ""),
        ({"A": 40, "B": 12, "C": 10}, ""),
    ],
)
def test_populations_left_out_are_no_few_together(sizes, hidden):
    assert sorted(policy._hidden(sizes, 10)) == list(hidden)


def test_a_set_of_which_nobody_said_who_stands_behind_it_stays(study, panel):
    rows = {"set": ["new_set", "signs.right"], "method": "m", "group": "g", "x": 900, "n": 900}
    kept, _ = policy.shareable(study, {"summary": pd.DataFrame(rows | {"value": 0.5})}, panel)
    assert list(kept["summary"]["set"]) == ["signs.right"]


def test_an_allele_counts_by_its_carriers():
    maf = pd.Series([1 / 60, 2 / 60, 19 / 60, 20 / 60, np.nan])
    assert policy._carriers(maf, 30).dropna().tolist() == [1, 1, 10, 10]
