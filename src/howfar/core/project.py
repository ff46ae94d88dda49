"""Where the project's own files are, from a clone or from an installed wheel."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


@cache
def project_root() -> Path:
    """The folder that holds `data/`, `notebooks/` and `_config.yml`.

    The current folder or a parent of it where it is a clone; else the clone this package was
    installed from; else the copy of `data/` and `notebooks/` inside the wheel.
    """
    here = Path(__file__).resolve().parents[1]
    for folder in (Path.cwd(), *Path.cwd().parents, here.parents[1]):
        if (folder / "data" / "studies").is_dir() and (folder / "data" / "sources.csv").is_file():
            return folder
    return here / "_project"


def results_root() -> Path:
    """The results folder: HOWFAR_RESULTS (the command line's --results), else ``./results``."""
    return Path(os.environ.get("HOWFAR_RESULTS", "results")).resolve()


def results_folder(path: str | Path) -> Path:
    """Return `path`, where ``results`` means the results folder in use (`results_root`)."""
    path = Path(path)
    return results_root().joinpath(*path.parts[1:]) if path.parts[:1] == ("results",) else path


def resolve(path: Path) -> Path:
    """A path of a study file as an absolute one.

    ``results/...`` counts from the results folder in use (`results_root`), ``~/...`` from the
    user's own, other relative paths from the project's folder.
    """
    if path.parts[:1] == ("~",):
        return path.expanduser()
    return project_root() / results_folder(path)  # an absolute path stays as it is
