"""Networks trained on a study's people by `howfar finetune`, beside what needs no network."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from howfar.core.project import measured_file
from howfar.evaluation.trainings import ACROSS, CURVE, MEAN, TRAINED
from howfar.figures import style
from howfar.figures.baselines import sweep_rows
from howfar.figures.view import Drawn, View, figure

_NONE = "No network was trained on this study's people; `howfar finetune` does it."
_HEADINGS = {
    "unseen people": "Trained genes, unseen people",
    "other population": "Trained genes, another population",
    "unseen genes": "Unseen genes",
    "seen people": "Trained genes, people trained on",
}
_LINEAR = "#767676"
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
        "Except in the last panel, nobody tested was in the training."
    )
    return drawn, means, caption


def training_share(view: View) -> Drawn:
    """Mean r against people trained on, of networks and of the linear models that were swept."""
    table, swept = view.summary(MEAN), sweep_rows(view, "sweep_people.mean")
    several = table.groupby("method")["x"].transform("nunique") > 1
    table = table[several | (len(swept) > 0)]
    compared = _measured(view, "demo")
    if compared is not None and len(swept):  # one size, with more epochs
        one = compared[(compared["seed"] == 0) & (compared["method"] == "fine-tuned")]
        words = f"{one['strategy'].iloc[0].replace('_', ' ')}, {one['epochs'].iloc[0]} epochs"
        one = one.rename(columns={"r": "value", "genes": "n", "trained_people": "x"})
        table = pd.concat([table, one.assign(method=words)], ignore_index=True)
    if table.empty:
        return "No network was trained on parts of the people; `howfar finetune --set ratio=0.5`."
    names = list(table["method"].unique())
    groups = [group for group in _HEADINGS if group in set(table["group"])]
    drawn, axes = style.panels([2.1] * len(groups))
    lines = pd.concat([table, swept])[["value", "ci_low", "ci_high"]]
    limits = style.from_zero(lines, room=1.1)
    most = 1.08 * max(table["x"].max(), *swept["x"], 0)
    for axis, group in zip(axes, groups, strict=True):
        for place, name in enumerate(names):
            part = table[(table["group"] == group) & (table["method"] == name)].sort_values("x")
            colour = _PALETTE[place % len(_PALETTE)]
            mark = f"{style.MARKS[place % len(style.MARKS)]}-"
            axis.plot(part["x"], part["value"], mark, color=colour, ms=4, label=name)
            axis.fill_between(part["x"], part["ci_low"], part["ci_high"], color=colour, alpha=0.1)
            if len(part) == 1:
                axis.vlines(part["x"], part["ci_low"], part["ci_high"], color=colour)
        n = style.span(table.loc[table["group"] == group, "n"])
        axis.set_title(f"{_HEADINGS[group]} (n = {n} genes)", fontsize=9.5)
        axis.set(xlim=(0, most), ylim=limits, ylabel="mean r over genes")
        if group != "unseen people":
            continue
        for method, part in swept.groupby("method", sort=False):
            label = f"{method}, out of fold ({style.span(part['n'])} genes)"
            part = part.sort_values("x")
            axis.plot(part["x"], part["value"], "s--", color=_LINEAR, ms=4, label=label)
            axis.fill_between(part["x"], part["ci_low"], part["ci_high"], color=_LINEAR, alpha=0.1)
    axes[-1].set_xlabel("people who train a gene")
    style.legend(drawn, axes[groups.index("unseen people")] if len(swept) else axes[0],
                 "outside upper left")  # fmt: skip
    caption = (
        "Mean r by number of training people, averaged over seeds; bands and lines: 95 % "
        "intervals, block "
        "bootstrap over genes."
    )
    if len(swept):
        caption += (
            " Dashed: linear models on a share of the people, each person predicted by a fit "
            "without them, with the study's own window and for all its genes."
        )
    return drawn, pd.concat([table, swept], ignore_index=True), caption


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
            place = names.index(name)
            known = name in axis.get_legend_handles_labels()[1]
            look = {"color": _PALETTE[place % len(_PALETTE)], "label": None if known else name}
            mark = style.MARKS[place % len(style.MARKS)]
            axis.plot(part["x"], part["value"], f"{mark}-", ms=3, **look)
        axis.set(ylabel=what, title=f"n = {int((table['group'] == what).sum())} epochs")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.legend(fontsize=8)
    axes[-1].set_xlabel("epochs")
    caption = (
        "Validation during training, for genes of the training in people used neither to train "
        "nor to test; one line per training. Losses of different strategies are not on one scale."
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


def _measured(view: View, name: str) -> pd.DataFrame | None:
    """Read what a long command wrote beside the study's trainings, or what is committed of it."""
    own = view.results / view.study.name / "finetune" / f"{name}.csv"
    kept = measured_file(f"fine_tuning_{name}")
    path = own if own.is_file() or view.study.name != "demo" else kept
    return pd.read_csv(path) if path.is_file() else None


