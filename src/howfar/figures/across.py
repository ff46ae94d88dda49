"""The second figure: does the model rank people? One correlation per gene, over people."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns

from howfar.figures import row_zero, style
from howfar.figures.reference import across_genes
from howfar.figures.theory import GRID, own_null_density, sampling_density
from howfar.figures.view import Drawn, View, figure

_COLUMNS = [
    *("run_id", "label", "population", "genes", "people_low", "people_high"),
    *("mean_r", "ci_low", "ci_high", "share_negative"),
]
_NONE = "No correlations across people are public for this study."


def main_rows(view: View) -> pd.DataFrame:
    """Rows of the table `across` that have an r, of all people together ('pooled').

    Of the runs that may stand beside each other (`View.comparable`).
    """
    table = view["across"].dropna(subset=["pearson"])
    kept = (table["population"] == "pooled") & table["run_id"].isin(view.comparable)
    return table[kept].reset_index(drop=True)


def summaries(view: View) -> pd.DataFrame:
    """Mean r over genes per run and population, from `numbers`.

    Columns run_id, label, population, genes, people_low, people_high (people of a gene), mean_r,
    ci_low, ci_high, share_negative.
    """
    rows = []
    for run in view.comparable:
        label = view.labels[run]
        for population in sorted(set(view.of_run("across", run)["population"])):
            key = f"{run}.across.{population}"
            mean = view.number(f"{key}.mean_r")
            if mean is None:
                continue
            people = [view.number(f"{key}.{end}_people") for end in ("min", "max")]
            people = [pd.NA if number is None else int(number.value) for number in people]
            negative = view.need(f"{key}.share_negative").value
            values = (mean.n, *people, mean.value, mean.ci_low, mean.ci_high, negative)
            rows.append((run, label, population, *values))
    return pd.DataFrame(rows, columns=_COLUMNS)


def pooled(view: View) -> pd.DataFrame:
    """The rows of `summaries` for all people together."""
    rows = summaries(view)
    return rows[rows["population"] == "pooled"].reset_index(drop=True)


def people(row) -> str:
    """Numbers of people as text: '421 people', or '132–148 people' where genes differ."""
    if pd.isna(row.people_low):
        return "n unknown"
    low, high = int(row.people_low), int(row.people_high)
    return f"{low} people" if low == high else f"{low}–{high} people"


@figure("across_distribution", zero="people")
def distribution(view: View) -> Drawn:
    """Histogram of r over genes per run against the sampling distribution, and all ECDFs."""
    table = main_rows(view)
    if table.empty:
        return _NONE
    summary = pooled(view)
    drawn, axes = style.panels([1.8] * len(summary) + [2.2])
    for axis, row in zip(axes, summary.itertuples(), strict=False):
        histogram(axis, view, table[table["run_id"] == row.run_id], row)
    _ecdf(drawn, axes[-1], table, view)
    sampled = (
        " Dashed: what sampling alone gives with these numbers of people if no gene has a true "
        "correlation."
        if summary["people_low"].notna().any()
        else ""
    )
    caption = (
        f"Correlation of prediction and expression across people, one value per gene.{sampled} "
        f"{own_null_words(view)} Intervals of the mean: block bootstrap."
        f"{view.left_out}"
    )
    return drawn, pd.concat([table, curves(view, table)]), caption


def curves(view: View, table: pd.DataFrame) -> pd.DataFrame:
    """Curves beside histograms of r: run_id, population, curve, r, density."""
    parts, grid = [], GRID[::8]
    for (run, population), rows in table.groupby(["run_id", "population"], sort=False):
        known = rows["n"].dropna()
        found = {"sampling alone": sampling_density(grid, known) if len(known) else None}
        found["random weights on own variants"] = own_null(view, rows["gene_id"], grid)
        for curve, density in found.items():
            if density is not None:
                part = pd.DataFrame({"curve": curve, "r": grid, "density": density})
                parts.append(part.assign(run_id=run, population=population))
    return pd.concat(parts) if parts else pd.DataFrame()


def own_null(view: View, genes: pd.Series, grid: np.ndarray = GRID) -> np.ndarray | None:
    """Density over `grid` of r of random weights on those genes' variants; one for all runs."""
    rows = main_rows(view).dropna(subset=["null_mean", "null_sd"]).drop_duplicates("gene_id")
    rows = rows[rows["gene_id"].isin(genes)]
    return own_null_density(grid, rows["null_mean"], rows["null_sd"]) if len(rows) else None


