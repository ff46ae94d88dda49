"""Where the project's own files are, from a clone or from an installed wheel."""

from __future__ import annotations

import glob
import os
from functools import cache
from pathlib import Path

from howfar.core.errors import HowfarError


@cache
def project_root() -> Path:
    """The folder that holds `data/`, `notebooks/` and `_config.yml`.

    HOWFAR_PROJECT where it is set, as `howfar run` does for its steps, which work elsewhere; the
    current folder or a parent of it where it is a clone; else the clone this package was
    installed from; else the copy of `data/` and `notebooks/` inside the wheel. Nothing is written
    there but the book (see `book_folder`).
    """
    if named := os.environ.get("HOWFAR_PROJECT"):
        return Path(named)
    here = Path(__file__).resolve().parents[1]
    for folder in (Path.cwd(), *Path.cwd().parents, here.parents[1]):
        if (folder / "data" / "studies").is_dir() and (folder / "data" / "sources.csv").is_file():
            return folder
    return here / "_project"


def measured_file(name: str) -> Path:
    """Return where the committed table `name` of what was measured lies, there or not."""
    return project_root() / "data" / "measured" / f"{name}.csv"


def results_root() -> Path:
    """The results folder: HOWFAR_RESULTS (the command line's --results), else ``./results``."""
    return Path(os.environ.get("HOWFAR_RESULTS", "results")).resolve()


def results_folder(path: str | Path) -> Path:
    """Return `path`, where ``results`` means the results folder in use (`results_root`)."""
    path = Path(path)
    return results_root().joinpath(*path.parts[1:]) if path.parts[:1] == ("results",) else path


def figures_folder(results: str | Path, study: str) -> Path:
    """Return where a study's figures go; `study` "book": those of all studies together."""
    return Path(results) / study / "figures"


def executed_notebook(results: Path, notebook: str, study: str = "") -> Path:
    """Return where an executed notebook lies; without a study, one of the whole book."""
    return results / (study or "book") / "notebooks" / f"{notebook}.ipynb"


def book_folder() -> Path:
    """Return the book's folder; HowfarError unless the current folder is a clone of the project.

    It is the one folder of a clone that is written to, so it is never one that merely lies above
    the current folder or that the package was installed from. Steps of `howfar run` work in the
    results folder; HOWFAR_PROJECT names the clone from which it was started.
    """
    folder = Path(os.environ.get("HOWFAR_PROJECT") or Path.cwd()) / "book"
    if not (folder / "_toc.yml").is_file():
        raise HowfarError(
            str(folder),
            found="no book",
            expected="the folder `book` of a clone of the project",
            do="Go to the clone's folder first; figures and notebooks of a study need none: "
            "`howfar run --study NAME --to notebooks`.",
        )
    return folder


def resolve(path: Path) -> Path:
    """Return a path of a study as an absolute one.

    ``results/...`` counts from the results folder in use (`results_root`), ``~/...`` from the
    user's own, other relative paths from the current folder. Those of a study file count from the
    file's folder: `from_folder` has made them absolute when the file was read.
    """
    return (path.expanduser() if path.parts[:1] == ("~",) else results_folder(path)).absolute()


def from_folder(path: Path, folder: Path) -> Path:
    """Return a path of a study file in `folder`: absolute, or ``results/...`` or ``~/...``."""
    return path if path.parts[:1] in (("results",), ("~",)) else folder.resolve() / path


def is_there(path: Path) -> bool:
    """Whether files of that path, name with ``{chrom}`` or prefix (PLINK) exist."""
    name = glob.escape(path.name).replace("{chrom}", "*")
    return any(any(path.parent.glob(each)) for each in (name, f"{name}.*"))
