"""What the network reads around the drivers of its predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar.core.extras import require_module
from howfar.evaluation.numbers.drivers import LEVELS
from howfar.figures import style
from howfar.figures.drivers import TYPES, first_run
from howfar.figures.view import Drawn, View, figure

#: Okabe and Ito's green, blue, orange and vermilion.
LETTERS = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00"}


@figure("attribution_profile")
def attribution_profile(view: View) -> Drawn:
    """Mean contribution of bases around main drivers, supported against unsupported."""
    table = view.summary("driver_profile")
    if table.empty:
        return "No attributions around drivers are known for this study; `howfar effects` first."
    sides = [side for side in ("reference", "variant") if side in set(table["method"])]
    shares = _shares(view)
    drawn, axes = style.panels([2.1] * len(sides) + [1.9] * (len(shares) > 0))
    for axis, side in zip(axes, sides, strict=False):
        peaks = _profile_panel(axis, table[table["method"] == side])
        axis.set_title(f"{side.capitalize()} sequence: {' against '.join(peaks)}")
    axes[len(sides) - 1].set_xlabel("bp from the driver, forward strand")
    caption = (
        "How strongly the prediction depends on each base around the main driver of a gene, a "
        f"{table['units'].iloc[0]}: mean size over genes; bands are 95 % intervals by block "
        "bootstrap."
    )
    if len(shares):
        _share_panel(axes[-1], shares)
        caption += (
            " Variant sequence: with the driver's alternative allele. Last panel: genes in which "
            "the "
            "driver's own base reaches 10 % or 20 % of the largest, in either sequence."
        )
    return drawn, pd.concat([table, shares]), caption


def _profile_panel(axis, table: pd.DataFrame) -> list[str]:
    """Draw a sequence's profiles; returns their heights at the driver, as text."""
    peaks = []
    for kind, colour in TYPES.items():
        part = table[table["group"] == kind].sort_values("x")
        if part.empty:
            continue
        peak = part.loc[part["x"].abs().idxmin()]
        peaks.append(f"{100 * peak['value']:.1f} %")
        label = f"{kind}, n = {int(part['n'].iloc[0])}: {peaks[-1]}"
        low, high = (100 * part[c].astype(float) for c in ("ci_low", "ci_high"))
        axis.fill_between(part["x"], low, high, color=colour, alpha=0.25, lw=0)
        axis.plot(part["x"], 100 * part["value"], color=colour, label=label)
    axis.set(xlim=(-20, 20), ylabel="% of the gene's largest")
    axis.set_ylim(0, axis.get_ylim()[1] * 1.3)
    axis.axvline(0, ymax=0.75, color=style.FAINT, lw=0.8)
    axis.legend(loc="upper left", fontsize=8.5)
    return peaks


def _shares(view: View) -> pd.DataFrame:
    """Share of genes whose main driver reaches each level: group, x, value, n, ci_low, ci_high."""
    run, rows = first_run(view), []
    for kind in TYPES:
        for level in LEVELS:
            row = view.number(f"{run}.drivers.{kind}.size{100 * level:.0f}")
            if row is not None:
                rows.append((kind, level, row.value, row.n, row.ci_low, row.ci_high))
    shares = pd.DataFrame(rows, columns=["group", "x", "value", "n", "ci_low", "ci_high"])
    return shares.assign(set="driver_size_reached")


def _share_panel(axis, shares: pd.DataFrame) -> None:
    names = []
    for place, row in enumerate(shares.sort_values(["x", "group"]).itertuples()):
        style.bar(axis, place, row, TYPES[row.group], height=0.7, scale=100)
        text = f"{100 * row.value:.1f} %, n = {row.n}"
        style.words(axis, max(100 * row.ci_high, 0) + 1.5, place, text, 8.5)
        names.append(f"{row.group}, {100 * row.x:.0f} %")
    style.rows(axis, names)
    axis.set(xlim=(0, 105), xticks=range(0, 101, 25))
    axis.set_xlabel("% of genes whose main driver reaches the level")


