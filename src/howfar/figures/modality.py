"""Expression beside accessibility: the same people and network, rows genes or peaks."""

from __future__ import annotations

import pandas as pd

from howfar.figures import style
from howfar.figures.view import Drawn, View, figure
from howfar.figures.view import view as open_view


@figure("modalities", zero="people")
def modalities(view: View) -> Drawn:
    """Mean r across people of each run, of this study and of those named beside it."""
    views = [open_view(name, results=view.results) for name in view.study.beside] + [view]
    lacking = [each.study.name for each in views if each.tables is None]
    if len(views) < 2 or lacking:
        names = " and ".join(lacking)
        return f"Nothing to stand beside: run {names}." if lacking else "No study stands beside it."
    parts = [_rows(each) for each in views]
    drawn, axes = style.panels([0.8 + 0.3 * len(part) for part in parts])
    low, high = style.from_zero(*[part[["value", "ci_low", "ci_high"]] for part in parts])
    for axis, each, part in zip(axes, views, parts, strict=True):
        for place, row in enumerate(part.itertuples()):
            style.bar(axis, place, row, each.colours[row.run_id], height=0.62)
            text = f"{style.estimated(row, 2)}, {100 * row.negative:.0f} % below 0"
            style.words(axis, 1.03 * high, place, text, 7.5)
        style.rows(axis, [style.wrapped(each.labels[run], 26) for run in part["run_id"]], 7.5)
        axis.axvline(0, color=style.INK, lw=0.8)
        axis.set_title(f"{each.study.title} (n = {int(part['n'].iloc[0])} rows)", fontsize=9)
        axis.set_xlim(low, 2.3 * high)
        style.no_ticks_beyond(axis.xaxis, high)
    axes[-1].set_xlabel("mean r across people")
    caption = (
        "Mean over rows (genes, or peaks) of r across people, and the share of rows whose r is "
        "below 0. Linear models and the lead SNP predict people out of fold; the true genetic "
        "value is the ceiling. 95 % interval by bootstrap over blocks of neighbouring rows."
    )
    return drawn, pd.concat(parts, ignore_index=True), caption


def _rows(view: View) -> pd.DataFrame:
    """Mean r and share of negative r of each run whose rows are all there."""
    rows = []
    for run in view.comparable:
        mean = view.need(f"{run}.across.pooled.mean_r")
        negative = view.need(f"{run}.across.pooled.share_negative")
        rows.append((view.study.name, run, mean.value, mean.ci_low, mean.ci_high, negative.value))
    columns = ["study", "run_id", "value", "ci_low", "ci_high", "negative"]
    number = view.need(f"{view.comparable[0]}.across.pooled.mean_r").n
    return pd.DataFrame(rows, columns=columns).assign(n=number)
