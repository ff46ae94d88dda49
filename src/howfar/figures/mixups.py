"""Planted mix-ups of samples: how many are found, by what the genes tell."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from scipy.stats import binomtest

from howfar.figures import style

_R = {0.1: "#56B4E9", 0.22: "#0072B2", 0.42: "#6A3D9A"}
_PEOPLE = {89: "o", 421: "s"}
_CAPTION = (
    "One, two or five swapped pairs among simulated people (blue, violet), and among the people "
    "of this book's studies put together anew by contig (black). Each mark is {low:,} to "
    "{high:,} planted pairs, its line the 95 % interval (Wilson). Top: by the sum of r²/(1 − r²) "
    "over genes, r of out-of-fold prediction with expression. Dashed: 95 %, and the sum of 20. "
    "Bottom: the same simulations by number of genes."
)


def draw(table: pd.DataFrame, output: Path) -> style.Shown:
    """Draw and save the figure of the committed table of `howfar bench mixups`."""
    shown = _pooled(table[table["planted"] == "swapped pairs"])
    grid = shown[shown["r"].notna()]
    studies = shown[shown["r"].isna()]
    with style.look():
        drawn, axes = style.panels([2.6, 2.6])
        for axis, x in ((axes[0], "sum"), (axes[1], "genes")):
            for (r, people), rows in grid.groupby(["r", "people"]):
                _marks(axis, rows, x, _R[r], _PEOPLE[people], f"r {r:g}, {people} people")
            axis.axhline(95, color=style.FAINT, lw=0.8, ls="--")
            axis.set_xscale("log")
            axis.set(ylim=(-3, 104), ylabel="% of swapped pairs found")
        for name, rows in studies.groupby("setting"):
            _marks(axes[0], rows, "sum", style.INK, "D", "")
            place = rows.iloc[0]
            axes[0].annotate(
                name,
                (place["sum"], 100 * place["found"]),
                (6, -10),
                textcoords="offset points",
                fontsize=8.5,
            )
        axes[0].axvline(20, color=style.FAINT, lw=0.8, ls="--")
        axes[0].set(xlabel="sum of r²/(1 − r²) over genes (no unit)")
        axes[1].set(xlabel="genes")
        for axis, ticks in (
            (axes[0], [2, 5, 10, 20, 50]),
            (axes[1], [10, 30, 100, 300, 1000, 3000]),
        ):
            axis.set_xticks(ticks, [f"{t:,}" for t in ticks])
            axis.minorticks_off()
        style.legend(drawn, axes[1], ncols=2)
        caption = _CAPTION.format(low=shown["trials"].min(), high=shown["trials"].max())
        return style.save(drawn, shown, "mixups", output, caption)


def _pooled(table: pd.DataFrame) -> pd.DataFrame:
    """One row a setting: swaps of one, two and five pairs together."""
    hits = (table["found"] * table["trials"]).round()
    grouped = table.assign(hits=hits).groupby("setting", sort=False)
    rows = grouped.agg(
        {"people": "first", "genes": "first", "r": "first", "sum": "mean"}
        | {"hits": "sum", "trials": "sum"}
    ).reset_index()
    ends = [
        binomtest(int(row.hits), int(row.trials)).proportion_ci(0.95, "wilson")
        for row in rows.itertuples()
    ]
    found = rows["hits"] / rows["trials"]
    return rows.assign(found=found, ci_low=[e.low for e in ends], ci_high=[e.high for e in ends])


def _marks(axis, rows: pd.DataFrame, x: str, colour: str, marker: str, label: str) -> None:
    rows = rows.sort_values(x)
    axis.vlines(rows[x], 100 * rows["ci_low"], 100 * rows["ci_high"], color=colour, lw=1)
    axis.plot(rows[x], 100 * rows["found"], marker, color=colour, ms=4, label=label or None)
