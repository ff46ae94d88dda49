"""The second figure: does the model rank people? One correlation per gene, over people."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from scipy import special

from howfar.figures import style
from howfar.figures.reference import across_genes
from howfar.figures.view import View, figure

_COLUMNS = [
    *("run_id", "label", "population", "genes", "people_low", "people_high"),
    *("mean_r", "ci_low", "ci_high", "share_negative"),
]
_NONE = "No correlations across people are public for this study."


def main_rows(view: View) -> pd.DataFrame:
    """Rows of the table `across` that have an r, of all people together ('pooled')."""
    table = view["across"].dropna(subset=["pearson"])
    return table[table["population"] == "pooled"].reset_index(drop=True)


def summaries(view: View) -> pd.DataFrame:
    """Mean r over genes per run and population, from `numbers`.

    Columns run_id, label, population, genes, people_low, people_high (people of a gene), mean_r,
    ci_low, ci_high, share_negative.
    """
    table = view["across"].dropna(subset=["pearson"])
    rows = []
    for run, label in view.labels.items():
        mine = table[table["run_id"] == run]
        for population, part in mine.groupby("population"):
            mean = view.number(f"{run}.across.{population}.mean_r")
            if mean is None:
                continue
            rows.append(
                {
                    "run_id": run,
                    "label": label,
                    "population": population,
                    "genes": mean.n,
                    "people_low": part["n"].min(),
                    "people_high": part["n"].max(),
                    "mean_r": mean.value,
                    "ci_low": mean.ci_low,
                    "ci_high": mean.ci_high,
                    "share_negative": view.number(
                        f"{run}.across.{population}.share_negative"
                    ).value,
                }
            )
    return pd.DataFrame(rows, columns=_COLUMNS)


def pooled(view: View) -> pd.DataFrame:
    """The rows of `summaries` for all people together."""
    found = summaries(view)
    return found[found["population"] == "pooled"].reset_index(drop=True)


def sampling_density(grid: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Density of r over `grid` if no gene had any true correlation, for those numbers of people.

    For n people r has the density (1 - r^2)^((n - 4) / 2) / B(1/2, (n - 2) / 2); genes with
    different n make a mixture.
    """
    counts, weight = np.unique(np.asarray(people, float), return_counts=True)
    power = (counts[:, None] - 4) / 2
    scale = special.betaln(0.5, (counts[:, None] - 2) / 2)
    with np.errstate(divide="ignore"):
        density = np.exp(power * np.log1p(-np.minimum(grid**2, 1 - 1e-12)) - scale)
    return weight @ density / weight.sum()


def people(row) -> str:
    """Numbers of people as text: '421 people', or '132–148 people' where genes differ."""
    if pd.isna(row.people_low):
        return "n unknown"
    low, high = int(row.people_low), int(row.people_high)
    return f"{low} people" if low == high else f"{low}–{high} people"


@figure("across_distribution")
def distribution(view: View):
    """Histogram of r over genes per run against the sampling distribution, and all ECDFs."""
    table = main_rows(view)
    if table.empty:
        return _NONE
    summary = pooled(view)
    drawn, axes = style.panels([2.0] * len(summary) + [2.9])
    for axis, row in zip(axes, summary.itertuples(), strict=False):
        histogram(axis, table[table["run_id"] == row.run_id], row, view.colours[row.run_id])
    _ecdf(axes[-1], table, view)
    caption = (
        "Correlation of prediction and expression across people, one value per gene. Dashed: "
        "what sampling alone would give at these numbers of people if no gene had any true "
        "correlation. Intervals of the mean: block bootstrap."
    )
    return drawn, table, caption


def histogram(axis, part: pd.DataFrame, row, colour: str) -> None:
    """r over genes of one run and population; row: of `summaries`, for the words."""
    edges = np.linspace(-1, 1, 61)
    sns.histplot(
        x=part["pearson"], bins=edges, stat="density", color=colour, alpha=0.75, lw=0, ax=axis
    )
    grid = np.linspace(-0.999, 0.999, 801)
    known = part["n"].dropna()
    if len(known):
        axis.plot(grid, sampling_density(grid, known), "--", color=style.INK, lw=1.3)
    axis.axvline(row.mean_r, color=colour, lw=1.2)
    axis.axvline(0, color=style.FAINT, lw=0.8)
    axis.set(xlim=(-1, 1), ylabel="density", xlabel="")
    axis.set_title(row.label)
    style.note(
        axis,
        f"n = {row.genes} genes\n{people(row)}\nmean r = {style.signed(row.mean_r)}\n"
        f"{style.interval(row.ci_low, row.ci_high)}\n{100 * row.share_negative:.0f} % below 0\n"
        f"{style.signed(part['pearson'].min(), 2)} to {style.signed(part['pearson'].max(), 2)}",
    )


