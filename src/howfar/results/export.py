"""Take a study's results elsewhere: what figures and numbers need, and nothing private."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from howfar.core.atomic import whole
from howfar.core.errors import HowfarError
from howfar.results import tables
from howfar.study.schema import Study


def export_study(study: Study, results: str | Path, to: str | Path) -> list[Path]:
    """Copy a study's result tables and the descriptions of its predictions to `to`/<study>.

    Weights, genotypes and predictions stay; person-level tables too, unless the study says
    ``individuals: public``. Returns the files written. HowfarError where there are no tables, or
    `to` is the results folder itself.
    """
    source, target = Path(results).resolve() / study.name, Path(to).resolve() / study.name
    if source == target:
        raise HowfarError(
            "--to", found=str(to), expected="another folder than the results", do="Correct --to."
        )
    if not tables.path_of(results, study.name, "runs").is_file():
        raise HowfarError(
            str(source),
            found="no result tables",
            expected=f"the tables of study {study.name}",
            do=f"Run `howfar run --study {study.handle}`.",
        )
    written = []
    for path in _shareable(study, source):
        copy = target / path.relative_to(source)
        with whole(copy) as part:
            shutil.copyfile(path, part)
        written.append(copy)
    return written


def _shareable(study: Study, folder: Path) -> Iterator[Path]:
    yield from sorted((folder / "tables").glob("*.parquet"))
    yield from sorted(folder.glob("predictions/*/run.json"))
    yield from sorted(folder.glob("predictions/*/key.json"))
    if study.individuals == "public":
        yield from sorted((folder / "individuals").glob("*.parquet"))
