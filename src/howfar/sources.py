"""Fetching public files: what is needed, from where, checked byte for byte.

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
import json
import logging
import os
import shutil
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pandas as pd

from .download import download, extract, forget
from .errors import HowfarError, no_room, of_file_system
from .models import MODELS
from .project import project_root
from .provenance import sha256_of
from .study import load_study, study_file

if TYPE_CHECKING:
    import pooch

HOST = "https://raw.githubusercontent.com/"
FOLDER = Path("results") / "sources"
CONNECT_S, READ_S, RETRIES = 10, 60, 3
LARGE = 50_000_000  # bytes, from which on sizes and licences are said before a fetch
CHECKSUMS = "checksums.json"  # SHA-256 recorded on first use, in the folder of sources
_SHOWN = 5  # failures that a summary spells out
_RECORDING = threading.Lock()
_COLUMNS = ["id", "study", "url", "bytes", "sha256", "licence", "citation", "description"]


#: Licences that a user must agree to before anything is fetched: (what they say, where).
CONSENT = {
    "Princeton Academic Use": (
        "For teaching and not-for-profit research only, not for commercial or medical use; not to "
        "be passed on to others without Princeton's written consent; programs based on it count "
        "as derivatives that Princeton owns; its source is to be acknowledged; no warranty",
        "https://github.com/FunctionLab/ExPecto#use-agreement",
    )
}


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
        """What is fetched: the file, or the archive that it is in."""
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
        """The place of `address` in a mirror, as this module's documentation says."""
        if self.url.startswith(HOST):
            return self.address.removeprefix(HOST)
        parts = urlsplit(self.address)
        return parts.netloc + parts.path

    @property
    def size(self) -> str:
        """Its size in words."""
        if not self.bytes:
            return "of unpublished size"
        large = self.bytes >= 100_000
        return f"{self.bytes / 1e6:,.1f} MB" if large else f"{self.bytes / 1e3:,.1f} kB"


