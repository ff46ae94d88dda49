"""Several tissues of the same people, side by side."""

from __future__ import annotations

from howfar.figures import style
from howfar.figures.view import Drawn, View, figure

_LOOK_UP = "look-up"


@figure("tissues", zero="people")
def tissues(view: View) -> Drawn:
    """Mean r across people in each tissue: its own tracks, another tissue's, and the look-up."""
    table = view.summary("tissues")
    table = table[table["method"].isin([*view.labels, _LOOK_UP])].reset_index(drop=True)
    if table.empty:
        return "This study has one tissue: `cohort.expression` may name several."
    table[["of", "in"]] = table["group"].str.split(" | ", n=1, regex=False, expand=True).to_numpy()
    names = list(dict.fromkeys(table["in"]))
    parts = [table[table["in"] == name].reset_index(drop=True) for name in names]
    drawn, axes = style.panels([0.8 + 0.3 * len(part) for part in parts])
    low, high = style.from_zero(table[["value", "ci_low", "ci_high"]])
    for axis, name, part in zip(axes, names, parts, strict=True):
        labels = []
        for place, row in enumerate(part.itertuples()):
            looked_up = row.method == _LOOK_UP
            colour = style.FAINT if looked_up else view.colours[row.method]
            style.bar(axis, place, row, colour, height=0.62)
            style.words(axis, 1.03 * high, place, style.estimated(row, 2), 7.5)
            label = "the person's expression" if looked_up else view.labels[row.method]
            labels.append(style.wrapped(f"{label}, {row.of}", 28))
        style.rows(axis, labels, 7.5)
        axis.axvline(0, color=style.INK, lw=0.8)
        axis.set_title(f"In {name} (n = {int(part['n'].max()):,} genes)", fontsize=9)
        axis.set_xlim(low, 1.9 * high)
        style.no_ticks_beyond(axis.xaxis, high)
    axes[-1].set_xlabel("mean r across people, over genes")
    caption = (
        "Mean over genes of r across people, for expression of each tissue (panels): a network's "
        "tracks of that tissue and of others, all from one pass; linear models, trained on the "
        "first tissue, out of fold; and, grey, the look-up: the same person's expression in "
        "another tissue as the prediction, which needs no genome. 95 % interval by bootstrap over "
        "blocks of "
        "neighbouring genes."
    )
    return drawn, table.drop(columns=["of", "in"]), caption
