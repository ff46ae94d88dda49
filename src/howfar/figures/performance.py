"""Fine-tuned networks beside linear models: mean r over genes, published and worked out again."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar import stats
from howfar.figures import style
from howfar.figures.view import View, figure
from howfar.published import stated as book_stated
from howfar.published.rastogi2024_methods import BY_RUN, CLASSES
from howfar.stats.blocks import blocks_of

_NONE = "No averages over classes of genes are public for this study."
#: Headings of the classes of genes.
HEADINGS = {
    "random_split": "Trained genes, unseen people",
    "yri_split": "Trained genes, unseen Yoruba",
    "unseen": "Unseen genes",
    "pooled": "All genes",
}
_STATED = {"marker": "D", "facecolor": "none", "edgecolor": style.INK, "linewidth": 1.1, "s": 34}


def summary(view: View, what: str) -> pd.DataFrame:
    """Rows of table `summary` of one set, with run_id and colour, in the order of methods."""
    table = view.tables["summary"]
    table = table[table["set"] == what]
    runs = {label: run for run, label in view.labels.items()}
    table = table[table["method"].isin(runs)]
    table = table.assign(run_id=table["method"].map(runs))
    place = {run: i for i, run in enumerate(view.labels)}
    order = table["run_id"].map(place).sort_values(kind="stable").index
    return table.loc[order].assign(colour=table["run_id"].map(view.colours))


def stated() -> dict[str, float]:
    """Numbers that papers print, by id (``data/published_numbers.csv``); not those in words."""
    table = book_stated.stated()
    value = pd.to_numeric(table["stated"], errors="coerce")
    return dict(zip(table["id"][value.notna()], value.dropna(), strict=True))


def _number_id(run: str, group: str, kind: str) -> str:
    method = BY_RUN.get(run)
    return f"R.{'abs.' if kind else ''}{method.number if method else None}.{CLASSES.get(group)}"


# --- methods side by side --------------------------------------------------------------------


@figure("performance")
def method_performance(view: View):
    """Mean r over genes per method and class of genes; replicates; what the paper's figure says."""
    return _performance(view, "", "mean r over genes", compared)


@figure("performance_abs")
def method_performance_abs(view: View):
    """As `method_performance`, of |r|."""
    return _performance(view, "_abs", "mean |r| over genes", compared)


@figure("performance_variants")
def performance_variants(view: View):
    """As `method_performance`, of the variants of fine-tuning that the main figure leaves out."""
    return _performance(view, "", "mean r over genes", _variants)


def compared(run: str) -> bool:
    """Whether a run is one of the study's main comparison, not a variant of its training."""
    return run not in BY_RUN or BY_RUN[run].number is not None


def _variants(run: str) -> bool:
    return run in ("enformer", "pairwise_regression") or not compared(run)


def _performance(view: View, kind: str, axis_label: str, wanted):
    table = summary(view, f"performance{kind}")
    table = table[table["run_id"].map(wanted)]
    if table.empty:
        return _NONE
    older, again = (summary(view, f"performance{kind}_2024"), summary(view, "performance_again"))
    labels, runs = stated(), list(pd.unique(table["run_id"]))
    groups = [g for g in HEADINGS if g in set(table["group"])]
    sizes = [table.loc[table["group"] == g, "run_id"].nunique() for g in groups]
    drawn, axes = style.panels([0.75 + 0.28 * size for size in sizes])
    for axis, group in zip(axes, groups, strict=True):
        part = table[table["group"] == group]
        mine = [run for run in runs if run in set(part["run_id"])]
        for place, run in enumerate(mine):
            rows = part[part["run_id"] == run]
            _bar(axis, place, rows, _interval(again, run, group) if not kind else None)
            _marks(axis, place, rows, labels.get(_number_id(run, group, kind)), older)
        _finish(axis, mine, view, f"{HEADINGS[group]}, n = {part['n'].iloc[0]} genes", table)
    axes[-1].set_xlabel(axis_label)
    drawn.legend(handles=_keys(kind), loc="outside lower center", ncols=2, fontsize=8)
    caption = _CAPTION + ("" if kind else _LINES) + _NOT_UNSEEN
    return drawn, table.drop(columns="colour"), caption


