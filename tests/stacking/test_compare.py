"""Stacked regressors: what leaks, what doesn't, and measures against scikit-learn's."""

from __future__ import annotations

import builtins
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from sklearn.base import clone
from sklearn.linear_model import RidgeCV

from howfar.core.errors import HowfarError
from howfar.core.registry import STACKED
from howfar.stacking import compare, regressors
from howfar.stacking import pairs as stacking
from howfar.stacking.compare import Options, pairs_of
from howfar.stacking.pairs import SPLITS, Pairs, inner_folds

QUICK = Options(folds=3, models=("ridge",), score="prs")


def world(genes=24, people=60, seed=1, effect=0.5):
    """Pairs whose level differs between genes; people differ by one variant and by noise.

    Feature 0 marks the gene and says nothing of its level; feature 1 follows the variant.
    """
    rng = np.random.default_rng(seed)
    dosages = rng.binomial(2, 0.4, (genes, people, 5)).astype(float)
    level, mark = rng.normal(0, 3, genes), rng.normal(0, 1, genes)
    g = effect * (dosages[:, :, 0] - 0.8)
    y = level[:, None] + g + rng.normal(0, 0.5, (genes, people))
    x = np.stack([np.broadcast_to(mark[:, None], y.shape), g + rng.normal(0, 0.3, y.shape)], 2)
    gene, person = np.indices(y.shape).reshape(2, -1)
    ids = [f"G{i}" for i in range(genes)]
    block = np.array([f"chr{i % 6}" for i in range(genes)])
    made = Pairs(x.reshape(-1, 2), y.ravel(), gene, person, ids, block, ["mark", "follows"],
                 lambda code: dosages[code])  # fmt: skip
    table = pd.DataFrame({"gene_id": ids, "name": ids, "chrom": block, "tss": 1000, "strand": "+"})
    return made, table


def values(rows, group, method):
    part = rows[(rows["group"] == group) & (rows["method"] == STACKED[method].help)]
    return part.set_index("set")["value"]


@pytest.fixture(scope="module")
def compared():
    pairs, genes = world()
    designs = [("level", split, "network") for split in SPLITS]
    options = Options(folds=3, models=("ridge", "forest"))
    return compare.compare(pairs, genes, options, designs)


def test_a_forest_that_recognises_genes_looks_good_until_genes_are_held_out(compared):
    by = {s: values(compared, f"level; {s}; network", "forest") for s in SPLITS}
    assert by["pairs"]["stacking.r2"] > 0.9 and by["people"]["stacking.r2"] > 0.9
    assert by["genes"]["stacking.r2"] < 0.2
    assert by["pairs"]["stacking.r_people"] < 0.75  # recognising genes ranks nobody


def test_a_score_trained_on_everybody_predicts_noise_and_an_honest_one_does_not():
    pairs, genes = world(effect=0.0)
    rng = np.random.default_rng(5)
    many = rng.binomial(2, 0.4, (24, 60, 40)).astype(float)
    pairs = replace(pairs, dosages=lambda code: many[code])
    designs = [("deviation", "pairs", "score_of_all"), ("deviation", "people", "score")]
    rows = compare.compare(pairs, genes, QUICK, designs)
    r = rows[rows["set"] == "stacking.r_people"].set_index("group")
    assert r.loc["deviation; pairs; score_of_all", "ci_low"] > 0.4
    honest = r.loc["deviation; people; score"]
    assert honest["ci_low"] < 0.05 and abs(honest["value"]) < 0.1


def test_honest_scores_of_held_out_people_do_not_depend_on_their_expression():
    pairs, _ = world()
    train = pairs.person < 40
    changed = replace(pairs, y=np.where(train, pairs.y, 99.0))
    one, two = (compare.scores(p, train, "prs") for p in (pairs, changed))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(
        compare.scores(pairs, train, "prs", everybody=True),
        compare.scores(changed, train, "prs", everybody=True),
    )