@figure("trained_beside_linear", zero="people")
def trained_beside_linear(view: View) -> Drawn:
    """Mean r of a network trained on people, linear models and the ceiling, by seed."""
    table = _measured(view, "demo")
    if table is None:
        return "Not compared with linear models here; `howfar bench finetune --study` does it."
    seeds, pooled = table[table["seed"] > 0], table[table["seed"] == 0]
    groups = [g for g in (*_HEADINGS, ACROSS) if g in set(table["group"]) and g != "seen people"]
    sizes = [table.loc[table["group"] == g, "method"].nunique() for g in groups]
    drawn, axes = style.panels([1.2 + 0.3 * n for n in sizes])
    for axis, group in zip(axes, groups, strict=True):
        part = seeds[seeds["group"] == group]
        means = pooled[pooled["group"] == group].rename(columns={"r": "value"})
        names = [name for name in _COMPARED if name in set(part["method"])]
        for place, name in enumerate(names):
            row = means[means["method"] == name].iloc[0]
            style.bar(axis, place, row, _COMPARED[name][0], alpha=0.75)
            points = part[part["method"] == name]["r"]
            axis.scatter(points, [place] * len(points), s=10, color=style.INK, zorder=4)
        style.rows(axis, [style.wrapped(_COMPARED[name][1], 30) for name in names])
        axis.axvline(0, color=style.INK, lw=0.8)
        n, people = style.span(part["genes"]), style.span(part["people"])
        title = _HEADINGS.get(group, "Across genes, people not trained on")
        axis.set_title(f"{title}\nn = {n} genes, {people} people", fontsize=9)
        axis.set_xlabel("r across genes" if group == ACROSS else "mean r over genes")
    first = table.iloc[0]
    caption = (
        f"{first['strategy'].replace('_', ' ')} on {first['trained_genes']} genes and "
        f"{first['trained_people']} people, {first['epochs']} epochs, {seeds['seed'].nunique()} "
        f"seeds of splits and training (measured on {table['date'].max()}). Bars: r of each gene "
        "averaged over seeds, mean over genes, 95 % interval by block bootstrap over genes; "
        f"points: seeds. {_gains(pooled)}Linear models have the same people and the same window; "
        "they give no prediction for genes without training people. The last panel is one "
        "correlation over genes; there the look-up, the mean over the training people, needs no "
        "sequence."
    )
    return drawn, table, caption


def _gains(pooled: pd.DataFrame) -> str:
    """Say what the trained network's r is above others', paired by gene."""
    part = pooled[pooled["group"] == "unseen people"].set_index("method")
    said = [
        f"{style.signed(row.gain)} {style.interval(row.gain_low, row.gain_high)} above {words}"
        for name, words in (("network", "the network before"), ("blup", "BLUP"))
        if (row := part.loc[name]) is not None
    ]
    return f"In unseen people, paired by gene, the trained network's r is {' and '.join(said)}. "


@figure("training_choices", zero="people")
def training_choices(view: View) -> Drawn:
    """Mean r by how batches are made and batch norm, people and epochs; seeds as points."""
    table = _measured(view, "choices")
    if table is None:
        return "Not measured here; `howfar bench finetune --setting` does it."
    usual = _measured(view, "demo")
    table = table if usual is None else pd.concat([usual, table], ignore_index=True)
    own = table["strategy"].str.replace("_", " ") + ", " + table["epochs"].astype(str) + " epochs"
    table["setting"] = own.where(table["setting"] == "default", table["setting"])
    shown = table[table["method"].isin(("fine-tuned", "blup"))]
    caption = (
        "Other trainings, each beside BLUP on the same people and the network's window "
        f"(measured on {table['date'].max()}). Bars: r of each gene averaged over seeds, mean over "
        "genes, 95 % interval by block bootstrap over genes; points: seeds of splits and training."
    )
    return _by_setting(shown), shown, caption


@figure("strategies_tried", zero="people")
def strategies_tried(view: View) -> Drawn:
    """Mean r of one short training by each strategy."""
    table = _measured(view, "strategies")
    if table is None:
        return "Only on the demo cohort was each strategy tried."
    shown = table.dropna(subset=["r"]).assign(method="fine-tuned", seed=0)
    minutes = (shown["seconds"] / 60).map("{:.1f}".format)
    shown["setting"] = shown["strategy"].str.replace("_", " ") + ", " + minutes + " min"
    seen = shown[shown["group"] == "seen people"].set_index("setting")["people"]
    shown["trained_people"] = shown["setting"].map(seen).astype(int)
    joint = ", ".join(sorted(set(table.loc[table["other_data"].notna(), "strategy"]))).replace(
        "_", " "
    )
    caption = (
        "Each strategy ran end to end, one seed, minutes each (measured on "
        f"{table['date'].max()}): too short to rank them. The additional data of {joint} were "
        "simulated. Lines: 95 % intervals, block bootstrap over genes. If a strategy "
        "is drawn twice, the longer training has more genes."
    )
    return _by_setting(shown), table, caption


