"""The first figure: does the model rank genes? Reference prediction against mean expression."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar.figures import row_zero, style
from howfar.figures.view import Drawn, View, figure

_COLUMNS = [
    *("run_id", "label", "region", "n", "pearson", "pearson_low", "pearson_high"),
    *("spearman", "spearman_low", "spearman_high"),
]
#: Genes outside the model's training; no run has this colour on pages of reference predictions.
_TEST = "#E69F00"
_FEW = "Fewer than 3 genes have both a reference prediction and mean expression that vary."
_NONE = "No reference predictions beside mean expression are public for this study."


def across_genes(view: View) -> pd.DataFrame:
    """Correlation across genes: one row per run and region ('all' first), from `numbers`.

    Columns run_id, label, region, n (genes), pearson, pearson_low, pearson_high, spearman,
    spearman_low, spearman_high.
    """
    rows = []
    for run, label in view.labels.items():
        for region in ["all", *style.REGIONS]:
            suffix = "" if region == "all" else f".{region}"
            r = view.number(f"{run}.reference.pearson{suffix}")
            rho = view.number(f"{run}.reference.spearman{suffix}")
            if r is not None and pd.notna(rho.value):
                ends = (rho.value, rho.ci_low, rho.ci_high)
                rows.append((run, label, region, r.n, r.value, r.ci_low, r.ci_high, *ends))
    return pd.DataFrame(rows, columns=_COLUMNS)


@figure("reference_scatter", zero="genes")
def scatter(view: View) -> Drawn:
    """Reference prediction against mean expression, one panel per run."""
    table = view["reference"].dropna(subset=["prediction", "observed_mean"])
    if table.empty:
        return _NONE
    summary = across_genes(view)
    runs = view.runs_in(summary.loc[summary["region"] == "all", "run_id"])
    if not runs:
        return _FEW
    drawn, axes = style.panels([2.7] * len(runs))
    for axis, run in zip(axes, runs, strict=True):
        row = summary[(summary["run_id"] == run) & (summary["region"] == "all")].iloc[0]
        part = table[table["run_id"] == run]
        _scatter_panel(axis, part, row, view, run)
        tested = summary[(summary["run_id"] == run) & (summary["region"] == "test")]
        if len(tested):
            _test_genes(axis, part[part["region"] == "test"], tested.iloc[0])
    axes[-1].set_xlabel("prediction from the reference sequence")
    caption = (
        f"Prediction from the reference sequence against {view.study.level} expression over "
        "people; one point is one gene. ρ is Spearman's, r Pearson's, with 95 % block-bootstrap "
        "intervals. Each title gives the scale of the prediction (linear or logarithmic), on "
        "which r depends and ρ does not."
    )
    return drawn, table, caption


def _scatter_panel(axis, part: pd.DataFrame, row: pd.Series, view: View, run: str) -> None:
    x, y = part["prediction"].to_numpy(float), part["observed_mean"].to_numpy(float)
    wide = x.min() > 0 and x.max() > 100 * np.quantile(x, 0.1)
    axis.scatter(x, y, s=7, alpha=0.35, color=view.colours[run], linewidths=0, rasterized=True)
    axis.set_xscale("log" if wide else "linear")
    axis.set_ylabel(f"{view.study.level} expression\n({view.study.expression_units})")
    units = view.runs.set_index("run_id").loc[run, "units"]
    title = f"{row['label']}" + (f" ({units})" if isinstance(units, str) and units else "")
    axis.set_title(style.wrapped(title, 52), fontsize=10)
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.3 * (high - low))  # room for the numbers above the points
    style.note(
        axis,
        f"n = {int(row['n'])} genes\n"
        f"ρ = {style.signed(row['spearman'])} "
        f"{style.interval(row['spearman_low'], row['spearman_high'], 2)}\n"
        f"r = {style.signed(row['pearson'])} "
        f"{style.interval(row['pearson_low'], row['pearson_high'], 2)}",
    )


def _test_genes(axis, part: pd.DataFrame, row: pd.Series) -> None:
    """Genes outside the model's training, marked, with their own correlation."""
    dots = {"s": 7, "alpha": 0.6, "linewidths": 0, "rasterized": True}
    axis.scatter(part["prediction"], part["observed_mean"], color=_TEST, **dots)
    text = (
        f"in orange: n = {int(row['n'])} genes\nof the model's test regions\n"
        f"r = {style.signed(row['pearson'])} "
        f"{style.interval(row['pearson_low'], row['pearson_high'], 2)}"
    )
    style.note(axis, text, x=0.98, y=0.02, ha="right", va="bottom")  # few are high and read low


@figure("reference_bars", zero="genes")
def bars(view: View) -> Drawn:
    """Spearman's correlation across genes per run, by the model's own data split where known."""
    if view["reference"].dropna(subset=["prediction", "observed_mean"]).empty:
        return _NONE
    summary = across_genes(view)
    if summary.empty:
        return _FEW
    drawn, (axis,) = style.panels([0.9 + 0.42 * (len(summary) + len(row_zero.genes(view)))])
    names = {"spearman": "value", "spearman_low": "ci_low", "spearman_high": "ci_high"}
    place, ticks, labels = 0.0, [], []
    for run, part in summary.groupby("run_id", sort=False):
        for row in part.rename(columns=names).itertuples():
            _bar(axis, place, row, view.colours[run])
            ticks.append(place)
            region = style.REGIONS.get(row.region)
            labels.append(f"{region} genes" if region else style.wrapped(row.label))
            place += 1
        place += 0.5
    for row in row_zero.genes(view).itertuples():
        style.bar(axis, place, row, row_zero.GREY, height=0.8)
        kind = "" if "ρ" in row.label else "r "  # as the axis says, or Pearson's
        text = f"{kind}{style.signed(row.value)}, n = {row.n}"
        style.words(axis, max(style.end_of(row), 0) + 0.02, place, text)
        ticks.append(place)
        labels.append(style.wrapped(row.label))
        place += 1
    axis.set_yticks(ticks, labels, fontsize=8.5)
    axis.invert_yaxis()
    axis.axvline(0, color=style.INK, lw=0.8)
    least = summary[["spearman", "spearman_low"]].min(axis=None)
    axis.set_xlim(min(0, least - 0.05), 1.45)  # room for the text
    axis.set_xticks([t for t in np.arange(-1, 1.01, 0.25) if t >= axis.get_xlim()[0]])
    axis.set_xlabel("Spearman's ρ across genes, with 95 % interval")
    caption = (
        "Correlation across genes, all genes and, paler, those in the model's own training, "
        "validation and test regions where these are known."
    )
    return drawn, summary, caption


def _bar(axis, place: float, row, colour: str) -> None:
    style.bar(axis, place, row, colour, height=0.8, alpha=1 if row.region == "all" else 0.45)
    text = f"{style.signed(row.value)}, n = {row.n}"
    style.words(axis, max(style.end_of(row), 0) + 0.02, place, text)
