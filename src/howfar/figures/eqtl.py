"""cis-eQTLs of a study, and whether a network's effects of variants agree with them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar.eqtl.network_agreement import GROUPS
from howfar.evaluation.carriers import CARRIED
from howfar.evaluation.features import values_of
from howfar.evaluation.numbers.lead_eqtl import lead_and_full
from howfar.figures import style
from howfar.figures.theory import null_log10p
from howfar.figures.view import Drawn, View, figure

_NONE = "Variant effects beside a cis-eQTL map are not there for this study: see `howfar eqtl`."
_FDR = 0.05
_COLOUR = style.KIND_COLOURS["lead_snp"][0]
#: Genes, at least, for a size of lists to be shown.
_FEW = 5
_HEADINGS = {
    "PIP": "By the probability of being causal (PIP)",
    "|z|": "By the strength of the eQTL (|z|)",
    "distance": "By the distance to the TSS",
    "MAF": "By minor allele frequency",
}


def rows_of(view: View, what: str) -> pd.DataFrame:
    """Rows of `summary` of that set, of the runs shown; with their `colour`."""
    table = view.summary(what)
    table = table[table["method"].isin(list(view.labels))]
    return table.assign(colour=table["method"].map(view.colours)).reset_index(drop=True)


def mapped_with(view: View) -> str:
    """Say with which covariates the study's eQTLs were mapped; nothing where it has no map."""
    rows = view.summary("eqtl_covariates")
    if rows.empty:
        return ""
    words, count = rows["method"].iloc[0], rows["value"].iloc[0]
    if words == "none":
        return " The eQTLs were mapped without covariates."
    return f" Covariates of the eQTL map: {words} ({count:.0f} in all)."


# --- the map ---------------------------------------------------------------------------------


@figure("eqtl_genes")
def eqtl_genes(view: View) -> Drawn:
    """Genes' p against chance, and how many independent signals a gene has."""
    genes = values_of(view["features"], "lead_eqtl_log10p_beta")
    counts = view.summary("eqtl_signals").sort_values("x")
    if genes.empty or counts.empty:
        return "No cis-eQTL map was made for this study: see `howfar eqtl`."
    found = view.need("eqtl.genes")
    drawn, axes = style.panels([3.0, 2.6])
    data = _quantiles(axes[0], genes["value"])
    title = f"{found.value:.0f} of {found.n} genes have an eQTL at q ≤ {_FDR:g}"
    axes[0].set_title(title, fontsize=9.5)
    _bars(axes[1], counts)
    share = view.need("eqtl.two_signals").value
    axes[1].set_title(f"{100 * share:.0f} % of genes have two or more", fontsize=9.5)
    caption = (
        "First panel: each gene's p over all variants of its window, from permutations of "
        "expression with "
        "the beta approximation, against what genes without eQTLs would give (dashed; shaded: 95 % "
        "range of each rank, genes independent). Second panel: conditionally independent signals "
        "per "
        f"gene, forward and backward search. n = {len(genes)} genes."
    ) + mapped_with(view)
    signals = counts[["x", "value"]].rename(columns={"x": "signals", "value": "genes"})
    return drawn, pd.concat([data, signals]), caption


def _quantiles(axis, log10p: pd.Series) -> pd.DataFrame:
    seen = np.sort(log10p.to_numpy(float))[::-1]
    expected, low, high = null_log10p(len(seen))
    axis.fill_between(expected, low, high, color=style.FAINT, alpha=0.25, lw=0)
    axis.plot(expected, expected, "--", color=style.INK, lw=1)
    axis.scatter(expected, seen, s=9, color=_COLOUR, lw=0, rasterized=True)
    axis.set(xlabel="−log10 p expected without eQTLs", ylabel="−log10 p of the gene")
    # A few genes reach so far that the rest would lie on the axis.
    axis.set_yscale("symlog", linthresh=5)
    axis.set_yticks([0, 2, 5, 10, 30, 100], ["0", "2", "5", "10", "30", "100"])
    axis.set_ylim(0, max(seen.max() * 1.3, 5))
    return pd.DataFrame({"expected": expected, "log10p_beta": seen})


def _bars(axis, counts: pd.DataFrame) -> None:
    axis.bar(counts["x"], counts["value"], color=_COLOUR, width=0.75)
    for row in counts.itertuples():
        axis.text(row.x, row.value, f"{row.value:.0f}", ha="center", va="bottom", fontsize=8)
    axis.set(xlabel="independent signals of a gene", ylabel="genes")
    axis.set(xticks=counts["x"], ylim=(0, counts["value"].max() * 1.15))


# --- signs -----------------------------------------------------------------------------------