def _ecdf(axis, table: pd.DataFrame, view: View) -> None:
    for run, label in view.labels.items():
        values = table.loc[table["run_id"] == run, "pearson"]
        if len(values):
            sns.ecdfplot(x=values, color=view.colours[run], label=label, ax=axis)
    known = table["n"].dropna()
    if len(known):
        grid = np.linspace(-0.999, 0.999, 801)
        total = np.cumsum(sampling_density(grid, known))
        axis.plot(grid, total / total[-1], "--", color=style.INK, lw=1.3, label="sampling alone")
    axis.axvline(0, color=style.FAINT, lw=0.8)
    axis.set(xlim=(-1, 1), ylim=(0, 1), ylabel="share of genes")
    axis.set_title("Cumulative")
    axis.set_xlabel("r across people (one gene, one value)")
    axis.legend(loc="upper left")


@figure("central")
def central(view: View):
    """Across genes beside across people, on one scale: the picture that says it all."""
    table = main_rows(view)
    reference = across_genes(view)
    if table.empty or reference.empty:
        return "This study has only one of the two: across genes or across people."
    reference = reference[reference["region"] == "all"]
    summary = pooled(view)
    drawn, (top, bottom) = style.panels([1.1 + 0.42 * len(reference), 1.3 + 0.72 * len(summary)])
    _central_top(top, reference, view)
    _central_bottom(bottom, table, summary, view)
    caption = (
        "Top: correlation across genes (Pearson's r, with 95 % interval). Bottom: correlation "
        "across people, its distribution over genes, with the mean (white) and its 95 % interval. "
        "The same models, the same scale."
    )
    data = pd.concat(
        [reference.assign(panel="across genes"), summary.assign(panel="across people")]
    )
    return drawn, data, caption


def _central_top(axis, reference: pd.DataFrame, view: View) -> None:
    for place, row in enumerate(reference.itertuples()):
        axis.barh(place, row.pearson, color=view.colours[row.run_id], height=0.6)
        axis.plot([row.pearson_low, row.pearson_high], [place] * 2, color=style.INK, lw=1.4)
        text = f"{row.label}: r = {style.signed(row.pearson)}, n = {row.n} genes"
        style.words(axis, -0.98, place - 0.42, text, va="bottom")
    axis.set_title("Across genes: which gene is high?")
    axis.set(xlim=(-1, 1), yticks=[], ylim=(len(reference) - 0.55, -0.95))
    axis.axvline(0, color=style.INK, lw=0.8)


def _central_bottom(axis, table: pd.DataFrame, summary: pd.DataFrame, view: View) -> None:
    for place, row in enumerate(summary.itertuples()):
        values = table.loc[table["run_id"] == row.run_id, "pearson"].to_numpy(float)
        style.ridge(axis, place + 0.25, values, 0.5, view.colours[row.run_id])
        axis.plot([row.ci_low, row.ci_high], [place + 0.25] * 2, color=style.INK, lw=2.4)
        axis.plot(row.mean_r, place + 0.25, "o", mfc="white", mec=style.INK, ms=6)
        text = (
            f"{row.label}: mean r = {style.signed(row.mean_r)} "
            f"{style.interval(row.ci_low, row.ci_high, 2)}\n"
            f"n = {row.genes} genes, {people(row)}, "
            f"{100 * row.share_negative:.0f} % below 0"
        )
        style.words(axis, -0.98, place - 0.3, text, 8.5, va="bottom")
    axis.set_title("Across people: who is high, for one gene?")
    axis.set(xlim=(-1, 1), yticks=[], ylim=(len(summary) - 0.6, -0.95))
    axis.axvline(0, color=style.INK, lw=0.8)
    axis.set_xlabel("correlation")


