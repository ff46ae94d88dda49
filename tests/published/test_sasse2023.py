"""Sasse et al. 2023: made-up files everywhere, the published ones where mirrored."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats as reference
from statsmodels.stats.multitest import multipletests

from helpers.published_studies import expected, fetch_mirrored, given, load, needs_mirror
from helpers.sasse_files import GENES, make_sasse
from howfar import published
from howfar.core.errors import HowfarError
from howfar.evaluation.run_comparison import beyond_null
from howfar.published import sasse2023
from howfar.published import sasse2023_attribution as attribution
from howfar.stats import null
from howfar.study.reading import load_study

RAW = "sasse2023/Prediction_correlationsCageAdultBrain_Allstats.txt"
PREDIXCAN = "sasse2023/PrediXcanCorrelationWithExpressionENSG.tsv"
SET02 = (
    "sasse2023/Prediction_correlationsCageAdultBrainGeneSpecific_"
    "CorrelationtoObsRandomNull_tstats_set0.2.list"
)
TSS = "sasse2023/tss_attribution_stats.txt"


# --- Sasse -----------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def grouped_once():
    """Windows that have been grouped, most of a load's time, are not grouped again."""
    made, group = {}, attribution._grouped

    def kept(windows, *words):
        key = (windows.tobytes(), *words)
        if key not in made:
            made[key] = group(windows, *words)
        return made[key].copy()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attribution, "_grouped", kept)
        yield


def test_sasse_keeps_published_r_and_works_out_the_rest(tmp_path):
    make_sasse(tmp_path, np.random.default_rng(3))
    frames = load("sasse2023", tmp_path)
    raw = pd.read_csv(tmp_path / sasse2023.STATISTICS, sep="\t").set_index("gene_id")
    rows = frames["across"].set_index(["run_id", "gene_id"])
    cage = rows.loc["enformer"]
    np.testing.assert_array_equal(cage["pearson"], raw["PearsonRCAGE,adult,brain"])
    # r that nobody published is missing, not 0: it has no n.
    assert cage["pearson"].isna().sum() == 1 and (rows["n"].dropna() == 839).all()
    assert (rows["n"].isna() == rows["pearson"].isna()).all()
    given = cage.dropna(subset=["pearson"])
    t = given["pearson"] * np.sqrt(837 / (1 - given["pearson"] ** 2))
    np.testing.assert_allclose(given["p"], 2 * reference.t.sf(np.abs(t), 837), rtol=1e-9)
    np.testing.assert_allclose(given["q"], multipletests(given["p"], method="fdr_bh")[1])
    expected = null.simulated_tail(given["pearson"], given["null_mean"], given["null_sd"])
    np.testing.assert_allclose(given["p_null"], expected)
    assert rows.loc["predixcan", "p_null"].isna().all() and len(rows.loc["predixcan"]) == 5
    assert frames["reference"].set_index("gene_id")["region"].dropna().to_dict() == {
        "ENSG00000000000": "test",
        "ENSG90": "test",
    }


def test_sasse_drivers_keep_the_unsigned_strand_and_the_main_flag(tmp_path):
    make_sasse(tmp_path, np.random.default_rng(3))
    frames = load("sasse2023", tmp_path)
    drivers = frames["drivers"].set_index("variant")
    assert drivers.loc["1:900", "distance"] == -100 and drivers.loc["1:900", "is_main"]
    features = frames["features"].set_index(["feature", "gene_id"])["value"]
    assert features[("main_driver_distance", "ENSG00000000000")] == 100
    assert features[("linear_approximation_r", "ENSG00000000001")] == 0.1
    columns = ["effect", "eqtl_slope", "gain", "carriers"]
    assert drivers.loc["1:900", columns].tolist() == [-0.2, 0.5, 0.7, 20]


