"""What is looked at before a study is run."""

import pytest

from helpers.commands import invoke
from howfar.core.errors import HowfarError
from howfar.doctor.looks import look_at, require_looks
from howfar.doctor.report import examine
from howfar.prediction import run as predict
from howfar.study.schema import Cohort, Eqtl


def looks(study) -> dict[str, str]:
    return {look.what: look.seen for look in look_at(study)}


def test_a_study_that_fits_together(study):
    assert looks(study) == {
        "contigs": "2 genes on contigs of all files (1)",
        "people": "4 with genotypes, 4 with expression, 4 in all files",
        "genes": "2 in the gene table, 2 with expression, 2 in both",
        "run g": "count on cpu, bins 3,4,5, tracks G, weights 000000000000",
    }


def with_file(study, tmp_path, role: str, old: str, new: str):
    path = getattr(study.cohort, role)
    path.write_text(path.read_text().replace(old, new))
    return study


def test_genes_that_differ_by_version_are_said(study, tmp_path):
    with_file(study, tmp_path, "genes", "g1,g1", "ENSG01.1,g1")
    with_file(study, tmp_path, "expression", "g1,", "ENSG01.2,")
    said = looks(study)["genes"]
    assert said.endswith("1 in both; 1 more without versions (`gene_versions: strip`)")


@pytest.mark.parametrize(
    ("what", "change", "says"),
    [
        ("people", ("expression", "P", "Q"), "people that occur in all inputs"),
        ("genes", ("expression", "\ng", "\nx"), "no gene id in common"),
        ("contigs", ("genes", ",1,", ",9,"), "no such contig"),
    ],
)
def test_what_lacks_is_said_and_stops_a_first_prediction(
    study, model, tmp_path, results_folder, what, change, says
):
    with_file(study, tmp_path, *change)
    assert says in looks(study)[what] and looks(study)[what].startswith("LACKING: ")
    with pytest.raises(HowfarError, match=says):
        require_looks(study, results_folder)


def test_a_run_whose_bins_tracks_or_weights_do_not_fit_is_found_before_another_is_predicted(
    study, model, results_folder
):
    wrong = study.runs[0].model_copy(update={"id": "w", "tracks": ["T"]})
    study = study.model_copy(update={"runs": [*study.runs, wrong]})
    with pytest.raises(HowfarError, match="'T'"):
        invoke(study, results_folder, "predict")
    assert model.seen == 0
    predict.predict(study, study.runs[0], results_folder)
    require_looks(study, results_folder)  # once begun, nothing is looked at again


def test_the_doctor_ends_with_1_where_something_lacks(study, tmp_path, results_folder):
    assert invoke(study, results_folder, "doctor").exit_code == 0
    with_file(study, tmp_path, "expression", "P", "Q")
    done = invoke(study, results_folder, "doctor")
    assert done.exit_code == 1 and "  people: LACKING: " in done.output
    assert "correct what is missing or lacking above" in done.output
    study.cohort.samples.unlink()
    assert invoke(study, results_folder, "doctor").exit_code == 1


def test_what_the_workflow_makes_is_not_lacking(results_folder):
    assert examine("demo", results_folder)[1] is False
    assert examine("huang2023", results_folder)[1] is True


def test_weights_that_a_killed_training_left_are_no_lack(study, tmp_path, results_folder):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "checkpoint.pt").touch()
    run = {"model": "demo-enformer", "weights": tmp_path / "weights", "tracks": ["CAGE"]}
    trained = study.runs[0].model_copy(update=run)
    half = study.model_copy(update={"runs": [trained], "simulate": {"world": "demo"}})
    assert looks(half)["run g"].startswith("LACKING: ")
    require_looks(half, results_folder)


def test_nothing_is_looked_at_of_published_tables_or_absent_files(study, tmp_path):
    absent = study.cohort.model_dump() | {"genes": tmp_path / "absent.csv"}
    assert not looks(study.model_copy(update={"cohort": Cohort.model_validate(absent)}))


@pytest.mark.parametrize(
    ("variants", "lacking"),
    [("none/all", ["variants"]), ("x.bed", ["variants bim"]), ("x", ["variants bim"])],
)
def test_lacking_files_of_plink_are_lines_and_no_error(
    study, tmp_path, results_folder, variants, lacking
):
    (tmp_path / "x.bed").write_bytes(b"\x6c\x1b\1")
    (tmp_path / "x.fam").touch()
    given = study.cohort.model_dump() | {"variants": tmp_path / variants}
    done = invoke(
        study.model_copy(update={"cohort": Cohort.model_validate(given)}), results_folder, "doctor"
    )
    missing = [line for line in done.output.splitlines() if "MISSING: /" in line]
    assert done.exit_code == 1 and "found" not in done.stderr
    assert [line.strip().partition(":")[0] for line in missing] == lacking


def test_lacking_covariates_are_said(study, tmp_path, results_folder):
    study = study.model_copy(update={"eqtl": Eqtl(covariates=tmp_path / "none.csv")})
    done = invoke(study, results_folder, "doctor")
    said = f"  covariates: LACKING: {tmp_path}/none.csv: found no such file"
    assert done.exit_code == 1 and said in done.output
    (tmp_path / "none.csv").touch()
    assert looks(study)["covariates"] == "here"
