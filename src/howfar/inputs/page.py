"""What the program makes of each kind of input, good or bad: a catalogue that is run.

`catalogue` lists the inputs, `run` gives one to the command line in a folder of its own, and
`page` is the book's page, made by running all of them. The cohort that the inputs are variations
of is small and made up: six people, three genes, a contig of 4,000 bp.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from howfar.core.errors import HowfarError
from howfar.core.project import project_root
from howfar.inputs.cohort import Files, write_base

KINDS = {
    "genotypes": "Genotypes",
    "reference": "Reference genome",
    "genes": "Gene tables",
    "expression": "Expression",
    "people": "Samples, sample maps and covariates",
    "study": "Study files",
    "model": "Models, weights and devices",
    "weights": "Weights of linear models",
    "sequences": "Plain sequences",
    "results": "Results, folders and disks",
}
RESULTS = "results"
_PARTS = re.compile(r"howfar: (?P<where>.+?): found (?P<found>.+?); expected "
                    r"(?P<expected>.+?)\. (?P<do>[A-Z`].+)", re.DOTALL)  # fmt: skip


@dataclass(frozen=True)
class Input:
    """One input: `prepare` writes it over the cohort's files and returns the commands to run.

    kind: of `KINDS`. title: what is special about it. good: whether it can be used. says: a
    regular expression that the message (or, for good input, what is printed) must contain.
    """

    kind: str
    title: str
    prepare: Callable[[Files], list[list[str]]]
    good: bool
    says: str


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
        match = _PARTS.fullmatch(self.error)
        return match and match.groupdict()

    @property
    def error(self) -> str:
        """The message alone, without what was said of progress before it."""
        found = re.search(r"^howfar: .*", self.message, re.MULTILINE | re.DOTALL)
        return found.group().strip() if found else ""

    def fits(self, given: Input) -> bool:
        """Whether the input ended as the catalogue says."""
        if self.left or "Traceback" in self.message:
            return False
        if given.good:
            return self.status == 0 and re.search(given.says, self.printed) is not None
        said = self.parts is not None and re.search(given.says, self.message, re.DOTALL)
        return self.status == 2 and bool(said)


def catalogue() -> list[Input]:
    """All inputs, by kind."""
    pass
    from howfar.inputs.catalogue import INPUTS

    return [given for kind in KINDS for given in INPUTS if given.kind == kind]


def run(given: Input, folder: Path) -> Outcome:
    """Prepare the input in the empty `folder` and give it to the command line, in this process."""
    write_base(folder)
    files = Files(folder)
    commands = given.prepare(files)
    status, printed, message = 0, "", ""
    for number, words in enumerate(commands, start=1):
        if status == 0:
            with _full_disk(files.room if number == len(commands) else None):
                found = command_line(["--results", str(folder / RESULTS), *words])
            status, printed, message = found
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
    from howfar.cli.app import main

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
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    if room is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def _arguments(words: list[str]) -> Iterator[None]:
    """The words as the program's own; a results folder it sets is forgotten afterwards."""
    before, results = sys.argv, os.environ.get("HOWFAR_RESULTS")
    sys.argv = words
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.argv = before
        os.environ.pop("HOWFAR_RESULTS", None)
        if results is not None:
            os.environ["HOWFAR_RESULTS"] = results


def _left(folder: Path, words: list[str], status: int) -> tuple[str, ...]:
    """Unfinished files, and what a command that failed was to write."""
    unfinished = [p.name for p in folder.rglob("*.part") if p.name not in Files.PLANTED]
    wanted = [folder / word for flag, word in pairwise(words)
              if flag in ("--checksums", "--out", "--csv")]  # fmt: skip
    return tuple(sorted(unfinished + [p.name for p in wanted if status and p.exists()]))


# --- the page --------------------------------------------------------------------------------

_HEAD = """# What the program makes of an input

Each row below was made by giving that input to the command line, on a small made-up cohort
({people} people, {genes} genes). An input that can be used works; any other ends with exit status
2, one message that says where, what was found, what was expected and what to do, and no unfinished
file. {good} of these {all} inputs are good and {bad} are not.
"""


def page(folder: Path | None = None) -> str:
    """The Markdown page of all inputs, made by running them in `folder` (default: a temporary one).

    Raises HowfarError for an input that ends otherwise than the catalogue says.
    """
    with tempfile.TemporaryDirectory(prefix="howfar-inputs-") as made:
        rows = [(given, checked(given, Path(folder or made) / f"{i:03d}"))
                for i, given in enumerate(catalogue())]  # fmt: skip
    return text_of(rows)


def text_of(rows: list[tuple[Input, Outcome]]) -> str:
    """The page of these inputs and what became of them."""
    good = sum(given.good for given, _ in rows)
    counts = {"people": len(Files.PEOPLE), "genes": len(Files.GENES), "all": len(rows)}
    text = [_HEAD.format(**counts, good=good, bad=len(rows) - good)]
    for kind, title in KINDS.items():
        text += [f"## {title}\n", "| input | result |", "|---|---|"]
        text += [_row(given, outcome) for given, outcome in rows if given.kind == kind]
        text.append("")
    return "\n".join(text)


def checked(given: Input, folder: Path) -> Outcome:
    """`run` in `folder`, which is made and removed; HowfarError where the catalogue is wrong."""
    folder.mkdir(parents=True)
    try:
        outcome = run(given, folder.resolve())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not outcome.fits(given):
        raise HowfarError(
            f"input {given.title!r}",
            found=f"exit status {outcome.status}, files {outcome.left}, {outcome.message[-500:]!r}",
            expected=f"{'no error' if given.good else 'an error'} that says {given.says!r}",
            do="Correct the program or the catalogue of inputs.",
        )
    return outcome


def _row(given: Input, outcome: Outcome) -> str:
    if given.good:
        counted = re.findall(r"counted (.+)", outcome.printed)
        result = "works" + (f"; counted {'; '.join(counted)}" if counted else "")
    else:
        result = f"`{_code(outcome.error.removeprefix('howfar: '))}`"
    return f"| {given.title} | {result} |"


def _code(text: str) -> str:
    """One line that may stand between backticks in a table."""
    return re.sub(r"\s+", " ", text).replace("`", "'").replace("|", "\\|")
