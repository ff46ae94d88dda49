"""Take a study's results elsewhere: what figures and numbers need, and nothing private."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as arrow

from howfar.core import sealed
from howfar.core.atomic import whole
from howfar.core.errors import HowfarError
from howfar.core.extras import require_module
from howfar.core.project import resolve
from howfar.results import policy, tables
from howfar.results.crate import write_crate
from howfar.study.schema import Study


def export_study(
    study: Study, results: str | Path, to: str | Path, crate: bool = False
) -> list[Path]:
    """Copy a study's result tables and the descriptions of its predictions to `to`/<study>.

    What may leave, `howfar.results.policy` decides: genotypes and predictions stay; weights too,
    unless the study says ``weights: shareable``; of people, points without identifiers go along
    where it says ``individuals: public``. crate: figures go along too, and the folder is an
    RO-Crate (`howfar.results.crate`). Returns the files written. HowfarError where there are no
    tables or outdated ones, where `to` is the results folder itself, or where points of a study
    that is private now lie there.
    """
    source, target = Path(results).resolve() / study.name, Path(to).resolve() / study.name
    if source == target:
        raise HowfarError(
            "--to", found=str(to), expected="another folder than the results", do="Correct --to."
        )
    if not tables.path_of(results, study.name, "runs").is_file():
        raise no_tables(study, results)
    policy.require_current(study, results)
    written = []
    leaving = [*policy.files_that_leave(study, source)]
    if crate:
        require_module("rocrate")
        leaving += policy.figures_that_leave(study, source)
    for path in leaving:
        copy = target / path.relative_to(source)
        with whole(copy) as part:
            shutil.copyfile(path, part)
        written.append(copy)
    written += _points(study, source.parent, target.parent)
    return [*written, write_crate(study, target, written)] if crate else written


def export_summary(study: Study, results: str | Path, to: str | Path) -> list[Path]:
    """Write a study's result tables but those of people into folder `to`, in single precision.

    Small enough to commit; `take_tables` reads them. HowfarError as `export_study`.
    """
    policy.require_current(study, results)
    if not tables.path_of(results, study.name, "runs").is_file():
        raise no_tables(study, results)
    written = []
    for name in set(tables.names_of(results, study.name)) - set(tables.PERSON_LEVEL):
        path = tables.path_of(results, study.name, name)
        kept = tables.read_provenance(path)
        if "tables" in kept:
            kept["tables"] = [n for n in kept["tables"] if n not in tables.PERSON_LEVEL]
        frame = tables.read(path, name)
        numbers = list(frame.select_dtypes("floating").columns)
        rest = [column for column in frame.columns if column not in numbers]
        sealed.write_parquet(
            Path(to) / path.name,
            arrow.Table.from_pandas(frame.astype(dict.fromkeys(numbers, "float32"))),
            tables.provenance_metadata(kept),
            compression_level=19,
            use_dictionary=rest,
            use_byte_stream_split=numbers,
        )
        written.append(Path(to) / path.name)
    return sorted(written)


def take_tables(study: Study, results: str | Path) -> list[Path]:
    """Copy the tables that a study brings into its results folder; HowfarError where none are."""
    folder = None if study.drawn_from is None else resolve(study.drawn_from)
    files = sorted(folder.glob("*.parquet")) if folder else []
    if not files:
        raise HowfarError(
            f"{study.place}, key drawn_from",
            found=f"no tables in {folder}" if folder else "no such key",
            expected="a folder that `howfar export --summary` has written",
            do=f"Correct the key, or run `howfar run --study {study.handle}`.",
        )
    for path in sorted(files, key=lambda path: path.stem == "runs"):  # the last lists the others
        kept = tables.read_provenance(path)
        target = tables.path_of(results, study.name, path.stem)
        tables.write(target, path.stem, tables.read(path, path.stem), kept)
    return files


def no_tables(study: Study, results: str | Path) -> HowfarError:
    """Return the error of a study without result tables."""
    return HowfarError(
        str(Path(results).resolve() / study.name),
        found="no result tables",
        expected=f"the tables of study {study.name}",
        do=f"Run `howfar run --study {study.handle}`.",
    )


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
