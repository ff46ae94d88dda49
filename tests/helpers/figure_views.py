"""Views of made-up studies for the tests of figures, and what a reader finds in a figure."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from howfar import figures
from howfar.evaluation.numbers import numbers_table
from howfar.results import tables

STUDY = """
name: {name}
title: A made-up study
individuals: {individuals}
reality: {{genotypes: made up, expression: also made up, weights: none at all}}
published: {{loader: none, needs: []}}
"""


def study_file(folder: Path, name: str, individuals: str = "private", more: str = "") -> Path:
    """A study file for `figures.view`; more: further lines of it."""
    path = folder / f"{name}.yaml"
    path.write_text(STUDY.format(name=name, individuals=individuals) + more)
    return path


def open_view(
    folder: Path,
    frames: Mapping[str, pd.DataFrame] | None = None,
    name: str = "open",
    numbers: bool = True,
) -> figures.View:
    """The view of a study in `folder`, `frames` written beside the tables that are there.

    With `numbers` that table is made from them, which takes seconds; rows of it in `frames` that
    are not among these stay.
    """
    folder.mkdir(exist_ok=True)
    for table, frame in (frames or {}).items():
        tables.write(tables.path_of(folder, name, table), table, frame, {})
    if numbers:
        write_numbers(folder, name)
    return figures.view(str(study_file(folder, name)), [], folder, folder / "figures")


def write_numbers(results: Path, study: str) -> None:
    """Make table `numbers` from the other tables; rows of its own that are there stay."""
    loaded = tables.load(study, results)
    if loaded is not None:
        made = numbers_of(loaded)
        own = loaded["numbers"]
        frame = pd.concat([made, own[~own["id"].isin(made["id"])]])
        tables.write(tables.path_of(results, study, "numbers"), "numbers", frame, {})


_numbers: dict[str, pd.DataFrame] = {}


def numbers_of(loaded: tables.Tables) -> pd.DataFrame:
    """Table `numbers` of the other tables, computed once where tests have the same ones."""
    digest = hashlib.sha256(loaded.study.encode())
    for name, frame in loaded.items():
        if name != "numbers":
            digest.update(f"{name}{list(frame.columns)}{len(frame)}".encode())
            digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    key = digest.hexdigest()
    if key not in _numbers:
        _numbers[key] = numbers_table(loaded, draws=50)
    return _numbers[key].copy()


def text_of(shown: figures.Shown) -> str:
    """The text in an SVG, as a reader sees it, one piece after the other."""
    return html.unescape(" | ".join(re.findall(r"<text[^>]*>([^<]*)", shown.svg.read_text())))


def words_of(shown: figures.Shown) -> str:
    """The same without marks between pieces: lines of a title or an axis are one."""
    return text_of(shown).replace(" | ", " ")


def assert_four_files(shown: figures.Shown) -> None:
    """SVG, PNG, PDF and CSV are there, none empty."""
    for kind in ("svg", "png", "pdf", "csv"):
        assert shown.svg.with_suffix(f".{kind}").stat().st_size > 100
