"""Maps of people and variants of one gene, by groups that are known."""

import numpy as np

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
