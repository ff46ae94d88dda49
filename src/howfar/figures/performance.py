"""Fine-tuned networks beside linear models: mean r over genes, published and worked out again."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd
from matplotlib.lines import Line2D

from howfar.evaluation.numbers.pairs import WRONG
from howfar.evaluation.run_comparison import by_class
from howfar.figures import fine_tuning, style
from howfar.figures.view import Drawn, View, figure
from howfar.published import stated as book_stated
from howfar.published.rastogi2024_methods import BY_RUN, CLASSES

_NONE = "No averages over classes of genes are public for this study."
#: Headings of the classes of genes.
HEADINGS = {
    "random_split": "Trained genes, unseen people",
    "yri_split": "Trained genes, unseen Yoruba",
    "unseen": "Unseen genes",
    "pooled": "All genes",
    "mixed": "Genes judged in people of several populations",
}


def heading(group: str) -> str:
    """Head a class of genes, or the genes that were judged in one population."""
    return HEADINGS.get(group, f"Genes judged in {group} alone")


def ordered(groups: Iterable[str]) -> list[str]:
    """Order groups of genes as `HEADINGS` does, single populations last."""
    given = set(groups)
    return [*(g for g in HEADINGS if g in given), *sorted(given - set(HEADINGS))]


_STATED = {"marker": "D", "facecolor": "none", "edgecolor": style.INK, "linewidth": 1.1, "s": 34}
_KEY = ["run_id", "method", "group"]


def summary(view: View, what: str) -> pd.DataFrame:
    """Rows of table `summary` of one set, with run_id and colour, in the order of methods."""
    table = view.summary(what)
    runs = {label: run for run, label in view.labels.items()}
    table = table[table["method"].isin(runs)]
    table = table.assign(run_id=table["method"].map(runs))
    place = {run: i for i, run in enumerate(view.labels)}
    order = table["run_id"].map(place).sort_values(kind="stable").index
    return table.loc[order].assign(colour=table["run_id"].map(view.colours))


def means(view: View, what: str) -> pd.DataFrame:
    """Means over replicates of a set, as `summary`; without them there is no figure."""
    table = summary(view, f"{what}.mean")
    if table.empty and len(summary(view, what)):
        view.need(f"{what}.mean of table summary")
    return table


def stated() -> dict[str, float]:
    """Numbers that papers print, by id (``data/published_numbers.csv``); not those in words."""
    table = book_stated.stated()
    value = pd.to_numeric(table["stated"], errors="coerce")
    return dict(zip(table["id"][value.notna()], value.dropna(), strict=True))


def _number_id(run: str, group: str, kind: str) -> str:
    method = BY_RUN.get(run)
    return f"R.{'abs.' if kind else ''}{method.number if method else None}.{CLASSES.get(group)}"


def _heading(axis, part: pd.DataFrame, group: str) -> None:
    axis.set_title(f"{HEADINGS[group]}, n = {part['n'].iloc[0]} genes", fontsize=9.5)


# --- methods side by side --------------------------------------------------------------------


@figure("performance", zero="people")
def method_performance(view: View) -> Drawn:
    """Mean r over genes per method and class of genes; replicates; what the paper's figure says.

    Of a study that isn't published, the networks trained on its people.
    """
    if fine_tuning.trained_here(view):
        return fine_tuning.trainings(view)
    return _performance(view, "", "mean r over genes", compared)


@figure("performance_abs", zero="people")
def method_performance_abs(view: View) -> Drawn:
    """As `method_performance`, of |r|."""
    return _performance(view, "_abs", "mean |r| over genes", compared)


@figure("performance_variants", zero="people")
def performance_variants(view: View) -> Drawn:
    """As `method_performance`, of the variants of fine-tuning that the main figure leaves out."""
    return _performance(view, "", "mean r over genes", _variants)


def compared(run: str) -> bool:
    """Whether a run is one of the study's main comparison, not a variant of its training."""
    return run not in BY_RUN or BY_RUN[run].number is not None


