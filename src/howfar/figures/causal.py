"""Causal variants: drivers, footprints, fine-mapped eQTLs, reporter assay, unseen alleles."""

from __future__ import annotations

import pandas as pd

from howfar.figures import style
from howfar.figures.performance import HEADINGS, stated, summary
from howfar.figures.view import Drawn, Number, View, figure
from howfar.published.rastogi2024_methods import BY_RUN

#: Drivers per gene shown one by one; the last stands for this many and more.
_MOST = 5
_PERCENTILES = [0.1, 0.25, 0.5, 0.75, 0.9]


# --- drivers ---------------------------------------------------------------------------------


@figure("drivers_per_method")
def drivers_per_method(view: View) -> Drawn:
    """Drivers of each method: how many a gene, how far from the TSS, how frequent."""
    table, frequencies = view["drivers"], summary(view, "driver_maf")
    runs = view.runs_in(table["run_id"])
    if frequencies.empty or not runs:
        return "Drivers of several methods are not public for this study."
    distances = summary(view, "driver_distance")
    if distances.empty:
        view.need("driver_distance of table summary")
    genes = table["gene_id"].nunique()
    drawn, axes = style.panels([0.9 + 0.28 * len(runs)] * 3)
    _counts(axes[0], table, runs, genes)
    for place, run in enumerate(runs):
        colour = view.colours[run]
        for axis, rows, form in (
            (axes[1], distances, "{:,.0f}"),
            (axes[2], frequencies, "{:.2f}"),
        ):
            chosen = (rows["run_id"] == run) & rows["x"].round(3).isin(_PERCENTILES)
            _quantiles(axis, place, rows.loc[chosen, "value"], colour, form)
    axes[1].set_xscale("log")
    axes[1].set(xlabel="distance to the TSS (bp), 10 and below as 10", xlim=(8, 90_000))
    axes[2].set(xlabel="minor allele frequency (training people)", xlim=(0, 0.55))
    titles = (f"How many, n = {genes} genes", "How far from the TSS", "How frequent")
    for axis, title in zip(axes, titles, strict=True):
        _rows(axis, runs, view)
        axis.set_title(title, fontsize=9.5)
    caption = (
        "Drivers: the variants that explain most of the differences of a method's prediction "
        "between people, n = "
        f"{genes} genes. First panel: genes by their number of drivers. Others: 10th to 90th "
        "percentile "
        "(thin), quartiles (thick) and median (white, written) over a method's drivers. "
        "Distances are unsigned."
    )
    return drawn, _driver_data(table, frequencies, view), caption


def _driver_data(table: pd.DataFrame, frequencies: pd.DataFrame, view: View) -> pd.DataFrame:
    counts = table.groupby(["run_id", "gene_id"]).size().groupby("run_id")
    found = pd.DataFrame({"drivers": counts.sum(), "genes": counts.size()})
    medians = {run: view.number(f"{run}.drivers.all.distance") for run in found.index}
    found["median_distance"] = pd.Series({run: row.value for run, row in medians.items() if row})
    middle = frequencies[frequencies["x"].round(3) == 0.5].set_index("run_id")["value"]
    return found.assign(median_maf=middle).reindex(list(view.labels)).dropna().reset_index()


def _counts(axis, table: pd.DataFrame, runs: list[str], genes: int) -> None:
    shades = ["#e8e8e8", "#c2d6e6", "#8fb8d6", "#5b97c2", "#2f74a5", "#0d4c7a"]
    for place, run in enumerate(runs):
        mine = table[table["run_id"] == run].groupby("gene_id").size().clip(upper=_MOST)
        counts = mine.value_counts().reindex(range(1, _MOST + 1), fill_value=0)
        counts = pd.concat([pd.Series({0: genes - len(mine)}), counts])
        left = 0
        for number, count in counts.items():
            axis.barh(place, count, left=left, color=shades[number], height=0.65)
            left += count
        style.words(axis, genes * 1.02, place, f"{(table['run_id'] == run).sum()} drivers", 8)
    axis.set(xlim=(0, genes * 1.3), xlabel="genes (pale to dark: 0 to 5+ drivers)")


def _quantiles(axis, place: float, values: pd.Series, colour: str, form: str) -> None:
    lowest, low, middle, high, highest = values
    axis.plot([lowest, highest], [place] * 2, color=colour, lw=1)
    axis.plot([low, high], [place] * 2, color=colour, lw=4.5, solid_capstyle="butt")
    axis.plot(middle, place, "o", mfc="white", mec=colour, ms=5)
    style.words(axis, highest, place, "  " + form.format(middle), 8)


def _rows(axis, runs: list[str], view: View) -> None:
    style.rows(axis, [style.wrapped(view.labels[run], 24) for run in runs])


