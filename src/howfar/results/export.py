"""Take a study's results elsewhere: what figures and numbers need, and nothing private."""

from __future__ import annotations

import shutil
from pathlib import Path

from howfar.core.atomic import whole
from howfar.core.errors import HowfarError
from howfar.results import policy, tables
from howfar.study.schema import Study


def export_study(study: Study, results: str | Path, to: str | Path) -> list[Path]:
    """Copy a study's result tables and the descriptions of its predictions to `to`/<study>.

    What may leave, `howfar.results.policy` decides: genotypes and predictions stay; weights too,
    unless the study says ``weights: shareable``; of people, points without identifiers go along
    where it says ``individuals: public``. Returns the files written. HowfarError where there are
    no tables or outdated ones, where `to` is the results folder itself, or where points of a study
    that is private now lie there.
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
    policy.require_current(study, results)
    written = []
    for path in policy.files_that_leave(study, source):
        copy = target / path.relative_to(source)
        with whole(copy) as part:
            shutil.copyfile(path, part)
        written.append(copy)
    return written + _points(study, source.parent, target.parent)


def _points(study: Study, results: Path, to: Path) -> list[Path]:
    """Write a public study's points; HowfarError for those of one that is private now."""
    copy = tables.path_of(to, study.name, "points")
    people = tables.path_of(results, study.name, "individuals")
    if policy.shows_people(study):
        if not people.is_file():
            return []
        return [tables.write(copy, "points", policy.read_points(study, results), {})]
    for left in (copy, copy.with_name("individuals.parquet")):
        if left.is_file():
            raise HowfarError(
                str(left),
                found="person-level rows from when the study was public",
                expected="none, as its file says individuals: private",
                do="Delete the file and export again.",
            )
    return []