def _variants(run: str) -> bool:
    return run in ("enformer", "pairwise_regression") or not compared(run)


def _performance(view: View, kind: str, axis_label: str, wanted: Callable[[str], bool]) -> Drawn:
    table = summary(view, f"performance{kind}")
    table = table[table["run_id"].map(wanted)]
    if table.empty:
        return _NONE
    bars = means(view, f"performance{kind}")
    older = means(view, f"performance{kind}_2024").set_index(_KEY)["value"]
    again, labels = summary(view, "performance_again"), stated()
    groups = [g for g in HEADINGS if g in set(table["group"])]
    sizes = [table.loc[table["group"] == g, "run_id"].nunique() for g in groups]
    drawn, axes = style.panels([0.75 + 0.28 * size for size in sizes])
    for axis, group in zip(axes, groups, strict=True):
        part = bars[(bars["group"] == group) & bars["run_id"].map(wanted)]
        for place, bar in enumerate(part.itertuples()):
            rows = table[(table["run_id"] == bar.run_id) & (table["group"] == group)]
            line = again[(again["run_id"] == bar.run_id) & (again["group"] == group)]
            # Not all unseen genes are public, and not all people: that interval is of another mean.
            _bar(axis, place, bar, rows, line.iloc[: int(not kind and group != "unseen")])
            before = older.get((bar.run_id, bar.method, group))
            if before is not None and abs(before - bar.value) > 1e-6:
                grey = {"color": "#bdbdbd", "edgecolor": style.INK, "linewidth": 0.5}
                axis.scatter(before, place, marker="^", s=30, zorder=5, **grey)
            label = labels.get(_number_id(bar.run_id, group, kind))
            if label is not None:
                axis.scatter(label, place, zorder=6, **_STATED)
        style.rows(axis, [style.wrapped(method, 26) for method in part["method"]])
        axis.set_xlim(min(0, table["value"].min() - 0.01), 1.35 * table["value"].max())
        axis.axvline(0, color=style.INK, lw=0.8)
        _heading(axis, part, group)
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


def _bar(axis, place: float, bar, rows: pd.DataFrame, interval: pd.DataFrame) -> None:
    """A method's mean with its replicates (`rows`) and, where there is one row of it, interval."""
    axis.barh(place, bar.value, color=bar.colour, height=0.62)
    for row in interval.itertuples():
        style.span_line(axis, place, row, lw=1.2)
    if len(rows) > 1:
        dots = {"s": 11, "color": "white", "edgecolor": style.INK, "linewidth": 0.6, "zorder": 4}
        axis.scatter(rows["value"], [place] * len(rows), **dots)
    end = max(0, bar.value, rows["value"].max(), interval["ci_high"].fillna(0).sum())
    style.words(axis, end + 0.012, place, style.signed(bar.value), 8.5)


def _keys(kind: str) -> list[Line2D]:
    plain = {"linestyle": "", "markeredgecolor": style.INK}
    keys = [
        Line2D([], [], marker="o", color="white", ms=4, label="one replicate", **plain),
        Line2D([], [], marker="D", color="none", ms=5, label="label in the paper", **plain),
        Line2D([], [], marker="^", color="#bdbdbd", ms=6, label="summary of 2024", **plain),
    ]
    if not kind:
        keys.append(Line2D([], [], color=style.INK, lw=1.2, label="95 % interval"))
    return keys