@figure("dnase")
def dnase(view: View) -> Drawn:
    """Enrichment of each method's drivers in DNase I footprints."""
    table = summary(view, "dnase")
    if table.empty:
        return "The overlap of drivers with DNase I footprints is not public for this study."
    drawn, (axis,) = style.panels([1.0 + 0.32 * len(table)])
    for place, row in enumerate(table.itertuples()):
        style.estimate(axis, place, row, row.colour)
        text = f"{row.value:.2f} {style.ends(row, 2)}"
        style.words(axis, row.ci_high + 0.05, place, text, 8)
    _rows(axis, list(table["run_id"]), view)
    axis.axvline(1, color=style.FAINT, ls="--", lw=1)
    axis.set(xlim=(0, 1.5 * table["ci_high"].max()), xlabel="enrichment in DNase I footprints")
    best = table.loc[table["value"].idxmax()]
    axis.set_title(f"Highest: {best['method']}, {best['value']:.2f}-fold", fontsize=9.5)
    caption = (
        "Drivers in DNase I footprints, relative to the background (dashed: none). Mean and 2.5th "
        f"to 97.5th percentile of the authors' n = {int(best['n'])} bootstrap draws."
    )
    return drawn, table.drop(columns="colour"), caption


# --- prioritisation --------------------------------------------------------------------------

_CURVES = {
    "mage_curve": ("Fine-mapped eQTLs (MAGE, PIP above 0.9)", "mage"),
    "mpra_curve": ("Reporter assay (MPRA in GM12878, FDR below 0.25)", "mpra"),
}


@figure("prioritisation")
def prioritisation(view: View) -> Drawn:
    """Share of causal pairs within the top of each gene's variants, per method."""
    tables = {what: summary(view, what) for what in _CURVES}
    tables = {what: table for what, table in tables.items() if len(table)}
    if not tables:
        return "Effects of variants beside causal variants are not public for this study."
    drawn, axes = style.panels([3.4] * len(tables), columns=1)
    for axis, (what, table) in zip(axes, tables.items(), strict=True):
        _curve_panel(axis, table)
        axis.set_title(f"{_CURVES[what][0]}, n = {table['n'].iloc[0]}", fontsize=9)
    axes[-1].set_xlabel("top share of a gene's common variants, by |effect|")
    handles, labels = axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside upper left", ncols=2, fontsize=8)
    caption = (
        "Share of causal pairs of variant and gene among the variants that a method puts first. "
        "Dashed: chance. Dotted: the top 10 %, whose shares are written with their intervals."
        " A variant without a weight has weight 0 and ties share a rank, so curves of methods "
        "that choose few variants are flat and then jump. Linear models learnt their weights from "
        "people of overlapping ancestry; Enformer, as released, from no genotype at all."
    )
    return drawn, pd.concat(tables.values()).drop(columns="colour"), caption


def _curve_panel(axis, table: pd.DataFrame) -> None:
    lines = []
    for i, (_, rows) in enumerate(table.groupby("run_id", sort=False)):
        at = rows[rows["x"].round(3) == 0.1].iloc[0]
        look = {"marker": style.MARKS[i], "label": at["method"], "color": at["colour"]}
        axis.plot(rows["x"], rows["value"], lw=1.6, ms=3.5, **look)
        lines.append(f"{at['method']}: {at['value']:.2f} {style.ends(at, 2)}")
    axis.plot([0, 1], [0, 1], "--", color=style.FAINT, lw=1)
    axis.axvline(0.1, color=style.FAINT, ls=":", lw=1)
    axis.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share of causal pairs")
    style.note(axis, "in the top 10 %:\n" + "\n".join(lines), x=0.56, y=0.48, size=8)


@figure("auroc")
def auroc(view: View) -> Drawn:
    """Expected area under the ROC curve of fine-mapped pairs against other variants, per method."""
    numbers = {row.id: row for row in view.all_numbers() if ".mage.auroc." in row.id}
    runs = _weighted_runs(view, numbers)
    if not runs:
        return "Effects of variants beside fine-mapped eQTLs are not public for this study."
    labels = stated()
    drawn, (axis,) = style.panels([1.1 + 0.36 * len(runs)])
    for place, (run, key) in enumerate(runs.items()):
        row = numbers[key]
        style.estimate(axis, place, row, view.colours[run])
        if key in labels:
            diamond = {"marker": "D", "facecolor": "none", "edgecolor": style.INK, "s": 40}
            axis.scatter(labels[key], place, **diamond)
        text = f"{row.value:.3f} {style.ends(row, 2)}"
        style.words(axis, style.end_of(row) + 0.015, place, text, 8)
    _rows(axis, list(runs), view)
    axis.axvline(0.5, color=style.FAINT, ls="--", lw=1)
    axis.set(xlim=(0.45, 1.15), xlabel="expected area under the ROC curve")
    style.no_ticks_beyond(axis.xaxis, 1)
    pairs = int(numbers[next(iter(runs.values()))].n)
    axis.set_title(f"n = {pairs} fine-mapped pairs, PIP above 0.9", fontsize=9.5)
    caption = (
        "Fine-mapped pairs against one random other common variant of the same gene, the exact "
        "expectation over all choices; 95 % block-bootstrap intervals. Diamonds: the legend of the "
        "published figure, whose choice of other variants is not public. Dashed: chance."
    )
    shown = pd.DataFrame([numbers[key] for key in runs.values()])
    return drawn, shown.assign(run_id=list(runs)), caption


