"""Estimators against scipy and statsmodels, and against what they claim over repeated draws."""

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats as reference

from howfar import stats
from howfar.core.errors import HowfarError

# warnings of this module are errors; sockets that another test left open are not its concern
pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")

# Few distinct values, so that ties, constant rows and missing cells are common.
cells = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6), st.just(float("nan")))
shapes = st.tuples(st.integers(1, 4), st.integers(1, 12))


@st.composite
def matrices(draw):
    shape = draw(shapes)
    return draw(hnp.arrays(float, shape, elements=cells)), draw(
        hnp.arrays(float, shape, elements=cells)
    )


@settings(max_examples=150, deadline=None)
@given(matrices())
def test_rows_agree_with_scipy_whatever_is_missing(pair):
    x, y = pair
    for ours, theirs in (
        (stats.pearson_rows, reference.pearsonr),
        (stats.spearman_rows, reference.spearmanr),
    ):
        r, n = ours(x, y)
        for i in range(len(x)):
            given_ = ~(np.isnan(x[i]) | np.isnan(y[i]))
            a, b = x[i, given_], y[i, given_]
            assert n[i] == given_.sum()
            if n[i] < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
                assert np.isnan(r[i])
                continue
            # Values that differ by rounding only are constant to us; scipy warns of them.
            small = min(np.ptp(a) / np.abs(a).max(), np.ptp(b) / np.abs(b).max())
            assume(small > 1e-9 and min(np.ptp(a), np.ptp(b)) > 1e-100)
            assert r[i] == pytest.approx(theirs(a, b).statistic, abs=1e-7)


def test_a_vector_serves_every_row_and_shapes_are_checked():
    x = np.random.default_rng(0).normal(size=(3, 10))
    r, n = stats.pearson_rows(x, x[0])
    assert r[0] == pytest.approx(1) and n.tolist() == [10, 10, 10]
    with pytest.raises(HowfarError, match=r"\(3, 10\) and \(2, 10\)"):
        stats.pearson_rows(x, x[:2])
    with pytest.raises(HowfarError, match="infinite"):
        stats.pearson_rows(x, np.where(x == x[0, 0], np.inf, x))


def test_a_constant_row_has_no_correlation_but_keeps_its_n():
    # 0.1 is not exact in binary: its mean differs from it by rounding.
    r, n = stats.pearson_rows(np.full((1, 7), 0.1), np.arange(7.0))
    assert np.isnan(r[0]) and n[0] == 7
    tiny = 1.0 + 1e-6 * np.arange(7)
    assert stats.pearson_rows(tiny, np.arange(7.0))[0][0] == pytest.approx(1)
    huge = np.arange(7.0) * 1e200
    assert stats.pearson_rows(huge, np.arange(7.0) * 1e-200)[0][0] == pytest.approx(1)


@pytest.mark.parametrize("n", [3, 10, 421])
def test_p_is_scipys(n):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(50, n)), rng.normal(size=(50, n))
    r, _ = stats.pearson_rows(x, y)
    expected = [reference.pearsonr(a, b).pvalue for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(stats.correlation_p(r, n - 2), expected, rtol=1e-9)
    np.testing.assert_allclose(
        stats.correlation_log10p(r, n - 2), -np.log10(expected), rtol=1e-9, atol=1e-12
    )


def test_a_tiny_p_is_never_zero_and_its_logarithm_is_right():
    mpmath = pytest.importorskip("mpmath")
    for r, df in ((0.95, 800), (0.99, 2000), (0.9, 1500), (0.999999, 60), (0.7, 2200)):
        x = mpmath.mpf(1) - mpmath.mpf(r) ** 2
        exact = mpmath.betainc(mpmath.mpf(df) / 2, 0.5, 0, x, regularized=True)
        log10 = float(-mpmath.log10(exact))
        assert stats.correlation_log10p(r, df) == pytest.approx(log10, rel=1e-8)
        assert stats.correlation_p(r, df) > 0
    assert stats.correlation_p(1.0, 10) > 0
    assert np.isnan(stats.correlation_p(0.5, 0))
    assert stats.correlation_log10p(0.0, 10) == 0


def test_fisher_interval_is_scipys():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=30), rng.normal(size=30)
    found = reference.pearsonr(x, y)
    expected = found.confidence_interval(0.9)
    low, high = stats.fisher_interval(found.statistic, 30, 0.9)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert np.isnan(stats.fisher_interval(0.2, 3)[0])


