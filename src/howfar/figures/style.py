"""One visual language: colours, sizes, and how a figure is written to disk.

Figures are drawn one column wide and panels are stacked, so that the text stays readable when a
telephone scales the picture to its width. Colours are those of Okabe and Ito (2008), which
readers with any common colour blindness can tell apart.
"""

from __future__ import annotations

import hashlib
import io
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.figure import Figure
from matplotlib.text import Text

from howfar.core.atomic import whole
from howfar.core.counts import counted
from howfar.core.text import as_markdown

#: Width of every figure, inches; at 96 px an inch a telephone shows it at about 3/4 of its size.
WIDTH = 4.9
_DPI = 200
#: Kinds of files of a figure.
KINDS = ("svg", "png", "pdf", "csv")
INK, FAINT = "#1a1a1a", "#767676"
#: A pale ground behind text that lies over lines or points.
PALE = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.0}

#: A model keeps its colour on every page; the order is also the order in legends.
MODEL_COLOURS = {
    "enformer": "#0072B2",
    "basenji2": "#56B4E9",
    "expecto": "#CC79A7",
    "xpresso": "#D55E00",
    "enformer, single-sample regression": "#CC79A7",
    "enformer, pairwise regression": "#6A3D9A",
    "enformer, pairwise classification": "#56B4E9",
    "enformer, joint regression (original data)": "#D55E00",
    "enformer, joint classification (original data)": "#8C510A",
    "enformer, joint regression (mpra)": "#882255",
    # Variants of one of these, always named beside the mark: shades of grey.
    "enformer, pairwise on counts": "#4d4d4d",
    "enformer, pairwise after enformer's data": "#5f5f5f",
    "enformer, pairwise, frozen cnn": "#717171",
    "enformer, pairwise, frozen transformer": "#838383",
    "enformer, pairwise, frozen cnn and transformer": "#959595",
    "enformer, pairwise, random initialization": "#7a7a7a",
    "enformer, single-sample, one gene per batch": "#a7a7a7",
    "enformer, single-sample on z-scores": "#b5b5b5",
}
#: Kinds of run in the order in which figures show them.
KIND_COLOURS = {
    "network": ["#0072B2", "#6A3D9A", "#8C510A", "#CC79A7", "#56B4E9", "#D55E00"],
    "linear": ["#E69F00", "#B8860B", "#7F6000", "#F0C75E", "#BF5B17", "#5C4033", "#D9B26F"],
    "lead_snp": ["#009E73", "#44C39D"],
    "truth": ["#000000", "#555555"],
}
REGIONS = {"train": "training", "valid": "validation", "test": "test"}

_RC = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#4d4d4d",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "text.parse_math": False,  # "$" in a gene's name or a label is a "$"
    "svg.fonttype": "none",  # text stays text: searchable, testable, readable aloud
    "svg.hashsalt": "howfar",  # the same data give the same bytes
    "pdf.fonttype": 3,  # cutting TrueType fonts to size takes longer than drawing the figure
}


@contextmanager
def look() -> Iterator[None]:
    """matplotlib's settings for every figure of the book."""
    with mpl.rc_context(_RC):
        yield


def one_is_singular(figure: Figure) -> None:
    """Write "1 gene" for "1 genes" in every text of a figure."""
    for text in figure.findobj(Text):
        text.set_text(counted(text.get_text()))


def colours(runs: pd.DataFrame) -> dict[str, str]:
    """Colour of each run_id, in drawing order: by kind, within a kind by model, then run_id.

    `runs` is the table of that name. The first run of a known model has that model's colour, the
    second a darker shade of it; other runs take the next free colour of their kind.
    """
    kinds, models = list(KIND_COLOURS), list(MODEL_COLOURS)
    model = runs["model"].str.lower()
    order = runs.assign(
        _kind=runs["kind"].map(kinds.index),
        _model=model,
        _place=model.map(lambda m: models.index(m) if m in models else len(models)),
    ).sort_values(["_kind", "_place", "run_id"])
    known = order[order["_model"].isin(models)].drop_duplicates("_model")
    taken = dict(zip(known["run_id"], known["_model"].map(MODEL_COLOURS), strict=True))
    for run, kind, name in order.loc[
        ~order["run_id"].isin(taken), ["run_id", "kind", "_model"]
    ].itertuples(index=False, name=None):
        mine = [_darker(MODEL_COLOURS[name])] if name in models else KIND_COLOURS[kind]
        free = [c for c in [*mine, *KIND_COLOURS[kind]] if c not in taken.values()]
        taken[run] = free[0] if free else _spare(run)
    return {run: taken[run] for run in order["run_id"]}


def _darker(colour: str) -> str:
    return mpl.colors.to_hex([0.55 * part for part in mpl.colors.to_rgb(colour)])


