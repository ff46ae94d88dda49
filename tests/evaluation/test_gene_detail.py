"""Maps of people and variants of one gene, by groups that are known."""

import numpy as np
import pandas as pd
import pytest

from howfar.evaluation import gene_detail
from howfar.evaluation.gene_detail import people_map


def test_people_and_variants_alike_are_merged_and_small_groups_left_out():
    rng = np.random.default_rng(1)
    kinds = rng.integers(0, 3, (3, 8)).astype(float)
    kinds[:, :2] = [[0, 2], [2, 0], [1, 2]]
    who = np.repeat([0, 1, 2], [40, 30, 10])  # ten people are too few for a group
    copies = np.repeat(kinds[who], 2, axis=1)  # each variant stands twice
    found = people_map(copies, "g")
    sizes = found.groupby("group")["n"].first()
    assert sorted(sizes) == [30, 40] and set(found["method"]) == {"g"}
    assert found["x"].max() <= 8 and found["value"].between(0, 2).all()
    wide = found.pivot(index="group", columns="x", values="value")
    merged = {tuple(sorted(row)) for row in wide.to_numpy()}
    distinct = np.unique(kinds[:, kinds.std(axis=0) > 0], axis=1)
    assert all(set(row) <= set(np.unique(distinct)) for row in merged)
    assert people_map(np.zeros((50, 4)), "g").empty
    assert people_map(copies[:5], "g").empty


@pytest.fixture
def arrays():
    """A gradient that is 1 at the TSS (position 500, 0-based), 4 at base 540, else .5."""
    base = np.full(200, 0.5, np.float32)
    base[100], base[140] = 1, -4
    return {"base": base, "first": np.array([400])}


def driver(distance, slope=1.0, effect=1.0):
    rows = {"gene_id": ["g"], "effect": [effect], "eqtl_slope": [slope], "distance": [distance]}
    return pd.DataFrame(rows | {"is_main": [True]})


@pytest.mark.parametrize(("slope", "kind"), [(2.0, "supported"), (-2.0, "unsupported")])
def test_bases_around_a_driver_are_shares_of_the_promoters_largest(arrays, slope, kind):
    ((gene, its, values),) = gene_detail._near_driver(driver(40, slope), 501, arrays)
    assert (gene, its, len(values)) == ("g", kind, 41)
    assert values[20] == 1 and values[19] == 0.125  # the largest within 1 kb is the driver itself
    assert values.argmax() == 20 and (values[:20] == 0.125).all()


def test_a_driver_near_a_windows_end_or_without_slope_has_no_profile(arrays):
    assert not gene_detail._near_driver(driver(85), 501, arrays)
    assert not gene_detail._near_driver(driver(-400), 501, arrays)
    assert not gene_detail._near_driver(driver(40, np.nan), 501, arrays)


def test_profiles_are_means_over_genes_with_intervals(arrays):
    ((_, kind, values),) = gene_detail._near_driver(driver(40), 501, arrays)
    near = [(gene, kind, values) for gene in "ghi"]
    near += gene_detail._near_driver(driver(40, -1.0), 501, arrays)  # one gene has no mean
    genes = pd.DataFrame({"gene_id": list("ghi"), "chrom": list("123"), "tss": 501})
    (frame,) = gene_detail._around(near, genes)
    assert set(frame["group"]) == {"supported"} and set(frame["n"]) == {3}
    middle = frame.set_index("x").loc[0]
    assert middle["value"] == middle["ci_low"] == middle["ci_high"] == 1
