"""Values of the stacked regressors on small seeded pairs don't change without a new version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from helpers import golden
from howfar import stacking
from howfar.stacking import compare
from howfar.stacking.pairs import Pairs, folds, units


def values() -> dict[str, object]:
    rng = np.random.default_rng(4)
    genes, people = 8, 24
    dosages = rng.binomial(2, 0.4, (genes, people, 4)).astype(float)
    y = rng.normal(0, 2, (genes, 1)) + dosages[:, :, 0] + rng.normal(0, 0.5, (genes, people))
    x = np.stack([y + rng.normal(0, 1, y.shape), dosages[:, :, 1]], axis=2)
    gene, person = np.indices(y.shape).reshape(2, -1)
    ids, block = [f"G{i}" for i in range(genes)], np.array([f"chr{i % 4}" for i in range(genes)])
    pairs = Pairs(
        x.reshape(-1, 2), y.ravel(), gene, person, ids, block, ["a", "b"], lambda i: dosages[i]
    )
    table = pd.DataFrame({"gene_id": ids, "name": ids, "chrom": block, "tss": 1, "strand": "+"})
    models = ("ridge", "polynomial", "forest", "boosting")
    options = compare.Options(folds=2, models=models, score="prs")
    designs = [("level", "people", "network"), ("deviation", "people", "score")]
    designs.append(("deviation", "pairs", "score_of_all"))
    rows = compare.compare(pairs, table, options, designs)
    found: dict[str, object] = {"folds": folds(units(pairs, "genes"), 2, 1)[::9]}
    for name in ("set", "method", "group"):
        found[name] = rows[name].to_numpy(str)
    for name in ("value", "ci_low", "ci_high"):
        found[name] = rows[name].to_numpy(float)
    return found


def test_values_change_only_with_the_version():
    golden.check(Path(__file__).with_name("golden.csv"), stacking.VERSION, values())
