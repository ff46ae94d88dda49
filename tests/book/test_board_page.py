"""The board's page, and the page that says how to get on it, whose commands run as pasted."""

from __future__ import annotations

import re
import shlex

import pandas as pd
import pytest
from typer.testing import CliRunner

from helpers.places import ROOT
from howfar.board import score
from howfar.board import tasks as board_tasks
from howfar.book import board_page
from howfar.cli import app

OWN = (ROOT / "book" / "board_own.md").read_text("utf-8")


def test_the_page_scores_every_bundle_of_a_task_and_says_what_is_not_here(tmp_path, monkeypatch):
    """Of the example's task and ceu89, whose files are not in these results."""
    some = {name: board_tasks.task_of(name) for name in ("example", "ceu89")}
    some["example"] = some["example"].model_copy(update={"practice": False})
    monkeypatch.setattr(board_page, "tasks", lambda: some)
    text = board_page.board_page(tmp_path, tmp_path)
    assert 'srcset="../_figures/board.narrow.svg"' in text
    assert "<svg" in (tmp_path / "book" / "figures" / "board.narrow.svg").read_text()
    assert (
        re.search(r"\| 1\s\(1\sto\s1\) \| BLUP \| −?\d\.\d{3} \[", text)
        and "| genes | MIT |" in text
    )
    assert "Not scored here" in text and "trusts that submitters" in text
    scores = pd.read_csv(tmp_path / "board_scores.csv").fillna({"against": ""})
    rows = scores[(scores["measure"] == score.MEAN) & (scores["against"] == "")]
    (mean,) = rows.loc[rows["name"] == "blup", "value"]
    assert f"| BLUP | {mean:.3f} [" in text


@pytest.mark.usefixtures("one_thread")
def test_the_commands_of_the_own_page_run_as_pasted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    blocks = re.findall(r"```(python|sh)\n(.*?)```", OWN, re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", "sh", "python"]
    said = ""
    for kind, code in blocks:
        if kind == "python":
            exec(code, names)
            continue
        for line in code.replace("\\\n", "").splitlines():
            command, *words = shlex.split(line)
            done = CliRunner().invoke(app.app, words, catch_exceptions=False)
            assert command == "howfar" and done.exit_code == 0
            said += done.output
    said += capsys.readouterr().out
    for words in ("Noisy copy, task example: 6 genes", "people, genes", "My network, task example"):
        assert words in said
    assert said.count("rank: ") == 2 and (tmp_path / "network.zip").is_file()


def test_the_own_page_names_every_task():
    assert set(re.findall(r"`(\w+)`", OWN.partition("## From")[0])) >= set(board_tasks.tasks())
