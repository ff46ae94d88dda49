"""One gene in detail: its variants, gradients and people, as two studies show theirs."""

from __future__ import annotations

import pandas as pd

from howfar.evaluation.gene_detail import (
    BASES,
    BY_GRADIENT,
    CLUSTERS,
    CONTRIBUTIONS,
    CUMULATED,
    LINEAR,
    MAP,
)
from howfar.evaluation.run_comparison import driver_types
from howfar.figures import style
from howfar.figures.drivers import TYPES
from howfar.figures.view import Drawn, View, figure

_MAIN = "#CC79A7"

_NO_EFFECTS = "No effects of single variants; name genes under the study's key `effects`."
_NO_GRADIENTS = "No gradients; `howfar effects` makes those of a network's genes."


def _gene(view: View, gene: str, run: str) -> str:
    """Id of the gene asked for; else of the run's first with gradients, or effects."""
    names = {name: key for key, name in view.gene_names.items()}
    if gene:
        return names.get(gene, gene)
    shown = view.summary(BASES).query("method == @run")["group"]
    effects = view.of_run("effects", run)["gene_id"]
    return str(next(iter([*shown[:1], *effects[:1]]), ""))


def _run(view: View, frame: pd.DataFrame, column: str = "run_id") -> str | None:
    return next(iter(view.runs_in(frame[column])), None)


def _variants(view: View, run: str, gene: str) -> pd.DataFrame:
    """Variants of a gene with their type as drivers ('' for others), gain and main driver."""
    table = view.of_run("effects", run).query("gene_id == @gene")
    drivers = view.of_run("drivers", run).query("gene_id == @gene")
    drivers = drivers.assign(type=driver_types(drivers))
    found = table.merge(drivers[["variant", "type", "gain", "is_main"]], "left", "variant")
    found["is_main"] = found["is_main"].fillna(False).astype(bool)
    return found.assign(type=found["type"].astype(object).fillna(""))


@figure("variants_along")
def variants_along(view: View, gene: str = "") -> Drawn:
    """Effect of each variant of one gene by its place, coloured by frequency; the TSS marked."""
    run = _run(view, view["effects"])
    gene = run and _gene(view, gene, run)
    table = pd.DataFrame() if run is None else _variants(view, run, gene)
    if table.empty:
        return _NO_EFFECTS
    drawn, axes = style.panels([2.2, 2.2], columns=1)
    near = min(4_000, table["distance"].abs().max() / 4)
    for axis, part in zip(axes, (table, table[table["distance"].abs() <= near]), strict=True):
        axis.vlines(part["distance"], 0, part["effect"], color=style.FAINT, lw=0.8)
        dots = axis.scatter(
            part["distance"], part["effect"], c=part["maf"], cmap="viridis", vmin=0, vmax=0.5, s=22
        )
        axis.axhline(0, color=style.INK, lw=0.8)
        axis.axvline(0, color=style.INK, lw=0.8, ls="--")
        axis.set_ylabel("effect")
    drawn.colorbar(dots, ax=axes, label="minor allele frequency")
    axes[0].set_title(f"{view.gene_names[gene]}, {view.labels[run]}: n = {len(table)} variants")
    axes[1].set_title(f"within {near:,.0f} bp of the TSS", fontsize=9.5)
    axes[1].set_xlabel("bp from the TSS (dashed)")
    caption = (
        "Effect of each variant alone on the prediction from the reference, along the gene; "
        "colour: minor allele frequency."
    )
    return drawn, table, caption


@figure("slope_against_effect")
def slope_against_effect(view: View, gene: str = "") -> Drawn:
    """The eQTL's slope of each variant of one gene against its predicted effect, drivers marked."""
    run = _run(view, view["effects"].dropna(subset=["slope"]))
    if run is None:
        return "No eQTL slopes of variants with effects; the study's key `eqtl` maps them."
    gene = _gene(view, gene, run)
    table = _variants(view, run, gene).dropna(subset=["slope"])
    if table.empty:
        return _NO_EFFECTS
    drawn, (axis,) = style.panels([3.2])
    other = table[table["type"] == ""]
    dots = axis.scatter(
        other["effect"], other["slope"], c=other["maf"], cmap="viridis", vmin=0, vmax=0.5, s=18
    )
    drawn.colorbar(dots, ax=axis, label="minor allele frequency")
    for kind, colour in TYPES.items():
        part = table[table["type"] == kind]
        sizes = 30 * (1 + 2 * part["gain"].astype(float))
        mark = "o" if kind == "supported" else "v"
        label = f"driver, {kind}: {len(part)}"
        axis.scatter(part["effect"], part["slope"], s=sizes, color=colour, marker=mark, label=label)
    style.cross(axis)
    axis.set(xlabel="predicted effect", ylabel="eQTL slope (expression per copy)")
    style.legend(drawn, axis)
    axis.set_title(f"{view.gene_names[gene]}, {view.labels[run]}: n = {len(table)} variants")
    caption = (
        "One point per variant of the gene: slope of expression on its copies against its effect "
        "on the prediction. Drivers (marked) are larger the more of the prediction they carry. "
        "Variants in LD have similar slopes, whichever of them is causal."
    )
    return drawn, table, caption


