"""Gradients through a tower run once per distinct stretch equal those of running every window."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from helpers.places import REGION
from helpers.reduced_networks import ENFORMER, fill
from howfar.core.errors import HowfarError
from howfar.genome.genes import read_genes
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.reference import Reference
from howfar.genome.windows import build_windows
from howfar.models.base import encoding_table
from howfar.models.engine.enformer_network import build_network, tower
from howfar.training import heads, losses, schedules
from howfar.training.network import PersonalNetwork
from howfar.training.shared_tower import check_frozen, lay_stretches

BINS, SIZE, HALO = 32, 128, 3
TABLE = torch.from_numpy(encoding_table()).double()


@pytest.fixture(scope="module")
def network() -> PersonalNetwork:
    sizes = ENFORMER | {"num_downsamples": 7, "output_heads": {"human": 3}}
    sizes |= {"target_length": -1, "use_tf_gamma": False, "dim": 24, "attn_dim_key": 6}
    base = build_network(sizes | {"dropout_rate": 0.0, "attn_dropout": 0.0, "pos_dropout": 0.0})
    base.load_state_dict(fill(base, 7), strict=False)
    torch.manual_seed(1)
    model = PersonalNetwork(base, heads.AttentionHead(48)).double().train()
    schedules.freeze_batch_norm(model)
    return model


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    """Six haplotypes: equal ones, SNVs in the middle, at bin edges and ends, and an insertion."""
    letters = np.frombuffer(b"ACGT", np.uint8)
    one = letters[np.random.default_rng(3).integers(0, 4, BINS * SIZE)]
    out = np.repeat(one[None], 6, axis=0)
    for row, places in ((1, [2000]), (2, [2000, 3071, 3072]), (3, [0, BINS * SIZE - 1])):
        out[row, places] = np.where(out[row, places] == ord("A"), ord("C"), ord("A"))
    out[4, 1500:] = np.insert(one, 1500, list(b"GATTACA"))[1500 : BINS * SIZE]
    return out


def gradients(model, features) -> dict[str, torch.Tensor]:
    """Of the pair loss of people (0, 1), (2, 3), (4, 5) against the first, from tower features."""
    model.zero_grad()
    base = model.base
    x = base.final_pointwise(base.transformer(features))
    predicted = heads.people_of(model.head(x))
    pairs = predicted[:2], predicted[1:]
    observed = torch.tensor([1.0, -0.5]).double(), torch.tensor([-0.5, 2.0]).double()
    losses.pair_regression(pairs, observed).backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def error(found, expected) -> float:
    assert set(found) == set(expected)
    return max(
        float((found[n] - g).norm() / g.norm()) for n, g in expected.items() if g.norm() > 1e-12
    )


def by_stretches(model, windows, halo=HALO):
    stretches = lay_stretches(windows, SIZE, halo)
    run, encode = partial(tower, model.base), lambda bases: TABLE[bases.long()]
    features = stretches.features(run, encode, torch.from_numpy(windows))
    return stretches, gradients(model, features)


def test_gradients_equal_those_of_every_window(network, windows):
    plain = gradients(network, tower(network.base, TABLE[torch.from_numpy(windows).long()]))
    stretches, shared = by_stretches(network, windows)
    assert error(shared, plain) < 1e-9
    assert len(plain) > 60
    assert stretches.work < 3.2  # of 6 windows, one of which the insertion changes for the most


def test_a_halo_too_short_shows(network, windows):
    plain = gradients(network, tower(network.base, TABLE[torch.from_numpy(windows).long()]))
    assert error(by_stretches(network, windows, HALO - 1)[1], plain) > 1e-7


def test_a_stretch_shared_wrongly_shows(network, windows):
    plain = gradients(network, tower(network.base, TABLE[torch.from_numpy(windows).long()]))
    stretches = lay_stretches(windows, SIZE, HALO)
    stretches.index[2, 15] = stretches.index[0, 15]
    run, encode = partial(tower, network.base), lambda bases: TABLE[bases.long()]
    wrong = gradients(network, stretches.features(run, encode, torch.from_numpy(windows)))
    assert error(wrong, plain) > 1e-5


def test_one_changed_base_costs_its_halo_twice(windows):
    alone = lay_stretches(windows[:1], SIZE, HALO)
    assert alone.work == 1
    with_snv = lay_stretches(windows[:2], SIZE, HALO)
    assert with_snv.work * BINS == BINS + 1 + 4 * HALO
    assert lay_stretches(windows[[0, 0, 5]], SIZE, HALO).work == 1


def test_batch_statistics_are_refused(network):
    parts = network.parts()["tower"]
    check_frozen(parts)
    parts[0].train()
    with pytest.raises(HowfarError, match="BatchNorm1d in training mode"):
        check_frozen(parts)
    schedules.freeze_batch_norm(network)


@pytest.mark.parametrize("alleles", ["snv", "all"])
def test_work_on_the_real_megabase(shared, alleles):
    genes = {gene.name: gene for gene in read_genes(REGION / "genes.csv")}
    with Reference(REGION / "chr20_1Mb.fa") as reference:
        variants = VariantFile(REGION / "chr20_1Mb.vcf.gz")
        people = variants.samples[:64]
        found = build_windows(
            reference, variants, genes["FKBP1A"], 49_152, samples=people, alleles=alleles
        )
    work = lay_stretches(found.sequences, SIZE, HALO).work
    # 128 haplotypes; fixed blocks of 8 bins take 18 and 29 windows' worth
    assert work == pytest.approx({"snv": 8.5625, "all": 12.71875}[alleles])
