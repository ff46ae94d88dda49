"""Points of single people, for studies that allow it (`howfar.results.policy`)."""

from __future__ import annotations

import pandas as pd

from howfar.figures import style
from howfar.figures.across import main_rows
from howfar.figures.view import Drawn, View, figure
from howfar.results import policy


def individuals(view: View) -> pd.DataFrame:
    """Predictions and expression of people, table `points`: each gene's in the order of values.

    Raises HowfarError unless the study's file says ``individuals: public``.
    """
    frame = policy.read_points(view.study, view.results)
    return frame[frame["run_id"].isin(view.runs["run_id"])].reset_index(drop=True)


def examples(view: View, run: str, count: int = 4) -> list[str]:
    """Genes that show the range of r for one run: best, worst, and between them."""
    table = main_rows(view)
    part = table[table["run_id"] == run].sort_values("pearson", ascending=False)
    if len(part) < count:
        return list(part["gene_id"])
    places = [round(i * (len(part) - 1) / (count - 1)) for i in range(count)]
    return [part["gene_id"].iloc[i] for i in places]


@figure("across_examples", zero="people")
def scatters(view: View) -> Drawn:
    """Prediction against expression over people for four genes of the first run."""
    table = main_rows(view)
    if table.empty:
        return "No correlations across people are public for this study."
    if not policy.shows_people(view.study):
        return policy.NO_POINTS
    people = individuals(view)
    runs = view.runs_in(people["run_id"])
    if not runs:
        return "No person-level values are public for this study."
    run = runs[0]
    genes = [g for g in examples(view, run) if (people["gene_id"] == g).any()]
    table = table[table["run_id"] == run].set_index("gene_id")
    drawn, axes = style.panels([2.1] * len(genes))
    shown = []
    for axis, gene in zip(axes, genes, strict=True):
        part = people[(people["run_id"] == run) & (people["gene_id"] == gene)]
        part = part.dropna(subset=["predicted", "observed"])
        _panel(axis, part, table.loc[gene], view.colours[run], view.study.expression_units)
        axis.set_title(view.gene_names[gene])
        shown.append(part)
    axes[-1].set_xlabel(f"prediction, {view.labels[run]}")
    caption = (
        f"{view.labels[run]}: four genes over the whole range of r, highest to lowest; one point "
        "is one person. The genes were chosen by their r, so the first and last are extreme by "
        "choice."
    )
    return drawn, pd.concat(shown), caption


def _panel(axis, part: pd.DataFrame, row: pd.Series, colour: str, units: str) -> None:
    """Prediction against expression of one gene; row: of table `across`."""
    dots = {"s": 9, "alpha": 0.5, "linewidths": 0, "rasterized": True}
    axis.scatter(part["predicted"], part["observed"], color=colour, **dots)
    axis.set_ylabel(style.wrapped(f"expression ({units})", 24))
    axis.ticklabel_format(useOffset=False)
    axis.locator_params(axis="x", nbins=5)
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.25 * (high - low))
    text = f"r = {style.signed(row['pearson'])} {style.ends(row, 2)}"
    style.note(axis, f"{text}, n = {row['n']} people")