def test_sasse_genes_are_those_of_any_table_and_spread_is_brought_to_a_linear_scale(tmp_path):
    make_sasse(tmp_path, np.random.default_rng(3))
    frames = load("sasse2023", tmp_path)
    genes = frames["genes"].set_index("gene_id")
    assert len(genes) == GENES + 1 and "ENSG91" not in genes.index
    assert genes.loc["ENSG90", ["name", "chrom", "tss", "strand"]].tolist() == [
        f"S{GENES}",
        "1",
        GENES * 1000 + 1000,
        "-",
    ]
    raw = pd.read_csv(tmp_path / sasse2023.STATISTICS, sep="\t").set_index("gene_id")
    features = frames["features"].set_index(["feature", "gene_id"])["value"]
    np.testing.assert_array_equal(features["mean_expression"], raw["MeanObs"])
    shape = reference.lognorm(raw["StdObs"] * np.log(2))
    np.testing.assert_allclose(features["cv_expression"], shape.std() / shape.mean())


def test_two_main_drivers_of_a_gene_are_refused(tmp_path):
    make_sasse(tmp_path, np.random.default_rng(3))
    file = tmp_path / sasse2023.DRIVERS
    file.write_text(file.read_text().replace("False", "True"))
    with pytest.raises(HowfarError, match="two main drivers"):
        load("sasse2023", tmp_path)


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        (sasse2023.STATISTICS, lambda t: t.replace("chr1_1500_A_C_b38", "rs1"), "unreadable SuS"),
        (attribution.RELATIVE, lambda t: t.replace(" 900 ", " 901 "), "1 other main drivers"),
        (sasse2023.DRIVERS, lambda t: t.replace("\t900\t", "\t902\t"), "1 other main drivers"),
    ],
)
def test_tables_that_disagree_are_refused(tmp_path, name, change, found):
    make_sasse(tmp_path, np.random.default_rng(3))
    before = (tmp_path / name).read_text()
    (tmp_path / name).write_text(change(before))
    assert (tmp_path / name).read_text() != before
    with pytest.raises(HowfarError, match=found):
        load("sasse2023", tmp_path)


def test_fine_mapped_distance_and_relative_size_come_from_their_columns(tmp_path):
    make_sasse(tmp_path, np.random.default_rng(3))
    features = load("sasse2023", tmp_path)["features"].set_index(["feature", "gene_id"])["value"]
    tss = (GENES - 1) * 1000 + 1000
    assert features[("fine_mapped_distance_brain", "ENSG00000000000")] == 500
    assert features[("fine_mapped_distance_cortex", f"ENSG{GENES - 1:011d}")] == tss - 11_000
    table = pd.read_csv(tmp_path / attribution.RELATIVE, sep=" ", index_col=0)
    largest = table.iloc[:, 1:].abs().max(axis=1)
    assert features["main_driver_relative_size"].to_dict() == pytest.approx(largest.to_dict())


def test_profiles_at_the_driver_are_the_relative_size(tmp_path):
    make_sasse(tmp_path, np.random.default_rng(3))
    summary = load("sasse2023", tmp_path)["summary"]
    rows = summary[(summary["set"] == "driver_profile") & (summary["x"] == 0)]
    table = pd.read_csv(tmp_path / attribution.RELATIVE, sep=" ", index_col=0).abs()
    reference_side = rows[rows["method"] == "reference"].set_index("group")["value"]
    # gene 0: ISM -0.2 with slope 0.5, gene 1: 0.3 with -0.1; both unsupported
    assert list(reference_side.index) == ["unsupported"]
    assert reference_side["unsupported"] == pytest.approx(table.iloc[:, 1].mean())


# --- the published files ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory) -> Path:
    """The mirrored files, those of the second ways among them; not to be changed."""
    results = tmp_path_factory.mktemp("results")
    words = ["sasse2023", RAW, PREDIXCAN, SET02, TSS]
    fetch_mirrored(words, results)
    return results


@pytest.fixture(scope="module")
def frames(mirrored) -> dict[str, pd.DataFrame]:
    return published.load_published(load_study("sasse2023"), mirrored / "sources")


@pytest.fixture(scope="module")
def ours(frames) -> pd.Series:
    return frames["numbers"].set_index("id")["value"]


def read(mirrored: Path, name: str, **kw) -> pd.DataFrame:
    return pd.read_csv(mirrored / "sources" / name, **kw)


@needs_mirror
@pytest.mark.parametrize(("key", "value", "tolerance"), given("sasse2023"))
def test_given_numbers_are_reproduced(ours, key, value, tolerance):
    assert ours[key] == pytest.approx(value, abs=tolerance + 1e-8)


