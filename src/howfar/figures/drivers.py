"""The variants that drive a network's predictions: do eQTLs agree, where do they lie, how many?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from howfar.evaluation import run_comparison
from howfar.evaluation.driver_halves import DRIVER_HALVES
from howfar.evaluation.drivers import source_of
from howfar.evaluation.numbers.drivers import APPROXIMATION, FINE_MAPPED, MANY, NEAR, along_gene
from howfar.evaluation.run_comparison import mains
from howfar.figures import style
from howfar.figures.view import Drawn, View, figure

#: Agreement with what was measured keeps its two colours on every page.
AGREES, DISAGREES = "#1B7837", "#762A83"
SIDES = {"positive": AGREES, "negative": DISAGREES}
TYPES = {"supported": AGREES, "unsupported": DISAGREES}
_NONE = "No drivers of a network's predictions are public for this study."


def first_run(view: View) -> str | None:
    """The first run, in drawing order, that has drivers; None if none has."""
    return next(iter(view.runs_in(view["drivers"]["run_id"])), None)


def supported(view: View, run: str) -> pd.DataFrame:
    """`run_comparison.support` of a run."""
    drivers, across = view.of_run("drivers", run), view.of_run("across", run)
    return run_comparison.support(drivers, across, view["features"])


@figure("driver_support", zero="signs")
def driver_support(view: View) -> Drawn:
    """Share of a gene's drivers with the eQTL's sign, genes of positive and of negative r."""
    run = first_run(view)
    if run is None:
        return _NONE
    table = supported(view, run)
    chosen = run_comparison.trusted(table)
    if chosen["side"].nunique() < 2:
        return "Too few genes with drivers and |r| above 0.2."
    difference = view.need(f"{run}.drivers.difference")
    one, every = (view.number(f"{run}.drivers.follows_r.{what}") for what in ("one", "all"))
    shares = [f"{100 * n.value:.0f} % of {n.n} genes" for n in (every, one) if n is not None]
    joined = "; with a single driver: ".join(shares)
    drawn, axes = style.panels([2.5, 1.9])
    _support_histogram(axes[0], chosen, view, run)
    _main_support(axes[1], view, run)
    caption = (
        f"{view.labels[run]}: a driver is supported where its predicted effect has the sign of the "
        "measured one (the slope of expression on the variant). Mean share of supported drivers, "
        f"genes with positive r minus genes with negative r: {style.estimated(difference, 2)}, "
        "interval by bootstrap "
        f"over {difference.unit}. This is close to arithmetic, and no test: a driver carries the "
        "prediction, so the sign of its effect times that of its slope, measured in the same "
        f"people, is nearly always the sign of r (main driver: {joined}). It shows that "
        "predictions rest on few variants. A test needs slopes from other people. "
        "First panel: genes whose sum of single effects follows the prediction (r > 0.2), where "
        "this is known."
    )
    return drawn, table, caption


def _support_histogram(axis, chosen: pd.DataFrame, view: View, run: str) -> None:
    edges = np.linspace(0, 1, 11)
    middle, width = (edges[1:] + edges[:-1]) / 2, 0.04
    means = []
    for place, (side, colour) in enumerate(SIDES.items()):
        part = chosen[chosen["side"] == side]
        row = view.need(f"{run}.drivers.{side}.supported")
        means.append(style.signed(row.value, 2))
        share = 100 * np.histogram(part["supported"], edges)[0] / len(part)
        label = f"{side} r: n = {row.n} genes, mean {style.estimated(row, 2)}"
        axis.bar(middle + (place - 0.5) * width, share, width, color=colour, label=label)
    axis.set(xlim=(0, 1), ylim=(0, 145), yticks=range(0, 101, 25), ylabel="% of genes")
    axis.set_xlabel("share of the gene's drivers that the eQTL supports")
    axis.set_title(f"Drivers with the eQTL's sign: {means[0]} against {means[1]}")
    axis.legend(loc="upper left", fontsize=8.5)


def _main_support(axis, view: View, run: str) -> None:
    title = []
    for place, (side, colour) in enumerate(SIDES.items()):
        row = view.need(f"{run}.drivers.{side}.main_supported")
        style.bar(axis, place, row, colour, height=0.45, scale=100)
        text = f"{side} r: {row.hits} of n = {row.n} genes, {100 * row.value:.1f} %"
        style.words(axis, 0.5, place - 0.38, text)
        title.append(f"{100 * row.value:.0f} %")
    axis.set(xlim=(0, 100), yticks=[], ylim=(1.4, -0.7))
    axis.set_xlabel("% of genes whose main driver the eQTL supports")
    axis.set_title(f"Main drivers with the eQTL's sign: {title[0]} against {title[1]}")


@figure("driver_slopes", zero="signs")
def driver_slopes(view: View) -> Drawn:
    """Predicted effect of each driver against the eQTL's slope."""
    run = first_run(view)
    if run is None or view.number(f"{run}.drivers.same_sign") is None:
        return _NONE
    drivers = view.of_run("drivers", run)
    table = drivers.assign(type=run_comparison.driver_types(drivers)).query("type != 'neither'")
    share = view.need(f"{run}.drivers.same_sign")
    drawn, (axis,) = style.panels([3.4])
    for kind, colour in TYPES.items():
        part = table[table["type"] == kind]
        mark = "o" if kind == "supported" else "v"
        dots = {"s": 12, "alpha": 0.6, "linewidths": 0, "rasterized": True, "marker": mark}
        label = f"{kind}: {len(part)}"
        axis.scatter(part["eqtl_slope"], part["effect"], color=colour, label=label, **dots)
    style.cross(axis)
    axis.set_xscale("symlog", linthresh=0.01)
    axis.set_yscale("symlog", linthresh=0.01)
    axis.set(xlabel="eQTL slope (expression per copy)", ylabel="predicted effect")
    style.legend(drawn, axis)
    text = f"{100 * share.value:.0f} % {style.ends(share, 0, 100)} of the same sign"
    axis.set_title(f"n = {share.n} drivers: {text}", fontsize=10)
    caption = (
        f"Drivers of {view.labels[run]}, all genes together: predicted effect of the variant "
        "against the slope of expression on its copies, in the people whose predictions chose "
        "the drivers. Other variants are not shown. Axes are linear within ±0.01 and logarithmic "
        "beyond."
    )
    return drawn, table, caption


