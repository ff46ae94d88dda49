"""What populations do to r: all people together, each population, population means removed."""

from __future__ import annotations

import pandas as pd

from howfar.evaluation.populations import centring, compared_populations
from howfar.figures import style
from howfar.figures.across import curves, histogram, summaries
from howfar.figures.view import Drawn, View, figure

_NONE = "People of only one population are public for this study; there is nothing to compare."
_NO_R = "Too few genes have an r both over all people and with population means removed."
_NAMES = {"pooled": "all people", "centred": "population means removed"}


def flip_shares(view: View) -> pd.DataFrame:
    """Share of genes whose r changes sign, per run: all genes, and those significant pooled.

    Columns run_id, label, genes ('all' or 'significant'), n, value, ci_low, ci_high (block
    bootstrap; exact binomial where none changes).
    """
    rows = []
    for run, part in centring(view["across"]).groupby("run_id"):
        for genes in ("all", "significant") if part["significant"].any() else ("all",):
            number = view.need(f"{run}.centring.flips.{genes}")
            ends = (number.ci_low, number.ci_high)
            rows.append((run, view.labels[run], genes, number.n, number.value, *ends))
    columns = ["run_id", "label", "genes", "n", "value", "ci_low", "ci_high"]
    shares = pd.DataFrame(rows, columns=columns)
    order = {run: place for place, run in enumerate(view.labels)}
    return shares.sort_values("run_id", key=lambda runs: runs.map(order), kind="stable")


def first_network(view: View) -> str | None:
    """The first run that is a network, in drawing order, else the first of all."""
    runs = view.runs_in(view["across"]["run_id"])
    return next((run for run in runs if view.kinds[run] == "network"), runs[0] if runs else None)


@figure("populations_distribution", zero="people")
def by_population(view: View) -> Drawn:
    """Histograms of the first network's r: pooled, each population, centred."""
    order, run = compared_populations(view["across"]), first_network(view)
    if not order:
        return _NONE
    table = view.of_run("across", run).dropna(subset=["pearson"])
    table = table[table["population"].isin(order)]
    rows = summaries(view)
    rows = {row.population: row for row in rows[rows["run_id"] == run].itertuples()}
    order = [name for name in order if name in rows]
    if not order:
        return _NO_R
    drawn, axes = style.panels([2.0] * len(order))
    for axis, name in zip(axes, order, strict=True):
        histogram(axis, view, table[table["population"] == name], rows[name])
        axis.set_title(_NAMES.get(name, name))
    axes[-1].set_xlabel(f"r across people, {view.labels[run]}")
    caption = (
        f"{view.labels[run]}: one r per gene among all people, within each population, and with "
        "each population's mean removed from prediction and expression. Dashed: what sampling "
        "alone gives. With fewer people the spread is wider by chance alone."
    )
    return drawn, pd.concat([table, curves(view, table)]), caption


@figure("populations_centring", zero="people")
def centred_scatter(view: View) -> Drawn:
    """r with population means removed against r of all people, per gene."""
    table = centring(view["across"])
    if table.empty:
        return _NO_R if compared_populations(view["across"]) else _NONE
    runs = _shown_runs(view, table)
    drawn, axes = style.panels([3.1] * len(runs))
    for axis, run in zip(axes, runs, strict=True):
        _scatter_panel(axis, table[table["run_id"] == run], view, run)
    axes[-1].set_xlabel("r among all people")
    caption = (
        "One point is one gene: its r among all people, and with each population's mean removed. "
        "Points in the shaded quarters change sign: there r among all people came from "
        "differences between populations, or is near 0. Intervals of the share: block bootstrap."
    )
    return drawn, table[table["run_id"].isin(runs)], caption


def _shown_runs(view: View, table: pd.DataFrame) -> list[str]:
    """The first network, and the first run of another kind to set beside it."""
    given = view.runs_in(table["run_id"])
    others = [run for run in given if view.kinds[run] != "network"]
    return [run for run in [first_network(view), *others[:1]] if run in given]


def _scatter_panel(axis, part: pd.DataFrame, view: View, run: str) -> None:
    for x, y in (((-1, 0), (0, 1)), ((0, 1), (-1, 0))):
        axis.fill_between(x, *y, color="#eeeeee", lw=0)
    axis.plot([-1, 1], [-1, 1], color=style.FAINT, lw=0.8)
    dots = {"s": 8, "alpha": 0.5, "lw": 0, "rasterized": True}
    axis.scatter(part["pooled"], part["centred"], color=view.colours[run], **dots)
    share, r = (view.need(f"{run}.centring.{what}") for what in ("flips.all", "r"))
    span = float(part[["pooled", "centred"]].abs().max().max()) * 1.1
    axis.set(xlim=(-span, span), ylim=(-span, span * 1.25), ylabel="r, population means removed")
    axis.set_title(f"{view.labels[run]}: {100 * share.value:.1f} % change sign", fontsize=9.5)
    style.note(
        axis,
        f"{share.hits} of n = {share.n} genes, {style.ends(share, 1, scale=100)} %\n"
        f"correlation of the two r: {style.signed(r.value, 2)}",
    )


@figure("populations_flips", zero="people")
def flips(view: View) -> Drawn:
    """Share of genes whose r changes sign when population means are removed, every run."""
    shares = flip_shares(view)
    if shares.empty:
        return _NO_R if compared_populations(view["across"]) else _NONE
    drawn, (axis,) = style.panels([0.9 + 0.3 * len(shares)])
    names = []
    for place, row in enumerate(shares.itertuples()):
        alpha = 0.9 if row.genes == "all" else 0.45
        style.bar(axis, place, row, view.colours[row.run_id], 0.55, scale=100, alpha=alpha)
        text = f"{100 * row.value:.1f} %, n = {row.n}"
        style.words(axis, style.end_of(row, 100) + 0.6, place, text, 8.5)
        names.append(row.label if row.genes == "all" else "significant genes")
    axis.set_yticks(range(len(shares)), [style.wrapped(name, 24) for name in names], fontsize=8)
    top = max(0.05, shares[["ci_high", "value"]].max(axis=None))
    axis.set(xlim=(0, 160 * top + 3), ylim=(len(shares) - 0.4, -0.6))
    style.no_ticks_beyond(axis.xaxis, 100)
    axis.set_xlabel("genes whose r changes sign (%)")
    caption = (
        "Share of genes whose r changes sign when population means are removed; paler: of the "
        "genes whose r among all people is significant (q ≤ 0.05). Only genes tested on people of "
        "two populations or more. An r near 0 changes sign easily. Intervals: block bootstrap; "
        "exact binomial where no gene changes."
    )
    return drawn, shares.rename(columns={"value": "share"}), caption
