"""Training in two parts: tracks as stated, a frozen tower, the same bytes after an interruption."""

import json
from pathlib import Path

import numpy as np
import pytest

from howfar.attribution import cures as attribution
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.core.provenance import sha256_of
from howfar.evaluation import cures
from howfar.models.registry import load_model
from howfar.simulate.demo import grammar as g
from howfar.simulate.hard import report, rules, train
from howfar.simulate.hard.genome import FREE
from howfar.study.reading import load_study

RECIPE = train.Recipe(tower_steps=2, tower_batch=2, epochs=2)


@pytest.fixture(scope="module")
def weights(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights")
    train.train(folder, path, seed=2, recipe=RECIPE, say=lambda line: None)
    return path


class Stop(Exception):
    """The interruption."""


def test_an_interrupted_training_ends_in_the_same_bytes(folder, weights, tmp_path):
    import torch

    for after in ("tower", "epoch 1/2"):

        def stop(line, after=after):
            if line.startswith(after):
                raise Stop

        with pytest.raises(Stop):
            train.train(folder, tmp_path, seed=2, recipe=RECIPE, say=stop)
    lines, before = [], torch.get_rng_state()
    train.train(folder, tmp_path, seed=2, recipe=RECIPE, say=lines.append)
    assert [line.split(":")[0] for line in lines] == ["epoch 2/2"]
    assert (torch.get_rng_state() == before).all()
    for name in ("weights.safetensors", "config.json"):
        assert sha256_of(tmp_path / name) == sha256_of(weights / name), name


def test_the_weights_are_read_by_the_demo_network(folder, weights):
    model = load_model("demo-enformer", weights)
    config = json.loads((weights / "config.json").read_text())
    assert list(model.tracks["description"]) == train.TRACKS == config["tracks"]
    assert model.region_of("GENE0001") == "train" and model.region_of("GENE0008") == "test"
    assert config["recipe"]["epochs"] == 2 and len(config["loss"]) == 3


def test_the_tower_does_not_change_with_the_top(folder, weights):
    """Its features of a training window, made once, are those of the finished network."""
    import torch

    world = train.read_world(folder)
    state = train._State(world, RECIPE, 2, {})
    state._train_tower()
    state._freeze()
    kept = load_model("demo-enformer", weights)._network
    for part in ("stem", "conv_tower"):
        mine, theirs = getattr(state.network, part), getattr(kept, part)
        for name, tensor in mine.state_dict().items():
            assert torch.allclose(tensor, theirs.state_dict()[name]), name


def test_tracks_are_those_of_a_direct_count(folder):
    world = train.read_world(folder)
    bases = world.contigs[FREE][:4_096]
    tracks = train.tracks_of(bases, world.rules)
    found = g.sites(bases[None], world.rules.grammar)
    keep = found.motif < g.FACTORS
    start, motif, occ = found.start[keep], found.motif[keep], found.occupancy[keep] / g.UNIT
    for k in (0, 31, 64, 127):
        here = (start + 5) // 32 == k
        chip = np.bincount(motif[here], 4 * occ[here], g.FACTORS)
        np.testing.assert_allclose(tracks[k, train.CHIP], chip, atol=1e-5)
        away = np.abs(start + g.MIDDLE - (32 * k + 16))
        total = occ[away <= 128].sum()
        assert tracks[k, train.ACCESS] == pytest.approx(2 * total / (1 + total / 6), rel=1e-5)
        near = np.array(world.rules.near)[motif] * occ
        signed = near[(away <= rules.PROXIMAL) & (motif < rules.CONFOUNDED)].sum()
        z = (signed - world.rules.centre) / world.rules.spread
        assert tracks[k, train.ACTIVITY] == pytest.approx(4 * np.exp(0.75 * min(z, 4)), rel=1e-5)


def test_a_genes_window_has_its_level_at_the_tss(folder):
    world = train.read_world(folder)
    promoters = train.training_promoters(world)
    assert set(promoters["chrom"]) == {*(f"chr{i}" for i in range(1, 6)), "chr9"}
    row = next(promoters.itertuples())
    bases, tracks = train.gene_window(world, row)
    assert bases.shape == (9_216,) and tracks.shape == (288, len(train.TRACKS))
    assert tracks[144, train.CAGE] == pytest.approx(10 * np.exp(row.log_a), rel=1e-5)
    assert (tracks[:, train.CAGE] > 0).sum() == 1
    core = world.rules.grammar.motifs[g.FACTORS + 1].encode()
    assert bases[144 * 32 - 5 : 144 * 32 + 5].tobytes() == core


def test_the_score_of_one_world(folder, weights):
    found = report.score(folder, weights, genes=2)
    assert found["people_genes"] == 2
    for name in ("network", "told", "blup", "prior", "pooled", "genes_held_out", "peaks"):
        assert -1 <= found[name] <= 1, name
    assert 0 < found["ceiling"] < 0.5 and 0 <= found["wrong_enhancer"] <= 1


def test_the_cures_of_a_study(folder, weights, results_folder):
    """Rows of table `summary`: network, cures and the true genetic value, kept while current."""
    study = load_study("demo")
    files = {
        role: folder / Path(getattr(study.cohort, role)).name
        for role in ("reference", "variants", "genes", "expression", "samples")
    }
    cohort = study.cohort.model_copy(update=files)
    run = study.runs[0].model_copy(update={"weights": weights})
    study = study.model_copy(update={"cohort": cohort, "runs": [run]})
    path = cures.run(study, run, results_folder, cures.Options(genes=2))
    made = path.stat().st_mtime_ns
    rows = cures.load(OpenCohort(study), results_folder)
    assert (
        set(rows["set"]) == {cures.CURES, cures.PEAKS, f"{cures.PEAKS}.r"}
        and rows["value"].between(-1, 1).all()
    )
    assert {cures.ALL, cures.SEEN, "AFR, trained on EUR"} <= set(rows["group"])
    methods = {*attribution.LABELS.values(), cures.CEILING}
    methods.remove(attribution.LABELS[attribution.TRACKS])  # which two genes can't give
    for _, group in rows[rows["set"] == cures.CURES].groupby("group"):
        assert set(group["method"]) == methods and group["n"].between(1, 2).all()
    assert cures.run(study, run, results_folder, cures.Options(genes=2)) == path
    assert path.stat().st_mtime_ns == made
    with pytest.raises(HowfarError, match="no track whose description begins with 'DNase'"):
        cures.run(study, run, results_folder, cures.Options(genes=2, tracks="DNase"))