@pytest.mark.parametrize("rho", [0.0, 0.5, -0.8])
def test_fisher_interval_covers(rho):
    rng = np.random.default_rng(7)
    x = rng.normal(size=(4000, 40))
    y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=x.shape)
    r, n = stats.pearson_rows(x, y)
    low, high = stats.fisher_interval(r, n)
    covered = ((low <= rho) & (rho <= high)).sum()
    assert reference.binomtest(int(covered), 4000, 0.95).pvalue > 0.001


@given(
    hnp.arrays(float, st.integers(1, 30), elements=st.floats(0, 1, allow_subnormal=False)),
    st.randoms(),
)
def test_benjamini_hochberg_is_scipys_and_passes_over_missing(p, random):
    expected = reference.false_discovery_control(p)
    np.testing.assert_allclose(stats.benjamini_hochberg(p), expected, rtol=1e-12)
    place = random.randint(0, len(p))
    holed = stats.benjamini_hochberg(np.insert(p, place, np.nan))
    assert np.isnan(holed[place])
    np.testing.assert_allclose(np.delete(holed, place), expected, rtol=1e-12)


def test_smallest_detectable_r_has_the_power_it_promises():
    n, rng = 80, np.random.default_rng(3)
    rho = stats.smallest_detectable_r(n)
    x = rng.normal(size=(4000, n))
    y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=x.shape)
    power = (stats.correlation_p(stats.pearson_rows(x, y)[0], n - 2) < 0.05).mean()
    assert power == pytest.approx(0.8, abs=0.03)
    assert np.isnan(stats.smallest_detectable_r(3))


def test_centring_within_groups_leaves_no_group_difference():
    rng = np.random.default_rng(0)
    groups = np.array(["a", "b", "a", "b", "c"])
    x = rng.normal(size=(6, 5)) + (groups == "b") * 10
    x[0, 0] = x[1] = np.nan
    centred = stats.centre_within(x, groups)
    assert np.array_equal(np.isnan(centred), np.isnan(x))
    for group in "abc":
        np.testing.assert_allclose(np.nansum(centred[:, groups == group], axis=1), 0, atol=1e-12)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.integers(0, 99))
def test_permuting_within_groups_moves_nobody_out_of_one(groups, seed):
    groups = np.array(groups)
    moved = stats.permute_within(np.arange(len(groups)), groups, np.random.default_rng(seed))
    assert sorted(moved) == list(range(len(groups)))
    assert (groups[moved] == groups).all()


# --- bootstrap -------------------------------------------------------------------------------


@pytest.mark.parametrize("statistic", [stats.weighted_pearson, stats.weighted_spearman])
@pytest.mark.parametrize("digits", [0, 1, 8])
def test_sums_over_blocks_give_what_weights_give(statistic, digits):
    rng = np.random.default_rng(digits)
    for genes, blocks in ((7, 3), (60, 5), (400, 30)):
        pairs = np.round(rng.normal(size=(genes, 2)) * [1e-6, 1e3] + [5e-6, 0], 6 + digits)
        pairs[:, 1] = np.round(pairs[:, 1] + 2e8 * pairs[:, 0], digits)
        code = rng.integers(0, blocks, genes)
        fast = stats.block_bootstrap(pairs, code, statistic, 400, 3, weighted=True)
        slow = stats.block_bootstrap(
            pairs, code, lambda p, w: statistic(p, w), 400, 3, weighted=True
        )
        np.testing.assert_allclose(fast, slow, atol=1e-9)