def test_nothing_held_out_reaches_the_model():
    pairs, _ = world()
    fold = stacking.folds(stacking.units(pairs, "people"), 3, QUICK.seed)
    strange = replace(
        pairs, y=np.where(fold == 0, 1e3, pairs.y), x=np.where(fold[:, None] == 0, 0.0, pairs.x)
    )
    seen = fold != 0
    for target in ("level", "deviation"):
        a, b = (compare.prepared(p, target, seen) for p in (pairs, strange))
        np.testing.assert_array_equal(a[0][seen], b[0][seen])
        np.testing.assert_array_equal(a[1][seen], b[1][seen])


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_holds_out_whole_units(split):
    pairs, _ = world()
    unit = stacking.units(pairs, split)
    fold = stacking.folds(unit, 3, 1)
    assert (pd.Series(fold).groupby(unit).nunique() == 1).all()
    assert set(fold) == {0, 1, 2}
    if split == "genes":
        assert not set(pairs.block[pairs.gene[fold == 0]]) & set(pairs.block[pairs.gene[fold == 1]])


def test_measures_are_scikit_learns(compared):
    pairs, genes = world()
    judged = compare.predictions(pairs, "level", "people", "network", ("ridge",), Options(folds=3))
    truth, predicted, fold = judged.truth, judged.by_model["ridge"], judged.fold
    mine = compare.summarise(pairs, genes, truth, predicted, fold).set_index("set")["value"]
    assert mine["stacking.r2"] == pytest.approx(metrics.r2_score(truth, predicted))
    assert mine["stacking.mse"] == pytest.approx(metrics.mean_squared_error(truth, predicted))
    assert mine["stacking.pearson"] == pytest.approx(np.corrcoef(truth, predicted)[0, 1])
    parts = [(pairs.gene == g) & (fold == k) for g in range(24) for k in range(3)]
    r = [np.corrcoef(truth[p], predicted[p])[0, 1] for p in parts]  # of as many people each
    assert mine["stacking.r_people"] == pytest.approx(np.mean(r))
    assert values(compared, "level; people; network", "ridge")["stacking.r2"] == pytest.approx(
        mine["stacking.r2"]
    )


def test_intervals_enclose_the_value_and_count_pairs_and_genes(compared):
    rows = compared[compared["group"] == "level; people; network"]
    assert ((rows["ci_low"] <= rows["value"]) & (rows["value"] <= rows["ci_high"])).all()
    assert set(rows["n"]) == {24 * 60, 24}