@figure("performance_versions", zero="people")
def performance_versions(view: View) -> Drawn:
    """The two public versions of the summary, model by model, and the labels of the figure."""
    new, old = summary(view, "performance"), summary(view, "performance_2024")
    if old.empty:
        return "Only one version of this study's averages is public."
    keys = [*_KEY, "replicate"]
    both = new.merge(old[[*keys, "value"]], on=keys, suffixes=("", "_2024"))
    unlike = (both["value"] - both["value_2024"]).abs() > 1e-9
    differ = both[both["method"].isin(both.loc[unlike, "method"])]
    if differ.empty:
        return "The two public versions of this study's averages are equal."
    versions = {
        year: means(view, f"performance{kind}").set_index(_KEY)["value"]
        for year, kind in (("2025", ""), ("2024", "_2024"))
    }
    drawn, (axis,) = style.panels([1.6 + 0.5 * differ["group"].nunique()])
    groups = [g for g in HEADINGS if g in set(differ["group"])]
    for place, group in enumerate(groups):
        _both_versions(axis, place, differ[differ["group"] == group], versions)
    style.rows(axis, [style.wrapped(HEADINGS[g], 22) for g in groups], 8)
    axis.set(xlim=style.from_zero(differ["value"], room=1.3), xlabel="mean r over genes")
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


def _both_versions(axis, place: int, part: pd.DataFrame, versions: dict[str, pd.Series]) -> None:
    """Replicates and means of one class of genes in both versions, and the figure's label."""
    end = part[["value", "value_2024"]].max().max() + 0.008
    first = part.iloc[0]
    for y, column, year, colour in (
        (place - 0.14, "value", "2025", first["colour"]),
        (place + 0.14, "value_2024", "2024", "#bdbdbd"),
    ):
        mean = versions[year][tuple(first[_KEY])]
        axis.scatter(part[column], [y] * len(part), s=16, color=colour, alpha=0.8)
        axis.plot([mean] * 2, [y - 0.1, y + 0.1], color=colour, lw=2.5)
        style.words(axis, end, y, f"{year}: {mean:.4f}", 8)
    label = stated().get(_number_id(first["run_id"], first["group"], ""))
    if label is not None:
        axis.scatter(label, place + 0.14, zorder=6, **_STATED)


# --- settings of the training ----------------------------------------------------------------


@figure("training_size", zero="people")
def training_size(view: View) -> Drawn:
    """Mean r against the share of people trained on; fine-tuned network and BLUP."""
    if fine_tuning.trained_here(view):
        return fine_tuning.training_share(view)
    table = summary(view, "training_size")
    if table.empty:
        return "No results by the number of people trained on are public for this study."
    curves, again = means(view, "training_size"), means(view, "training_size_again")
    released = means(view, "performance")
    released = released[released["run_id"] == "enformer"]
    groups = list(CLASSES)
    drawn, axes = style.panels([2.1] * len(groups))
    for axis, group in zip(axes, groups, strict=True):
        part, lines = (t[t["group"] == group] for t in (table, curves))
        _lines(axis, part, lines, 100)
        repeated = again[again["group"] == group]
        if len(repeated):
            cross = {"marker": "x", "s": 30, "color": style.INK, "zorder": 5, "linewidth": 1}
            label = "BLUP, from individual predictions"
            axis.scatter(100 * repeated["x"], repeated["value"], label=label, **cross)
        _printed(axis, lines, group)
        for row in released[released["group"] == group].itertuples():
            line = {"color": row.colour, "label": f"{row.method}, as released"}
            axis.axhline(row.value, ls="--", lw=1.2, **line)
        axis.set(xlim=(12, 118), ylabel="mean r over genes")
        axis.set_ylim(style.from_zero(part["value"], room=1.2))
        axis.set_xticks([20, 40, 60, 80, 100])
        _heading(axis, part, group)
    axes[-1].set_xlabel("people trained on (% of those available)")
    style.legend(drawn, axes[0], "outside upper left")
    caption = (
        "Mean r over genes by the share of the training people used. Small points: three replicates"
        " (BLUP with everybody has one). Crosses: BLUP recomputed from individual predictions. "
        "Diamonds: labels of the published figure. Dashed: Enformer as released, not "
        "trained on these people."
    )
    return drawn, table.drop(columns="colour"), caption


