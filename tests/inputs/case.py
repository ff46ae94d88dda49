"""A case of the catalogue, and short ways to write one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from inputs.cohort import Files

#: The command lines to run, each a list of words.
Commands = list[list[str]]
#: Writes an input over the cohort's files, and returns the commands to run.
Prepare = Callable[[Files], Commands]


@dataclass(frozen=True)
class Case:
    """One input.

    kind: of `page.KINDS`. good: whether it can be used. title: what is special about it. says: a
    regular expression that the message (or, for good input, what is printed) must contain.
    """

    kind: str
    good: bool
    title: str
    prepare: Prepare
    says: str = ""


def makers(kind: str) -> tuple[Callable[..., Case], Callable[..., Case]]:
    """What makes good cases of that kind, and what makes bad ones: (title, prepare, says)."""
    return partial(Case, kind, True), partial(Case, kind, False)


def written(name: str, content: str | bytes, use: Prepare) -> Prepare:
    """A file of the cohort written anew, and then used."""

    def prepare(files: Files) -> Commands:
        files.put(name, content)
        return use(files)

    return prepare