@figure("linear_approximation")
def linear_approximation(view: View) -> Drawn:
    """Distribution over genes of r of the sum of variant effects with the prediction."""
    features = view["features"]
    table = features[features["feature"] == APPROXIMATION].dropna(subset=["value"])
    run = next((run for run in view.labels if source_of(run) in set(table["source"])), None)
    key = APPROXIMATION
    if run is not None:
        table, key = table[table["source"] == source_of(run)], f"{run}.{APPROXIMATION}"
    middle = view.number(f"{key}.median")
    if middle is None:
        return "No sums of variant effects beside predictions are public for this study."
    low, high = (view.need(f"{key}.{q}").value for q in ("q25", "q75"))
    drawn, (axis,) = style.panels([2.4])
    axis.hist(table["value"], np.linspace(-1, 1, 41), color=style.FAINT)
    axis.axvline(run_comparison.TRUSTED, color=style.INK, ls="--", lw=1)
    axis.set(xlim=(-1, 1), ylabel="genes", xlabel="r of the sum of effects with the prediction")
    spread = f"{style.signed(low, 2)} to {style.signed(high, 2)}"
    axis.set_title(f"Median {style.signed(middle.value, 2)}, half of the genes {spread}")
    style.note(axis, f"n = {middle.n} genes")
    caption = (
        "For each gene, r over people of the summed effects of single variants with the "
        "prediction. Right of the dashed line, drivers found from single effects are taken to "
        "represent the prediction."
    )
    return drawn, table, caption


