"""The variants that drive a network's predictions: do eQTLs agree, where do they lie, how many?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar.evaluation import run_comparison
from howfar.evaluation.run_comparison import compare_sides, share_interval
from howfar.figures import style
from howfar.figures.view import View, figure

#: Agreement with what was measured keeps its two colours on every page.
AGREES, DISAGREES = "#1B7837", "#762A83"
SIDES = {"positive": AGREES, "negative": DISAGREES}
TYPES = {"supported": AGREES, "unsupported": DISAGREES}
#: bp of the TSS that counts as near.
NEAR = 1000
_NONE = "No drivers of a network's predictions are public for this study."
_FINE_MAPPED = "fine_mapped_distance_"


def first_run(view: View) -> str | None:
    """The first run, in drawing order, that has drivers; None if none has."""
    return next(iter(view.runs_in(view["drivers"]["run_id"])), None)


def of_run(view: View, table: str, run: str) -> pd.DataFrame:
    """Rows of a table of one run."""
    rows = view[table]
    return rows[rows["run_id"] == run].reset_index(drop=True)


def mains(drivers: pd.DataFrame) -> pd.DataFrame:
    """The drivers that are their gene's main one."""
    return drivers[drivers["is_main"].fillna(False).astype(bool)]


def supported(view: View, run: str) -> pd.DataFrame:
    """`comparisons.support` of a run."""
    return run_comparison.support(
        of_run(view, "drivers", run), of_run(view, "across", run), view["features"]
    )


@figure("driver_support")
def driver_support(view: View):
    """Share of a gene's drivers with the eQTL's sign, genes of positive and of negative r."""
    run = first_run(view)
    table = supported(view, run) if run else pd.DataFrame()
    chosen = run_comparison.trusted(table) if len(table) else table
    if not len(chosen) or chosen["side"].nunique() < 2:
        return _NONE if run is None else "Too few genes with drivers and |r| above 0.2."
    sides = compare_sides(chosen, view.tables["genes"])
    drawn, axes = style.panels([2.5, 1.9])
    _support_histogram(axes[0], chosen, view)
    _main_support(axes[1], table, view)
    caption = (
        f"{view.labels[run]}: a driver is supported where its predicted effect has the sign of the "
        "measured one (the slope of expression on the variant). Mean share of supported drivers, "
        f"positive less negative genes: {style.signed(sides.difference, 2)} "
        f"{style.interval(*sides.ci, 2)}, interval by bootstrap over {sides.unit}; Mann-Whitney "
        f"p = {sides.p:.1e} with genes taken as independent. Upper panel: genes whose sum of "
        "single effects follows the prediction (r > 0.2), where this is known."
    )
    return drawn, table, caption


def _support_histogram(axis, chosen: pd.DataFrame, view: View) -> None:
    edges = np.linspace(0, 1, 11)
    middle, width = (edges[1:] + edges[:-1]) / 2, 0.04
    means = []
    for place, (side, colour) in enumerate(SIDES.items()):
        part = chosen[chosen["side"] == side]
        means.append(style.signed(part["supported"].mean(), 2))
        share = 100 * np.histogram(part["supported"], edges)[0] / len(part)
        ends = share_interval(part["supported"], part["gene_id"], view.tables["genes"])
        label = f"{side} r: n = {len(part)} genes, mean {means[-1]} {style.interval(*ends, 2)}"
        axis.bar(middle + (place - 0.5) * width, share, width, color=colour, label=label)
    axis.set(xlim=(0, 1), ylim=(0, 145), yticks=range(0, 101, 25), ylabel="% of genes")
    axis.set_xlabel("share of the gene's drivers that the eQTL supports")
    axis.set_title(f"Drivers with the eQTL's sign: {means[0]} against {means[1]}")
    axis.legend(loc="upper left", fontsize=8.5)


