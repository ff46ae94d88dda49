"""Networks trained on a study's people by `howfar finetune`, beside what needs no network."""

from __future__ import annotations

import pandas as pd

from howfar.core.project import project_root
from howfar.evaluation.trainings import CURVE, MEAN, TRAINED, measured
from howfar.figures import style
from howfar.figures.view import Drawn, View, figure

_NONE = "No network was trained on this study's people; `howfar finetune` does it."
_HEADINGS = {
    "unseen people": "Trained genes, unseen people",
    "other population": "Trained genes, another population",
    "unseen genes": "Unseen genes",
    "seen people": "Trained genes, people trained on",
}
_PALETTE = [*style.KIND_COLOURS["network"], "#882255", "#4d4d4d", "#959595"]


def trained_here(view: View) -> bool:
    """Whether a study is shown by its own trainings: it has some, or nothing published."""
    return not view.study.published or len(view.summary(MEAN)) > 0


def _largest(table: pd.DataFrame) -> pd.DataFrame:
    """Of each method the rows with most people."""
    return table[table["x"] == table.groupby("method")["x"].transform("max")]


def trainings(view: View) -> Drawn:
    """Mean r of each training strategy by people and genes, with each seed's as a point."""
    means, seeds = _largest(view.summary(MEAN)), _largest(view.summary(TRAINED))
    if means.empty:
        return _NONE
    names = list(means["method"].unique())
    groups = [group for group in _HEADINGS if group in set(means["group"])]
    drawn, axes = style.panels([0.75 + 0.28 * len(names)] * len(groups))
    low, high = style.from_zero(means[["value", "ci_low", "ci_high"]], seeds["value"])
    for axis, group in zip(axes, groups, strict=True):
        rows = means[means["group"] == group].set_index("method")
        for place, name in enumerate(names):
            if name not in rows.index:
                continue
            style.bar(axis, place, rows.loc[name], _PALETTE[place % len(_PALETTE)], height=0.6)
            points = seeds[(seeds["group"] == group) & (seeds["method"] == name)]["value"]
            axis.scatter(points, [place] * len(points), s=12, color=style.INK, zorder=4)
            style.words(axis, 1.03 * high, place, style.estimated(rows.loc[name], 2), 7.5)
        style.rows(axis, [style.wrapped(name, 28) for name in names])
        axis.axvline(0, color=style.INK, lw=0.8)
        axis.set_xlim(low, 1.75 * high)
        style.no_ticks_beyond(axis.xaxis, high)
        axis.set_title(f"{_HEADINGS[group]} (n = {style.span(rows['n'])} genes)", fontsize=9.5)
    axes[-1].set_xlabel("mean r across people")
    caption = (
        "Networks trained on people, by strategy. Bars: mean over genes of r, averaged over seeds; "
        "points: seeds of splits and training; lines: 95 % intervals, block bootstrap over genes. "
        "Nobody who is judged was read in training, but in the last panel."
    )
    return drawn, means, caption


def training_share(view: View) -> Drawn:
    """Mean r against the people that a network was trained on."""
    table = view.summary(MEAN)
    several = table.groupby("method")["x"].transform("nunique") > 1
    table = table[several]
    if table.empty:
        return "No network was trained on parts of the people; `howfar finetune --set ratio=0.5`."
    names = list(table["method"].unique())
    groups = [group for group in _HEADINGS if group in set(table["group"])]
    drawn, axes = style.panels([2.1] * len(groups))
    limits = style.from_zero(table[["value", "ci_low", "ci_high"]], room=1.1)
    for axis, group in zip(axes, groups, strict=True):
        for place, name in enumerate(names):
            part = table[(table["group"] == group) & (table["method"] == name)].sort_values("x")
            colour = _PALETTE[place % len(_PALETTE)]
            axis.plot(part["x"], part["value"], "o-", color=colour, ms=4, label=name)
            axis.fill_between(part["x"], part["ci_low"], part["ci_high"], color=colour, alpha=0.1)
        n = style.span(table.loc[table["group"] == group, "n"])
        axis.set_title(f"{_HEADINGS[group]} (n = {n} genes)", fontsize=9.5)
        axis.set(ylim=limits, ylabel="mean r over genes")
    axes[-1].set_xlabel("people who train a gene")
    style.legend(drawn, axes[0], "outside upper left")
    caption = (
        "Mean r by people trained on, averaged over seeds; bands: 95 % intervals, block bootstrap "
        "over genes."
    )
    return drawn, table, caption


