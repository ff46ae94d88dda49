"""The lead eQTL of each gene: how far, how strong, how common."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar import stats
from howfar.figures import style
from howfar.figures.view import View, figure
from howfar.stats.blocks import blocks_of

#: feature: (axis label, logarithmic axis, unit of the median in the title).
PANELS = {
    "lead_eqtl_distance": ("distance of the lead eQTL to the TSS (bp)", True, " bp"),
    "lead_eqtl_r": ("r of dosage and expression", False, ""),
    "lead_eqtl_maf": ("minor allele frequency", False, ""),
    "lead_eqtl_log10p": ("−log10 p", True, ""),
}
_COLOUR = style.KIND_COLOURS["lead_snp"][0]
_NEAR = 1000  # bp


def values_of(view: View, feature: str) -> pd.DataFrame:
    """gene_id and value of one feature, from the source with most genes."""
    table = view["features"]
    table = table[table["feature"] == feature].dropna(subset=["value"])
    if table.empty:
        return table[["gene_id", "value"]]
    source = table["source"].value_counts().index[0]
    return table.loc[table["source"] == source, ["gene_id", "value", "source"]]


def lead_summary(view: View) -> pd.DataFrame:
    """Medians and shares of the lead eQTLs over genes, with 95 % intervals by block bootstrap.

    Columns what, value, ci_low, ci_high, n (genes). Rows: the median of each feature (of |r| for
    r), 'within_1kb' and 'negative' (shares).
    """
    rows = []
    for feature in PANELS:
        part = values_of(view, feature)
        if part.empty:
            continue
        values = part["value"].abs() if feature == "lead_eqtl_r" else part["value"]
        rows.append(_estimate(view, part, feature, values, stats.weighted_median))
        if feature == "lead_eqtl_distance":
            near = part["value"] < _NEAR
            rows.append(_estimate(view, part, "within_1kb", near, stats.weighted_mean))
        if feature == "lead_eqtl_r":
            low = part["value"] < 0
            rows.append(_estimate(view, part, "negative", low, stats.weighted_mean))
    return pd.DataFrame(rows, columns=["what", "value", "ci_low", "ci_high", "n"])


def _estimate(view: View, part: pd.DataFrame, what: str, values, statistic) -> tuple:
    values = np.asarray(values, float)
    blocks, _ = blocks_of(view.tables["genes"], part["gene_id"])
    ends = stats.block_bootstrap(values, blocks, statistic, weighted=True, seed=1)
    return what, statistic(values, np.ones((1, len(values))))[0], *ends, len(values)


@figure("lead_eqtl")
def lead_eqtls(view: View):
    """Histograms of distance, r, minor allele frequency and -log10 p of the lead eQTLs."""
    summary = lead_summary(view)
    if summary.empty:
        return "No lead eQTLs are public for this study."
    rows = summary.set_index("what")
    shown = [feature for feature in PANELS if feature in rows.index]
    drawn, axes = style.panels([2.2] * len(shown))
    for axis, feature in zip(axes, shown, strict=True):
        _panel(axis, values_of(view, feature)["value"], feature, rows)
    source = values_of(view, shown[0])["source"].iloc[0]
    caption = (
        f"The lead eQTL of each gene ({source}). Lines: medians, with 95 % block-bootstrap "
        "intervals in the titles. The sign of r depends on which allele is counted, so that a "
        "share of negative values near one half says nothing; only |r| has a meaning here."
        f"{_farthest(view)}"
    )
    return drawn, summary, caption


def _farthest(view: View) -> str:
    """A sentence about the end of the distances: tables may hold near eQTLs only."""
    distance = values_of(view, "lead_eqtl_distance")["value"]
    if distance.empty:
        return ""
    return (
        f" The farthest lead eQTL in the table is {distance.max():,.0f} bp from the TSS; a gene "
        "whose lead eQTL lies farther is not in it, or has another one here."
    )


def _panel(axis, values: pd.Series, feature: str, rows: pd.DataFrame) -> None:
    label, logarithmic, unit = PANELS[feature]
    row = rows.loc[feature]
    if logarithmic:
        # A lead eQTL may lie on the TSS itself, or be no eQTL at all.
        values = values.clip(lower=1.0 if feature == "lead_eqtl_distance" else 0.1)
        bins = np.geomspace(values.min(), max(values.max(), values.min() * 1.01), 41)
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(lambda x, _: f"{x:,g}")
        axis.xaxis.set_minor_formatter(lambda x, _: "")
        if values.max() < 1000:
            axis.set_xticks([t for t in (0.1, 1, 2, 5, 10, 20, 50, 100, 200) if t <= values.max()])
    else:
        bins = np.linspace(values.min(), values.max(), 41)
    axis.hist(values, bins=bins, color=_COLOUR, alpha=0.8, lw=0)
    lines = [row["value"], -row["value"]] if feature == "lead_eqtl_r" else [row["value"]]
    for at in lines:
        axis.axvline(at, color=style.INK, lw=1.2)
    axis.set(xlabel=label, ylabel="genes")
    axis.set_ylim(0, axis.get_ylim()[1] * 1.25)
    axis.set_title(_title(feature, row, unit), fontsize=9.5)
    style.note(axis, f"n = {int(row['n']):,} genes{_share(feature, rows)}")


def _title(feature: str, row, unit: str) -> str:
    digits = 1 if feature in ("lead_eqtl_distance", "lead_eqtl_log10p") else 3
    what = "median |r|" if feature == "lead_eqtl_r" else "median"
    value, low, high = (f"{row[c]:,.{digits}f}" for c in ("value", "ci_low", "ci_high"))
    return f"{what} {value}{unit} [{low}, {high}]"


def _share(feature: str, rows: pd.DataFrame) -> str:
    key = {"lead_eqtl_distance": "within_1kb", "lead_eqtl_r": "negative"}.get(feature)
    if key is None:
        return ""
    row = rows.loc[key]
    words = {"within_1kb": "within 1 kb", "negative": "below 0"}[key]
    ends = f"[{100 * row['ci_low']:.1f}, {100 * row['ci_high']:.1f}]"
    return f"\n{100 * row['value']:.1f} % {ends} {words}"
