"""One gene's attributions for reading: a track with TSS, exons and variants, and a logo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from howfar.core.atomic import whole
from howfar.core.errors import HowfarError
from howfar.core.extras import require_module
from howfar.figures import style
from howfar.figures.attribution import LETTERS
from howfar.figures.drivers import AGREES, DISAGREES
from howfar.genome.intervals import Gene, Variant

#: Bases of the logo: those around the largest contributions.
LOGO = 60
_RAISES, _LOWERS = "#D55E00", "#0072B2"
_UNITS = {
    "ism": "contribution (minus the mean change)",
    "gradient": "gradient minus that of other bases",
    "gradient_x_input": "gradient × input",
    "integrated_gradients": "integrated gradient",
    "deeplift_shap": "DeepLIFT/SHAP",
}


def contributions(frame: pd.DataFrame, method: str) -> np.ndarray:
    """What the base that is there adds, as each method says it: (bases,).

    frame: as `howfar.attribute` gives it. ISM: minus the mean of the three changes; a gradient:
    that of the base less the mean of the others; the rest: their sum over letters.
    """
    values = frame[list(LETTERS)].to_numpy(float)
    there = frame["base"].to_numpy()[:, None] == np.array(list(LETTERS))
    own = (values * there).sum(axis=1)
    if method in ("ism", "gradient"):
        return own - (values.sum(axis=1) - own) / 3
    return values.sum(axis=1)


def draw(
    frame: pd.DataFrame,
    gene: Gene,
    method: str,
    variants: Sequence[Variant] = (),
    exons: Sequence[tuple[int, int]] = (),
):
    """Draw a track over the window and a logo of its strongest stretch; a matplotlib figure.

    frame: of one sequence. variants: of the window; a lollipop is as high as the change that the
    variant makes (ISM of a single base), its colour the sign. exons: (start, end), 1-based, both
    in. Of attention, which is of bins: what the bins at the TSS attend to, by layer and head.
    """
    if method not in _UNITS:
        with style.look():
            return _attention(frame, gene)
    require_module("logomaker")
    with style.look():
        return _drawn(frame, gene, method, variants, exons)


def _drawn(frame: pd.DataFrame, gene: Gene, method: str, variants, exons):
    frame = frame.dropna(subset=["pos"]).reset_index(drop=True)
    score, pos = contributions(frame, method), frame["pos"].to_numpy(int)
    drawn, (axis, logo) = style.panels([2.4, 1.6], columns=1)
    for sign, colour in ((1, _RAISES), (-1, _LOWERS)):
        part = sign * score > 0
        axis.vlines(pos[part], 0, score[part], color=colour, lw=0.8, alpha=0.8)
    shown = _lollipops(axis, frame, variants) if method == "ism" else 0
    axis.axhline(0, color=style.INK, lw=0.6)
    axis.axvline(gene.tss, color=style.INK, lw=1, ls="--")
    low, high = axis.get_ylim()
    floor, height = low - 0.14 * (high - low), 0.07 * (high - low)
    for start, end in exons:
        first, last = max(start, pos[0]), min(end, pos[-1])
        if first <= last:
            axis.fill_between([first, last + 1], floor, floor + height, color=style.FAINT, lw=0)
    if exons:
        axis.set_ylim(floor - 0.2 * height, high)
    arrow = "→" if gene.strand == "+" else "←"
    name = gene.name or gene.gene_id
    axis.set_title(f"{name} {arrow}, {len(frame):,} bases of {gene.chrom}", fontsize=9.5)
    axis.set(ylabel=style.wrapped(_UNITS[method], 24), xlim=(pos[0], pos[-1] + 1))
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    words = "dashed: TSS"
    words += f"; {shown} variants, green raises, purple lowers" if shown else ""
    words += "; grey: exons" if exons else ""
    axis.set_xlabel(f"position, bp\n({words})")
    _logo(logo, frame, score, pos)
    return drawn


def _attention(frame: pd.DataFrame, gene: Gene):
    """Draw one panel per layer, one line per head."""
    layers = sorted(frame["layer"].unique())
    drawn, axes = style.panels([1.7] * len(layers), columns=1)
    for axis, layer in zip(axes, layers, strict=True):
        for head, part in frame[frame["layer"] == layer].groupby("head"):
            middle = (part["first"].astype(float) + part["last"].astype(float)) / 2
            axis.plot(middle, part["weight"].astype(float), lw=1, label=f"head {head}")
        axis.axvline(gene.tss, color=style.INK, lw=1, ls="--")
        axis.set(ylabel="attention", ylim=(0, None))
        axis.set_title(f"Layer {layer}: what bins at the TSS attend to", fontsize=9.5)
        axis.xaxis.set_major_locator(MaxNLocator(4))
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes[-1].set_xlabel("position, bp (dashed: TSS)\nattention is no attribution")
    style.legend(drawn, axes[0], ncols=4)
    return drawn


def _lollipops(axis, frame: pd.DataFrame, variants: Sequence[Variant]) -> int:
    """Draw single-base variants on their change; returns how many."""
    rows = frame.drop_duplicates("pos").set_index("pos")
    shown = 0
    for variant in variants:
        fits = len(variant.ref) == len(variant.alt) == 1 and variant.pos in rows.index
        if not fits or variant.alt not in LETTERS or rows.at[variant.pos, "base"] != variant.ref:
            continue
        change = float(rows.at[variant.pos, variant.alt])
        colour = AGREES if change > 0 else DISAGREES
        axis.vlines(variant.pos, 0, change, color=colour, lw=1.4)
        axis.plot(variant.pos, change, "o", color=colour, ms=4)
        shown += 1
    return shown


def _logo(axis, frame: pd.DataFrame, score: np.ndarray, pos: np.ndarray) -> None:
    """Draw the letters of the stretch with the largest contributions, as high as these are."""
    import logomaker

    width = min(LOGO, len(score))
    total = np.convolve(np.abs(score), np.ones(width), mode="valid")
    first = int(total.argmax())
    heights = pd.DataFrame(0.0, index=range(width), columns=list(LETTERS))
    for k in range(width):
        if frame["base"].iat[first + k] in LETTERS:
            heights.loc[k, frame["base"].iat[first + k]] = score[first + k]
    logomaker.Logo(heights, ax=axis, color_scheme=LETTERS, flip_below=False, show_spines=True)
    ticks = np.arange(0, width, max(1, width // 4))
    axis.set_xticks(ticks, [f"{pos[first + k]:,}" for k in ticks])
    axis.set_xlabel(f"the {width} bases with the largest contributions")


def save(drawn, path: Path) -> None:
    """Write a figure in the format that its name says; HowfarError for an unknown one."""
    kinds = ("svg", "png", "pdf")
    if path.suffix[1:] not in kinds:
        raise HowfarError(
            "--figure",
            found=path.name,
            expected=f"a name that ends in .{', .'.join(kinds)}",
            do="Correct --figure.",
        )
    with style.look(), whole(path) as part:
        drawn.savefig(part, format=path.suffix[1:])
