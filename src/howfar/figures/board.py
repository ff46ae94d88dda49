"""The board's scores: mean r across people of each submission, by task."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.lines import Line2D

from howfar.figures import style

_KINDS = {"network": ("#0072B2", "o"), "linear": ("#E69F00", "s"), "other": ("#4d4d4d", "D")}
_CAPTION = (
    "Mean over genes of Pearson r across people, prediction with measured value, of each "
    "submission; line: 95 % interval (block bootstrap over genes). Grey: the same predictions "
    "permuted between people of one population, which is chance. Dashed: the look-up, which "
    "predicts each gene's mean for everybody and so has r = 0. Black: the true genetic values of "
    "a simulation, the most that a genome can tell."
)


def draw(table: pd.DataFrame, output: Path) -> style.Shown:
    """Draw and save the figure.

    table: task (its title), label, kind, value, ci_low, ci_high, permuted, genes, people (of each
    gene), ceiling; submissions in the order of their ranks.
    """
    parts = [part for _, part in table.groupby("task", sort=False)]
    with style.look():
        drawn, axes = style.panels([1.1 + 0.22 * len(part) for part in parts])
        limits = style.from_zero(table[["ci_low", "ci_high", "permuted", "ceiling"]].fillna(0))
        for axis, part in zip(axes, parts, strict=True):
            _panel(axis, part)
            axis.set_xlim(limits)
        axes[-1].set_xlabel("mean r across people")
        kinds = [k for k in _KINDS if k in set(table["kind"])]
        marks = [_mark(k, *_KINDS[k]) for k in kinds]
        drawn.legend(
            handles=[*marks, _mark("people exchanged", style.FAINT, "|")],
            loc="outside upper left",
            ncols=4,
            fontsize=8.5,
        )
        return style.save(drawn, table, "board", output, _CAPTION)


def _mark(label: str, colour: str, marker: str) -> Line2D:
    return Line2D([], [], color=colour, marker=marker, linestyle="", ms=5, label=label)


def _panel(axis, part: pd.DataFrame) -> None:
    first = part.iloc[0]
    axis.axvline(0, color=style.FAINT, lw=0.8, ls="--")
    if pd.notna(first["ceiling"]):
        axis.axvline(first["ceiling"], color=style.INK, lw=1.2)
    for place, row in enumerate(part.itertuples()):
        colour, marker = _KINDS[row.kind]
        style.span_line(axis, place, row, colour, 1.6)
        axis.plot(row.value, place, marker, color=colour, ms=5)
        axis.plot(row.permuted, place, "|", color=style.FAINT, ms=8)
    axis.set_title(f"{first['task']} ({first['genes']:,} genes, {first['people']} people)")
    style.rows(axis, [style.wrapped(label, 30) for label in part["label"]], 8)
