"""Fetching public files: what is needed, from where, checked byte for byte.

``data/sources.csv`` lists every file with its address, size, SHA-256, licence and citation. The
files belong to their authors; the project names, checks and fetches them and redistributes none.
With ``HOWFAR_MIRROR=<folder>`` the file ``<folder>/<owner>/<repository>/<commit>/<path>`` is read
in the place of ``https://raw.githubusercontent.com/<owner>/<repository>/<commit>/<path>``.
"""

from __future__ import annotations

import csv
import logging
import os
import shutil
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pooch

from .errors import HowfarError
from .project import project_root
from .provenance import sha256_of
from .study import load_study, study_file

HOST = "https://raw.githubusercontent.com/"
FOLDER = Path("results") / "sources"
CONNECT_S, READ_S, RETRIES = 10, 60, 3
_SHOWN = 5  # failures that a summary spells out
_COLUMNS = ["id", "study", "url", "bytes", "sha256", "licence", "citation", "description"]


@dataclass(frozen=True)
class Source:
    """One public file: a row of ``data/sources.csv``."""

    id: str  # `<study>/<file>`, also the file's place below the folder of sources
    study: str
    url: str
    bytes: int
    sha256: str
    licence: str
    citation: str
    description: str

    @property
    def repository(self) -> str:
        """``<owner>/<repository>``."""
        return "/".join(self.url.removeprefix(HOST).split("/")[:2])

    @property
    def mirrored(self) -> str:
        """The file's place in a mirror: ``<owner>/<repository>/<commit>/<path>``."""
        return self.url.removeprefix(HOST)


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
    """One checked row: an address on the host, a size, a SHA-256, a place inside the folder."""
    if None in row or None in row.values():
        raise _bad_row(path, line, "a row of another length than the header")
    inside = ".." not in Path(row["id"]).parts and not Path(row["id"]).is_absolute()
    hexadecimal = len(row["sha256"]) == 64 and set(row["sha256"]) <= set("0123456789abcdef")
    if not (inside and hexadecimal and row["bytes"].isdigit() and row["url"].startswith(HOST)):
        raise _bad_row(path, line, f"id {row['id']!r}, {row['bytes']!r} bytes, {row['url']!r}")
    return Source(**(row | {"bytes": int(row["bytes"])}))


def _bad_row(path: Path, line: int, found: str) -> HowfarError:
    return HowfarError(
        f"{path}, line {line}",
        found=found,
        expected=f"columns {','.join(_COLUMNS)}, unique ids, an address below {HOST}",
        do="Restore the file from the project's repository, or correct the line.",
    )


def select(words: Iterable[str]) -> list[Source]:
    """The files that `words` ask for: ids, studies of ``sources.csv``, or names of study files.

    A study file adds the files its ``published.needs`` lists. Raises HowfarError for a word that
    is none of these.
    """
    known = sources()
    chosen: dict[str, Source] = {}
    for word in words:
        ids = [word] if word in known else [s.id for s in known.values() if s.study == word]
        ids += [i for i in _needs(word) if i not in ids]
        unknown = [i for i in ids if i not in known]
        if unknown or not ids:
            raise HowfarError(
                f"fetch {word}",
                found=f"no file {unknown[0]!r}" if unknown else "a name that is not listed",
                expected=f"an id of data/sources.csv or one of {', '.join(_studies(known))}",
                do="Correct the name; `howfar doctor` lists what each study needs.",
            )
        chosen |= {i: known[i] for i in ids}
    return list(chosen.values())


def _studies(known: dict[str, Source]) -> list[str]:
    return sorted({s.study for s in known.values()})


def _needs(name: str) -> list[str]:
    """Ids that a study file of that name needs; none where there is no such file."""
    if "/" in name or not study_file(name).is_file():
        return []
    published = load_study(name).published
    return list(published.needs) if published else []


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
    if not file.is_file() or file.stat().st_size != source.bytes:
        return False
    return not checksums or sha256_of(file) == source.sha256


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
) -> FetchReport:
    """Bring the files of studies or ids into `folder`; right ones that are there stay.

    Every file is checked by SHA-256 before it gets its name; a killed call can be repeated. Files
    that can't be had are listed in the report while the others are kept. Raises HowfarError for an
    unknown name, for a network that can't be reached, and for content that differs from the
    catalogue (the file is kept as ``<name>.rejected``).
    """
    folder = Path(folder)
    report = FetchReport(folder, select(words))
    wanted = [s for s in report.sources if not _is_there(s, folder, checksums=True)]
    report.present = [s.id for s in report.sources if s not in wanted]
    mirror = os.environ.get("HOWFAR_MIRROR")
    if wanted and mirror:
        _check_mirror(Path(mirror))
    elif wanted:
        _probe(wanted[0].url, len(wanted))
    if wanted:
        _fetch_all(wanted, report, mirror, progress, workers)
    rejected = [e for e in report.failed.values() if isinstance(e, _Rejected)]
    if rejected:
        raise rejected[0]
    return report


class _Rejected(HowfarError):
    """Content that differs from the catalogue."""