@pytest.mark.parametrize("name", list(STACKED))
def test_every_model_learns_and_is_deterministic(name):
    if name not in regressors.installed():
        pytest.skip("XGBoost is not installed")
    pairs, _ = world()
    inner = inner_folds(pairs.person, 1)
    x, y = compare.prepared(pairs, "deviation", np.ones(len(pairs.y), bool))
    first, again = (regressors.make(name, inner).fit(x, y).predict(x) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert np.corrcoef(first, y)[0, 1] > 0.9 * np.corrcoef(x[:, 1], y)[0, 1]


def test_the_units_of_a_feature_and_of_expression_do_not_matter():
    pairs, _ = world()
    x, y = pairs.x.copy(), pairs.y
    inner = inner_folds(pairs.person, 1)
    for name in ("ridge", "ridge_quantile", "polynomial", "elastic_net"):
        model = regressors.make(name, inner).fit(x, y)
        stretched = regressors.make(name, inner).fit(x * [10.0, 0.01] + 3, y)
        np.testing.assert_allclose(
            model.predict(x[:9]), stretched.predict(x[:9] * [10.0, 0.01] + 3), rtol=1e-3, atol=1e-3
        )
        scaled = regressors.make(name, inner).fit(x, 100 * y).predict(x[:9]) / 100
        np.testing.assert_allclose(model.predict(x[:9]), scaled, rtol=1e-6, atol=1e-6)


def test_without_xgboost_it_is_left_out_or_refused_with_the_extra_to_install(monkeypatch):
    monkeypatch.setattr(regressors, "is_installed", lambda name: name != "xgboost")
    monkeypatch.setattr(builtins, "__import__", _without_xgboost(builtins.__import__))
    assert "xgboost" not in regressors.installed()
    with pytest.raises(HowfarError, match=r"howfar\[trees\]"):
        regressors.make("xgboost", [])
    regressors.make("stack", inner_folds(np.arange(30), 1))


def _without_xgboost(real):
    def load(name, *args, **kw):
        if name == "xgboost":
            raise ImportError(name)
        return real(name, *args, **kw)

    return load


def test_wrong_names_and_too_few_units_are_refused():
    pairs, _ = world()
    with pytest.raises(HowfarError, match="one of ridge"):
        regressors.make("neural", [])
    with pytest.raises(HowfarError, match="one of pairs"):
        stacking.units(pairs, "cells")
    with pytest.raises(HowfarError, match="at least 9"):
        stacking.folds(stacking.units(pairs, "genes"), 9, 1)
    with pytest.raises(HowfarError, match="no expression to train"):
        compare.predictions(pairs, "deviation", "genes", "score", ("ridge",), QUICK)
    with pytest.raises(HowfarError, match="no genotypes"):
        compare.scores(replace(pairs, dosages=None), pairs.person < 9, "prs")
    with pytest.raises(HowfarError, match="some missing"):
        replace(pairs, y=np.where(pairs.person == 3, np.nan, pairs.y))


def test_normalisation_is_learnt_in_training():
    pairs, _ = world()
    inner = inner_folds(pairs.person[pairs.person < 40], 1)
    train = pairs.person < 40
    for name in ("ridge", "ridge_quantile"):
        model = regressors.make(name, inner).fit(pairs.x[train], pairs.y[train])
        alone = model.predict(pairs.x[-1:])
        np.testing.assert_allclose(alone, model.predict(pairs.x[~train])[-1:], rtol=1e-10)
    assert model[0].n_quantiles_ == 200 and model[0].quantiles_.max() <= pairs.x[train].max()


def test_without_genotypes_only_the_networks_designs_are_compared():
    pairs, genes = world()
    rows = compare.compare(replace(pairs, dosages=None), genes, QUICK)
    assert rows["group"].str.endswith("; network").all()


def test_a_study_is_compared_from_its_files(study, model, tmp_path):
    from howfar.prediction import run as predict
    from howfar.prediction import transform

    store = predict.predict(study, study.runs[0], tmp_path).store
    options = Options(genes=0, people=0, folds=2)
    pairs, genes = pairs_of(study, tmp_path, options)
    assert pairs.x.shape == (8, 3) and list(genes["gene_id"]) == ["g1", "g2"]
    run = study.runs[0]
    stored = store.read("g1").arrays
    whole = transform.transform(stored["values"][stored["index"]], run.transform)
    np.testing.assert_allclose(pairs.x[:4].sum(axis=1), whole)  # its bins are summed
    with pytest.raises(HowfarError, match="found 8, of 2 genes and 4 people"):
        compare.stack(study, tmp_path, options)


@pytest.mark.parametrize("cv", [3, "rows"])
@pytest.mark.parametrize("noise", [0.1, 3.0, 100.0])
def test_the_chosen_ridge_is_scikit_learns_to_the_bit(cv, noise):
    rng = np.random.default_rng(round(10 * noise))
    x = rng.normal(2, 1, (90, 12)) @ rng.normal(0, 1, (12, 12))
    x[:, 3] = 1.0  # constant
    y = x[:, 0] + rng.normal(0, noise, 90)
    cv = inner_folds(rng.permutation(30).repeat(3), 1) if cv == "rows" else cv
    theirs = RidgeCV(alphas=regressors._ALPHAS, cv=cv).fit(x, y)
    ours = clone(regressors.ChosenRidge(regressors._ALPHAS, cv)).fit(x, y)
    assert ours.model_.alpha == theirs.alpha_
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
