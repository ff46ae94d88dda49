"""The figure of one gene's attributions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from howfar.core.errors import HowfarError
from howfar.figures import bases
from howfar.genome.genes import read_exons
from howfar.genome.intervals import Gene, Variant

GENE = Gene("g1", "one", "1", 150, "+")


@pytest.fixture
def frame():
    draw = np.random.default_rng(1)
    values = draw.normal(size=(100, 4))
    letters = draw.integers(0, 4, 100)
    values[np.arange(100), letters] = 0
    made = pd.DataFrame(values, columns=list("ACGT"))
    made.insert(0, "base", [*np.array(list("ACGT"))[letters]])
    made.insert(0, "pos", pd.array(range(101, 201), "Int64"))
    return made.assign(chrom="1")


def test_contributions_by_hand():
    one = pd.DataFrame({"base": ["C"], "A": [-1.0], "C": [0.0], "G": [-2.0], "T": [-3.0]})
    assert bases.contributions(one, "ism").tolist() == [2]
    assert bases.contributions(one, "deeplift_shap").tolist() == [-6]


def test_lollipops_are_the_change_of_the_variants_letter(frame, tmp_path):
    base = frame.loc[10, "base"]
    alt = "A" if base != "A" else "C"
    other = next(c for c in "ACGT" if c != base)
    variants = [
        Variant("1", 111, base, alt),
        Variant("1", 111, other, base),  # its REF isn't the base there
        Variant("1", 120, "AC", "A"),
        Variant("1", 900, "A", "C"),
    ]
    drawn = bases.draw(frame, GENE, "ism", variants, [(90, 110), (300, 400)])
    dots = [line.get_xydata()[0] for line in drawn.axes[0].lines if line.get_marker() == "o"]
    assert len(dots) == 1 and dots[0].tolist() == [111, frame.loc[10, alt]]
    assert "1 variants" in drawn.axes[0].get_xlabel()  # made singular when saved by a page
    bases.save(drawn, tmp_path / "f.svg")
    assert (tmp_path / "f.svg").read_text().count("<svg") == 1
    with pytest.raises(HowfarError, match=r"ends in \.svg"):
        bases.save(drawn, tmp_path / "f.gif")


def test_the_logo_shows_the_strongest_stretch(frame):
    frame[list("ACGT")] *= np.where((frame["pos"] > 130) & (frame["pos"] <= 190), 100, 1)[:, None]
    drawn = bases.draw(frame, GENE, "gradient")
    ticks = [text.get_text() for text in drawn.axes[1].get_xticklabels()]
    assert ticks[0] == "131" and len(drawn.axes[1].patches) > 50


def test_attention_has_a_panel_per_layer_and_a_line_per_head():
    rows = [(la, h, 101 + 8 * b, 108 + 8 * b, 0.1 * h + b) for la in (1, 2) for h in (1, 2, 3)
            for b in range(4)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["layer", "head", "first", "last", "weight"])
    drawn = bases.draw(frame, GENE, "attention")
    assert len(drawn.axes) == 2 and "no attribution" in drawn.axes[1].get_xlabel()
    lines = [line for line in drawn.axes[0].lines if len(line.get_xdata()) == 4]
    assert [line.get_ydata()[1] for line in lines] == pytest.approx([1.1, 1.2, 1.3])
    assert lines[0].get_xdata()[0] == 104.5


def test_exons_of_a_gtf(tmp_path):
    rows = [
        "1\tx\texon\t20\t30\t.\t+\t.\tgene_id \"g1.2\"; transcript_id \"t\";",
        "1\tx\texon\t5\t9\t.\t+\t.\tgene_id \"g1.2\"; transcript_id \"t\";",
        "1\tx\texon\t40\t50\t.\t+\t.\tgene_id \"g12.2\"; transcript_id \"u\";",
    ]  # fmt: skip
    (tmp_path / "a.gtf").write_text("\n".join(rows) + "\n")
    assert read_exons(tmp_path / "a.gtf", "g1") == [(5, 9), (20, 30)]
    (tmp_path / "g.csv").write_text("gene_id,name,chrom,tss,strand\ng1,g1,1,5,+\n")
    assert read_exons(tmp_path / "g.csv", "g1") == []
