"""The estimators on trial: what intervals hold and tests call, beside what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from howfar.figures import style

_SOUND, _OFF = "#0072B2", "#D55E00"
_CAPTION = (
    "Every interval and test on simulated truth. Each mark is one kind of simulation (listed in "
    "the last table), its line the 95 % interval (Wilson) of the share over {low:,} to {high:,} "
    "simulations. First panel: share of simulations whose 95 % interval contains the truth. "
    "Second panel: share of simulations without any effect in which the test is significant, "
    "divided by the test's level (below 0.08 drawn at the left edge). Dashed: as stated; orange: "
    "different from what is stated (p < 0.001)."
)


def draw(table: pd.DataFrame, output: Path) -> style.Shown:
    """Draw and save the figure of the committed table; column `off` says which rows are wrong."""
    table = table[table["judged"] > 0]
    parts = [table[table["kind"] == kind] for kind in ("interval", "test")]
    with style.look():
        drawn, axes = style.panels(
            [0.7 + 0.3 * part["estimator"].nunique() for part in parts if len(part)], columns=1
        )
        _panel(axes[0], parts[0], 100, 95)
        axes[0].set(xlim=(0, 101), xlabel="% of 95 % intervals that contain the truth")
        _panel(axes[1], parts[1], 1 / parts[1]["says"], 1)
        axes[1].set_xscale("log")
        axes[1].set(xlim=(0.08, 25), xlabel="false-positive rate / stated level of the test")
        axes[1].set_xticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
        axes[1].minorticks_off()
        plain = {"linestyle": "", "ms": 4}
        drawn.legend(
            handles=[
                Line2D([], [], color=_SOUND, marker="o", label="as stated", **plain),
                Line2D([], [], color=_OFF, marker="D", label="not as stated (p < 0.001)", **plain),
            ],
            loc="outside upper left",
            ncols=2,
        )
        sizes = table["judged"]
        caption = _CAPTION.format(low=sizes.min(), high=sizes.max())
        return style.save(drawn, table, "estimators", output, caption)


def _panel(axis, part: pd.DataFrame, scale, said: float) -> None:
    shown = part.assign(**{c: part[c] * scale for c in ("observed", "ci_low", "ci_high")})
    names = list(part["estimator"].unique())
    for place, name in enumerate(names):
        mine = shown[shown["estimator"] == name]
        offsets = np.linspace(-0.3, 0.3, len(mine)) if len(mine) > 1 else [0]
        for offset, row in zip(offsets, mine.itertuples(), strict=True):
            colour, mark = (_OFF, "D") if row.off else (_SOUND, "o")
            ends = np.maximum([row.ci_low, row.ci_high], 1e-3)
            axis.plot(ends, [place + offset] * 2, color=colour, lw=1)
            axis.plot(max(row.observed, 0.08), place + offset, mark, color=colour, ms=3)
    axis.axvline(said, color=style.INK, ls="--", lw=0.9)
    style.rows(axis, [style.wrapped(name, 34) for name in names], 7, top=-0.6)
