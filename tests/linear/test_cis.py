"""Genotypes around a gene as linear models read them."""

from __future__ import annotations

import numpy as np
import pytest

from howfar.cohort.opened import OpenCohort
from howfar.linear.cis import CisOptions, cis_data, training


@pytest.fixture
def cohort(study):
    return OpenCohort(study)


def test_variants_of_the_window_with_their_dosages(cohort):
    data = cis_data(cohort, cohort.genes[0], CisOptions(window=100))
    assert data.variants["pos"].tolist() == [95, 103]
    np.testing.assert_array_equal(data.dosages, [[1, 0], [2, 1], [0, 0], [0, 0]])
    np.testing.assert_allclose(data.variants["maf"], [0.375, 0.125])
    assert data.samples == ("P1", "P2", "P3", "P4")


def test_a_narrower_window_has_fewer(cohort):
    assert cis_data(cohort, cohort.genes[0], CisOptions(window=8)).variants["pos"].tolist() == [103]


class Fixed:
    """A cohort of given dosages."""

    def __init__(self, dosages, variants):
        from collections import Counter

        self.samples, self.warnings = list("abcd"), Counter()
        self.dosages = lambda gene, window: (np.array(dosages, np.float32), variants)


def test_types_missing_calls_and_constant_variants(cohort):
    from howfar.genome.intervals import Variant

    variants = [Variant("1", p, r, a) for p, r, a in [(1, "A", "C"), (2, "AT", "A"), (3, "A", "G"),
                                                      (4, "C", "T")]]  # fmt: skip
    nan = np.nan
    fixed = Fixed([[0, 1, nan, 2], [1, 1, nan, 2], [2, 0, 1, 2], [0, 0, 0, 2]], variants)
    snvs = cis_data(fixed, cohort.genes[0], CisOptions(max_missing=0.25))
    assert snvs.variants["pos"].tolist() == [1]
    assert fixed.warnings["cis variants left out for missing calls"] == 1
    every = cis_data(fixed, cohort.genes[0], CisOptions(variant_types="all", max_missing=0.5))
    assert every.variants["pos"].tolist() == [1, 2, 3]


def test_variants_stand_by_place_in_whatever_order_and_way_round(cohort):
    from howfar.genome.intervals import Variant

    alleles, x = ["AG", "AT", "AC"], np.array([[0, 1, 2], [1, 0, 0], [2, 2, 1], [0, 0, 1]])
    variants = [Variant("1", 100, *pair) for pair in alleles]
    turned = [Variant("1", 100, *pair[::-1]) for pair in alleles]
    one = cis_data(Fixed(x, variants), cohort.genes[0])
    other = cis_data(Fixed((2 - x)[:, ::-1], turned[::-1]), cohort.genes[0])
    assert one.variants["alt"].tolist() == other.variants["ref"].tolist() == ["C", "G", "T"]
    np.testing.assert_array_equal(one.dosages, 2 - other.dosages)


def test_frequencies_and_means_are_of_those_who_train():
    dosages = np.array([[0, 2, 1], [0, np.nan, 1], [1, 0, 1], [2, 0, np.nan]], np.float32)
    trains = np.array([True, True, False, False])
    x, kept = training(dosages, trains, 0.05)
    assert kept.tolist() == [2]  # the first has one allele among them, the second too
    np.testing.assert_array_equal(x[:, 0], [1, 1, 1, 1])
    x, kept = training(dosages, ~trains, 0.05)
    assert kept.tolist() == [0, 2]
    np.testing.assert_array_equal(x[:, 0], [0, 0, 1, 2])
