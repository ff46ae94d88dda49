"""The command line: each command calls the library and prints; `run` is all steps in order."""

from __future__ import annotations

import gc
import io
import json
import os
import shutil
import sys
import warnings
from contextlib import suppress
from functools import cached_property
from glob import escape
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperCommand

from howfar.cli.common import set_results
from howfar.core.atomic import keep_inputs
from howfar.core.errors import HowfarError, of_file_system, of_memory
from howfar.core.extras import missing_extra


class _Command(TyperCommand):
    """A command that writes over none of the files that it is given to read."""

    def invoke(self, ctx: typer.Context) -> Any:
        """Run the command, its inputs kept."""
        given = [v for name, v in ctx.params.items() if name not in OUTPUTS and v is not None]
        words = [w for v in given for w in (v if isinstance(v, list | tuple) else [v])]
        named = [path for w in words if isinstance(w, str | Path) for path in _files(w)]
        with keep_inputs([*named, *_files_of_studies(ctx.params.get("study"))]):
            return super().invoke(ctx)


def _files_of_studies(names: str | list[str] | None) -> list[Path]:
    """The files that study files name; none of a study that can't be read, as its command says."""
    from howfar.cohort.files import own_files
    from howfar.study.reading import load_study

    files: list[Path] = []
    for name in ",".join([names] if isinstance(names, str) else names or ()).split(","):
        with suppress(HowfarError, OSError):
            files += own_files(load_study(name)) if name else []
    return files


def _files(word: str | Path) -> list[Path]:
    """The files that an argument names, with those of all contigs for {chrom}; none for a word.

    A folder counts where the argument is to be a path: a study's name may be a folder's too.
    """
    path = Path(word)
    try:
        named = [path, *path.parent.glob(escape(path.name).replace("{chrom}", "*"))]
        return [p for p in named if isinstance(word, Path) or not p.is_dir()]
    except (OSError, ValueError):
        return []


class Commands(typer.Typer):
    """Commands whose inputs stay as they are."""

    @cached_property
    def made(self) -> Any:
        """The commands as click takes them, made once: whoever calls many spends 0.15 s on each."""
        return typer.main.get_command(self)

    def __call__(self, *words: Any, **options: Any) -> Any:
        """Run the command that the words name."""
        return self.made(*words, **options)

    def command(self, *words: Any, **options: Any) -> Any:
        """Register a command."""
        return super().command(*words, cls=_Command, **options)


app = Commands(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""How far are we from predicting a person's gene expression from their genome?

A study is one file, `data/studies/<name>.yaml`: a cohort (FASTA, VCF, expression, genes) with
the models to run on it, or tables that others published. Typical use:

    howfar doctor --study demo        what is here, what is missing

    howfar run --study demo           every step, up to the result tables

    howfar numbers demo --out n.csv   every number a figure shows

To bring your own cohort, begin with `howfar init NAME FILES`.""",
)
#: Parameters of commands that name what is written.
OUTPUTS = {"out", "checksums", "to"}
#: Panels of the help, as users think.
START, COHORT, NETWORKS = "Start", "Cohort", "Networks"
LINEAR, EVALUATION, BOOK, CHECKS = "Linear models and eQTLs", "Evaluation", "Book", "Checks"


@app.callback()
def _options(
    results: Annotated[
        Path,
        typer.Option(
            envvar="HOWFAR_RESULTS", help="Where everything that is computed or fetched goes."
        ),
    ] = Path("results"),
) -> None:
    set_results(results)


def _say_warning(message: Warning | str, *_: object) -> None:
    """Show a warning without the place in the code that Python puts before it."""
    print(f"howfar: warning: {message}", file=sys.stderr)


def _noted(error: HowfarError) -> bool:
    """Note an error for `howfar run`, of which this command is a step; False where it is none."""
    note = os.environ.get("HOWFAR_ERRORS")
    if not note:
        return False
    parts = {"where": error.where, "found": error.found, "expected": error.expected}
    with open(note, "a", encoding="utf-8") as lines:
        lines.write(json.dumps(parts | {"do": error.do}) + "\n")
    return True


def main() -> None:
    """Entry point: a HowfarError ends in one message and exit status 2, no traceback.

    So does what the file system refuses: a full disk, a folder that can't be written. A warning
    is one line.
    """
    warnings.showwarning = _say_warning
    # Modules' objects stay: to look among all of them for garbage, again and again as they are
    # imported, takes a fifth of the time. What dies young is found as ever.
    gc.set_threshold(2_000, 10, 100)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # letters that a terminal can't show
    try:
        app()
    except (HowfarError, OSError, MemoryError, ImportError) as error:
        if isinstance(error, ImportError) and "failed to map" in str(error):
            error = MemoryError(str(error))  # no room for a library's own code
        if isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError):
            raise
        if isinstance(error, ModuleNotFoundError):
            known = missing_extra(error.name or "")
            if known is None:
                raise
            error = known
        if isinstance(error, OSError):
            error = of_file_system(error)
        if isinstance(error, MemoryError):
            error = of_memory(error)
        if _noted(error):
            sys.exit(2)
        width = shutil.get_terminal_size().columns
        Console(stderr=True, width=width, soft_wrap=True, emoji=False).print(
            f"howfar: {error}", markup=False, highlight=False
        )
        sys.exit(2)
