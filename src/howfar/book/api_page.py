"""The page on the Python interface: every public name with its signature and docstring."""

from __future__ import annotations

import inspect
import re
from functools import cached_property
from typing import Any

import pandas as pd

import howfar
from howfar.book.markdown import fill, markdown_table

#: Sections of a docstring that list names.
_OF_ENTRIES = {"Parameters", "Returns", "Yields", "Raises", "Attributes"}


def api_page() -> str:
    """List the names of `howfar.__all__`: signature, docstring, and what a class offers."""
    entries = (_entry(name, getattr(howfar, name)) for name in howfar.__all__)
    return fill("api", entries="\n\n".join(entries))


def _entry(name: str, thing: Any) -> str:
    parts = [f"## `{name}`"]
    if callable(thing):
        parts.append(f"```python\n{name}{_signature(thing)}\n```")
    parts.append(docstring_as_markdown(inspect.getdoc(thing) or ""))
    members = _members(thing) if inspect.isclass(thing) or inspect.ismodule(thing) else []
    if members:
        parts.append(markdown_table(pd.DataFrame(members)))
    return "\n\n".join(parts)


def _signature(thing: Any) -> str:
    try:
        return re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(thing)))
    except ValueError:  # a class of another library, made in C
        return "(...)"


def _members(thing: Any) -> list[dict[str, str]]:
    """List the public methods and properties of a class, or the functions of a module."""
    rows = []
    for name, member in vars(thing).items():
        is_property = isinstance(member, property | cached_property)
        if name.startswith("_") or not (is_property or inspect.isroutine(member)):
            continue
        documented = inspect.getdoc(member) or ""
        call = "" if is_property else "()"
        rows.append({"name": f"`{name}{call}`", "meaning": documented.partition("\n")[0]})
    return rows


def docstring_as_markdown(text: str) -> str:
    """Turn a docstring in NumPy style into Markdown.

    A section's underlined title becomes bold, an entry of a section (``name : type``, its text
    indented below) a list item, an example a block of code.
    """
    lines = [*text.splitlines(), ""]
    out: list[str] = []
    section = example = False
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        underline = set(line) == {"-"}
        if example and not line.strip():
            out.append("```")
        if not example and line.lstrip().startswith(">>>"):
            out += ["", "```python"]
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        if underline:
            continue
        if following and set(following) == {"-"}:
            section = line in _OF_ENTRIES
            out.append(f"**{line}**\n")
        elif section and not example and line and not line.startswith(" "):
            out.append(f"- `{line}`")
        else:
            out.append(line.strip() if example else line)
    return "\n".join(out).strip()
