"""The cache: keys of kept results, and finished units (one gene each) written whole.

A `Key` holds everything a kept result depends on: digests of the input files, options, and the
version of each layer that made it. It is written beside the result and compared before the result
is used, so that nothing made from other files, with other options or by other code is taken for
current. No path and no time is in a key: a results folder can be moved.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.cohort.files import input_files
from howfar.cohort.opened import OpenCohort
from howfar.core import provenance, sealed
from howfar.core.atomic import file_name, whole
from howfar.core.errors import HowfarError, damaged_file
from howfar.core.provenance import digest
from howfar.core.versions import versions_of
from howfar.results import tables
from howfar.study.schema import FILES

_KEY_FILE = "key.json"
#: Digits of a key's digest in the name of a folder.
_SHORT = 12


@dataclass(frozen=True)
class Key:
    """Cache key: everything a kept result depends on.

    step: what made it ("predict", "baseline", ...). inputs: SHA-256 of each input file by its
    role. settings: of the study and its people. options: of the step. versions: of each layer (or
    network) whose code decides values.
    """

    step: str
    inputs: Mapping[str, str]
    settings: Mapping[str, Any]
    options: Mapping[str, Any]
    versions: Mapping[str, int | str]

    @cached_property
    def values(self) -> dict[str, Any]:
        """The key as JSON would give it back: what is written beside a result."""
        return dict(json.loads(json.dumps(asdict(self), sort_keys=True)))

    @property
    def digest(self) -> str:
        """The first hex digits of the SHA-256 of the key."""
        text = json.dumps(self.values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_SHORT]

    def differences(self, kept: Mapping[str, Any], ignore: Iterable[str] = ()) -> list[str]:
        """Name what differs from the key of a kept result (its `values`); empty if nothing.

        ignore: names such as "options.network" that are not compared. A result of a version that
        wrote no keys differs in "made by an older version of howfar".
        """
        if not isinstance(kept.get("versions"), dict):
            return ["made by an older version of howfar"]
        if kept.get("step") != self.step:
            return ["step"]
        names = []
        for part in ("inputs", "settings", "options", "versions"):
            mine, theirs = self.values[part], kept.get(part, {})
            names += [
                f"{part}.{k}"
                for k in sorted({*mine, *theirs})
                if mine.get(k, None) != theirs.get(k, None) or (k in mine) != (k in theirs)
            ]
        return [name for name in names if name not in set(ignore)]


def samples_digest(samples: Iterable[str]) -> str:
    """Return the SHA-256 of sample names in their order, so that no key names anybody."""
    return hashlib.sha256("\n".join(samples).encode()).hexdigest()


def cohort_key(
    cohort: OpenCohort,
    step: str,
    options: Mapping[str, Any],
    layers: Iterable[str],
    *,
    roles: Iterable[str] | None = None,
    cohort_settings: Iterable[str] | None = None,
    inputs: Mapping[str, str | Path] | None = None,
) -> Key:
    """Return the key of a result made from a cohort.

    options: of the step; settings are the study's name, its people and those of its cohort.
    layers: packages whose versions count; genome and cohort always do.
    roles: input files that matter (their first words: "variants" for all of them); None: all.
    cohort_settings: keys of the study's `cohort` that matter, none of them a path; None: all.
    inputs: further files by role.
    """
    files = input_files(cohort.study)
    # Settings that are paths count by what the files hold; those of other roles may be paths too.
    settings = cohort.settings.model_dump(mode="json", exclude=set(FILES))
    del settings["tissues"]  # files too
    if settings["only"] is None:  # all genes: as before the key was there
        del settings["only"]
    if cohort_settings is not None:
        settings = {name: settings[name] for name in cohort_settings}
    wanted = {role: path for role, path in files.items() if _matters(role, roles)}
    return Key(
        step,
        {role: digest(path) for role, path in sorted({**wanted, **(inputs or {})}.items())},
        {
            "study": cohort.study.name,
            "samples": samples_digest(cohort.samples),
            "cohort": settings,
        },
        options,
        versions_of("genome", "cohort", *layers),
    )


def _matters(role: str, roles: Iterable[str] | None) -> bool:
    return roles is None or role.split()[0] in set(roles)


@dataclass(frozen=True)
class Unit:
    """A finished unit: its arrays, what was counted, and the commit of the code that made it."""

    arrays: dict[str, np.ndarray]
    counts: Counter[str] = field(default_factory=Counter)
    commit: str = ""
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Units:
    """Finished units of one key, one file each, in ``<parent>/<name>-<digest>``.

    A unit is an uncompressed .npz, sealed, so that a flipped bit is an error when read. Units are
    written under another name and moved into place, so that a killed run leaves whole ones only,
    and several processes may share the folder.
    """

    folder: Path

    @classmethod
    def open(cls, parent: Path, name: str, key: Key) -> Units:
        """Return the units of `key`, their folder made with the key in it."""
        folder = parent / f"{name}-{key.digest}"
        if cls(folder).key != key.values:
            sealed.write_json(folder / _KEY_FILE, key.values)
        return cls(folder)

    @property
    def key(self) -> dict[str, Any]:
        """The values of the key that the units were made with; empty where there is none."""
        mark = self.folder / _KEY_FILE
        return sealed.read_json(mark) if mark.is_file() else {}

    def _path(self, unit: str) -> Path:
        return self.folder / f"{file_name(unit)}.npz"

    def has(self, unit: str) -> bool:
        """Whether the unit is finished."""
        return self._path(unit).is_file()

    def write(
        self,
        unit: str,
        arrays: Mapping[str, np.ndarray],
        counts: Mapping[str, int] | None = None,
        **notes: Any,
    ) -> None:
        """Write a finished unit, whole or not at all. notes: JSON values kept with it."""
        about = {
            "commit": provenance.commit(),
            "counts": {what: int(n) for what, n in sorted((counts or {}).items()) if n},
            "notes": notes,
        }
        members = {"_about": np.array(json.dumps(about)), **arrays}
        with whole(self._path(unit)) as part:
            with part.open("wb") as handle:  # a name alone would get .npz added
                np.savez(handle, allow_pickle=False, **members)
            sealed.seal_archive(part)

    def read(self, unit: str) -> Unit:
        """Return a finished unit; HowfarError where its file is damaged."""
        return self._read(unit, all_arrays=True)

    def counts(self, units: Iterable[str]) -> Counter[str]:
        """Sum what was counted when the finished ones of `units` were made."""
        read = (self._read(unit, all_arrays=False).counts for unit in units if self.has(unit))
        return sum(read, Counter())

    def _read(self, unit: str, all_arrays: bool) -> Unit:
        path = self._path(unit)
        try:
            if all_arrays:  # the counts alone have the archive's own checksum
                sealed.check(path)
            with np.load(path, allow_pickle=False) as members:
                about = json.loads(str(members["_about"]))
                names = [name for name in members.files if name != "_about"] if all_arrays else []
                arrays = {name: members[name] for name in names}
                if all_arrays:
                    sealed.require(path)
                return Unit(arrays, Counter(about["counts"]), about["commit"], about["notes"])
        except (HowfarError, PermissionError):
            raise
        except (
            OSError,
            EOFError,
            ValueError,
            KeyError,
            TypeError,
            NotImplementedError,
            zipfile.BadZipFile,
            zlib.error,
            RuntimeError,
        ) as error:
            raise damaged_file(
                path,
                error,
                "what was computed for a gene",
                "Delete the file and run the command again; the gene is done anew.",
            ) from error

    def remove(self) -> None:
        """Delete the folder with all its units."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class MemoryUnits:
    """Finished units in memory, as `Units` has them on disk."""

    folder: Path = Path("memory")
    units: dict[str, Unit] = field(default_factory=dict)

    def has(self, unit: str) -> bool:
        """Whether the unit is finished."""
        return unit in self.units

    def write(
        self,
        unit: str,
        arrays: Mapping[str, np.ndarray],
        counts: Mapping[str, int] | None = None,
        **notes: Any,
    ) -> None:
        """Keep a finished unit."""
        self.units[unit] = Unit(dict(arrays), Counter(counts or {}), provenance.commit(), notes)

    def read(self, unit: str) -> Unit:
        """Return a finished unit."""
        return self.units[unit]

    def counts(self, units: Iterable[str]) -> Counter[str]:
        """Sum what was counted when the finished ones of `units` were made."""
        return sum((self.units[unit].counts for unit in units if self.has(unit)), Counter())


# --- Cached `summary` rows -------------------------------------------------------------------


def is_current(path: Path, key: Key) -> bool:
    """Whether the table file holds rows of exactly this key."""
    return path.is_file() and not key.differences(kept_key(path))


def kept_key(path: Path) -> dict[str, Any]:
    """Return the values of the key in a table's provenance; empty where there is none."""
    parameters = tables.read_provenance(path).get("parameters", {}) if path.is_file() else {}
    return parameters if isinstance(parameters, dict) else {}


def read_rows(path: Path, key_of: Callable[[dict[str, Any]], Key]) -> pd.DataFrame:
    """Return cached rows of table `summary`; none where there is no file or it is stale.

    key_of: from the options that the file was made with to the key as it would be now.
    """
    kept = kept_key(path)
    if "options" not in kept or key_of(kept["options"]).differences(kept):
        return tables.empty("summary")
    return tables.read(path, "summary")


def write_rows(
    path: Path, rows: pd.DataFrame, key: Key, inputs: Mapping[str, Path], **more: Any
) -> Path:
    """Write rows of table `summary` with their key; `more` as of `provenance.block`."""
    return tables.write(path, "summary", rows, provenance.block(key.values, dict(inputs), **more))