def _main_support(axis, table: pd.DataFrame, view: View) -> None:
    title = []
    for place, (side, colour) in enumerate(SIDES.items()):
        part = table[table["side"] == side]
        hits = part["main"].eq("supported").astype(float)
        ends = share_interval(hits, part["gene_id"], view.tables["genes"])
        axis.barh(place, 100 * hits.mean(), color=colour, height=0.45)
        if 0 < hits.mean() < 1:
            axis.plot([100 * e for e in ends], [place] * 2, color=style.INK, lw=1.4)
        text = f"{side} r: {int(hits.sum())} of n = {len(part)} genes, {100 * hits.mean():.1f} %"
        style.words(axis, 0.5, place - 0.38, text)
        title.append(f"{100 * hits.mean():.0f} %")
    axis.set(xlim=(0, 100), yticks=[], ylim=(1.4, -0.7))
    axis.set_xlabel("% of genes whose main driver the eQTL supports")
    axis.set_title(f"Main drivers with the eQTL's sign: {title[0]} against {title[1]}")


@figure("driver_distance")
def driver_distance(view: View):
    """Distance of drivers to the TSS, main ones and all."""
    run = first_run(view)
    if run is None:
        return _NONE
    drivers = of_run(view, "drivers", run).dropna(subset=["distance"])
    main = mains(drivers)
    drawn, axes = style.panels([3.1, 2.0] if len(main) else [3.1])
    for name, rows, mark in (("main drivers", main, "-"), ("all drivers", drivers, "--")):
        if len(rows):
            _distance_line(axes[0], rows, name, mark, view, view.colours[run])
    axes[0].axvline(NEAR, ymax=0.68, color=style.FAINT, lw=0.8)
    axes[0].set(xscale="log", ylim=(0, 1.5), ylabel="share of drivers")
    axes[0].set_yticks(np.arange(0, 1.01, 0.25))
    axes[0].set_xlabel("distance to the TSS (bp, at least 1)")
    shares = [
        f"{100 * (rows['distance'].abs() < NEAR).mean():.0f} % ({name})"
        for name, rows in (("main", main), ("all", drivers))
        if len(rows)
    ]
    axes[0].set_title(f"Drivers within {NEAR:,} bp: {', '.join(shares)}")
    axes[0].legend(loc="upper left", fontsize=8.5)
    if len(main):
        _signed_panel(axes[1], main, view, view.colours[run])
    caption = (
        f"Where the drivers of {view.labels[run]} lie. Above: share of drivers within a distance; "
        f"the line marks {NEAR:,} bp; 95 % intervals by block bootstrap. Below: main drivers, "
        "upstream to the left, along the gene's strand."
    )
    return drawn, drivers, caption


def _distance_line(axis, rows: pd.DataFrame, name: str, mark: str, view: View, colour: str):
    far = np.sort(rows["distance"].abs().clip(lower=1).to_numpy(float))
    near = (rows["distance"].abs() < NEAR).astype(float)
    low, high = share_interval(near, rows["gene_id"], view.tables["genes"])
    label = (
        f"{name}, n = {len(rows)}: median {rows['distance'].abs().median():,.0f} bp,\n"
        f"{100 * near.mean():.1f} % [{100 * low:.0f}, {100 * high:.0f}] within {NEAR:,} bp"
    )
    axis.step(far, np.arange(1, len(far) + 1) / len(far), mark, where="post", color=colour,
              label=label)  # fmt: skip


def _signed_panel(axis, rows: pd.DataFrame, view: View, colour: str) -> None:
    strand = view.tables["genes"].set_index("gene_id")["strand"].reindex(rows["gene_id"])
    known = strand.notna().to_numpy()
    sign = np.where(strand == "-", -1, 1)
    along = (rows["distance"].to_numpy(float) * sign)[known]
    inside = np.abs(along) <= 2 * NEAR
    axis.hist(along[inside], np.arange(-2 * NEAR, 2 * NEAR + 1, 100), color=colour)
    axis.axvline(0, color=style.INK, lw=0.8)
    axis.set(xlim=(-2 * NEAR, 2 * NEAR), ylabel="main drivers")
    axis.set_xlabel("position along the gene, TSS at 0 (bp)")
    axis.set_title(
        f"{int((along < 0).sum())} upstream, {int((along > 0).sum())} downstream; "
        f"{int((~inside).sum())} beyond {2 * NEAR:,} bp",
        fontsize=10,
    )


