"""Mix-ups of a study's samples: found, written into the private folder, and said as numbers."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from helpers.commands import invoke
from helpers.strong_eqtls import PEOPLE, write_study
from howfar.bench import mixups as bench
from howfar.evaluation import study_tables
from howfar.results import tables
from howfar.study.schema import Only


def test_a_swap_is_named_in_the_private_file_alone(tmp_path, results_folder):
    study = write_study(tmp_path, exchange=[(4, 11)])
    told = invoke(study, results_folder, "doctor", "--mixups")
    assert told.exit_code == 1
    assert "some suspected" in told.output and "expression of others: 2" in told.output
    assert "P4" not in told.output and "mixed/individuals/mixups.csv" in told.output
    table = pd.read_csv(results_folder / "mixed" / "individuals" / "mixups.csv")
    assert dict(zip(table["expression"], table["genotypes"], strict=True)) == {
        "P4": "P11",
        "P11": "P4",
    }
    assert (table["probability"] > 0.99).all()
    said = (results_folder / "mixed" / "mixups.json").read_text()
    assert "P4" not in said and json.loads(said)["counts"] == {"expression of others": 2}


def test_every_evaluation_looks_with_the_linear_models_that_are_there(
    tmp_path, results_folder, monkeypatch
):
    made = tables.Tables("mixed", {name: tables.empty(name) for name in ("runs", "numbers")})
    monkeypatch.setattr(study_tables, "write_tables", lambda *_: Counter())  # seconds of CPU
    monkeypatch.setattr(tables, "load", lambda *_: made)
    study = write_study(tmp_path)
    invoke(study, results_folder, "baseline")
    told = invoke(study, results_folder, "evaluate")
    assert "mix-ups: no swapped samples (signal " in told.output
    assert "would find 100 % of swapped pairs)" in told.output
    assert json.loads((results_folder / "mixed" / "mixups.json").read_text())["run"] in (
        "top1",
        "lead_snp",
    )


def test_too_few_genes_never_end_in_no_swap(tmp_path, results_folder):
    study = write_study(tmp_path, exchange=[(4, 11)])
    only = study.cohort.model_copy(update={"only": Only(genes=["G0", "G1", "G2"])})
    few = study.model_copy(update={"cohort": only})
    told = invoke(few, results_folder, "doctor", "--mixups")
    assert told.exit_code == 0 and "too little signal to tell" in told.output


def test_a_person_of_another_sex_in_the_two_files_is_named(tmp_path, results_folder):
    male = np.arange(PEOPLE) % 2 == 0
    study = write_study(tmp_path, contigs="1 2 3 X", male=male)
    path = study.cohort.expression
    values = pd.read_csv(path, index_col=0)
    values.loc["GY", ["P8", "P9"]] = values.loc["GY", ["P9", "P8"]].to_numpy()
    values.to_csv(path)
    invoke(study, results_folder, "doctor", "--mixups")
    table = pd.read_csv(results_folder / "mixed" / "individuals" / "mixups.csv")
    assert sorted(table.loc[table["what"] == "sexes that differ", "expression"]) == ["P8", "P9"]


@pytest.mark.parametrize(
    ("planted", "amount", "share"),
    [
        ("none", 0, np.nan),
        ("swapped pairs", 2, 1),
        ("duplicates", 1, 1),
        ("contaminated", 0.5, None),
    ],
)
def test_planted_mix_ups_of_a_study_put_together_anew(tmp_path, planted, amount, share):
    setting = bench.of_study(write_study(tmp_path), tmp_path, {})
    row = bench.row_of(setting, planted, amount, 3)
    assert row["alarms"] == 0 and row["sum"] > 20
    assert row["trials"] == {"none": 0, "swapped pairs": 6}.get(planted, 3)
    if share is not None:
        assert row["found"] == pytest.approx(share, nan_ok=True)


def test_four_people_and_three_variants_are_too_little(study, results_folder):
    told = invoke(study, results_folder, "doctor", "--mixups")
    assert told.exit_code == 0 and "too little signal to tell" in told.output
