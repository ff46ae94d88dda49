"""Pages in Markdown: their text from templates, their tables from frames."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

#: How a value is written: a format string, or a function.
Format = str | Callable[[Any], str]
_SIZE = re.compile(r'<svg[^>]*?width="([0-9.]+)pt"[^>]*?height="([0-9.]+)pt"')
_TEMPLATES = Path(__file__).with_name("templates")


def fill(template: str, **values: Any) -> str:
    """Return the page ``templates/<template>.md``, its fields in braces replaced by `values`."""
    return (_TEMPLATES / f"{template}.md").read_text("utf-8").format(**values)


def svg_size(svg: Path) -> str:
    """Write a figure's size as an image has it, in pixels; '' for another image."""
    found = _SIZE.search(svg.read_text("utf-8")[:2000])
    if found is None:
        return ""
    width, height = (f"{float(points) * 96 / 72:.0f}" for points in found.groups())
    return f'width="{width}" height="{height}"'


def cell(text: object) -> str:
    """Write a value as text that may stand in a cell; '' for a missing one."""
    return "" if pd.isna(text) else str(text).replace("|", "\\|").replace("\n", " ")


def markdown_table(frame: pd.DataFrame) -> str:
    """Write a table, its cells as text."""
    lines = [list(frame.columns), ["---"] * frame.shape[1], *frame.map(cell).to_numpy()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def table_of(frame: pd.DataFrame, columns: Mapping[str, str | tuple[str, Format]]) -> str:
    """Write columns of `frame` under new titles: {title: column, or (column, its format)}."""
    specs = {t: (c, "{}") if isinstance(c, str) else c for t, c in columns.items()}
    shown = {t: [written(value, how) for value in frame[c]] for t, (c, how) in specs.items()}
    return markdown_table(pd.DataFrame(shown))


def written(value: Any, how: Format) -> str:
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