@figure("driver_motifs")
def driver_motifs(view: View) -> Drawn:
    """Groups of main-driver windows alike in attribution, as logos."""
    return _logos(view, "attribution", "attribution at the main driver")


@figure("driver_sequences")
def driver_sequences(view: View) -> Drawn:
    """Groups of driver windows alike in sequence, as logos."""
    return _logos(view, "sequence", "sequence at the driver")


def _logos(view: View, method: str, words: str) -> Drawn:
    table = view.summary("driver_motif")
    table = table[table["method"] == method]
    if table.empty:
        return "No sequence windows around drivers are public for this study."
    require_module("logomaker")
    counts = view.summary("driver_motif_grouped")
    counts = counts[counts["method"] == method].set_index("group")
    ranks = sorted(table["replicate"].unique())
    drawn, axes = style.panels([0.8, *[1.0] * len(ranks)], columns=1)
    for axis, rank in zip(axes[1:], ranks, strict=True):
        part = table[table["replicate"] == rank]
        heights = part.pivot(index="x", columns="group", values="value")
        _logo(axis, information(heights) if method == "sequence" else heights)
        axis.set_title(f"Group {rank}: n = {int(part['n'].iloc[0])} windows", fontsize=9.5)
        axis.tick_params(labelbottom=rank == ranks[-1])
    unit = "bits" if method == "sequence" else "mean contribution"
    axes[len(ranks) // 2 + 1].set_ylabel(unit)
    axes[-1].set_xlabel("bp from the middle of the window")
    _grouped_words(axes[0], counts, words)
    return drawn, pd.concat([table, counts.reset_index()]), _logo_caption(method, table)


def _grouped_words(axis, counts: pd.DataFrame, words: str) -> None:
    found, control = (int(counts.loc[kind, "value"]) for kind in ("drivers", "shuffled"))
    axis.axis("off")
    axis.set_title(f"Windows grouped by {words}", fontsize=9.5)
    text = (
        f"{found} of n = {int(counts['n'].iloc[0])} windows lie in groups of at least 10;\n"
        f"with the positions of each window shuffled, {control}"
    )
    style.note(axis, text, x=0, y=0.9)


def _logo_caption(method: str, table: pd.DataFrame) -> str:
    height = "information of the base frequencies (bits)"
    if method == "attribution":
        height = "mean contribution of the base, each window scaled to length 1; below 0: the "
        height += "base lowers the prediction"
    return (
        f"The {table['replicate'].nunique()} largest groups of 13-base windows around drivers, "
        "aligned with shifts up to 4 bp and on both strands, joined by average linkage at a mean "
        f"similarity of 0.5. Letter height: {height}. Windows with shuffled positions show how "
        "much grouping is due to base composition alone."
    )


def information(frequency: pd.DataFrame) -> pd.DataFrame:
    """Height of each letter in bits: frequency times (2 - entropy) of its position."""
    known = frequency.clip(lower=1e-9)
    entropy = -(known * np.log2(known)).sum(axis=1)
    return frequency.mul((2 - entropy).clip(lower=0), axis=0)


def _logo(axis, heights: pd.DataFrame) -> None:
    """Letters stacked at each position (rows of `heights`), the highest on top; minus downwards."""
    import logomaker

    known = heights.dropna()
    logomaker.Logo(known, ax=axis, color_scheme=LETTERS, flip_below=False, show_spines=True)
    total = known.clip(lower=0).sum(axis=1).max(), known.clip(upper=0).sum(axis=1).min()
    axis.set(xlim=(-6.6, 6.6), ylim=(min(1.1 * total[1], 0), 1.1 * max(total[0], 1e-9)))
    axis.axhline(0, color=style.INK, lw=0.8)
    axis.set_xticks(range(-6, 7, 2))
