"""Fetch public files in parallel, each checked by SHA-256 before it gets its name."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests

from howfar.core.atomic import whole
from howfar.core.errors import HowfarError, no_such_file, of_file_system
from howfar.core.provenance import sha256_of
from howfar.fetch.catalogue import (
    CHECKSUMS,
    FOLDER,
    LARGE,
    Source,
    is_there,
    known_content,
    record_checksum,
    select,
)
from howfar.fetch.download import MOST, download, extract, extract_remote, forget
from howfar.fetch.licences import CONSENT, licence_table, licences_to_accept

CONNECT_S, READ_S, RETRIES = 10, 60, 3
_SHOWN = 5  # failures that a summary spells out
#: Bytes beyond the known size that are taken, so that an error page or a newer file is kept aside
#: and named by its checksum.
_BEYOND = 1_000_000


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
        """Return counts, failures, licences and citations, as lines of text."""
        lines = [
            f"{len(self.fetched)} fetched, {len(self.present)} present already, "
            f"{len(self.failed)} failed; in {self.folder}"
        ]
        failed = sorted(self.failed.items())
        lines += [f"failed: {name}: {error}" for name, error in failed[:_SHOWN]]
        if len(failed) > _SHOWN:
            lines.append(f"failed: {len(failed) - _SHOWN} more")
        for row in licence_table(self.sources).itertuples():
            lines.append(
                f"{row.study}: {row.files} file(s), {row.bytes / 1e6:.1f} MB from "
                f"{row.repository}, licence: {row.licence}"
            )
        cited = dict.fromkeys(s.citation for s in self.sources)
        return "\n".join([*lines, "Please cite:", *(f"  {text}" for text in cited)])


def fetch(
    words: Iterable[str],
    folder: str | Path = FOLDER,
    progress: bool = True,
    workers: int = 8,
    accepted: bool = False,
) -> FetchReport:
    """Fetch files, named by id or study, into `folder`; right ones that are there stay.

    A killed call can be repeated and goes on where it was. Files that can't be had are listed in
    the report while the others are kept. accepted: the user agrees to the licences of
    `licences_to_accept`. Raises HowfarError for an unknown name, a licence not agreed to, a network
    that can't be reached, and content that differs from the catalogue (the file is kept as
    ``<name>.rejected``).
    """
    return fetch_sources(select(words), Path(folder), progress, workers, accepted)


def fetch_sources(
    listed: list[Source],
    folder: Path,
    progress: bool = True,
    workers: int = 8,
    accepted: bool = False,
) -> FetchReport:
    """As `fetch`, of files that need not stand in ``data/sources.csv``."""
    report = FetchReport(folder, listed)
    wanted = [s for s in report.sources if not is_there(s, folder, checksums=True)]
    for source in report.sources:
        if source in wanted:
            continue
        report.present.append(source.id)
        if not known_content(source, folder)[1]:  # put in place by hand: trusted as if fetched
            record_checksum(source, folder, folder / source.id)
    if not wanted:
        return report
    _refuse_without_consent(wanted, accepted)
    mirror = os.environ.get("HOWFAR_MIRROR")
    if mirror:
        _check_mirror(Path(mirror))
    else:
        _probe(wanted[0].address, len(wanted))
    _fetch_all(wanted, report, mirror, progress, workers)
    for error in report.failed.values():
        if isinstance(error, _Rejected):
            raise error
    return report


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
    """Bring one file under its name, checked."""
    try:
        with whole(folder / source.id) as file:
            if mirror:
                _copy_mirrored(source, Path(mirror), file)
            else:
                known = known_content(source, folder)[0]
                most = known + _BEYOND if known else MOST
                _download(source, folder / f"{source.id}.part", file, at, most)
            _check(source, file, folder)
    except requests.RequestException as error:
        raise HowfarError(
            source.url,
            found=f"no complete file after {RETRIES + 1} attempts ({_first_line(error)})",
            expected=f"{source.bytes} bytes" if source.bytes else f"a file {source.size}",
            do="Run `howfar fetch` again later: files that are there are not fetched twice, and "
            "half a file is gone on with.",
        ) from error
    except OSError as error:
        raise of_file_system(error) from error


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


def _copy_mirrored(source: Source, mirror: Path, file: Path) -> None:
    mirrored = mirror / source.mirrored
    if not mirrored.is_file():
        raise no_such_file(
            mirrored,
            f"the mirrored copy of {source.id}",
            "Add the file to the folder HOWFAR_MIRROR names, or unset HOWFAR_MIRROR.",
        )
    if source.member:
        extract(mirrored, source.member, file)
    else:
        shutil.copyfile(mirrored, file)


def _download(source: Source, part: Path, file: Path, at: _At, most: int) -> None:
    """Download to `part`, from where an earlier call ended, and bring its content to `file`.

    A failure that may pass is tried again. most: bytes that the file may have.
    """
    if source.member and source.address.endswith(".zip"):  # its directory says where a file lies
        extract_remote(source.address, source.member, file, (CONNECT_S, READ_S), most)
        return
    archive = MOST if source.member else most  # of an archive the catalogue knows the member alone
    for attempt in range(RETRIES + 1):
        try:
            _persevere(source.address, part, lambda position: at(source, position), archive)
            break
        except requests.RequestException as error:
            status = error.response.status_code if error.response is not None else 500
            if status < 500 and status != 429:
                raise _not_served(source, status) from error
            if attempt == RETRIES:
                raise
            time.sleep(attempt + 1)
    if source.member:
        extract(part, source.member, file, source.address, most)
    else:
        os.replace(part, file)
    forget(part)


def _persevere(url: str, part: Path, at: Callable[[int], None], most: int) -> None:
    """Download, beginning again at once as long as each attempt gets further."""
    reached = _size(part)
    while True:
        try:
            return download(url, part, (CONNECT_S, READ_S), at, most)
        except requests.RequestException:
            if _size(part) <= reached:
                raise
            reached = _size(part)


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _not_served(source: Source, status: int) -> HowfarError:
    return HowfarError(
        source.address,
        found=f"HTTP status {status}",
        expected=f"the file {source.id}",
        do="The file may have been moved or withdrawn; see the study's repository.",
    )


def _check(source: Source, file: Path, folder: Path) -> None:
    """Refuse content that differs from what is known, and keep it aside; record what is new."""
    size, known = known_content(source, folder)
    if not known:
        record_checksum(source, folder, file)
        return
    sha256 = sha256_of(file)
    if sha256 == known:
        return
    target = folder / source.id
    aside = target.with_name(target.name + ".rejected")
    length = file.stat().st_size
    os.replace(file, aside)
    do = f"Look at {aside}; if it is cut off or an error page, run `howfar fetch` again."
    if not source.sha256:
        do += f" If the authors replaced the file, remove its row from {folder / CHECKSUMS}."
    raise _Rejected(
        str(target),
        found=f"{length} bytes with SHA-256 {sha256}, kept as {aside.name}",
        expected=f"{size} bytes with SHA-256 {known}",
        do=do,
    )


def _probe(url: str, files: int) -> None:
    """Ask the first host for an answer of any kind, before many requests."""
    trouble: list[str] = ["no answer"]

    def ask() -> None:
        """Clear `trouble` where the host answers, or say what it is."""
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
    """Yield what to call with the bytes of a file that are there, and with a file that is done.

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
    from rich import progress
    from rich.console import Console

    columns = (
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    reached: dict[str, int] = {}
    with progress.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("fetch", total=sum(s.bytes for s in wanted) or None)

        def at(source: Source, position: int) -> None:
            """Move the bar to the bytes that are here."""
            reached[source.id] = position
            bar.update(task, completed=sum(reached.values()))

        yield at
