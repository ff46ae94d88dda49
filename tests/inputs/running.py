"""Running a case of the catalogue: what the command line makes of it."""

from __future__ import annotations

import io
import os
import re
import resource
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

from howfar.cli import main
from howfar.core.project import project_root
from inputs.case import Case
from inputs.cohort import Files, write_base

RESULTS = "results"
#: The four parts of a message.
PARTS = re.compile(
    r"howfar: (?P<where>.+?): found (?P<found>.+?); expected "
    r"(?P<expected>.+?)\. (?P<do>[A-Z`].+)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Outcome:
    """What the command line made of an input.

    status: exit status of the last command. printed, message: its standard output and error,
    without the folder's path. left: names of unfinished or unwanted files afterwards. paths: the
    files and folders that were there or asked for, relative to the folder.
    """

    status: int
    printed: str
    message: str
    left: tuple[str, ...]
    paths: frozenset[str] = frozenset()

    @property
    def parts(self) -> dict[str, str] | None:
        """where, found, expected, do of the message; None where it isn't of that shape."""
        match = PARTS.fullmatch(self.error)
        return match and match.groupdict()

    @property
    def error(self) -> str:
        """The message alone, without what was said of progress before it."""
        match = re.search(r"^howfar: .*", self.message, re.MULTILINE | re.DOTALL)
        return match.group().strip() if match else ""

    def fits(self, case: Case) -> bool:
        """Whether the input ended as the catalogue says."""
        if self.left or "Traceback" in self.message:
            return False
        if case.good:
            return self.status == 0 and re.search(case.says, self.printed) is not None
        said = self.parts is not None and re.search(case.says, self.message, re.DOTALL)
        return self.status == 2 and bool(said)


def run(case: Case, folder: Path) -> Outcome:
    """Prepare the input in the empty `folder` and give it to the command line, in this process."""
    write_base(folder)
    files = Files(folder)
    commands = case.prepare(files)
    status, printed, message = 0, "", ""
    for number, words in enumerate(commands, start=1):
        if status == 0:
            with _full_disk(files.room if number == len(commands) else None):
                ended = command_line(["--results", str(folder / RESULTS), *words])
            status, printed, message = ended
    clean = [_without_paths(text, folder) for text in (printed, message)]
    paths = frozenset(_paths(folder, commands))
    return Outcome(status, *clean, _left(folder, commands[-1], status), paths)


def _paths(folder: Path, commands: list[list[str]]) -> Iterator[str]:
    """Every file and folder below `folder`, and every path in it that is asked for."""
    study = folder / "study.yaml"
    asked = [*(word for words in commands for word in words), study.read_text("utf-8", "replace")]
    yield RESULTS
    yield from (str(path.relative_to(folder)) for path in folder.rglob("*"))
    yield from re.findall(re.escape(f"{folder}/") + r"([^\s'\"]+)", "\n".join(asked))


def _without_paths(text: str, folder: Path) -> str:
    for place in (folder, project_root()):
        text = text.replace(f"{place}/", "").replace(str(place), ".")
    return text


def command_line(words: list[str]) -> tuple[int, str, str]:
    """(exit status, standard output, standard error) of `howfar` with these words."""
    out, err = io.StringIO(), io.StringIO()
    with _arguments(["howfar", *words]), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except Exception as error:
            status = 1
            print(f"Traceback: {type(error).__name__}: {error}", file=err)
    return status, out.getvalue(), err.getvalue()


@contextmanager
def _full_disk(room: int | None) -> Iterator[None]:
    """No file may grow beyond `room` bytes, as on a disk that is full; None: no limit."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    if room is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def _arguments(words: list[str]) -> Iterator[None]:
    """The words as the program's own; what it sets is forgotten, and no workflow listens."""
    with patch.dict(os.environ), patch.object(sys, "argv", words), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("HOWFAR_ERRORS", "HOWFAR_FROM"):
            os.environ.pop(name, None)
        yield


def _left(folder: Path, words: list[str], status: int) -> tuple[str, ...]:
    """Unfinished files, and what a command that failed was to write."""
    unfinished = [p.name for p in folder.rglob("*.part") if p.name not in Files.PLANTED]
    wanted = [
        folder / word for flag, word in pairwise(words) if flag in ("--checksums", "--out", "--csv")
    ]
    return tuple(sorted(unfinished + [p.name for p in wanted if status and p.exists()]))
