"""Shared by all tests: where the optional material beside the project lies."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder beside the project with real data and oracles; skips where it isn't there."""
    if not (SHARED / "realregion").is_dir():
        pytest.skip("the shared folder with real data is not beside this checkout")
    return SHARED


@pytest.fixture(autouse=True)
def results_folder(tmp_path, monkeypatch) -> Path:
    """Each test has a results folder of its own, so that none touches the user's."""
    folder = tmp_path / "results"
    monkeypatch.setenv("HOWFAR_RESULTS", str(folder))
    return folder