def _by_setting(shown: pd.DataFrame) -> Figure:
    """Draw a panel for each group, a row for each setting, with BLUP's r where it is there."""
    groups = [g for g in _HEADINGS if g in set(shown["group"])]
    settings = list(shown["setting"].unique())
    methods = [m for m in ("fine-tuned", "blup") if m in set(shown["method"])]
    shifts = {m: 0.32 * (k - (len(methods) - 1) / 2) for k, m in enumerate(methods)}
    drawn, axes = style.panels([0.9 + 0.42 * len(settings)] * len(groups))
    for axis, group in zip(axes, groups, strict=True):
        part, names = shown[shown["group"] == group], []
        for place, setting in enumerate(settings):
            one = part[part["setting"] == setting]
            for method, shift in shifts.items():
                rows = one[one["method"] == method].rename(columns={"r": "value"})
                mean = rows[rows["seed"] == 0] if (rows["seed"] == 0).any() else rows
                colour, label = _COMPARED[method]
                if len(mean):
                    style.bar(axis, place + shift, mean.iloc[0], colour, 0.3, label=label)
                points = rows[rows["seed"] > 0]["value"]
                axis.scatter(points, [place + shift] * len(points), s=10, color=style.INK, zorder=4)
            first = shown[shown["setting"] == setting].iloc[0]
            words = f"{first['trained_people']} people, {first['trained_genes']} genes"
            names.append(style.wrapped(f"{setting} ({words}, {first['steps']} steps)", 26))
        style.rows(axis, names)
        axis.axvline(0, color=style.INK, lw=0.8)
        n, people = style.span(part["genes"]), style.span(part["people"])
        axis.set_title(f"{_HEADINGS[group]}\nn = {n} genes, {people} people", fontsize=9)
    axes[-1].set_xlabel("mean r over genes")
    _legend_once(drawn, axes[0])
    return drawn


def _legend_once(drawn: Figure, axis: Any) -> None:
    """Name each colour once, above the panels."""
    marks = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    drawn.legend(marks.values(), marks.keys(), loc="outside upper left", ncols=2, fontsize=8.5)


_CLASSES = {"common": "#0072B2", "rare": "#009E73", "private": "#D55E00", "absent": "#959595"}
_AGAINST = {
    "slope": "Slope among people who train",
    "slope_others": "Slope among all others",
    "truth": "True effect",
    "size": "Size of effects",
}


@figure("trained_effects", zero="signs")
def trained_effects(view: View) -> Drawn:
    """Effects of variants before and after training, and how they go with eQTL slopes."""
    table, summary = _measured(view, "effects"), _measured(view, "effects_summary")
    if table is None or summary is None:
        return "Not measured here; `howfar bench trained-effects` does it for one training."
    kinds = [kind for kind in ("all", *_CLASSES) if kind in set(summary["kind"])]
    wanted = [name for name in _AGAINST if name in set(summary["against"])]
    drawn, axes = style.panels([0.8 + 0.38 * len(kinds)] * len(wanted) + [3.2])
    for axis, against in zip(axes, wanted, strict=False):
        part = summary[summary["against"] == against]
        names = []
        for place, kind in enumerate(kinds):
            rows = part[part["kind"] == kind].set_index("network")
            for network, shift in (("before", -0.14), ("after", 0.14)):
                if network in rows.index:
                    colour = _COMPARED["network" if network == "before" else "fine-tuned"][0]
                    mark = "o" if network == "before" else "s"
                    style.estimate(axis, place + shift, rows.loc[network], colour, mark)
                    axis.plot([], [], f"{mark}-", color=colour, label=f"{network} training")
            n = (
                f"n = {rows['variants'].iloc[0]:,}, {rows['genes'].iloc[0]} genes"
                if len(rows)
                else "–"
            )
            names.append(f"{kind} ({n})")
        style.rows(axis, names)
        axis.axvline(0, color=style.INK, lw=0.8)
        axis.set_title(_AGAINST[against], fontsize=9.5)
        r = "r within a gene, mean over genes"
        axis.set_xlabel("mean of a gene's |effect|, SD of all" if against == "size" else r)
    _legend_once(drawn, axes[0])
    last = axes[-1]
    for (kind, colour), mark in zip(_CLASSES.items(), style.MARKS, strict=False):
        part = table[table["kind"] == kind]
        label = f"{kind}, n = {len(part):,}"
        dots = {"s": 8, "alpha": 0.6, "lw": 0, "marker": mark}
        last.scatter(part["before"], part["after"], color=colour, label=label, **dots)
    style.cross(last)
    last.set(xlabel="effect before, SD", ylabel="effect after, SD")
    last.set_title("Each variant's effect (alternative allele)", fontsize=9.5)
    last.legend(fontsize=7.5)
    first = summary.iloc[0]
    caption = (
        f"Variants in the windows of {table['gene_id'].nunique()} genes trained on "
        f"{first['trained_people']} people for {first['epochs']} epochs (training "
        f"{first['training']}, measured on {summary['date'].max()}). Slopes: of expression on one "
        "variant at a time. Common: minor allele frequency of 5 % or more among the training "
        "people; private: one of them carries it; absent: none does, so its effect changed "
        "through other variants. Intervals: 95 %, block bootstrap over genes. A private variant's "
        "slope is its carrier's expression, whatever its cause."
    )
    return drawn, summary, caption