def _lines(axis, part: pd.DataFrame, lines: pd.DataFrame, scale: float = 1.0) -> None:
    """Replicates as points, their means as a line, per method."""
    groups = lines.groupby("run_id", sort=False)
    for mark, (run, line) in zip(style.MARKS, groups, strict=False):
        rows, colour, line = (
            part[part["run_id"] == run],
            line["colour"].iloc[0],
            line.sort_values("x"),
        )
        axis.scatter(scale * rows["x"], rows["value"], s=9, color=colour, alpha=0.55, lw=0)
        look = {"ms": 4, "color": colour, "label": line["method"].iloc[0]}
        axis.plot(scale * line["x"], line["value"], f"{mark}-", **look)


def _printed(axis, lines: pd.DataFrame, group: str) -> None:
    """The paper's labels, and our values for everybody, at the right of the panel."""
    labels, names = stated(), {"pairwise_regression": "ft", "blup": "blup"}
    for row in lines.itertuples():
        key = f"R.6.{names.get(row.run_id)}{round(100 * row.x)}.{CLASSES[group]}"
        if key in labels:
            axis.scatter(100 * row.x, labels[key], zorder=6, **_STATED)
        if row.x == lines.loc[lines["run_id"] == row.run_id, "x"].max():
            side = "bottom" if row.run_id == "pairwise_regression" else "top"
            style.words(axis, 102, row.value, style.signed(row.value), 8, va=side)


@figure("rare_variants", zero="people")
def rare_variants(view: View) -> Drawn:
    """Mean r when variants below an allele frequency are taken out of the test sequences."""
    table = summary(view, "rare_variants")
    if table.empty:
        return "No results without rare variants are public for this study."
    curves = means(view, "rare_variants")
    groups = [g for g in CLASSES if g in set(table["group"])]
    drawn, axes = style.panels([2.2] * len(groups))
    for axis, group in zip(axes, groups, strict=True):
        part, line = (t[t["group"] == group] for t in (table, curves))
        _lines(axis, part, line)
        axis.axvline(0.05, color=style.FAINT, lw=0.8, ls=":")
        every, common = (style.signed(line.set_index("x")["value"][x]) for x in (0.0, 0.05))
        style.note(axis, f"all variants: {every}\nfrom 0.05 on: {common}", x=0.4)
        axis.set(ylim=style.from_zero(part["value"], room=1.15), ylabel="mean r over genes")
        _heading(axis, part, group)
    axes[-1].set_xlabel("smallest allele frequency kept (training people)")
    caption = (
        f"{table['method'].iloc[0]} on sequences in which alleles rarer than the threshold are "
        "replaced by the common one. Small points: three replicates. Dotted: 5 %."
    )
    return drawn, table.drop(columns="colour"), caption


# --- worked out again from people ------------------------------------------------------------


@figure("performance_again", zero="people")
def performance_again(view: View) -> Drawn:
    """Per-gene r of the methods whose individual predictions are public, beside the summary."""
    again, table = summary(view, "performance_again"), view["across"]
    if again.empty:
        return "No individual predictions are public for this study."
    negative = summary(view, "performance_again.negative").set_index(_KEY)["value"]
    if negative.empty:
        view.need("performance_again.negative of table summary")
    given = means(view, "performance").set_index(_KEY)["value"]
    groups = [g for g in CLASSES if g in set(again["group"])]
    sizes = [(again["group"] == g).sum() for g in groups]
    drawn, axes = style.panels([0.9 + 0.7 * size for size in sizes])
    for axis, group in zip(axes, groups, strict=True):
        part = again[again["group"] == group].reset_index(drop=True)
        for place, row in enumerate(part.itertuples()):
            mine = table[(table["run_id"] == row.run_id) & (table["population"] == group)]
            key = (row.run_id, row.method, group)
            _ridge(axis, place, mine["pearson"].fillna(0), row, given.get(key), negative[key])
        axis.set(yticks=[], xlim=(-1, 1), ylim=(len(part) - 0.45, -0.8))
        axis.set_xticks([-1, -0.5, 0, 0.5, 1])
        axis.axvline(0, color=style.FAINT, lw=0.8)
        people = style.span(table.loc[table["population"] == group, "n"])
        title = f"{HEADINGS[group]}: {int(part['n'].max())} genes, {people} people each"
        axis.set_title(title, fontsize=9.5)
    axes[-1].set_xlabel("r across people (one gene, one value)")
    caption = (
        "Distribution over genes of r across test people, recomputed from public individual "
        "predictions and observed expression; a constant prediction counts as 0. White point and "
        "line: mean and 95 % block-bootstrap interval; cross: the authors' summary. For the "
        "unseen genes, only 100 of the summary's 670, and part of the people, are public."
    )
    ridges = [
        style.smoothed(rows["pearson"].fillna(0)).assign(run_id=run, group=group)
        for (run, group), rows in table.groupby(["run_id", "population"], sort=False)
        if group in groups and run in set(again["run_id"])
    ]
    return drawn, pd.concat([again.drop(columns="colour"), *ridges]), caption


