"""One visual language: colours, marks, sizes, and how a figure is written to disk.

Panels of a figure stand two side by side, each as wide as a telephone's screen: for that screen
the same figure is written once more, its panels stacked, so that no text is scaled down. Colours
are those of Okabe and Ito (2008), which readers with any common colour blindness can tell apart;
models differ in their marks too. A study's key `style`, or options of a figure's function, change
width, font, sizes and colours.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import cycle, pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import font_manager, ticker
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.transforms import offset_copy
from PIL import Image

from howfar.core.atomic import whole
from howfar.core.counts import counted
from howfar.core.errors import HowfarError
from howfar.core.text import as_markdown
from howfar.study.schema import FIGURE_WIDTHS, Style

#: Width of a panel beside another, inches: 350 px, the text of a page on a telephone of 390.
PANEL = 3.65
#: Width of a figure of one panel.
WIDTH = 4.9
#: Points of the smallest letters: 11 px.
SMALLEST = 8.3
_DPI = 200
#: Dots an inch of what an SVG holds as a picture: points in their thousands.
_DPI_IN_SVG = 144
#: Bytes of an SVG beyond which its points become a picture.
_HEAVY = 150_000
#: Colours of a picture of points in an SVG, which has few: a fourth of its bytes.
_SHADES = 64
#: Kinds of files of a figure; "narrow.svg" is that of a telephone.
KINDS = ("svg", "narrow.svg", "png", "pdf", "csv")
INK, FAINT = "#1a1a1a", "#767676"
#: A pale ground behind text that lies over lines or points.
PALE = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.0}
_GROUND = PALE | {"alpha": 1.0}

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
#: Marks of runs in drawing order.
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
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
    # A pale ground, as behind words: no line crosses an entry.
    "legend.facecolor": "white",
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "legend.fancybox": False,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "lines.linewidth": 1.8,
    "path.simplify_threshold": 0.25,  # points of a curve that nobody would see
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "text.parse_math": False,  # "$" in a gene's name or a label is a "$"
    "svg.fonttype": "none",  # text stays text: searchable, testable, readable aloud
    "svg.hashsalt": "howfar",  # the same data give the same bytes
    "pdf.fonttype": 3,  # cutting TrueType fonts to size takes longer than drawing the figure
}


_PLAIN = Style()
_style: ContextVar[Style] = ContextVar("style", default=_PLAIN)


@contextmanager
def look(style: Style | None = None) -> Iterator[None]:
    """matplotlib's settings for every figure of the book, and those of `style`.

    Raises HowfarError for a font that is not installed.
    """
    chosen = style or _PLAIN
    font = {"font.sans-serif": [chosen.font]} if chosen.font else {}
    if font:
        _require_font(chosen.font)
    token = _style.set(chosen)
    try:
        with mpl.rc_context(_RC | font):
            yield
    finally:
        _style.reset(token)


def _require_font(name: str) -> None:
    try:
        font_manager.findfont(name, fallback_to_default=False)
    except ValueError as error:
        raise HowfarError(
            "figures, style: font",
            found=f"{name}, which matplotlib does not find here",
            expected="the family of an installed font, such as DejaVu Sans",
            do="Install it, or name another.",
        ) from error


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
    return _restyled({run: taken[run] for run in order["run_id"]}, runs)


def _restyled(colours: dict[str, str], runs: pd.DataFrame) -> dict[str, str]:
    """Colours of runs by the palette in use: by run_id, label or model, or in drawing order."""
    palette = _style.get().palette
    if isinstance(palette, dict):
        names = runs.set_index("run_id")[["label", "model"]]
        own = {r: [r, *names.loc[r].astype(str)] for r in colours}
        found = {
            r: next((palette[n] for n in own[r] if n in palette), c) for r, c in colours.items()
        }
    elif palette:
        found = dict(zip(colours, cycle(palette), strict=False))
    else:
        return colours
    wrong = [colour for colour in found.values() if not mpl.colors.is_color_like(colour)]
    if wrong:
        raise HowfarError(
            "figures, style: palette",
            found=f"{wrong[0]!r}",
            expected="a colour as matplotlib takes it: #0072B2, teal",
            do="Correct the palette.",
        )
    return found


def marks(runs: Iterable[str]) -> dict[str, str]:
    """Mark of each run, in drawing order, so that colour alone never tells two apart."""
    return dict(zip(runs, cycle(MARKS), strict=False))


def _darker(colour: str) -> str:
    return mpl.colors.to_hex([0.55 * part for part in mpl.colors.to_rgb(colour)])


def _spare(run_id: str) -> str:
    """A grey for runs beyond the palette; its shade follows from the run's name."""
    level = 90 + hashlib.sha256(run_id.encode()).digest()[0] % 90
    return f"#{level:02x}{level:02x}{level:02x}"


