"""What needs a known truth, on a small simulated world and on numbers made here."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from howfar.cohort.known_values import true_values
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.evaluation import known_truth
from howfar.evaluation.across import across_table
from howfar.evaluation.individuals import individuals_table
from howfar.evaluation.known_truth import (
    TRUTH,
    false_positive_rates,
    null_p_values,
    sign_errors,
    truth_folder,
    variant_effects,
)
from howfar.results.predictions import Predictions
from howfar.simulate.demo import world
from howfar.study.reading import load_study

YAML = """
name: small
title: A small world
individuals: public
reality: {{genotypes: simulated, expression: simulated, weights: none}}
simulate: {{world: demo, seed: 3}}
cohort:
  reference: {0}/reference.fa
  variants: {0}/variants.vcf.gz
  genes: {0}/genes.csv
  expression: {0}/expression.bed.gz
  samples: {0}/samples.csv
  alleles: all
evaluation: {{cis_window: 8192}}
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A world of 24 genes and 120 people with two runs: the truth, and its negative."""
    folder = tmp_path_factory.mktemp("world")
    world.simulate(folder, seed=3, people=120, genes=24)
    (folder / "small.yaml").write_text(YAML.format(folder))
    study = load_study(str(folder / "small.yaml"))
    panel = OpenCohort(study).panel()
    values = true_values(study)
    nothing = pd.Series(np.nan, index=values.index)
    signs = {"right": 1, "flipped": -1, TRUTH: 1}
    runs = [Predictions(name, sign * values, nothing) for name, sign in signs.items()]
    frame = individuals_table(panel, runs)
    return study, panel, runs, frame


def test_effects_of_a_linear_prediction_are_recovered():
    rng = np.random.default_rng(1)
    dosages = rng.integers(0, 3, (80, 6)).astype(float)
    dosages[:, 5] = dosages[:, 4]  # always inherited together
    effects = np.array([1.0, -2.0, 0.0, 0.5, 3.0, 0.0])
    found, determined = variant_effects(dosages @ effects + 7, dosages)
    assert determined.tolist() == [True] * 4 + [False] * 2
    np.testing.assert_allclose(found[:4], effects[:4], atol=1e-9)
    assert found[4] + found[5] == pytest.approx(3.0)


def test_signs_of_the_truth_and_of_its_negative(small):
    study, panel, _, people = small
    effects = known_truth.signs(study, people, panel)
    assert set(effects["class"]) <= {"promoter", "enhancer"}
    errors = sign_errors(effects, panel.genes, draws=50).set_index(["run_id", "class"])
    right, flipped = errors.loc[("right", "all")], errors.loc[("flipped", "all")]
    assert right["n"] == flipped["n"] > 20
    # Interactions and the logarithm of a mean make a few effects on people differ in sign from
    # the effect on the reference alone; the negative has exactly the others wrong.
    assert right["share_wrong"] < 0.2
    assert flipped["share_wrong"] == pytest.approx(1 - right["share_wrong"])


def test_only_the_calibrated_rule_keeps_its_rate(small):
    study, panel, _, people = small
    p = null_p_values(study, people, "right", panel, draws=500)
    rates = false_positive_rates(p).set_index("rule")
    assert rates.loc["calibrated", "ci_low"] <= 0.05 <= rates.loc["calibrated", "ci_high"]
    assert rates.loc["standard_error", "rate"] > 0.2
    assert rates.loc["standard_error", "ci_low"] > 0.05
    assert (rates["n"] == 24).all()


def test_false_positive_rates_count_and_bound():
    p = pd.DataFrame({"rule": "a", "p": [0.01] * 5 + [0.5] * 95})
    row = false_positive_rates(p).iloc[0]
    assert (row["n"], row["rate"]) == (100, 0.05)
    # Clopper-Pearson of 5 in 100, from published tables.
    assert row["ci_low"] == pytest.approx(0.0164, abs=5e-4)
    assert row["ci_high"] == pytest.approx(0.1128, abs=5e-4)


def test_known_values_are_recovered(small):
    study, panel, runs, _ = small
    across = across_table(panel, runs[-1:], draws=200)
    found = known_truth.recovered(study, across, panel.genes, draws=200)
    mean = found.iloc[0]
    assert mean["ci_low"] <= mean["known"] <= mean["ci_high"]
    share = found.iloc[2]
    assert share["ci_low"] <= 0.95 <= share["ci_high"]
    assert (found["n"] == 24).all()


def test_a_study_without_truth_is_refused():
    with pytest.raises(HowfarError, match="no known truth"):
        truth_folder(load_study("sasse2023"))
