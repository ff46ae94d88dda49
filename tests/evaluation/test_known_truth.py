"""What needs a known truth, on a small simulated world and on numbers made here."""

from __future__ import annotations

from dataclasses import replace

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
    sign_shares,
    truth_folder,
    variant_effects,
)
from howfar.linear.baseline import fit_linear
from howfar.results.predictions import Predictions
from howfar.simulate.demo import world
from howfar.study.reading import load_study

YAML = """
name: small
title: A small world
individuals: public
reality: {{genotypes: simulated, expression: simulated, weights: none}}
simulate: {{world: demo, setting: kind, seed: 3}}
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


def test_peaks_of_the_world_are_a_cohort_with_its_own_truth(small):
    """Measured accessibility is the truth plus the noise that the table of peaks states."""
    study = small[0]
    folder = study.cohort.reference.parent
    files = {"genes": folder / "peaks.csv", "expression": folder / "peaks.bed.gz"}
    peaks = study.model_copy(update={"cohort": study.cohort.model_copy(update=files)})
    cohort, truth = OpenCohort(peaks), true_values(peaks)
    observed = cohort.panel().expression
    assert len(observed) == 5 * 24 and truth.shape == observed.shape
    noise = (observed - truth.loc[observed.index, observed.columns]).std(axis=1)
    stated = pd.read_csv(files["genes"]).set_index("gene_id")["sd_noise"]
    ratio = noise / stated[noise.index]
    assert abs(ratio.mean() - 1) < 0.03 and ratio.between(0.7, 1.3).all()


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
    effects = known_truth.signs(study, people, panel, {}, 0.0)
    assert set(effects["class"]) <= {"promoter", "enhancer"}
    shares = sign_shares(effects, panel.genes, draws=50).set_index(["run_id", "class", "share"])
    right, flipped = (shares["value"].xs(run) for run in ("right", "flipped"))
    assert shares["n"].xs(("all", "none"), level=[1, 2]).nunique() == 1
    # Interactions and the logarithm of a mean make a few effects on people differ in sign from
    # the effect on the reference alone; the negative has exactly the others wrong.
    assert right["all", "wrong"] < 0.2
    assert flipped["all", "wrong"] == pytest.approx(right["all", "right"])
    assert right[known_truth.BY_VARIANCE, "wrong"] < right["all", "wrong"]


def test_a_network_gives_no_sign_to_what_it_does_not_see(small):
    study, panel, _, people = small
    tss = panel.genes.set_index("gene_id")["tss"]
    effects = known_truth.signs(study, people, panel, {}, 0.0, {"right": 2_000})
    place = effects["variant"].str.split(":").str[1].astype(int)
    away = (place - effects["gene_id"].map(tss)).abs() > 1_000
    right = effects["run_id"] == "right"
    assert (right & away).sum() > 20
    assert (effects.loc[right & away, "given"] == 0).all()
    assert (effects.loc[right & ~away, "given"] != 0).mean() > 0.9
    assert (effects.loc[(effects["run_id"] == "flipped") & away, "given"] != 0).mean() > 0.9


def test_a_study_without_models_has_no_signs(small):
    study, panel, runs, people = small
    across = across_table(panel, runs[-1:], draws=100)  # of the truth, which is always there
    rows = known_truth.summary_rows(study, panel, people.iloc[:0], across, [], {})
    assert not rows["set"].astype(str).str.startswith(known_truth.SIGNS).any()


def test_who_ranks_people_knows_most_signs(small):
    """A linear model with a clear mean r cannot have half of the signs wrong."""
    study, panel, runs, people = small
    fit = fit_linear(OpenCohort(study), "blup", folds=3)
    r = across_table(replace(panel, dosages=None), [fit.predictions]).query("population=='pooled'")
    people = pd.concat([people, individuals_table(panel, [fit.predictions])])
    effects = known_truth.signs(study, people, panel, {"blup": fit.weights}, 0.05)
    assert effects.groupby("run_id").size().nunique() == 1  # the same variants
    shares = sign_shares(effects, panel.genes, draws=50).set_index(["run_id", "class", "share"])
    assert r["pearson"].mean() > 0.2
    blup = shares.loc["blup"]
    assert blup.loc[("all", "wrong_of_given"), "ci_high"] < 0.5
    assert blup.loc[(known_truth.BY_VARIANCE, "wrong_of_given"), "value"] < 0.2
    known = pd.read_csv(truth_folder(study) / "truth_variants.csv").query("causal")
    both = known.merge(fit.weights, on=["gene_id", "variant"])
    both = both.merge(effects.query("run_id == 'blup'")[["gene_id", "variant"]])
    wrong = (np.sign(both["effect_a"]) != np.sign(both["weight"])).mean()
    assert blup.loc[("all", "wrong_of_given"), "value"] == pytest.approx(wrong)


def test_the_t_test_keeps_its_rate_and_the_own_null_that_of_random_weights(small):
    _, panel, _, people = small
    p = null_p_values(people, "right", panel, draws=999, repeats=20)
    rates = false_positive_rates(p, [0.05, 0.002]).set_index(["rule", "level"])
    assert (rates["n"] == 24 * 20).all()
    for level in (0.05, 0.002):
        row = rates.loc[("t_test", level)]
        assert row["ci_low"] <= level <= row["ci_high"]
    assert rates.loc[("standard_error", 0.05), "ci_low"] > 0.2
    rng = np.random.default_rng(2)
    weighted = [
        panel.dosages(g)[0] @ rng.normal(size=len(panel.dosages(g)[1]))
        for g in people["gene_id"].unique()
    ]
    own = pd.DataFrame(weighted, index=people["gene_id"].unique(), columns=panel.expression.columns)
    own = (
        own.rename_axis("gene_id")
        .reset_index()
        .melt("gene_id", var_name="sample", value_name="predicted")
    )
    p = null_p_values(own.assign(run_id="random"), "random", panel, draws=999, repeats=20)
    row = false_positive_rates(p, [0.05]).set_index("rule").loc["own_null"]
    assert 0.02 < row["rate"] < 0.1  # one weighting a gene: the rate differs between them


def test_false_positive_rates_count_and_bound():
    p = pd.DataFrame({"rule": "a", "gene_id": range(100), "p": [0.01] * 5 + [0.5] * 95})
    row = false_positive_rates(p, [0.05]).iloc[0]
    assert (row["n"], row["rate"]) == (100, 0.05)
    # Clopper-Pearson of 5 in 100, from published tables: each gene has one draw.
    assert row["ci_low"] == pytest.approx(0.0164, abs=5e-4)
    assert row["ci_high"] == pytest.approx(0.1128, abs=5e-4)
    twenty = p.loc[p.index.repeat(20)]  # the same, said twenty times
    again = false_positive_rates(twenty, [0.05]).iloc[0]
    assert again["n"] == 2000
    assert again[["ci_low", "ci_high"]].tolist() == pytest.approx(
        row[["ci_low", "ci_high"]].tolist(), abs=2e-3
    )


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