@dataclass
class FetchReport:
    """What a call of `fetch` did: ids by outcome, and why the failed ones failed."""

    folder: Path
    sources: list[Source]
    fetched: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    failed: dict[str, HowfarError] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True when every file asked for is there and right."""
        return not self.failed

    def summary(self) -> str:
        """Counts, failures, licences and citations, as lines of text."""
        lines = [
            f"{len(self.fetched)} fetched, {len(self.present)} present already, "
            f"{len(self.failed)} failed; in {self.folder}"
        ]
        failed = sorted(self.failed.items())
        lines += [f"failed: {name}: {error}" for name, error in failed[:_SHOWN]]
        if len(failed) > _SHOWN:
            lines.append(f"failed: {len(failed) - _SHOWN} more")
        for row in licence_table([s.id for s in self.sources]).itertuples():
            lines.append(
                f"{row.study}: {row.files} file(s), {row.bytes / 1e6:.1f} MB from "
                f"{row.repository}, licence: {row.licence}"
            )
        cited = dict.fromkeys(s.citation for s in self.sources)
        return "\n".join([*lines, "Please cite:", *(f"  {text}" for text in cited)])


def sources() -> dict[str, Source]:
    """All rows of ``data/sources.csv`` by id. Raises HowfarError naming the line that is wrong."""
    path = project_root() / "data" / "sources.csv"
    found: dict[str, Source] = {}
    with open(path, newline="") as handle:
        reader = csv.DictReader(handle)
        if reader.fieldnames != _COLUMNS:
            raise _bad_row(path, 1, f"the columns {reader.fieldnames}")
        for row in reader:
            source = _source(path, reader.line_num, row)
            if source.id in found:
                raise _bad_row(path, reader.line_num, f"id {source.id!r} a second time")
            found[source.id] = source
    return found


def _source(path: Path, line: int, row: dict[str, str]) -> Source:
    """One checked row: an https address, a size, a SHA-256, a place inside the folder."""
    if None in row or None in row.values():
        raise _bad_row(path, line, "a row of another length than the header")
    inside = ".." not in Path(row["id"]).parts and not Path(row["id"]).is_absolute()
    hexadecimal = len(row["sha256"]) == 64 and set(row["sha256"]) <= set("0123456789abcdef")
    published = hexadecimal and row["bytes"].isdigit()
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


def select(words: Iterable[str]) -> list[Source]:
    """The files that `words` ask for: ids, studies of ``sources.csv``, study files, or models.

    A study file adds the files it needs (`Study.needs`), a model those that its entry of
    the registry names. Raises HowfarError for a word that is none of these.
    """
    known = sources()
    chosen: dict[str, Source] = {}
    for word in words:
        ids = [word] if word in known else [s.id for s in known.values() if s.study == word]
        ids += [i for i in (*_needs(word), *_of_model(word)) if i not in ids]
        unknown = [i for i in ids if i not in known]
        if unknown or not ids:
            found = f"no file {unknown[0]!r}" if unknown else "a name that is not listed"
            if word in MODELS and not ids:
                found = "a model of which nothing is fetched; `howfar models` says what it needs"
            raise HowfarError(
                f"fetch {word}",
                found=found,
                expected=f"an id of data/sources.csv or one of {', '.join(_studies(known))}",
                do="Correct the name; `howfar doctor` lists what each study needs.",
            )
        chosen |= {i: known[i] for i in ids}
    return list(chosen.values())


def _studies(known: dict[str, Source]) -> list[str]:
    return sorted({s.study for s in known.values()} | {m for m in MODELS if _of_model(m)})


def _of_model(name: str) -> tuple[str, ...]:
    """Ids of the files of a model of the registry; none for another name."""
    return MODELS[name].sources if name in MODELS else ()


def _needs(name: str) -> list[str]:
    """Ids that a study file of that name needs; none where there is no such file."""
    if "/" in name or not study_file(name).is_file():
        return []
    return list(load_study(name).needs)


def path(source_id: str, folder: str | Path = FOLDER) -> Path:
    """Where the file of that id lies once fetched."""
    return Path(folder) / select([source_id])[0].id


def available(
    words: Iterable[str], folder: str | Path = FOLDER, checksums: bool = False
) -> dict[str, bool]:
    """Whether each file is there with the right size (with `checksums`: the right content)."""
    return {s.id: _is_there(s, Path(folder), checksums) for s in select(words)}


def _is_there(source: Source, folder: Path, checksums: bool) -> bool:
    file = folder / source.id
    if not file.is_file():
        return False
    size, sha256 = _known(source, folder)
    if sha256 and file.stat().st_size != size:
        return False
    return not (checksums and sha256) or sha256_of(file) == sha256


def checksum(source_id: str, folder: str | Path = FOLDER) -> str:
    """The SHA-256 that the file must have: published, or recorded on first use; '' if neither."""
    return _known(select([source_id])[0], Path(folder))[1]


def _known(source: Source, folder: Path) -> tuple[int, str]:
    """(bytes, SHA-256) that the file must have; (0, '') before its first use."""
    if source.sha256:
        return source.bytes, source.sha256
    row = _recorded(folder).get(source.id, {})
    return row.get("bytes", 0), row.get("sha256", "")


def _recorded(folder: Path) -> dict[str, dict]:
    """``checksums.json``: id to bytes, sha256, url, date; HowfarError where it can't be read."""
    file = folder / CHECKSUMS
    if not file.is_file():
        return {}
    try:
        rows = json.loads(file.read_text())
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


def _record(source: Source, folder: Path, file: Path) -> None:
    """Keep the SHA-256 of `file`, which comes for the first time."""
    row = {
        "bytes": file.stat().st_size,
        "sha256": sha256_of(file),
        "url": source.url,
        "date": datetime.now(UTC).date().isoformat(),
    }
    with _RECORDING:
        rows = _recorded(folder) | {source.id: row}
        part = folder / f".{CHECKSUMS}.part"
        part.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
        os.replace(part, folder / CHECKSUMS)


