"""Saturation mutagenesis and gradients, against predictions made one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import howfar as hf
from helpers import reduced_networks
from howfar.attribution import gradients, saturation
from howfar.prediction.run import run_in_memory

STEPS = ("sum_bins", "mean_tracks", "mean_haplotypes")
BINS, TRACKS = [15, 16, 17], [0, 2]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = reduced_networks.demo_enformer(tmp_path_factory.mktemp("weights"))
    made = {
        e: hf.load_model("demo-enformer", folder, engine=e, batch_size=8)
        for e in ("shared", "plain")
    }
    window = np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(2).integers(0, 4, 1024)].copy()
    return made, window


def test_shared_mutants_equal_plain_ones(models, tmp_path):
    made, window = dict(models[0]), models[1]
    for name in made:  # float32 rounds plain values by more than what is asked for here
        folder = reduced_networks.demo_enformer(tmp_path)
        made[name] = hf.load_model("demo-enformer", folder, engine=name, batch_size=8)
        reduced_networks.widen(made[name])
    run = run_in_memory(made["plain"], TRACKS, BINS, STEPS)
    found = {
        name: saturation.ism(model, run, BINS, TRACKS, window, 390, 400)
        for name, model in made.items()
    }
    largest = np.abs(found["plain"]).max()
    assert largest > 0 and np.abs(found["shared"] - found["plain"]).max() <= 1e-5 * largest
    assert (found["plain"] == 0).sum() >= 10  # the ten letters that are there


def test_gradients_are_finite_differences(models):
    made, window = models
    model = made["plain"]
    found = gradients.gradient(model, BINS, TRACKS, window)
    assert found.shape == (1024, 4)
    direction = np.random.default_rng(3).standard_normal(found.shape).astype(np.float32)
    ends, step = [], 1e-3
    for sign in (1, -1):
        move = torch.from_numpy(sign * step * direction)
        model.__dict__["_one_hot"] = lambda b, move=move: model._table[b.long()] + move
        ends.append(model.predict(window[None], BINS, TRACKS).mean(dtype=np.float64))
        del model.__dict__["_one_hot"]
    slope = (ends[0] - ends[1]) / (2 * step)
    assert slope == pytest.approx((found * direction).sum(), rel=0.02)