@pytest.mark.parametrize("statistic", [stats.weighted_pearson, stats.weighted_spearman])
def test_a_constant_side_has_no_interval_by_sums_over_blocks(statistic):
    pairs = np.column_stack([np.full(30, 0.1), np.arange(30.0)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy warns of quantiles of nothing
        found = stats.block_bootstrap(pairs, np.arange(30) % 6, statistic, 50, 1, weighted=True)
    assert np.isnan(found).all()


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(float, st.tuples(st.integers(2, 15), st.just(2)), elements=st.integers(-4, 4)),
    st.integers(0, 99),
)
def test_weighted_statistics_are_those_of_the_repeated_rows(pairs, seed):
    weights = np.random.default_rng(seed).integers(0, 3, len(pairs))
    assume(weights.sum() >= 3)
    rows = np.repeat(pairs, weights, axis=0)
    w = weights[None].astype(float)
    assert stats.weighted_mean(pairs[:, 0], w)[0] == pytest.approx(rows[:, 0].mean())
    assert stats.weighted_median(pairs[:, 0], w)[0] == np.median(rows[:, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns of constant rows
        expected = (reference.pearsonr(*rows.T)[0], reference.spearmanr(*rows.T)[0])
    assert stats.weighted_pearson(pairs, w)[0] == pytest.approx(expected[0], nan_ok=True)
    assert stats.weighted_spearman(pairs, w)[0] == pytest.approx(expected[1], nan_ok=True)


def test_both_ways_of_resampling_give_the_same_interval():
    rng = np.random.default_rng(0)
    values, blocks = rng.normal(size=60), rng.integers(0, 9, 60)
    slow = stats.block_bootstrap(values, blocks, np.mean, 300, seed=4)
    fast = stats.block_bootstrap(values, blocks, stats.weighted_mean, 300, seed=4, weighted=True)
    assert slow == pytest.approx(fast)
    holed = stats.block_bootstrap(
        np.append(values, np.nan), np.append(blocks, 99), draws=300, seed=4
    )
    assert holed == pytest.approx(slow)
    assert np.isnan(stats.block_bootstrap(values, np.zeros(60))[0])


def test_block_bootstrap_covers_a_mean_of_dependent_genes():
    rng, worlds, hits, naive = np.random.default_rng(5), 600, 0, 0
    blocks = np.repeat(np.arange(22), 10)
    for i in range(worlds):
        values = np.repeat(rng.normal(size=22), 10) + rng.normal(size=220)
        low, high = stats.block_bootstrap(
            values, blocks, stats.weighted_mean, 400, seed=i, weighted=True
        )
        hits += low <= 0 <= high
        half = 1.96 * values.std(ddof=1) / np.sqrt(220)
        naive += abs(values.mean()) <= half
    # 400 draws and 22 blocks: allowed 2 points beside the binomial error.
    assert abs(hits / worlds - 0.95) < 0.02 + 3 * np.sqrt(0.95 * 0.05 / worlds)
    assert naive / worlds < 0.85  # genes taken as independent: far too narrow


# --- spread ----------------------------------------------------------------------------------


def _simulated(genes, mean, sd, rng, people=(80, 150)):
    rho = np.tanh(rng.normal(mean, sd, genes))
    n = rng.integers(*people, genes)
    z = np.arctanh(rho) + rng.normal(size=genes) / np.sqrt(n - 3)
    return rho, np.tanh(z), n


@pytest.mark.parametrize(("mean", "sd"), [(0.04, 0.16), (0.1, 0.3), (0.0, 0.05)])
def test_the_true_spread_is_recovered(mean, sd):
    rng = np.random.default_rng(11)
    rho, r, n = _simulated(20_000, mean, sd, rng)
    found = stats.spread(r, n, np.arange(20_000) % 22, draws=50)
    assert found.true_sd == pytest.approx(rho.std(), rel=0.05)
    assert found.mean == pytest.approx(rho.mean(), abs=0.005)
    assert found.observed_sd > found.true_sd > 0
    assert found.true_sd_ci[0] < found.true_sd < found.true_sd_ci[1]


def test_spread_of_real_correlations_not_only_of_fishers_model():
    rng = np.random.default_rng(2)
    rho = np.tanh(rng.normal(0.05, 0.2, 4000))[:, None]
    x = rng.normal(size=(4000, 60))
    y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=x.shape)
    r, n = stats.pearson_rows(x, y)
    found = stats.spread(r, n, np.arange(4000), draws=50)
    assert found.true_sd == pytest.approx(rho.std(), rel=0.06)


def test_no_spread_beyond_sampling_is_reported_as_none():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(2, 5000, 100))
    r, n = stats.pearson_rows(x, y)
    found = stats.spread(r, n, np.arange(5000) % 22, draws=200)
    assert found.observed_sd == pytest.approx(found.sampling_sd, rel=0.04)
    assert found.sampling_sd == pytest.approx(1 / np.sqrt(99), rel=0.01)
    assert found.true_sd < 0.03
    assert found.true_sd_ci[0] == 0


def test_the_interval_of_the_true_spread_covers():
    hits, worlds = 0, 200
    for i in range(worlds):
        _, r, n = _simulated(400, 0.05, 0.15, np.random.default_rng(i))
        low, high = stats.spread(r, n, np.arange(400) % 40, draws=300, seed=i).true_sd_ci
        truth = 0.15 * 0.976  # SD of tanh of N(0.05, 0.15)
        hits += low <= truth <= high
    assert abs(hits / worlds - 0.95) < 0.02 + 3 * np.sqrt(0.95 * 0.05 / worlds)


def test_spread_needs_two_genes():
    found = stats.spread(np.array([0.1, np.nan]), np.array([50, 50]), np.array(["a", "b"]))
    assert found.genes == 1 and np.isnan(found.true_sd)