def _spare(run_id: str) -> str:
    """A grey for runs beyond the palette; its shade follows from the run's name."""
    level = 90 + hashlib.sha256(run_id.encode()).digest()[0] % 90
    return f"#{level:02x}{level:02x}{level:02x}"


class Drawing(Figure):
    """A figure that a notebook shows by itself, without pyplot."""

    def _repr_svg_(self) -> str:
        """Return what Jupyter displays."""
        text = io.StringIO()
        self.savefig(text, format="svg")
        return text.getvalue()


def panels(heights: list[float]) -> tuple[Figure, list]:
    """A figure of stacked panels of those heights (inches), without pyplot's global state."""
    # Laid out at the resolution of the PNG: text is wider there than on a coarser grid.
    figure = Drawing(figsize=(WIDTH, sum(heights)), layout="constrained", dpi=_DPI)
    axes = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    return figure, list(axes)


def signed(value: float, digits: int = 3) -> str:
    """A number with a true minus sign, as all text in figures has it; no minus before zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def interval(low: float, high: float, digits: int = 3) -> str:
    """An interval as text: '[0.120, 0.340]'; empty when unknown."""
    if pd.isna(low) or pd.isna(high):
        return ""
    return f"[{signed(low, digits)}, {signed(high, digits)}]"


def ends(row, digits: int = 3, scale: float = 1) -> str:
    """The interval of a row of a table (ci_low, ci_high) as text."""
    return interval(scale * row.ci_low, scale * row.ci_high, digits)


def estimated(row, digits: int = 3, end_digits: int | None = None) -> str:
    """The value of a row and its interval as text: '0.230 [0.120, 0.340]'."""
    end_digits = digits if end_digits is None else end_digits
    return f"{signed(row.value, digits)} {ends(row, end_digits)}"


def words(axis, x: float, y: float, text: str, size: float = 9, **kw) -> None:
    """Text inside a panel, on a pale ground so that what lies behind does not hide it.

    It is left out of the layout: a long line may not shrink the panel.
    """
    kw = {"va": "center", "fontsize": size, "color": INK, "bbox": PALE} | kw
    axis.text(x, y, text, **kw).set_in_layout(False)


def note(axis, text: str, *, x: float = 0.02, y: float = 0.98, **kw) -> None:
    """`words` placed in shares of the panel, from its upper left corner."""
    words(axis, x, y, text, transform=axis.transAxes, **({"va": "top"} | kw))


def wrapped(label: str, width: int = 20) -> str:
    """A run's label broken into lines, for the side of a panel."""
    return textwrap.fill(label, width)


def span(values: pd.Series) -> str:
    """The range of whole numbers as text: '839', or '132–148' where they differ."""
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def rows(axis, names: list[str], size: float = 7.5, top: float = -0.5) -> None:
    """One row per name, from the top down; `top`: where the first row's space begins."""
    axis.set_yticks(range(len(names)), names)
    axis.tick_params(axis="y", labelsize=size)
    axis.set_ylim(len(names) - 0.5, top)


def span_line(
    axis, place: float, row, colour: str = INK, lw: float = 1.4, scale: float = 1
) -> None:
    """A row's interval (`ci_low` to `ci_high`) as a line."""
    axis.plot([scale * row.ci_low, scale * row.ci_high], [place] * 2, color=colour, lw=lw)


def estimate(axis, place: float, row, colour: str) -> None:
    """A row's `value` as a disc on the line of its interval."""
    span_line(axis, place, row, colour, 2)
    axis.plot(row.value, place, "o", color=colour, ms=6)


def bar(axis, place: float, row, colour: str, height: float = 0.6, scale: float = 1, **kw) -> None:
    """A row's `value` as a bar with the line of its interval."""
    axis.barh(place, scale * row.value, color=colour, height=height, **kw)
    span_line(axis, place, row, scale=scale)


def end_of(row, scale: float = 1) -> float:
    """Where a row's bar and interval end on the right."""
    return float(scale * np.nanmax([row.ci_high, row.value]))


def from_zero(*values, room: float = 1.05) -> tuple[float, float]:
    """Limits of an axis that begins at 0, or below the lowest value where that is negative."""
    every = np.concatenate([np.asarray(each, float).ravel() for each in values])
    low, high = np.nanmin([*every, 0.0]), np.nanmax([*every, 0.0])
    return 1.1 * low, room * high if high > 0 else 0.05


def no_ticks_beyond(axis, most: float) -> None:
    """Take away the ticks of an axis (its `xaxis` or `yaxis`) where no value can be.

    Room for text may reach further: a share ends at 1, r lies between -1 and 1.
    """
    axis.set_ticks([t for t in axis.get_majorticklocs() if abs(t) <= most * (1 + 1e-9)])


