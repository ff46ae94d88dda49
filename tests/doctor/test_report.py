import pytest

from howfar.doctor import report, verdicts
from howfar.fetch import catalogue
from howfar.models.registry import MODELS
from howfar.study.reading import load_study


def test_a_study_that_is_not_there_says_what_to_run(results_folder):
    text = report.report("demo", results_folder)
    assert "torch " in text and "Device" in text
    assert "reference: MISSING (the workflow makes it)" in text
    assert "run `howfar run --study demo --to notebooks`" in text


def test_published_studies_name_their_missing_files_and_the_command(results_folder):
    text = report.report("huang2023", results_folder)
    for need in load_study("huang2023").needs:
        assert f"{need}: MISSING" in text
    assert "run `howfar fetch huang2023" in text


def test_every_study_is_reported(results_folder):
    text = report.report(None, results_folder)
    for name in ("demo", "geuvadis_public", "huang2023", "region", "sasse2023"):
        assert f"Study {name}:" in text


@pytest.fixture
def outcome() -> dict:
    """What a verification of Xpresso might have found."""
    return {"verified": True, "candidate": "TSS at 6,999", "largest_difference": 2e-7,
            "difference": "absolute", "tolerance": 1e-6}  # fmt: skip


def test_models_say_what_is_there_and_what_was_verified(results_folder, outcome):
    def line(name):
        text = report.report(None, results_folder)
        return next(part for part in text.splitlines() if part.startswith(f"  {name}:"))

    assert line("xpresso") == "  xpresso: weights MISSING; unverified; `howfar fetch xpresso`"
    for name in MODELS:
        assert "unverified" in line(name)
    folder = results_folder / "sources"
    for source in catalogue.select(MODELS["xpresso"].sources):
        file = folder / source.id
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"0" * source.bytes)
    assert line("xpresso") == "  xpresso: weights here; unverified"
    verdicts.keep("xpresso", outcome, results_folder)
    assert "verified (absolute difference 2.0e-07 on " in line("xpresso")
    verdicts.keep("xpresso", outcome | {"verified": False}, results_folder)
    assert "does not fit" in line("xpresso")


def test_only_the_networks_of_a_study_are_listed_with_it(results_folder):
    listed = report.report("region", results_folder).partition("Models")[2].partition("Study")[0]
    assert "xpresso:" in listed and "enformer:" not in listed
