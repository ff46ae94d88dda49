"""BSLMM on all genes beside the other linear models: what its table says, and of which study."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers.linear_cohort import small_study
from helpers.places import ROOT
from howfar.bench import bslmm
from howfar.core.registry import LINEAR_MODELS


def test_the_table_is_of_all_genes_and_other_studies_stay(tmp_path, monkeypatch):
    # BSLMM itself is tested beside GEMMA; here a quick model has its place.
    monkeypatch.setattr(bslmm, "MODEL", "blup")
    study, _, expression = small_study(tmp_path)
    out = tmp_path / "bslmm.csv"
    bslmm.measure([study], tmp_path / "results", out, say=str)
    other = pd.read_csv(out).assign(study="other")
    other.to_csv(out, index=False)
    table = bslmm.measure([study], tmp_path / "results", out, say=str)
    pd.testing.assert_frame_equal(table[table["study"] == "other"], other, check_dtype=False)
    rows = table[table["study"] == "linear"].set_index("model")
    assert list(rows.index) == ["top1", "blup"]
    varied = expression.to_numpy(float).std(axis=1) > 0
    assert (rows["genes"] == varied.sum()).all()  # a gene without a prediction counts as r = 0
    r = {}
    for model in rows.index:
        people = pd.read_parquet(tmp_path / f"results/linear/baseline/{model}.parquet")
        each = people.groupby("gene_id")[["predicted", "observed"]].corr().iloc[::2, 1]
        r[model] = each.droplevel(1).reindex(expression.index[varied]).fillna(0)
        assert rows.loc[model, "mean_r"] == pytest.approx(r[model].mean(), abs=1e-6)
    difference = (r["blup"] - r["top1"]).mean()
    assert rows.loc["top1", "difference"] == pytest.approx(difference, abs=1e-6)
    assert rows.loc["blup", "difference"] == 0 and np.isnan(rows.loc["blup", "difference_low"])


def test_the_committed_table_has_all_genes_of_the_simulated_studies():
    table = pd.read_csv(ROOT / "data" / "measured" / "bslmm.csv")
    genes = table.groupby("study")["genes"].unique().map(list)
    assert genes["demo_kind"] == [240] and genes["region"] == [11]
    assert set(table["model"]) <= set(LINEAR_MODELS)
    assert table["date"].notna().all()
    inside = table["mean_r"].between(table["ci_low"], table["ci_high"])
    assert inside.all()
