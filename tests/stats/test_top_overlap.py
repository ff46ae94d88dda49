"""Overlap of two rankings: against plain sets, and against chance worked out another way."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from howfar.core.errors import HowfarError
from howfar.results import tables
from howfar.stats import top_overlap
from howfar.stats.top_overlap import by_chance, rank_agreement, shuffled_p

scores = st.lists(st.one_of(st.integers(-5, 5), st.just(float("nan"))), min_size=1, max_size=30)


@given(st.data(), scores)
def test_shared_is_the_size_of_the_intersection(data, first):
    second = data.draw(st.permutations(first))
    sizes = [1, 3, len(first)]
    for size, count in zip(sizes, top_overlap.shared(first, second, sizes), strict=True):
        both = top_overlap.top(first, size) & top_overlap.top(second, size)
        assert count == both.sum()


@given(scores, st.integers(1, 30))
def test_top_holds_the_highest_and_never_a_missing_score(score, size):
    score = np.array(score, float)
    chosen = top_overlap.top(score, size)
    given_scores = score[~np.isnan(score)]
    assert chosen.sum() == min(size, len(given_scores))
    assert not np.isnan(score[chosen]).any()
    if 0 < chosen.sum() < len(given_scores):
        assert score[chosen].min() >= given_scores[~chosen[~np.isnan(score)]].max()


def test_ties_keep_their_order():
    assert top_overlap.top(np.array([1.0, 2, 2, 2]), 2).tolist() == [False, True, True, False]


def test_chance_is_what_random_lists_give():
    rng = np.random.default_rng(1)
    drawn = [top_overlap.shared(rng.random(60), rng.random(60), [20])[0] for _ in range(4000)]
    mean, low, high = (v[0] for v in by_chance(60, [20]))
    assert np.mean(drawn) == pytest.approx(mean, abs=4 * np.std(drawn) / np.sqrt(4000))
    assert (np.quantile(drawn, 0.025), np.quantile(drawn, 0.975)) == (low, high)


def test_turning_keeps_the_runs_and_their_mean_is_that_of_chance():
    rng = np.random.default_rng(2)
    first, second = np.cumsum(rng.normal(size=(2, 50)), axis=1)
    turned = top_overlap.rotated(first, second, [10])
    assert turned.shape == (49, 1)
    everything = [*turned[:, 0], top_overlap.shared(first, second, [10])[0]]
    assert np.mean(everything) == pytest.approx(10 * 10 / 50)
    assert turned.std() > np.sqrt(10 * 0.2 * 0.8)  # like values in runs: wider than at random


def test_a_combined_score_overlaps_with_p_though_effects_are_noise():
    rng = np.random.default_rng(3)
    effect, log10p = rng.normal(size=400), rng.exponential(size=400)
    alone = top_overlap.shared(np.abs(effect), log10p, [50])[0]
    mixed = top_overlap.shared(top_overlap.combined(effect, log10p), log10p, [50])[0]
    assert alone < 12 < 20 < mixed
    chance = top_overlap.shuffled(effect, log10p, [50], draws=200)[:, 0]
    assert np.quantile(chance, 0.01) <= mixed <= np.quantile(chance, 0.99)


def test_p_of_the_combined_score_is_small_only_with_a_signal():
    rng = np.random.default_rng(6)
    log10p = rng.exponential(size=300)
    noise = rng.normal(size=300)
    assert shuffled_p(log10p + 0.1 * noise, log10p, 40, 200, 1) == pytest.approx(1 / 201)
    many = [shuffled_p(rng.permutation(noise), log10p, 40, 60, i) for i in range(40)]
    assert 0.3 < np.mean(many) < 0.75


def test_one_value_for_all_is_refused():
    with pytest.raises(HowfarError, match="one value"):
        top_overlap.unit(np.ones(5))


def effects(rng: np.random.Generator, signal: float = 0.0) -> pd.DataFrame:
    """Two runs; the first follows -log10 p by `signal`."""
    log10p = rng.exponential(size=300)
    rows = pd.DataFrame({"variant": [f"v{i}" for i in range(300)], "p": 10**-log10p})
    rows = rows.assign(gene_id="g", source="s", distance=np.arange(300) * 20_000.0)
    first = signal * log10p + np.abs(rng.normal(size=300))
    parts = [rows.assign(run_id="a", effect=first), rows.assign(run_id="b", effect=first[::-1])]
    return pd.concat(parts, ignore_index=True)


def test_curves_are_rows_of_summary_and_see_a_signal():
    rows = top_overlap.curves(effects(np.random.default_rng(4), signal=2.0), sizes=(10, 50))
    tables.validate("summary", rows, "test")
    at = rows[rows["x"] == 50].set_index(["set", "method", "group"])
    seen = at.loc[("overlap", "a", "model"), "value"]
    assert seen > at.loc[("overlap_rotated", "a", "model"), "ci_high"]
    other = at.loc[("overlap", "b", "model"), "value"]
    assert other <= at.loc[("overlap_rotated", "b", "model"), "ci_high"]
    assert at.loc[("overlap_random", "b", "model"), "value"] == pytest.approx(2500 / 300)


def test_rank_agreement_has_an_interval_that_holds_its_value():
    found = rank_agreement(effects(np.random.default_rng(5), signal=2.0))
    assert found["run_id"].tolist() == ["a", "b"] and (found["n"] == 300).all()
    assert (found["ci_low"] < found["rho"]).all() and (found["rho"] < found["ci_high"]).all()
    assert found["ci_low"][0] > 0.4