@figure("learning_curves")
def learning_curves(view: View) -> Drawn:
    """What was watched in validation, epoch by epoch, for each training."""
    table = view.summary(CURVE)
    if table.empty:
        return _NONE
    watched = list(table["group"].unique())
    names = list(table["method"].unique())
    drawn, axes = style.panels([2.3] * len(watched))
    for axis, what in zip(axes, watched, strict=True):
        for (name, _), part in table[table["group"] == what].groupby(["method", "replicate"]):
            colour = _PALETTE[names.index(name) % len(_PALETTE)]
            known = name in axis.get_legend_handles_labels()[1]
            axis.plot(
                part["x"], part["value"], "o-", ms=3, color=colour, label=None if known else name
            )
        axis.set(ylabel=what, title=f"n = {int((table['group'] == what).sum())} epochs")
        axis.legend(fontsize=8)
    axes[-1].set_xlabel("epochs")
    caption = (
        "Validation during training, on people of trained genes who neither train nor are judged; "
        "one line a training. Losses of different strategies aren't on one scale."
    )
    return drawn, table, caption


#: Methods of the committed comparison, their labels and colours, from the network to the ceiling.
_COMPARED = {
    "network": ("#D55E00", "Network that saw no people"),
    "fine-tuned": ("#6A3D9A", "Network trained on people"),
    "blup": ("#0072B2", "BLUP, the network's window"),
    "enet": ("#0072B2", "Elastic net, the network's window"),
    "prior": ("#009E73", "BLUP with the network's prior"),
    "ceiling_window": ("#767676", "Ceiling of variants in the window"),
    "ceiling": ("#767676", "True genetic value"),
    "look_up": ("#767676", "Look-up of gene means"),
}


@figure("trained_beside_linear", zero="people")
def trained_beside_linear(view: View) -> Drawn:
    """Mean r of a network trained on people, linear models and the ceiling, by seed."""
    path = project_root() / "data" / "measured" / "fine_tuning_demo.csv"
    if view.study.name != "demo" or not path.is_file():
        return "Only on the demo cohort was this compared; `howfar bench finetune --study` does it."
    table = measured(path)
    groups = [g for g in (*_HEADINGS, "across genes") if g in set(table["group"])]
    sizes = [table.loc[table["group"] == g, "method"].nunique() for g in groups]
    drawn, axes = style.panels([1.2 + 0.3 * n for n in sizes])
    for axis, group in zip(axes, groups, strict=True):
        part = table[table["group"] == group]
        names = [name for name in _COMPARED if name in set(part["method"])]
        for place, name in enumerate(names):
            colour, rows = _COMPARED[name][0], part[part["method"] == name]
            axis.barh(place, rows["mean"].iloc[0], color=colour, height=0.6, alpha=0.75)
            shifts = 0.12 * (rows["seed"].rank() - (len(rows) + 1) / 2)
            ends = [rows["r"] - rows["ci_low"], rows["ci_high"] - rows["r"]]
            axis.errorbar(
                rows["r"], place + shifts, xerr=ends, fmt="o", ms=3, lw=0.9, color=style.INK
            )
        style.rows(axis, [style.wrapped(_COMPARED[name][1], 30) for name in names])
        axis.axvline(0, color=style.INK, lw=0.8)
        n, people = style.span(part["genes"]), style.span(part["people"])
        title = _HEADINGS.get(group, "Across genes, people not trained on")
        axis.set_title(f"{title}\nn = {n} genes, {people} people", fontsize=9)
        axis.set_xlabel("r across genes" if group == "across genes" else "mean r over genes")
    seeds, first = table["seed"].nunique(), table.iloc[0]
    caption = (
        f"{first['strategy'].replace('_', ' ')} on {first['trained_genes']} genes and "
        f"{first['trained_people']} people, {first['epochs']} epochs, {seeds} seeds of splits and "
        f"training (measured on {table['date'].max()}). Bars: mean over seeds; points: seeds with "
        "95 % intervals, block bootstrap over genes. Linear models have the same people and the "
        "same window, and say nothing of genes without people. The last panel is one correlation "
        "over genes: the mean of the people who train needs no sequence."
    )
    return drawn, table, caption
