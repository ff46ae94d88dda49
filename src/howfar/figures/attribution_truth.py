"""Attribution judged against a simulated world's truth, from the committed table."""

from __future__ import annotations

import pandas as pd

from howfar.core.project import measured_file
from howfar.figures import style
from howfar.figures.row_zero import GREY
from howfar.figures.view import Drawn, View, figure

_RED, _BLUE, _GREEN = "#D55E00", "#0072B2", "#009E73"
#: Who names variants: label, colour, line. Dashed: what knows nothing.
_METHODS = {
    "network": ("network's drivers", _RED, "-"),
    "network, weights shuffled": ("of shuffled weights", _RED, "--"),
    "eQTL": ("lead eQTL and next", _BLUE, "-"),
    "eQTL, permuted expression": ("with expression permuted", _BLUE, "--"),
    "elastic net": ("largest elastic-net weight", _GREEN, "-"),
    "BLUP": ("largest BLUP weight", _GREEN, ":"),
    "chance": ("random order", GREY, "--"),
}
#: Classes of causal variants, as they are drawn.
_GROUPS = ["all", *(f"distance {d}" for d in ("to 320 bp", "320 bp to 4 kb", "beyond 4 kb"))]
_GROUPS += [f"frequency {f}" for f in ("0.05 to 0.2", "0.2 to 0.5")]
#: Fewest genes behind a point.
_LEAST = 10
_NONE = "Only the demo worlds have a known truth that attributions were judged against."


def judged(view: View) -> pd.DataFrame:
    """Rows of the committed table of a study (see `bench.attribution_truth`); none of others."""
    path = measured_file("attribution_truth")
    table = pd.read_csv(path) if path.is_file() else pd.DataFrame({"study": []})
    return table[table["study"] == view.study.name].reset_index(drop=True)


@figure("truth_ranks")
def truth_ranks(view: View) -> Drawn:
    """Precision and recall of the first variants that each method names as causal."""
    table = judged(view)
    if table.empty:
        return _NONE
    table = table[table["set"].isin(["precision", "recall"]) & (table["group"] == "all")]
    table = table[table["n"] >= _LEAST]
    drawn, axes = style.panels([2.3, 2.3])
    for axis, what in zip(axes, ("precision", "recall"), strict=True):
        part = table[table["set"] == what]
        for place, (method, (label, colour, line)) in enumerate(_METHODS.items()):
            rows = part[part["method"] == method].sort_values("x")
            if rows.empty:
                continue
            x = rows["x"] + 0.05 * (place - 3)
            error = [rows["value"] - rows["ci_low"], rows["ci_high"] - rows["value"]]
            axis.errorbar(
                x,
                rows["value"],
                yerr=error,
                color=colour,
                ls=line,
                marker=style.MARKS[place],
                ms=3.5,
                label=label,
            )
        n = style.span(part["n"])
        axis.set_title(f"{what}, mean over genes (n = {n})", fontsize=9.5)
        axis.set(ylabel=what, xticks=range(1, 6), ylim=(0, None))
    axes[-1].set_xlabel("variants named, from the first on")
    style.legend(drawn, axes[0])
    caption = (
        "Do attributions name the causal variants? Precision: share of the first variants that are "
        "causal; recall: share of a gene's causal variants among them. Only variants with a "
        "frequency of at least 0.05 in the cis window, and genes with a causal one. Genes with "
        "fewer drivers than a rank are not in its precision, and ranks with fewer genes than "
        f"{_LEAST} are not drawn. Drivers are ranked by their contribution to the sum of single "
        "effects, eQTLs by |r|, linear weights by size. Lines end at 95 % block-bootstrap "
        "intervals. Dashed: the same network "
        f"with its weights shuffled, permuted expression, chance. Measured on {_day(table)}."
    )
    return drawn, table, caption


@figure("truth_signs")
def truth_signs(view: View) -> Drawn:
    """Share of causal variants to which each method gives the true sign, by place and frequency."""
    table = judged(view)
    if table.empty:
        return _NONE
    table = table[(table["set"] == "sign right") & table["method"].isin(list(_METHODS))]
    groups = [group for group in _GROUPS if group in set(table["group"])]
    drawn, axes = style.panels([0.6 + 0.2 * len(_METHODS)] * len(groups))
    for axis, group in zip(axes, groups, strict=True):
        rows = table[table["group"] == group].set_index("method")
        names = [name for name in _METHODS if name in rows.index]
        for place, name in enumerate(names):
            row = rows.loc[name]
            colour = GREY if _METHODS[name][2] == "--" else _METHODS[name][1]
            style.bar(axis, place, row, colour, height=0.6, scale=100)
            text = f"{style.signed(100 * row.value, 0)} %, n = {int(row.n)}"
            style.words(axis, 102, place, text, 7.5)
        style.rows(axis, names, 7.5)
        axis.axvline(50, color=style.FAINT, lw=0.8)
        axis.set(xlim=(0, 142), xticks=range(0, 101, 25))
        axis.set_title("all causal variants" if group == "all" else group, fontsize=9)
    axes[-1].set_xlabel("% of a gene's causal variants with the true sign")
    caption = (
        "Is the sign right? Of the causal variants to which a method gives an effect, the share "
        "with the true sign, mean over genes (n); one half is chance. eQTL: the slope of "
        "expression on the variant. Grey: controls without knowledge. The network reads no "
        "variant beyond 4 kb. 95 % "
        f"block-bootstrap intervals. Measured on {_day(table)}."
    )
    return drawn, table, caption


@figure("truth_bases")
def truth_bases(view: View) -> Drawn:
    """Area under the precision-recall curve of motif bases, and attention's r with ISM."""
    table = judged(view)
    if table.empty:
        return _NONE
    table = table[table["set"].str.startswith(("AUPRC", "rank correlation"))]
    kinds = list(dict.fromkeys(table["set"]))
    parts = [table[table["set"] == kind].reset_index(drop=True) for kind in kinds]
    drawn, axes = style.panels([0.7 + 0.22 * len(part) for part in parts])
    for axis, kind, part in zip(axes, kinds, parts, strict=True):
        names = []
        for place, row in enumerate(part.itertuples()):
            blind = "shuffled" in row.method or row.method == "chance"
            style.bar(axis, place, row, GREY if blind else _RED, height=0.6)
            names.append(f"{row.method}, {row.group}")
        style.rows(axis, names, 7)
        axis.axvline(0, color=style.INK, lw=0.8)
        axis.set_title(f"{kind} (n = {style.span(part['n'])} genes)", fontsize=9)
    axes[0].set_xlabel("area under the precision-recall curve")
    axes[-1].set_xlabel("Spearman r, mean over genes")
    caption = (
        "First panel: do attributions find the bases of motif sites that act on the gene? Score: "
        "mean size of a base's three substitutions (ISM, saturation mutagenesis), or of its "
        "gradient minus that of the other bases. Chance: the share of such bases. Second panel: "
        "does the attention of the TSS bin rank bins as saturation mutagenesis does? Attention is "
        "no attribution: a bin can have high attention and change nothing. Grey: network with "
        "shuffled weights, and chance. 95 % block-bootstrap intervals over "
        f"genes. Measured on {_day(table)}."
    )
    return drawn, table, caption


def _day(table: pd.DataFrame) -> str:
    return str(table["date"].max())
