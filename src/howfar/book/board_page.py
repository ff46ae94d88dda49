"""The board of models: every submission that the project keeps, scored anew for the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from howfar import stats
from howfar.board import score
from howfar.board.score import Board
from howfar.board.tasks import tasks
from howfar.book.figure_block import on_written_page
from howfar.book.markdown import fill, markdown_table
from howfar.core.errors import HowfarError
from howfar.core.project import figures_folder
from howfar.core.text import as_markdown
from howfar.figures import board as figure
from howfar.figures.style import interval, signed, span


def board_page(results: Path, folder: Path) -> str:
    """Write the page, and its table of all scores (CSV) into `folder`."""
    boards, blocks = [], []
    for name, task in tasks().items():
        if task.practice:
            continue
        try:
            board = score.board(name, results)
        except HowfarError as error:
            text = f"Not scored here: {as_markdown(error.where)}. {as_markdown(error.do)}"
        else:
            text = _block(board) if board.submissions else "No submission yet."
            boards += [board] if board.submissions else []
        blocks.append(f"## {task.title}\n\n{task.words} Task `{name}`.\n\n{text}")
    drawn = pd.concat([_drawn(each) for each in boards])
    shown = figure.draw(drawn, figures_folder(results, "book"))
    scores = [each.table.assign(task=each.answers.task.name) for each in boards]
    pd.concat(scores).to_csv(folder / "board_scores.csv", index=False, float_format="%.6g")
    picture = on_written_page(shown.name, shown.svg, shown.caption, _alt(drawn))
    return fill("board", figure=picture, tasks="\n\n".join(blocks))


def _alt(drawn: pd.DataFrame) -> str:
    """What the figure says, with its numbers: the first of each task."""
    firsts = [
        f"{task}: {rows['label'].iloc[0]} {signed(rows['value'].iloc[0])} first of {len(rows)}"
        for task, rows in drawn.groupby("task", sort=False)
    ]
    return f"Mean correlation across people of each submission, by task. {'; '.join(firsts)}"


def _ranked(board: Board) -> list[str]:
    """Names of the submissions, the highest mean r first."""
    ranks = board.table[board.table["measure"] == score.RANK].sort_values(["value", "name"])
    return list(ranks["name"])


def _drawn(board: Board) -> pd.DataFrame:
    """The task's rows of the figure."""
    said = {each.name: each for each in board.submissions}
    rows = []
    for name in _ranked(board):
        mean, chance = (board.row(name, what) for what in (score.MEAN, score.PERMUTED))
        ends = mean[["value", "ci_low", "ci_high"]].to_dict()
        row = {"label": said[name].label, "kind": said[name].kind, "permuted": chance["value"]}
        rows.append(row | ends)
    return pd.DataFrame(rows).assign(
        task=board.answers.task.title,
        genes=len(board.answers.genes),
        people=span(pd.Series(board.answers.asked.sum(axis=1))),
        ceiling=_ceiling(board),
    )


def _ceiling(board: Board) -> float:
    """Mean r of a simulation's true genetic values with what was measured; NaN without."""
    truth = board.answers.truth
    if truth is None:
        return float("nan")
    r, _ = stats.pearson_rows(truth.to_numpy(float), board.answers.judged.expression.to_numpy())
    return float(np.nan_to_num(r).mean())


def _block(board: Board) -> str:
    """A task's table, and what the look-up and the truth reach."""
    said = {each.name: each for each in board.submissions}
    rows = [_row(board, said[name]) for name in _ranked(board)]
    known = board.row(score.LOOKUP, score.PAIRS)
    text = f"The look-up's ρ over pairs is {_estimate(known)}."
    if board.answers.truth is not None:
        text += f" The true genetic values' mean r is {signed(_ceiling(board))}."
    return f"{markdown_table(pd.DataFrame(rows))}\n\n{text}"


def _row(board: Board, said) -> dict[str, str]:
    name = said.name
    rank = board.row(name, score.RANK)
    row = {
        "rank": _unbroken(f"{rank['value']:.0f} ({rank['ci_low']:.0f} to {rank['ci_high']:.0f})"),
        "model": as_markdown(said.label),
        "mean r across people": _estimate(board.row(name, score.MEAN)),
    }
    names = {each.name for each in board.submissions}
    for other in (label for label, of in board.answers.task.against.items() if of in names):
        row[f"minus {other}"] = _estimate(board.row(name, score.MEAN, other))
    if board.answers.truth is not None:
        row["mean r with the truth"] = _estimate(board.row(name, score.TRUTH))
    return row | {
        "ρ over pairs": _estimate(board.row(name, score.PAIRS)),
        "minus the look-up": _estimate(board.row(name, score.PAIRS, score.LOOKUP)),
        "genes": f"{said.genes:,}",
        "may have seen": said.mark or "nothing",
        "licence": as_markdown(said.licence),
    }


def _estimate(row: pd.Series | None) -> str:
    """Write a value with its interval: '0.230 [0.120, 0.340]'; a dash for none."""
    if row is None:
        return "–"
    return f"{signed(row['value'])} {_unbroken(interval(row['ci_low'], row['ci_high']))}"


def _unbroken(text: str) -> str:
    """Text that a table's cell keeps on one line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")