@figure("eqtl_signs", zero="signs")
def eqtl_signs(view: View) -> Drawn:
    """Share of variants whose effect in the network has the sign of their eQTL slope."""
    table = rows_of(view, "eqtl_sign")
    if table.empty:
        return _NONE
    what = table["group"].str.split(": ").str[0]
    kinds = [kind for kind in GROUPS if (what == kind).any()]
    runs = view.runs_in(table["method"])
    heights = [0.75 + 0.27 * len(runs) * table.loc[what == k, "x"].nunique() for k in kinds]
    drawn, axes = style.panels(heights)
    for axis, kind in zip(axes, kinds, strict=True):
        _shares(axis, table[what == kind], runs)
        axis.set_title(_HEADINGS[kind], fontsize=9.5)
    axes[-1].set_xlabel("share of variants with equal signs")
    every = table[table["group"] == "all"].set_index("method").loc[runs]
    _sign_legend(drawn, every, view)
    names = ", ".join(f"{view.labels[run]}: n = {every.loc[run, 'n']:.0f}" for run in runs)
    caption = (
        "Has the predicted effect the sign of the eQTL? For each variant of the genes analysed, "
        "the sign of its effect alone in the reference is compared with that of its slope among "
        "people. Interval above: 95 % by bootstrap over blocks of genes; in the panels exact, "
        "with genes as the unit, as variants of a gene in LD are not independent (none where only "
        "one gene has any). Dashed: chance. "
        f"{names} variants."
    ) + mapped_with(view)
    return drawn, table.drop(columns="colour"), caption


def _sign_legend(drawn, every: pd.DataFrame, view: View) -> None:
    """Each run's colour, with its share over all variants: the figure's title."""
    for mark, (run, row) in zip(style.MARKS, every.iterrows(), strict=False):
        text = f"{view.labels[run]}: {_percent(row)} of signs agree"
        drawn.axes[0].plot([], [], f"{mark}-", color=view.colours[run], ms=5.5, lw=2, label=text)
    font = {"size": 10, "weight": "bold"}
    drawn.legend(loc="outside upper left", ncols=1, prop=font, handlelength=1.5)


def _percent(row: pd.Series) -> str:
    return f"{100 * row['value']:.0f} % {style.ends(row, 0, 100)}"


def _shares(axis, table: pd.DataFrame, runs: list[str]) -> None:
    places = sorted(table["x"].unique())
    names = table.drop_duplicates("x").sort_values("x")["group"].str.split(": ").str[1]
    step = 0.8 / len(runs)
    for i, run in enumerate(runs):
        for row in table[table["method"] == run].itertuples():
            at = places.index(row.x) + (i - (len(runs) - 1) / 2) * step
            style.estimate(axis, at, row, row.colour, style.MARKS[i])
            style.words(axis, 1.03, at, f"{100 * row.value:.0f} %, n = {row.n:.0f}", 8)
    axis.axvline(0.5, color=style.FAINT, ls="--", lw=1)
    style.rows(axis, list(names), 8)
    axis.set(xlim=(0, 1.32), xticks=[0, 0.25, 0.5, 0.75, 1])


# --- top variants ----------------------------------------------------------------------------


@figure("eqtl_overlap")
def eqtl_overlap(view: View) -> Drawn:
    """Share of a gene's top k by |effect| that are among its top k eQTLs, against chance."""
    table = rows_of(view, "eqtl_overlap")
    if table.empty:
        return _NONE
    table = table[table["n"] >= _FEW]
    if table.empty:
        return f"Variants were looked at one by one in fewer than {_FEW} genes of this study."
    runs = view.runs_in(table["method"])
    drawn, axes = style.panels([2.4] * len(runs))
    for axis, run in zip(axes, runs, strict=True):
        _overlap_panel(axis, table[table["method"] == run], view.colours[run])
        axis.set_title(_overlap_title(table[table["method"] == run], view.labels[run]), fontsize=9)
    axes[-1].set_xlabel("size k of the two lists of a gene")
    caption = (
        "Variants of a gene ranked by the size of their effect in the network and by the strength "
        "of their eQTL: the share of the top k that is in both lists, mean over genes with 2k "
        "such "
        "variants or more (n written), with 95 % interval by bootstrap over blocks of genes. Grey: "
        "mean and 95 % range by chance, each gene's effects shifted circularly along its variants, "
        "so that neighbours stay neighbours."
    ) + mapped_with(view)
    return drawn, table.drop(columns="colour"), caption


