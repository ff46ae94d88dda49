"""Training: on the reference alone, the same to the byte, also after an interruption."""

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from howfar.cohort.expression import read_expression
from howfar.core.errors import HowfarError
from howfar.core.provenance import sha256_of
from howfar.simulate import training
from howfar.simulate.demo import genome, seeds, train, world
from howfar.simulate.demo import grammar as g

RECIPE = train.Recipe(epochs=2)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    path = tmp_path_factory.mktemp("cohort")
    world.simulate(path, seed=2, people=20, genes=8)
    return path


@pytest.fixture(scope="module")
def folder(cohort, tmp_path_factory):
    """A world's reference part, without anything about people."""
    path = tmp_path_factory.mktemp("world")
    for name in training.INPUTS:
        shutil.copy(cohort / name, path)
    return path


@pytest.fixture(scope="module")
def weights(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights")
    train.train(folder, path, seed=2, recipe=RECIPE, threads=1, say=lambda line: None)
    return path


def test_a_killed_training_ends_in_the_same_bytes(folder, weights, tmp_path):
    code = (
        "import sys; from howfar.simulate.demo import train; "
        "train.train(sys.argv[1], sys.argv[2], seed=2, recipe=train.Recipe(epochs=2), threads=1, "
        "say=lambda line: print(line, flush=True))"
    )
    words = [sys.executable, "-c", code, str(folder), str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout.readline().startswith("epoch 1/2")
        os.kill(run.pid, signal.SIGKILL)
    assert not (tmp_path / "weights.safetensors").exists()
    lines = []
    train.train(folder, tmp_path, seed=2, recipe=RECIPE, threads=1, say=lines.append)
    assert [line.split(":")[0] for line in lines] == ["epoch 2/2"]
    for name in ("weights.safetensors", "config.json"):
        assert sha256_of(tmp_path / name) == sha256_of(weights / name), name


def test_a_checkpoint_of_other_inputs_is_not_used(folder, weights, tmp_path):
    shutil.copy(weights / "checkpoint.pt", tmp_path)
    lines = []
    one = train.Recipe(epochs=1)
    train.train(folder, tmp_path, seed=3, recipe=one, threads=1, say=lines.append)
    assert len(lines) == 1 and lines[0].startswith("epoch 1/1")
    assert sha256_of(tmp_path / "weights.safetensors") != sha256_of(weights / "weights.safetensors")


@pytest.mark.parametrize("left", [0, 10, 0.5, 0.99])
def test_a_damaged_checkpoint_is_one_message(folder, weights, tmp_path, left):
    data = (weights / "checkpoint.pt").read_bytes()
    kept = left if isinstance(left, int) else int(left * len(data))
    (tmp_path / "checkpoint.pt").write_bytes(data[:kept])
    with pytest.raises(HowfarError, match="a damaged file"):
        train.train(folder, tmp_path, seed=2, recipe=RECIPE, say=print)


def test_the_callers_random_state_and_threads_are_left_alone(folder, tmp_path):
    import torch

    torch.manual_seed(0)
    expected, threads = torch.get_rng_state(), torch.get_num_threads()
    train.train(folder, tmp_path, seed=2, recipe=train.Recipe(epochs=0), say=print)
    assert (torch.get_rng_state() == expected).all()
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_config_says_what_was_trained(folder, weights):
    config = json.loads((weights / "config.json").read_text())
    genes = pd.read_csv(folder / "genes.csv")
    assert config["regions"] == dict(zip(genes["gene_id"], genes["split"], strict=True))
    assert config["tracks"][-2:] == ["CAGE:cell type A", "CAGE:cell type B"]
    assert len(config["loss"]) == 2 and config["seed"] == 2


@pytest.mark.parametrize("epoch", range(3))
def test_training_windows_lie_on_training_contigs_and_cover_them(folder, epoch):
    w = train.read_world(folder)
    tiles = train.tiles(w, "train", np.random.default_rng(epoch))
    assert {chrom for chrom, _ in tiles} == {f"chr{i}" for i in range(1, 6)}
    held = {c for c in w.contigs if genome.split_of(c) != "train"}
    assert held == {"chr6", "chr7", "chr8"}
    for chrom in ("chr1", "chr2"):
        starts = [s for c, s in tiles if c == chrom]
        covered = len(starts) * train.CONTEXT
        assert min(np.diff(starts), default=train.CONTEXT) == train.CONTEXT
        assert covered > len(w.contigs[chrom]) - 2 * train.CONTEXT


def test_tracks_are_those_of_a_direct_count(folder):
    w = train.read_world(folder)
    tracks, (chrom, start) = train.Tracks(w), ("chr2", 3_000)
    found = tracks.window(chrom, start)
    window = w.contigs[chrom][start : start + train.CONTEXT]
    expected = np.zeros((train.CONTEXT // train.BIN, g.FACTORS))
    sites = g.sites(window[None], w.grammar)
    for at, motif, occupancy in zip(sites.start, sites.motif, sites.occupancy, strict=True):
        if motif < g.FACTORS:
            expected[(at + 5) // 32, motif] += 4 * occupancy / g.UNIT
    inner = slice(1, -1)  # sites that reach over the window's edge are seen by the tracks alone
    np.testing.assert_allclose(found[inner, : g.FACTORS], expected[inner], atol=1e-5)
    here = w.promoters.query("chrom == @chrom")
    for row in here.itertuples():
        at = row.tss - 1 - start
        if 0 <= at < train.CONTEXT:
            np.testing.assert_allclose(
                found[at // 32, train.CAGE], 10 * np.exp([row.log_a, row.log_b]), rtol=1e-5
            )
            assert found[at // 32, train.MARK] == 1
    assert (found[:, train.CAGE] > 0).sum() == 2 * here["tss"].between(3_001, 11_192).sum()


def test_a_world_that_is_missing(tmp_path):
    with pytest.raises(HowfarError, match=r"reference\.fa"):
        train.train(tmp_path, tmp_path / "weights")


def test_kmer_counts_against_counting_words():
    rng = np.random.default_rng(0)
    windows = rng.choice(np.frombuffer(b"ACGTN", np.uint8), (4, 60), p=[0.24] * 4 + [0.04])
    counts = seeds.kmers(windows, 3)
    flip = str.maketrans("ACGT", "TGCA")
    for row, window in enumerate(windows):
        text = window.tobytes().decode()
        words = [text[i : i + 3] for i in range(58)]
        both = [min(w, w.translate(flip)[::-1]) for w in words if "N" not in w]
        assert sorted(c for c in counts[row] if c) == sorted(both.count(w) for w in set(both))


def test_the_score_of_one_world(cohort, weights):
    found = seeds.score(cohort, weights)
    truth = pd.read_parquet(cohort / "truth_values.parquet")
    truth = truth.pivot(index="gene_id", columns="sample", values="value_a")
    observed = read_expression(cohort / "expression.bed.gz").values.loc[truth.index, truth.columns]
    pairs = zip(truth.to_numpy(), observed.to_numpy(), strict=True)
    ceiling = np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs])
    assert found["people_truth"] == pytest.approx(ceiling, abs=1e-9)
    assert found["genes_train"] == 5 and found["genes_held_out"] == 3
    assert 0 <= found["people_share_negative"] <= 1
    for name in ("network_held_out", "ridge_gc_held_out", "ridge_kmers_held_out", "people_model"):
        assert -1 <= found[name] <= 1
