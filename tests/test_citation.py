"""How the project is cited and archived: versions and DOIs agree wherever they stand."""

import json
import re
import tomllib

import pytest
import yaml

from howfar.core.project import project_root

ROOT = project_root()
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
ZENODO = json.loads((ROOT / ".zenodo.json").read_text())
BIB = (ROOT / "book" / "references.bib").read_text()
DOI = re.compile(r"10\.\d{4,5}/[\w.()/-]*\w")


def entries() -> dict[str, dict[str, str]]:
    """Fields of each entry of the bibliography, by key."""
    parts = re.findall(r"@\w+\{(\w+),\n(.*?)\n\}", BIB, re.DOTALL)
    return {key: dict(re.findall(r"(\w+) = \{(.*?)\}(?:,|\n|$)", body)) for key, body in parts}


def test_a_release_has_one_version_everywhere():
    released = re.search(
        r"^## (\S+) \((\d{4}-\d\d-\d\d)\)$", (ROOT / "CHANGELOG.md").read_text(), re.M
    )
    assert VERSION == CITATION["version"] == ZENODO["version"] == released[1]
    assert str(CITATION["date-released"]) == released[2]


def test_versions_of_the_changelog_go_down():
    found = re.findall(r"^## (\d+)\.(\d+)\.(\d+) ", (ROOT / "CHANGELOG.md").read_text(), re.M)
    numbers = [tuple(map(int, each)) for each in found]
    assert len(numbers) >= 2 and numbers == sorted(set(numbers), reverse=True)


@pytest.mark.parametrize("reference", CITATION["references"], ids=lambda r: r["title"][:40])
def test_what_is_to_be_cited_stands_in_the_bibliography(reference):
    same = [
        e for e in entries().values() if e["title"].replace("{DNA}", "DNA") == reference["title"]
    ]
    (entry,) = same
    assert entry["journal"] == reference["journal"] and entry["year"] == str(reference["year"])
    assert entry.get("doi") == reference.get("doi")
    assert [a["family-names"] for a in reference["authors"]] == [
        name.split(",")[0] for name in entry["author"].split(" and ") if name != "others"
    ]
    known = set(DOI.findall(str(reference)))
    assert known and known <= {each["identifier"] for each in ZENODO["related_identifiers"]}


def test_dois_are_dois_and_no_two_entries_share_one():
    dois = [entry["doi"] for entry in entries().values() if "doi" in entry]
    assert len(dois) == len(set(dois)) >= 15
    assert all(DOI.fullmatch(doi) for doi in dois)
    every = {each["identifier"] for each in ZENODO["related_identifiers"]}
    assert every <= set(DOI.findall(BIB))


def test_a_study_cites_what_the_sources_of_its_files_cite():
    text = (ROOT / "data" / "sources.csv").read_text()
    for key in ("sasse2023", "huang2023", "rastogi2024", "avsec2021", "kelley2020", "zhou2018"):
        entry = entries()[key]
        assert set(DOI.findall(str(entry))) & set(DOI.findall(text)), key