def missing(words: Iterable[str], folder: str | Path = FOLDER) -> list[Source]:
    """The files asked for that are not there, or not right (every file is read)."""
    return [s for s in select(words) if not _is_there(s, Path(folder), checksums=True)]


def licences_to_accept(wanted: Iterable[Source]) -> list[str]:
    """The licences among those of `wanted` that a user must agree to; see `CONSENT`."""
    return sorted({s.licence for s in wanted if s.licence in CONSENT})


def announce(wanted: Iterable[Source]) -> str:
    """Sizes and licences of what is to be fetched, as lines of text; '' where it is little."""
    wanted = list(wanted)
    if sum(s.bytes for s in wanted) <= LARGE and all(s.bytes for s in wanted):
        return ""
    lines = ["To be fetched:"]
    for s in wanted:
        lines.append(f"  {s.id}: {s.size}, licence {s.licence}, from {s.repository}")
        lines += [] if s.bytes else [f"    {s.description}"]
    return "\n".join(lines)


def licence_table(words: Iterable[str] | None = None) -> pd.DataFrame:
    """Files and bytes per study, repository and licence, of all files or of those asked for."""
    rows = sources().values() if words is None else select(words)
    frame = pd.DataFrame(
        [(s.study, s.repository, s.licence, s.citation, s.bytes) for s in rows],
        columns=["study", "repository", "licence", "citation", "bytes"],
    )
    keys = ["study", "repository", "licence", "citation"]
    return frame.groupby(keys, sort=False, as_index=False).agg(
        files=("bytes", "size"), bytes=("bytes", "sum")
    )


def fetch(
    words: Iterable[str],
    folder: str | Path = FOLDER,
    progress: bool = True,
    workers: int = 8,
    accepted: bool = False,
) -> FetchReport:
    """Bring the files of studies, models or ids into `folder`; right ones that are there stay.

    Every file is checked by SHA-256 before it gets its name; a killed call can be repeated and
    goes on where it was. Files that can't be had are listed in the report while the others are
    kept. accepted: the user agrees to the licences of `licences_to_accept`. Raises HowfarError
    for an unknown name, a licence not agreed to, a network that can't be reached, and content
    that differs from the catalogue (the file is kept as ``<name>.rejected``).
    """
    folder = Path(folder)
    report = FetchReport(folder, select(words))
    wanted = [s for s in report.sources if not _is_there(s, folder, checksums=True)]
    report.present = [s.id for s in report.sources if s not in wanted]
    _record_present(report)
    _refuse_without_consent(wanted, accepted)
    mirror = os.environ.get("HOWFAR_MIRROR")
    if wanted and mirror:
        _check_mirror(Path(mirror))
    elif wanted:
        _probe(wanted[0].address, len(wanted))
    if wanted:
        _fetch_all(wanted, report, mirror, progress, workers)
    rejected = [e for e in report.failed.values() if isinstance(e, _Rejected)]
    if rejected:
        raise rejected[0]
    return report


def _record_present(report: FetchReport) -> None:
    """Record what was put in place by hand, as if fetched: later it must be the same."""
    for source in report.sources:
        if source.id in report.present and not _known(source, report.folder)[1]:
            _record(source, report.folder, report.folder / source.id)


def _refuse_without_consent(wanted: list[Source], accepted: bool) -> None:
    names = licences_to_accept(wanted)
    if accepted or not names:
        return
    raise HowfarError(
        f"fetch {', '.join(s.id for s in wanted if s.licence in names)}",
        found=f"no agreement to the licence {', '.join(names)}",
        expected=f"agreement to: {'; '.join(CONSENT[n][0] for n in names)}",
        do=f"Read {', '.join(CONSENT[n][1] for n in names)} and, if you agree, run `howfar fetch` "
        "with --accept-licence.",
    )


class _Rejected(HowfarError):
    """Content that differs from the catalogue."""


