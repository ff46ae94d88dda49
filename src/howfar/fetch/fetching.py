"""Fetch public files, checked by SHA-256."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pooch

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
from pathlib import Path
from urllib.parse import urlsplit

from howfar.core.errors import HowfarError, no_room, of_file_system
from howfar.core.provenance import sha256_of
from howfar.fetch.catalogue import (
    CHECKSUMS,
    FOLDER,
    HOST,
    LARGE,
    Source,
    _is_there,
    _known,
    _record,
    select,
)
from howfar.fetch.download import download, extract, forget
from howfar.fetch.licences import CONSENT, licence_table, licences_to_accept

CONNECT_S, READ_S, RETRIES = 10, 60, 3


_SHOWN = 5  # failures that a summary spells out


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