class Drawing(Figure):
    """A figure that a notebook shows by itself, without pyplot, and that can be laid out anew.

    panels: its panels, in reading order; heights: theirs, inches; columns: most side by side, of
    which there are `across` now; given: panels with the last one's label of the axis.
    """

    panels: list[Axes]
    heights: list[float]
    columns: int = 1
    across: int = 1
    given: Sequence[Axes] = ()

    def _repr_svg_(self) -> str:
        """Return what Jupyter displays."""
        text = io.StringIO()
        self.savefig(text, format="svg")
        return text.getvalue()

    def arrange(self, width: float) -> None:
        """Place the panels for a width in inches: side by side where there is room."""
        self.across = self.columns if width > 1.6 * PANEL else 1
        rows = [self.heights[i : i + self.across] for i in range(0, len(self.panels), self.across)]
        tall = [max(row) for row in rows]
        grid = GridSpec(len(rows), self.across, figure=self, height_ratios=tall)
        for i, axis in enumerate(self.panels):
            axis.set_subplotspec(grid[divmod(i, self.across)])
        self.set_size_inches(width, sum(tall))
        self.set_layout_engine("constrained")


def panels(heights: list[float], columns: int = 2) -> tuple[Drawing, list[Axes]]:
    """A figure of panels of those heights (inches), without pyplot's global state.

    columns: 1 for panels that belong under each other, such as tracks along one axis.
    """
    # Laid out at the resolution of the PNG: text is wider there than on a coarser grid.
    figure = Drawing(dpi=_DPI)
    FigureCanvasAgg(figure)  # keeps its renderer, by which each text is measured
    figure.heights, figure.columns = list(heights), min(columns, len(heights))
    figure.panels = [figure.add_subplot() for _ in heights]
    own = 2 * PANEL if figure.columns > 1 else WIDTH
    figure.arrange(_inches(_style.get().width) or own)
    return figure, figure.panels


def _inches(width: float | str | None) -> float | None:
    return None if width is None else float(FIGURE_WIDTHS.get(width, width)) / 25.4  # type: ignore[call-overload, arg-type]


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
    return f"{signed(row.value, digits)} {ends(row, end_digits)}".strip()


def words(axis, x: float, y: float, text: str, size: float = 9, **kw) -> None:
    """Text inside a panel, on a white ground so that no line crosses it.

    It is left out of the layout: a long line may not shrink the panel. At a value's height it
    begins a little to the right of `x`, so that it hides no mark there.
    """
    kw = {"va": "center", "fontsize": size, "color": INK, "bbox": _GROUND} | kw
    at_values = "transform" not in kw
    if at_values and kw["va"] == "center":
        kw["transform"] = offset_copy(axis.transData, axis.figure, x=4, units="points")
    drawn = axis.text(x, y, text, **kw)
    drawn.set_in_layout(False)
    drawn.at_values = at_values


def note(axis, text: str, *, x: float = 0.02, y: float = 0.98, **kw) -> None:
    """`words` placed in shares of the panel, from its upper left corner; points shine through."""
    words(axis, x, y, text, transform=axis.transAxes, **({"va": "top", "bbox": PALE} | kw))


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


def estimate(axis, place: float, row, colour: str, mark: str = "o") -> None:
    """A row's `value` as a mark on the line of its interval."""
    span_line(axis, place, row, colour, 2)
    axis.plot(row.value, place, mark, color=colour, ms=6)


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
    rows = smoothed(values)
    axis.fill_between(rows["r"], base, base - height * rows["height"], color=colour, lw=0)


