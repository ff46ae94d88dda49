"""Heritability as the ceiling of a prediction: per class of genes, per method, per gene."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar import stats
from howfar.evaluation import heritability
from howfar.figures import style
from howfar.figures.performance import HEADINGS, compared
from howfar.figures.view import View, figure
from howfar.stats.blocks import blocks_of

_NONE = "No heritability per gene is known for this study."
_NO_R = "This study has no correlation across people for the genes with a heritability."


def _sources(view: View) -> list[str]:
    features = view.tables["features"]
    return list(pd.unique(features.loc[features["feature"] == "h2", "source"]))


@figure("heritability_classes")
def heritability_classes(view: View):
    """Mean sqrt(h2) per class of genes and set of people in which h2 was estimated."""
    found = [heritability.ceilings(view.tables, source) for source in _sources(view)]
    if not found:
        return _NONE
    table = pd.concat(found, ignore_index=True)
    if table.empty:
        return _NO_R
    groups = [g for g in HEADINGS if g in set(table["group"])]
    drawn, axes = style.panels([0.8 + 0.5 * len(found)] * len(groups))
    for axis, group in zip(axes, groups, strict=True):
        part = table[table["group"] == group].reset_index(drop=True)
        for place, row in enumerate(part.itertuples()):
            _estimate(axis, place, row)
        style.rows(axis, [style.wrapped(s, 22) for s in part["source"]], 8, top=-0.6)
        axis.set_xlim(0, 0.75)
        axis.set_title(f"{HEADINGS[group]}, n = {part['genes'].iloc[0]} genes", fontsize=9.5)
    axes[-1].set_xlabel("√h² (r of a perfect additive cis predictor)")
    caption = (
        "Bars: mean over genes of √max(h², 0), with 95 % block-bootstrap interval. Diamonds: √ of "
        "the mean h², negative estimates left in, so that errors of single genes average out; it "
        "lies above the mean of the roots by construction. The genes were chosen for having an "
        "eQTL in overlapping people, which raises h²."
    )
    return drawn, table, caption


def _estimate(axis, place: float, row) -> None:
    colour = style.KIND_COLOURS["truth"][1]
    axis.barh(place, row.ceiling, color=colour, alpha=0.35, height=0.55)
    axis.plot([row.ci_low, row.ci_high], [place] * 2, color=style.INK, lw=1.6)
    axis.scatter(row.rms, place, marker="D", s=26, facecolor="white", edgecolor=style.INK)
    text = f"{row.ceiling:.3f} {style.interval(row.ci_low, row.ci_high)}"
    style.words(axis, np.nanmax([row.ci_high, row.rms]) + 0.03, place, text, 8.5)


@figure("heritability_attained")
def heritability_attained(view: View):
    """Mean r over the mean of sqrt(h2), per method and class of genes."""
    if not _sources(view):
        return _NONE
    table = heritability.attained(view.tables, _sources(view)[0])
    table = table[table["run_id"].isin([run for run in view.labels if compared(run)])]
    if table.empty:
        return _NO_R
    groups = [g for g in HEADINGS if g in set(table["group"])]
    sizes = [(table["group"] == g).sum() for g in groups]
    drawn, axes = style.panels([0.95 + 0.29 * size for size in sizes])
    for axis, group in zip(axes, groups, strict=True):
        part = table[table["group"] == group].set_index("run_id")
        runs = view.runs_in(part.index)
        for place, run in enumerate(runs):
            _share(axis, place, part.loc[run], view.colours[run])
        style.rows(axis, [style.wrapped(view.labels[r], 26) for r in runs], top=-0.6)
        axis.axvline(1, color=style.INK, lw=0.8, ls="--")
        axis.set_xlim(min(0, part["ci_low"].min()), 1.4)
        n, limit = part["genes"].max(), part["ceiling"].iloc[0]
        axis.set_title(f"{HEADINGS[group]}\nn = {n} genes, ceiling {limit:.3f}", fontsize=9.5)
    axes[-1].set_xlabel("mean r / mean √h²")
    return drawn, table, f"{_SHARE} Heritability: {table['source'].iloc[0]}."


_SHARE = (
    "Share of the ceiling reached: mean r over genes divided by the mean of √max(h², 0) of the "
    "same genes (dashed: all of it). Discs: r and h² per gene are public; the 95 % interval draws "
    "both together by block bootstrap, so that the errors of h² are part of it. Circles: only the "
    "mean r is public; the interval is that of the ceiling alone and too narrow. Predictions that "
    "are constant count as r = 0."
)


def _share(axis, place: float, row: pd.Series, colour: str) -> None:
    axis.plot([row["ci_low"], row["ci_high"]], [place] * 2, color=colour, lw=2)
    face = colour if row["per_gene"] else "white"
    axis.plot(row["ratio"], place, "o", color=colour, mfc=face, ms=6)
    text = f" {100 * row['ratio']:.0f} %"
    style.words(axis, np.nanmax([row["ci_high"], row["ratio"]]) + 0.01, place, text, 8.5)


@figure("heritability_scatter")
def heritability_scatter(view: View):
    """Per gene: r against sqrt(h2), for a network and for a linear model."""
    if not _sources(view):
        return _NONE
    table = heritability.per_gene(view.tables, _sources(view)[0])
    runs = _one_of_each(view, set(table["run_id"]))
    groups = [g for g in HEADINGS if g in set(table["population"])]
    if not runs:
        return _NO_R
    drawn, axes = style.panels([2.7] * len(runs) * len(groups))
    panels = [(run, group) for group in groups for run in runs]
    for axis, (run, group) in zip(axes, panels, strict=True):
        part = table[(table["run_id"] == run) & (table["population"] == group)]
        _gene_panel(axis, part, view, run)
        axis.set_title(f"{view.labels[run]}. {HEADINGS[group]}", fontsize=9.5)
    axes[-1].set_xlabel("√max(h², 0) of the gene")
    caption = (
        "One point is one gene; the line is r = √h², which nothing additive can pass but by "
        "chance: with few people r scatters by about 1/√n around its true value, and h² has its "
        "own error. ρ is Spearman's, with its 95 % block-bootstrap interval. Heritability: "
        f"{table['source'].iloc[0]}."
    )
    shown = table[table["run_id"].isin(runs)]
    columns = ["run_id", "gene_id", "population", "n", "r", "h2", "h2_se"]
    return drawn, shown[columns], caption


def _one_of_each(view: View, known: set[str]) -> list[str]:
    """The first run of each kind that has r per gene (of linear models the elastic net)."""
    kinds = view.kinds
    ordered = sorted(view.labels, key=lambda run: run != "elastic_net")
    found = {}
    for run in ordered:
        if run in known:
            found.setdefault(kinds[run], run)
    return [found[kind] for kind in ("network", "linear", "truth") if kind in found]


def _gene_panel(axis, part: pd.DataFrame, view: View, run: str) -> None:
    x, y = part["root"].to_numpy(float), part["r"].to_numpy(float)
    axis.scatter(x, y, s=10, color=view.colours[run], alpha=0.55, lw=0, rasterized=True)
    axis.plot([0, 1], [0, 1], color=style.INK, lw=0.9, ls="--")
    axis.axhline(0, color=style.FAINT, lw=0.8)
    axis.set(xlim=(-0.02, 1.03), ylim=(-0.85, 1.35), ylabel="r across people")
    axis.set_yticks([-0.5, 0, 0.5, 1])
    blocks, _ = blocks_of(view.tables["genes"], part["gene_id"])
    pairs = np.column_stack([x, y])
    rho = stats.weighted_spearman(pairs, np.ones((1, len(pairs))))[0]
    low, high = stats.block_bootstrap(pairs, blocks, stats.weighted_spearman, weighted=True)
    style.note(
        axis,
        f"n = {len(part)} genes, {style.span(part['n'])} people; ρ = {style.signed(rho, 2)} "
        f"{style.interval(low, high, 2)}\n{(y > x).sum()} genes above the line, "
        f"{(y < 0).sum()} below 0",
    )