def _ridge(axis, place: float, r: pd.Series, row, given: float | None, negative: float) -> None:
    floor = place + 0.3
    style.ridge(axis, floor, r, 0.45, row.colour)
    style.span_line(axis, floor, row, lw=2)
    axis.plot(row.value, floor, "o", mfc="white", mec=style.INK, ms=5)
    if given is not None:
        axis.plot(given, floor, "x", color=style.INK, ms=6, mew=1.2)
    text = f"{row.method}\n{style.estimated(row, 3, 2)}, {100 * negative:.0f} % below 0"
    style.words(axis, -0.98, floor - 0.48, text, 7.5, va="bottom")


@figure("linear_against_network", zero="people")
def linear_against_network(view: View) -> Drawn:
    """Per gene: r of the network as released against r of a linear model, in each class."""
    runs = view.runs_in(view["across"]["run_id"])
    network = next((run for run in runs if view.kinds[run] == "network"), None)
    # The elastic net is what the field calls PrediXcan; else the first linear model there is.
    linear = next((run for run in ("elastic_net", *runs) if view.kinds.get(run) == "linear"), None)
    if network is None or linear is None:
        return "This study has no r per gene of both a network and a linear model."
    pairs = by_class(view["across"])[[linear, network]].dropna().reset_index()
    groups = [g for g in HEADINGS if g in set(pairs["population"])]
    drawn, axes = style.panels([3.2] * len(groups))
    for axis, group in zip(axes, groups, strict=True):
        part = pairs[pairs["population"] == group]
        _pair_panel(axis, part, (linear, network), view, f"{linear}.against.{network}.{group}")
        axis.set_title(HEADINGS[group], fontsize=9.5)
    axes[-1].set_xlabel(f"r across people, {view.labels[linear]}")
    caption = (
        f"One point is one gene. Above the diagonal {view.labels[network]}, as "
        f"released, does better than {view.labels[linear]}. Red: genes that the linear model "
        "predicts with r above 0.2 and the network with r below 0, in the wrong direction. The "
        "interval of the correlation of the two is by block bootstrap."
    )
    return drawn, pairs, caption


def _pair_panel(axis, part: pd.DataFrame, runs: tuple[str, str], view: View, key: str) -> None:
    x, y = (part[run].to_numpy(float) for run in runs)
    wrong = (x > WRONG) & (y < 0)
    dots = {"s": 12, "linewidths": 0, "alpha": 0.6}
    axis.scatter(x[~wrong], y[~wrong], color=view.colours[runs[1]], **dots)
    axis.scatter(x[wrong], y[wrong], color="#D55E00", marker="v", **dots)
    axis.plot([-1, 1], [-1, 1], color=style.FAINT, lw=0.8)
    style.cross(axis)
    axis.set(xlim=(-0.55, 0.95), ylim=(-0.8, 0.95), ylabel=f"r, {view.labels[runs[1]]}")
    r, higher, red = (view.need(f"{key}.{what}") for what in ("r", "higher", "wrong_way"))
    style.note(
        axis,
        f"n = {r.n} genes\nr of the two = {style.estimated(r, 2)}\n"
        f"{higher.value:.0f} genes above the diagonal, {red.value:.0f} red",
    )