@needs_mirror
def test_every_id_is_there_with_definition_source_and_n(frames):
    rows = frames["numbers"].set_index("id")
    assert set(expected("sasse2023")["id"]) <= set(rows.index)
    assert rows[["value", "n", "definition", "source"]].notna().all(axis=None)
    inside = rows.dropna(subset=["ci_low"])
    assert (inside["ci_low"] <= inside["value"] + 1e-12).all() and len(inside) > 20
    assert (inside["value"] <= inside["ci_high"] + 1e-12).all()


@needs_mirror
def test_second_way_significance_from_the_published_columns(mirrored, ours):
    table = read(mirrored, sasse2023.STATISTICS, sep="\t")
    r = table["PearsonRCAGE,adult,brain"]
    found = table["Log10BHPvalueTstatCAGE,adult,brain"] >= -np.log10(0.05)
    height = table["Log10PvalueTstatCAGE,adult,brain"]
    listed = (mirrored / "sources" / SET02).read_text().split()
    assert (ours["S.2A.sigBH"], ours["S.2A.neg"]) == (found.sum(), (found & (r < 0)).sum())
    assert ours["S.2A.sigStrict"] == (height > height[found].min()).sum()
    assert ours["S.set02.n"] == len(listed) == (found & (r.abs() > 0.2)).sum()
    strong = table.loc[found & (r.abs() > 0.2), "gene_id"]
    assert set(listed) == set(strong)


@needs_mirror
def test_second_way_pairs_from_the_two_raw_files(mirrored, ours):
    network = read(mirrored, RAW, sep=" ", comment="#", header=None).set_index(0)[1]
    linear = read(mirrored, PREDIXCAN, sep="\t", header=None).drop_duplicates(0).set_index(0)[1]
    both = pd.DataFrame({"e": network, "x": linear}).dropna()
    assert ours["S.2C.n"] == len(both)
    assert ours["S.2C.pxWins"] == (both["x"] > both["e"]).sum()
    assert ours["S.2C.pxWinsAbs"] == (both["x"] > both["e"].abs()).sum()
    assert ours["S.2C.meanPrediXcan"] == pytest.approx(both["x"].mean(), abs=1e-6)
    assert ours["S.2C.difference"] == pytest.approx((both["e"] - both["x"]).mean(), abs=1e-6)


@needs_mirror
@pytest.mark.parametrize("kind", ["supported", "unsupported"])
def test_second_way_attribution_shares_from_the_profiles(mirrored, frames, ours, kind):
    files = published.Files([], "", mirrored / "sources", verify=False)
    found = attribution.contributions(files)
    top = read(mirrored, TSS, sep=" ", header=None).set_index(0)[2]
    mains = frames["drivers"][frames["drivers"]["is_main"]]
    sign = np.sign(mains["effect"]) * np.sign(mains["eqtl_slope"])
    mains = mains[sign == (1 if kind == "supported" else -1)]
    position = mains["variant"].str.split(":").str[1]
    size = np.array(
        [
            max(abs(found[side, g, p][20].sum()) for side in ("reference", "variant")) / top[g]
            for g, p in zip(mains["gene_id"], position, strict=True)
        ]
    )
    assert ours[f"S.S13.{kind}.n"] == len(size)
    assert ours[f"S.S13.{kind}.ge10"] == pytest.approx((size >= 0.1).mean())
    assert ours[f"S.S13.{kind}.ge20"] == pytest.approx((size >= 0.2).mean())


@needs_mirror
def test_second_way_drivers_by_plain_counting(mirrored, ours):
    table = read(mirrored, sasse2023.DRIVERS, sep="\t")
    near = table["DisttoTSS"].abs() < 1000
    agree = np.sign(table["ISM"]) == np.sign(table["eQTL"])
    r = read(mirrored, sasse2023.STATISTICS, sep="\t").set_index("gene_id")[
        "PearsonRCAGE,adult,brain"
    ]
    trusted = table["SumISMPearsonRtoCAGE,adult,brain"] > 0.2
    share = agree[trusted].groupby(table["gene_id"]).mean()
    up, down = share[r.reindex(share.index) > 0.2], share[r.reindex(share.index) < -0.2]
    assert ours["S.2F.all1kb"] == pytest.approx(near.mean())
    assert ours["S.2E.neg.genes"] == len(down)
    assert ours["S.2E.pos.meanSupported"] == pytest.approx(up.mean())
    assert ours["S.2E.p"] == pytest.approx(reference.mannwhitneyu(up, down).pvalue)


