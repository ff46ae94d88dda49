"""The page of what agrees with the papers, what does not, and what cannot be made again.

Three tables meet here: the numbers of the published studies (table `numbers`), what the papers
state (``data/published_numbers.csv``), and every panel of the studies (``data/panels.csv``).
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from howfar.book.markdown import fill, interval, markdown_table, table_of
from howfar.core.project import project_root
from howfar.figures.view import View
from howfar.published.stated import STATUS, VERDICTS, compare, own_numbers, panels
from howfar.results import tables


def stated_page(views: Iterable[View]) -> str:
    """Write the page from the tables of the published studies."""
    frames = [
        own_numbers(view.tables["numbers"], view.study.name)
        for view in views
        if view.tables is not None
    ]
    every = compare(pd.concat([tables.empty("numbers"), *frames], ignore_index=True))
    return fill(
        "stated",
        counts=_counts(every),
        differences=_differences(every),
        panels=_panel_table(panels()),
        numbers=_number_table(every),
    )


def _counts(every: pd.DataFrame) -> str:
    counts = every["verdict"].value_counts()
    rows = [
        {"verdict": verdict, "meaning": meaning, "numbers": counts[verdict]}
        for verdict, meaning in VERDICTS.items()
        if verdict in counts
    ]
    return markdown_table(pd.DataFrame(rows))


def _differences(every: pd.DataFrame) -> str:
    """List the numbers that differ, each with the reason where one is known."""
    rows = every[every["verdict"] == "differs"]
    if rows.empty:
        return "No number that was computed differs from what its paper states."
    columns = {"id": ("id", "`{}`"), "ours": ("value", _number)}
    columns |= {"paper": "stated", "where": "where", "why": "note"}
    return f"## What differs\n\n{table_of(rows, columns)}"


def _number_table(every: pd.DataFrame) -> str:
    ends = [interval(row, _number) for row in every.itertuples()]
    columns = {
        "id": ("id", "`{}`"),
        "ours": ("value", _number),
        "interval": "interval",
        "n": ("n", "{:,}"),
        "paper": "stated",
        "verdict": "verdict",
        "definition": "definition",
        "from": "source",
    }
    return _searchable(table_of(every.assign(interval=ends), columns))


def _panel_table(panels: pd.DataFrame) -> str:
    columns = {
        "study": "study",
        "panel": "panel",
        "what it shows": "what",
        "status": ("status", STATUS.__getitem__),
        "from published tables": ("where", _pages),
        "from our own cohorts": ("own", _pages),
        "what real data would add": "needs",
        "granted by": "grants",
    }
    return _searchable(table_of(panels, columns))


def _pages(where: str) -> str:
    """Link the pages named, and leave ids as they are."""
    pages = {notebook.stem for notebook in (project_root() / "notebooks").glob("*.ipynb")}
    words = [w.strip() for w in where.replace(",", ";").split(";") if w.strip()]
    linked = [f"[{w}]({w}.ipynb)" if w.split(".")[0] in pages else f"`{w}`" for w in words]
    return ", ".join(linked)


def _searchable(table: str) -> str:
    """Mark a table that ``_static/filter.js`` puts a search field above."""
    return f'<div class="filterable">\n\n{table}\n\n</div>'


def _number(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")
