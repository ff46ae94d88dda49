"""Every input of the catalogue is run, and ends as the catalogue says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from howfar.core.errors import HowfarError
from howfar.core.project import project_root
from howfar.inputs import page
from howfar.inputs import page as inputs
from howfar.inputs.page import KINDS, Input, Outcome, text_of

ALL = page.catalogue()
NAMES = [f"{given.kind}: {given.title}" for given in ALL]
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
}
PYTHON = re.compile(
    r"[a-z](Error|Exception)\b|__|<class|\bat 0x|(?<![\w/])b'|\bNone\b|dtype|Path\(|[\[{]['\"]"
)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """What became of each input, each run once in this module."""
    folder, kept = tmp_path_factory.mktemp("inputs"), {}

    def outcome(given: Input) -> Outcome:
        if id(given) not in kept:
            kept[id(given)] = page.checked(given, folder / f"{ALL.index(given):03d}")
        return kept[id(given)]

    return outcome


def test_the_catalogue_is_long_and_names_each_input_once():
    assert len(set(NAMES)) == len(NAMES)
    assert sum(not given.good for given in ALL) >= 60
    assert {given.kind for given in ALL} == set(KINDS)


@pytest.mark.parametrize("given", ALL, ids=NAMES)
def test_an_input_ends_as_the_catalogue_says(ended, given):
    outcome = ended(given)
    assert outcome.status == (0 if given.good else 2) and not outcome.left
    if given.good:
        return
    assert outcome.message.count("howfar: ") == 1
    for part, text in outcome.parts.items():
        assert len(text.strip()) >= (2 if part == "where" else 3), part
        assert not PYTHON.search(text), text
    assert outcome.parts["do"].rstrip().endswith((".", "?", ")")), outcome.parts["do"]


@pytest.mark.parametrize("given", [g for g in ALL if not g.good], ids=lambda g: g.title)
def test_a_message_names_its_file_or_the_option(ended, given):
    where = ended(given).parts["where"]
    if given.title in OPTIONS | IMPLIED:
        assert where == (OPTIONS | IMPLIED)[given.title]
        return
    for file in map(Path, where.split(", ")[0].split(" against ")):
        assert ended(given).paths & {str(folder) for folder in (file, *file.parents)}, where
    assert len(set(where.split(", "))) == len(where.split(", ")), where


def test_no_message_names_a_person(ended):
    people = re.compile(r"(?<![\w.-])(RNA-)?P[1-6](?![\w.-])|NOBODY|donor")
    shown = [ended(given).error for given in ALL if not given.good]
    assert not [message for message in shown if people.search(message)]


def test_the_page_has_each_input_and_no_path_of_this_machine(ended):
    text = text_of([(given, ended(given)) for given in ALL])
    assert text.count("\n| ") == len(ALL) + len(KINDS)  # and a head for each table
    assert str(project_root()) not in text
    assert "tmp" not in text and "/home" not in text and "/root" not in text
    assert all(f"| {given.title} |" in text for given in ALL)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows)


def test_what_an_input_gives_is_the_same_each_time(ended, tmp_path):
    for kind in ("genes", "results"):
        given = next(g for g in ALL if g.kind == kind and not g.good)
        again = page.checked(given, tmp_path / kind)
        assert again == ended(given)
    good = next(g for g in ALL if g.kind == "genotypes" and g.good)
    assert page.checked(good, tmp_path / "good").printed == ended(good).printed


def test_a_catalogue_that_is_wrong_is_noticed(tmp_path, monkeypatch):
    given = next(g for g in ALL if g.title == "a strand of 1")
    for i, wrong in enumerate([replace(given, good=True), replace(given, says="another error")]):
        with pytest.raises(HowfarError, match="a strand of 1"):
            page.checked(wrong, tmp_path / str(i))
    right = page.checked(given, tmp_path / "right")
    assert right.fits(given)
    assert not replace(right, left=("windows.csv",)).fits(given)
    assert not replace(right, message="Traceback (most recent call last)").fits(given)
    assert not replace(right, message="howfar: something went wrong").fits(given)
    monkeypatch.setattr(inputs, "catalogue", lambda: [given])
    assert "line 2: found strand '1'" in page.page(tmp_path / "page")


def test_a_crash_is_no_message(tmp_path, monkeypatch):
    def crash(*_):
        raise KeyError("a bug")

    monkeypatch.setattr("howfar.genome.genes.read_genes", crash)
    given = next(g for g in ALL if g.title == "a strand of 1")
    outcome = page.run(given, tmp_path)
    assert outcome.status == 1 and not outcome.fits(given)
