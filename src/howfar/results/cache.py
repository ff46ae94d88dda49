"""Rows of table `summary` that a command makes by itself, with all that decides them.

`howfar transfer` and `howfar stack` make theirs again where anything in the definition differs
(input files, people, options, the package's own code); `howfar evaluate` takes them up where input
files, people and the study's settings are still those that they were made from.
"""

from __future__ import annotations

from howfar.core.provenance import digest
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
import pandas as pd
from howfar.core import provenance
from howfar.results import tables
from howfar.cohort.opened import OpenCohort
from howfar.cohort.files import input_files

_CODE = "code"  # a user's rows stay valid when the package changes, until they are made again


def definition(cohort: OpenCohort, step: str, options: dict, **more: object) -> dict:
    """All that decides the rows of a step (a key of `workflow.CODE`), as JSON would give it back.

    options: of the command; more: what else it reads.
    """
    from howfar.workflow import code

    study, files = cohort.study, input_files(cohort.study)
    settings = study.cohort.model_dump(mode="json")
    found = {
        "study": study.name,
        "options": options,
        "samples": hashlib.sha256("\n".join(cohort.samples).encode()).hexdigest(),
        "settings": {k: v for k, v in settings.items() if k not in files},
        "window": study.evaluation.cis_window,
        "min_maf": study.evaluation.min_maf,
        "inputs": {role: digest(path) for role, path in sorted(files.items())},
        _CODE: [digest(path) for path in code(step)],
        **more,
    }
    return json.loads(json.dumps(found))


def is_current(path: Path, wanted: dict) -> bool:
    """Whether the file holds rows of exactly this definition."""
    return path.is_file() and tables.read_provenance(path).get("parameters") == wanted


def read(path: Path, wanted: Callable[[dict], dict]) -> pd.DataFrame:
    """The rows of a file; none where there is no file or its definition is out of date.

    wanted: from the options that the file was made with to the definition as it would be now.
    """
    kept = tables.read_provenance(path).get("parameters", {}) if path.is_file() else {}
    if "options" not in kept:
        return tables.empty("summary")
    now = wanted(kept["options"])
    same = kept | {_CODE: now[_CODE]} == now
    return tables.read(path, "summary") if same else tables.empty("summary")


def write(path: Path, rows: pd.DataFrame, made_of: dict, cohort: OpenCohort, **extra) -> Path:
    """Write rows with their definition; `extra` as of `provenance.block`. Returns the path."""
    block = provenance.block(made_of, input_files(cohort.study), **extra)
    return tables.write(path, "summary", rows, block)