def _fetch_all(
    wanted: list[Source], report: FetchReport, mirror: str | None, progress: bool, workers: int
) -> None:
    """Fetch in parallel, each file on its own, and sort the outcomes into the report."""
    pooch.get_logger().setLevel(logging.WARNING)
    with _progress(wanted, progress) as advance, ThreadPoolExecutor(workers) as pool:
        running = {pool.submit(_fetch_one, s, report.folder, mirror): s for s in wanted}
        try:
            for done in as_completed(running):
                source = running[done]
                try:
                    done.result()
                    report.fetched.append(source.id)
                except HowfarError as error:
                    report.failed[source.id] = error
                advance(source)
        except BaseException:  # also Ctrl-C: what hasn't begun must not begin
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    report.fetched.sort()


def _fetch_one(source: Source, folder: Path, mirror: str | None) -> None:
    """One file through pooch: a temporary name beside it, checked, then renamed."""
    shelf = pooch.create(
        path=folder,
        base_url=HOST,
        registry={source.id: f"sha256:{source.sha256}"},
        urls={source.id: source.url},
        retry_if_failed=0 if mirror else RETRIES,
    )
    get = _from_mirror(source, mirror) if mirror else _from_network(source)

    def downloader(url: str, output: str, caller: pooch.Pooch) -> None:
        get(url, output, caller)
        _check(source, Path(output), folder / source.id)

    try:
        # pooch makes this folder too, but two of its threads may collide over it.
        (folder / source.id).parent.mkdir(parents=True, exist_ok=True)
        shelf.fetch(source.id, downloader=downloader)
    except OSError as error:
        raise HowfarError(
            source.url,
            found=f"no complete file after {RETRIES + 1} attempts ({_first_line(error)})",
            expected=f"{source.bytes} bytes",
            do="Run `howfar fetch` again later: files that are there are not fetched twice.",
        ) from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _check_mirror(mirror: Path) -> None:
    if not mirror.is_dir():
        raise HowfarError(
            f"HOWFAR_MIRROR={mirror}",
            found="no such folder",
            expected="a folder that holds files as <owner>/<repository>/<commit>/<path>",
            do="Correct the variable, or unset it to fetch from the network.",
        )


def _from_mirror(source: Source, mirror: str) -> Callable[[str, str, pooch.Pooch], None]:
    def copy(url: str, output: str, caller: pooch.Pooch) -> None:
        file = Path(mirror) / source.mirrored
        if not file.is_file():
            raise HowfarError(
                str(file),
                found="no such file",
                expected=f"the mirrored copy of {source.id}",
                do="Add the file to the folder HOWFAR_MIRROR names, or unset HOWFAR_MIRROR.",
            )
        shutil.copyfile(file, output)

    return copy


def _from_network(source: Source) -> Callable[[str, str, pooch.Pooch], None]:
    http = pooch.HTTPDownloader(timeout=(CONNECT_S, READ_S))

    def download(url: str, output: str, caller: pooch.Pooch) -> None:
        try:
            http(url, output, caller)
        except OSError as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            if status is None or status >= 500 or status == 429:
                raise  # pooch tries again
            raise HowfarError(
                source.url,
                found=f"HTTP status {status}",
                expected=f"the file {source.id}",
                do="The file may have been moved or withdrawn; see the study's repository.",
            ) from error

    return download


def _check(source: Source, file: Path, target: Path) -> None:
    """Refuse content that differs from the catalogue, and keep it aside."""
    found = sha256_of(file)
    if found == source.sha256:
        return
    aside = target.with_name(target.name + ".rejected")
    shutil.copyfile(file, aside)
    raise _Rejected(
        str(target),
        found=f"{file.stat().st_size} bytes with SHA-256 {found}, kept as {aside.name}",
        expected=f"{source.bytes} bytes with SHA-256 {source.sha256}",
        do=f"Look at {aside}; if it is cut off or an error page, run `howfar fetch` again.",
    )


def _probe(url: str, files: int) -> None:
    """One short request before many; any answer of the host will do."""
    trouble: list[str] = ["no answer"]

    def ask() -> None:
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
            f"fetching {files} file(s) from {HOST}",
            found=f"no connection ({trouble[0]})",
            expected=f"an answer within {CONNECT_S} s",
            do="Connect to the network, or set HOWFAR_MIRROR to a folder that holds the files as "
            "<owner>/<repository>/<commit>/<path>. The demo study needs neither.",
        )


@contextmanager
def _progress(wanted: list[Source], show: bool) -> Iterator[Callable[[Source], None]]:
    """A bar of bytes on a terminal, a line per tenth of the files elsewhere."""
    if show and sys.stderr.isatty():
        with _bar(sum(s.bytes for s in wanted)) as advance:
            yield lambda source: advance(source.bytes)
        return
    done, step = 0, max(1, len(wanted) // 10)

    def log(source: Source) -> None:
        nonlocal done
        done += 1
        if show and (done % step == 0 or done == len(wanted)):
            print(f"{done} of {len(wanted)} files, last {source.id}", file=sys.stderr)

    yield log


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("fetch", total=total)
        yield lambda size: bar.advance(task, size)
