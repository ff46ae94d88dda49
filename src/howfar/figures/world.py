"""The demo world: figures that need a known truth."""

from __future__ import annotations

import pandas as pd

from howfar.evaluation.known_truth import FALSE_POSITIVES, KNOWN, LEVEL, RECOVERED, SIGN_ERRORS
from howfar.figures import style
from howfar.figures.across import people, pooled
from howfar.figures.view import Drawn, NotInTables, View, figure

RULES = {
    "t_test": "t test of r",
    "as_published": "as published, sqrt(s / 50)",
    "standard_error": "standard error, s / sqrt 50",
    "calibrated": "calibrated",
}
_NO_TRUTH = "This study is not simulated, or its truth is not known."


@figure("world_ceiling")
def ceiling(view: View) -> Drawn:
    """Mean r across people of each run beside that of the true genetic value."""
    summary = pooled(view)
    if summary.empty:
        return "No correlations across people are known for this study."
    drawn, (axis,) = style.panels([0.9 + 0.75 * len(summary)])
    for place, row in enumerate(summary.rename(columns={"mean_r": "value"}).itertuples()):
        style.bar(axis, place, row, view.colours[row.run_id], height=0.45)
        mean = f"mean r = {style.estimated(row, 3, 2)}"
        text = f"{row.label}\n{mean}, n = {row.genes} genes, {people(row)}"
        style.words(axis, 0.005, place - 0.28, text, 8, va="bottom")
    axis.axvline(0, color=style.INK, lw=0.8)
    axis.set(yticks=[], ylim=(len(summary) - 0.6, -0.85), xlabel="mean r across people")
    axis.set_xlim(min(0, float(summary["ci_low"].min())) - 0.01, 0.75)
    caption = (
        "Mean correlation with expression across people. The true genetic value is the ceiling: "
        "what is above it is environment, which no model of DNA can see."
    )
    return drawn, summary, caption


def _known(view: View, what: str, columns: dict[str, str]) -> pd.DataFrame:
    """Rows of a set of `summary` that needs the truth, columns renamed; empty without a truth."""
    table = view.summary(what).sort_values("x", kind="stable", ignore_index=True)
    if table.empty and (view.study.simulate or {}).get("world") == "demo":
        raise NotInTables(f"{what} of table summary")
    return table.rename(columns=columns)[list(columns.values())]


@figure("world_signs")
def signs(view: View) -> Drawn:
    """Share of causal variants whose sign a run has wrong, by class of variant."""
    columns = {"method": "run_id", "group": "class", "n": "n", "value": "share_wrong"}
    table = _known(view, SIGN_ERRORS, columns | {"ci_low": "ci_low", "ci_high": "ci_high"})
    table = table[table["run_id"].isin(view.labels)]
    if table.empty:
        return _NO_TRUTH
    drawn, (axis,) = style.panels([1.0 + 0.42 * len(table)])
    table = table.assign(label=table["run_id"].map(view.labels))
    for place, row in enumerate(table.rename(columns={"share_wrong": "value"}).itertuples()):
        style.estimate(axis, place, row, view.colours[row.run_id])
        text = f" {100 * row.value:.0f} % of n = {row.n}"
        style.words(axis, style.end_of(row) + 0.01, place, text)
    names = [
        style.wrapped(label) if kind == "all" else kind
        for label, kind in zip(table["label"], table["class"], strict=True)
    ]
    style.rows(axis, names, 8, top=-0.7)
    axis.axvline(0.5, color=style.FAINT, ls="--", lw=1)
    axis.set(xlim=(0, 1.3), xticks=[0, 0.25, 0.5, 0.75, 1])
    axis.set_xlabel("share of causal variants with the wrong sign")
    caption = (
        "Sign errors. The model's effect of each variant is read off its own predictions, all "
        "variants of the window together; the true effect is known. Dashed: guessing. Intervals: "
        "block bootstrap."
    )
    return drawn, table, caption


@figure("world_false_positives")
def false_positives(view: View) -> Drawn:
    """How often each rule calls a gene significant when expression ignores the genome."""
    columns = {"method": "run_id", "group": "rule", "n": "n", "value": "rate"}
    rates = _known(view, FALSE_POSITIVES, columns | {"ci_low": "ci_low", "ci_high": "ci_high"})
    if rates.empty:
        return _NO_TRUTH
    run = next(iter(view.runs_in(rates["run_id"])), None)
    if run is None:
        return "This study has no run of a network."
    rates = rates[rates["run_id"] == run].set_index("rule").reindex(RULES).dropna(subset=["n"])
    drawn, (axis,) = style.panels([1.0 + 0.5 * len(rates)])
    for place, row in enumerate(rates.rename(columns={"rate": "value"}).itertuples()):
        style.bar(axis, place, row, view.colours[run], height=0.5, alpha=0.8)
        text = f" {100 * row.value:.1f} %, n = {row.n} genes"
        style.words(axis, row.ci_high + 0.01, place, text)
    axis.axvline(LEVEL, color=style.INK, ls="--", lw=1)
    style.rows(axis, [RULES[rule] for rule in rates.index], 8.5, top=-0.7)
    axis.set_xlim(0, min(1.6 * rates["ci_high"].max() + 0.1, 1.4))
    axis.set_xlabel("share of genes with p ≤ 0.05")
    caption = (
        f"False positives of {view.labels[run]} on expression that is independent of genotype. "
        "A rule that keeps its promise reaches 5 % (dashed). Intervals: exact binomial."
    )
    return drawn, rates.drop(columns="run_id").reset_index(), caption


@figure("world_recovered")
def recovered(view: View) -> Drawn:
    """Estimates of this book's estimators beside the values the simulation knows."""
    ends = {"ci_low": "ci_low", "ci_high": "ci_high"}
    table = _known(view, RECOVERED, {"method": "quantity", "n": "n", "value": "estimate"} | ends)
    if table.empty:
        return _NO_TRUTH
    known = view.summary(KNOWN).set_index("method")["value"]
    table.insert(2, "known", table["quantity"].map(known))
    drawn, (axis,) = style.panels([0.9 + 0.7 * len(table)])
    for place, row in enumerate(table.itertuples()):
        style.span_line(axis, place, row, lw=2)
        axis.plot(row.estimate, place, "o", color=style.INK, ms=6, label="estimate, 95 % interval")
        axis.plot(row.known, place, "D", mfc="none", mec="#D55E00", mew=1.8, ms=8, label="known")
        values = f"known {row.known:.3f}, estimate {row.estimate:.3f} {style.ends(row)}"
        text = f"{row.quantity}, n = {row.n} genes\n{values}"
        style.words(axis, 0.01, place - 0.2, text, 8.5, va="bottom")
    axis.set(yticks=[], xlim=(0, 1.02), ylim=(len(table) - 0.5, -0.95), xlabel="value")
    handles, labels = axis.get_legend_handles_labels()
    drawn.legend(handles[:2], labels[:2], loc="outside upper left", ncols=2)
    caption = (
        "The estimators on data whose answer is known: the correlation of a gene's true genetic "
        "value with expression is the square root of its broad-sense heritability."
    )
    return drawn, table, caption
