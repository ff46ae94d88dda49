"""An evaluation works on what is there, and says what isn't."""

import pytest

from howfar.core.errors import HowfarError
from howfar.evaluation import study_tables
from howfar.linear import baseline
from howfar.prediction import run as predict
from howfar.results import tables
from howfar.study.schema import Baselines


def with_keys(study, **keys):
    return study.model_copy(update=keys)


def test_genes_not_yet_predicted_are_counted(study, model, results_folder):
    predict.predict(study, study.runs[0], results_folder, gene="g2")
    counts = study_tables.write_tables(study, results_folder)
    assert counts["genes that run g has not predicted"] == 1
    found = tables.load("tiny", results_folder)
    assert set(found["across"].query("run_id == 'g'")["gene_id"]) == {"g2"}
    assert set(found["across"].query("run_id == 'lead_snp'")["gene_id"]) == {"g1", "g2"}


def test_a_run_and_a_linear_model_that_are_not_there_are_named(study, model, results_folder):
    other = study.runs[0].model_copy(update={"id": "other", "bins": "centre1"})
    study = with_keys(
        study, runs=[*study.runs, other], baselines=Baselines(models=["top1", "blup"], folds=2)
    )
    with pytest.raises(HowfarError, match=r"top1.parquet: found no such file; .* --models top1"):
        study_tables.write_tables(study, results_folder)
    predict.predict(study, study.runs[0], results_folder)
    counts = study_tables.write_tables(study, results_folder)
    assert counts["runs left out: other (predictions of 0 genes)"] == 1
    assert counts["linear models left out: top1 (no such file)"] == 1
    assert set(tables.load("tiny", results_folder)["runs"]["run_id"]) == {"g", "lead_snp"}


def test_linear_models_need_no_run(study, results_folder):
    study = with_keys(study, runs=[], baselines=Baselines(models=["top1"], folds=2))
    baseline.run(study, baseline.plan_of(study, "top1"), results_folder)
    study_tables.write_tables(study, results_folder)
    assert set(tables.load("tiny", results_folder)["runs"]["run_id"]) == {"top1", "lead_snp"}


def test_the_lead_snp_needs_neither(study, results_folder):
    study_tables.write_tables(with_keys(study, runs=[]), results_folder)
    assert len(tables.load("tiny", results_folder)["numbers"])
