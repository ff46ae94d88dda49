"""The third figure: where does it work better? r across people against features of the gene."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar.evaluation.trends import TREND_BINS, binned_trend, with_feature
from howfar.figures import style
from howfar.figures.view import View, figure
from howfar.stats.blocks import blocks_of

#: feature: (axis label, logarithmic axis).
PANELS = {
    "lead_eqtl_distance": ("distance of the lead eQTL to the TSS (bp)", True),
    "lead_eqtl_log10p": ("−log10 p of the lead eQTL", True),
    "median_expression": ("median expression", False),
    "cv_expression": ("coefficient of variation of expression", True),
}
_BINS = TREND_BINS


def binned(view: View) -> pd.DataFrame:
    """Means of r in bins of each feature: the columns of `evaluate.binned_trend`, and whose.

    Adds run_id, label and feature. In a study without r across people, r is the absolute
    correlation of the lead eQTL itself (run_id 'lead_eqtl').
    """
    parts = []
    for run, label, feature, rows in _pairs(view):
        blocks, _ = blocks_of(view.tables["genes"], rows["gene_id"])
        ends = _intervals(view, run, feature)
        # Ties can leave fewer bins; then, too, `numbers` has one interval for each.
        trend = binned_trend(
            rows[feature], rows["pearson"], blocks, _BINS, draws=2 if ends else 1000
        )
        if ends:
            trend[["ci_low", "ci_high"]] = ends
        parts.append(trend.assign(run_id=run, label=label, feature=feature, n=len(rows)))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _intervals(view: View, run: str, feature: str) -> list[tuple[float, float]]:
    """Interval of each bin's mean, from `numbers`; empty where they are not there."""
    found = [view.number(f"{run}.trend.{feature}.bin{i}.mean_r") for i in range(1, _BINS + 1)]
    return [(row.ci_low, row.ci_high) for row in found if row is not None]


def _pairs(view: View):
    """(run_id, label, feature, genes with both) of all there is to draw."""
    runs = view.labels if len(view["across"]) else {"lead_eqtl": "lead eQTL, |r|"}
    for run, label in runs.items():
        for feature in PANELS:
            if (run, feature) == ("lead_eqtl", "lead_eqtl_log10p"):
                continue  # p follows from r alone: such a panel would show nothing
            rows = _with_feature(view, run, feature)
            if len(rows) >= 5 * _BINS and rows[feature].nunique() > _BINS:
                yield run, label, feature, rows


def _with_feature(view: View, run: str, feature: str) -> pd.DataFrame:
    if run != "lead_eqtl":
        return with_feature(view.tables, run, feature)
    features = view["features"].drop_duplicates(["gene_id", "feature"])
    wide = features.pivot(index="gene_id", columns="feature", values="value").reset_index()
    if not {feature, "lead_eqtl_r"} <= set(wide.columns):
        return pd.DataFrame({feature: [], "gene_id": []})
    return wide.assign(pearson=wide["lead_eqtl_r"].abs()).dropna(subset=["pearson", feature])


@figure("tss_distance")
def trends(view: View):
    """r across people against four features: binned means with intervals, and the genes."""
    means = binned(view)
    if means.empty:
        return "Neither r across people nor lead eQTLs with features are public for this study."
    shown = [f for f in PANELS if (means["feature"] == f).any()]
    drawn, axes = style.panels([2.9] * len(shown))
    for axis, feature in zip(axes, shown, strict=True):
        _panel(axis, means[means["feature"] == feature], feature, view)
    handles, labels = axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside upper left", ncols=2, fontsize=8)
    what = "Correlation across people (r)"
    if view["across"].empty:
        what = "Correlation of the lead eQTL with expression (|r|)"
    caption = (
        f"{what} against features of the gene: means in six bins of equal "
        "numbers of genes, with 95 % block-bootstrap intervals. Pale points: single genes of "
        f"{means['label'].iloc[0]}. The lead eQTL was found in the same kind of data; its p-value "
        "grows with the effect that the model is asked to predict."
    )
    return drawn, means, caption


def _panel(axis, means: pd.DataFrame, feature: str, view: View) -> None:
    label, logarithmic = PANELS[feature]
    if feature in ("median_expression", "mean_expression"):
        label += f" ({view.study.expression_units})"
    # A lead eQTL on the TSS itself has no place on a logarithmic axis; a median may be negative.
    floor = 10.0 if feature == "lead_eqtl_distance" else -np.inf
    first = means["run_id"].iloc[0]
    genes = _with_feature(view, first, feature)
    colour = view.colours.get(first, style.KIND_COLOURS["lead_snp"][0])
    x = genes[feature].clip(lower=floor)
    axis.scatter(x, genes["pearson"], s=5, alpha=0.15, color=colour, lw=0, rasterized=True)
    for run, part in means.groupby("run_id", sort=False):
        tint = view.colours.get(run, colour)
        centre = part["centre"].clip(lower=floor)
        error = np.abs(part[["ci_low", "ci_high"]].to_numpy(float).T - part["mean"].to_numpy())
        axis.errorbar(centre, part["mean"], error, color=tint, fmt="o-", ms=4, lw=1.5,
                      label=part["label"].iloc[0])  # fmt: skip
    if logarithmic:
        axis.set_xscale("log")
    axis.axhline(0, color=style.FAINT, lw=0.8)
    axis.set(xlabel=label, ylabel="|r|" if first == "lead_eqtl" else "r")
    style.note(axis, f"n = {len(genes)} genes{_slope(view, first, feature)}", y=0.17)


def _slope(view: View, run: str, feature: str) -> str:
    """A line with Spearman's rho of r with the feature, from `numbers`; empty without one."""
    number = view.number(f"{run}.trend.{feature}.r")
    if number is None:
        return ""
    ends = style.interval(number.ci_low, number.ci_high, 2)
    return f"\nρ = {style.signed(number.value)} {ends}"