def smoothed(values) -> pd.DataFrame:
    """Histogram of r: columns r (middle of a bin), genes, height (running mean of 3, most 1)."""
    counts, edges = np.histogram(values, bins=np.linspace(-1, 1, 81))
    height = np.convolve(counts, np.ones(3) / 3, mode="same") / max(counts.max(), 1)
    return pd.DataFrame({"r": (edges[1:] + edges[:-1]) / 2, "genes": counts, "height": height})


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
    said: str = ""  # what stands in the figure, for its alternative text

    def _ipython_display_(self) -> None:
        """What Jupyter shows: the SVG, and the caption as text below it."""
        from IPython.display import display

        about = {"howfar": {"figure": self.name, "said": self.said}}
        display({"image/svg+xml": self.svg.read_text()}, raw=True, metadata=about)
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


def _wrap(text: Text, room: float, figure: Figure, most: int = 99) -> bool:
    """Break a text that is wider than `room` (pixels) into lines; whether it was.

    In smaller letters, but not below `SMALLEST`, where it would be more than `most` lines.
    """
    said, wide = text.get_text(), text.get_window_extent().width
    if not said.strip() or wide <= room or room <= 0:
        return False
    width = max(map(len, said.split("\n"))) * room / wide - 1
    given = text.__dict__.setdefault("given", said)  # as it was before any line was broken
    lines = given.split("\n")
    if most < 99:
        joined = re.sub(r"(?<=[\w\])])\n", ", ", given).replace("\n", " ")
        smaller = min(1.0, 0.9 * most * width / len(joined))
        smaller = max(smaller, min(1.0, SMALLEST / text.get_fontsize()))
        lines, width = [joined], width / smaller
        text.set_fontsize(text.get_fontsize() * smaller)
    value = r"(?:[\d.−]+ )?" if most < 99 else ""  # stays with its interval where there is room
    kept = re.compile(value + r"\[[^\]]*\]|\S+ = \S+|\S+ %")  # with its name or unit
    lines = [kept.sub(lambda found: found[0].replace(" ", "\0"), line) for line in lines]
    indent = re.match(" *", said)[0]  # type: ignore[index]
    width = max(14, int(width) - len(indent))
    broken = [
        indent + part
        for line in lines
        for part in textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
    ]
    text.set_text("\n".join(broken).replace("\0", " "))
    return True


def _wrap_texts(figure: Figure) -> bool:
    """Break titles, labels of axes and words in panels where they would leave their column."""
    found = any([_fit_legend(key, figure.bbox.width, figure) for key in figure.legends])
    if (head := figure._suptitle) is not None:  # type: ignore[attr-defined]
        room = 0.98 * figure.bbox.width - head.get_window_extent().x0
        found |= _wrap(head, room, figure, most=3)
    columns = getattr(figure, "across", 1)
    for axes in figure.axes:
        box = axes.get_window_extent()
        edge = figure.bbox.width * (1 + int(columns * box.x0 / figure.bbox.width)) / columns - 6
        for title in (axes.title, axes._left_title, axes._right_title):  # type: ignore[attr-defined]
            found |= _wrap(title, edge - title.get_window_extent().x0, figure, most=3)
        found |= _thin_ticks(axes)
        found |= _wrap(axes.xaxis.label, min(1.25 * box.width, edge - box.x0), figure)
        label = axes.yaxis.label.get_window_extent()
        if label.height > box.height > 0 and "\n" not in axes.get_ylabel():
            width = int(len(axes.get_ylabel()) * box.height / label.height)
            said = axes.get_ylabel()
            axes.set_ylabel(textwrap.fill(said, max(8, width), break_long_words=False))
            found = True
        if (key := axes.get_legend()) is not None:
            found |= _fit_legend(key, box.width, figure) | _headroom(axes, key)
        inside = [t for t in axes.texts if not t.get_in_layout() and t.get_ha() == "left"]
        found |= _make_room(axes, [t for t in inside if _at_values(t, axes)])
        for text in inside:
            if text.get_window_extent().x1 > box.x1:
                most = 2 if getattr(text, "given", text.get_text()).count("\n") == 1 else 99
                found |= _wrap(text, edge - text.get_window_extent().x0, figure, most)
    return found


def _at_values(text: Text, axes: Axes) -> bool:
    """Whether a text is placed by values of both axes."""
    return getattr(text, "at_values", text.get_transform() == axes.transData)


def _touch(labels: Sequence[Text]) -> bool:
    boxes = [label.get_window_extent() for label in labels if label.get_text()]
    return any(one.x1 + 8 > other.x0 for one, other in pairwise(boxes))


