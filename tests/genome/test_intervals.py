import pytest

from howfar.core.errors import HowfarError
from howfar.genome.intervals import Gene, Interval, Variant


def test_variant_spans_its_reference_allele_from_pos_minus_one():
    variant = Variant("1", 100, "ACG", "A")
    assert (variant.start0, variant.end0) == (99, 102)
    assert str(variant) == "1:100:ACG:A"


@pytest.mark.parametrize("length", [1, 2, 9, 10])
def test_window_holds_the_tss_base_at_half_its_length(length):
    gene = Gene("g", "G", "1", 1000, "+")
    window = gene.window(length)
    assert len(window) == length
    assert window.start + length // 2 == gene.start0 == 999


def test_window_may_reach_past_the_contigs_start():
    assert Gene("g", "G", "1", 3, "-").window(10).start == -3


def test_impossible_places_are_errors():
    with pytest.raises(HowfarError, match="end 1 before start 5"):
        Interval("1", 5, 1)
    with pytest.raises(HowfarError, match="strand '1'"):
        Gene("g", "G", "1", 3, "1")
    with pytest.raises(HowfarError, match="TSS 0"):
        Gene("g", "G", "1", 0, "+")
