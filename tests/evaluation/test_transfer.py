"""Training size and populations: who trains and is tested, and BLUP's expected r by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from howfar.cohort.panel import Panel
from howfar.evaluation import transfer
from howfar.evaluation.transfer import Options, Truth
from howfar.linear import fitter

OPTIONS = Options(genes=0, models=("blup",), sizes=(0.25, 1.0), draws=2, min_maf=0.05)


def genotypes(people, variants=30, seed=1):
    """Dosages with linkage disequilibrium."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(2 * people, variants))
    for j in range(1, variants):
        hidden[:, j] = 0.8 * hidden[:, j - 1] + 0.6 * hidden[:, j]
    cut = scipy_stats.norm.ppf(np.random.default_rng(9).uniform(0.15, 0.5, variants))
    alleles = (hidden < cut).astype(float)
    return alleles[:people] + alleles[people:]


def cohort(genes=8, people=160, h2=0.5, same=False):
    """A panel of two populations with different effects, or one world that BLUP describes."""
    ids = [f"G{i}" for i in range(genes)]
    samples = [f"P{i}" for i in range(people)]
    groups = pd.Series(np.where(np.arange(people) < people // 2, "EUR", "AFR"), index=samples)
    dosages, values, rows = {}, {}, {}
    for i, gene in enumerate(ids):
        rng = np.random.default_rng(100 + i)
        dosages[gene] = genotypes(people, seed=i)
        effects = np.where(rng.random(30) < 0.2, rng.normal(size=30), 0) + 0.01
        other = np.where(rng.random(30) < 0.2, rng.normal(size=30), 0) + 0.01
        if same:
            effects = other = rng.normal(size=30) / dosages[gene].std(axis=0)
        g = np.where(groups == "EUR", dosages[gene] @ effects, dosages[gene] @ other)
        values[gene] = g / g.std()
        rows[gene] = values[gene] + rng.normal(0, np.sqrt(1 / h2 - 1), people)
    table = pd.DataFrame({"gene_id": ids, "name": ids, "chrom": [f"chr{i}" for i in range(genes)],
                          "tss": 1000, "strand": "+"})  # fmt: skip
    panel = Panel(
        pd.DataFrame.from_dict(rows, orient="index", columns=samples), table, groups,
        lambda gene: (dosages[gene], [None] * 30),
    )  # fmt: skip
    value = pd.DataFrame.from_dict(values, orient="index", columns=samples)
    sd = pd.Series(np.sqrt(1 / h2 - 1), index=ids)
    return panel, Truth(value, sd, pd.Series(h2, index=ids))


@pytest.fixture(scope="module")
def rows():
    panel, truth = cohort()
    return transfer.transfer(panel, OPTIONS, truth)


def test_nobody_is_trained_on_and_tested():
    groups = np.repeat(["EUR", "AFR"], [90, 50])
    tasks = transfer.size_tasks(140, OPTIONS) + transfer.population_tasks(groups, OPTIONS)
    for task in tasks:
        for test in task.tests.values():
            assert not set(task.train) & set(test)
            assert len(set(task.train)) == len(task.train)


def test_numbers_are_matched_between_populations_and_sizes_are_nested():
    groups = np.repeat(["EUR", "AFR"], [90, 50])
    moves = transfer.population_tasks(groups, OPTIONS)
    assert {len(t.train) for t in moves} == {30}
    assert {len(p) for t in moves for p in t.tests.values()} == {20}
    for task in moves:
        assert set(groups[task.train]) == {task.name}
        assert all(set(groups[p]) == {name} for name, p in task.tests.items())
    small, large = transfer.size_tasks(140, OPTIONS)[:2]
    assert set(small.train) < set(large.train)
    np.testing.assert_array_equal(small.tests["everybody"], large.tests["everybody"])


def test_one_population_has_no_transfer():
    panel, _ = cohort(genes=3)
    alone = Panel(panel.expression, panel.genes, None, panel.dosages)
    found = transfer.transfer(alone, OPTIONS)
    assert set(found["set"]) == {transfer.TRAINING, transfer.CALIBRATION}


def test_expected_r_is_what_simulated_expression_gives():
    x = genotypes(140, seed=3)
    value = x[:, [4, 15]] @ [1.0, -0.7]
    train, test, h2 = np.arange(80), np.arange(80, 140), 0.3
    noise = float(np.sqrt(value.var() * (1 / h2 - 1)))
    expected = transfer.expected_r(x, value, noise, h2, train, test)
    z = (x - x[train].mean(0)) / x[train].std(0)
    k = z @ z[train].T / z.shape[1]
    a = k[test] @ np.linalg.inv(k[train] + (1 - h2) / h2 * np.eye(80))
    rng, r = np.random.default_rng(0), []
    for _ in range(4000):
        y = value + rng.normal(0, noise, 140)
        r.append(np.corrcoef(a @ (y[train] - y[train].mean()), y[test])[0, 1])
    assert expected == pytest.approx(np.mean(r), abs=0.015)
    assert transfer.expected_r(x, value, noise, 0.0, train, test) == 0


def test_blup_reaches_what_is_expected_and_more_people_help(rows):
    part = rows[rows["set"] == transfer.TRAINING].set_index(["method", "x"])["value"]
    sizes = sorted(rows.loc[rows["set"] == transfer.TRAINING, "x"].unique())
    for n in sizes:
        assert part["BLUP", n] == pytest.approx(part["BLUP, expected", n], abs=0.08)
    assert part["BLUP", sizes[1]] > part["BLUP", sizes[0]]
    assert part["True genetic value", sizes[0]] == part["True genetic value", sizes[1]]
    assert part["True genetic value", sizes[0]] == pytest.approx(np.sqrt(0.5), abs=0.06)


def test_effects_that_differ_between_populations_do_not_transfer(rows):
    part = rows[rows["set"] == transfer.TRANSFER].set_index(["method", "group"])["value"]
    assert part["BLUP", "EUR → EUR"] > part["BLUP", "EUR → AFR"] + 0.1
    loss = rows[rows["set"] == transfer.LOSS].set_index(["method", "group"])
    mine = loss.loc[("BLUP", "EUR → AFR")]
    assert mine["value"] == pytest.approx(part["BLUP", "AFR → AFR"] - part["BLUP", "EUR → AFR"])
    assert mine["ci_low"] > 0


def test_calibration_is_the_slope_within_genes_and_1_in_a_world_that_blup_describes():
    panel, _ = cohort(genes=20, people=400, same=True)
    rows = transfer.transfer(panel, Options(genes=0, models=("blup",), sizes=(1.0,), draws=2))
    part = rows[rows["set"] == transfer.CALIBRATION]
    assert set(part["method"]) == {"BLUP"}
    last = part.loc[part["x"].idxmax()]
    assert last["ci_low"] < 1 < last["ci_high"]
    values = np.array([[2.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    assert transfer._slope(values, np.ones((1, 3)))[0] == 1.5


def test_missing_expression_and_constant_predictions():
    panel, _ = cohort(genes=1)
    y = panel.expression.iloc[0].to_numpy().copy()
    dosages = panel.dosages("G0")[0]
    task = transfer.Task("t", np.arange(100), {"all": np.arange(100, 160)})
    y[:20] = np.nan
    y[150:] = np.nan
    (found,) = transfer.outcomes("G0", dosages, y, [task], OPTIONS)
    fit = fitter("blup")(dosages[20:100], y[20:100], 1)
    assert found.trained == 80
    r = np.corrcoef(fit.predict(dosages[100:150]), y[100:150])[0, 1]
    assert found.r == pytest.approx(r)
    (flat,) = transfer.outcomes("G0", np.ones((160, 4)), y, [task], OPTIONS)
    assert flat.r == 0 and flat.variance == pytest.approx(0, abs=1e-20)


def test_a_subset_of_genes_is_drawn_by_the_seed():
    panel, _ = cohort()
    one = transfer._chosen(panel, Options(genes=3, seed=1))
    assert len(one) == 3 and one == transfer._chosen(panel, Options(genes=3, seed=1))
    assert one != transfer._chosen(panel, Options(genes=3, seed=2))
    assert len(transfer._chosen(panel, Options(genes=0))) == 8
