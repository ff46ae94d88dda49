"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

#: How a value is written: a format string, or a function.
Format = str | Callable[[float], str]


def cell(text: object) -> str:
    """Write a value as text that may stand in a cell; '' for a missing one."""
    return "" if pd.isna(text) else str(text).replace("|", "\\|").replace("\n", " ")


def markdown_table(frame: pd.DataFrame) -> str:
    """Write a table, its cells as text."""
    lines = [list(frame.columns), ["---"] * frame.shape[1], *frame.map(cell).to_numpy()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def formatted(frame: pd.DataFrame, columns: Mapping[str, tuple[str, Format]]) -> pd.DataFrame:
    """Return columns of `frame` as text under new titles: {title: (column, format)}."""
    return pd.DataFrame(
        {title: [written(x, how) for x in frame[name]] for title, (name, how) in columns.items()}
    )


def written(value: float, how: Format) -> str:
    """Write a value in a format; '' for a missing one."""
    if pd.isna(value):
        return ""
    return how.format(value) if isinstance(how, str) else how(value)


def rate(value: float) -> str:
    """Write a positive number with three digits, from 100 on with none behind the point."""
    return f"{value:,.0f}" if value > 99 else f"{value:.3g}"


def interval(row: Any, how: Format) -> str:
    """Write ci_low and ci_high of a row of `numbers` as 'low to high'; '' where missing."""
    ends = (written(row.ci_low, how), written(row.ci_high, how))
    return " to ".join(ends) if all(ends) else ""
