"""The capstone: made-up files everywhere, the published ones where mirrored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats as reference

from helpers.capstone_files import SNPS, make_capstone, names
from helpers.published_studies import evaluate, expected, fetch_mirrored, given, load, needs_mirror
from howfar.core.errors import HowfarError
from howfar.published import capstone2025
from howfar.results import tables
from howfar.study.reading import load_study

MERGED = "capstone2025/apoe_eqtl_with_snp"  # the authors' own table of the combined score


def values(folder: Path) -> pd.Series:
    return load("capstone2025", folder)["numbers"].set_index("id")["value"]


@pytest.fixture
def made(tmp_path) -> Path:
    make_capstone(tmp_path, np.random.default_rng(3))
    return tmp_path


def tsv(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, sep="\t", index_col="SNP")


def test_effects_join_the_tables_by_snp_whatever_their_order(made):
    found = load("capstone2025", made)["effects"].set_index(["run_id", "variant"])
    scan = tsv(made / capstone2025.EQTL)
    for run, name in capstone2025.RESULTS.items():
        scores = tsv(made / name)["Result"]
        for snp in ("rs0", "rs57"):
            row = found.loc[(run, snp)]
            assert row["effect"] == scores[snp]
            assert (row["slope"], row["p"]) == (scan.loc[snp, "Beta"], scan.loc[snp, "P-value"])
            assert row["distance"] == scan.loc[snp, "position"] - capstone2025.APOE_START
    assert len(found) == 2 * SNPS and found["p"].isna().sum() == 2


def test_counts_are_those_of_sets_made_by_sorting(made):
    ours, scan = values(made), tsv(made / capstone2025.EQTL)
    log10p = -np.log10(scan["P-value"])
    by_p = set(log10p.nlargest(50).index)
    score = {}
    for run, name in capstone2025.RESULTS.items():
        size = tsv(made / name)["Result"].abs().reindex(scan.index)
        unit = [(x - x.min()) / (x.max() - x.min()) for x in (size, log10p)]
        score[run] = set((unit[0] + unit[1]).nlargest(50).index)
        assert ours[f"C.{run}_eqtl"] == len(score[run] & by_p)
        assert ours[f"C.modelonly.{run}"] == len(set(size.nlargest(50).index) & by_p)
        rho = reference.spearmanr(size, log10p, nan_policy="omit").statistic
        assert ours[f"C.rho.{run}"] == pytest.approx(rho)
    assert ours["C.full_tracks"] == len(score["full"] & score["tracks"])
    assert ours["C.allthree"] == len(score["full"] & score["tracks"] & by_p)


def changed(before: pd.Series, after: pd.Series) -> set[str]:
    return set(before.index[~np.isclose(before, after, rtol=1e-12, atol=1e-12)])


def test_one_changed_score_moves_the_numbers_of_its_run_alone(made):
    before = values(made)
    file = made / capstone2025.RESULTS["tracks"]
    frame = tsv(file)
    worst = tsv(made / capstone2025.EQTL)["P-value"].idxmin()
    frame.loc[worst, "Result"] = 1e3  # the variant with the lowest p has now the largest score
    frame.reset_index().to_csv(file, sep="\t", index=False)
    found = changed(before, values(made))
    assert {"C.rho.tracks", "C.tracks_eqtl"} <= found
    allowed = {"C.full_tracks", "C.allthree", "C.modelonly.full_tracks"}
    assert all("tracks" in key or key in allowed for key in found)
    assert not {"C.rho.full", "C.full_eqtl", "C.modelonly.full", "C.nsnp"} & found


def test_a_p_below_the_bonferroni_limit_is_counted(made):
    assert values(made)["C.bonf"] == 0
    file = made / capstone2025.EQTL
    frame = pd.read_csv(file, sep="\t")
    frame.loc[7, "P-value"] = 0.049 / (SNPS - 1)
    frame.to_csv(file, sep="\t", index=False)
    assert values(made)["C.bonf"] == 1


def test_the_second_locus_is_counted_by_itself(made):
    before = values(made)
    assert before["C.cis117.n"] == 30 and before["capstone2025.cis117.offset"] == 7
    file = made / capstone2025.CIS_117
    frame = pd.read_csv(file, index_col=0)
    assert before["C.cis117.nom"] == (frame["P-value"] < 0.05).sum() == 2
    frame.loc[29, "P-value"] = 0.04
    frame.to_csv(file)
    assert changed(before, values(made)) == {"C.cis117.nom"}


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        (capstone2025.EQTL, lambda t: t.replace("rs3\t", "rs4\t", 1), "repeated SNPs"),
        (capstone2025.RESULTS["full"], lambda t: t.replace("rs3\t", "rs999\t"), "SNPs"),
        (capstone2025.RESULTS["full"], lambda t: t.replace("\t44905791\t", "\t1\t"), "place"),
        (capstone2025.RESULTS["tracks"], lambda t: t.replace("\tResult", "\tresult"), "Result"),
        (capstone2025.CIS_117, lambda t: t.replace(",0.9,", ",1.9,"), "beyond 0 to 1"),
    ],
)
def test_a_changed_file_is_refused(made, name, change, found):
    before = (made / name).read_text()
    (made / name).write_text(change(before))
    assert (made / name).read_text() != before
    with pytest.raises(HowfarError, match=found):
        load("capstone2025", made)


def test_summary_holds_the_counts_at_fifty(made):
    frames = load("capstone2025", made)
    rows = frames["summary"]
    at = rows[rows["x"] == 50].set_index(["set", "method", "group"])["value"]
    ours = frames["numbers"].set_index("id")["value"]
    assert at["overlap", "full", "combined"] == ours["C.full_eqtl"]
    assert at["overlap", "tracks", "model"] == ours["C.modelonly.tracks"]
    assert at["overlap_runs", "full/tracks", "combined"] == ours["C.full_tracks"]
    assert at["overlap_random", "full", "model"] == pytest.approx(50 * 50 / SNPS)
    assert rows["x"].max() == SNPS and set(names()) == set(frames["effects"]["variant"])


# --- the real tables -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> tuple[Path, tables.Tables]:
    results = tmp_path_factory.mktemp("results")
    fetch_mirrored(["capstone2025"], results)
    evaluate(load_study("capstone2025"), results)
    return results, tables.load("capstone2025", results)


@needs_mirror
@pytest.mark.parametrize(("key", "value", "tolerance"), given("capstone2025"))
def test_given_numbers_are_reproduced(real, key, value, tolerance):
    found = real[1]["numbers"].set_index("id")["value"]
    assert found[key] == pytest.approx(value, abs=tolerance + 1e-8)


@needs_mirror
def test_every_id_is_there(real):
    assert set(expected("capstone2025")["id"]) <= set(real[1]["numbers"]["id"])


@needs_mirror
def test_the_combined_score_is_the_authors_own(real):
    from howfar.stats import top_overlap

    merged = tsv(real[0] / "sources" / MERGED)
    found = real[1]["effects"]
    found = found[found["run_id"] == "full"].set_index("variant")
    ours = top_overlap.combined(found["effect"], -np.log10(found["p"].to_numpy(float)))
    theirs = merged["combining_result"].reindex(found.index)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


@needs_mirror
def test_what_the_page_says_of_chance(real):
    """By chance: 1.78 of 50 for the model alone; the published overlaps within their range."""
    rows = real[1]["numbers"].set_index("id")
    assert rows.loc["capstone2025.overlap_random.full", "value"] == pytest.approx(2500 / 1402)
    for run in ("full", "tracks"):
        chance = rows.loc[f"capstone2025.overlap_shuffled.{run}"]
        seen = rows.loc[f"C.{run}_eqtl", "value"]
        assert chance["ci_low"] <= seen <= chance["ci_high"]
        rho = rows.loc[f"C.rho.{run}"]
        assert rho["ci_low"] < 0 < rho["ci_high"]
