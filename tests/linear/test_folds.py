"""Who trains and who is predicted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from howfar.core.errors import HowfarError
from howfar.eqtl.lead import lead_snp_prediction
from howfar.linear import folds


@given(st.integers(4, 80), st.integers(2, 4), st.integers(0, 99))
def test_everybody_is_predicted_once_by_others(n, k, seed):
    split = folds.nested(n, k, seed)
    times = sum(held.astype(int) for _, held in split.parts)
    assert (times == 1).all()
    assert not any((trains & held).any() for trains, held in split.parts)
    sizes = np.bincount(split.fold())
    assert sizes.max() - sizes.min() <= 1


def test_folds_are_those_of_the_lead_snp():
    rng = np.random.default_rng(0)
    theirs = lead_snp_prediction(rng.binomial(2, 0.4, (30, 3)), rng.normal(size=30), 5, 7)[1]
    np.testing.assert_array_equal(folds.fold_of(30, 5, 7), theirs)


def test_a_list_of_people():
    split = folds.by_people(["a", "b", "c"], ["c", "a"])
    assert split.fold().tolist() == [-1, 0, -1]
    with pytest.raises(HowfarError, match="1 of them not in the cohort of 3"):
        folds.by_people(["a", "b", "c"], ["d", "a"])


def test_a_fraction_of_the_people():
    trains, held = folds.by_fraction(10, 0.7, 1).parts[0]
    assert trains.sum() == 7 and (trains ^ held).all()
    with pytest.raises(HowfarError):
        folds.by_fraction(10, 1.0, 1)


def test_populations_at_equal_numbers():
    groups = np.repeat(["EUR", "AFR"], [8, 4])
    trains, held = folds.by_population(groups, "EUR", "AFR", 4, 1).parts[0]
    assert set(groups[trains]) == {"EUR"} and trains.sum() == 4
    assert held.tolist() == (groups == "AFR").tolist()
    trains, held = folds.by_population(groups, "AFR", "AFR", None, 1).parts[0]
    assert trains.sum() == held.sum() == 2 and not (trains & held).any()
    for wrong in (("EUR", "ASN", None), ("AFR", "AFR", 4), ("AFR", "EUR", 5)):
        with pytest.raises(HowfarError):
            folds.by_population(groups, *wrong, 1)


def test_the_scheme_of_77_test_and_17_validation_people():
    split = folds.random_split(421, 77, 0.05, 1)
    trains, held = split.parts[0]
    assert trains.sum() == 327 and held.sum() == 77 and not (trains & held).any()
    with pytest.raises(HowfarError):
        folds.random_split(77, 77, 0.05, 1)


def test_more_folds_than_people():
    with pytest.raises(HowfarError, match="5 folds of 3 people"):
        folds.nested(3, 5, 1)


def test_whole_contigs_go_to_the_first_class_with_room():
    chroms = ["a"] * 5 + ["b"] * 4 + ["c"] * 3 + ["d"] * 2 + ["e"]
    shares = {"random_split": 200, "yri_split": 200, "unseen": 100}
    found = folds.gene_classes(chroms, shares)  # room for 6, 6 and 3 genes
    assert found == {
        "a": "random_split", "b": "yri_split", "c": "unseen", "d": "yri_split", "e": "random_split"
    }  # fmt: skip
    assert folds.gene_classes(["x"] * 9, shares) == {"x": "unseen"}


def test_each_class_of_genes_has_its_people():
    groups = np.repeat(["EUR", "YRI"], [344, 77])
    sizes = {}
    for name in folds.CLASS_SHARES:
        trains, held = folds.by_class(name, groups, "YRI", 1).parts[0]
        assert not (trains & held).any()
        sizes[name] = int(trains.sum()), int(held.sum()), int(held[344:].sum())
    assert sizes["random_split"][:2] == (327, 77) and sizes["random_split"][2] < 77
    assert sizes["yri_split"] == (327, 77, 77)
    assert sizes["unseen"] == (0, 421, 77)