@figure("driver_counts")
def driver_counts(view: View):
    """How many drivers a gene has."""
    run = first_run(view)
    if run is None:
        return _NONE
    per_gene = of_run(view, "drivers", run).groupby("gene_id").size().rename("drivers")
    top = int(per_gene.max())
    drawn, (axis,) = style.panels([2.5])
    shown = per_gene.clip(upper=20)
    axis.hist(shown, np.arange(0.5, 21.5), color=view.colours[run])
    ticks = [1, 5, 10, 15, 20]
    axis.set_xticks(ticks, [*map(str, ticks[:-1]), "20+"])
    axis.set(xlabel="drivers of the gene", ylabel="genes", xlim=(0, 21))
    axis.set_title(f"Drivers per gene: median {per_gene.median():g}, at most {top}")
    style.note(
        axis,
        f"n = {len(per_gene)} genes, {int(per_gene.sum())} drivers\n"
        f"{int((per_gene == 1).sum())} genes with one, {int((per_gene > 20).sum())} with more "
        "than 20",
        x=0.35,
    )
    caption = (
        f"How many variants carry the prediction of {view.labels[run]}: genes by their number of "
        "drivers, in the genes for which drivers were sought."
    )
    return drawn, per_gene.reset_index(), caption


@figure("fine_mapped")
def fine_mapped(view: View):
    """r across people of the genes with a fine-mapped eQTL."""
    features, run = view["features"], next(iter(view.labels), None)
    names = sorted(n for n in features["feature"].unique() if n.startswith(_FINE_MAPPED))
    if not names or run is None:
        return "No fine-mapped eQTLs per gene are public for this study."
    rows = of_run(view, "across", run).query("population == 'pooled'").dropna(subset=["pearson"])
    groups = {"all genes": rows}
    for name in names:
        ids = features.loc[features["feature"] == name, "gene_id"]
        tissue = name.removeprefix(_FINE_MAPPED)
        groups[f"fine-mapped in {tissue}"] = rows[rows["gene_id"].isin(ids)]
    drawn, axes = style.panels([1.7] * len(groups))
    for axis, (name, part) in zip(axes, groups.items(), strict=True):
        _fine_mapped_panel(axis, part, name, view, view.colours[run])
    axes[-1].set_xlabel(f"r across people, {view.labels[run]}")
    caption = (
        "Genes whose eQTL was fine-mapped to a likely causal variant (SuSiE, in other studies of "
        "brain tissue), beside all genes. A known variant alone does not make the direction right."
    )
    data = pd.concat([part.assign(genes=name) for name, part in groups.items()])
    return drawn, data, caption


def _fine_mapped_panel(axis, part: pd.DataFrame, name: str, view: View, colour: str) -> None:
    below = (part["pearson"] < 0).astype(float)
    low, high = share_interval(below, part["gene_id"], view.tables["genes"])
    axis.hist(part["pearson"], np.linspace(-1, 1, 61), density=True, color=colour, alpha=0.75)
    axis.axvline(0, color=style.INK, lw=0.8)
    axis.set(xlim=(-1, 1), ylabel="density")
    axis.set_title(
        f"{name.capitalize()}: {100 * below.mean():.0f} % [{100 * low:.0f}, {100 * high:.0f}] "
        "below 0"
    )
    spread = part["pearson"].astype(float).std()
    style.note(axis, f"n = {len(part)} genes\n{int(below.sum())} below 0\nSD {spread:.3f}")
