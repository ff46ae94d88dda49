"""The page of what agrees with the papers, what does not, and what cannot be made again.

Three tables meet here: the numbers of the published studies (table `numbers`), what the papers
state (``data/published_numbers.csv``), and every panel of the studies (``data/panels.csv``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from howfar.core.project import project_root
from howfar.published.stated import VERDICTS, compare, own_numbers, panels
from howfar.results import tables

if TYPE_CHECKING:
    from howfar.figures.view import View


def page(views: Iterable[View]) -> str:
    """The page as MyST Markdown."""
    parts = [_HEAD]
    views = list(views)
    frames = {
        v.study.name: own_numbers(v.tables["numbers"], v.study.name)
        for v in views
        if v.tables is not None
    }
    every = compare(pd.concat([tables.empty("numbers"), *frames.values()], ignore_index=True))
    parts += [_counts(every), _differences(every)]
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
    rows = [f"| {v} | {VERDICTS[v]} | {counts[v]} |" for v in VERDICTS if v in counts]
    return "\n".join(["| verdict | meaning | numbers |", "|---|---|---|", *rows])


def _differences(every: pd.DataFrame) -> str:
    """The numbers that differ, each with the reason where one is known."""
    rows = every[every["verdict"] == "differs"]
    if rows.empty:
        return "No number that was computed differs from what its paper states."
    lines = [
        f"| `{r.id}` | {_number(r.value)} | {' | '.join(map(_cell, (r.stated, r.where, r.note)))} |"
        for r in rows.itertuples()
    ]
    head = ["| id | ours | paper | where | why |", "|---|---|---|---|---|"]
    return "\n".join(["## What differs", "", *head, *lines])


def _number_table(every: pd.DataFrame) -> str:
    head = ["| id | ours | interval | n | paper | verdict | definition | from |", "|" + "---|" * 8]
    return _searchable([*head, *(_number_row(r) for r in every.itertuples())])


def _number_row(row) -> str:
    ends = "" if pd.isna(row.ci_low) else f"{_number(row.ci_low)} to {_number(row.ci_high)}"
    count = "" if pd.isna(row.n) else f"{row.n:,}"
    cells = [
        *(f"`{row.id}`", _number(row.value), ends, count, _cell(row.stated), row.verdict),
        *(_cell(row.definition), _cell(row.source)),
    ]
    return f"| {' | '.join(cells)} |"


def _panel_table(found: pd.DataFrame) -> str:
    head = ["| study | panel | what it shows | status | where | needs | granted by |"]
    lines = [
        f"| {r.study} | {_cell(r.panel)} | {_cell(r.what)} | {r.status.replace('_', ' ')} | "
        f"{_pages(r.where)} | {_cell(r.needs)} | {_cell(r.grants)} |"
        for r in found.itertuples()
    ]
    return _searchable([*head, "|" + "---|" * 7, *lines])


def _pages(where: str) -> str:
    """Links to the pages named, and the ids as they are."""
    pages = {f"{n.stem}" for n in (project_root() / "notebooks").glob("*.ipynb")}
    words = [w.strip() for w in where.replace(",", ";").split(";") if w.strip()]
    linked = [f"[{w}]({w}.ipynb)" if w.split(".")[0] in pages else f"`{w}`" for w in words]
    return ", ".join(linked)


def _searchable(lines: list[str]) -> str:
    """A table that ``_static/filter.js`` puts a search field above; whole without JavaScript."""
    return "\n".join(["::::{div} filterable", "", *lines, "", "::::"])


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.6g}".replace("-", "−")


def _cell(text) -> str:
    return "" if pd.isna(text) else str(text).replace("|", "\\|").replace("\n", " ")
