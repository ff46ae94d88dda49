"""The pages for programs, for messages and for what is fetched, and llms.txt."""

from __future__ import annotations

import os
import re

import pytest
import yaml

import howfar
from helpers.places import ROOT
from howfar.book import pages
from howfar.book.programs_page import PAGES, llms_txt, programs
from howfar.book.troubleshooting_page import fetched, troubleshooting
from howfar.cli.app import app
from howfar.core.registry import LINEAR_MODELS, MODELS
from howfar.fetch.catalogue import sources
from howfar.results import tables
from howfar.study.reading import load_study
from inputs.page import catalogue, text_of
from inputs.running import Outcome

COMMANDS = re.compile(r"^- `(howfar [a-z0-9-]+(?: [a-z][a-z0-9-]*)?)", re.MULTILINE)


def test_every_column_says_what_it_holds():
    columns = {column for schema in tables.SCHEMAS.values() for column in schema.columns}
    assert columns == set(tables.COLUMNS)


def test_the_page_for_programs_has_all_commands_tables_columns_and_names():
    text = programs(app)
    listed = set(COMMANDS.findall(text))
    registered = {c.name or c.callback.__name__ for c in app.registered_commands}
    assert {f"howfar {name.replace('_', '-')}" for name in registered} <= listed
    assert {f"howfar {group.name}" for group in app.registered_groups} <= {
        " ".join(name.split()[:2]) for name in listed
    }
    for name, schema in tables.SCHEMAS.items():
        part = text.split(f"### `{name}`\n")[1].split("\n#")[0]
        assert re.findall(r"^- `(\w+)` \(", part, re.MULTILINE) == list(schema.columns)
    for name in (*MODELS, *LINEAR_MODELS, *(f"hf.{each}" for each in howfar.__all__)):
        assert f"`{name}`" in text
    assert "None" not in text


def test_llms_txt_is_what_the_code_says_and_names_pages_that_exist():
    text = llms_txt(app)
    if os.environ.get("HOWFAR_WRITE_GOLDEN"):
        (ROOT / "llms.txt").write_text(text)
    assert (ROOT / "llms.txt").read_text() == text, "HOWFAR_WRITE_GOLDEN=1 writes it anew"
    toc = (ROOT / "book" / "_toc.yml").read_text()
    assert all(f"file: {page}\n" in toc for page in PAGES)
    config = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]
    assert "../llms.txt" in config["html_extra_path"]


@pytest.mark.parametrize("catalogued", [True, False])
def test_messages_are_found_by_their_words(catalogued):
    message = "v.vcf, line 3: found the call 'A|C'; expected numbers. Repair the line."
    bad = [case for case in catalogue() if not case.good]
    said = [message, "a.fa: found 'B'; expected bases. Stop."]
    rows = [
        (case, Outcome(2, "", f"howfar: {each}", ())) for case, each in zip(bad, said, strict=False)
    ]
    text = troubleshooting(text_of(rows if catalogued else rows[:1]))
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(lines) == (2 if catalogued else 1) and f"{len(lines)} messages" in text
    assert (
        lines[-1]
        == "| `the call 'A\\|C'` | `numbers` | `Repair the line.` | " + bad[0].title + " |"
    )


def test_what_is_fetched_is_the_sum_of_the_list_of_files():
    shown, known = pages.executed_pages(ROOT / "book"), sources()
    rows = [line.split(" | ") for line in fetched(shown).splitlines() if line.startswith("| ")][2:]
    assert [row[0].strip("| `") for row in rows[:-1]] == list(dict.fromkeys(s for _, s in shown))
    for row in rows[:-1]:
        needs = load_study(row[0].strip("| `")).needs
        size = sum(known[need].bytes for need in needs if need in known)
        assert float(row[3]) >= round(size / 1e6, 1) - 0.1
    assert sum(row[1].count(", ") + 1 for row in rows[:-1]) == len(shown)
    assert float(rows[-1][3]) <= sum(float(row[3]) for row in rows[:-1]) + 1