_CAPTION = (
    "Bars: mean over genes of the correlation across people, averaged over replicates (white "
    "points), from the authors' summary of December 2025. Diamonds: the label in the published "
    "figure, where it is known; grey triangles: the summary of September 2024 where it differs. "
)
_LINES = "Lines: 95 % block-bootstrap interval, where individual predictions are public. "
_NOT_UNSEEN = "Linear models cannot be applied to genes that they were not trained on."


def _interval(again: pd.DataFrame, run: str, group: str):
    found = again[(again["run_id"] == run) & (again["group"] == group)]
    # Not all unseen genes are public, and not all people: that interval is of another mean.
    return None if found.empty or group == "unseen" else found.iloc[0]


def _bar(axis, place: float, rows: pd.DataFrame, interval) -> None:
    mean = rows["value"].mean()
    axis.barh(place, mean, color=rows["colour"].iloc[0], height=0.62)
    end = max(mean, rows["value"].max())
    if interval is not None:
        axis.plot([interval.ci_low, interval.ci_high], [place] * 2, color=style.INK, lw=1.2)
        end = np.nanmax([end, interval.ci_high])
    if len(rows) > 1:
        dots = {"s": 11, "color": "white", "edgecolor": style.INK, "linewidth": 0.6, "zorder": 4}
        axis.scatter(rows["value"], [place] * len(rows), **dots)
    style.words(axis, max(end, 0) + 0.012, place, style.signed(mean), 8.5)


def _marks(axis, place: float, rows: pd.DataFrame, label: float | None, older) -> None:
    before = older[
        (older["run_id"] == rows["run_id"].iloc[0]) & (older["group"] == rows["group"].iloc[0])
    ]["value"].mean()
    if abs(before - rows["value"].mean()) > 1e-6:
        axis.scatter(before, place, marker="^", s=30, color="#bdbdbd", edgecolor=style.INK,
                     linewidth=0.5, zorder=5)  # fmt: skip
    if label is not None:
        axis.scatter(label, place, zorder=6, **_STATED)


def _finish(axis, runs: list[str], view: View, title: str, table: pd.DataFrame) -> None:
    style.rows(axis, [style.wrapped(view.labels[run], 26) for run in runs])
    axis.set_xlim(min(0, table["value"].min() - 0.01), 1.35 * table["value"].max())
    axis.axvline(0, color=style.INK, lw=0.8)
    axis.set_title(title, fontsize=9.5)


def _keys(kind: str) -> list:
    from matplotlib.lines import Line2D

    plain = {"linestyle": "", "markeredgecolor": style.INK}
    keys = [
        Line2D([], [], marker="o", color="white", ms=4, label="one replicate", **plain),
        Line2D([], [], marker="D", color="none", ms=5, label="label in the paper", **plain),
        Line2D([], [], marker="^", color="#bdbdbd", ms=6, label="summary of 2024", **plain),
    ]
    if not kind:
        keys.append(Line2D([], [], color=style.INK, lw=1.2, label="95 % interval"))
    return keys


