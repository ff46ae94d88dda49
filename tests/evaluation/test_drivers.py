"""Table `drivers` of computed studies: the rules' choices, slopes, distances and carriers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers.commands import invoke
from howfar.core.errors import HowfarError
from howfar.evaluation import drivers
from howfar.evaluation.inputs import read_inputs
from howfar.evaluation.study_tables import frames_of
from howfar.genome.intervals import Variant
from howfar.linear.baseline import LinearPredictions
from howfar.results.predictions import Predictions


@pytest.mark.parametrize("seed", [1, 2])
def test_rows_of_a_gene_are_the_authors(shared, seed):
    data = np.load(shared / "oracles" / "finetuning" / f"s_seed{seed}.npz")
    for i, gene in enumerate(data["genes"]):
        position, copies = data[f"{gene}/position"], data[f"{gene}/genotype"]
        given = drivers.Attributed(
            "net",
            gene,
            1_000_000,
            [Variant("1", int(p), "A", "G") for p in position],
            data[f"{gene}/attribution"],
            copies,
            data["prediction"][:, i],
            data["observed"][:, i],
        )
        rows, expected = given.rows("sasse-forward"), data[f"{gene}/forward"]
        assert rows["variant"].tolist() == [f"1:{int(p)}:A:G" for p in expected[:, 0]]
        assert rows["distance"].tolist() == (expected[:, 0] - 1_000_000).tolist()
        assert rows["carriers"].tolist() == expected[:, 7].tolist()
        np.testing.assert_allclose(rows["gain"], expected[:, 6], atol=0.00501)
        assert rows.loc[rows["is_main"], "gain"].tolist() == sorted(rows["gain"])[-1:]
        of_types = {p: slope for p, _, slope in data[f"{gene}/types"]}
        slopes = dict(zip(expected[:, 0], rows["eqtl_slope"], strict=True))
        np.testing.assert_allclose(
            [slopes[p] for p in of_types], list(of_types.values()), atol=1e-6
        )


@pytest.fixture
def predicted(study, model, results_folder):
    chosen = study.model_copy(update={"effects": ["g1"]})
    invoke(chosen, results_folder, "predict")
    return chosen


def test_a_networks_drivers_stand_in_the_studys_tables(predicted, results_folder, tmp_path):
    frames, _ = frames_of(predicted, results_folder)
    row = frames["drivers"].iloc[0]
    # The model counts G: 1:95:A:G alone carries the prediction; copies 1 2 0 0.
    assert (len(frames["drivers"]), row["variant"]) == (1, "1:95:A:G") and bool(row["is_main"])
    slope = np.polyfit([1, 2, 0, 0], [1.0, 2.0, 0.5, 0.1], 1)[0]
    found = row[["effect", "gain", "carriers", "distance", "eqtl_slope"]].astype(float)
    np.testing.assert_allclose(found, [1, 1, 2, -6, slope])
    known = frames["features"].query("feature == 'linear_approximation_r'")
    assert known["source"].tolist() == ["run g"] and known["value"].item() == pytest.approx(1)
    out = tmp_path / "drivers.csv"
    said = invoke(predicted, results_folder, "drivers", "--rule", "rastogi", "--out", str(out))
    assert "1 driver in 1 gene" in str(said.output)
    assert "(r > 0.2) in 1 of 1 gene, median r 1.000" in str(said.output)
    written = pd.read_csv(out)[["variant", "type", "linear_r"]].iloc[0].tolist()
    assert written == ["1:95:A:G", "supported", 1]


def test_a_linear_models_weights_are_its_effects(predicted, results_folder):
    weights = pd.DataFrame({"gene_id": "g1", "variant": ["1:95:A:G", "1:103:A:C"]})
    linear = LinearPredictions(
        Predictions("enet", None, pd.Series(dtype=float)),
        pd.DataFrame(),
        {},
        weights.assign(weight=[0.5, -0.1]),
    )
    made = replace(read_inputs(predicted, results_folder), linear=(linear,))
    (gene,) = drivers.attributed(made, ["enet"])
    np.testing.assert_allclose(gene.prediction, [0.5, 0.9, 0, 0])
    # Weights that were trained on private people stay where they are.
    for kept, there in (("private", False), ("shareable", True)):
        made.cohort.study = predicted.model_copy(update={"weights": kept})
        assert ("enet" in set(drivers.make(made).frame["run_id"])) == there


def test_effects_that_lack_are_an_error_that_names_the_command(study, model, results_folder):
    invoke(study, results_folder, "predict")
    with pytest.raises(HowfarError, match="howfar effects"):
        invoke(study, results_folder, "drivers", "--run", "g")
