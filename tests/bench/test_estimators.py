"""The trial of the estimators: its committed table again, cut off, and with estimators broken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers.places import ROOT
from howfar import stats
from howfar.bench import estimators
from howfar.bench.estimators import disagreement, measure, off, rows_of, simulated
from howfar.bench.trials import SHOWN, trials
from howfar.eqtl import gene as eqtl_gene
from howfar.eqtl import lead
from howfar.linear import reml
from howfar.published import rastogi2024_causal
from howfar.stacking import compare
from howfar.stats import null

KEPT = pd.read_csv(ROOT / "data" / "measured" / "estimators.csv")
TRIALS = {trial.truth: trial for trial in trials()}
#: p of chance, with about 300 comparisons.
CHANCE = 1e-6


def again(truth: str, simulations: int, seed: int = 99) -> pd.DataFrame:
    trial = TRIALS[truth]
    return rows_of(trial, simulated(trial, seed, simulations))


def test_the_committed_table_is_of_these_trials():
    assert list(dict.fromkeys(KEPT["truth"])) == list(TRIALS)
    sizes = KEPT.groupby("truth")["simulations"].unique()
    assert all(list(sizes[truth]) == [trial.simulations] for truth, trial in TRIALS.items())
    assert set(KEPT["estimator"]) <= set(SHOWN)
    assert KEPT["date"].notna().all()


def test_few_simulations_give_what_the_committed_table_says():
    sizes = {truth: trial.simulations for truth, trial in TRIALS.items()}
    few = {truth: n // 100 if n > 5000 else max(3, n // 500) for truth, n in sizes.items()}
    found = [again(truth, n) for truth, n in few.items()]
    found = pd.concat(found, ignore_index=True)
    both = disagreement(KEPT, found)
    assert len(both) >= len(found) > 0.95 * len(KEPT)
    assert both["shares"].notna().sum() > 100 and both["biases"].notna().sum() > 80
    unlike = both[(both["shares"] < CHANCE) | (both["biases"] < CHANCE**1.5)]  # skewed errors
    assert unlike.empty, unlike


def _narrow(function, by: float = 0.4):
    def narrowed(*args, **options):
        low, high = function(*args, **options)
        middle, half = (low + high) / 2, (high - low) / 2
        return middle - by * half, middle + by * half

    return narrowed


def _in_sample(dosages, expression, *_, **options):
    basis = lead.covariate_basis(None, len(expression))
    best = np.nanargmax(np.abs(lead.scan(dosages, expression, basis).r))
    return np.sign(np.corrcoef(dosages[:, best], expression)[0, 1]) * dosages[:, best], None


def _first_pair(chance, weights):
    return np.repeat(chance[0].mean(), len(weights))


BROKEN = {
    "Fisher's interval": (
        stats,
        "fisher_interval",
        _narrow(stats.fisher_interval),
        "r 0.2, 50 people",
    ),
    "the block bootstrap": (
        stats,
        "block_bootstrap",
        _narrow(stats.block_bootstrap),
        "200 independent genes in 22 blocks",
    ),
    "the clustered share": (
        stats,
        "clustered_share_interval",
        _narrow(stats.clustered_share_interval),
        "share 0.6, 12 genes of 10 variants, alike by 0.3",
    ),
    "the null's draws": (
        null,
        "gene_null",
        lambda *args, **options: gene_null(*args, **options) / 2,
        "r 0, prediction: random weights on the gene's variants",
    ),
    "REML": (
        reml,
        "heritability",
        lambda *args: replace(heritability(*args), h2=heritability(*args).h2 / 2),
        "h² 0.5, 100 people, 100 variants",
    ),
    "the lead SNP out of fold": (
        lead,
        "lead_snp_prediction",
        _in_sample,
        "r 0 of one causal variant of 100, 300 people",
    ),
    "the permutations": (
        eqtl_gene,
        "best_r2",
        lambda *args: best_r2(*args) / 2,
        "no eQTL, 50 people, normal expression",
    ),
    "the area under the ROC curve": (
        rastogi2024_causal,
        "auroc",
        _first_pair,
        "area 0.98, 100 pairs",
    ),
    "stacking's r of people": (
        compare,
        "r_people",
        lambda *args: r_people(*args) / 2,
        "r 0.3, 40 genes of 60 people, 22 blocks",
    ),
    "the t test": (
        stats,
        "correlation_p",
        lambda r, df: correlation_p(r, 3 * df),
        "r 0, 10 people, normal expression",
    ),
}
gene_null, heritability, best_r2 = null.gene_null, reml.heritability, eqtl_gene.best_r2
r_people, correlation_p = compare.r_people, stats.correlation_p


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_estimator_is_caught(monkeypatch, name):
    module, attribute, broken, truth = BROKEN[name]
    simulations = {"stacking's r of people": 20, "the t test": 300}.get(name, 60)
    monkeypatch.setattr(module, attribute, broken)
    found = disagreement(KEPT, again(truth, simulations))[["shares", "biases"]]
    assert found.min(axis=None) < CHANCE


def test_a_run_that_was_killed_goes_on(tmp_path, monkeypatch):
    few = [replace(trial, simulations=5) for trial in list(TRIALS.values())[:3]]
    whole = measure(tmp_path / "whole.csv", few, say=str)

    def killed(text):
        if text.startswith("2/3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(tmp_path / "cut.csv", few, say=killed)
    said = []
    table = measure(tmp_path / "cut.csv", few, say=said.append)
    assert said == [f"3/3 {few[2].truth}"]
    pd.testing.assert_frame_equal(table, whole)
    monkeypatch.setattr(estimators, "versions_of", lambda *layers: {"stats": 99})
    measure(tmp_path / "cut.csv", few, say=said.append)
    assert len(said) == 4  # of other versions nothing is taken up


def test_what_is_surely_not_as_said_is_marked():
    row = {"judged": 1000, "says": 0.95, "observed": 0.95}
    table = pd.DataFrame([row, row | {"observed": 0.9}, row | {"judged": 0, "observed": np.nan}])
    assert off(table).tolist() == [False, True, False]
