"""The demo world: figures that need a known truth."""

from __future__ import annotations

from howfar.evaluation import known_truth
from howfar.evaluation.known_truth import LEVEL, false_positive_rates, null_p_values, sign_errors
from howfar.figures import style
from howfar.figures.across import people, pooled
from howfar.figures.view import View, figure
from howfar.results import tables


@figure("world_ceiling")
def ceiling(view: View):
    """Mean r across people of each run beside that of the true genetic value."""
    summary = pooled(view)
    if summary.empty:
        return "No correlations across people are known for this study."
    drawn, (axis,) = style.panels([0.9 + 0.75 * len(summary)])
    for place, row in enumerate(summary.itertuples()):
        colour = view.colours[row.run_id]
        axis.barh(place, row.mean_r, color=colour, height=0.45)
        axis.plot([row.ci_low, row.ci_high], [place, place], color=style.INK, lw=1.4)
        text = (
            f"{row.label}\nmean r = {style.signed(row.mean_r)} "
            f"{style.interval(row.ci_low, row.ci_high, 2)}, n = {row.genes} genes, {people(row)}"
        )
        style.words(axis, 0.005, place - 0.28, text, 8, va="bottom")
    axis.axvline(0, color=style.INK, lw=0.8)
    axis.set(yticks=[], ylim=(len(summary) - 0.6, -0.85), xlabel="mean r across people")
    axis.set_xlim(min(0, float(summary["ci_low"].min())) - 0.01, 0.75)
    caption = (
        "Mean correlation with expression across people. The true genetic value is the ceiling: "
        "what is above it is environment, which no model of DNA can see."
    )
    return drawn, summary, caption


@figure("world_signs")
def signs(view: View):
    """Share of causal variants whose sign a run has wrong, by class of variant."""
    if (absent := _without_truth(view)) is not None:
        return absent
    effects = known_truth.signs(view.study, view.results)
    effects = effects[effects["run_id"].isin(view.colours)]
    table = sign_errors(effects, view.tables["genes"])
    drawn, (axis,) = style.panels([1.0 + 0.42 * len(table)])
    table = table.assign(label=table["run_id"].map(view.labels))
    for place, row in enumerate(table.itertuples()):
        colour = view.colours[row.run_id]
        axis.plot([row.ci_low, row.ci_high], [place, place], color=colour, lw=2)
        axis.plot(row.share_wrong, place, "o", color=colour, ms=6)
        text = f" {100 * row.share_wrong:.0f} % of n = {row.n}"
        end = max(row.share_wrong, row.ci_high if row.ci_high == row.ci_high else 0)
        style.words(axis, end + 0.01, place, text)
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


def _without_truth(view: View) -> str | None:
    """Why there is no such figure, for a study whose truth or people are not there."""
    if not view.study.simulate:
        return "This study is not simulated: its truth is not known."
    if not tables.path_of(view.results, view.study.name, "individuals").exists():
        return "The person-level table of this study has not been written yet."
    return None


RULES = {
    "t_test": "t test of r",
    "as_published": "as published, sqrt(s / 50)",
    "standard_error": "standard error, s / sqrt 50",
    "calibrated": "calibrated",
}


@figure("world_false_positives")
def false_positives(view: View):
    """How often each rule calls a gene significant when expression ignores the genome."""
    if (absent := _without_truth(view)) is not None:
        return absent
    run = next((r for r in view.labels if view.kinds[r] == "network"), None)
    if run is None:
        return "This study has no run of a network."
    rates = false_positive_rates(null_p_values(view.study, view.results, run))
    drawn, (axis,) = style.panels([1.0 + 0.5 * len(rates)])
    for place, row in enumerate(rates.itertuples()):
        axis.barh(place, row.rate, color=view.colours[run], alpha=0.8, height=0.5)
        axis.plot([row.ci_low, row.ci_high], [place, place], color=style.INK, lw=1.4)
        text = f" {100 * row.rate:.1f} %, n = {row.n} genes"
        style.words(axis, row.ci_high + 0.01, place, text)
    axis.axvline(LEVEL, color=style.INK, ls="--", lw=1)
    style.rows(axis, [RULES[r] for r in rates["rule"]], 8.5, top=-0.7)
    axis.set_xlim(0, min(1.6 * rates["ci_high"].max() + 0.1, 1.4))
    axis.set_xlabel("share of genes with p ≤ 0.05")
    caption = (
        f"False positives of {view.labels[run]} on expression that is independent of genotype. "
        "A rule that keeps its promise reaches 5 % (dashed). Intervals: exact binomial."
    )
    return drawn, rates, caption


@figure("world_recovered")
def recovered(view: View):
    """Estimates of this book's estimators beside the values the simulation knows."""
    if (absent := _without_truth(view)) is not None:
        return absent
    table = known_truth.recovered(view.study, view.tables)
    drawn, (axis,) = style.panels([0.9 + 0.7 * len(table)])
    for place, row in enumerate(table.itertuples()):
        axis.plot([row.ci_low, row.ci_high], [place, place], color=style.INK, lw=2)
        axis.plot(row.estimate, place, "o", color=style.INK, ms=6, label="estimate, 95 % interval")
        axis.plot(row.known, place, "D", mfc="none", mec="#D55E00", mew=1.8, ms=8, label="known")
        text = (
            f"{row.quantity}, n = {row.n} genes\nknown {row.known:.3f}, estimate "
            f"{row.estimate:.3f} {style.interval(row.ci_low, row.ci_high)}"
        )
        style.words(axis, 0.01, place - 0.2, text, 8.5, va="bottom")
    axis.set(yticks=[], xlim=(0, 1.02), ylim=(len(table) - 0.5, -0.95), xlabel="value")
    handles, labels = axis.get_legend_handles_labels()
    drawn.legend(handles[:2], labels[:2], loc="outside upper left", ncols=2)
    caption = (
        "The estimators on data whose answer is known: the correlation of a gene's true genetic "
        "value with expression is the square root of its broad-sense heritability."
    )
    return drawn, table, caption
