"""The demo world: figures that need a known truth."""

from __future__ import annotations

from . import style
from .across import people, pooled
from .view import View, figure


@figure("world_ceiling")
def ceiling(view: View):
    """Mean r across people of each run beside that of the true genetic value."""
    summary = pooled(view)
    if summary.empty:
        return "No correlations across people are known for this study."
    drawn, (axis,) = style.panels([0.9 + 0.62 * len(summary)])
    for place, row in enumerate(summary.itertuples()):
        colour = view.colours[row.run_id]
        axis.barh(place, row.mean_r, color=colour, height=0.45)
        axis.plot([row.ci_low, row.ci_high], [place, place], color=style.INK, lw=1.4)
        text = (
            f"{row.label}: mean r = {style.signed(row.mean_r)} "
            f"{style.interval(row.ci_low, row.ci_high, 2)}, n = {row.genes} genes, {people(row)}"
        )
        axis.text(0.005, place - 0.3, text, fontsize=8, va="bottom", bbox=style.PALE)
    axis.axvline(0, color=style.INK, lw=0.8)
    axis.set(yticks=[], ylim=(len(summary) - 0.6, -0.75), xlabel="mean r across people")
    axis.set_xlim(min(0, float(summary["ci_low"].min())) - 0.01, 0.75)
    caption = (
        "Mean correlation with expression across people. The true genetic value is the ceiling: "
        "what is above it is environment, which no model of DNA can see."
    )
    return drawn, summary, caption
