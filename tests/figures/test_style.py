"""What every figure has: axes that hold all their values, ticks where values can be, plain text."""

import base64
import io
import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from PIL import Image

from helpers import synthetic
from helpers.figure_views import open_view, study_file, text_of
from howfar import figures
from howfar.core.errors import HowfarError
from howfar.evaluation import transfer
from howfar.figures import populations, style

HOSTILE = "<b onclick='x()'>g</b> $\\frac$ *a* `b` [c](d) {e}`f` | & _h_"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("style")
    synthetic.write(folder, "open", numbers=False)
    return folder


@pytest.fixture(scope="module")
def frames(folder):
    return open_view(folder).tables.frames


def drawn(name: str, view: figures.View):
    """The figure as it is drawn, not yet saved."""
    with style.look():
        return getattr(figures, name).__wrapped__(view)[0]


def test_an_axis_from_zero_holds_negative_values():
    assert style.from_zero([0.1, 0.2]) == (0, pytest.approx(0.21))
    assert style.from_zero(pd.Series([-0.1, np.nan]), [0.2]) == pytest.approx((-0.11, 0.21))
    low, high = style.from_zero([-0.2, -0.1])
    assert low < -0.2 and high > 0


@pytest.mark.parametrize(
    ("name", "what", "side"),
    [("population_transfer", "TRANSFER", "x"), ("calibration", "CALIBRATION", "y")],
)
def test_negative_means_are_not_cut(tmp_path, frames, name, what, side):
    rows = [
        (getattr(transfer, what), "BLUP", "EUR → AFR", 60, -0.3, -0.4, -0.2),
        (transfer.LOSS, "BLUP", "EUR → AFR", 60, 0.1, 0.0, 0.2),
    ]
    columns = ["set", "method", "group", "x", "value", "ci_low", "ci_high"]
    summary = pd.DataFrame(rows, columns=columns).assign(replicate=1, n=60)
    view = open_view(tmp_path, frames | {"summary": summary}, numbers=False)
    (axis,) = drawn(name, view).axes
    assert getattr(axis, f"get_{side}lim")()[0] < -0.4


def test_a_share_of_genes_ends_at_a_hundred_per_cent(folder, monkeypatch):
    row = {"run_id": "net", "label": "Net", "genes": "all", "n": 20, "value": 1.0}
    shares = pd.DataFrame([row | {"ci_low": 0.9, "ci_high": 1.0}])
    monkeypatch.setattr(populations, "flip_shares", lambda view: shares)
    (axis,) = drawn("flips", open_view(folder)).axes
    assert axis.get_xlim()[1] > 100 >= max(axis.get_xticks())


def test_counts_of_genes_have_whole_ticks_each_once(tmp_path, frames):
    across = frames["across"].copy()
    here = across.index[(across["run_id"] == "net") & (across["population"] == "pooled")]
    across.loc[here, "p_null"] = 1.0
    across.loc[here, ["null_mean", "null_sd"]] = [0.9, 0.9]
    across.loc[here[:2], ["null_mean", "null_sd", "p_null"]] = [0.0, 1e-6, 1e-9]
    figure = drawn("rule_counts", open_view(tmp_path, frames | {"across": across}))
    figure.draw_without_rendering()
    (axis,) = figure.axes
    low, high = axis.get_xlim()
    labels = [
        tick.get_text()
        for tick, place in zip(axis.get_xticklabels(), axis.get_xticks(), strict=True)
        if low <= place <= high
    ]
    assert labels == ["2", "1", "0", "1", "2"]


def test_one_of_a_thing_is_singular(tmp_path):
    with style.look():
        figure, (axis,) = style.panels([1.0])
        axis.set_title("n = 1 genes, 21 genes, 1 people")
        shown = style.save(figure, pd.DataFrame(), "one", tmp_path, "n = 1 variants.")
    assert "n = 1 gene, 21 genes, 1 person" in text_of(shown)
    assert shown.caption == "n = 1 variant."


