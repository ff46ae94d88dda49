"""The third figure: where does it work better? r across people against features of the gene."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from howfar.evaluation.numbers.trends import has_bins
from howfar.evaluation.trends import with_feature
from howfar.figures import style
from howfar.figures.view import Drawn, View, figure

#: feature: (axis label, logarithmic axis).
PANELS = {
    "lead_eqtl_distance": ("distance of the lead eQTL to the TSS (bp)", True),
    "lead_eqtl_log10p": ("−log10 p of the lead eQTL", True),
    "median_expression": ("median expression", False),
    "cv_expression": ("coefficient of variation of expression", True),
}
_COLUMNS = ["low", "high", "centre", "mean", "ci_low", "ci_high", "n_genes"]


def binned(view: View) -> pd.DataFrame:
    """Means of r in bins of each feature, from `numbers`.

    Columns low, high, centre (median), mean, ci_low, ci_high, n_genes, run_id, label, feature and
    n (genes of all bins).
    """
    parts = []
    for run in view.comparable:
        for feature in PANELS:
            genes = with_feature(view.tables, run, feature)
            if has_bins(genes, feature):
                trend = pd.DataFrame(_bins(view, f"{run}.trend.{feature}"), columns=_COLUMNS)
                parts.append(
                    trend.assign(run_id=run, label=view.labels[run], feature=feature, n=len(genes))
                )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _bins(view: View, key: str) -> list[tuple]:
    """The rows of one trend; ties can leave fewer bins than usual."""
    rows = []
    for i in itertools.count(1):
        mean = view.number(f"{key}.bin{i}.mean_r")
        if mean is None:
            return rows
        centre = view.need(f"{key}.centre{i}")
        middle = (centre.ci_low, centre.ci_high, centre.value)
        rows.append((*middle, mean.value, mean.ci_low, mean.ci_high, int(mean.n)))


@figure("tss_distance", zero="people")
def trends(view: View) -> Drawn:
    """r across people against four features: binned means with intervals, and the genes."""
    means = binned(view)
    if means.empty:
        return "No r across people of genes with such features is public for this study."
    shown = [f for f in PANELS if (means["feature"] == f).any()]
    drawn, axes = style.panels([2.9] * len(shown))
    for axis, feature in zip(axes, shown, strict=True):
        _panel(axis, means[means["feature"] == feature], feature, view)
    handles, labels = axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside upper left", ncols=2, fontsize=8)
    caption = (
        "Correlation across people (r) against features of the gene: means in six bins of equal "
        "numbers of genes, with 95 % block-bootstrap intervals. Pale points: single genes of "
        f"{means['label'].iloc[0]}."
    )
    if any(feature.startswith("lead_eqtl") for feature in shown):
        caption += (
            " The lead eQTL was found in the same kind of data; its p gets smaller with the effect "
            "that the model is asked to predict."
        )
    points = [
        with_feature(view.tables, means["run_id"].iloc[0], feature).assign(feature=feature)
        for feature in shown
    ]
    return drawn, pd.concat([means, *points]), caption


def _panel(axis, means: pd.DataFrame, feature: str, view: View) -> None:
    label, logarithmic = PANELS[feature]
    if feature == "median_expression":
        label += f" ({view.study.expression_units})"
    # A lead eQTL on the TSS itself has no place on a logarithmic axis; a median may be negative.
    floor = 10.0 if feature == "lead_eqtl_distance" else -np.inf
    first = means["run_id"].iloc[0]
    genes = with_feature(view.tables, first, feature)
    colour = view.colours[first]
    dots = {"s": 5, "alpha": 0.15, "lw": 0, "rasterized": True}
    axis.scatter(genes[feature].clip(lower=floor), genes["pearson"], color=colour, **dots)
    for run, part in means.groupby("run_id", sort=False):
        line = {"color": view.colours[run], "label": part["label"].iloc[0]}
        error = np.abs(part[["ci_low", "ci_high"]].to_numpy(float).T - part["mean"].to_numpy())
        centre = part["centre"].clip(lower=floor)
        axis.errorbar(centre, part["mean"], error, fmt=f"{view.marks[run]}-", ms=4, lw=1.5, **line)
    if logarithmic:
        axis.set_xscale("log")
    axis.axhline(0, color=style.FAINT, lw=0.8)
    axis.set(xlabel=label, ylabel="r")
    rho = view.number(f"{first}.trend.{feature}.r")
    slope = "" if rho is None else f"\nρ = {style.estimated(rho, 3, 2)}"
    style.note(axis, f"n = {len(genes)} genes{slope}", y=0.17)