def _weighted_runs(view: View, numbers: dict[str, Number]) -> dict[str, str]:
    keys = {run: f"R.mage.auroc.{BY_RUN[run].weights}" for run in view.labels if run in BY_RUN}
    return {run: key for run, key in keys.items() if key in numbers}


@figure("sign_concordance", zero="signs")
def sign_concordance(view: View) -> Drawn:
    """Share of variants whose effect has the sign that people, or a reporter assay, give."""
    table = summary(view, "sign_concordance").dropna(subset=["value"])
    if table.empty:
        return "Signs of variant effects are not public for this study."
    people = table[table["group"].str.startswith("BLUP weight, ")]
    assay = table[~table["group"].str.startswith("BLUP weight, ")]
    people = people.sort_values("x")
    drawn, axes = style.panels([1.1 + 0.36 * len(people), 1.1 + 0.36 * len(assay)])
    names = [group.removeprefix("BLUP weight, ") for group in people["group"]]
    _shares(axes[0], people, names, f"{people['method'].iloc[0]} against BLUP's weights")
    names = [f"{r.method}\n{r.group.split(', ')[1]}" for r in assay.itertuples()]
    _shares(axes[1], assay, names, "All methods against the reporter assay")
    axes[-1].set_xlabel("share of pairs with equal signs")
    caption = (
        "Direction of effect. First panel: Enformer's effect of a fine-mapped variant against the "
        "sign of "
        "its BLUP weight, learnt from people, by posterior inclusion probability (the public table "
        "of fine-mapped pairs carries no slopes). Second panel: each method against the reporter "
        "assay. "
        "Effects of 0 are left out. Wilson 95 % intervals; dashed: chance."
    )
    return drawn, table.drop(columns="colour"), caption


def _shares(axis, table: pd.DataFrame, names: list[str], title: str) -> None:
    for place, row in enumerate(table.itertuples()):
        style.estimate(axis, place, row, row.colour)
        text = f"{100 * row.value:.0f} %, n = {row.n}"
        style.words(axis, style.end_of(row) + 0.015, place, text, 8)
    style.rows(axis, names)
    axis.axvline(0.5, color=style.FAINT, ls="--", lw=1)
    axis.set(xlim=(0.15, 1.2), xticks=[0.25, 0.5, 0.75, 1])
    axis.set_title(title, fontsize=9.5)


# --- unseen alleles --------------------------------------------------------------------------


@figure("unseen_alleles")
def unseen_alleles(view: View) -> Drawn:
    """Alleles of the test people that no training person carries, by their frequency."""
    share, table = view.summary("unseen_share").set_index("group"), view.summary("unseen_af")
    medians = {row.id: row.value for row in view.all_numbers()}
    if table.empty:
        return "Alleles unseen in training are not public for this study."
    groups = [g for g in HEADINGS if g in set(table["group"])]
    drawn, axes = style.panels([2.3] * len(groups))
    for axis, group in zip(axes, groups, strict=True):
        part = table[table["group"] == group].sort_values("x")
        percent = 100 * part["value"] / part["n"]
        axis.vlines(part["x"], 0.003, percent, color=style.KIND_COLOURS["truth"][1], lw=1.6)
        axis.set(yscale="log", ylim=(0.003, 300), xlim=(0, 0.6), ylabel="% of unseen alleles")
        row, middle = share.loc[group], medians[f"R.unseen.{group}.medAF"]
        text = (
            f"n = {part['n'].iloc[0]:,} alleles, median frequency {middle:.4f}\n"
            f"{row['value']:.1f} % of a gene's variants {style.ends(row, 1)}"
        )
        style.note(axis, text, x=0.3, size=8)
        axis.set_title(f"{HEADINGS[group]}, n = {row['n']} genes", fontsize=9.5)
    axes[-1].set_xlabel("frequency of the allele in the test people")
    caption = (
        "Alleles of test people that no training person has. Yoruba were predicted by models "
        "trained on other populations, the random test people by models trained on people of the "
        "same populations. Share: mean over genes with 95 % block-bootstrap interval."
    )
    return drawn, table, caption