def _thin_ticks(axes: Axes) -> bool:
    """Take ticks of the horizontal axis away where their labels touch; whether they did."""
    if _touch(axes.get_xticklabels(minor=True)):
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    if not _touch(axes.get_xticklabels()):
        return False
    locator = axes.xaxis.get_major_locator()
    if isinstance(locator, ticker.AutoLocator):
        axes.xaxis.set_major_locator(ticker.MaxNLocator(4, steps=[1, 2, 5, 10]))
    elif isinstance(locator, ticker.FixedLocator):
        labels = [t.get_text() for t in axes.get_xticklabels()]
        kept = max(
            range(2),
            key=lambda first: "0" in (label.strip("0.") or "0" for label in labels[first::2]),
        )
        axes.set_xticks(axes.get_xticks()[kept::2], labels[kept::2])
    else:
        return False
    return True


def _wrap_rows(axes: Axes, room: float) -> None:
    """Break names of rows that take more than `room` (pixels) from their panel."""
    names = [label.get_text() for label in axes.get_yticklabels()]
    widths = [label.get_window_extent().width for label in axes.get_yticklabels()]
    if not any(" " in name for name in names) or max(widths) <= room:
        return
    longest = max(len(line) for name in names for line in name.split("\n"))
    width = max(12, int(longest * room / max(widths)))
    anew = [wrapped(name.replace("\n", " "), width) for name in names]
    kept = ["\n".join(wrapped(line, width) for line in name.split("\n")) for name in names]
    fewest = [min(each, key=lambda t: t.count("\n")) for each in zip(kept, anew, strict=True)]
    axes.set_yticks(axes.get_yticks(), fewest)


def _fit_legend(key: Legend, room: float, figure: Figure) -> bool:
    """Give a legend no more columns, and no longer lines, than `room` (pixels) holds."""
    box = key._legend_handle_box  # type: ignore[attr-defined]
    columns = box.get_children()
    entries = [entry for column in columns for entry in column.get_children()]
    over = number = 0
    for number in range(len(columns), 0, -1):
        box._children = columns[:number]
        parts = np.array_split(np.arange(len(entries)), number)
        for column, part in zip(columns, parts, strict=False):
            column._children = [entries[i] for i in part]
        if (over := key.get_window_extent().width - room) <= 0:
            break
    wrapped = [
        _wrap(t, t.get_window_extent().width - over, figure) for t in key.get_texts() if over > 0
    ]
    return number < len(columns) or any(wrapped)


def _headroom(axes: Axes, key: Legend) -> bool:
    """Raise the vertical axis where a legend over the data has grown down into them."""
    (low, high), top = axes.get_ylim(), axes.dataLim.y1
    box, under = axes.get_window_extent(), key.get_window_extent().y0
    if axes.get_yscale() != "linear" or not low < 1.1 * top < high:
        return False
    if under >= box.y0 + box.height * (top - low) / (high - low):
        return False
    ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
    share = max(0.3, 0.97 * (under - box.y0) / box.height)
    axes.set_ylim(low, low + (top - low) / share)
    axes.set_yticks(ticks)
    return True


def _make_room(axes: Axes, texts: list[Text]) -> bool:
    """Widen the horizontal axis until words that stand at its values end within the panel."""
    box, scale = axes.get_window_extent(), axes.get_xaxis().get_transform()
    low, high = scale.transform(np.asarray(axes.get_xlim(), float))
    wanted = high
    for text in texts:
        extent = text.get_window_extent()
        if extent.x1 > box.x1 - 2 and extent.width < 0.75 * box.width:
            start = low + (high - low) * (extent.x0 - box.x0) / box.width
            wanted = max(wanted, low + (start - low) * box.width / (box.width - extent.width - 12))
    if wanted <= high:
        return False
    ticks = axes.xaxis.get_majorticklocs()
    axes.set_xticks([tick for tick in ticks if low <= scale.transform([tick])[0] <= high])
    axes.set_xlim(axes.get_xlim()[0], scale.inverted().transform([wanted])[0])
    return True


