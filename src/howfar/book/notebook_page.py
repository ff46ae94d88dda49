"""An executed notebook as a page of the book: figures first, its code once and last."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from howfar.book.figure_block import with_files
from howfar.core.errors import no_such_file
from howfar.core.text import as_markdown, as_sentence
from howfar.figures.view import NO_FIGURE
from howfar.results import policy
from howfar.study.reading import load_study

Cell = dict[str, Any]
#: Tags of cells that hold paths of this machine.
_PARAMETERS = {"parameters", "injected-parameters"}
#: Tag of cells whose code a reader need not see beside what it shows.
_HIDDEN = "hide-input"
#: Sections of a page that are open; those after them are a click away.
_OPEN = 3


def read_executed(path: Path) -> str:
    """Read what was made before the pages; a HowfarError where it isn't there."""
    if not path.is_file():
        raise no_such_file(
            path,
            "the executed notebook, or the text, of this page",
            "Run `make book`, which makes these first.",
        )
    return path.read_text()


def page(path: Path, study: str | None = None) -> str:
    """Turn an executed notebook into a page.

    Its study stands in the title, with what is real and what simulated below. Sections whose
    figures the study cannot have are left out, and named at the end, as is the code. Nothing of
    this machine is left: parameters and papermill's metadata hold paths.
    """
    notebook = json.loads(read_executed(path))
    notebook["metadata"].pop("papermill", None)
    if study:
        policy.require_shown(path, notebook["metadata"].pop("howfar", {}), load_study(study))
    cells = [c for c in notebook["cells"] if not _PARAMETERS & set(c["metadata"].get("tags", []))]
    for cell in cells:
        if "outputs" in cell:  # warnings name files of this machine
            cell["outputs"] = [o for o in cell["outputs"] if o.get("name") != "stderr"]
        cell["metadata"] = {k: v for k, v in cell["metadata"].items() if k in ("tags", "mystnb")}
    with_files(cells, path, study or "")
    cells, left_out = _without_absent(cells)
    shown = [*_titled(cells, study), *_ending(cells, left_out, path.stem, study)]
    notebook["cells"] = [cell | {"id": f"cell-{i}"} for i, cell in enumerate(shown)]
    notebook["metadata"]["fold"] = _OPEN + 1
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False)


def _titled(cells: list[Cell], study: str | None) -> Iterator[Cell]:
    """Yield the cells, the study in the title and its badges right below; no hidden code."""
    first, *rest = cells
    if study:
        title, words = "".join(first["source"]).split("\n", 1)
        yield first | {"source": f"{title}: {as_markdown(load_study(study).title)}"}
        if rest and "figures.about(" in "".join(rest[0]["source"]):
            yield _without_code(rest.pop(0))
        first = first | {"source": words.strip()}
    yield first
    yield from map(_without_code, rest)


def _without_code(cell: Cell) -> Cell:
    tags = ["remove-input" if tag == _HIDDEN else tag for tag in cell["metadata"].get("tags", [])]
    return cell | {"metadata": cell["metadata"] | {"tags": tags}} if tags else cell


def _without_absent(cells: list[Cell]) -> tuple[list[Cell], dict[str, str]]:
    """Return the cells without sections that hold no figure, and these by title: the reason."""
    kept: list[Cell] = []
    left_out = {}
    for section in _sections(cells):
        figures = [cell for cell in section if cell["cell_type"] == "code"]
        reasons = [reason for cell in figures if (reason := _absent(cell))]
        if figures and len(reasons) == len(figures):
            title = "".join(section[0]["source"]).partition("\n")[0].lstrip("# ")
            left_out[title] = reasons[0]
        else:
            kept += [cell for cell in section if not _absent(cell)]
    return kept, left_out


def _sections(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Split cells at headings of the second level."""
    found: list[list[Cell]] = [[]]
    for cell in cells:
        if "".join(cell["source"]).startswith("## "):
            found.append([])
        found[-1].append(cell)
    return found


def _absent(cell: Cell) -> str:
    """Why the study has no such figure; '' where a cell shows another thing."""
    for output in cell.get("outputs", []):
        lines = "".join(output.get("data", {}).get("text/plain", "")).split("\n")
        if lines[0] == NO_FIGURE:
            return " ".join(lines[1:])
    return ""


def _ending(cells: list[Cell], left_out: dict[str, str], name: str, study: str | None):
    """Yield what stands last, folded: sections left out, and the code of those that are shown."""
    code = [
        "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "code" and _HIDDEN in cell["metadata"].get("tags", [])
    ]
    if left_out:
        rows = (f"- *{title}*: {as_sentence(reason)}" for title, reason in left_out.items())
        yield _folded("Not shown for this study", "\n".join(rows))
    if code:
        command = f"howfar notebook {name}" + (f" --study {study}" if study else "")
        text = "\n\n".join(code)
        yield _folded("Code of this page", f"`{command}`, or:\n\n```python\n{text}\n```")


def _folded(title: str, text: str) -> Cell:
    source = f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"
    return {"cell_type": "markdown", "metadata": {}, "source": source}