@figure("performance_versions")
def performance_versions(view: View):
    """The two public versions of the summary, model by model, and the labels of the figure."""
    new, old = summary(view, "performance"), summary(view, "performance_2024")
    if old.empty:
        return "Only one version of this study's averages is public."
    keys = ["run_id", "method", "group", "replicate"]
    both = new.merge(old[[*keys, "value"]], on=keys, suffixes=("", "_2024"))
    unlike = (both["value"] - both["value_2024"]).abs() > 1e-9
    differ = both[both["method"].isin(both.loc[unlike, "method"])]
    if differ.empty:
        return "The two public versions of this study's averages are equal."
    drawn, (axis,) = style.panels([1.6 + 0.5 * differ["group"].nunique()])
    groups = [g for g in HEADINGS if g in set(differ["group"])]
    for place, group in enumerate(groups):
        _both_versions(axis, place, differ[differ["group"] == group])
    style.rows(axis, [style.wrapped(HEADINGS[g], 22) for g in groups], 8)
    axis.set(xlim=(0, 1.3 * differ["value"].max()), xlabel="mean r over genes")
    names = sorted(set(differ["method"]))
    same = both["method"].nunique() - len(names)
    replicates = differ["replicate"].nunique()
    axis.set_title(f"{', '.join(names)}, n = {replicates} replicates", fontsize=9.5)
    caption = (
        f"Of the {both['method'].nunique()} methods in both summaries {same} are equal to the last "
        f"digit. {', '.join(names)} was trained again: points are replicates, bars their means, "
        "the diamond is the label in the published figure, which follows the older summary."
    )
    return drawn, both.drop(columns="colour"), caption


def _both_versions(axis, place: int, part: pd.DataFrame) -> None:
    """Replicates and means of one class of genes in both versions, and the figure's label."""
    end = part[["value", "value_2024"]].max().max() + 0.008
    for y, column in ((place - 0.14, "value"), (place + 0.14, "value_2024")):
        colour = part["colour"].iloc[0] if column == "value" else "#bdbdbd"
        mean = part[column].mean()
        axis.scatter(part[column], [y] * len(part), s=16, color=colour, alpha=0.8)
        axis.plot([mean] * 2, [y - 0.1, y + 0.1], color=colour, lw=2.5)
        year = "2025" if column == "value" else "2024"
        style.words(axis, end, y, f"{year}: {mean:.4f}", 8)
    first = part.iloc[0]
    label = stated().get(_number_id(first["run_id"], first["group"], ""))
    if label is not None:
        axis.scatter(label, place + 0.14, zorder=6, **_STATED)


# --- settings of the training ----------------------------------------------------------------


@figure("training_size")
def training_size(view: View):
    """Mean r against the share of people trained on; fine-tuned network and BLUP."""
    table = summary(view, "training_size")
    if table.empty:
        return "No results by the number of people trained on are public for this study."
    again, groups = summary(view, "training_size_again"), list(CLASSES)
    drawn, axes = style.panels([2.1] * len(groups))
    for axis, group in zip(axes, groups, strict=True):
        part = table[table["group"] == group]
        _lines(axis, part, 100)
        mine = again[again["group"] == group]
        if len(mine):
            mine = mine.groupby("x")["value"].mean()
            axis.scatter(100 * mine.index, mine, marker="x", s=30, color=style.INK, zorder=5,
                         linewidth=1, label="BLUP, from individual predictions")  # fmt: skip
        _printed(axis, part, group)
        released = summary(view, "performance")
        _level(axis, released[(released["run_id"] == "enformer") & (released["group"] == group)])
        axis.set(ylim=(0, 1.2 * part["value"].max()), xlim=(12, 118), ylabel="mean r over genes")
        axis.set_xticks([20, 40, 60, 80, 100])
        axis.set_title(f"{HEADINGS[group]}, n = {part['n'].iloc[0]} genes", fontsize=9.5)
    axes[-1].set_xlabel("people trained on (% of those available)")
    handles, labels = axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside upper left", ncols=2, fontsize=8)
    caption = (
        "Mean r over genes by the share of the training people used. Small points: three replicates"
        " (BLUP with everybody has one). Crosses: BLUP worked out again from individual "
        "predictions. Diamonds: labels of the published figure. Dashed: Enformer as released, not "
        "trained on these people."
    )
    return drawn, table.drop(columns="colour"), caption


def _lines(axis, part: pd.DataFrame, scale: float = 1.0) -> None:
    for _, rows in part.groupby("run_id", sort=False):
        colour, means = rows["colour"].iloc[0], rows.groupby("x")["value"].mean()
        axis.scatter(scale * rows["x"], rows["value"], s=9, color=colour, alpha=0.55, lw=0)
        axis.plot(scale * means.index, means, "o-", ms=4, color=colour,
                  label=rows["method"].iloc[0])  # fmt: skip