def _overlap_panel(axis, table: pd.DataFrame, colour: str) -> None:
    by = {group: part.sort_values("x") for group, part in table.groupby("group")}
    place = np.arange(len(by["observed"]))
    marks = (("chance", style.FAINT, 0.12, "s"), ("observed", colour, -0.12, "o"))
    for group, paint, shift, mark in marks:
        part = by[group]
        low, high = part["value"] - part["ci_low"], part["ci_high"] - part["value"]
        look = {"fmt": mark, "color": paint, "label": {"observed": "network"}.get(group, group)}
        errors = [np.maximum(low, 0), np.maximum(high, 0)]
        axis.errorbar(place + shift, part["value"], yerr=errors, ms=5, lw=2, **look)
    sizes = [f"{row.x:.0f}\n(n = {row.n:.0f})" for row in by["observed"].itertuples()]
    axis.set_xticks(place, sizes, fontsize=8)
    axis.set(xlim=(-0.5, len(place) - 0.5), ylim=(0, 1.25), ylabel="share of k in both lists")
    axis.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axis.legend(loc="upper left", ncols=2, fontsize=8)


def _overlap_title(table: pd.DataFrame, label: str) -> str:
    first = table[table["x"] == table["x"].min()].set_index("group")
    seen, chance = first.loc["observed"], first.loc["chance"]
    k = "top variant is its lead eQTL" if seen["x"] == 1 else f"top {seen['x']:.0f} are top eQTLs"
    return f"{label}: a gene's {k} in {100 * seen['value']:.0f} %; by chance in {_percent(chance)}"


# --- the lead variant alone ------------------------------------------------------------------


@figure("eqtl_lead_only")
def eqtl_lead_only(view: View) -> Drawn:
    """r across people of the whole prediction against the reference plus the lead variant alone."""
    table = lead_and_full(view.tables["summary"], view["across"])
    table = table.assign(colour=table["run_id"].map(view.colours))
    if table.empty:
        return (
            "No lead eQTL of the genes whose variants were looked at one by one lies in the "
            "network's window."
            if len(rows_of(view, "eqtl_sign"))
            else _NONE
        )
    runs = view.runs_in(table["run_id"])
    drawn, axes = style.panels([3.7] * len(runs))
    for axis, run in zip(axes, runs, strict=True):
        part = table[table["run_id"] == run]
        style.cross(axis)
        axis.plot([-1, 1], [-1, 1], "--", color=style.FAINT, lw=1)
        axis.scatter(part["lead_only"], part["pearson"], s=22, color=view.colours[run], lw=0)
        axis.set(xlim=_ends(part["lead_only"]), ylim=_ends(part["pearson"]))
        axis.set(ylabel="r of the whole prediction")
        axis.set_title(_lead_title(view, run), fontsize=9)
    axes[-1].set_xlabel("r with only the lead eQTL in the reference")
    caption = (
        "A control: the reference sequence with only the gene's lead eQTL put in. Its |r| is that "
        "of the eQTL; r is positive where the network has the right sign. Above the diagonal the "
        "rest of the sequence improves the prediction. Lead variants were chosen in the same "
        "people, so their |r| is biased upwards, but not their sign. Where populations are known, "
        "their means are removed from r of the whole prediction. "
        f"n = {table['gene_id'].nunique()} genes."
    ) + mapped_with(view)
    return drawn, table.drop(columns="colour"), caption


def _ends(values: pd.Series) -> tuple[float, float]:
    return min(values.min() - 0.08, -0.1), max(values.max() + 0.08, 0.1)


def _lead_title(view: View, run: str) -> str:
    key = f"{run}.eqtl_lead_only"
    right = view.need(f"{key}.right_sign")
    lines = [f"{view.labels[run]}: right sign of the lead in {right.value:.0f} of {right.n}"]
    for column, words in (("pearson", "whole"), ("lead_only", "lead alone")):
        lines.append(f"mean r, {words}: {style.estimated(view.need(f'{key}.mean_{column}'), 2)}")
    return "\n".join(lines)


@figure("carried")
def carried(view: View) -> Drawn:
    """How many common variants of a gene each person carries."""
    table = view.summary(CARRIED)
    if table.empty:
        return "This needs genotypes that are public, and a gene under the study's key `effects`."
    gene = view.gene_names[table["method"].iloc[0]]
    drawn, (axis,) = style.panels([2.4])
    axis.bar(table["x"], table["value"], width=0.9, color=style.FAINT)
    axis.set(xlabel="common variants carried", ylabel="people")
    axis.set_title(
        f"{gene}: {int(table['n'].iloc[0])} variants, {int(table['value'].sum())} people"
    )
    caption = (
        f"Number of people by how many common variants they carry in the window of {gene}; common: "
        "carried by more than a tenth of the people."
    )
    return drawn, table, caption
