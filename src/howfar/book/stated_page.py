"""The page of what agrees with the papers, what does not, and what cannot be made again.

Three tables meet here: the numbers of the published studies (table `numbers`), what the papers
state (``data/published_numbers.csv``), and every panel of the studies (``data/panels.csv``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

from howfar.book.markdown import fill, interval, markdown_table, table_of
from howfar.book.speed_page import circumstances, measured
from howfar.core.project import project_root
from howfar.core.text import as_markdown
from howfar.figures.view import View
from howfar.published.stated import (
    STATUS,
    VERDICTS,
    compare,
    own_numbers,
    panel_label,
    panel_numbers,
    panel_verdict,
    panels,
    printed,
)
from howfar.results import tables

#: Numbers that a panel's rows show though they agree.
_SHOWN = 4
_CELLS = ["number", "reported", "re-made", "difference", "tolerance", "verdict"]
_TWICE = {
    "what was made twice": "what",
    "files": ("files", "{:,}"),
    "equal to the byte": ("bytes", "{:,}"),
    "equal in every value": ("values", "{:,}"),
    "largest difference": ("largest", lambda apart: f"{apart:g}" if apart else "none"),
}


def stated_page(views: Iterable[View]) -> str:
    """Write the page from the tables of the published studies."""
    frames = [
        own_numbers(view.tables["numbers"], view.study.name)
        for view in views
        if view.tables is not None
    ]
    twice = measured("determinism")
    every = compare(pd.concat([tables.empty("numbers"), *frames], ignore_index=True))
    return fill(
        "stated",
        counts=_counts(every),
        differences=_differences(every),
        panels=_panel_table(every, panels()),
        unprinted=_unprinted_table(every, panels()),
        permissions=_permission_table(panels()),
        twice=table_of(twice, _TWICE),
        run=circumstances(twice),
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


def _panel_table(every: pd.DataFrame, panels: pd.DataFrame) -> str:
    """List each panel's printed numbers: all that differ, and the first few that agree."""
    rows = []
    for _, panel in panels.iterrows():
        mine = _printed_of(every, panel)
        mine = mine.sort_values("verdict", key=lambda v: v != "differs", kind="stable")
        shown = mine.head(max(_SHOWN, int((mine["verdict"] == "differs").sum())))
        lines = [_number_cells(row) for row in shown.itertuples()]
        if more := len(mine) - len(shown):
            lines.append({"panel": f"and {more} more that agree"})
        rows += [{"panel": _cited(panel)} | line for line in lines[:1]] + lines[1:]
    return _searchable(markdown_table(pd.DataFrame(rows, columns=["panel", *_CELLS])))


def _unprinted_table(every: pd.DataFrame, panels: pd.DataFrame) -> str:
    """List the panels for which the paper prints no number."""
    rows = [
        {"panel": _cited(panel), "here": panel_verdict(every, panel)}
        for _, panel in panels.iterrows()
        if _printed_of(every, panel).empty
    ]
    return markdown_table(pd.DataFrame(rows))


def _printed_of(every: pd.DataFrame, panel: pd.Series) -> pd.DataFrame:
    rows = panel_numbers(every, panel)
    return rows[rows["verdict"].isin(["agrees", "differs", "in words"])]


def _number_cells(row: Any) -> dict[str, str]:
    """Write a row of `compare` as cells of its panel."""
    cells = {"number": f"`{row.id}`", "reported": row.stated, "re-made": _number(row.value)}
    if (number := printed(row.stated)) is not None:
        there, tolerance = number
        cells |= {"difference": _number(row.value - there, 2), "tolerance": f"{tolerance:g}"}
    return cells | {"verdict": row.verdict}


def _cited(panel: pd.Series) -> str:
    """Name a panel, linked to the first page that shows it, and say what it shows."""
    label = as_markdown(panel_label(panel["study"], panel["panel"]))
    pages = [w for w in _named(f"{panel['where']};{panel['own']}") if _is_page(w)]
    what = as_markdown(re.split(r"; | \(its", panel["what"])[0])
    return f"[{label}]({pages[0]}.ipynb): {what}" if pages else f"{label}: {what}"


def _permission_table(panels: pd.DataFrame) -> str:
    """List what real data would add to panels that are made with other data, or not at all."""
    rows = panels[panels["needs"] != ""]
    labels = [as_markdown(panel_label(r.study, r.panel)) for r in rows.itertuples()]
    columns = {
        "panel": "label",
        "status": ("status", STATUS.__getitem__),
        "shown with other data on": ("own", _pages),
        "what real data would add": "needs",
        "granted by": "grants",
    }
    return table_of(rows.assign(label=labels), columns)


def _pages(where: str) -> str:
    """Link the pages named, and leave ids as they are."""
    return ", ".join(f"[{w}]({w}.ipynb)" if _is_page(w) else f"`{w}`" for w in _named(where))


def _named(where: str) -> list[str]:
    return [w.strip() for w in where.replace(",", ";").split(";") if w.strip()]


def _is_page(name: str) -> bool:
    return "." in name and (project_root() / "notebooks" / f"{name.split('.')[0]}.ipynb").is_file()


def _searchable(table: str) -> str:
    """Mark a table that ``_static/tables.js`` puts a search field above."""
    return f'<div class="filterable">\n\n{table}\n\n</div>'


def _number(value: float, digits: int = 6) -> str:
    return f"{value:.{digits}g}".replace("-", "−")
