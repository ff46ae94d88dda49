"""What populations do to r: all people together, each population, population means removed."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from howfar import stats
from howfar.figures import style
from howfar.figures.across import histogram, summaries
from howfar.figures.view import View, figure
from howfar.stats.blocks import blocks_of

_NONE = "People of only one population are public for this study; there is nothing to compare."
_NO_R = "Too few genes have an r both over all people and with population means removed."
_CENTRING = ["run_id", "gene_id", "pooled", "centred", "significant", "flips"]
_NAMES = {"pooled": "all people", "centred": "population means removed"}


def kinds(view: View) -> list[str]:
    """Rows of `across` to compare: 'pooled', the populations, 'centred'; empty if only one."""
    given = set(view["across"]["population"]) - {"permuted"}
    inner = sorted(given - {"pooled", "centred"})
    return ["pooled", *inner, "centred"] if len(inner) > 1 and "centred" in given else []


def centring(view: View) -> pd.DataFrame:
    """One row per run and gene whose people come from two populations or more.

    Columns run_id, gene_id, pooled, centred (r), significant (q of the pooled r at most 0.05) and
    flips (1.0 where the two r differ in sign, else 0.0).
    """
    table = view["across"].dropna(subset=["pearson"])
    inner = kinds(view)[1:-1]
    if not inner:
        return pd.DataFrame(columns=_CENTRING)
    index = ["run_id", "gene_id"]
    present = table[table["population"].isin(inner)].groupby(index).size()
    wide = table.pivot(index=index, columns="population", values="pearson")
    wide = wide.reindex(columns=[*wide.columns.union(["pooled", "centred"])])
    q = table[table["population"] == "pooled"].set_index(index)["q"]
    wide = wide.assign(significant=q <= 0.05, populations=present)
    wide = wide[wide["populations"] > 1].dropna(subset=["pooled", "centred"]).reset_index()
    flips = (np.sign(wide["pooled"]) != np.sign(wide["centred"])).astype(float)
    return wide.assign(flips=flips)[_CENTRING]


def flip_shares(view: View) -> pd.DataFrame:
    """Share of genes whose r changes sign, per run: all genes, and those significant pooled.

    Columns run_id, label, genes ('all' or 'significant'), n, share, ci_low, ci_high (block
    bootstrap; exact binomial where none changes).
    """
    table, rows = centring(view), []
    for run, label in view.labels.items():
        mine = table[table["run_id"] == run]
        for name, part in (("all", mine), ("significant", mine[mine["significant"]])):
            if part.empty:
                continue
            ends = _share_interval(view, part)
            rows.append((run, label, name, len(part), part["flips"].mean(), *ends))
    columns = ["run_id", "label", "genes", "n", "share", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=columns)


def _share_interval(view: View, part: pd.DataFrame) -> tuple[float, float]:
    """95 % interval of the share: block bootstrap; exact binomial where no gene or all change.

    Resampling zeros gives only zeros, which would say that the share is known to be 0.
    """
    count, n = int(part["flips"].sum()), len(part)
    if count in (0, n):
        exact = scipy_stats.binomtest(count, n).proportion_ci(0.95)
        return float(exact.low), float(exact.high)
    blocks, _ = blocks_of(view.tables["genes"], part["gene_id"])
    ends = stats.block_bootstrap(part["flips"], blocks, stats.weighted_mean, weighted=True, seed=1)
    return float(ends[0]), float(ends[1])


def first_network(view: View) -> str | None:
    """The first run that is a network, in drawing order, else the first of all."""
    runs = view.runs_in(view["across"]["run_id"])
    return next((run for run in runs if view.kinds[run] == "network"), runs[0] if runs else None)


@figure("populations_distribution")
def by_population(view: View):
    """Histograms of the first network's r: pooled, each population, centred."""
    order, run = kinds(view), first_network(view)
    if not order:
        return _NONE
    table = view["across"].dropna(subset=["pearson"])
    table = table[(table["run_id"] == run) & table["population"].isin(order)]
    rows = summaries(view)
    rows = rows[rows["run_id"] == run].set_index("population")
    order = [name for name in order if name in rows.index]
    if not order:
        return _NO_R
    drawn, axes = style.panels([2.0] * len(order))
    for axis, name in zip(axes, order, strict=True):
        part = table[table["population"] == name]
        histogram(axis, part, rows.loc[name], view.colours[run])
        axis.set_title(_NAMES.get(name, name))
    axes[-1].set_xlabel(f"r across people, {view.labels[run]}")
    caption = (
        f"{view.labels[run]}: one r per gene among all people, within each population, and with "
        "each population's mean removed from prediction and expression. Dashed: what sampling "
        "alone would give. Fewer people make a wider spread by themselves."
    )
    return drawn, table, caption