@figure("driver_halves", zero="signs")
def driver_halves(view: View) -> Drawn:
    """Whether the main driver foretells the sign of r, slope and r of the same or other people."""
    table = view.summary(DRIVER_HALVES)
    table = table[table["method"].isin(view.labels)].reset_index(drop=True)
    if table.empty:
        return "This needs genotypes, and a network with genes of |r| above 0.2 in half of them."
    drawn, (axis,) = style.panels([1.0 + 0.5 * len(table)])
    names = []
    for place, row in enumerate(table.itertuples()):
        style.estimate(axis, place, row, view.colours[row.method])
        text = f"{100 * row.value:.0f} % {style.ends(row, 0, 100)}".strip() + f", n = {row.n}"
        style.words(axis, style.end_of(row) + 0.04, place, text, 8.5)
        names.append(f"{style.wrapped(view.labels[row.method])}:\nslope of {row.group}")
    style.rows(axis, names, 8)
    axis.axvline(0.5, color=style.FAINT, ls="--", lw=1)
    axis.set(xlim=(0, 2.2), xticks=[0, 0.25, 0.5, 0.75, 1])
    axis.set_xlabel("share of genes; n: genes")
    caption = (
        "Genes whose main driver (the variant that carries most of the prediction) predicts the "
        "sign of r: effect and slope of the same sign where r is positive, of opposite sign where "
        "it is negative. With the slope of the people who give r this holds nearly by "
        "construction; the test is the slope of the other half of the people. Dashed: a coin. "
        "Genes of |r| above 0.2 in the half that gives r, ten random halves; intervals: block "
        "bootstrap."
    )
    return drawn, table, caption


@figure("driver_distance")
def driver_distance(view: View) -> Drawn:
    """Distance of drivers to the TSS, main ones and all."""
    run = first_run(view)
    if run is None:
        return _NONE
    drivers = view.of_run("drivers", run).dropna(subset=["distance"])
    main = mains(drivers)
    drawn, axes = style.panels([3.1, 2.0] if len(main) else [3.1])
    axis, shares = axes[0], []
    for name, rows, mark in (("main", main, "-"), ("all", drivers, "--")):
        if len(rows):
            near = view.need(f"{run}.drivers.{name}.near")
            shares.append(f"{100 * near.value:.0f} % ({name})")
            _distance_line(axis, rows, name, mark, view, run)
    axis.axvline(NEAR, ymax=0.68, color=style.FAINT, lw=0.8)
    axis.set(xscale="log", ylim=(0, 1.5), ylabel="share of drivers")
    axis.set_yticks(np.arange(0, 1.01, 0.25))
    axis.set_xlabel("distance to the TSS (bp, at least 1)")
    axis.set_title(f"Drivers within {NEAR:,} bp: {', '.join(shares)}")
    axis.legend(loc="upper left", fontsize=8.5)
    if len(main):
        _signed_panel(axes[1], main, view, run)
    caption = (
        f"Where the drivers of {view.labels[run]} lie. First panel: share of drivers within a "
        "distance; "
        f"the line marks {NEAR:,} bp; 95 % intervals by block bootstrap. Second panel: main "
        "drivers, "
        "upstream to the left, along the gene's strand."
    )
    return drawn, drivers, caption


def _distance_line(axis, rows: pd.DataFrame, name: str, mark: str, view: View, run: str) -> None:
    far = np.sort(rows["distance"].abs().clip(lower=1).to_numpy(float))
    middle, near = (view.need(f"{run}.drivers.{name}.{what}") for what in ("distance", "near"))
    label = (
        f"{name} drivers, n = {middle.n}: median {middle.value:,.0f} bp,\n"
        f"{100 * near.value:.1f} % {style.ends(near, 0, 100)} within {NEAR:,} bp"
    )
    line = {"where": "post", "color": view.colours[run], "label": label}
    axis.step(far, np.arange(1, len(far) + 1) / len(far), mark, **line)


