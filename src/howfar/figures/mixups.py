"""Planted mix-ups of samples: how many are found, by what the genes tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from howfar.figures import style

_R = {0.1: "#56B4E9", 0.22: "#0072B2", 0.42: "#6A3D9A"}
_PEOPLE = {89: "o", 421: "s"}
_CAPTION = (
    "First panel: share of planted swaps that are found, against the signal (explained below), "
    "for one, two or five swapped pairs among simulated people (blue, violet) and among people "
    "made from this book's studies, contig by contig (black). Each mark is {low:,} to {high:,} "
    "planted pairs, its line the 95 % interval (Wilson). Dashed: 95 %, and a signal of 20. Second "
    "panel: how the signal in the same simulations grows with the number of genes, r "
    "(out-of-fold prediction with expression, the same for every gene) and people. Lines: the sum "
    "of r²/(1 − r²), which the signal stays below where few people estimate a small r badly."
)


def draw(table: pd.DataFrame, output: Path) -> style.Shown:
    """Draw and save the figure; table: swapped pairs by setting, `stats.mixups.pool` of them."""
    shown = table
    grid = shown[shown["r"].notna()]
    studies = shown[shown["r"].isna()]
    with style.look():
        drawn, axes = style.panels([2.6, 2.6], columns=1)
        for (r, people), rows in grid.groupby(["r", "people"]):
            look = _R[r], _PEOPLE[people]
            _marks(axes[0], rows, *look)
            axes[1].plot(rows["genes"], rows["signal"], look[1], color=look[0], ms=4, ls="")
            label = f"r {r:g}, {people} people"
            axes[0].plot([], [], look[1], color=look[0], ms=4, ls="", label=label)
        for r, rows in grid.groupby("r"):
            genes = np.sort(rows["genes"].unique())
            axes[1].plot(genes, genes * r * r / (1 - r * r), color=_R[r], lw=0.8)
        for row in studies.itertuples():
            _marks(axes[0], studies[studies["setting"] == row.setting], style.INK, "D")
            place, name = (row.signal, 100 * row.found), row.setting
            axes[0].annotate(
                name, place, (-5, 6), textcoords="offset points", fontsize=8.5, ha="right"
            )
        axes[0].axhline(95, color=style.FAINT, lw=0.8, ls="--")
        axes[0].axvline(20, color=style.FAINT, lw=0.8, ls="--")
        axes[1].axhline(20, color=style.FAINT, lw=0.8, ls="--")
        axes[0].set(ylim=(-3, 104), ylabel="% of swaps found", xlabel="signal (no unit)")
        axes[1].set(ylabel="signal (no unit)", xlabel="genes", xscale="log", yscale="log")
        axes[0].set_xscale("log")
        few, many = [1, 2, 5, 10, 20, 50], [10, 30, 100, 300, 1_000, 3_000]
        axes[0].set_xticks(few, [str(t) for t in few])
        axes[1].set_yticks(few, [str(t) for t in few])
        axes[1].set_xticks(many, [f"{t:,}" for t in many])
        for axis in axes:
            axis.minorticks_off()
        style.legend(drawn, axes[0], ncols=2)
        caption = _CAPTION.format(low=shown["trials"].min(), high=shown["trials"].max())
        return style.save(drawn, shown, "mixups", output, caption)


def _marks(axis, rows: pd.DataFrame, colour: str, marker: str) -> None:
    axis.vlines(rows["signal"], 100 * rows["ci_low"], 100 * rows["ci_high"], color=colour, lw=1)
    axis.plot(rows["signal"], 100 * rows["found"], marker, color=colour, ms=4)