def test_text_of_others_is_shown_as_it_is(folder, frames, tmp_path, monkeypatch):
    """Gene names of a third-party table and a run's label: in figures, captions and boxes."""
    genes = frames["genes"].assign(name=HOSTILE)
    runs = frames["runs"].assign(label=f"{HOSTILE} network")
    view = open_view(tmp_path, frames | {"genes": genes, "runs": runs}, numbers=False)
    said = []
    monkeypatch.setattr("IPython.display.display", lambda data, **_: said.append(data))
    for name in ("scatters", "ranked", "distribution"):
        shown = getattr(figures, name)(view)
        if isinstance(shown, style.Shown):
            shown._ipython_display_()
    captions = [json.dumps(data) for data in said if "text/markdown" in data]
    figure = drawn("ranked", view)
    figure.draw_without_rendering()
    assert any(HOSTILE in text.get_text() for text in figure.findobj(Text))
    assert captions
    for data in said:
        text = data.get("text/markdown", "") + data.get("image/svg+xml", "")
        assert "<b onclick" not in text.replace("\\<b", "")


def test_a_caption_means_what_it_says_in_markdown():
    markdown_it = pytest.importorskip("markdown_it")
    parser = markdown_it.MarkdownIt("commonmark", {"html": True})
    for text in (HOSTILE, "a<script>alert(1)</script>", "x ~~y~~ ![i](j) &lt; **z**"):
        (_, inline, _) = parser.parse(f"x {style.as_markdown(text)}")
        assert "".join(child.content for child in inline.children) == f"x {text}"
        assert {child.type for child in inline.children} <= {"text", "text_special"}


@pytest.mark.parametrize("scale", [{"value": "log"}, {"value": "symlog", "linthresh": 0.01}])
def test_powers_on_a_logarithmic_axis_are_text(tmp_path, scale):
    with style.look():
        drawn, (axis,) = style.panels([1.5])
        axis.set_xscale(**scale)
        axis.plot([0.001, 1000], [0, 1])
        style.save(drawn, pd.DataFrame(), "powers", tmp_path, "")
    text = (tmp_path / "powers.svg").read_text()
    assert "mathdefault" not in text and "10²" in text and "10⁻²" in text


@pytest.mark.parametrize("words", [3, 30])
def test_a_long_title_is_broken_into_lines(tmp_path, words):
    with style.look():
        drawn, (axis,) = style.panels([2.0])
        axis.set_title("eight by\n" + " ".join(["letters"] * words))
        style.save(drawn, pd.DataFrame(), "title", tmp_path, "")
    title = axis._left_title
    assert title.get_window_extent().x1 <= drawn.bbox.width
    assert title.get_text().replace(",", "").split() == ["eight", "by", *["letters"] * words]
    assert ("by, letters" in title.get_text()) == (words == 30)  # its lines joined, and broken anew
    assert (title.get_text().count("\n") > 1) == (words == 30)


def test_panels_stand_side_by_side_and_stacked_on_a_telephone(tmp_path, files):
    with style.look():
        drawn, axes = style.panels([2.0] * 3)
        for axis in axes:
            axis.set_title("n = 12 genes")
        axes[-1].set_xlabel("r across people")
        style.save(drawn, pd.DataFrame(), "grid", tmp_path, "")
    sizes = {
        kind: [float(n) for n in re.findall(r'(?:width|height)="([\d.]+)pt"', text)[:2]]
        for kind in ("svg", "narrow.svg")
        for text in [(tmp_path / f"grid.{kind}").read_text()[:1500]]
    }
    assert sizes["svg"] == [2 * 72 * style.PANEL, 2 * 144]
    assert sizes["narrow.svg"] == [72 * style.PANEL, 3 * 144]
    text = (tmp_path / "grid.svg").read_text()
    assert text.count("r across people") == 2  # below each column
    assert (tmp_path / "grid.narrow.svg").read_text().count("r across people") == 1


def test_no_text_is_small_lies_on_another_or_leaves_its_column():
    with style.look():
        drawn, axes = style.panels([1.0, 1.0])
        for axis in axes:
            axis.set(xlim=(0, 1), xticks=[0, 0.5, 1])
            for place in range(6):
                axis.barh(place, 0.9)
                style.words(axis, 0.92, place, "0.12 [0.04, 0.67], n = 12", 6)
            style.rows(axis, ["a method with a long name", *"bcdef"], 5)
        style.finish(drawn)
    for column, axis in enumerate(axes, 1):
        boxes = [t.get_window_extent() for t in axis.texts]
        assert all(box.x1 <= column * drawn.bbox.width / 2 for box in boxes)
        assert max(axis.get_xticks()) <= 1
        for row in (boxes, [t.get_window_extent() for t in axis.get_yticklabels()]):
            for one, other in itertools.pairwise(sorted(row, key=lambda box: box.y0)):
                assert one.y1 <= other.y0 + 1
        sizes = [t.get_fontsize() for t in (*axis.texts, *axis.get_yticklabels())]
        assert min(sizes) >= style.SMALLEST


