"""Do models agree? On reference sequences, on people, on which genes they fail, on variants."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from howfar.evaluation import model_agreement as agreement
from howfar.figures import style
from howfar.figures.view import Drawn, View, figure

_PAIR = ["run_id", "other_id"]
_NO_PEOPLE = "Two models' predictions for the same people are not public for this study."
_NO_REFERENCE = "This study has the reference predictions of one model at most."
_NO_EFFECTS = (
    "Effects of single variants have not been predicted for this study; `effects` in its file "
    "names the genes for which they are."
)
_FEW = 30  # genes, below which each one is drawn
_MARKED = 3  # variants of a gene that are named, per model
_TILE = 3.0  # inches, the height of a panel of one point a gene


def compared(view: View, what: str) -> pd.DataFrame:
    """One row per pair of runs of what `numbers` says about them, pairs in drawing order.

    what: 'median', 'share_negative', 'reference', 'across' or 'effects.<gene_id>'. Columns run_id,
    other_id (in drawing order, so that either may come first in the number's id), value, ci_low,
    ci_high, n.
    """
    rows = []
    for run, other in combinations(view.labels, 2):
        first, second = sorted((run, other))
        number = view.number(f"{first}.agreement.{second}.{what}")
        if number is not None:
            rows.append((run, other, number.value, number.ci_low, number.ci_high, int(number.n)))
    return pd.DataFrame(rows, columns=[*_PAIR, "value", "ci_low", "ci_high", "n"])


def _runs_in(view: View, pairs: pd.DataFrame) -> list[str]:
    return view.runs_in([*pairs["run_id"], *pairs["other_id"]])


# --- matrices ---------------------------------------------------------------------------------


@figure("agreement_matrix")
def agreement_matrix(view: View) -> Drawn:
    """Agreement of every pair of runs on reference sequences, and on people below it."""
    parts = {
        "reference": (compared(view, "reference"), "On genes: ρ of reference predictions"),
        "people": (compared(view, "median"), "On people: median r over genes"),
    }
    parts = {name: part for name, part in parts.items() if len(part[0])}
    if not parts:
        return f"{_NO_REFERENCE} {_NO_PEOPLE}"
    sizes = [1.0 + 0.62 * (len(_runs_in(view, pairs)) - 1) for pairs, _ in parts.values()]
    drawn, axes = style.panels(sizes)
    for axis, (pairs, words) in zip(axes, parts.values(), strict=True):
        _matrix(axis, pairs, view)
        title = f"{words} {_extremes(pairs['value'])},\nn = {style.span(pairs['n'])} genes"
        axis.set_title(title, fontsize=9.5)
    caption = (
        "Agreement of two models, with its 95 % block-bootstrap interval. On genes: their "
        "predictions from the reference sequence, ranked. On people: for each gene the correlation "
        "of their predictions over people, of which the median over genes is shown. Models that "
        "agree on which genes are expressed more need not agree on which people express a gene "
        "more."
    )
    return drawn, pd.concat([p.assign(panel=n) for n, (p, _) in parts.items()]), caption


def _matrix(axis, pairs: pd.DataFrame, view: View) -> None:
    """The lower triangle: a row per run but the first, a column per run but the last."""
    runs = _runs_in(view, pairs)
    size = len(runs) - 1
    grid = np.full((size, size), np.nan)
    for row in pairs.itertuples():
        y, x = runs.index(row.other_id) - 1, runs.index(row.run_id)
        grid[y, x] = row.value
        colour = "white" if abs(row.value) > 0.6 else style.INK
        middle = {"ha": "center", "va": "center", "color": colour}
        many = size > 3  # narrow cells: the interval on two lines
        ends = style.ends(row, 2).replace(", ", ",\n" if many else ", ")
        axis.text(
            x, y - (0.27 if many else 0.14), style.signed(row.value, 2), fontsize=10, **middle
        )
        axis.text(x, y + 0.2, ends, fontsize=7.5, **middle)
    axis.imshow(grid, cmap="PuOr_r", vmin=-1, vmax=1, aspect="auto")
    axis.set_xticks(range(size), [style.wrapped(view.labels[r], 12) for r in runs[:-1]])
    axis.set_yticks(range(size), [style.wrapped(view.labels[r], 16) for r in runs[1:]])
    axis.tick_params(length=0, labelsize=8.5)
    for spine in axis.spines.values():
        spine.set_visible(False)


# --- gene by gene -----------------------------------------------------------------------------


def _people(view: View) -> pd.DataFrame:
    """Rows of table `agreement` of the runs shown, with an r."""
    table = view["agreement"].dropna(subset=["pearson"])
    return table[table["other_id"].isin(view.labels)]


@figure("agreement_genes")
def agreement_genes(view: View) -> Drawn:
    """The distribution over genes of two models' correlation on people, a row per pair."""
    table, pairs = _people(view), compared(view, "median")
    if table.empty or pairs.empty:
        return _NO_PEOPLE
    drawn, (axis,) = style.panels([0.9 + 0.85 * len(pairs)])
    negative = compared(view, "share_negative").set_index(_PAIR)["value"]
    for place, row in enumerate(pairs.itertuples()):
        first, second = sorted((row.run_id, row.other_id))
        mine = table[(table["run_id"] == first) & (table["other_id"] == second)]
        _ridge(axis, place, mine["pearson"].to_numpy(float), view.colours[row.run_id])
        if len(mine) < _FEW:
            _name_ends(axis, place, mine, view)
        text = (
            f"{view.labels[row.run_id]} and {view.labels[row.other_id]}: median "
            f"{style.estimated(row, 2)},\n"
            f"n = {row.n} genes, {style.span(mine['n'])} people, "
            f"{100 * negative[row.run_id, row.other_id]:.0f} % below 0"
        )
        style.words(axis, -0.98, place - 0.12, text, 8, va="bottom")
        axis.plot(row.value, place + 0.3, "o", mfc="white", mec=style.INK, ms=5, clip_on=False)
    axis.set(xlim=(-1, 1), yticks=[], ylim=(len(pairs) - 0.62, -0.6))
    axis.axvline(0, color=style.INK, lw=0.8)
    axis.set_xlabel("r of the two models' predictions over people, one gene each")
    axis.set_title(f"Two models on people: median r {_extremes(pairs['value'])}")
    caption = (
        "For each gene, the correlation over people of two models' predictions; its distribution "
        "over genes, with the median (white). Below 0 the models put the same people in opposite "
        "orders. All populations together."
    )
    return drawn, table, caption


def _extremes(values: pd.Series) -> str:
    low, high = style.signed(values.min(), 2), style.signed(values.max(), 2)
    return low if low == high else f"{low} to {high}"


def _ridge(axis, place: float, values: np.ndarray, colour: str) -> None:
    """A histogram that stands on one line, or ticks where there are few values."""
    base = place + 0.3
    if len(values) < _FEW:
        axis.vlines(values, base - 0.22, base, color=colour, lw=1.5)
    else:
        style.ridge(axis, base, values, 0.42, colour)
    axis.plot([-1, 1], [base, base], color=style.FAINT, lw=0.6)


def _name_ends(axis, place: float, mine: pd.DataFrame, view: View) -> None:
    """The genes with the lowest and the highest r, above their ticks."""
    ordered = mine.sort_values("pearson")
    ends = [ordered.iloc[0], ordered.iloc[-1]]
    names = [f"{view.gene_names[e['gene_id']]} {style.signed(e['pearson'], 2)}" for e in ends]
    middle = float(np.clip((ends[0]["pearson"] + ends[1]["pearson"]) / 2, -0.4, 0.4))
    axis.text(middle, place + 0.05, " to ".join(names), fontsize=7.5, ha="center", va="bottom")


# --- the same genes? --------------------------------------------------------------------------


@figure("agreement_failures")
def agreement_failures(view: View) -> Drawn:
    """One model's r across people against another's: do they fail on the same genes?"""
    found = compared(view, "across")
    kinds = view.kinds
    networks = found["run_id"].map(kinds).eq("network") | found["other_id"].map(kinds).eq("network")
    found = found[networks]
    if found.empty:
        return _NO_PEOPLE
    pooled = view["across"].query("population == 'pooled'")
    wide = pooled.pivot(index="gene_id", columns="run_id", values="pearson").astype(float)
    drawn, axes = style.panels([_TILE] * len(found))
    data = []
    for axis, row in zip(axes, found.itertuples(), strict=True):
        both = wide[[row.run_id, row.other_id]].dropna()
        x, y = both[row.run_id], both[row.other_id]
        style.cross(axis)
        _points(axis, x, y, view.colours[row.other_id])
        axis.set(xlim=(-1, 1), ylim=(-1, 1))
        _named(axis, view, row, "r, ")
        both.columns = ["r", "other_r"]
        data.append(both.assign(run=row.run_id, other=row.other_id))
    _headline(drawn, f"Same genes? ρ of the two r is {_extremes(found['value'])}")
    caption = (
        "Correlation of prediction and expression across people, of two models; one point is one "
        "gene. ρ near 1: models succeed and fail on the same genes. Both are compared with the "
        "same "
        "expression, whose noise they share."
    )
    return drawn, pd.concat(data).reset_index(), caption


def _headline(drawn: Figure, text: str) -> None:
    drawn.suptitle(text, fontsize=10.5, fontweight="bold", x=0.02, ha="left")


def _points(axis, x: pd.Series, y: pd.Series, colour: str) -> None:
    size, alpha = (6, 0.35) if len(x) > 50 else (22, 0.8)
    axis.scatter(x, y, s=size, alpha=alpha, color=colour, linewidths=0, rasterized=len(x) > 50)


def _named(axis, view: View, row, what: str) -> None:
    """Axes named by the two runs of a pair, and rho with its interval as the panel's title."""
    axis.set_xlabel(style.wrapped(what + view.labels[row.run_id], 28), fontsize=8.5)
    axis.set_ylabel(style.wrapped(what + view.labels[row.other_id], 28), fontsize=8.5)
    axis.set_title(f"ρ = {style.estimated(row, 2)}\nn = {row.n:,} genes", fontsize=8.5)
    axis.tick_params(labelsize=8)


# --- reference --------------------------------------------------------------------------------


@figure("agreement_reference", zero="genes")
def agreement_reference(view: View) -> Drawn:
    """Ranks of the reference predictions of two models, one panel per pair."""
    found = compared(view, "reference")
    if found.empty:
        return _NO_REFERENCE
    table = view["reference"].pivot(index="gene_id", columns="run_id", values="prediction")
    drawn, axes = style.panels([_TILE] * len(found))
    data = []
    for axis, row in zip(axes, found.itertuples(), strict=True):
        both = table[[row.run_id, row.other_id]].dropna().astype(float)
        ranks = (both.rank(pct=True) - 0.5 / len(both)) * 100
        ranks.columns = ["percentile", "other_percentile"]
        _points(axis, ranks["percentile"], ranks["other_percentile"], view.colours[row.other_id])
        axis.set(xlim=(0, 100), ylim=(0, 100), xticks=[0, 50, 100], yticks=[0, 50, 100])
        _named(axis, view, row, "percentile, ")
        data.append(ranks.assign(run=row.run_id, other=row.other_id))
    _headline(drawn, f"Reference sequences: ρ = {_extremes(found['value'])}")
    caption = (
        "Percentile rank of each gene's prediction from the reference sequence, of two models; one "
        "point is one gene. Ranks, as the models' scales differ. ρ is Spearman's, with its 95 % "
        "block-bootstrap interval."
    )
    return drawn, pd.concat(data).reset_index(), caption


# --- variants ---------------------------------------------------------------------------------


def _effects(view: View, gene: str) -> tuple[pd.DataFrame, pd.Series] | str:
    """The effects in one gene's window and the gene's row; a text where there are none.

    gene: id or name; empty for the first that the study's file names.
    """
    table = agreement.variants_of(view["effects"])
    if table.empty:
        return _NO_EFFECTS
    genes = view.tables["genes"].set_index("gene_id")
    there = genes[genes.index.isin(table["gene_id"])]
    for name in [gene] if gene else [*view.study.effects, there.index[0]]:
        wanted = there[(there.index == name) | (there["name"] == name)]
        if len(wanted):
            break
    else:
        return f"{gene} is not among the genes with effects: {', '.join(sorted(there['name']))}."
    table = table[table["gene_id"] == wanted.index[0]]
    return table.drop(columns=["slope", "slope_se", "p", "pip"]), wanted.iloc[0]


@figure("variant_effects")
def variant_effects(view: View, gene: str = "") -> Drawn:
    """Every variant of a gene's window by each model, the strongest named; models compared."""
    found = _effects(view, gene)
    if isinstance(found, str):
        return found
    table, place = found
    runs = view.runs_in(table["run_id"])
    pairs = compared(view, f"effects.{place.name}")
    drawn, axes = style.panels([2.5] * len(runs) + [2.6] * len(pairs), columns=1)
    units = view.runs.set_index("run_id")["units"]
    tops = {run: _top(table[table["run_id"] == run]) for run in runs}
    for axis, run in zip(axes, runs, strict=False):
        _track(axis, table[table["run_id"] == run], tops[run], view.colours[run])
        axis.set_title(f"{view.labels[run]}:\n{_biggest(tops[run])}", fontsize=9.5)
        _sum_of_effects(axis, view, run, place.name, len(table[table["run_id"] == run]))
        axis.set_ylabel(style.wrapped(f"effect ({units[run]})", 24), fontsize=8.5)
        axis.set_xlabel(f"position − TSS of {place['name']} (bp)")
    for axis, row in zip(axes[len(runs) :], pairs.itertuples(), strict=True):
        _against(axis, table, row, tops, view)
    caption = (
        f"{place['name']}: the prediction from the reference sequence with one variant put in, "
        "minus that from the reference; every variant of the cohort in the model's window. A "
        "point's area grows with the variant's frequency. Named and dark: the variants that "
        "contribute most to differences between people, largest |effect| × √(2 MAF (1 − MAF)). r: "
        "correlation over people of the sum of effects times copies with the prediction from the "
        "whole haplotypes."
    )
    return drawn, table, caption


def _top(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["driven"] > 0].nlargest(_MARKED, "driven")


def _short(variant: str) -> str:
    """Position and alleles of a variant; long alleles cut."""
    _, position, ref, alt = variant.rsplit(":", 3)
    cut = [a if len(a) <= 6 else f"{a[:5]}…" for a in (ref, alt)]
    return f"{int(position):,} {cut[0]}>{cut[1]}"


def _biggest(top: pd.DataFrame) -> str:
    if top.empty:
        return "no variant has an effect"
    first = top.iloc[0]
    return f"driven most by {_short(first['variant'])}, effect {style.signed(first['effect'], 3)}"


def _size(table: pd.DataFrame) -> pd.Series:
    return 8 + 110 * table["maf"].astype(float)


def _track(axis, table: pd.DataFrame, top: pd.DataFrame, colour: str) -> None:
    x, y = table["distance"].astype(float), table["effect"].astype(float)
    axis.vlines(x, 0, y, color=colour, lw=0.7, alpha=0.6)
    axis.scatter(x, y, s=_size(table), color=colour, alpha=0.45, linewidths=0)
    axis.axhline(0, color=style.INK, lw=0.8)
    axis.axvline(0, color=style.FAINT, lw=0.8, ls="--")
    low, high = min(y.min(), 0), max(y.max(), 0)
    room = 0.3 * max(high - low, 1e-9)
    axis.set_ylim(low - room, high + 2.2 * room)
    axis.scatter(top["distance"], top["effect"], s=_size(top), color=colour, edgecolor=style.INK)
    for row in top.itertuples():
        _name_point(axis, row.distance, row.effect, row.variant, x)


def _sum_of_effects(axis, view: View, run: str, gene: str, variants: int) -> None:
    """How many variants, and whether their effects add up to people's predictions."""
    text = f"n = {variants:,} variants"
    table = view.summary("linear_approximation").dropna(subset=["value"])
    for row in table[(table["method"] == run) & (table["group"] == gene)].itertuples():
        text += f"\ntheir sum against people's predictions: r = {style.signed(row.value)}"
    style.note(axis, text, y=0.99, size=8.5)


def _name_point(axis, x: float, y: float, variant: str, every: pd.Series) -> None:
    """The variant beside its point, on the side where there is room."""
    dx, ha = (6, "left") if x < (every.min() + every.max()) / 2 else (-6, "right")
    dy, va = (5, "bottom") if y >= 0 else (-5, "top")
    at = {"xytext": (dx, dy), "textcoords": "offset points"}
    axis.annotate(_short(variant), (x, y), fontsize=8, ha=ha, va=va, **at)


def _against(axis, table: pd.DataFrame, row, tops: dict[str, pd.DataFrame], view: View) -> None:
    """Effects of one run against another's, the drivers of either dark."""
    wide = table.pivot(index="variant", columns="run_id", values="effect").astype(float)
    gene = table["gene_id"].iloc[0]
    both = wide[[row.run_id, row.other_id]].dropna()
    x, y = both[row.run_id], both[row.other_id]
    marked = both.index.isin([*tops[row.run_id]["variant"], *tops[row.other_id]["variant"]])
    style.cross(axis)
    axis.scatter(x[~marked], y[~marked], s=16, color="#b3b3b3", linewidths=0)
    axis.scatter(x[marked], y[marked], s=30, color=style.INK, linewidths=0)
    axis.locator_params(nbins=5)
    axis.set_xlabel(f"effect, {view.labels[row.run_id]}")
    axis.set_ylabel(style.wrapped(f"effect, {view.labels[row.other_id]}", 24))
    first, second = sorted((row.run_id, row.other_id))
    same = view.need(f"{first}.agreement.{second}.effects.{gene}.same_sign").value
    axis.set_title(
        f"ρ = {style.estimated(row, 2)}, n = {row.n} variants,\n{same:.0f} with the same sign",
        fontsize=9.5,
    )