@figure("populations_centring")
def centred_scatter(view: View):
    """r with population means removed against r of all people, per gene."""
    table = centring(view)
    if table.empty:
        return _NO_R if kinds(view) else _NONE
    shares = flip_shares(view)
    runs = _shown_runs(view, shares)
    drawn, axes = style.panels([3.1] * len(runs))
    for axis, run in zip(axes, runs, strict=True):
        row = shares[(shares["run_id"] == run) & (shares["genes"] == "all")].iloc[0]
        _scatter_panel(axis, table[table["run_id"] == run], row, view.colours[run])
    axes[-1].set_xlabel("r among all people")
    caption = (
        "One point is one gene: its r among all people, and with each population's mean removed. "
        "Points in the shaded quarters change sign: what looked like a variant's effect was a "
        "difference between populations. Intervals of the share: block bootstrap."
    )
    return drawn, table[table["run_id"].isin(runs)], caption


def _shown_runs(view: View, shares: pd.DataFrame) -> list[str]:
    """The first network, and the first run of another kind to set beside it."""
    given = view.runs_in(shares["run_id"])
    first = first_network(view)
    others = [run for run in given if view.kinds[run] != "network"]
    return [run for run in [first, *others[:1]] if run in given]


def _scatter_panel(axis, part: pd.DataFrame, row, colour: str) -> None:
    for x, y in (((-1, 0), (0, 1)), ((0, 1), (-1, 0))):
        axis.fill_between(x, *y, color="#eeeeee", lw=0)
    axis.plot([-1, 1], [-1, 1], color=style.FAINT, lw=0.8)
    axis.scatter(part["pooled"], part["centred"], s=8, alpha=0.5, lw=0, color=colour,
                 rasterized=True)  # fmt: skip
    r, _ = stats.pearson_rows(part["pooled"], part["centred"])
    span = float(part[["pooled", "centred"]].abs().max().max()) * 1.1
    axis.set(xlim=(-span, span), ylim=(-span, span * 1.25), ylabel="r, population means removed")
    axis.set_title(f"{row['label']}: {100 * row['share']:.1f} % change sign", fontsize=9.5)
    ends = style.interval(100 * row["ci_low"], 100 * row["ci_high"], 1)
    text = f"{int(part['flips'].sum())} of n = {row['n']} genes, {ends} %\n"
    style.note(axis, f"{text}correlation of the two r: {style.signed(r[0], 2)}")


@figure("populations_flips")
def flips(view: View):
    """Share of genes whose r changes sign when population means are removed, every run."""
    shares = flip_shares(view)
    if shares.empty:
        return _NO_R if kinds(view) else _NONE
    drawn, (axis,) = style.panels([1.0 + 0.5 * len(shares)])
    for place, row in enumerate(shares.itertuples()):
        colour, weak = view.colours[row.run_id], row.genes == "significant"
        axis.barh(place, 100 * row.share, color=colour, height=0.55, alpha=0.45 if weak else 0.9)
        axis.plot([100 * row.ci_low, 100 * row.ci_high], [place, place], color=style.INK, lw=1.4)
        end = np.nanmax([100 * row.ci_high, 100 * row.share]) + 0.6
        style.words(axis, end, place, f"{100 * row.share:.1f} %, n = {row.n}", 8.5)
    names = [
        style.wrapped(row.label if row.genes == "all" else "significant genes", 24)
        for row in shares.itertuples()
    ]
    axis.set_yticks(range(len(shares)), names, fontsize=8)
    top = np.nanmax([*shares["ci_high"], *shares["share"], 0.05])
    axis.set(xlim=(0, 160 * top + 3), ylim=(len(shares) - 0.4, -0.6))
    axis.set_xlabel("genes whose r changes sign (%)")
    caption = (
        "Share of genes whose r changes sign when population means are removed; paler: of the "
        "genes whose r among all people is significant (q ≤ 0.05). Only genes tested on people of "
        "two populations or more. An r near 0 changes sign easily. Intervals: block bootstrap; "
        "exact binomial where no gene changes."
    )
    return drawn, shares, caption
