from howfar import doctor
from howfar.study import load_study


def test_a_study_that_is_not_there_says_what_to_run(results_folder):
    text = doctor.report("demo", results_folder)
    assert "torch " in text and "Device" in text
    assert "reference: MISSING (the workflow makes it)" in text
    assert "run `howfar run --study demo`" in text


def test_published_studies_name_their_missing_files_and_the_command(results_folder):
    text = doctor.report("huang2023", results_folder)
    for need in load_study("huang2023").needs:
        assert f"{need}: MISSING" in text
    assert "run `howfar fetch huang2023" in text


def test_every_study_is_reported(results_folder):
    text = doctor.report(None, results_folder)
    for name in ("demo", "geuvadis_public", "huang2023", "region", "sasse2023"):
        assert f"Study {name}:" in text