@figure("gradient_along")
def gradient_along(view: View, gene: str = "") -> Drawn:
    """Gradient along one gene's reference sequence, with its variants and drivers."""
    bases = view.summary(BASES)
    run = _run(view, bases, "method")
    if run is None:
        return _NO_GRADIENTS
    gene = _gene(view, gene, run)
    bases = bases.query("method == @run and group == @gene").sort_values("x")
    if bases.empty:
        return f"No gradient of every base of {view.gene_names.get(gene, gene)} is kept."
    table = _variants(view, run, gene)
    largest = max(float(table["effect"].abs().max()), 1e-300) if len(table) else 1.0
    drawn, axes = style.panels([2.0, 2.0, 2.0], columns=1)
    whole = float(bases["x"].abs().max())
    for axis, reach in zip(axes, (whole, whole / 6, 150.0), strict=True):
        part = bases[bases["x"].abs() <= reach]
        axis.vlines(part["x"], 0, part["value"], color=style.FAINT, lw=0.7, rasterized=True)
        here = table[table["distance"].abs() <= reach]
        rest = here[here["type"] == ""]
        axis.scatter(rest["distance"], rest["effect"] / largest, s=8, color=style.INK, label="SNP")
        for kind, colour in TYPES.items():
            chosen = here[here["type"] == kind]
            mark = "o" if kind == "supported" else "v"
            value = chosen["effect"] / largest
            axis.scatter(chosen["distance"], value, s=36, color=colour, marker=mark, label=kind)
        main = here[here["is_main"]]
        ring = {"s": 80, "facecolors": "none", "edgecolors": _MAIN, "label": "main driver"}
        axis.scatter(main["distance"], main["effect"] / largest, **ring)
        axis.axvline(0, color=style.INK, lw=0.8, ls="--")
        axis.axhline(0, color=style.INK, lw=0.8)
        axis.set(ylim=(-1.1, 1.1), xlim=(-reach, reach))
    axes[1].set_ylabel("share of the largest")
    axes[2].set_xlabel("bp from the TSS (dashed)")
    style.legend(drawn, axes[0], ncols=4)
    axes[0].set_title(f"{view.gene_names[gene]}, {view.labels[run]}: n = {len(table)} variants")
    caption = (
        "Grey: gradient at each base of the reference (that of the base present minus the mean of "
        "the other three), as a share of the gene's largest. Points: effects of variants, as a "
        "share of the largest. The panels zoom in on the TSS."
    )
    return drawn, pd.concat([bases, table]), caption


@figure("gradient_variants")
def gradient_variants(view: View) -> Drawn:
    """Effects of variants by mutagenesis against gradients, and r of their sums by both."""
    table, line = view.summary(BY_GRADIENT), view.summary(LINEAR)
    run = _run(view, table, "method")
    if run is None:
        return _NO_GRADIENTS
    table, line = (frame[frame["method"] == run] for frame in (table, line))
    drawn, axes = style.panels([2.8, 2.8])
    scale = table.groupby("group")[["x", "value"]].transform(
        lambda v: v / max(v.abs().max(), 1e-300)
    )
    axes[0].scatter(scale["x"], scale["value"], s=10, color=view.colours[run], lw=0, alpha=0.7)
    style.cross(axes[0])
    middle = view.number(f"{run}.gradient.variants.r")
    words = "" if middle is None else f", median r {style.estimated(middle, 2)}"
    genes = table["group"].nunique()
    axes[0].set_title(f"n = {len(table)} variants of {genes} genes{words}", fontsize=9.5)
    axes[0].set(xlabel="effect by mutagenesis", ylabel="effect by gradient")
    axes[1].scatter(line["x"], line["value"], s=22, color=view.colours[run], lw=0)
    axes[1].plot([-1, 1], [-1, 1], color=style.FAINT, lw=0.8)
    style.cross(axes[1])
    axes[1].set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05))
    axes[1].set(
        xlabel="r of the sum of effects with the prediction", ylabel="the same, by gradients"
    )
    axes[1].set_title(f"n = {len(line)} genes", fontsize=9.5)
    caption = (
        f"{view.labels[run]}. First panel: each variant's effect, put into the reference alone, "
        "against "
        "the difference of the gradient between its alleles; each as a share of the gene's "
        "largest. Second panel: r across people of the sum of effects times copies with the "
        "prediction, "
        "per gene; above 0.2 the sum is taken as an approximation of the network."
    )
    return drawn, pd.concat([table, line]), caption