@needs_mirror
def test_the_own_null_leaves_a_few_of_599_genes(frames):
    rows = frames["across"][frames["across"]["run_id"] == "enformer"]
    found = beyond_null(rows, "own_null")
    assert found.sum() == 5 and beyond_null(rows, "normal_tail").sum() == 118
    assert multipletests(rows["p_null"].fillna(1), 0.05, "fdr_bh")[0].sum() == found.sum()
    assert not (found & ~beyond_null(rows)).any()


@needs_mirror
def test_profiles_are_of_every_main_driver_and_peak_at_it(frames):
    rows = frames["summary"]
    rows = rows[(rows["set"] == "driver_profile") & (rows["group"] == "supported")]
    assert rows.groupby("method").size().tolist() == [41, 41] and set(rows["n"]) == {157}
    assert (rows["ci_low"] < rows["value"]).all() and (rows["value"] < rows["ci_high"]).all()
    for _, part in rows.groupby("method"):
        assert abs(part.loc[part["value"].idxmax(), "x"]) <= 3


@needs_mirror
def test_driver_windows_hold_more_patterns_than_shuffled_ones(frames):
    rows = frames["summary"]
    counts = rows[rows["set"] == "driver_motif_grouped"].set_index(["method", "group"])
    assert counts.loc[("sequence", "drivers"), "n"] == 2658
    assert counts.loc[("attribution", "drivers"), "n"] == 481
    for method in ("sequence", "attribution"):
        value = counts["value"][method]
        assert value["drivers"] > 1.5 * value["shuffled"]


@needs_mirror
def test_one_changed_cell_changes_the_right_numbers_and_no_others(mirrored, frames, tmp_path):
    copy = tmp_path / "sources"
    shutil.copytree(mirrored / "sources", copy)
    table = pd.read_csv(copy / sasse2023.STATISTICS, sep="\t", dtype=str, keep_default_na=False)
    gene, column = "ENSG00000134202", "PearsonRCAGE,adult,brain"  # GSTM3, r = -0.492
    table.loc[table["gene_id"] == gene, column] = "0.492"
    table.to_csv(copy / sasse2023.STATISTICS, sep="\t", index=False)
    before, after = frames["numbers"].set_index("id"), load("sasse2023", copy)["numbers"]
    moved = after.set_index("id")["value"] - before["value"]
    changed = set(moved.index[moved.abs() > 1e-12])
    assert moved["S.2A.neg"] == -1 and moved["S.2A.pos"] == 1
    assert moved["S.gene.GSTM3"] == pytest.approx(0.984)
    assert moved["S.2A.meanR"] == pytest.approx(0.984 / 6808)
    assert {"S.set02.neg", "S.S5.R"} <= changed
    still = ("S.1C", "S.S1.", "S.drv", "S.2F", "S.S9", "S.S10", "S.S13", "S.gene.D", "S.2A.n")
    untouched = {i for i in moved.index if i.startswith(still)} - {"S.2A.neg"}
    assert not changed & untouched and "S.2A.sigBH" not in changed


@needs_mirror
def test_a_changed_driver_moves_the_driver_numbers_alone(mirrored, frames, tmp_path):
    copy = tmp_path / "sources"
    shutil.copytree(mirrored / "sources", copy)
    table = pd.read_csv(copy / sasse2023.DRIVERS, sep="\t", dtype=str, keep_default_na=False)
    first = table.index[(table["IsMainDriver"] == "False") & (table["DisttoTSS"].str.len() < 4)][0]
    table.loc[first, "DisttoTSS"] = "5000"
    table.to_csv(copy / sasse2023.DRIVERS, sep="\t", index=False)
    after = load("sasse2023", copy)["numbers"].set_index("id")["value"]
    moved = after - frames["numbers"].set_index("id")["value"]
    assert set(moved.index[moved.abs() > 1e-12]) == {"S.2F.all1kb"}
    assert moved["S.2F.all1kb"] == pytest.approx(-1 / 1091)
