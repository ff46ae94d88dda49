"""Values of the layers between a genome and its tables don't change without a new version.

All are of the example cohort; the other layers' golden tables stand in their own folders.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
import pytest

import howfar as hf
from helpers import golden
from helpers.places import TESTS
from howfar import attribution, cohort, evaluation, genome, prediction

LENGTH = 4_096


@cache
def example():
    return hf.example_cohort()


@cache
def network():
    return hf.predict(example(), hf.load_model("gc-content"), bins="centre3")


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def of_genome() -> dict[str, object]:
    found: dict[str, object] = {}
    for gene in example().genes:
        for alleles in ("snv", "all"):
            windows = hf.build_windows(
                example().reference, example().variants, gene, LENGTH, alleles=alleles
            )
            name = f"{gene.name} {alleles}"
            found[name] = _sha256(windows.sequences)
            found[f"{name} index"] = _sha256(windows.index.astype(np.int64))
    return found


def of_cohort() -> dict[str, object]:
    panel = example().panel()
    found: dict[str, object] = {
        "genes": list(panel.genes["gene_id"]),
        "groups": _sha256(np.asarray(panel.groups, "U8")),
        "expression": panel.expression.to_numpy()[:, :4],
    }
    for gene in panel.genes["gene_id"]:
        dosages, variants = panel.dosages(gene)
        found[f"dosages of {gene}"] = _sha256(np.asarray(dosages, np.float32))
        found[f"variants of {gene}"] = [str(variant) for variant in variants[:3]]
    return found


def of_prediction() -> dict[str, object]:
    return {
        "people": network().people.to_numpy()[:, :4],
        "reference": network().reference.to_numpy(),
        "raw": network().values("demo0001")[0].ravel(),
    }


def of_attribution() -> dict[str, object]:
    model = hf.load_model("gc-content", context=8_192)
    effects = hf.variant_effects(example(), model, "demo0002", bins=list(range(64)))
    assert len(effects) > 5
    return {column: effects[column].to_numpy()[:12] for column in effects}


def of_evaluation() -> dict[str, object]:
    tables = hf.evaluate(example(), [network(), hf.fit_linear(example(), "blup")], draws=100)
    across = tables["across"]
    columns = ("n", "pearson", "spearman", "p", "q", "null_mean", "null_sd", "p_null", "ci_low")
    found: dict[str, object] = {f"across {c}": across[c].to_numpy(float)[:20] for c in columns}
    found["features"] = tables["features"]["value"].to_numpy(float)[:20]
    found["within"] = tables["within"]["pearson"].to_numpy(float)[:20]
    numbers = tables["numbers"].set_index("id")["value"].astype(float)
    rows = {i: v for i, v in numbers.items() if i.startswith("example.blup.across.pooled")}
    assert len(rows) > 5
    return found | {f"number {i}": np.float64(v) for i, v in rows.items()}


LAYERS = {
    "genome": (genome, of_genome),
    "cohort": (cohort, of_cohort),
    "prediction": (prediction, of_prediction),
    "attribution": (attribution, of_attribution),
    "evaluation": (evaluation, of_evaluation),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_values_do_not_change_without_a_new_version(layer):
    package, values = LAYERS[layer]
    golden.check(TESTS / layer / "golden.csv", package.VERSION, values())


def test_a_change_of_values_is_seen(tmp_path, monkeypatch):
    monkeypatch.setenv("HOWFAR_WRITE_GOLDEN", "1")
    path = tmp_path / "golden.csv"
    golden.check(path, 1, {"a": 1.0, "b": "x"})
    golden.check(path, 1, {"a": 1.0 + 1e-9, "b": "x"})
    for changed in ({"a": 1.001, "b": "x"}, {"a": 1.0, "b": "y"}, {"a": 1.0}):
        with pytest.raises(AssertionError, match="without a new VERSION"):
            golden.check(path, 1, changed)
    golden.check(path, 2, {"a": 2.0})
