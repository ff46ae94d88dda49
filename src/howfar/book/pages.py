"""The pages of the book that are made from results, tables and commands, not written by hand.

`prepare` is called after the notebooks have run and before the book is built. It fills
``book/_generated/``: executed notebooks with their study in the title, and Markdown pages.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd
import typer
import yaml

from howfar.book import genes, reference_pages, start_page
from howfar.book.api_page import api_page
from howfar.book.architecture_page import architecture_page
from howfar.book.board_page import board_page
from howfar.book.cohorts_page import cohorts_page
from howfar.book.estimators_page import estimators_page
from howfar.book.knobs_page import knobs_page
from howfar.book.mixups_page import mixups_page
from howfar.book.models_page import models_page
from howfar.book.notebook_page import page, read_executed
from howfar.book.programs_page import programs
from howfar.book.speed_page import own_model, speed_page
from howfar.book.stated_page import stated_page
from howfar.book.troubleshooting_page import fetched, troubleshooting
from howfar.core.project import executed_notebook, results_folder
from howfar.figures.view import Box, view
from howfar.study.reading import load_study

#: Studies in the order of the start page.
STUDIES = ["geuvadis_public", "sasse2023", "demo"]
#: The published studies whose own numbers stand beside what their papers state.
PUBLISHED = ["sasse2023", "huang2023", "rastogi2024", "capstone2025", "sagenet2024"]


def prepare(results: Path, app: typer.Typer, book: Path) -> Path:
    """Write ``<book>/_generated`` and return it.

    results: the results folder, with the executed notebooks (see `executed_notebook`) and figures
    of every page. app: the command line, whose commands a page lists. book: the book's folder.
    Raises HowfarError if an executed notebook is not there.
    """
    folder, part = book / "_generated", book / f".generated.{os.getpid()}"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name, study in executed_pages(book):
        (part / f"{name}.{study}.ipynb").write_text(
            page(executed_notebook(results, name, study), study)
        )
    for name in ("synthesis", "ledger"):
        (part / f"{name}.ipynb").write_text(page(executed_notebook(results, name)))
    shown = list(dict.fromkeys(study for _, study in executed_pages(book)))
    with ProcessPoolExecutor(1) as beside:  # half of the time on two cores
        explorer = beside.submit(_write_explorer, shown, results, part)
        for name, text in _texts(results, app, book, part).items():
            (part / f"{name}.md").write_text(text.rstrip() + "\n")
        explorer.result()
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(part, folder)
    return folder


def _write_explorer(studies: Iterable[str], results: Path, part: Path) -> None:
    """Write the files of the page of genes, of all studies that have tables."""
    explored = [genes.source(load_study(study), results) for study in studies]
    genes.write([each for each in explored if each], part / "files" / "genes")


def _texts(results: Path, app: typer.Typer, book: Path, part: Path) -> dict[str, str]:
    """Make the pages that are no notebook, by name; their pictures go into `part`."""
    views = {s: view(s, results=results) for s in STUDIES}
    inputs = read_executed(results / "book" / "inputs.md")
    return {
        "inputs": inputs,
        "troubleshooting": troubleshooting(inputs),
        "fetched": fetched(executed_pages(book)),
        "programs": programs(app),
        "answer": start_page.answer(views),
        "central": start_page.central_pictures(results),
        "commands": reference_pages.commands(app),
        "tables": reference_pages.table_reference(),
        **reference_pages.numbers(views),
        "models": models_page(results),
        "stated": stated_page(view(s, results=results) for s in PUBLISHED),
        "seeds": reference_pages.seeds(),
        "hard_seeds": reference_pages.hard_seeds(),
        "own_model_measured": own_model(),
        "speed": speed_page(),
        "cohorts": cohorts_page(),
        "knobs": knobs_page(),
        "estimators": estimators_page(results),
        "mixups": mixups_page(results),
        "board": board_page(results, part),
        "api": api_page(),
        "architecture": architecture_page(),
    }


def executed_pages(book: Path) -> list[tuple[str, str]]:
    """Return (notebook, study) of every page of the contents that is an executed notebook."""
    toc = yaml.safe_load((book / "_toc.yml").read_text())
    files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    names = [Path(f).name for f in files if f.startswith("_generated/") and "." in Path(f).name]
    return [tuple(name.split(".", 1)) for name in names]


def ledger(results: str | Path = "results") -> pd.DataFrame | Box:
    """Return seconds of each step and notebook of the last run, with their sum; else a Box.

    From ``<results>/ledger.csv`` (columns step, seconds) or else from the workflow's own clock,
    ``<results>/timings/<step>.tsv``, whose column `s` is in seconds.
    """
    results = results_folder(results)
    if (results / "ledger.csv").is_file():
        steps = pd.read_csv(results / "ledger.csv")[["step", "seconds"]]
    else:
        clocks = sorted((results / "timings").glob("*.tsv"))
        rows = [(clock.stem, float(pd.read_csv(clock, sep="\t")["s"].iloc[0])) for clock in clocks]
        steps = pd.DataFrame(rows, columns=["step", "seconds"])
    if steps.empty:
        return Box("No run has been recorded yet", ("Run: make book",))
    steps = steps.sort_values("seconds", ascending=False)
    total = pd.DataFrame([("sum of all steps", steps["seconds"].sum())], columns=steps.columns)
    return pd.concat([steps, total]).round(1).set_index("step")