def _readable(figure: Figure, scale: float) -> None:
    """No letters below `SMALLEST`; then all by `scale`."""
    for axis in (each for axes in figure.axes for each in (axes.xaxis, axes.yaxis)):
        for which in ("major", "minor"):
            size = axis.get_tick_params(which=which).get(
                "labelsize", mpl.rcParams["xtick.labelsize"]
            )
            points = font_manager.FontProperties(size=size).get_size_in_points()
            axis.set_tick_params(which=which, labelsize=scale * max(points, SMALLEST))
    for text in figure.findobj(Text):
        text.set_fontsize(scale * max(text.get_fontsize(), SMALLEST))


def _crowding(axes: Axes) -> float:
    """How much higher a panel must be for its rows' labels and the words in it not to touch."""
    texts = [t for t in axes.get_yticklabels() if t.get_text() and t.get_visible()]
    grow = 1.0
    for group in (texts, [t for t in axes.texts if not t.get_in_layout()]):
        boxes = [t.get_window_extent() for t in group if t.get_text().strip()]
        boxes.sort(key=lambda box: -(box.y0 + box.y1))
        for upper, lower in pairwise(boxes):
            apart = (upper.y0 + upper.y1 - lower.y0 - lower.y1) / 2
            beside = upper.x1 < lower.x0 or lower.x1 < upper.x0
            if apart > 1 and not beside:
                grow = max(grow, 1.06 * (upper.height + lower.height) / 2 / apart)
    return min(grow, 3.0)


def _label_columns(figure: Drawing) -> list[Axes]:
    """Give the lowest panel of each column the last panel's label; returns those given one."""
    last, across = figure.panels[-1], figure.across
    given = [p for p in figure.panels[-across:-1] if not p.get_xlabel()] if across > 1 else []
    for panel in given:
        panel.set_xlabel(last.get_xlabel())
        panel.tick_params(labelbottom=True)
    return given


def _place(figure: Figure) -> None:
    engine = figure.get_layout_engine()
    if engine is not None:
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            engine.execute(figure)  # where it finds no room, the layout stays as it is


def lay_out(figure: Figure) -> None:
    """Place everything in a figure: no text beyond its column, none on another."""
    for axes in figure.axes:  # before it takes room from its panel
        if (key := axes.get_legend()) is not None:
            _fit_legend(key, 0.78 * figure.bbox.width / getattr(figure, "across", 1), figure)
    for last in (False, True, True):
        _place(figure)
        again = _wrap_texts(figure)
        if isinstance(figure, Drawing) and not last:
            grow = [_crowding(axes) for axes in figure.panels]
            if max(grow) > 1.02:
                high = [h * (1.05 * g - 0.05) for h, g in zip(figure.heights, grow, strict=True)]
                figure.heights, again = high, True
                figure.arrange(figure.get_figwidth())
        if not again:
            break
    else:
        _place(figure)  # what was broken last takes more lines
    # Laid out once, not again for each file; no placeholder either, for which each is drawn twice.
    figure.set_layout_engine(None)


def finish(figure: Figure) -> Figure:
    """Make a figure as it is shown or written: words, letters, places; returns it."""
    one_is_singular(figure)
    _write_powers_plainly(figure)
    _readable(figure, (_style.get().size or 10) / 10)
    if isinstance(figure, Drawing):
        figure.given = _label_columns(figure)
    lay_out(figure)
    return figure


def said(figure: Figure, most: int = 600) -> str:
    """Say what stands in a figure: titles, and words in panels with their rows' names."""
    parts = []
    for axes in figure.axes:
        ticks = zip(axes.get_yticks(), axes.get_yticklabels(), strict=False)
        names = [(place, label.get_text()) for place, label in ticks if label.get_text()]
        rows = [name for _, name in names]
        named = any(re.search("[A-Za-z]", name) for name in rows)
        titles = [axes.title, axes._left_title, axes._right_title]  # type: ignore[attr-defined]
        parts += [t.get_text() for t in titles]
        for text in axes.texts:
            near = min(names, key=lambda n: abs(n[0] - text.get_position()[1]), default=("", ""))
            inside = _at_values(text, axes)
            row = f"{near[1]}: " if named and inside and "\n" not in text.get_text() else ""
            parts.append(row + text.get_text() if re.search(r"\d", text.get_text()) else "")
        key = axes.get_legend()
        words = [t.get_text() for t in key.get_texts()] if key else []
        parts += [each for each in words if re.search(r"\d", each)]
    clean = [", ".join(line.strip(" ,;:") for line in part.split("\n")) for part in parts]
    clean = list(dict.fromkeys(part.rstrip(".") for part in clean if part))
    while len(clean) > 1 and len("; ".join(clean)) > most:
        clean.pop()
    return "; ".join(clean)