def own_null_words(view: View) -> str:
    """What the dotted curve of random weights is, or why there is none, for a caption."""
    rows = main_rows(view)
    if rows["null_sd"].notna().any():
        return (
            "Dotted: what random weights on each gene's own variants give (a normal distribution "
            "with the mean square of their r)."
        )
    return "What random weights on each gene's own variants give is not drawn: it needs genotypes."


def histogram(axis, view: View, part: pd.DataFrame, row) -> None:
    """r over genes of one run and population; row: of `summaries`, for the words."""
    colour = view.colours[row.run_id]
    edges, grid = np.linspace(-1, 1, 61), GRID[::4]
    look = {"histtype": "stepfilled", "color": colour, "alpha": 0.75, "lw": 0}  # one path, not 60
    axis.hist(part["pearson"].dropna(), edges, density=True, **look)
    known, density = part["n"].dropna(), own_null(view, part["gene_id"], grid)
    if len(known):
        axis.plot(grid, sampling_density(grid, known), "--", color=style.INK, lw=1.3)
    if density is not None:
        axis.plot(grid, density, ":", color=style.INK, lw=1.6)
    axis.axvline(row.mean_r, color=colour, lw=1.2)
    axis.axvline(0, color=style.FAINT, lw=0.8)
    axis.set(xlim=(-1, 1), xticks=[-1, -0.5, 0, 0.5, 1], ylabel="density", xlabel="")
    axis.set_title(row.label)
    key = f"{row.run_id}.across.{row.population}"
    low, high = (style.signed(view.need(f"{key}.{end}_r").value, 2) for end in ("min", "max"))
    style.note(
        axis,
        f"n = {row.genes} genes\n{people(row)}\nmean r = {style.signed(row.mean_r)}\n"
        f"{style.ends(row)}\n{100 * row.share_negative:.0f} % below 0\n{low} to {high}",
    )


#: Genes beyond which the steps of a cumulative curve are below a pixel, and are not drawn.
_STEPS = 150


def _ecdf(drawn, axis, table: pd.DataFrame, view: View) -> None:
    for run, label in view.labels.items():
        values = table.loc[table["run_id"] == run, "pearson"]
        if len(values):
            look = {"color": view.colours[run], "marker": view.marks[run], "markevery": 0.15}
            sns.ecdfplot(x=values, ms=4, lw=1.4, label=label, ax=axis, **look)
            if len(values) > _STEPS:
                axis.lines[-1].set_drawstyle("default")
    known = table["n"].dropna()
    if len(known):
        total = np.cumsum(sampling_density(GRID, known))
        axis.plot(GRID, total / total[-1], "--", color=style.INK, lw=1.3, label="sampling alone")
    density = own_null(view, table["gene_id"])
    if density is not None:
        total = np.cumsum(density)
        label = "random weights on own variants"
        axis.plot(GRID, total / total[-1], ":", color=style.INK, lw=1.6, label=label)
    axis.axvline(0, color=style.FAINT, lw=0.8)
    axis.set(xlim=(-1, 1), ylim=(0, 1), ylabel="share of genes", title="Cumulative")
    axis.set_xlabel("r across people (one gene, one value)")
    style.legend(drawn, axis)


@figure("central", zero="genes people")
def central(view: View) -> Drawn:
    """Across genes beside across people, on one scale: the picture that says it all.

    Examples
    --------
    >>> import howfar as hf
    >>> cohort = hf.example_cohort()
    >>> model = hf.load_model("gc-content", context=8_192)
    >>> runs = [hf.predict(cohort, model, bins="centre63"), hf.fit_linear(cohort, "blup")]
    >>> tables = hf.evaluate(cohort, runs)
    >>> figure = hf.figures.central(tables, width="single", font="DejaVu Sans", size=7)
    >>> round(25.4 * figure.get_figwidth())  # mm
    89
    """
    table = main_rows(view)
    reference = across_genes(view)
    if table.empty or reference.empty:
        return (
            "This study has only one of the two: across genes needs a network, which predicts "
            "levels; across people needs predictions of people."
        )
    reference = reference[reference["region"] == "all"]
    summary = pooled(view)
    lookups, rest = row_zero.genes(view), row_zero.people(view, summary["run_id"].iloc[0])
    heights = [0.5 * (len(reference) + len(lookups)), 0.76 * len(summary) + 0.46 * len(rest)]
    drawn, (top, bottom) = style.panels([1.1 + heights[0], 1.3 + heights[1]])
    _central_top(top, reference, lookups, view)
    _central_bottom(bottom, table, summary, rest, view)
    marks = " Grey: controls without a model." if len(lookups) + len(rest) else ""
    marks += "" if row_zero.ceiling(view) is None else " Dashed: the ceiling."
    caption = (
        "First panel: correlation across genes, Pearson's r with its 95 % interval, and "
        "Spearman's ρ, which does not depend on whether predictions are logarithms. Second panel: "
        "distribution over genes of the correlation across people, with the mean (white) and its "
        f"95 % interval. The same models in both.{marks}{view.left_out}"
    )
    zero = [lookups.assign(panel="across genes"), rest.assign(panel="across people")]
    ridges = [
        style.smoothed(rows["pearson"]).assign(run_id=run, panel="across people, distribution")
        for run, rows in table.groupby("run_id", sort=False)
    ]
    data = [reference.assign(panel="across genes"), summary.assign(panel="across people")]
    data = pd.concat([*data, *zero, *ridges])
    return drawn, data, caption


