"""What stands around a figure of a page: its files, the panel it re-makes, its alternative text."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from functools import cache
from html import escape, unescape
from pathlib import Path
from typing import Any

import pandas as pd

from howfar.book.markdown import svg_size
from howfar.core.project import figures_folder
from howfar.figures.style import KINDS
from howfar.published import stated
from howfar.results import tables

#: Folder of the figures' files in the built book.
FOLDER = "_figures"
#: Screens up to this width, px, are shown the figure with its panels stacked.
_NARROW = 700


def with_files(cells: list[dict], executed: Path, study: str = "") -> None:
    """Show the figures of an executed notebook from their files, with links to them.

    cells: changed in place. executed: the notebook's file, in the results folder.
    """
    results, name = executed.parents[2], f"{executed.stem}.{study}"
    for cell in cells:
        outputs: list[dict] = []
        for output in cell.get("outputs", ()):
            about = output.get("metadata", {}).get("howfar", {})
            if "figure" in about:
                image = cell["metadata"].get("mystnb", {}).get("image", {})
                alt = f"{image.get('alt', '')}. {about['said']}".strip(". ")
                file = files_of(about["figure"], results)[0]
                outputs.append(_html(_picture(about["figure"], file, alt)))
            else:
                outputs.append(output)
            if outputs[-1] is output and (figure := _figure_of(outputs)):
                outputs.append(_html(_below(figure, name, numbers_of(results))))
        if "outputs" in cell:
            cell["outputs"] = outputs


@cache
def numbers_of(results: Path) -> pd.DataFrame:
    """Numbers of the published studies beside what their papers print: of `stated.compare`."""
    studies = dict.fromkeys(stated.panels()["study"])
    files = {study: tables.path_of(results, study, "numbers") for study in studies}
    frames = [
        stated.own_numbers(tables.read(file, "numbers"), study)
        for study, file in files.items()
        if file.is_file()
    ]
    return stated.compare(pd.concat([tables.empty("numbers"), *frames], ignore_index=True))


def _figure_of(outputs: list[dict]) -> str | None:
    """Name of the figure whose caption is the last output."""
    shown = "".join(outputs[-2]["data"].get("text/html", "")) if len(outputs) > 1 else ""
    found = re.search(rf'src="\.\./{FOLDER}/([^"]+)\.svg"', shown)
    return found[1] if found else None


def _html(text: str) -> dict[str, Any]:
    data = {"text/html": text, "text/plain": re.sub("<[^>]*>", "", text)}
    return {"output_type": "display_data", "metadata": {}, "data": data}


def _picture(figure: str, svg: Path, alt: str, up: str = "../") -> str:
    """The image, its size known before it is loaded, and the one for narrow screens."""
    place = f"{up}{FOLDER}/{figure}"
    return (
        f'<picture class="howfar-figure"><source media="(max-width: {_NARROW}px)" '
        f'srcset="{place}.narrow.svg"><img src="{place}.svg" alt="{escape(alt)}" {svg_size(svg)} '
        'loading="lazy"></picture>'
    )


def on_start_page(figure: str, svg: Path, caption: str, alt: str) -> str:
    """Write a figure of the start page, which lies above the others, in Markdown."""
    numbers = re.findall("<text[^>]*>([^<]* = [^<]*)", svg.read_text("utf-8"))
    alt = "; ".join([alt, *map(unescape, numbers)])
    return on_written_page(figure, svg, caption, alt, "")


def on_written_page(figure: str, svg: Path, caption: str, alt: str, up: str = "../") -> str:
    """Write a figure of a page that no notebook makes, in Markdown; up: from there to the root."""
    shown = f"{_picture(figure, svg, alt, up)}<figcaption>{escape(caption)}</figcaption>"
    files = f'<p class="howfar-files">{_links(figure, up)}</p>'
    return f"```{{raw}} html\n<figure>{shown}{files}</figure>\n```\n"


def _below(figure: str, name: str, numbers: pd.DataFrame) -> str:
    lines = [f"= {label}: {verdict}" for label, verdict in remade(figure, name, numbers)]
    made = "".join(f'<span class="remade">{escape(line)}</span> ' for line in lines)
    return f'<p class="howfar-files">{made}{_links(figure)}</p>'


def _links(figure: str, up: str = "../") -> str:
    kinds = [kind for kind in KINDS if "." not in kind]
    links = [f'<a href="{up}{FOLDER}/{figure}.{k}" download>{k.upper()}</a>' for k in kinds]
    return f"<span>{' '.join(links)}</span>"


def remade(figure: str, name: str, numbers: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield each panel that a figure on a page re-makes, as it is cited, and the verdict."""
    study = name.partition(".")[2]
    for _, panel in stated.panels().iterrows():
        pages = re.split(r"[;,]\s*", f"{panel['where']};{panel['own']}")
        if name in pages and figure.removesuffix(f".{study}") in panel["figures"].split():
            same = panel["status"] == "made" and study == panel["study"]
            verdict = stated.panel_verdict(numbers, panel) if same else "other data"
            yield stated.panel_label(panel["study"], panel["panel"]), verdict


def files_of(figure: str, results: Path) -> list[Path]:
    """Return a figure's files in the results folder, the SVG first."""
    study = figure.partition(".")[2] or "book"
    return [figures_folder(results, study) / f"{figure}.{kind}" for kind in KINDS]


def copy_files(book: Path, results: Path) -> None:
    """Copy into the built book the files of the figures that its pages show."""
    folder = book / "_build" / "html" / FOLDER
    folder.mkdir(parents=True)
    found: set[str] = set()
    for page in (book / "_generated").iterdir():
        if page.suffix in (".ipynb", ".md"):
            found |= set(re.findall(rf"{FOLDER}/([\w.]+?)\.narrow\.svg", page.read_text("utf-8")))
    for figure in sorted(found):
        for file in files_of(figure, results):
            shutil.copy2(file, folder)