def _signed_panel(axis, rows: pd.DataFrame, view: View, run: str) -> None:
    along = along_gene(rows, view.tables["genes"])
    inside = np.abs(along) <= 2 * NEAR
    edges = np.arange(-2 * NEAR, 2 * NEAR + 1, 100)
    axis.hist(along[inside], edges, color=view.colours[run])
    axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.axvline(0, color=style.INK, lw=0.8)
    axis.set(xlim=(-2 * NEAR, 2 * NEAR), ylabel="main drivers")
    axis.set_xlabel("position along the gene, TSS at 0 (bp)")
    names = ("upstream", "downstream", "beyond")
    up, down, beyond = (view.need(f"{run}.drivers.main.{name}").value for name in names)
    title = f"{up:.0f} upstream, {down:.0f} downstream; {beyond:.0f} beyond {2 * NEAR:,} bp"
    axis.set_title(title, fontsize=10)


@figure("driver_counts")
def driver_counts(view: View) -> Drawn:
    """How many drivers a gene has."""
    run = first_run(view)
    if run is None:
        return _NONE
    per_gene = view.of_run("drivers", run).groupby("gene_id").size().rename("drivers")
    names = ("n", "median_per_gene", "most_per_gene", "genes_with_one", "genes_with_many")
    numbers = [view.need(f"{run}.drivers.{name}") for name in names]
    total, middle, most, one, many = (number.value for number in numbers)
    drawn, (axis,) = style.panels([2.5])
    axis.hist(per_gene.clip(upper=MANY), np.arange(0.5, MANY + 1.5), color=view.colours[run])
    axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ticks = [1, 5, 10, 15, MANY]
    axis.set_xticks(ticks, [*map(str, ticks[:-1]), f"{MANY}+"])
    axis.set(xlabel="drivers of the gene", ylabel="genes", xlim=(0, MANY + 1))
    axis.set_title(f"Drivers per gene: median {middle:g}, at most {most:.0f}")
    style.note(
        axis,
        f"n = {numbers[0].n} genes, {total:.0f} drivers\n"
        f"{one:.0f} genes with one, {many:.0f} with more than {MANY}",
        x=0.35,
    )
    caption = (
        f"Genes by the number of variants that carry the prediction of {view.labels[run]} "
        "(drivers), among the genes for which drivers were sought."
    )
    return drawn, per_gene.reset_index(), caption


@figure("fine_mapped", zero="people")
def fine_mapped(view: View) -> Drawn:
    """r across people of the genes with a fine-mapped eQTL."""
    features, run = view["features"], next(iter(view.labels), None)
    names = sorted(n for n in features["feature"].unique() if n.startswith(FINE_MAPPED))
    if not names or run is None:
        return "No fine-mapped eQTLs per gene are public for this study."
    rows = view.of_run("across", run).query("population == 'pooled'").dropna(subset=["pearson"])
    groups = {"all": rows}
    for name in names:
        ids = features.loc[features["feature"] == name, "gene_id"]
        groups[name.removeprefix(FINE_MAPPED)] = rows[rows["gene_id"].isin(ids)]
    drawn, axes = style.panels([1.7] * len(groups))
    data = []
    for axis, (key, part) in zip(axes, groups.items(), strict=True):
        name = "all genes" if key == "all" else f"fine-mapped in {key}"
        below, sd = (view.need(f"{run}.fine_mapped.{key}.{what}") for what in ("negative", "sd"))
        edges, look = np.linspace(-1, 1, 61), {"color": view.colours[run], "alpha": 0.75}
        axis.hist(part["pearson"], edges, density=True, **look)
        axis.axvline(0, color=style.INK, lw=0.8)
        axis.set(xlim=(-1, 1), ylabel="density")
        share = f"{100 * below.value:.0f} % {style.ends(below, 0, 100)} below 0"
        axis.set_title(f"{name.capitalize()}: {share}")
        style.note(axis, f"n = {below.n} genes\n{below.hits} below 0\nSD {sd.value:.3f}")
        data.append(part.assign(genes=name))
    axes[-1].set_xlabel(f"r across people, {view.labels[run]}")
    caption = (
        "Genes whose eQTL was fine-mapped to a likely causal variant (SuSiE, in other studies of "
        "brain tissue), beside all genes. Having a known causal variant does not make the "
        "predicted direction right."
    )
    return drawn, pd.concat(data), caption