def _central_top(axis, reference: pd.DataFrame, lookups: pd.DataFrame, view: View) -> None:
    names = {"pearson": "value", "pearson_low": "ci_low", "pearson_high": "ci_high"}
    for place, row in enumerate(reference.rename(columns=names).itertuples()):
        style.bar(axis, place, row, view.colours[row.run_id], height=0.4)
        rho = view.number(f"{row.run_id}.reference.spearman")
        ranks = "" if rho is None else f", ρ = {style.signed(rho.value)}"
        text = f"{row.label}: r = {style.signed(row.value)}{ranks}, n = {row.n} genes"
        style.words(axis, -0.98, place - 0.26, text, va="bottom")
    _grey_rows(axis, lookups, len(reference), 1.0, "r")
    axis.set_title("Across genes: which genes are expressed more?")
    axis.set(yticks=[], ylim=(len(reference) + len(lookups) - 0.55, -0.95))
    axis.set(xlim=(-1, 1), xticks=[-1, -0.5, 0, 0.5, 1])
    axis.axvline(0, color=style.INK, lw=0.8)


def _grey_rows(axis, rows: pd.DataFrame, first: float, step: float, what: str) -> None:
    """Bars of `row_zero`, from place `first` on."""
    for i, row in enumerate(rows.itertuples()):
        place = first + i * step
        style.bar(axis, place, row, row_zero.GREY, height=0.4 * step)
        value = "0 " + style.ends(row, 3) if row.value == 0 else style.estimated(row, 3, 2)
        text = f"{row.label}: {what} = {value}, n = {row.n} genes"
        style.words(axis, -0.98, place - 0.26 * step, text, 8.5, va="bottom")


def _central_bottom(
    axis, table: pd.DataFrame, summary: pd.DataFrame, rest: pd.DataFrame, view: View
) -> None:
    for place, row in enumerate(summary.itertuples()):
        values = table.loc[table["run_id"] == row.run_id, "pearson"].to_numpy(float)
        style.ridge(axis, place + 0.2, values, 0.46, view.colours[row.run_id])
        style.span_line(axis, place + 0.2, row, lw=2.4)
        axis.plot(row.mean_r, place + 0.2, "o", mfc="white", mec=style.INK, ms=6)
        text = (
            f"{row.label}: mean r = {style.signed(row.mean_r)} {style.ends(row, 2)}\n"
            f"n = {row.genes} genes, {people(row)}, {100 * row.share_negative:.0f} % below 0"
        )
        style.words(axis, -0.98, place - 0.28, text, 8.5, va="bottom")
    _grey_rows(axis, rest, len(summary), 0.6, "mean r")
    limit = row_zero.ceiling(view)
    if limit is not None:
        axis.axvline(limit.value, color=row_zero.GREY, ls="--", lw=1.2)
    axis.set_title("Across people: which people express a gene more?")
    bottom = len(summary) + 0.6 * len(rest) - (0.35 if len(rest) else 0.6)
    axis.set(xlim=(-1, 1), xticks=[-1, -0.5, 0, 0.5, 1], xlabel="correlation")
    axis.set(yticks=[], ylim=(bottom, -0.95))
    axis.axvline(0, color=style.INK, lw=0.8)


