"""Genes of the expression file against the gene table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from howfar.cohort.expression import Expression
from howfar.cohort.gene_check import compare_genes
from howfar.core.errors import HowfarError
from howfar.genome.intervals import Gene

IDS = [f"ENSG0000000000{i}.1" for i in range(1, 6)]
GENES = [Gene(name, name, "chr1", 10_000 * i, "+") for i, name in enumerate(IDS, 1)]


def expression(ids=IDS, shift=(0, 0, 0, 0, 0), chrom="1", width=1):
    starts = np.array([10_000 * i - 1 for i in range(1, 6)]) + shift
    places = pd.DataFrame({"chrom": chrom, "start0": starts, "end": starts + width}, index=ids)
    return Expression(pd.DataFrame({"P": 1.0}, index=ids), places, 0)


def counted(given):
    return {what: n for what, n in compare_genes(GENES, given, "both").items() if n}


@pytest.mark.parametrize("given", [{}, {"width": 5_000}, {"shift": (1, -1, 1, -1, 1)}])
def test_the_same_places_say_nothing(given):
    assert counted(expression(**given)) == {}


def test_places_that_differ_are_counted_by_name():
    found = counted(expression(shift=(0, 45_000, 0, -300, 0)))
    what = "genes whose TSS lies elsewhere in the expression file (up to 45,000 bp): "
    assert found == {what + f"{IDS[1]}, {IDS[3]}": 2}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"shift": (45_000,) * 5}, "5 of 5 genes .* such as ENSG00000000001.1, 45,000 bp away"),
        ({"chrom": "2"}, "5 of 5 genes .* on another contig"),
    ],
)
def test_places_of_another_build_stop(given, says):
    with pytest.raises(HowfarError, match=says):
        counted(expression(**given))


def test_versions_that_differ_are_said():
    others = [name.replace(".1", ".2") for name in IDS]
    with pytest.raises(HowfarError, match="5 differ by their version alone, as ENSG00000000001.1"):
        counted(expression(others))
    what = f"genes whose id has another version in the expression file: {IDS[0]}"
    assert counted(expression([others[0], *IDS[1:]])) == {what: 1}
