"""Huang et al. 2023: made-up files everywhere, the published ones where mirrored."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.geuvadis_files import keys, make_geuvadis, read
from helpers.published_studies import evaluate, fetch_mirrored, given, load, needs_mirror
from howfar.core.errors import HowfarError
from howfar.published import huang2023
from howfar.results import tables
from howfar.study.reading import load_study
from howfar.study.schema import Evaluation

MODELS = ("Enformer", "Basenji2", "ExPecto", "Xpresso")
PAIRS = [f"H.ref.{a}.{b}" for a, b in itertools.combinations(MODELS, 2)]
IDS = {
    *("H.ngenes", "H.nsamples", *PAIRS, *(f"H.1b.ref.{m}" for m in MODELS)),
    *(f"H.eqtl.{w}" for w in ("n", "neg", "1kb", "medianDist", "medianAbsR")),
    *(f"H.1c.enformer500.{w}" for w in ("mean", "min", "max", "neg")),
    "H.1b.ref.Enformer.pearsonlog",
}


def values(folder: Path) -> pd.Series:
    return load("huang2023", folder)["numbers"].set_index("id")["value"]


# --- made-up files ---------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path) -> Path:
    make_geuvadis(tmp_path, np.random.default_rng(7))
    return tmp_path


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> pd.Series:
    folder = tmp_path_factory.mktemp("before")
    make_geuvadis(folder, np.random.default_rng(7))
    return values(folder)


def test_every_id_is_there_with_definition_source_n_and_interval(made):
    rows = load("huang2023", made)["numbers"].set_index("id")
    assert set(rows.index) == IDS
    assert (rows["n"] > 0).all() and rows[["definition", "source"]].notna().all(axis=None)
    spread = rows[rows["definition"].str.contains("bootstrap")]
    assert set(PAIRS) < set(spread.index)
    assert set(rows.index[rows["ci_low"].notna()]) >= {*PAIRS, "H.eqtl.1kb"}
    spread = spread.dropna(subset=["ci_low"])  # none where all genes have one value
    assert (spread["ci_low"] <= spread["value"] + 1e-9).all()
    assert (spread["value"] <= spread["ci_high"] + 1e-9).all()


def test_another_tissue_is_looked_up(made):
    row = load("huang2023", made)["summary"].iloc[0]
    assert (row["method"], row["group"], row["n"]) == ("lookup_tissue", "cortex to LCL", 6)
    first, second = (read(made / c) for c in huang2023.COUNTS)
    median = first.fillna(second.loc[first.index, first.columns]).median(axis=1)
    expected = pd.Series(range(0, 12, 2)).corr(
        median.reset_index(drop=True)[::2].reset_index(drop=True), "spearman"
    )
    assert row["value"] == pytest.approx(expected)


def changed(before: pd.Series, folder: Path) -> set[str]:
    after = values(folder)
    return set(before.index[~np.isclose(before, after, rtol=1e-12, atol=1e-12)])


def test_one_changed_prediction_moves_the_numbers_of_its_model_alone(made, before):
    frame = read(made / huang2023.PREDICTIONS)
    frame.loc["sym2", "Xpresso"] = 99.0
    frame.to_csv(made / huang2023.PREDICTIONS)
    mine = {key for key in PAIRS if key.endswith("Xpresso")} | {"H.1b.ref.Xpresso"}
    assert changed(before, made) <= mine
    assert "H.1b.ref.Xpresso" in changed(before, made)


def test_a_changed_sign_moves_the_negative_genes_alone(made, before):
    file = made / huang2023.EQTLS
    file.write_text(file.read_text().replace("0.2,-0.3", "0.2,0.3", 1))
    assert changed(before, made) == {"H.eqtl.neg"}
    assert values(made)["H.eqtl.neg"] == before["H.eqtl.neg"] - 1


def test_a_nearer_lead_eqtl_moves_the_distances_alone(made, before):
    file = made / huang2023.EQTLS
    file.write_text(file.read_text().replace("sym10,1000.0", "sym10,999.0"))
    assert changed(before, made) == {"H.eqtl.1kb"}


def test_a_changed_person_moves_the_numbers_over_people_alone(made, before):
    frame = read(made / huang2023.ENFORMER_PEOPLE)
    first, second = (read(made / c) for c in huang2023.COUNTS)
    given = first.fillna(second.loc[first.index, first.columns]).loc["sym1"].dropna()
    frame.loc["sym1", given.idxmax()] += 100
    frame.to_csv(made / huang2023.ENFORMER_PEOPLE)
    found = changed(before, made)
    assert "H.1c.enformer500.mean" in found
    assert all(key.startswith("H.1c.") for key in found)


def test_a_constant_prediction_is_left_out_of_the_numbers_over_people(made):
    rows = load("huang2023", made)["numbers"].set_index("id")
    assert rows.loc["H.1c.enformer500.mean", "n"] == 7  # 8 genes, one constant


def test_an_enformer_output_below_0_is_refused(made):
    frame = read(made / huang2023.PREDICTIONS)
    frame.loc["sym2", "Enformer"] = -1.5
    frame.to_csv(made / huang2023.PREDICTIONS)
    with pytest.raises(HowfarError, match="below 0"):
        load("huang2023", made)


@pytest.mark.parametrize("change", ["first line lost", "a line twice", "somebody else"])
def test_a_sample_list_that_lacks_people_is_refused_without_naming_one(made, change):
    file = made / huang2023.SAMPLES
    lines = file.read_text().splitlines()
    lines = {
        "first line lost": lines[1:],
        "a line twice": [lines[1], *lines[1:]],
        "somebody else": ["NA99999", *lines[1:]],
    }[change]
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(HowfarError, match=r"samples\.txt") as error:
        load("huang2023", made)
    assert "NA0" not in str(error.value) and "NA9" not in str(error.value)


def test_numbers_are_those_of_pandas(made):
    ours, models = values(made), read(made / huang2023.PREDICTIONS)
    first, second = (read(made / c) for c in huang2023.COUNTS)
    median = first.fillna(second.loc[first.index, first.columns]).median(axis=1)
    for model in MODELS:
        rho = models[model].corr(median.reindex(models.index), "spearman")
        assert ours[f"H.1b.ref.{model}"] == pytest.approx(rho)
    assert list(models.index) == keys()


# --- the real tables -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    """The results folder and the table `numbers`, as `howfar evaluate` writes it."""
    results = tmp_path_factory.mktemp("results")
    fetch_mirrored(["huang2023", "rastogi2024"], results)
    study = load_study("huang2023").model_copy(update={"evaluation": Evaluation(bootstrap=100)})
    evaluate(study, results)
    return results, tables.load("huang2023", results)["numbers"].set_index("id")


@needs_mirror
@pytest.mark.parametrize(("key", "value", "tolerance"), given("huang2023"))
def test_given_numbers_are_reproduced(real, key, value, tolerance):
    assert real[1].loc[key, "value"] == pytest.approx(value, abs=tolerance + 1e-8)


@needs_mirror
def test_second_way_from_the_raw_files(real):
    results, ours = real
    folder = results / "sources"
    models = read(folder / huang2023.PREDICTIONS)
    for a, b in itertools.combinations(MODELS, 2):
        rho = models[a].corr(models[b], "spearman")
        assert ours.loc[f"H.ref.{a}.{b}", "value"] == pytest.approx(rho, abs=1e-9)
    lead = pd.read_csv(folder / huang2023.EQTLS)
    assert ours.loc["H.eqtl.neg", "value"] == (lead["rvalue"] < 0).sum()
    assert ours.loc["H.eqtl.n", "value"] == lead["rvalue"].notna().sum()
    lines = (folder / huang2023.SAMPLES).read_text().split()
    assert ours.loc["H.nsamples", "value"] == len(set(lines)) == len(lines)


@needs_mirror
def test_second_way_people_one_by_one(real):
    results, ours = real
    folder = results / "sources"
    enformer = read(folder / huang2023.ENFORMER_PEOPLE)
    first, second = (read(folder / c) for c in huang2023.COUNTS)
    below = 0
    for gene in enformer.index[enformer.std(axis=1) > 0]:
        observed = first.loc[gene].combine_first(second.loc[gene]).astype(float)
        below += enformer.loc[gene].corr(observed) < 0
    assert ours.loc["H.1c.enformer500.neg", "value"] == below


@needs_mirror
def test_lead_eqtls_end_at_20_kb_and_their_p_fits_their_r(real):
    """What the page says of the table: it holds none beyond 20 kb, among 373 people."""
    from howfar import stats

    lead = pd.read_csv(real[0] / "sources" / huang2023.EQTLS).dropna(subset=["rvalue"])
    assert 19_900 < lead["distance"].max() < 20_000
    p = stats.correlation_log10p(lead["rvalue"].to_numpy(), 373 - 2)
    assert np.median(np.abs(p - lead["log10pvalue"])) < 0.02
