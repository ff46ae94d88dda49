"""The page of messages that end a command, from the catalogue of inputs; and what is fetched."""

from __future__ import annotations

import re

import pandas as pd

from howfar.book.markdown import fill, markdown_table
from howfar.fetch.catalogue import select
from howfar.study.reading import load_study

#: A row of a bad input on the page of inputs: its title, and its message in four parts.
_ROW = re.compile(
    r"^\| (?P<input>.+?) \| `(?P<where>.+?): found (?P<found>.+?); expected (?P<expected>.+?)\. "
    r"(?P<do>[A-Z'].+)` \|$",
    re.MULTILINE,
)


def troubleshooting(inputs: str) -> str:
    """Sort the messages of the page of inputs by what was found, for a reader who has one.

    inputs: that page, as `howfar inputs` wrote it.
    """
    rows = [
        {
            "found": f"`{row['found']}`",
            "expected": f"`{row['expected']}`",
            "what to do": f"`{row['do']}`",
            "for example": row["input"],
        }
        for row in _ROW.finditer(inputs)
    ]
    frame = pd.DataFrame(rows, columns=["found", "expected", "what to do", "for example"])
    frame = frame.sort_values("found", key=lambda column: column.str.lower(), kind="stable")
    # cells of the page of inputs have their bars escaped already
    table = markdown_table(frame.replace({r"\\\|": "|"}, regex=True))
    return fill("troubleshooting", messages=table, count=len(frame))


def fetched(studies: list[tuple[str, str]]) -> str:
    """Write what is fetched for which pages, in bytes, from the list of public files.

    studies: (notebook, study) of every page that is an executed notebook.
    """
    rows, every = [], {}
    for name in dict.fromkeys(study for _, study in studies):
        study = load_study(name)
        files = select(study.needs)
        every |= {file.id: file for file in files}
        rows.append(
            {
                "study": f"`{name}`",
                "pages": ", ".join(notebook for notebook, each in studies if each == name),
                "files": len(files) or "none",
                "MB": _size(files),
                "licences": "; ".join(sorted({file.licence for file in files})),
            }
        )
    total = {"study": "all", "pages": f"{len(studies)} pages", "files": len(every)}
    rows.append(total | {"MB": _size(every.values()), "licences": ""})
    return fill("fetched", table=markdown_table(pd.DataFrame(rows)))


def _size(files) -> str:
    return f"{sum(file.bytes for file in files) / 1e6:,.1f}"