@figure("gradient_clusters")
def gradient_clusters(view: View) -> Drawn:
    """Where along the sequence gradients lie: clusters of genes' profiles."""
    table = view.summary(CLUSTERS)
    run = _run(view, table, "method")
    if run is None:
        return (
            "Too few genes with gradients to be clustered; the study's key `gradients` adds some."
        )
    table = table.query("method == @run")
    names = sorted(table["group"].unique())
    drawn, axes = style.panels([1.15] * len(names))
    most = float(table["value"].max())
    for axis, name in zip(axes, names, strict=True):
        part = table[table["group"] == name].sort_values("x")
        axis.fill_between(part["x"], 0, part["value"], color=view.colours[run], alpha=0.6, lw=0)
        for place in (-192, 0, 192):
            axis.axvline(place, color=style.INK, lw=0.6, ls="-" if place == 0 else ":")
        axis.set(ylim=(0, 1.05 * most), xlim=(part["x"].min(), part["x"].max()))
        axis.set_title(f"{name}: n = {int(part['n'].iloc[0])} genes", fontsize=9)
        axis.tick_params(labelbottom=name == names[-1])
    for axis in axes[::2]:
        axis.set_ylabel("SD of gradients")
    axes[-1].set_xlabel("bp from the TSS, read in the gene's direction")
    caption = (
        f"{view.labels[run]}: genes clustered (complete linkage) by the SD of their gradients in "
        "windows of 128 bases, each gene's gradient divided by its own SD. Dotted: 192 bp from "
        "the TSS, the reach of the bins that are summed."
    )
    return drawn, table, caption


@figure("people_map")
def people_map(view: View) -> Drawn:
    """People and variants of one gene, those alike merged: mean copies."""
    table = view.summary(MAP)
    if table.empty:
        return "No map of people's variants: too few are alike, or the study's people are private."
    names = list(dict.fromkeys(table["group"]))
    wide = table.pivot(index="group", columns="x", values="value").loc[names]
    drawn, (axis,) = style.panels([0.9 + 0.16 * len(names)])
    seen = axis.imshow(wide, cmap="viridis", vmin=0, vmax=2, aspect="auto", interpolation="nearest")
    drawn.colorbar(seen, ax=axis, label="mean copies")
    gene = view.gene_names.get(table["method"].iloc[0], table["method"].iloc[0])
    people = int(table.groupby("group")["n"].first().sum())
    axis.set_title(f"{gene}: n = {people} people in {len(names)} groups")
    axis.set(xlabel="group of variants", ylabel="group of people", yticks=[])
    caption = (
        "Variants that more than a tenth of the people carry, merged where r of their copies is "
        "at least 0.9; people merged in the same way, groups of ten and fewer left out. Rows and "
        "columns in the order of average linkage."
    )
    return drawn, table, caption


@figure("contributions")
def contributions(view: View, gene: str = "") -> Drawn:
    """What each variant adds to the spread of one gene's prediction, and how few carry it."""
    table, so_far = view.summary(CONTRIBUTIONS), view.summary(CUMULATED)
    runs = view.runs_in(table["method"])
    if not runs:
        return _NO_EFFECTS
    gene = _gene(view, gene, runs[0])
    table, so_far = (frame[frame["group"] == gene] for frame in (table, so_far))
    drawn, axes = style.panels([1.7] * len(runs) + [2.0])
    for axis, run in zip(axes, runs, strict=False):
        part = table[table["method"] == run]
        axis.vlines(part["x"], 0, part["value"], color=view.colours[run], lw=1.2)
        axis.axhline(0, color=style.INK, lw=0.8)
        axis.axvline(0, color=style.INK, lw=0.8, ls="--")
        axis.set_title(f"{view.labels[run]}: n = {len(part)} variants", fontsize=9.5)
        steps = so_far[so_far["method"] == run].sort_values("x")
        axes[-1].plot(steps["x"], steps["value"], color=view.colours[run], label=view.labels[run])
    axes[0].set_ylabel("contribution")
    axes[len(runs) - 1].set_xlabel("bp from the TSS (dashed)")
    axes[-1].set(xlabel="variants, the largest contributions first", xscale="log")
    axes[-1].set_ylabel("r of their sum\nwith the prediction")
    axes[-1].axhline(0, color=style.INK, lw=0.8)
    style.legend(drawn, axes[-1])
    caption = (
        f"{view.gene_names.get(gene, gene)}; our version of Huang et al. 2023, figure 2a, whose "
        "data are not public. Contribution: a variant's effect on the prediction times the "
        "SD of its copies, drawn upwards if more copies go with higher expression. Second panel: "
        "r "
        "across "
        "people of the sum of effects times copies with the prediction, variants added one by one."
    )
    return drawn, pd.concat([table, so_far]), caption