@figure("across_ranked", zero="people")
def ranked(view: View) -> Drawn:
    """Genes in the order of their r, with Fisher intervals, one panel per run."""
    table = main_rows(view)
    if table.empty:
        return _NONE
    runs = view.runs_in(table["run_id"])
    drawn, axes = style.panels([1.7] * len(runs))
    for axis, run in zip(axes, runs, strict=True):
        _ranked_panel(axis, table[table["run_id"] == run], view, run)
        axis.set_title(view.labels[run])
    axes[-1].set_xlabel("genes, ordered by r")
    known = table["ci_low"].notna().any()
    band = ", each with its own 95 % interval (Fisher's; band)" if known else ""
    caption = (
        f"Genes in the order of r across people{band}; the first and last of many genes are "
        "extreme partly by chance."
    )
    return drawn, table.sort_values("pearson", kind="stable"), caption


def _ranked_panel(axis, part: pd.DataFrame, view: View, run: str) -> None:
    part, colour = part.sort_values("pearson").reset_index(drop=True), view.colours[run]
    rank = np.arange(1, len(part) + 1)
    if part["ci_low"].notna().any():
        low, high = part["ci_low"].astype(float), part["ci_high"].astype(float)
        axis.fill_between(rank, low, high, color=colour, alpha=0.25, lw=0, rasterized=True)
    axis.plot(rank, part["pearson"], color=colour)
    axis.axhline(0, color=style.FAINT, lw=0.8)
    axis.set(ylim=(-1, 1), ylabel="r", xlim=(0, len(part) + 1))
    lowest, highest = (
        f"{view.gene_names[row['gene_id']]}, r = {style.signed(row['pearson'])}"
        for row in (part.iloc[0], part.iloc[-1])
    )
    negative = view.number(f"{run}.across.pooled.share_negative")  # of two genes or more
    below = "" if negative is None else f", {negative.hits} below 0"
    text = f"n = {len(part)} genes{below}\nhighest: {highest}\nlowest: {lowest}"
    style.note(axis, text, x=0.98, y=0.02, ha="right", va="bottom")  # a rising curve leaves it free


@figure("across_controls", zero="people")
def controls(view: View) -> Drawn:
    """Mean r over genes: all people, each population, population-centred, permuted."""
    summary = summaries(view)
    coins = {run: view.number(f"{run}.across.pooled.sign_coin") for run in summary["run_id"]}
    summary["coin"] = [np.nan if (c := coins[r]) is None else c.ci_high for r in summary["run_id"]]
    if summary["population"].nunique() < 2:
        return "Only one set of people is public for this study; there is nothing to compare."
    kinds = pd.unique(summary["population"])
    inner = [k for k in kinds if k not in ("pooled", "centred", "permuted")]
    order = [k for k in ["pooled", *inner, "centred", "permuted"] if k in kinds]
    runs = view.runs_in(summary["run_id"])
    drawn, axes = style.panels([0.6 + 0.24 * len(order)] * len(runs))
    span = summary[["ci_low", "ci_high", "mean_r"]].astype(float)
    limits = (min(span.min().min(), 0) - 0.05, max(span.max().max(), 0.1) * 1.9)
    for axis, run in zip(axes, runs, strict=True):
        _controls_panel(axis, summary[summary["run_id"] == run], order, view.colours[run])
        axis.set(title=view.labels[run], xlim=limits)
        style.no_ticks_beyond(axis.xaxis, 1)
    axes[-1].set_xlabel("mean r over genes, with 95 % interval")
    said = {
        "pooled": "all people",
        "centred": "all with population means removed (centred)",
        "permuted": "all with people permuted within their population (permuted), where only "
        "chance is left",
    }
    rows = dict.fromkeys(said.get(kind, "those of each population or set") for kind in order)
    tossed = summary["coin"].notna().any()
    caption = (
        f"Mean r over genes among {'; '.join(rows)}."
        + (" Rows are not all of the same genes (see n)." if summary["genes"].nunique() > 1 else "")
        + (
            " Grey band: 95 % range of the mean if each gene's r had a random sign."
            if tossed
            else ""
        )
    )
    return drawn, summary, caption


def _controls_panel(axis, part: pd.DataFrame, order: list[str], colour: str) -> None:
    for row in part.rename(columns={"mean_r": "value"}).itertuples():
        place = order.index(row.population)
        style.estimate(axis, place, row, style.FAINT if row.population == "permuted" else colour)
        text = f" {style.signed(row.value)}, n = {row.genes} genes"
        style.words(axis, style.end_of(row) + 0.01, place, text, 8.5)
    coin = part["coin"].dropna()
    if len(coin):
        axis.axvspan(-coin.iloc[0], coin.iloc[0], color=row_zero.GREY, alpha=0.3, lw=0)
    style.rows(axis, order, 9)
    axis.axvline(0, color=style.INK, lw=0.8)
