"""Mix-ups of a study's samples: found, written into the private folder, and said as numbers."""

import json

import numpy as np
import pandas as pd
import pytest

from helpers.commands import invoke
from howfar.bench import mixups as bench
from howfar.study.reading import parse_study
from howfar.study.schema import Only

PEOPLE, GENES = 60, 30


def write_study(folder, exchange=(), contigs="1 2 3 4 5", male=None):
    """A study of one strong eQTL a gene, dosages alone; `exchange`: whose expression is swapped."""
    rng = np.random.default_rng(6)
    names = [f"P{i}" for i in range(PEOPLE)]
    chroms = [contigs.split()[g % len(contigs.split())] for g in range(GENES)]
    sites, values = [], []
    for g, chrom in enumerate(chroms):
        dosages = rng.binomial(2, rng.uniform(0.2, 0.5), (8, PEOPLE))
        if chrom == "X" and male is not None:
            dosages[:, male] = 2 * (dosages[:, male] > 0)
        sites += [
            [chrom, 10_000 * g + 100 * k + 1, "A", "G", *row] for k, row in enumerate(dosages)
        ]
        values.append(dosages[3] + 0.6 * rng.standard_normal(PEOPLE))
    pd.DataFrame(sites, columns=["CHROM", "POS", "REF", "ALT", *names]).to_csv(
        folder / "d.tsv", sep="\t", index=False
    )
    rows = [[f"G{g}", f"G{g}", chrom, 10_000 * g + 300, "+"] for g, chrom in enumerate(chroms)]
    if male is not None:
        rows.append(["GY", "GY", "Y", 500, "+"])
        values.append(np.where(male, 5, 0) + 0.1 * rng.standard_normal(PEOPLE))
    pd.DataFrame(rows, columns=["gene_id", "name", "chrom", "tss", "strand"]).to_csv(
        folder / "genes.csv", index=False
    )
    frame = pd.DataFrame(values, index=[row[0] for row in rows], columns=names)
    order = list(range(PEOPLE))
    for a, b in exchange:
        order[a], order[b] = b, a
    frame.iloc[:GENES] = frame.iloc[:GENES].to_numpy()[:, order]
    frame.rename_axis("gene_id").to_csv(folder / "e.csv")
    cohort = {"variants": "d.tsv", "genes": "genes.csv", "expression": "e.csv"}
    return parse_study(
        {
            "name": "mixed",
            "title": "t",
            "reality": dict.fromkeys(("genotypes", "expression", "weights"), "made up"),
            "cohort": {key: str(folder / file) for key, file in cohort.items()},
            "baselines": {"models": ["top1"], "window": 2_000},
            "evaluation": {"cis_window": 2_000, "null_draws": 100, "bootstrap": 100},
        },
        "test",
    )


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


def test_every_evaluation_looks_with_the_linear_models_that_are_there(tmp_path, results_folder):
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
