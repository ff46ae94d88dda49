"""The public files that studies and models need: from where, how large, under which licence.

``data/sources.csv`` lists every file with its address, size, SHA-256, licence and citation. The
files belong to their authors; the project names, checks and fetches them and redistributes none.
An address may end in ``!member``: the one file of an archive that is wanted.

Where the authors publish no SHA-256 the column is empty, and the size, if given, is what others
report. The first file that comes is then trusted: its SHA-256 goes into ``checksums.json`` in the
folder of sources, and another content later is an error.

With ``HOWFAR_MIRROR=<folder>`` the file ``<folder>/<owner>/<repository>/<commit>/<path>`` is read
in the place of ``https://raw.githubusercontent.com/<owner>/<repository>/<commit>/<path>``, and
``<folder>/<host>/<path>`` in the place of an address elsewhere.
"""

from __future__ import annotations

import csv
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from howfar.core import sealed
from howfar.core.errors import HowfarError
from howfar.core.project import project_root
from howfar.core.provenance import sha256_of
from howfar.core.registry import MODELS

HOST = "https://raw.githubusercontent.com/"
FOLDER = Path("results") / "sources"
LARGE = 50_000_000  # bytes, from which on sizes and licences are said before a fetch
CHECKSUMS = "checksums.json"  # SHA-256 recorded on first use, in the folder of sources
_RECORDING = threading.Lock()
_COLUMNS = ["id", "study", "url", "bytes", "sha256", "licence", "citation", "description"]


@dataclass(frozen=True)
class Source:
    """One public file: a row of ``data/sources.csv``."""

    id: str  # `<study>/<file>`, also the file's place below the folder of sources
    study: str
    url: str  # may end in !member, a file of the archive
    bytes: int  # 0: not known; without a SHA-256: as others report it
    sha256: str  # '': the authors publish none
    licence: str
    citation: str
    description: str

    @property
    def address(self) -> str:
        """Address of the file, or of the archive that it is in."""
        return self.url.partition("!")[0]

    @property
    def member(self) -> str:
        """The file's name in the archive; '' where the address is the file."""
        return self.url.partition("!")[2]

    @property
    def repository(self) -> str:
        """``<owner>/<repository>``, or the host for an address elsewhere."""
        parts = self.mirrored.split("/")
        return "/".join(parts[:2]) if self.url.startswith(HOST) else parts[0]

    @property
    def mirrored(self) -> str:
        """Path of the file (or its archive) below the folder ``HOWFAR_MIRROR``."""
        if self.url.startswith(HOST):
            return self.address.removeprefix(HOST)
        parts = urlsplit(self.address)
        return parts.netloc + parts.path

    @property
    def size(self) -> str:
        """Size in words."""
        if not self.bytes:
            return "of unpublished size"
        large = self.bytes >= 100_000
        return f"{self.bytes / 1e6:,.1f} MB" if large else f"{self.bytes / 1e3:,.1f} kB"


