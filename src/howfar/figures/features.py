"""The lead eQTL of each gene: how far, how strong, how common."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar.evaluation.features import values_of
from howfar.figures import style
from howfar.figures.eqtl import mapped_with
from howfar.figures.view import Drawn, View, figure

#: feature: (axis label, logarithmic axis, unit of the median in the title, its decimals).
PANELS = {
    "lead_eqtl_distance": ("distance of the lead eQTL to the TSS (bp)", True, " bp", 1),
    "lead_eqtl_r": ("r of dosage and expression", False, "", 3),
    "lead_eqtl_maf": ("minor allele frequency", False, "", 3),
    "lead_eqtl_log10p": ("−log10 p", True, "", 1),
}
#: A share that is written in the panel of a feature.
_SHARES = {
    "lead_eqtl_distance": ("within_1kb", "within 1 kb"),
    "lead_eqtl_r": ("negative", "below 0"),
}
_COLOUR = style.KIND_COLOURS["lead_snp"][0]


def lead_summary(view: View) -> pd.DataFrame:
    """Medians and shares of the lead eQTLs over genes, with 95 % intervals, from `numbers`.

    Columns what, value, ci_low, ci_high, n (genes). Rows: the median of each feature (of |r| for
    r), 'within_1kb' and 'negative' (shares).
    """
    names = [n for f in PANELS for n in (f, *_SHARES.get(f, ())[:1])]
    numbers = {what: view.number(f"lead_eqtl.{what}") for what in names}
    rows = [(w, n.value, n.ci_low, n.ci_high, int(n.n)) for w, n in numbers.items() if n]
    return pd.DataFrame(rows, columns=["what", "value", "ci_low", "ci_high", "n"])


@figure("lead_eqtl")
def lead_eqtls(view: View) -> Drawn:
    """Histograms of distance, r, minor allele frequency and -log10 p of the lead eQTLs."""
    tables = {feature: values_of(view["features"], feature) for feature in PANELS}
    shown = {feature: table for feature, table in tables.items() if len(table)}
    if not shown:
        return "No lead eQTLs are public for this study."
    drawn, axes = style.panels([2.2] * len(shown))
    for axis, (feature, table) in zip(axes, shown.items(), strict=True):
        _panel(axis, table["value"], feature, view)
    source = next(iter(shown.values()))["source"].iloc[0]
    caption = (
        f"The lead eQTL of each gene ({source}). Lines: medians, with 95 % block-bootstrap "
        "intervals in the titles. The sign of r depends on which allele is counted, so only |r| "
        "has a meaning here."
    ) + mapped_with(view)
    if "lead_eqtl_distance" in shown:
        caption += (
            f" The farthest lead eQTL in the table is {view.need('lead_eqtl.farthest').value:,.0f} "
            "bp from the TSS; genes whose lead eQTL lies farther away are missing, or have "
            "another one here."
        )
    genes = [table.assign(what=f"{feature} of a gene") for feature, table in shown.items()]
    return drawn, pd.concat([lead_summary(view), *genes]), caption


def _panel(axis, values: pd.Series, feature: str, view: View) -> None:
    label, logarithmic, unit, digits = PANELS[feature]
    row = view.need(f"lead_eqtl.{feature}")
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
    absolute = feature == "lead_eqtl_r"
    for middle in (row.value, -row.value) if absolute else (row.value,):
        axis.axvline(middle, color=style.INK, lw=1.2)
    axis.set(xlabel=label, ylabel="genes", ylim=(0, axis.get_ylim()[1] * 1.25))
    what = "median |r|" if absolute else "median"
    value, low, high = (f"{v:,.{digits}f}" for v in (row.value, row.ci_low, row.ci_high))
    axis.set_title(f"{what} {value}{unit} [{low}, {high}]", fontsize=9.5)
    text = f"n = {int(row.n):,} genes"
    if feature in _SHARES:
        what, words = _SHARES[feature]
        share = view.need(f"lead_eqtl.{what}")
        text += f"\n{100 * share.value:.1f} % {style.ends(share, 1, 100)} {words}"
    style.note(axis, text)