def _fetch_all(
    wanted: list[Source], report: FetchReport, mirror: str | None, progress: bool, workers: int
) -> None:
    """Fetch in parallel, each file on its own, and sort the outcomes into the report."""
    import pooch  # here, as its import takes a while and notebooks need it not

    pooch.get_logger().setLevel(logging.WARNING)
    with _progress(wanted, progress) as (at, say), ThreadPoolExecutor(workers) as pool:
        running = {pool.submit(_fetch_one, s, report.folder, mirror, at): s for s in wanted}
        try:
            for done in as_completed(running):
                source = running[done]
                try:
                    done.result()
                    report.fetched.append(source.id)
                except HowfarError as error:
                    report.failed[source.id] = error
                say(source)
        except BaseException:  # also Ctrl-C: what hasn't begun must not begin
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    report.fetched.sort()


def _fetch_one(source: Source, folder: Path, mirror: str | None, at: _At) -> None:
    """One file through pooch: a temporary name beside it, checked, then renamed."""
    known = _known(source, folder)[1]
    import pooch

    shelf = pooch.create(
        path=folder,
        base_url=HOST,
        registry={source.id: f"sha256:{known}" if known else None},
        urls={source.id: source.address},
        retry_if_failed=0 if mirror else RETRIES,
    )
    get = _from_mirror(source, mirror) if mirror else _from_network(source, folder, at)

    def downloader(url: str, output: str, caller: pooch.Pooch) -> None:
        """Fetch to `output` and check it."""
        get(url, output, caller)
        _check(source, Path(output), folder)

    try:
        # pooch makes this folder too, but two of its threads may collide over it.
        (folder / source.id).parent.mkdir(parents=True, exist_ok=True)
        shelf.fetch(source.id, downloader=downloader)
        _share(folder / source.id)
    except OSError as error:
        if _is_local(error):
            raise of_file_system(error) from error
        raise HowfarError(
            source.url,
            found=f"no complete file after {RETRIES + 1} attempts ({_first_line(error)})",
            expected=f"a file {source.size}" if not source.bytes else f"{source.bytes} bytes",
            do="Run `howfar fetch` again later: files that are there are not fetched twice, and "
            "half a file is gone on with.",
        ) from error


def _share(file: Path) -> None:
    """Let those read a file who may read its folder: pooch makes it for its maker alone."""
    with suppress(PermissionError):  # another user's, who fetched it
        file.chmod(file.parent.stat().st_mode & 0o666)


def _is_local(error: OSError) -> bool:
    """Whether it is this machine's file system that refused, which no later attempt mends."""
    kinds = PermissionError | IsADirectoryError | NotADirectoryError | FileExistsError
    return no_room(error) or isinstance(error, kinds)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _check_mirror(mirror: Path) -> None:
    if not mirror.is_dir():
        raise HowfarError(
            f"HOWFAR_MIRROR={mirror}",
            found="no such folder",
            expected="a folder that holds files as <owner>/<repository>/<commit>/<path>, or "
            "<host>/<path>",
            do="Correct the variable, or unset it to fetch from the network.",
        )


def _from_mirror(source: Source, mirror: str) -> Callable[[str, str, pooch.Pooch], None]:
    def copy(url: str, output: str, caller: pooch.Pooch) -> None:
        """Copy the file from the mirror."""
        file = Path(mirror) / source.mirrored
        if not file.is_file():
            raise HowfarError(
                str(file),
                found="no such file",
                expected=f"the mirrored copy of {source.id}",
                do="Add the file to the folder HOWFAR_MIRROR names, or unset HOWFAR_MIRROR.",
            )
        if source.member:
            extract(file, source.member, output)
        else:
            shutil.copyfile(file, output)

    return copy


def _from_network(source: Source, folder: Path, at: _At) -> Callable[[str, str, pooch.Pooch], None]:
    target = folder / source.id
    part = target.with_name(target.name + ".part")

    def get(url: str, output: str, caller: pooch.Pooch) -> None:
        """Download, from where an earlier try ended."""
        try:
            _persevere(url, part, lambda position: at(source, position))
        except OSError as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            if status is None or status >= 500 or status == 429:
                raise  # pooch tries again
            raise _no_such_file(source, status) from error
        if source.member:
            extract(part, source.member, output, called=source.address)
        else:
            os.replace(part, output)
        forget(part)

    return get


