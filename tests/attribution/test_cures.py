"""Cures of a network that has the sizes of effects right and their signs wrong."""

from dataclasses import replace

import numpy as np
import pytest

from howfar.attribution import cures
from howfar.linear.folds import by_population, nested

PEOPLE, VARIANTS, GENES = 240, 30, 12
_OF_PEOPLE = ("network", "features", "x", "y", "weighted")


def gene(number, switch):
    """A gene whose network is right about everything but the switch."""
    rng = np.random.default_rng(number)
    x = rng.binomial(2, rng.uniform(0.1, 0.5, VARIANTS), (PEOPLE, VARIANTS)).astype(float)
    effects = np.zeros(VARIANTS)
    effects[:4] = rng.uniform(0.2, 0.5, 4)
    network = x @ effects
    y = switch * network + rng.normal(0, 2 * network.std(), PEOPLE)
    features = np.column_stack([network, rng.normal(0, 0.1, (PEOPLE, 3))])
    near = np.arange(VARIANTS) < 20
    seen, weighted = number < 8, 1 + 2 * network  # a readout of the same track
    return cures.GeneData(f"g{number}", 0.0, network, features, x, effects, near, y, seen, weighted)


@pytest.fixture(scope="module")
def data():
    return [gene(i, 1 if i % 4 else -1) for i in range(GENES)]


@pytest.fixture(scope="module")
def mean(data):
    groups = np.repeat(["EUR", "AFR"], [160, 80])
    splits = {cures.PEOPLE: nested(PEOPLE, 5, 1)}
    splits["AFR, trained on EUR"] = by_population(groups, "EUR", "AFR", None, 1)
    table = cures.compare(data, splits, cures.Options())
    assert len(table) == 2 * GENES * len(cures.LABELS) and table["r"].notna().all()
    return table.groupby(["split", "method"])["r"].mean()


def test_people_mend_the_sign(mean):
    for split in ("AFR, trained on EUR", cures.PEOPLE):
        r = mean[split]
        assert r[cures.TOLD] > 0.4 and r[cures.TOLD] > r[cures.NETWORK] + 0.1
        assert r[cures.PRIOR] > r[cures.BLUP] + 0.03
        assert r[cures.TRACKS] == pytest.approx(r[cures.NETWORK])


def test_pooled_weights_fall_back_to_the_network():
    """Where switches are tossed, other genes teach no track: the network's r on any gene."""
    data = [gene(i, 1 if i % 2 else -1) for i in range(GENES)]
    split = nested(PEOPLE, 5, 1)
    pooled = cures.Pooled(split, 4)
    for each in data[:8]:
        pooled.add(each)
    for each in data[8:]:
        for _, here in split.parts:
            r = np.corrcoef(pooled.predict(each)[here], each.network[here])[0, 1]
            assert r == pytest.approx(1, abs=1e-9)


def test_pooled_weights_learn_what_genes_share():
    """A network blind to a track that acts in every gene: weights of seen genes serve unseen."""
    data = []
    for i in range(30):
        each, rng = gene(i, 1), np.random.default_rng(i)
        blind = rng.normal(size=PEOPLE)
        data.append(replace(each, network=blind, seen=i < 20))
    split = nested(PEOPLE, 5, 1)
    table = cures.compare(data, {cures.PEOPLE: split}, cures.Options())
    r = table[~table["seen"]].groupby("method")["r"].mean()
    assert r[cures.POOLED] > 0.3 and abs(r[cures.NETWORK]) < 0.1


def test_nobody_is_predicted_by_their_own_expression(data):
    """Another value of one person changes no prediction of that person."""
    split, first = nested(PEOPLE, 5, 1), data[0]
    y = first.y.copy()
    y[7] += 10
    before = cures.predictions(first, split, cures.Options())
    after = cures.predictions(replace(first, y=y), split, cures.Options())
    for name, values in before.items():
        assert values[7] == after[name][7], name
        assert np.allclose(values, after[name]) == (name == cures.RANDOM), name


def test_people_without_expression_are_left_out(data):
    """The others' values are those of a cohort without them."""
    first, groups = data[0], np.repeat(["EUR", "AFR"], [160, 80])
    split = by_population(groups, "EUR", "AFR", None, 1)
    missing = replace(first, y=np.where(np.arange(PEOPLE) % 9 == 0, np.nan, first.y))
    measured = np.isfinite(missing.y)
    fewer = {name: getattr(first, name)[measured] for name in _OF_PEOPLE}
    fewer = replace(first, **fewer)
    without = by_population(groups[measured], "EUR", "AFR", None, 1)
    tables = [
        cures.compare([gene], {"AFR": parts}, cures.Options())
        for gene, parts in ((missing, split), (fewer, without))
    ]
    np.testing.assert_allclose(tables[0]["r"], tables[1]["r"], atol=1e-9)


def test_the_two_largest_populations_are_compared():
    groups = np.repeat(["AFR", "EUR", "EAS"], [5, 9, 3])
    options = cures.with_populations(cures.Options(), groups)
    assert (options.source, options.target) == ("EUR", "AFR")
    assert cures.with_populations(cures.Options(), groups[:5]).source == ""