def save(figure: Figure, data: pd.DataFrame, name: str, output: Path, caption: str) -> Shown:
    """Write ``<name>.svg``, ``.png``, ``.pdf``, the plotted numbers as ``.csv``, all into `output`.

    ``<name>.narrow.svg`` is the same figure for a telephone, its panels stacked. Files carry no
    date, so that the same data give the same bytes; each is written whole or not at all.
    """
    output.mkdir(parents=True, exist_ok=True)
    one_is_singular(figure)
    text = said(figure)  # before lines are broken
    finish(figure)
    _write_svg(figure, output / f"{name}.svg")
    dateless = {"png": {}, "pdf": {"CreationDate": None}}
    for kind, metadata in dateless.items():
        with whole(output / f"{name}.{kind}") as part:
            figure.savefig(part, format=kind, dpi=_DPI, metadata=metadata)
    _write_narrow(figure, output / f"{name}.narrow.svg")
    with whole(output / f"{name}.csv") as part:
        data.to_csv(part, index=False, float_format="%.6g", lineterminator="\n")
    return Shown(name, output / f"{name}.svg", counted(caption), text)


def _write_svg(figure: Figure, path: Path) -> None:
    """Write an SVG; its points as a picture where the file would be heavy."""
    drawn = _light_svg(figure)
    if len(drawn) > _HEAVY:
        for mark in figure.findobj(Collection):
            mark.set_rasterized(True)
        drawn = _light_svg(figure)
    with whole(path) as part:
        part.write_text(drawn, "utf-8")


def _light_svg(figure: Figure) -> str:
    """Draw as SVG in few bytes: the font named once, places rounded, pictures in few colours."""
    text = io.StringIO()
    figure.savefig(text, format="svg", dpi=_DPI_IN_SVG, metadata={"Date": None})
    drawn = re.sub(r' transform="rotate\(-?0 [^"]*"', "", text.getvalue())
    drawn = re.sub(r"<!--.*?-->|(?<=>)\s+(?=<)", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'(?<= d=")[^"]*', lambda path: _SPACE.sub(r"\1", path[0]), drawn)
    drawn = re.sub(r'(?<=<path d=")[^"]*', lambda path: _FINE[1].sub("", path[0]), drawn)
    drawn = re.sub(r' (?:d|x|y)="[^"]*"', lambda places: _FINE[2].sub("", places[0]), drawn)
    # matplotlib names a panel's outline by its place, whose last digits differ from run to run.
    for number, outline in enumerate(dict.fromkeys(re.findall(_OUTLINE, drawn))):
        drawn = drawn.replace(outline, f"p{number}")
    if len(fonts := set(re.findall(_FONT, drawn))) == 1:
        drawn = re.sub(_FONT, "", drawn).replace("<svg ", f'<svg style="{fonts.pop()}" ', 1)
    return re.sub(r"(?<=data:image/png;base64,)[^\"]+", lambda png: _few_colours(png[0]), drawn)


#: Digits behind the first and second after a point (curves, and marks with their places); space
#: around a letter of a path; the font of a text; the name of an outline.
_FINE = {1: re.compile(r"(?<=\.\d)\d+"), 2: re.compile(r"(?<=\.\d\d)\d+")}
_SPACE = re.compile(r"\s*([A-Za-z])\s*")
_FONT = r" ?font-family: [^;\"]*;?"
_OUTLINE = r'(?<=<clipPath id=")p[0-9a-f]{10}'


def _few_colours(png: str) -> str:
    """A PNG (base64) with a palette."""
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    small = io.BytesIO()
    image.quantize(_SHADES, Image.Quantize.FASTOCTREE).save(small, "png", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


def _write_narrow(figure: Figure, path: Path) -> None:
    """Write the figure as a telephone shows it."""
    if isinstance(figure, Drawing):
        for panel in figure.given:
            panel.set_xlabel("")
        figure.arrange(PANEL)
        for text in figure.findobj(Text):
            text._renderer = None  # or words are measured as the PDF had them
        for axes in figure.axes:
            _wrap_rows(axes, 0.36 * figure.bbox.width)
        lay_out(figure)
    _write_svg(figure, path)
