"""The demo world: figures that need a known truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.patches import Patch

from howfar.evaluation.cures import PEAKS
from howfar.evaluation.known_truth import (
    BY_VARIANCE,
    FALSE_POSITIVES,
    KNOWN,
    RECOVERED,
    SHARES,
    SIGNS,
)
from howfar.figures import row_zero, style
from howfar.figures.across import histogram, main_rows, own_null_words, people, pooled
from howfar.figures.view import Drawn, NotInTables, View, figure

RULES = {
    "t_test": "t test of r",
    "as_published": "as published, sqrt(s / 50)",
    "standard_error": "standard error, s / sqrt 50",
    "own_null": "own null",
}
_NO_TRUTH = "This study is not simulated, or its truth is not known."


@figure("world_ceiling", zero="people")
def ceiling(view: View) -> Drawn:
    """Mean r across people of each run beside that of the true genetic value."""
    summary = pooled(view)
    if summary.empty:
        return "No correlations across people are known for this study."
    drawn, (axis,) = style.panels([0.9 + 0.75 * (len(summary) + 3)])
    for place, row in enumerate(summary.rename(columns={"mean_r": "value"}).itertuples()):
        style.bar(axis, place, row, view.colours[row.run_id], height=0.45)
        mean = f"mean r = {style.estimated(row, 3, 2)}"
        text = f"{row.label}\n{mean}, n = {row.genes} genes, {people(row)}"
        style.words(axis, 0.005, place - 0.28, text, 8, va="bottom")
    rest = row_zero.people(view, summary["run_id"].iloc[0])
    for i, row in enumerate(rest.itertuples()):
        place = len(summary) + i
        style.bar(axis, place, row, row_zero.GREY, height=0.45)
        text = f"{row.label}\nmean r = {style.estimated(row, 3, 2)}, n = {row.n} genes"
        style.words(axis, 0.005, place - 0.28, text, 8, va="bottom")
    axis.axvline(0, color=style.INK, lw=0.8)
    bottom = len(summary) + len(rest) - 0.6
    axis.set(yticks=[], ylim=(bottom, -0.85), xlabel="mean r across people")
    least = pd.concat([summary["ci_low"], rest["ci_low"]]).astype(float).min()
    axis.set_xlim(min(0, least) - 0.01, 0.75)
    caption = (
        "Mean correlation with expression across people. The true genetic value is the ceiling: "
        "the remaining variance is environmental. Grey: controls without a model."
    )
    return drawn, summary, caption


def _known(view: View, what: str, columns: dict[str, str]) -> pd.DataFrame:
    """Rows of a set of `summary` that needs the truth, columns renamed; empty without a truth."""
    table = view.summary(what).sort_values("x", kind="stable", ignore_index=True)
    if table.empty and (view.study.simulate or {}).get("world") == "demo":
        raise NotInTables(f"{what} of table summary")
    return table.rename(columns=columns)[list(columns.values())]


_SIGN_COLOURS = {"right": "#1B7837", "wrong": "#762A83", "none": "#dddddd"}


@figure("world_network", zero="people")
def world_network(view: View) -> Drawn:
    """r across people of the first network by gene, beside that of its accessibility by peak."""
    runs = [run for run in view.comparable if view.kinds[run] == "network"]
    table = main_rows(view)
    if not runs or table.empty:
        return "This study has no run of a network."
    summary = pooled(view).set_index("run_id", drop=False).loc[runs[0]]
    table = table[table["run_id"] == runs[0]]
    peaks, means = view.summary(f"{PEAKS}.r"), view.summary(PEAKS).set_index("method")
    drawn, axes = style.panels([2.2] * (2 if len(peaks) else 1))
    histogram(axes[0], view, table, summary)
    caption = (
        "Correlation of prediction and expression across people, one value per gene. Dashed: what "
        f"sampling alone would give. {own_null_words(view)}"
    )
    if len(peaks):
        axes[0].set_title(f"expression: {view.labels[runs[0]]}", fontsize=9)
        found, limit = (means.loc[name] for name in ("Network", "True genetic value"))
        axes[1].hist(peaks["value"], bins=np.linspace(-1, 1, 61), color=view.colours[runs[0]])
        text = f"mean r = {style.estimated(found, 2)}\nceiling {style.estimated(limit, 2)}"
        style.note(axes[1], f"{text}\nn = {int(found['n'])} peaks")
        axes[1].axvline(0, color=style.INK, lw=0.8)
        axes[1].set(
            xlim=axes[0].get_xlim(), ylabel="peaks", title="accessibility: the same network"
        )
        axes[1].title.set_fontsize(9)
        caption += (
            " Second panel: accessibility of promoters and enhancers, which depends on the motif "
            "sites alone. The network recognises the motifs, but can't know what they do to a "
            "gene's expression."
        )
    axes[-1].set_xlabel("r across people")
    return drawn, table, caption


@figure("world_signs", zero="signs")
def signs(view: View) -> Drawn:
    """Shares of causal variants with the right sign, the wrong one, and none, by class."""
    columns = {"method": "run_id", "group": "class", "n": "n", "value": "value"}
    columns |= {"ci_low": "ci_low", "ci_high": "ci_high"}
    parts = [_known(view, SIGNS + share, columns).assign(share=share) for share in SHARES]
    table = pd.concat(parts, ignore_index=True)
    runs = view.runs_in(table["run_id"])
    if not runs:
        return _NO_TRUTH
    table = table[table["run_id"].isin(runs)]
    wide = table.pivot(index=["run_id", "class"], columns="share", values="value")
    classes = ["all", *sorted(set(table["class"]) - {"all", BY_VARIANCE}), BY_VARIANCE]
    given = table[table["share"] == "wrong_of_given"].set_index(["run_id", "class"])
    drawn, (axis,) = style.panels([1.2 + 0.36 * len(runs) * len(classes)])
    names = []
    for run in runs:
        for name in classes:
            place, left = len(names), 0.0
            names.append(style.wrapped(view.labels[run]) if name == "all" else name)
            for share, colour in _SIGN_COLOURS.items():
                size = float(np.nan_to_num(wide.loc[(run, name), share]))
                axis.barh(place, size, left=left, color=colour, height=0.62)
                left += size
            row = given.loc[(run, name)]
            if row["n"]:
                style.span_line(axis, place + 0.4, row, lw=1.6)
                axis.plot(row["value"], place + 0.4, ".", color=style.INK, ms=6)
            text = f"{100 * row['value']:.0f} % of n = {row['n']}" if row["n"] else "none given"
            style.words(axis, 1.02, place, text, 8)
    style.rows(axis, names, 8, top=-0.7)
    axis.axvline(0.5, color=style.INK, ls="--", lw=1)
    axis.set(xlim=(0, 1.45), xticks=[0, 0.25, 0.5, 0.75, 1])
    axis.set_xlabel("share of variants; right: wrong among signs given")
    handles = [Patch(color=c, label=name) for name, c in _SIGN_COLOURS.items()]
    drawn.legend(handles=handles, loc="outside upper left", ncols=3, fontsize=8.5)
    caption = (
        "Signs of the effects of causal variants that are common enough for the linear models "
        "(minor allele not rarer than their limit), the same variants for every model: right, "
        "wrong, or no effect given. A "
        "linear model's signs are those of its weights; a network's are taken from its "
        "predictions. "
        f"Row '{BY_VARIANCE}': each variant counts as much as it explains, 2pq a². Dots: share of "
        "wrong signs among variants with a sign, with its 95 % interval by block bootstrap; "
        "dashed: a coin."
    )
    return drawn, table, caption


@figure("world_false_positives")
def false_positives(view: View) -> Drawn:
    """How often each rule calls a gene significant when expression ignores the genome."""
    columns = {"method": "run_id", "group": "rule", "x": "level", "n": "n", "value": "value"}
    rates = _known(view, FALSE_POSITIVES, columns | {"ci_low": "ci_low", "ci_high": "ci_high"})
    if rates.empty:
        return _NO_TRUTH
    run = next(iter(view.runs_in(rates["run_id"])), None)
    if run is None:
        return "This study has no run of a network."
    rates = rates[rates["run_id"] == run]
    levels = sorted(rates["level"].unique(), reverse=True)
    drawn, axes = style.panels([0.9 + 0.36 * len(RULES)] * len(levels))
    for axis, level in zip(axes, levels, strict=True):
        part = rates[rates["level"] == level].set_index("rule").reindex(RULES)
        _rates_panel(axis, part.dropna(subset=["n"]), level, view.colours[run])
    axes[-1].set_xlabel("% called (square-root scale)")
    caption = (
        f"False positives of {view.labels[run]} on expression simulated without any genetic "
        "effect, several times for every gene. Dashed: the stated error rate. The t test asks "
        "whether r is "
        "0; the own null asks whether |r| is larger than random weights on the gene's variants "
        "give, and has the stated error rate only for predictions that are like random weights. "
        "95 % intervals with genes as the unit, as the draws of a gene share its prediction and "
        "genotypes."
    )
    return drawn, rates.drop(columns="run_id"), caption


def _rates_panel(axis, part: pd.DataFrame, level: float, colour: str) -> None:
    root = part.assign(**{c: np.sqrt(100 * part[c]) for c in ("value", "ci_low", "ci_high")})
    ends = root["ci_high"].max()
    for place, (row, shown) in enumerate(zip(root.itertuples(), part.itertuples(), strict=True)):
        style.bar(axis, place, row, colour, height=0.5, alpha=0.8)
        text = f" {100 * shown.value:.2g} % {style.ends(shown, 2, 100)}"
        style.words(axis, row.ci_high + 0.02 * ends, place, text, 8)
    axis.axvline(np.sqrt(100 * level), color=style.INK, ls="--", lw=1)
    style.rows(axis, [RULES[rule] for rule in part.index], 8.5, top=-0.7)
    ticks = [t for t in (0, 1, 5, 20, 50) if np.sqrt(t) <= ends * 1.05]
    axis.set_xticks(np.sqrt(ticks), [f"{t:g}" for t in ticks])
    axis.set(xlim=(0, 1.9 * ends), title=f"p ≤ {level:g}, n = {int(part['n'].iloc[0])}")


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
    low, _ = style.from_zero(table[["estimate", "known", "ci_low"]])
    axis.set(yticks=[], xlim=(low, 1.02), ylim=(len(table) - 0.5, -0.95), xlabel="value")
    handles, labels = axis.get_legend_handles_labels()
    drawn.legend(handles[:2], labels[:2], loc="outside upper left", ncols=2)
    caption = (
        "Estimates compared with known values: the correlation of a gene's true genetic value "
        "with expression is the square root of its broad-sense heritability."
    )
    return drawn, table, caption
