"""Stacked regressors on pairs of gene and person: what each way of holding out says."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from howfar.core.registry import STACKED
from howfar.figures import style
from howfar.figures.view import Drawn, View, figure

_NONE = "No stacked regressors have been fitted for this study; run `howfar stack` and evaluate."
#: (split, features) in the order drawn: colour, shape, words.
_SHOWN = {
    ("pairs", "network"): ("#D55E00", "s", "pairs at random (leak)"),
    ("pairs", "score_of_all"): ("#D55E00", "s", "network and score trained on everybody (leak)"),
    ("people", "score"): ("#0072B2", "o", "people never seen, network and score"),
    ("people", "network"): ("#56B4E9", "o", "people never seen, network"),
    ("genes", "network"): ("#009E73", "D", "genes never seen, network"),
}
#: Left of this, intervals of R2, which has no lower bound, are cut off.
_FURTHEST = -0.6
_WORDS = {
    "r2": "R² over pairs of gene and person",
    "r_people": "mean over genes of r across people",
}


def rows_of(view: View, target: str) -> pd.DataFrame:
    """Rows of `summary` of the stacked models for 'level' or 'deviation'.

    Columns measure, method, split, features, folds, value, n, ci_low, ci_high.
    """
    table = view["summary"]
    table = table[table["set"].str.startswith("stacking.")]
    parts = table["group"].str.split("; ", expand=True).reindex(columns=range(3))
    table = table.assign(
        measure=table["set"].str.removeprefix("stacking."), split=parts[1], features=parts[2]
    )
    table = table[parts[0] == target].rename(columns={"x": "folds"})
    columns = ["measure", "method", "split", "features", "folds", "value", "n", "ci_low", "ci_high"]
    return table[columns].reset_index(drop=True)


def widest(rows: pd.DataFrame, measure: str, first: tuple, second: tuple) -> pd.Series | None:
    """The model with the largest fall of a measure from one design to another, and both values."""
    part = rows[rows["measure"] == measure].set_index(["split", "features", "method"])["value"]
    part = part.sort_index()
    if not {first, second} <= {key[:2] for key in part.index}:
        return None
    both = pd.DataFrame({"first": part[first], "second": part[second]}).dropna()
    both["fall"] = both["first"] - both["second"]
    return both.loc[both["fall"].idxmax()]


@figure("stacking_splits", zero="genes")
def stacking_splits(view: View) -> Drawn:
    """The level of expression: the same models on pairs, people and genes held out."""
    rows = rows_of(view, "level")
    if rows.empty:
        return _NONE
    worst = widest(rows, "r2", ("pairs", "network"), ("genes", "network"))
    title = (
        f"{worst.name}: R² {style.signed(worst['first'], 2)} on pairs at random,\n"
        f"{style.signed(worst['second'], 2)} on genes never seen"
    )
    caption = (
        "Each model predicts expression of a gene in a person from the network's outputs; rows "
        f"differ in what is held out ({rows['folds'].iloc[0]:.0f} folds, n = "
        f"{rows['n'].max()} pairs). The title names the model whose value falls most. Squares: "
        "pairs held out at random, so each gene is known from other people and a model that only "
        "recognises genes looks good; people never seen are tested on known genes too. Second "
        "panel: the same predictions, compared over people within a "
        "gene. Intervals: "
        "95 %, block bootstrap over genes, cut off at the panel's edge."
    )
    return _drawn(rows, title), rows, caption


@figure("stacking_people", zero="people")
def stacking_people(view: View) -> Drawn:
    """Differences between people: a score trained on everybody against honest designs."""
    rows = rows_of(view, "deviation")
    if rows.empty:
        return _NONE
    fall = widest(rows, "r_people", ("pairs", "score_of_all"), ("people", "score"))
    title = "Differences between people"
    if fall is not None:
        title = (
            f"{fall.name}: r {style.signed(fall['first'], 2)} with the leak,\n"
            f"{style.signed(fall['second'], 2)} for people never seen"
        )
    caption = (
        "Expression minus the gene's mean over training people, so that only differences between "
        "people count. The title names the model whose value falls most. Squares: the polygenic "
        "score was "
        "trained on everybody before pairs were "
        "held out, so it has seen what it predicts (a leak). Dark discs: the score is trained on "
        "training people only. For a gene never seen there is no score, only the network. "
        "Intervals: 95 %, block "
        f"bootstrap over genes; n = {rows['n'].max()} pairs."
    )
    return _drawn(rows, title), rows, caption


def _drawn(rows: pd.DataFrame, title: str) -> Figure:
    given = set(zip(rows["split"], rows["features"], strict=True))
    designs = [key for key in _SHOWN if key in given]
    methods = [m.help for m in STACKED.values() if m.help in set(rows["method"])]
    drawn, axes = style.panels([0.6 + 0.4 * len(methods)] * 2)
    for axis, measure in zip(axes, ("r2", "r_people"), strict=True):
        _panel(axis, rows[rows["measure"] == measure], methods, designs)
        axis.set_xlabel(_WORDS[measure])
    axes[0].set_title(title, fontsize=10)
    style.legend(drawn, axes[0], ncols=1)
    return drawn


def _panel(axis, rows: pd.DataFrame, methods: list[str], designs: list[tuple]) -> None:
    table = rows.set_index(["split", "features", "method"]).sort_index()
    step = 0.68 / max(len(designs) - 1, 1)
    for i, key in enumerate(designs):
        colour, shape, words = _SHOWN[key]
        part = table.loc[key].reindex(methods)
        y = [place - 0.34 + i * step for place in range(len(methods))]
        axis.hlines(y, part["ci_low"], part["ci_high"], color=colour, lw=1.5)
        axis.scatter(part["value"], y, color=colour, marker=shape, s=20, label=words, zorder=3)
    style.rows(axis, [style.wrapped(m, 22) for m in methods], 8)
    for place in range(len(methods) - 1):
        axis.axhline(place + 0.5, color="#dddddd", lw=0.6)
    axis.axvline(0, color=style.FAINT, lw=0.8)
    low = max(_FURTHEST, float(rows["ci_low"].min())) - 0.02
    low = min(low, 0.0, float(rows["value"].min()) - 0.05)
    axis.set_xlim(low, _end(rows))


def _end(rows: pd.DataFrame) -> float:
    """Right end of the axis: 1 where values come near it."""
    top = float(rows[["value", "ci_high"]].max(axis=None))
    return 1.02 if top > 0.8 else 1.15 * top