def legend(drawn: Figure, axis, where: str = "outside lower center", ncols: int = 2) -> None:
    """One legend of the figure, of what a panel names."""
    drawn.legend(*axis.get_legend_handles_labels(), loc=where, ncols=ncols, fontsize=8.5)


def ridge(axis, base: float, values, height: float, colour: str) -> None:
    """A smoothed histogram of r, standing on the line at `base` and at most `height` high."""
    counts, edges = np.histogram(values, bins=np.linspace(-1, 1, 81))
    smooth = np.convolve(counts, np.ones(3) / 3, mode="same") / max(counts.max(), 1) * height
    axis.fill_between((edges[1:] + edges[:-1]) / 2, base, base - smooth, color=colour, lw=0)


def cross(axis) -> None:
    """Faint lines at zero of both axes."""
    axis.axhline(0, color=FAINT, lw=0.8)
    axis.axvline(0, color=FAINT, lw=0.8)


@dataclass(frozen=True)
class Shown:
    """A figure on disk as a notebook shows it: the SVG, with its caption below."""

    name: str
    svg: Path
    caption: str

    def _ipython_display_(self) -> None:
        """What Jupyter shows: the SVG, and the caption as text below it."""
        from IPython.display import display

        display({"image/svg+xml": self.svg.read_text()}, raw=True)
        shown = f"*{as_markdown(self.caption)}*"
        display({"text/markdown": shown, "text/plain": self.caption}, raw=True)


def remove(name: str, output: Path) -> None:
    """Delete a figure's files in `output`: left from when the study had it."""
    for kind in KINDS:
        (output / f"{name}.{kind}").unlink(missing_ok=True)


#: What stands above the line in a power.
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class _PlainPowers(ticker.Formatter):
    """Ticks of a logarithmic axis as text, 10⁻³: mathematics is not parsed (see "parse_math")."""

    def __init__(self, formatter: ticker.LogFormatter) -> None:
        self._formatter = formatter

    def set_locs(self, locs: Sequence[float]) -> None:
        """Take the places of all ticks, which decide whether minor ones have a label."""
        self._formatter.set_locs(locs)

    def __call__(self, x: float, pos: int | None = None) -> str:
        text = re.sub(r"\$\\mathdefault\{(.*)\}\$", r"\1", self._formatter(x, pos))
        text = text.replace(r"\times", "×").replace("\N{MINUS SIGN}", "-")
        text = re.sub(r"\^\{(.*?)\}", lambda found: found[1].translate(_RAISED), text)
        return text.replace("-", "\N{MINUS SIGN}")


def _write_powers_plainly(figure: Figure) -> None:
    for axis in (each for axes in figure.axes for each in (axes.xaxis, axes.yaxis)):
        if isinstance(axis.get_major_formatter(), ticker.LogFormatter):
            axis.set_major_formatter(_PlainPowers(axis.get_major_formatter()))
        if isinstance(axis.get_minor_formatter(), ticker.LogFormatter):
            axis.set_minor_formatter(_PlainPowers(axis.get_minor_formatter()))


def _wrap_titles(figure: Figure) -> bool:
    """Break titles that would be cut at the figure's right edge into lines; whether any was.

    Three lines at most, in smaller letters where they would be more.
    """
    found = False
    for axes in figure.axes:
        for title in (axes.title, axes._left_title, axes._right_title):  # type: ignore[attr-defined]
            box = title.get_window_extent()
            room, wide = figure.bbox.width - box.x0, box.width
            if title.get_text() and wide > room > 0:
                lines = title.get_text().split("\n")
                text, width = " ".join(lines), max(map(len, lines)) * room / wide - 1
                smaller = min(1, 2.7 * width / len(text))
                title.set_text(textwrap.fill(text, max(20, int(width / smaller))))
                title.set_fontsize(title.get_fontsize() * smaller)
                found = True
    return found


def save(figure: Figure, data: pd.DataFrame, name: str, output: Path, caption: str) -> Shown:
    """Write `<name>.svg`, `.png`, `.pdf` and the plotted numbers as `.csv` into `output`.

    Files carry no date, so that the same data give the same bytes; each is written whole or
    not at all.
    """
    output.mkdir(parents=True, exist_ok=True)
    one_is_singular(figure)
    _write_powers_plainly(figure)
    _wrap_titles(figure)
    figure.draw_without_rendering()
    if _wrap_titles(figure):  # beside labels wider than thought
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            figure.draw_without_rendering()  # where it finds no room, the layout stays as it is
    figure.set_layout_engine("none")  # laid out once, not again for each file
    dateless = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    for kind, metadata in dateless.items():
        with whole(output / f"{name}.{kind}") as part:
            figure.savefig(part, format=kind, dpi=_DPI, metadata=metadata)
    with whole(output / f"{name}.csv") as part:
        data.to_csv(part, index=False, float_format="%.6g", lineterminator="\n")
    return Shown(name, output / f"{name}.svg", counted(caption))
