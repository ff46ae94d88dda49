"""The transformer without waste equals enformer_pytorch's own modules."""

import copy

import pytest
import torch
from enformer_pytorch import Enformer

from helpers.rounding import assert_as_exact_as
from howfar.core.errors import HowfarError
from howfar.models.engine import attention


@pytest.fixture(scope="module")
def network():
    """A narrow Enformer whose attention does something: at birth its output weights are zero."""
    torch.manual_seed(5)
    made = Enformer.from_hparams(
        dim=96, depth=3, heads=2, output_heads={"human": 2}, target_length=-1, dim_divisible_by=2
    )
    for name, weight in made.transformer.named_parameters():
        if weight.dim() == 2 and "to_rel_k" not in name:
            torch.nn.init.xavier_normal_(weight, gain=1.5)
    return made.eval()


def plain(network, x, bins):
    with torch.inference_mode():
        return network.transformer(x)[:, bins]


def fast(network, x, bins):
    with torch.inference_mode():
        return attention.Transformer(network)(x, bins)


def exact(network, x, bins):
    """As `plain`, in float64."""
    return plain(copy.deepcopy(network).double(), x.double(), bins)


@pytest.mark.parametrize("length", [1, 2, 7, 64])
@pytest.mark.parametrize("batch", [1, 3])
def test_equal_to_the_package(network, length, batch):
    x = torch.randn(batch, length, 96)
    bins = sorted({0, length // 2, length - 1})
    assert_as_exact_as(fast(network, x, bins), plain(network, x, bins), exact(network, x, bins))


def test_bins_in_any_order_and_repeated(network):
    x = torch.randn(2, 16, 96)
    bins = [9, 3, 3]
    assert_as_exact_as(fast(network, x, bins), plain(network, x, bins), exact(network, x, bins))


def test_the_attention_matters_in_this_test(network):
    """Were the attention left out, the comparison above would see it."""
    x = torch.randn(1, 16, 96)
    moved = x.clone()
    moved[0, 0] += torch.randn(96)
    assert (fast(network, x, [12]) - fast(network, moved, [12])).abs().max() > 1e-2


def test_positions_are_signed_and_shifted_by_row():
    relative = torch.arange(3 * 5.0).reshape(1, 1, 3, 5)
    expected = torch.stack([relative[0, 0, i, 2 - i : 5 - i] for i in range(3)])
    assert torch.equal(attention._absolute(relative)[0, 0], expected)
    rows = torch.tensor([2, 0])
    assert torch.equal(attention._absolute_rows(relative[:, :, rows], rows)[0, 0], expected[rows])


def test_position_keys_are_made_once_for_each_length(network, monkeypatch):
    import enformer_pytorch.modeling_enformer as package

    made = []
    original = package.get_positional_embed
    monkeypatch.setattr(
        package, "get_positional_embed", lambda *a, **k: made.append(a[0]) or original(*a, **k)
    )
    transformer = attention.Transformer(network)
    with torch.inference_mode():
        for _ in range(3):
            transformer(torch.randn(1, 8, 96), [0])
        transformer(torch.randn(1, 4, 96), [0])
    assert made == [8] * 3 + [4] * 3  # three blocks, each length once


def test_training_mode_is_refused(network):
    network.train()
    try:
        with pytest.raises(HowfarError, match="evaluation mode"):
            attention.Transformer(network)
    finally:
        network.eval()


@pytest.mark.parametrize("length", [1, 2, 64])
def test_what_trains_gives_the_packages_values_and_gradients_to_the_bit(network, length):
    theirs = copy.deepcopy(network.transformer[0][0].fn[1]).train()
    theirs.pos_dropout.p = theirs.attn_dropout.p = 0.1
    ours, found = attention.trainable(copy.deepcopy(theirs)), []
    given = torch.randn(3, length, 96)
    with torch.inference_mode():
        ours(given)
    for module in (theirs, ours, ours):  # the passes keep the positions of that prediction
        torch.manual_seed(7)
        module.zero_grad()
        x = given.clone().requires_grad_()
        values = module(x)
        (values**2).sum().backward()
        found.append([values.detach(), x.grad, *(p.grad.clone() for p in module.parameters())])
    assert all(map(torch.equal, found[0], found[1])) and all(map(torch.equal, found[1], found[2]))
