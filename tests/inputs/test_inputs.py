"""Every input of the catalogue is run, and ends as the catalogue says."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from howfar.book import inputs_page
from howfar.core.errors import HowfarError
from howfar.core.project import project_root
from inputs import page, running
from inputs.case import Case
from inputs.page import KINDS, text_of
from inputs.running import Outcome

ALL = page.catalogue()
NAMES = [f"{case.kind}: {case.title}" for case in ALL]
#: Messages about what stands on the command line alone: the option is the place.
OPTIONS = {
    "`--sample` of somebody without expression": "--sample",  # a person, whom no file is to name
    "no output named": "--out, --checksums",  # two options of which one is needed
    "a word that fits no track": "--tracks 'liver'",  # a built-in model's tracks are in no file
    "a device that isn't there": "--model demo-enformer, device 'cuda:99'",  # the machine's
}
#: Files that are asked for by another name: a study by its own, three files by that of one.
IMPLIED = {
    "no such study": "data/studies/nowhere.yaml",
    "PLINK 1 without its .bim": "p.bim",
    "PLINK 2 without its .pvar": "p.pvar",
    "PLINK 1 calls under PLINK 2's name": "p.bim",
}
PYTHON = re.compile(
    r"[a-z](Error|Exception)\b|__|<class|\bat 0x|(?<![\w/])b'|\bNone\b|dtype|Path\(|[\[{]['\"]"
)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """What became of each input, each run once in this module."""
    folder = tmp_path_factory.mktemp("inputs")

    @functools.cache
    def outcome(case: Case) -> Outcome:
        return page.checked(case, folder / f"{ALL.index(case):03d}")

    return outcome


def test_the_catalogue_is_long_and_names_each_input_once():
    assert len(set(NAMES)) == len(NAMES)
    assert sum(case.good for case in ALL) >= 85 and sum(not case.good for case in ALL) >= 207
    assert {case.kind for case in ALL} == set(KINDS)


@pytest.mark.parametrize("case", ALL, ids=NAMES)
def test_an_input_ends_as_the_catalogue_says(ended, case):
    outcome = ended(case)
    assert outcome.status == (0 if case.good else 2) and not outcome.left
    if case.good:
        return
    assert outcome.message.count("howfar: ") == 1
    for part, text in outcome.parts.items():
        assert len(text.strip()) >= (2 if part == "where" else 3), part
        assert not PYTHON.search(text), text
    assert outcome.parts["do"].rstrip().endswith((".", "?", ")")), outcome.parts["do"]


@pytest.mark.parametrize("case", [g for g in ALL if not g.good], ids=lambda g: g.title)
def test_a_message_names_its_file_or_the_option(ended, case):
    where = ended(case).parts["where"]
    if case.title in OPTIONS | IMPLIED:
        assert where == (OPTIONS | IMPLIED)[case.title]
        return
    for file in map(Path, where.split(", ")[0].split(" against ")):
        assert ended(case).paths & {str(folder) for folder in (file, *file.parents)}, where
    assert len(set(where.split(", "))) == len(where.split(", ")), where


def test_no_message_names_a_person(ended):
    people = re.compile(r"(?<![\w.-])(RNA-)?P[1-6](?![\w.-])|NOBODY|donor")
    shown = [ended(case).error for case in ALL if not case.good]
    assert not [message for message in shown if people.search(message)]


def test_the_page_has_each_input_and_no_path_of_this_machine(ended):
    text = text_of([(case, ended(case)) for case in ALL])
    assert text.count("\n| ") == len(ALL) + len(KINDS)  # and a head for each table
    assert str(project_root()) not in text
    assert "tmp" not in text and "/home" not in text and "/root" not in text
    assert all(f"| {case.title} |" in text for case in ALL)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows)


def test_what_an_input_gives_is_the_same_each_time(ended, tmp_path):
    for kind in ("genes", "results"):
        case = next(g for g in ALL if g.kind == kind and not g.good)
        again = page.checked(case, tmp_path / kind)
        assert again == ended(case)
    good = next(g for g in ALL if g.kind == "genotypes" and g.good)
    assert page.checked(good, tmp_path / "good").printed == ended(good).printed


def test_a_catalogue_that_is_wrong_is_noticed(tmp_path, monkeypatch):
    case = next(g for g in ALL if g.title == "a strand of 1")
    for i, wrong in enumerate([replace(case, good=True), replace(case, says="another error")]):
        with pytest.raises(HowfarError, match="a strand of 1"):
            page.checked(wrong, tmp_path / str(i))
    right = page.checked(case, tmp_path / "right")
    assert right.fits(case)
    assert not replace(right, left=("windows.csv",)).fits(case)
    assert not replace(right, message="Traceback (most recent call last)").fits(case)
    assert not replace(right, message="howfar: something went wrong").fits(case)
    monkeypatch.setattr(page, "catalogue", lambda: [case])
    assert "line 2: found strand '1'" in page.page(tmp_path / "page")


def test_a_crash_is_no_message(tmp_path, monkeypatch):
    def crash(*_):
        raise KeyError("a bug")

    monkeypatch.setattr("howfar.genome.genes.read_genes", crash)
    case = next(g for g in ALL if g.title == "a strand of 1")
    outcome = running.run(case, tmp_path)
    assert outcome.status == 1 and not outcome.fits(case)


def test_the_command_needs_the_catalogue_of_a_clone(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs_page, "project_root", lambda: tmp_path)
    with pytest.raises(HowfarError, match="tests/inputs: found no such folder.*source clone"):
        inputs_page.inputs_page()
    monkeypatch.undo()
    monkeypatch.setattr(page, "page", lambda: "the page")
    assert inputs_page.inputs_page() == "the page"
