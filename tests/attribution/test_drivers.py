"""Driver rules against the authors' own code (see ../shared/oracles/finetuning/README.md)."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pandas as pd
import pytest

from howfar.attribution import around, drivers, stretches
from howfar.evaluation.run_comparison import driver_types
from howfar.stats import null

SEEDS = (1, 2)


@pytest.fixture(scope="module", params=SEEDS)
def sasse(shared, request):
    return np.load(shared / "oracles" / "finetuning" / f"s_seed{request.param}.npz")


def _genes(data):
    for i, gene in enumerate(data["genes"]):
        parts = (data[f"{gene}/{name}"] for name in ("position", "attribution", "genotype"))
        yield gene, *parts, data["prediction"][:, i], data["observed"][:, i]


@pytest.mark.parametrize("log", [False, True])
def test_forward_drivers_are_the_authors(sasse, log):
    for gene, position, effects, copies, prediction, _ in _genes(sasse):
        expected = sasse[f"{gene}/forward{'_log' * log}"]
        found = drivers.sasse_forward(effects, copies, prediction, log)
        assert position[found["variant"]].tolist() == expected[:, 0].tolist()
        columns = ["r_all", "r_alone", "r_sum", "loss", "gain"]
        np.testing.assert_allclose(found[columns], expected[:, 2:7], atol=0.00501)
        carriers = (copies[found["variant"]] > 0).sum(axis=1)
        assert carriers.tolist() == expected[:, 7].tolist()


@pytest.mark.parametrize("log", [False, True])
def test_backward_drivers_are_the_authors(sasse, log):
    for gene, position, effects, copies, prediction, _ in _genes(sasse):
        expected = sasse[f"{gene}/backward{'_log' * log}"]
        found = drivers.sasse_backward(effects, copies, prediction, log)
        assert position[found["variant"]].tolist() == expected[:, 0].tolist()
        columns = ["r_alone", "gain", "loss"]
        np.testing.assert_allclose(found[columns], expected[:, 2:5], atol=0.00501)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("case", range(3))
def test_rastogis_drivers_are_the_authors(shared, seed, case):
    data = np.load(shared / "oracles" / "finetuning" / f"r_drivers_seed{seed}.npz")
    names = ("weight", "dosage", "prediction", "drivers")
    effects, copies, prediction, expected = (data[f"case{case}_{name}"] for name in names)
    found = drivers.rastogi(effects, copies, prediction)
    assert found["variant"].tolist() == expected.tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_neighbourhoods_of_drivers_are_the_authors(shared, seed):
    data = np.load(shared / "oracles" / "finetuning" / f"s13_seed{seed}.npz")
    for start, side in ((0, "ref"), (13, "var")):
        found = around.around(around.base_scores(data[f"attribution_{side}"], data["max_tss"]))
        columns = [found.centre[:, None], found.size, found.distance, found.score]
        expected = data["stats"][:, start : start + 13]
        np.testing.assert_allclose(np.hstack(columns), expected, rtol=1e-8, atol=1e-8)


def test_all_published_neighbourhoods_are_reproduced(shared):
    (folder,) = (shared / "mirror" / "mostafavilabuw" / "EnformerAssessment").glob("*/Data")
    published = pd.read_csv(folder / "SupplementaryTable3.txt", sep=" ").set_index("gene_id")
    names = ["gene_id", "reference", "largest", "sd"]
    near_tss = pd.read_csv(folder / "tss_attribution_stats.txt", sep=r"\s+", names=names)
    near_tss = near_tss.set_index("gene_id")["largest"].astype(float)
    windows = {"from_ref": {}, "from_main_var": {}}
    with tarfile.open(folder / "maindrivernpz.tar") as tar:
        for member in tar:
            side, _, name = member.name.rpartition("/")
            if side in windows and name.endswith("_attribution.npz"):
                content = np.load(io.BytesIO(tar.extractfile(member).read()))
                windows[side][name.split("_")[0]] = content["attribution"].reshape(41, 4)
    assert len(published) == 251
    for start, of_genes in zip((1, 14), windows.values(), strict=True):
        stack = np.array([of_genes[gene] for gene in published.index])
        found = around.around(around.base_scores(stack, near_tss[published.index]))
        columns = [found.centre[:, None], found.size, found.distance, found.score]
        expected = published.iloc[:, start : start + 13].to_numpy(float)
        np.testing.assert_allclose(np.hstack(columns), expected, atol=1e-6)


def _same_partition(one, other):
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))


@pytest.fixture(scope="module", params=SEEDS)
def motif_clusters(shared, request):
    folder = shared / "oracles" / "finetuning"
    data = np.load(folder / f"s10_seed{request.param}.npz")
    sequences = data["sequences"].tolist()
    return data, sequences, stretches.compare(sequences), folder, request.param


def test_stretches_and_groups_are_the_authors(motif_clusters):
    data, _, found, *_ = motif_clusters
    assert (found.score == data["score"]).all()
    shares = data["score"] > 0  # pairs without a stretch have no bounds
    assert (found.bounds[:, shares] == data["stretches"][:, shares]).all()
    assert _same_partition(stretches.groups(found.score), data["clusters"])


def test_patterns_of_groups_are_the_authors(motif_clusters):
    data, sequences, found, folder, seed = motif_clusters
    text = (folder / f"s10_pwms_seed{seed}.txt").read_text()
    for part in text.split("MOTIF Cluster_")[1:]:
        number, *rows = part.split("\n")
        rows = [list(map(float, row.split("\t"))) for row in rows if "\t" in row]
        members = np.flatnonzero(data["clusters"] == int(number))
        pattern, middles = stretches.pattern(sequences, found, members)
        np.testing.assert_allclose(pattern, rows, atol=0.051)
        assert middles.tolist() == data["centre_in_pwm"][members].tolist()


def test_slopes_and_types_are_the_authors(sasse):
    for gene, position, effects, copies, _, observed in _genes(sasse):
        slope = drivers.slopes(copies, observed)
        np.testing.assert_allclose(
            np.nan_to_num(slope), sasse[f"{gene}/eqtl_slope"][:, 1], atol=1e-6
        )
        assert position.tolist() == sasse[f"{gene}/eqtl_slope"][:, 0].tolist()
        if np.isnan(effects).any():
            continue  # one missing attribution leaves all of the authors' types missing
        at, share, eqtl = sasse[f"{gene}/types"].T
        chosen = np.searchsorted(position, at)
        frame = pd.DataFrame({"effect": effects[chosen], "eqtl_slope": slope[chosen]})
        expected = np.where(np.sign(share) == np.sign(eqtl), "supported", "unsupported")
        assert driver_types(frame).tolist() == expected.tolist()
        np.testing.assert_allclose(effects[chosen] / np.abs(effects).max(), share, atol=0.00051)


def test_null_is_the_authors(sasse):
    r = np.abs(sasse["allstats_r_p_meanobs_sdobs_meanpred_sdpred"][:, 0])
    mean, sd, _ = sasse["null_mean_sd_n"].T
    p = null.as_published(r, mean, sd)
    np.testing.assert_allclose(-np.log10(p), sasse["null_T_log10p_log10bh"][:, 1], atol=2e-3)


def test_enrichment_of_groups_counts_each_sequence_once():
    group = np.array([0] * 6 + [1] * 4)
    found = stretches.enrichment(group, np.array([True] * 6 + [False] * 4))
    assert found["n"].tolist() == [6, 4] and found["unsupported"].tolist() == [6, 0]
    # All six of one group unsupported, none of the other: one of C(10, 4) = 210 divisions.
    np.testing.assert_allclose([found["p_more"][0], found["p_fewer"][1]], 1 / 210)
