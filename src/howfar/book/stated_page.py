"""The page of what agrees with the papers, what does not, and what cannot be made again.

Three tables meet here: the numbers of the published studies (table `numbers`), what the papers
state (``data/published_numbers.csv``), and every panel of the studies (``data/panels.csv``).
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from howfar.book.markdown import formatted, interval, markdown_table
from howfar.core.project import project_root
from howfar.figures.view import View
from howfar.published.stated import VERDICTS, compare, own_numbers, panels
from howfar.results import tables


def page(views: Iterable[View]) -> str:
    """Write the page from the tables of the published studies."""
    frames = [
        own_numbers(view.tables["numbers"], view.study.name)
        for view in views
        if view.tables is not None
    ]
    every = compare(pd.concat([tables.empty("numbers"), *frames], ignore_index=True))
    parts = [_HEAD, _counts(every), _differences(every)]
    parts += ["## Every panel", _PANEL_TEXT, _panel_table(panels())]
    parts += ["## Every number", _NUMBER_TEXT, _number_table(every)]
    return "\n\n".join(parts) + "\n"


_HEAD = """# What agrees, what does not, what cannot be made again

Each number below is computed from the authors' public tables by the definition beside it. Where
the paper states the number, both stand side by side. Numbers that the authors state in figures
are compared to the digits they print."""
_PANEL_TEXT = """Every panel of the four studies, and of one later check: made again here, made with
substitute data, or not possible without data that are not public; then with what it would need
and who grants it. Type to search."""
_NUMBER_TEXT = """Type to search: an id, a word of a definition, a file, a verdict. The same list
as CSV: `howfar numbers STUDY --csv numbers.csv`."""


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
    columns = {
        "id": ("id", "`{}`"),
        "ours": ("value", _number),
        "paper": ("stated", "{}"),
        "where": ("where", "{}"),
        "why": ("note", "{}"),
    }
    return f"## What differs\n\n{markdown_table(formatted(rows, columns))}"


def _number_table(every: pd.DataFrame) -> str:
    columns = {
        "id": ("id", "`{}`"),
        "ours": ("value", _number),
        "n": ("n", "{:,}"),
        "paper": ("stated", "{}"),
        "verdict": ("verdict", "{}"),
        "definition": ("definition", "{}"),
        "from": ("source", "{}"),
    }
    shown = formatted(every, columns)
    shown.insert(2, "interval", [interval(row, _number) for row in every.itertuples()])
    return _searchable(shown)


def _panel_table(panels: pd.DataFrame) -> str:
    columns = {
        "study": ("study", "{}"),
        "panel": ("panel", "{}"),
        "what it shows": ("what", "{}"),
        "status": ("status", lambda status: status.replace("_", " ")),
        "where": ("where", _pages),
        "needs": ("needs", "{}"),
        "granted by": ("grants", "{}"),
    }
    return _searchable(formatted(panels, columns))


def _pages(where: str) -> str:
    """Link the pages named, and leave ids as they are."""
    pages = {notebook.stem for notebook in (project_root() / "notebooks").glob("*.ipynb")}
    words = [w.strip() for w in where.replace(",", ";").split(";") if w.strip()]
    linked = [f"[{w}]({w}.ipynb)" if w.split(".")[0] in pages else f"`{w}`" for w in words]
    return ", ".join(linked)


def _searchable(frame: pd.DataFrame) -> str:
    """Write a table that ``_static/filter.js`` puts a search field above."""
    return f"::::{{div}} filterable\n\n{markdown_table(frame)}\n\n::::"


def _number(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")