@figure("across_ranked")
def ranked(view: View):
    """Genes in the order of their r, with Fisher intervals, one panel per run."""
    table = main_rows(view)
    if table.empty:
        return _NONE
    runs = view.runs_in(table["run_id"])
    drawn, axes = style.panels([2.3] * len(runs))
    names = view.tables["genes"].set_index("gene_id")["name"]
    for axis, run in zip(axes, runs, strict=True):
        part = table[table["run_id"] == run].sort_values("pearson").reset_index(drop=True)
        _ranked_panel(axis, part, names, view.colours[run])
        axis.set_title(view.labels[run])
    axes[-1].set_xlabel("genes, ordered by r")
    caption = (
        "Genes in the order of r across people, each with its 95 % Fisher interval (band). The "
        "interval is of one gene by itself; the extremes of many genes are partly luck."
    )
    return drawn, table, caption


def _ranked_panel(axis, part: pd.DataFrame, names: pd.Series, colour: str) -> None:
    rank = np.arange(1, len(part) + 1)
    if part["ci_low"].notna().any():
        low, high = part["ci_low"].astype(float), part["ci_high"].astype(float)
        axis.fill_between(rank, low, high, color=colour, alpha=0.25, lw=0, rasterized=True)
    axis.plot(rank, part["pearson"], color=colour)
    axis.axhline(0, color=style.FAINT, lw=0.8)
    axis.set(ylim=(-1, 1), ylabel="r", xlim=(0, len(part) + 1))
    for place, (x, ha) in ((0, (0.04, "left")), (len(part) - 1, (0.96, "right"))):
        gene = part.loc[place, "gene_id"]
        text = f"{names.get(gene) or gene}: r = {style.signed(part.loc[place, 'pearson'])}"
        y = 0.06 if place == 0 else 0.94
        axis.text(
            x, y, text, transform=axis.transAxes, ha=ha, fontsize=9,
            va="bottom" if place == 0 else "top",
        )  # fmt: skip
    first = part["pearson"].searchsorted(0)
    axis.text(0.04, 0.94, f"n = {len(part)} genes, {first} below 0", va="top",
              transform=axis.transAxes, fontsize=9)  # fmt: skip


@figure("across_controls")
def controls(view: View):
    """Mean r over genes: all people, each population, population-centred, permuted."""
    summary = summaries(view)
    if summary["population"].nunique() < 2:
        return "Only one set of people is public for this study; there is nothing to compare."
    kinds = pd.unique(summary["population"])
    inner = [k for k in kinds if k not in ("pooled", "centred", "permuted")]
    order = [k for k in ["pooled", *inner, "centred", "permuted"] if k in kinds]
    runs = view.runs_in(summary["run_id"])
    drawn, axes = style.panels([0.7 + 0.32 * len(order)] * len(runs))
    span = summary[["ci_low", "ci_high", "mean_r"]].astype(float)
    limits = (min(span.min().min(), 0) - 0.05, max(span.max().max(), 0.1) * 1.9)
    for axis, run in zip(axes, runs, strict=True):
        _controls_panel(axis, summary[summary["run_id"] == run], order, view.colours[run])
        axis.set_title(view.labels[run])
        axis.set_xlim(*limits)
    axes[-1].set_xlabel("mean r over genes, with 95 % interval")
    caption = (
        "Mean r over genes among all people, within each population, with population means "
        "removed (centred), and with people permuted within their population (permuted), which "
        "must be 0 within its interval."
    )
    return drawn, summary, caption


def _controls_panel(axis, part: pd.DataFrame, order: list[str], colour: str) -> None:
    rows = part.set_index("population")
    for place, name in enumerate(order):
        if name not in rows.index:
            continue
        row = rows.loc[name]
        tint = style.FAINT if name == "permuted" else colour
        axis.plot([row["ci_low"], row["ci_high"]], [place, place], color=tint, lw=2)
        axis.plot(row["mean_r"], place, "o", color=tint, ms=6)
        text = f"{style.signed(row['mean_r'])}, n = {row['genes']} genes"
        end = np.nanmax([row["ci_high"], row["mean_r"]])
        style.words(axis, end + 0.01, place, f" {text}", 8.5)
    style.rows(axis, order, 9)
    axis.axvline(0, color=style.INK, lw=0.8)