def _persevere(url: str, part: Path, at: Callable[[int], None]) -> None:
    """Download, beginning again at once as long as each attempt gets further."""
    reached = _size(part)
    while True:
        try:
            return download(url, part, (CONNECT_S, READ_S), at)
        except OSError:
            if _size(part) <= reached:
                raise
            reached = _size(part)


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _no_such_file(source: Source, status: int) -> HowfarError:
    return HowfarError(
        source.address,
        found=f"HTTP status {status}",
        expected=f"the file {source.id}",
        do="The file may have been moved or withdrawn; see the study's repository.",
    )


def _check(source: Source, file: Path, folder: Path) -> None:
    """Refuse content that differs from what is known, and keep it aside; record what is new."""
    size, known = _known(source, folder)
    if not known:
        _record(source, folder, file)
        return
    found = sha256_of(file)
    if found == known:
        return
    target = folder / source.id
    aside = target.with_name(target.name + ".rejected")
    length = file.stat().st_size
    shutil.move(file, aside)
    do = f"Look at {aside}; if it is cut off or an error page, run `howfar fetch` again."
    if not source.sha256:
        do += f" If the authors replaced the file, remove its row from {folder / CHECKSUMS}."
    raise _Rejected(
        str(target),
        found=f"{length} bytes with SHA-256 {found}, kept as {aside.name}",
        expected=f"{size} bytes with SHA-256 {known}",
        do=do,
    )


def _probe(url: str, files: int) -> None:
    """One short request before many; any answer of the host will do."""
    trouble: list[str] = ["no answer"]

    def ask() -> None:
        """Clears `trouble` where the host answers, or says what it is."""
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=CONNECT_S)
            trouble.clear()
        except urllib.error.HTTPError:
            trouble.clear()
        except OSError as error:
            trouble[:] = [str(getattr(error, "reason", error))]

    # Name resolution knows no time limit of its own, so the request runs beside us.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(CONNECT_S)
    if trouble:
        raise HowfarError(
            f"fetching {files} file(s), the first from {urlsplit(url).netloc}",
            found=f"no connection ({trouble[0]})",
            expected=f"an answer within {CONNECT_S} s",
            do="Connect to the network, or set HOWFAR_MIRROR to a folder that holds the files as "
            "<owner>/<repository>/<commit>/<path>. The demo study needs neither.",
        )


_At = Callable[[Source, int], None]


@contextmanager
def _progress(wanted: list[Source], show: bool) -> Iterator[tuple[_At, Callable[[Source], None]]]:
    """What to call with the bytes of a file that are there, and with a file that is done.

    A bar of bytes on a terminal; elsewhere a line per tenth of the files, and of a large file.
    """
    if show and sys.stderr.isatty():
        with _bar(wanted) as at:
            yield at, lambda source: at(source, source.bytes)
        return
    done, step = 0, max(1, len(wanted) // 10)
    tenths: dict[str, int] = {}

    def at(source: Source, position: int) -> None:
        """Say so when another tenth of a large file is here."""
        size = max(source.bytes, 10 * LARGE)
        tenth = 10 * position // size
        if show and tenth > tenths.setdefault(source.id, 0):
            tenths[source.id] = tenth
            print(f"{source.id}: {position / 1e6:,.0f} MB", file=sys.stderr)

    def say(source: Source) -> None:
        """Count a finished file, and say so now and then."""
        nonlocal done
        done += 1
        if show and (done % step == 0 or done == len(wanted)):
            print(f"{done} of {len(wanted)} files, last {source.id}", file=sys.stderr)

    yield at, say


@contextmanager
def _bar(wanted: list[Source]) -> Iterator[_At]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    reached: dict[str, int] = {}
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("fetch", total=sum(s.bytes for s in wanted) or None)

        def at(source: Source, position: int) -> None:
            """Move the bar to the bytes that are here."""
            reached[source.id] = position
            bar.update(task, completed=sum(reached.values()))

        yield at
