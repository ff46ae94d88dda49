"""Gradients along a gene: against finite differences, by hand, and on a kept cohort."""

import numpy as np
import pytest

from helpers import reduced_networks
from howfar import load_model
from howfar.attribution import profiles


def test_a_bases_number_is_its_own_gradient_less_the_mean_of_the_others():
    bases = np.frombuffer(b"GN", np.uint8)
    found = np.array([[1.0, 2.0, 7.0, 3.0], [1.0, 2.0, 3.0, 4.0]])
    assert profiles.of_bases(bases, found).tolist() == [7 - 2, 10]


def test_a_profile_is_the_sd_of_128_bases_of_a_scaled_gradient():
    base = np.concatenate([np.tile([1.0, -1.0], 64), np.zeros(128), [5.0, 5.0]])
    whole = base.std()
    assert profiles.profile(base) == pytest.approx([1 / whole, 0, 0])
    assert len(profiles.profile(np.zeros(200_001))) == 1563  # as METHODS counts them


def test_clusters_are_numbered_by_size():
    rng = np.random.default_rng(1)
    every = np.repeat([[0.0] * 6, [5.0] * 6, [9.0, 0, 0, 0, 0, 0]], [3, 9, 5], axis=0)
    group = profiles.clusters(every + rng.normal(0, 0.1, every.shape), 3)
    assert group.tolist() == [3] * 3 + [1] * 9 + [2] * 5
    assert profiles.clusters(every[:1], 5).tolist() == [1]


class Reference:
    """A contig of random letters."""

    letters = np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(3).integers(0, 4, 2_000)]

    def fetch(self, interval):
        return self.letters[interval.start : interval.end].copy()


@pytest.mark.parametrize("strand", "+-")
def test_gradients_are_those_of_small_changes_of_the_input(tmp_path, strand):
    """Along a random direction; on the forward strand whatever the gene's."""
    import torch

    from howfar.genome.intervals import Gene
    from howfar.prediction.store import Outputs

    model = load_model("demo-enformer", reduced_networks.demo_enformer(tmp_path), engine="plain")
    outputs = Outputs({key: [15, 16, 17] for key in "+-"}, [0, 2])

    class Cohort:
        reference = Reference()

    gene = Gene("g", "g", "1", 1_001, strand)
    bases, found = profiles.of_gene(Cohort(), model, outputs, gene)
    step = torch.zeros(len(bases), 4, dtype=torch.float32)
    places = np.random.default_rng(4).choice(len(bases), 40, replace=False)
    step[places] = torch.randn(40, 4, generator=torch.Generator().manual_seed(5))
    one_hot = model._table[torch.as_tensor(bases[None]).long()]
    values = []
    for sign in (1, -1):
        model.__dict__["_one_hot"] = lambda _, s=sign: one_hot + s * 0.01 * step
        with torch.no_grad():
            out = model._forward(model._batch(bases[None]), [15, 16, 17], torch.tensor([0, 2]))
        values.append(out.double().mean().item())
    expected = (values[0] - values[1]) / 0.02
    assert (found * step.numpy()).sum() == pytest.approx(expected, rel=0.02, abs=1e-5)