def _printed(axis, part: pd.DataFrame, group: str) -> None:
    """The paper's labels, and our values for everybody, at the right of the panel."""
    labels, names = stated(), {"pairwise_regression": "ft", "blup": "blup"}
    for run, rows in part.groupby("run_id", sort=False):
        means = rows.groupby("x")["value"].mean()
        for x in means.index:
            key = f"R.6.{names.get(run)}{round(100 * x)}.{CLASSES[group]}"
            if key in labels:
                axis.scatter(100 * x, labels[key], zorder=6, **_STATED)
        side = "bottom" if run == "pairwise_regression" else "top"
        style.words(axis, 102, means.iloc[-1], style.signed(means.iloc[-1]), 8, va=side)


def _level(axis, rows: pd.DataFrame) -> None:
    if len(rows):
        value, label = rows["value"].mean(), f"{rows['method'].iloc[0]}, as released"
        axis.axhline(value, ls="--", lw=1.2, color=rows["colour"].iloc[0], label=label)


@figure("rare_variants")
def rare_variants(view: View):
    """Mean r when variants below an allele frequency are taken out of the test sequences."""
    table = summary(view, "rare_variants")
    if table.empty:
        return "No results without rare variants are public for this study."
    groups = [g for g in CLASSES if g in set(table["group"])]
    drawn, axes = style.panels([2.2] * len(groups))
    for axis, group in zip(axes, groups, strict=True):
        part = table[table["group"] == group]
        _lines(axis, part)
        means = part.groupby("x")["value"].mean()
        axis.axvline(0.05, color=style.FAINT, lw=0.8, ls=":")
        text = (
            f"all variants: {style.signed(means[0.0])}\nfrom 0.05 on: {style.signed(means[0.05])}"
        )
        style.note(axis, text, x=0.6)
        axis.set(ylim=(0, 1.15 * part["value"].max()), ylabel="mean r over genes")
        axis.set_title(f"{HEADINGS[group]}, n = {part['n'].iloc[0]} genes", fontsize=9.5)
    axes[-1].set_xlabel("smallest allele frequency kept (training people)")
    caption = (
        f"{table['method'].iloc[0]} on sequences in which alleles rarer than the threshold are "
        "replaced by the common one. Small points: three replicates. Dotted: 5 %."
    )
    return drawn, table.drop(columns="colour"), caption


# --- worked out again from people ------------------------------------------------------------


@figure("performance_again")
def performance_again(view: View):
    """Per-gene r of the methods whose individual predictions are public, beside the summary."""
    means, table = summary(view, "performance_again"), view["across"]
    if means.empty:
        return "No individual predictions are public for this study."
    given = summary(view, "performance").groupby(["run_id", "group"])["value"].mean()
    groups = [g for g in CLASSES if g in set(means["group"])]
    sizes = [(means["group"] == g).sum() for g in groups]
    drawn, axes = style.panels([0.7 + 0.47 * size for size in sizes])
    for axis, group in zip(axes, groups, strict=True):
        part = means[means["group"] == group].reset_index(drop=True)
        for place, row in enumerate(part.itertuples()):
            mine = table[(table["run_id"] == row.run_id) & (table["population"] == group)]
            _ridge(axis, place, mine["pearson"].fillna(0), row, given.get((row.run_id, group)))
        axis.set(yticks=[], xlim=(-1.45, 1), ylim=(len(part) - 0.45, -0.5))
        axis.set_xticks([-0.5, 0, 0.5, 1])
        axis.axvline(0, color=style.FAINT, lw=0.8)
        people = style.span(table.loc[table["population"] == group, "n"])
        title = f"{HEADINGS[group]}: {int(part['n'].max())} genes, {people} people each"
        axis.set_title(title, fontsize=9.5)
    axes[-1].set_xlabel("r across people (one gene, one value)")
    caption = (
        "Distribution over genes of r across test people, worked out from public individual "
        "predictions and observed expression; a constant prediction counts as 0. White point and "
        "line: mean and 95 % block-bootstrap interval; cross: the authors' summary. Of the "
        "unseen genes, 100 of the summary's 670 and part of the people are public."
    )
    return drawn, means.drop(columns="colour"), caption


