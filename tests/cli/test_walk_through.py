"""The book's walk-through prints what it says: its commands are read from the page and run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest
import typer

from helpers.places import ROOT
from howfar.cli import app
from howfar.core.project import project_root

PAGE = ROOT / "book" / "cohort.md"
BLOCK = re.compile(r"(?s)```console\n(.*?)```")
MINUTES = 10  # of CPU, for all steps


@dataclass(frozen=True)
class Step:
    """A command of the page, and the lines that it prints there."""

    command: str
    printed: list[str]


def steps(text: str) -> list[Step]:
    """The page's commands, in their order."""
    found: list[Step] = []
    for line in "".join(BLOCK.findall(text)).splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:], []))
        else:
            found[-1].printed.append(line)
    return found


def fits(printed: list[str], said: list[str]) -> bool:
    """Whether output is what the page has, `...` standing for any lines or part of a line."""
    if not printed:
        return not said
    if printed[0] == "...":
        return any(fits(printed[1:], said[i:]) for i in range(len(said) + 1))
    pattern = ".*".join(map(re.escape, printed[0].split("...")))
    same = bool(said) and re.fullmatch(pattern, said[0].rstrip()) is not None
    return same and fits(printed[1:], said[1:])


@pytest.mark.parametrize(
    ("page", "said", "same"),
    [
        ("a\nb", "a\nb", True),
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("a ... c", "a b c", True),
        ("a\n...", "a", True),
        ("a", "a\nb", False),
        ("a 1", "a 2", False),
        ("...\nd", "a\nb", False),
    ],
)
def test_outputs_are_compared(page, said, same):
    assert fits(page.splitlines(), said.splitlines()) == same


def test_the_page_has_commands_that_exist():
    every = steps(PAGE.read_text())
    group = typer.main.get_command(app.app)
    assert len(every) > 10
    for step in every:
        words = shlex.split(step.command.partition("|")[0])
        if words[0] != "howfar":
            assert shutil.which(words[0]), step.command
            continue
        context = group.make_context("howfar", words[1:])
        name, command, rest = group.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        command.make_context(name, rest, parent=context)


@pytest.mark.slow
@pytest.mark.skipif(
    os.getenv("HOWFAR_LONG") != "1" or not os.getenv("HOWFAR_MIRROR"),
    reason="HOWFAR_LONG=1: installs a wheel and walks for minutes; HOWFAR_MIRROR brings the files",
)
def test_an_installed_wheel_walks_the_page(tmp_path, monkeypatch):
    """HOWFAR_WRITE_GOLDEN=1 writes what was printed into the page, where it isn't what it has."""
    pip, quiet = [sys.executable, "-m", "pip"], ["--quiet", "--no-index", "--no-deps"]
    made = ["--no-build-isolation", "--wheel-dir", tmp_path, project_root()]
    subprocess.run([*pip, "wheel", *quiet, *made], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", *quiet, "--target", site, wheel], check=True)
    env = {k: v for k, v in os.environ.items() if k not in ("HOWFAR_RESULTS", "PYTHONPATH")}
    env |= {"PYTHONPATH": str(site), "PATH": f"{site / 'bin'}:{os.environ['PATH']}"}
    home = tmp_path / "home"
    home.mkdir()
    text, other, start = PAGE.read_text(), [], os.times()
    for step in steps(text):
        begun = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", step.command], cwd=home, env=env, capture_output=True, text=True
        )
        print(f"{time.monotonic() - begun:.0f} s: {step.command}")
        assert done.returncode == 0, f"{step.command}\n{done.stdout}{done.stderr}"
        said = [line.rstrip() for line in done.stdout.splitlines()]
        if not fits(step.printed, said):
            other.append((step, said))
            there, here = (["$ " + step.command, *lines, ""] for lines in (step.printed, said))
            text = text.replace("\n".join(there), "\n".join(here), 1)
    used = os.times()
    minutes = (used.children_user + used.children_system - start[2] - start[3]) / 60
    print(f"{minutes:.1f} minutes of CPU")
    if os.getenv("HOWFAR_WRITE_GOLDEN") == "1":
        PAGE.write_text(text)
        return
    assert not other
    assert minutes < MINUTES