def sources() -> dict[str, Source]:
    """Read the rows of ``data/sources.csv`` by id. Raises HowfarError naming a wrong line."""
    path = project_root() / "data" / "sources.csv"
    state = path.stat()
    return dict(_read(path, state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=4)  # a workflow asks some thousand times
def _read(path: Path, *_: int) -> dict[str, Source]:
    """Read the rows of a table as it is now; what follows the path tells when it was changed."""
    rows: dict[str, Source] = {}
    with open(path, newline="") as handle:
        reader = csv.DictReader(handle)
        if reader.fieldnames != _COLUMNS:
            raise _bad_row(path, 1, f"the columns {reader.fieldnames}")
        for row in reader:
            source = _source(path, reader.line_num, row)
            if source.id in rows:
                raise _bad_row(path, reader.line_num, f"id {source.id!r} a second time")
            rows[source.id] = source
    return rows


def _source(path: Path, line: int, row: dict[str, str]) -> Source:
    """Check a row: an https address, a size, a SHA-256, a place inside the folder."""
    if None in row or None in row.values():
        raise _bad_row(path, line, "a row of another length than the header")
    inside = ".." not in Path(row["id"]).parts and not Path(row["id"]).is_absolute()
    published = bool(re.fullmatch("[0-9a-f]{64}", row["sha256"])) and row["bytes"].isdigit()
    unknown = not row["sha256"] and (row["bytes"].isdigit() or not row["bytes"])
    if not (inside and (published or unknown) and row["url"].startswith("https://")):
        raise _bad_row(path, line, f"id {row['id']!r}, {row['bytes']!r} bytes, {row['url']!r}")
    return Source(**(row | {"bytes": int(row["bytes"] or 0)}))


def _bad_row(path: Path, line: int, found: str) -> HowfarError:
    return HowfarError(
        f"{path}, line {line}",
        found=found,
        expected=f"columns {','.join(_COLUMNS)}, unique ids, https addresses, and a size for "
        "each SHA-256",
        do="Restore the file from the project's repository, or correct the line.",
    )


def select(words: Iterable[str], groups: Mapping[str, Sequence[str]] | None = None) -> list[Source]:
    """Return the files that `words` ask for, each once.

    words: ids, studies of ``data/sources.csv``, or keys of `groups`. groups: the ids that further
    names (models, study files) stand for. Raises HowfarError for a word that is none of these, and
    for one that stands for no file.
    """
    known, groups = sources(), groups or {}
    chosen: dict[str, Source] = {}
    for word in words:
        ids = [s.id for s in known.values() if word in (s.id, s.study)] + [*groups.get(word, ())]
        unknown = [i for i in ids if i not in known]
        if unknown or not ids:
            raise _no_such_source(word, unknown, known, groups)
        chosen |= {i: known[i] for i in ids}
    return list(chosen.values())


def _no_such_source(
    word: str, unknown: list[str], known: dict[str, Source], groups: Mapping[str, Sequence[str]]
) -> HowfarError:
    if unknown:
        found = f"no file {unknown[0]!r}"
    elif word in MODELS:
        found = "a model of which nothing is fetched; `howfar models` says what it needs"
    else:
        found = "a name that is not listed"
    names = {s.study for s in known.values()} | {name for name, ids in groups.items() if ids}
    return HowfarError(
        f"fetch {word}",
        found=found,
        expected=f"an id of data/sources.csv or one of {', '.join(sorted(names))}",
        do="Correct the name; `howfar doctor` lists what each study needs.",
    )


def path(source_id: str, folder: str | Path = FOLDER) -> Path:
    """Return where the file of that id lies once fetched."""
    return Path(folder) / select([source_id])[0].id


def available(
    words: Iterable[str], folder: str | Path = FOLDER, checksums: bool = False
) -> dict[str, bool]:
    """Return by id whether each file is there with the right size (`checksums`: and content)."""
    return {s.id: is_there(s, Path(folder), checksums) for s in select(words)}


def missing(words: Iterable[str], folder: str | Path = FOLDER) -> list[Source]:
    """Return the files asked for that are not there, or not right (every file is read)."""
    return [s for s in select(words) if not is_there(s, Path(folder), checksums=True)]


def is_there(source: Source, folder: Path, checksums: bool) -> bool:
    """Return whether a file is there with the right size (`checksums`: and content)."""
    file = folder / source.id
    if not file.is_file():
        return False
    size, sha256 = known_content(source, folder)
    if sha256 and file.stat().st_size != size:
        return False
    return not (checksums and sha256) or sha256_of(file) == sha256


def checksum(source_id: str, folder: str | Path = FOLDER) -> str:
    """Return the SHA-256 that the file must have: published, or recorded on first use; else ''."""
    return known_content(select([source_id])[0], Path(folder))[1]


def known_content(source: Source, folder: Path) -> tuple[int, str]:
    """Return (bytes, SHA-256) that the file must have; (0, '') before its first use."""
    if source.sha256:
        return source.bytes, source.sha256
    row = _recorded(folder).get(source.id, {})
    return row.get("bytes", 0), row.get("sha256", "")


def _recorded(folder: Path) -> dict[str, dict]:
    """Read ``checksums.json``: id to bytes, sha256, url, date."""
    file = folder / CHECKSUMS
    if not file.is_file():
        return {}
    try:
        rows = sealed.read_json(file)
        if all({"bytes", "sha256"} <= set(row) for row in rows.values()):
            return rows
        found = "rows without bytes or sha256"
    except (ValueError, AttributeError, TypeError) as error:
        found = f"no JSON table ({error})"
    raise HowfarError(
        str(file),
        found=found,
        expected="the SHA-256 that earlier fetches recorded",
        do="Remove the file: the next fetch records what it finds as if for the first time.",
    )


def record_checksum(source: Source, folder: Path, file: Path) -> None:
    """Keep the SHA-256 of `file`, which comes for the first time."""
    row = {
        "bytes": file.stat().st_size,
        "sha256": sha256_of(file),
        "url": source.url,
        "date": datetime.now(UTC).date().isoformat(),
    }
    with _RECORDING:
        sealed.write_json(folder / CHECKSUMS, _recorded(folder) | {source.id: row})
