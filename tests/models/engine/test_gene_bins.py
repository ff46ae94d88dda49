"""Bins over a gene, by intervals against a slow loop over bases, and against borzoi-pytorch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from howfar.models.base import Layout
from howfar.models.engine.gene_bins import body, carried, covered

BIN, BINS = 4, 9


@st.composite
def windows(draw):
    """(origin of each base of a window, exons): a haplotype edited base by base.

    Each reference base is kept, deleted or followed by an insertion; the window is cut from it.
    """
    kinds = st.sampled_from(["keep"] * 6 + ["delete", "insert"])
    edits = draw(st.lists(kinds, min_size=60, max_size=60))
    origin = []
    for position, edit in enumerate(edits, start=100):
        origin += [] if edit == "delete" else [position]
        origin += [-1] * draw(st.integers(1, 3)) if edit == "insert" else []
    length = draw(st.integers(BIN * BINS, 50))
    first = draw(st.integers(0, 8))
    window = [*origin, *[-1] * 60][first : first + length]
    cuts = sorted(draw(st.sets(st.integers(95, 165), min_size=2, max_size=8)))
    exons = list(zip(cuts[::2], cuts[1::2], strict=False))
    return np.array(window, np.int64), np.array(exons, np.int64).reshape(-1, 2)


def bins_by_bases(window, exons, layout, turned):
    """Base by base: in an exon, or inserted between two bases of one exon."""
    mine = {i for a, b in exons for i in range(len(window)) if a <= window[i] < b}
    for a, b in exons:
        own = [i for i in mine if a <= window[i] < b]
        mine |= set(range(min(own, default=0), max(own, default=-1) + 1))
    found = np.zeros(layout.n_bins, bool)
    for i in mine:
        seen = layout.context - 1 - i if turned else i
        number = (seen - layout.first_base) // layout.bin_size
        if 0 <= number < layout.n_bins:
            found[number] = True
    return found


@given(windows(), st.booleans(), st.integers(0, 8))
def test_bins_are_those_of_a_loop_over_bases(drawn, turned, crop):
    window, exons = drawn
    layout = Layout(len(window), BIN, BINS - 2, min(crop, len(window) - BIN * (BINS - 2)))
    found = covered(carried(window, exons), layout, turned)
    assert found.tolist() == bins_by_bases(window, exons, layout, turned).tolist()
    whole = covered(carried(window, body(exons)), layout, turned)
    assert whole.tolist() == bins_by_bases(window, body(exons), layout, turned).tolist()
    assert (whole >= found).all()


def test_bins_on_the_reference_are_borzoi_pytorchs(tmp_path):
    utils = pytest.importorskip("borzoi_pytorch.gene_utils")
    from howfar.genome.exons import read_exons_of

    draw, lines, path = np.random.default_rng(3), [], tmp_path / "a.gtf"
    for k in range(40):
        start = int(draw.integers(900, 3000))
        end = start + int(draw.integers(0, 300))
        text = f'gene_id "g{k % 4}"; transcript_id "t{k % 8}"; gene_name "G{k % 4}";'
        lines.append(f"1\tx\texon\t{start}\t{end}\t.\t+\t.\t{text}")
    path.write_text("\n".join(lines) + "\n")
    oracle, exons = utils.Transcriptome(str(path), use_geneid=True), read_exons_of(path)
    layout = Layout(2048, 32, 32, first_base=512)
    for gene in oracle.genes:
        bins = oracle.genes[gene].output_slice(1000 + 512, 1024, 32)
        found = covered(carried(np.arange(1000, 3048), exons.of(gene)), layout, False)
        assert len(bins) and np.flatnonzero(found).tolist() == bins.tolist()
