"""Rows of the networks trained on a study's people: means, labels, curves, other files."""

from __future__ import annotations

import pandas as pd
import pyarrow
import pytest

from howfar.core import sealed
from howfar.core.provenance import digest
from howfar.evaluation import trainings
from howfar.evaluation.trainings import CURVE, MEAN, TRAINED
from howfar.results import tables
from howfar.training.recipe import recipe_of

GENES = pd.DataFrame(
    {"gene_id": ["a", "b", "c"], "chrom": ["1", "1", "2"], "tss": [100, 5_000_000, 100]}
)


def write(folder, inputs, seed=1, shift=0.0, **options):
    recipe = vars(recipe_of("pair_regression", options | {"seed": seed}))
    folder.mkdir(parents=True)
    people = {"seen": {"train": ["p"] * 100}, "unseen": {"test": ["q"] * 3}}
    sealed.write_json(folder / "config.json", {"recipe": recipe, "splits": {"people": people}})
    sealed.write_json(
        folder / "made_of.json", {"inputs": {role: digest(path) for role, path in inputs.items()}}
    )
    scores = [
        (g, "unseen people", 40, r + shift) for g, r in zip("abc", (0.1, 0.2, 0.3), strict=True)
    ]
    frame = pd.DataFrame(scores, columns=["gene_id", "group", "n", "r"])
    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    tables.write_arrow(folder / "scores.parquet", table, {})
    (folder / "logs").mkdir()
    (folder / "logs" / "metrics.csv").write_text(
        "epoch,loss,step,val_loss\n0,,5,2.0\n0,2.5,5,\n1,,10,1.5\n"
    )


@pytest.fixture
def made(tmp_path):
    (tmp_path / "v.vcf").write_text("variants")
    inputs = {"variants": tmp_path / "v.vcf"}
    for name, options in {
        "one": {},
        "two": {"seed": 2, "shift": 0.1},
        "half": {"ratio": 0.5},
        "head": {"train": "head"},
    }.items():
        write(tmp_path / "s" / "finetune" / name, inputs, **options)
    return tmp_path, inputs


def test_means_are_over_genes_and_seeds(made):
    folder, inputs = made
    found, counts = trainings.rows("s", folder, inputs, GENES, 1)
    assert not counts
    means = found[found["set"] == MEAN].set_index(["method", "x"])
    assert means.loc[("pair regression", 100), "value"] == pytest.approx(0.25)
    assert means.loc[("pair regression", 50), "value"] == pytest.approx(0.2)
    assert means.loc[("pair regression, train head", 100), "value"] == pytest.approx(0.2)
    assert means["n"].eq(3).all() and (means["ci_low"] < means["value"]).all()
    seeds = found[(found["set"] == TRAINED) & (found["x"] == 100)]
    seeds = seeds[seeds["method"] == "pair regression"].set_index("replicate")["value"]
    assert seeds.to_dict() == pytest.approx({1: 0.2, 2: 0.3})
    curve = found[(found["set"] == CURVE) & (found["replicate"] == 1)]
    assert curve[["x", "value"]].to_numpy().tolist() == [[1, 2.0], [2, 1.5]]
    assert set(curve["group"]) == {"validation loss"}
    tables.stack("summary", [found], "test")  # fits the table


def test_trainings_of_other_files_are_counted_and_left_out(made):
    folder, inputs = made
    inputs["variants"].write_text("others")
    found, counts = trainings.rows("s", folder, inputs, GENES, 1)
    assert found.empty and counts == {"trainings of other files left out": 4}
    nothing, _ = trainings.rows("other", folder, inputs, GENES, 1)
    assert nothing.empty
