"""What every figure has: axes that hold all their values, ticks where values can be, plain text."""

import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from helpers import synthetic
from helpers.figure_views import open_view, text_of
from howfar import figures
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
    (axis,) = drawn(name, open_view(tmp_path, frames | {"summary": summary})).axes
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
    view = open_view(tmp_path, frames | {"genes": genes, "runs": runs})
    said = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: said.append(data))
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
    assert title.get_text().split() == ["eight", "by", *["letters"] * words]
    assert (title.get_text().count("\n") > 1) == (words == 30)
