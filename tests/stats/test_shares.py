"""The interval of a share whose hits come in clusters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from howfar.stats import clustered_share_interval


def test_clusters_of_one_are_independent_trials():
    hits = np.arange(2000) < 140
    exact = stats.binomtest(140, 2000).proportion_ci()
    assert clustered_share_interval(hits, np.ones(2000)) == pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize(("hits", "ends"), [(0, (0, 0.0362)), (100, (0.9638, 1))])
def test_none_and_all_have_the_exact_interval(hits, ends):
    found = clustered_share_interval(np.full(20, hits / 20), np.full(20, 5))
    assert found == pytest.approx(ends, abs=1e-4)


def test_members_that_share_their_fate_count_once():
    fate = np.arange(200) < 30
    once, many = (clustered_share_interval(fate * k, np.full(200, k)) for k in (1, 50))
    assert many == pytest.approx(once, abs=2e-3)
    naive = stats.binomtest(1500, 10_000).proportion_ci()
    assert np.diff(many)[0] > 5 * (naive.high - naive.low)


def test_empty_clusters_count_for_nothing_and_one_has_no_interval():
    assert clustered_share_interval([3, 1, 0], [5, 4, 0]) == clustered_share_interval(
        [3, 1], [5, 4]
    )
    assert np.isnan(clustered_share_interval([3, 0], [5, 0])).all()