def _ridge(axis, place: float, r: pd.Series, row, given: float | None) -> None:
    floor = place + 0.3
    style.ridge(axis, floor, r, 0.55, row.colour)
    axis.plot([row.ci_low, row.ci_high], [floor] * 2, color=style.INK, lw=2)
    axis.plot(row.value, floor, "o", mfc="white", mec=style.INK, ms=5)
    if given is not None:
        axis.plot(given, floor, "x", color=style.INK, ms=6, mew=1.2)
    text = (
        f"{row.method}\n{style.signed(row.value)} {style.interval(row.ci_low, row.ci_high, 2)}, "
        f"{100 * (r < 0).mean():.0f} % below 0"
    )
    style.words(axis, -1.44, floor - 0.3, text, 7.5)


@figure("linear_against_network")
def linear_against_network(view: View):
    """Per gene: r of the network as released against r of a linear model, in each class."""
    table = view["across"]
    kinds = view.kinds
    runs = view.runs_in(table["run_id"])
    network = next((run for run in runs if kinds[run] == "network"), None)
    # The elastic net is what the field calls PrediXcan; else the first linear model there is.
    linear = next((run for run in ("elastic_net", *runs) if kinds.get(run) == "linear"), None)
    if network is None or linear is None:
        return "This study has no r per gene of both a network and a linear model."
    wide = table.assign(r=table["pearson"].fillna(0)).pivot(
        index=["population", "gene_id"], columns="run_id", values="r"
    )
    pairs = wide[[linear, network]].dropna().reset_index()
    groups = [g for g in HEADINGS if g in set(pairs["population"])]
    drawn, axes = style.panels([3.2] * len(groups))
    for axis, group in zip(axes, groups, strict=True):
        _pair_panel(axis, pairs[pairs["population"] == group], (linear, network), view)
        axis.set_title(HEADINGS[group], fontsize=9.5)
    axes[-1].set_xlabel(f"r across people, {view.labels[linear]}")
    caption = (
        f"One point is one gene; averages hide this. Above the diagonal {view.labels[network]}, as "
        f"released, does better than {view.labels[linear]}. Red: genes that the linear model "
        "predicts with r above 0.2 and the network with r below 0: it orders people the wrong way "
        "round. The interval of the correlation of the two is by block bootstrap."
    )
    return drawn, pairs, caption


def _pair_panel(axis, part: pd.DataFrame, runs: tuple[str, str], view: View) -> None:
    x, y = (part[run].to_numpy(float) for run in runs)
    wrong = (x > 0.2) & (y < 0)
    dots = {"s": 12, "linewidths": 0, "alpha": 0.6}
    axis.scatter(x[~wrong], y[~wrong], color=view.colours[runs[1]], **dots)
    axis.scatter(x[wrong], y[wrong], color="#D55E00", marker="v", **dots)
    axis.plot([-1, 1], [-1, 1], color=style.FAINT, lw=0.8)
    style.cross(axis)
    axis.set(xlim=(-0.55, 0.95), ylim=(-0.8, 0.95), ylabel=f"r, {view.labels[runs[1]]}")
    (r,), _ = stats.pearson_rows(x, y)
    blocks, _ = blocks_of(view.tables["genes"], part["gene_id"])
    pairs = np.column_stack([x, y])
    low, high = stats.block_bootstrap(pairs, blocks, stats.weighted_pearson, weighted=True)
    style.note(
        axis,
        f"n = {len(x)} genes; r of the two = {style.signed(r, 2)} {style.interval(low, high, 2)}\n"
        f"{(y > x).sum()} genes above the diagonal, {wrong.sum()} red",
    )
