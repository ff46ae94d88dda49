"""Heritability as the ceiling of a prediction: per class of genes, per method, per gene."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar.evaluation.heritability import MIXED, per_gene, sources
from howfar.evaluation.numbers.heritability import source_key
from howfar.figures import style
from howfar.figures.performance import compared, heading, ordered
from howfar.figures.view import Drawn, View, figure

_NONE = "No heritability per gene is known for this study."
_NO_R = "This study has no correlation across people for the genes with a heritability."
_SHARE = (
    "Share of the ceiling reached: mean r over genes divided by the mean of √max(h², 0) of the "
    "same genes (dashed: all of it). Discs: r and h² per gene are public; the 95 % interval draws "
    "both together by block bootstrap, so that the errors of h² are part of it. Circles: only the "
    "mean r is public; the interval is that of the ceiling alone and too narrow. Predictions that "
    "are constant count as r = 0."
)

_APART = (
    " Genes tested in other people of the training populations, and genes tested in a population "
    "without training people, are shown separately."
)


@figure("heritability_classes", zero="people")
def heritability_classes(view: View) -> Drawn:
    """Mean sqrt(h2) per class of genes and set of people in which h2 was estimated."""
    known = sources(view.tables)
    if not known:
        return _NONE
    table = _ceilings(view, known)
    if table.empty:
        return _NO_R
    groups = ordered(table["group"])
    drawn, axes = style.panels([1.1 + 0.5 * len(known)] * len(groups))
    for axis, group in zip(axes, groups, strict=True):
        part = table[table["group"] == group].rename(columns={"ceiling": "value"})
        for place, row in enumerate(part.itertuples()):
            _estimate(axis, place, row)
        style.rows(axis, [style.wrapped(s, 22) for s in part["source"]], 8, top=-0.6)
        axis.set_xlim(0, 0.75)
        axis.set_title(f"{heading(group)}, n = {part['genes'].iloc[0]} genes", fontsize=9.5)
    axes[-1].set_xlabel("√h² (r of a perfect additive cis predictor)")
    caption = (
        "Bars: mean over genes of √max(h², 0), with 95 % block-bootstrap interval. Diamonds: "
        "square root of the mean h² (negative estimates included, so that errors of single genes "
        "average out), which is by construction above the mean of √h². If genes were chosen for "
        "having an eQTL in overlapping people, as in the Geuvadis studies, their h² is higher "
        "than that of other genes."
    )
    return drawn, table, caption


def _ceilings(view: View, known: list[str]) -> pd.DataFrame:
    """Mean sqrt(h2), from `numbers`: group, source, genes, ceiling, ci_low, ci_high, rms."""
    rows = []
    for source in known:
        for group in sorted(set(per_gene(view.tables, source)["population"])):
            key = f"h2.{source_key(source)}.{group}"
            root, rms = view.need(f"{key}.root"), view.need(f"{key}.rms").value
            rows.append((group, source, root.n, root.value, root.ci_low, root.ci_high, rms))
    names = ["group", "source", "genes", "ceiling", "ci_low", "ci_high", "rms"]
    return pd.DataFrame(rows, columns=names)


def _estimate(axis, place: float, row) -> None:
    style.bar(axis, place, row, style.KIND_COLOURS["truth"][1], height=0.55, alpha=0.35)
    axis.scatter(row.rms, place, marker="D", s=26, facecolor="white", edgecolor=style.INK)
    text = f"{row.value:.3f} {style.ends(row)}"
    style.words(axis, np.nanmax([row.ci_high, row.rms]) + 0.03, place, text, 8.5)


@figure("heritability_attained", zero="people")
def heritability_attained(view: View) -> Drawn:
    """Mean r over the mean of sqrt(h2), per method and class of genes."""
    known = sources(view.tables)
    if not known:
        return _NONE
    table = attained(view, known[0])
    table = table[table["run_id"].isin([run for run in view.labels if compared(run)])]
    if table.empty:
        return _NO_R
    groups = ordered(table["group"])
    sizes = [(table["group"] == g).sum() for g in groups]
    drawn, axes = style.panels([0.95 + 0.29 * size for size in sizes])
    for axis, group in zip(axes, groups, strict=True):
        part = table[table["group"] == group].rename(columns={"ratio": "value"})
        rows = {row.run_id: row for row in part.itertuples()}
        runs = view.runs_in(rows)
        for place, run in enumerate(runs):
            _share(axis, place, rows[run], view.colours[run])
        style.rows(axis, [style.wrapped(view.labels[r], 26) for r in runs], top=-0.6)
        axis.axvline(1, color=style.INK, lw=0.8, ls="--")
        axis.set_xlim(min(0, part["ci_low"].min()), 1.4)
        n, limit = part["genes"].max(), part["ceiling"].iloc[0]
        axis.set_title(f"{heading(group)}\nn = {n} genes, ceiling {limit:.3f}", fontsize=9.5)
    axes[-1].set_xlabel("mean r / mean √h²")
    apart = _APART if MIXED in groups else ""
    return drawn, table, f"{_SHARE}{apart} Heritability: {table['source'].iloc[0]}."


def attained(view: View, source: str) -> pd.DataFrame:
    """What each run reaches of the ceiling, from `numbers`, one row per run and group of genes.

    Columns run_id, label, group, source, genes, mean_r, ceiling, rms, ratio, ci_low, ci_high and
    per_gene (whether r per gene is known): those runs first.
    """
    known = per_gene(view.tables, source)
    groups = sorted(set(known["population"]))
    couples = list(known[["run_id", "population"]].drop_duplicates().itertuples(index=False))
    with_r, rows = set(known["run_id"]), []
    couples += [(r, g) for r in view.tables["runs"]["run_id"] if r not in with_r for g in groups]
    labels = dict(zip(view.tables["runs"]["run_id"], view.tables["runs"]["label"], strict=True))
    for run, group in couples:
        key = f"{run}.heritability.{group}"
        ratio = view.number(f"{key}.ratio") if run not in with_r else view.need(f"{key}.ratio")
        if ratio is not None:
            means = [view.need(f"{key}.{what}").value for what in ("mean_r", "ceiling", "rms")]
            share = (ratio.value, ratio.ci_low, ratio.ci_high)
            rows.append((run, labels[run], group, source, ratio.n, *means, *share, run in with_r))
    columns = ["run_id", "label", "group", "source", "genes", "mean_r", "ceiling", "rms"]
    return pd.DataFrame(rows, columns=[*columns, "ratio", "ci_low", "ci_high", "per_gene"])


def _share(axis, place: float, row, colour: str) -> None:
    style.span_line(axis, place, row, colour, 2)
    axis.plot(row.value, place, "o", color=colour, mfc=colour if row.per_gene else "white", ms=6)
    style.words(axis, style.end_of(row) + 0.01, place, f" {100 * row.value:.0f} %", 8.5)


@figure("heritability_scatter", zero="people")
def heritability_scatter(view: View) -> Drawn:
    """Per gene: r against sqrt(h2), for a network and for a linear model."""
    known = sources(view.tables)
    if not known:
        return _NONE
    table = per_gene(view.tables, known[0])
    runs = _one_of_each(view, set(table["run_id"]))
    if not runs:
        return _NO_R
    made = set(table[["run_id", "population"]].itertuples(index=False, name=None))
    panels = [(run, g) for g in ordered(table["population"]) for run in runs if (run, g) in made]
    drawn, axes = style.panels([2.7] * len(panels))
    for axis, (run, group) in zip(axes, panels, strict=True):
        part = table[(table["run_id"] == run) & (table["population"] == group)]
        _gene_panel(axis, part, view, run, group)
    axes[-1].set_xlabel("√max(h², 0) of the gene")
    caption = (
        "One point is one gene; the line is r = √h², which no additive model can exceed except by "
        "chance: r scatters around its true value by about 1/√n for n people, and h² has an error "
        "too. ρ is Spearman's, with its 95 % block-bootstrap interval. Heritability: "
        f"{table['source'].iloc[0]}."
    )
    shown = table[table["run_id"].isin(runs)]
    columns = ["run_id", "gene_id", "population", "n", "r", "h2", "h2_se"]
    return drawn, shown[columns], caption


def _one_of_each(view: View, known: set[str]) -> list[str]:
    """The first run of each kind that has r per gene (of linear models the elastic net)."""
    first = {}
    for run in sorted(view.labels, key=lambda run: run != "elastic_net"):
        if run in known:
            first.setdefault(view.kinds[run], run)
    return [first[kind] for kind in ("network", "linear", "truth") if kind in first]


def _gene_panel(axis, part: pd.DataFrame, view: View, run: str, group: str) -> None:
    dots = {"s": 10, "alpha": 0.55, "lw": 0, "rasterized": True}
    axis.scatter(part["root"], part["r"], color=view.colours[run], **dots)
    axis.plot([0, 1], [0, 1], color=style.INK, lw=0.9, ls="--")
    axis.axhline(0, color=style.FAINT, lw=0.8)
    axis.set(xlim=(-0.02, 1.03), ylim=(-0.85, 1.35), ylabel="r across people")
    axis.set_yticks([-0.5, 0, 0.5, 1])
    axis.set_title(f"{view.labels[run]}. {heading(group)}", fontsize=9.5)
    names = ("rho", "above", "negative")
    rho, above, negative = (view.need(f"{run}.heritability.{group}.{name}") for name in names)
    style.note(
        axis,
        f"n = {rho.n} genes, {style.span(part['n'])} people\nρ = {style.estimated(rho, 2)}\n"
        f"{above.value:.0f} genes above the line, {negative.value:.0f} below 0",
    )
