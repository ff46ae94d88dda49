"""Which genes are predicted beyond chance? A t test, and the own null under three rules."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from howfar.evaluation.numbers.significance import (
    TAILS,
    best_rules,
    from_draws,
    p_and_q,
)
from howfar.evaluation.run_comparison import false_positive_rate
from howfar.figures import style
from howfar.figures.view import Drawn, View, figure

_RULES = {
    "t_test": "t test of r against 0",
    "as_published": "as published, (|r| − m) / sqrt(s / 50)",
    "standard_error": "standard error, (|r| − m) / (s / sqrt 50)",
    "own_null": "own null",
}
_WORDS = {
    "t_test": "Asks whether r is 0, whatever the gene's variants.",
    "as_published": "An SD stands where a variance belongs, so the null is taken as too narrow "
    "wherever the null is wide.",
    "standard_error": "Asks how well the null's mean is known; with enough draws any |r| above it "
    "passes.",
    "own_null": "Asks how often a random weighting of the same variants does as well.",
    "simulated_tail": "As the own null, its tail taken from simulated genotypes: only the mean and "
    "SD of the draws are public.",
}
_MARKS = {"as_published": "-", "standard_error": "--", "normal_tail": ":"}
_NO_R = "No gene has a correlation to judge: predictions or expression don't vary."
_NONE = "No gene-specific null is known for this study (it needs genotypes)."


def null_rows(view: View) -> pd.DataFrame:
    """Rows of `across`, all people, of the first run that has a gene-specific null; or none."""
    table = view["across"]
    table = table[table["population"] == "pooled"]
    runs = view.runs_in(table.loc[table["null_sd"].notna(), "run_id"])
    return table[table["run_id"].isin(runs[:1])].reset_index(drop=True)


def counts(view: View) -> pd.DataFrame:
    """Genes found by each rule: rule, words, found, positive, negative, genes, smallest |r|."""
    table, rows = null_rows(view), []
    run = table["run_id"].iloc[0]
    for rule, best in best_rules(from_draws(table)).items():
        key = f"{run}.across.pooled.significant_{best}"
        found = view.need(key)
        numbers = [view.need(f"{key}.{what}").value for what in ("positive", "negative")]
        smallest = view.need(f"{key}.smallest").value
        rows.append((rule, _WORDS[best], int(found.value), *map(int, numbers), found.n, smallest))
    names = ["rule", "words", "found", "positive", "negative", "genes", "smallest_abs_r"]
    return pd.DataFrame(rows, columns=names)


@figure("across_volcano", zero="people")
def volcano(view: View) -> Drawn:
    """r against -log10 p under each rule, for the first run that has a gene-specific null."""
    table = null_rows(view)
    if table.empty:
        return _NONE
    if table["pearson"].isna().all():
        return _NO_R
    run = table["run_id"].iloc[0]
    drawn, axes = style.panels([2.4] * len(_RULES))
    rules, parts = best_rules(from_draws(table)), []
    for axis, row in zip(axes, counts(view).itertuples(), strict=True):
        parts.append(p_and_q(table, rules[row.rule]).assign(rule=row.rule))
        _volcano_panel(axis, parts[-1], row, view.colours[run])
    axes[-1].set_xlabel(f"r across people, {view.labels[run]}")
    caption = (
        f"{view.labels[run]}: each gene's r under four rules, which ask two questions. The t test: "
        "is r different from 0? The others: is |r| larger than random weights on the gene's own "
        "variants give (m, s: mean and SD of their |r|)? Coloured: q ≤ 0.05 (Benjamini-Hochberg "
        "over all "
        f"genes). Triangles: genes above the panel's height.{tails(view, run)}"
    )
    return drawn, pd.concat(parts, ignore_index=True), caption


def _volcano_panel(axis, part: pd.DataFrame, row, colour: str) -> None:
    height = -np.log10(part["p"].clip(lower=1e-300))
    found = part["q"] <= 0.05
    highest = [height.quantile(0.995), height[found].quantile(0.9)]
    top = max(3.0, 1.05 * float(np.nanmax([*highest, 0])))
    inside = height <= top
    for chosen, look in ((~found, {"c": "#b3b3b3", "alpha": 0.5}), (found, {"c": colour})):
        look |= {"linewidths": 0, "rasterized": True}
        axis.scatter(part["r"][chosen & inside], height[chosen & inside], s=8, **look)
        above = part["r"][chosen & (height > top)]
        axis.scatter(above, np.full(len(above), top), s=22, marker="^", **look)
    axis.set(xlim=(-1, 1), ylim=(0, top * 1.3), ylabel="−log10 p")
    axis.axvline(0, color=style.FAINT, lw=0.8)
    axis.set_title(f"{_RULES[row.rule]}: {row.found} genes", fontsize=9.5)
    text = f"{row.found} of n = {row.genes} genes at q ≤ 0.05\n{row.negative} of them with r < 0"
    style.note(axis, text)


@figure("rule_counts")
def rule_counts(view: View) -> Drawn:
    """How many genes each rule finds, with positive and with negative r."""
    rows = null_rows(view)
    if rows.empty:
        return _NONE
    table, run = counts(view), rows["run_id"].iloc[0]
    drawn, (axis,) = style.panels([0.8 + 1.05 * len(table)])
    for place, row in enumerate(table.itertuples()):
        _count_bar(axis, place, row, view.colours[run])
    axis.set(yticks=[], ylim=(len(table) - 0.35, -0.75))
    axis.axvline(0, color=style.INK, lw=0.8)
    widest = max(table["negative"].max(), table["positive"].max(), 1)
    axis.set_xlim(-widest * 1.12, widest * 1.12)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))  # genes are whole
    axis.xaxis.set_major_formatter(lambda count, _: f"{abs(count):.0f}")
    axis.set_xlabel("genes at q ≤ 0.05: r < 0 to the left, r > 0 to the right")
    answers = ", ".join(str(found) for found in table["found"])
    axis.set_title(f"The same {table['genes'].iloc[0]} genes, four answers: {answers}")
    known = table.set_index("rule")["found"]
    caption = (
        f"Genes of {view.labels[run]} called at a false discovery rate of 5 %. Their number "
        f"depends on the rule: {known['t_test']} by the t test (is r different from 0?); by the "
        f"rules that compare |r| with the gene's own null, {known['as_published']} as published, "
        f"{known['standard_error']} with the standard error, {known['own_null']} by the own null."
        f"{tails(view, run)}"
    )
    return drawn, table, caption


def tails(view: View, run: str) -> str:
    """What the own null finds by each shape of its tail, where one has to be assumed; or ''."""
    if from_draws(null_rows(view)):
        return ""
    key = f"{run}.across.pooled.significant_"
    found = [int(view.need(f"{key}{tail}").value) for tail in TAILS]
    names = ("of simulated draws", "normal", "half-normal", "half-normal with 50 df")
    false = view.number(f"{key}normal_tail.expected_false")
    aside = (
        "" if false is None else f"; of those by the normal tail about {false.value:.0f} are false"
    )
    each = ", ".join(f"{n} ({name})" for n, name in zip(found, names, strict=True))
    return (
        " Only the mean and SD of 50 draws are public, so the own null depends on the tail that "
        f"is assumed, and gives {min(found)} to {max(found)} genes: {each}{aside}."
    )


def _count_bar(axis, place: int, row, colour: str) -> None:
    axis.barh(place, row.positive, color=colour, height=0.34)
    axis.barh(place, -row.negative, color=colour, height=0.34, alpha=0.45)
    name = _RULES[row.rule].split(",")[0].capitalize()
    small = style.signed(row.smallest_abs_r, 2) if row.found else "none"
    text = f"{name}: {row.found} genes ({row.negative} with r < 0), smallest |r| {small}"
    at = {"transform": axis.get_yaxis_transform()}  # x in shares of the panel
    style.words(axis, 0.01, place - 0.34, text, 9, weight="bold", **at)
    style.words(axis, 0.01, place + 0.36, row.words, 8.5, **at)


@figure("rule_error")
def rule_error(view: View) -> Drawn:
    """Share of random predictors that each rule calls at p <= 0.05, by the width of the null."""
    rows = null_rows(view).dropna(subset=["null_sd"])
    if rows.empty:
        return _NONE
    key = f"{rows['run_id'].iloc[0]}.across.pooled"
    sd = np.linspace(*np.quantile(rows["null_sd"], [0.01, 0.999]), 80)
    middle, ratio = (view.need(f"{key}.null_{what}").value for what in ("sd", "ratio"))
    drawn, (axis, below) = style.panels([2.7, 1.1], columns=1)
    lines = []
    for rule, mark in _MARKS.items():
        share = false_positive_rate(sd, ratio, rule)
        chance, strict = (view.need(f"{key}.chance_{rule}{s}").value for s in ("", ".strict"))
        name = rule.replace("_", " ")
        label = f"{name}: {100 * chance:.0f} %; at p ≤ 0.001 {100 * strict:.2g} %"
        axis.plot(sd, 100 * share, mark, color=style.INK, label=label)
        lines.append(pd.DataFrame({"null_sd": sd, "rule": name, "share": share}))
    axis.axhline(5, color=style.FAINT, lw=0.8)
    axis.axvline(middle, ymax=0.6, color=style.FAINT, lw=0.8)
    axis.set(ylim=(0, 75), yticks=range(0, 51, 10), ylabel="% called at p ≤ 0.05")
    axis.set_title(f"Random predictors called, at the median s of {middle:.3f}", fontsize=10)
    axis.legend(loc="upper left", fontsize=9)
    below.hist(rows["null_sd"], bins=60, color="#b3b3b3")
    below.set(xlabel="s, SD of the null's |r| of a gene", ylabel="genes", xlim=axis.get_xlim())
    style.note(below, f"n = {len(rows)} genes", x=0.7)
    caption = (
        "How often a predictor that knows nothing (another random weighting of the gene's "
        "variants) is significant by each rule. It is calculated with the tail that random "
        f"weightings have on simulated genotypes, at the genes' median m / s of {ratio:.2f}; 5 % "
        "is the stated error rate at p ≤ 0.05. Second panel: the widths s of the genes' nulls."
    )
    return drawn, pd.concat(lines, ignore_index=True), caption
