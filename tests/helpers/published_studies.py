"""For the tests of published studies: where the files are, and what their numbers are to be."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from helpers.places import SHARED
from howfar import published
from howfar.evaluation.study_tables import write_numbers
from howfar.fetch import catalogue, fetching
from howfar.published import write_tables
from howfar.study.reading import load_study
from howfar.workflow.needs import source_groups

needs_mirror = pytest.mark.skipif(
    not (SHARED / "mirror" / "MANIFEST.csv").is_file(), reason="no ../shared/mirror here"
)


def load(study: str, folder: Path) -> dict[str, pd.DataFrame]:
    """The study's tables from the files in `folder`, which may be made up."""
    return published.load_published(load_study(study), folder, verify=False)


def expected(study: str) -> pd.DataFrame:
    """Columns id, value (missing where not known) and tolerance; empty without the list."""
    file, columns = SHARED / "expected_numbers.csv", ["id", "value", "tolerance"]
    if not file.is_file():
        return pd.DataFrame(columns=columns)
    rows = pd.read_csv(file)
    return rows.loc[rows["study"] == study, columns]


def given(study: str) -> list[tuple[str, float, float]]:
    """The rows of `expected` that have a value."""
    rows = expected(study).dropna(subset=["value"])
    return list(rows.itertuples(index=False, name=None))


def fetch_mirrored(words: list[str], results: Path) -> Path:
    """Fetch studies or files from the mirror into a results folder; the folder of sources."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOWFAR_MIRROR", str(SHARED / "mirror"))
        wanted = [source.id for source in catalogue.select(words, source_groups(words))]
        assert fetching.fetch(wanted, results / "sources", progress=False).ok
    return results / "sources"


def evaluate(study, results) -> None:
    """Write a published study's tables, its numbers included, as `howfar evaluate` does."""
    write_numbers(study, results, write_tables(study, results))