def test_points_of_a_heavy_file_become_a_picture(tmp_path):
    points = np.random.default_rng(0).normal(size=(2, 4000))
    with style.look():
        drawn, (axis,) = style.panels([2.0])
        axis.scatter(*points)
        style.save(drawn, pd.DataFrame(), "points", tmp_path, "")
    text = (tmp_path / "points.svg").read_text()
    assert len(text) < style._HEAVY and "<image" in text
    assert text.count("font-family") == 1
    png = re.search(r'data:image/png;base64,([^"]*)', text)[1]
    assert Image.open(io.BytesIO(base64.b64decode(png))).mode == "P"


def test_a_place_off_by_rounding_changes_no_byte():
    files = []
    for off in (0, 1e-13):
        with style.look():
            drawn, (axis,) = style.panels([2.0])
            axis.plot([0, 1], [1, 0])
            style.finish(drawn)
            left, bottom, width, height = axis.get_position().bounds
            axis.set_position([left + off, bottom, width, height])
            files.append(style._light_svg(drawn))
    assert files[0] == files[1] and 'clipPath id="p0"' in files[0]


def test_nothing_is_cut_on_a_telephone(tmp_path, files):
    with style.look():
        drawn, (axis,) = style.panels([2.5])
        for i in range(6):
            axis.plot([0, 1], [0, i], label=f"a model with quite a long name {i}")
        style.words(axis, 0.9, 1, "0.782 [0.72, 0.82], n = 1,234 genes")
        style.note(axis, f"n = 12 genes, {'more words, ' * 6}\nand more")
        style.legend(drawn, axis, ncols=3)
        style.save(drawn, pd.DataFrame(), "narrow", tmp_path, "")
    texts = [*axis.texts, *drawn.legends[0].get_texts()]
    for text in texts:
        text._renderer = None  # that of the file's dots an inch
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= drawn.bbox.width, text
    assert {t.get_text() for t in texts} >= {
        f"a model with quite a long name {i}" for i in range(6)
    }


def test_what_a_figure_says_names_the_rows_of_its_numbers():
    with style.look():
        drawn, (axis,) = style.panels([1.5])
        style.words(axis, 0.1, 0, "0.23 [0.18, 0.26]")
        style.rows(axis, ["BLUP", "Lasso"])
        axis.set_title("n = 400 genes")
    assert style.said(drawn) == "n = 400 genes; BLUP: 0.23 [0.18, 0.26]"


def test_a_figure_takes_a_journals_width_a_font_size_and_colours(folder):
    loaded = open_view(folder).tables
    drawn = figures.ranked(loaded, width=89, size=7, palette={"net": "#123456"})
    assert drawn.get_figwidth() == pytest.approx(89 / 25.4)
    assert drawn.panels[0].lines[0].get_color() == "#123456"
    assert drawn.panels[0].title.get_fontsize() < 8
    assert figures.ranked(loaded, width="double").get_figwidth() == pytest.approx(183 / 25.4)
    for wrong in ({"font": "No Such Letters"}, {"palette": ["no colour"]}, {"width": 5}):
        with pytest.raises(HowfarError, match="style"):
            figures.ranked(loaded, **wrong)


def test_a_study_file_says_how_its_figures_look(tmp_path, folder):
    file = study_file(tmp_path, "open", more="style: {width: single, palette: ['#123456']}\n")
    view = figures.view(str(file), [], folder, tmp_path / "figures")
    assert next(iter(view.colours.values())) == "#123456"
    shown = figures.ranked(view)
    assert f'width="{72 * 89 / 25.4:.2f}'[:10] in shown.svg.read_text()[:1500]


def test_models_differ_in_more_than_colour():
    marks = style.marks([f"r{i}" for i in range(12)])
    assert len(set(marks.values())) == 12
