"""Training on people: what is read, resumed training, and the trained network as a run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import howfar as hf
from helpers import reduced_networks
from howfar.models.weights.checkpoint import read_tensors
from howfar.prediction.run import predict_cohort
from howfar.study.schema import Run
from howfar.training import fine_tune as ft

pytestmark = pytest.mark.usefixtures("one_thread")
SPLITS = {"population": "none", "validation": 0.3}
OPTIONS = {"epochs": 2, "people": 6, "pairs": 6, "rate": 1e-3}


@pytest.fixture(scope="module")
def cohort():
    return hf.example_cohort()


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = reduced_networks.demo_enformer(tmp_path_factory.mktemp("network"))
    return Run(id="toy", label="toy", model="demo-enformer", weights=folder, tracks=["a"])


def train(cohort, strategy, run, results, name=None, splits=SPLITS, **options) -> ft.FineTuned:
    return ft.fine_tune(
        cohort,
        strategy,
        run,
        results=results,
        name=name,
        options=OPTIONS | options,
        splits=splits,
        device="cpu",
        say=lambda text: None,
    )


def weights(done: ft.FineTuned) -> dict[str, torch.Tensor]:
    return read_tensors(done.folder / ft.TENSORS)


def equal(first, second) -> bool:
    return set(first) == set(second) and all(torch.equal(first[n], second[n]) for n in first)


@pytest.fixture(scope="module")
def paired(cohort, run, tmp_path_factory) -> ft.FineTuned:
    return train(cohort, "pair_regression", run, tmp_path_factory.mktemp("results"))


def test_a_trained_network_is_a_run_like_any_other(cohort, paired):
    model = hf.load_model("fine-tuned", paired.folder)
    found = predict_cohort(cohort, model)
    prepared = ft.prepare(cohort, "pair_regression", None, options=OPTIONS, splits=SPLITS)
    scores = ft.score(prepared, found.people)
    both = paired.scores.merge(scores, on=["gene_id", "group"], validate="one_to_one")
    assert len(both) == len(paired.scores) == 9
    np.testing.assert_allclose(both["r_x"], both["r_y"], atol=1e-4)
    assert model.region_of("GENE0001") == "train"
    assert model.region_of("GENE0004") == "test"
