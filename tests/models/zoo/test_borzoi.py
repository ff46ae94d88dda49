"""Borzoi's class against borzoi-pytorch itself, with random weights at a reduced size.

The convolutions have the published widths, which the package fixes; the transformer is narrow,
and the window short, for which the package's position features are made anew.
"""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from howfar.core.errors import HowfarError
from howfar.models.base import encoding_table, reverse_complement
from howfar.models.registry import Layout, load_model

pytest.importorskip("borzoi_pytorch")
# borzoi-pytorch makes its table of scales from an array that pandas gives read-only.
pytestmark = pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")

CONTEXT = 1024  # bp: 32 bins, 8 tokens
SIZES = {"dim": 64, "depth": 2, "heads": 2, "attn_dim_key": 16, "attn_dim_value": 32,
         "enable_mouse_head": True}  # fmt: skip
TRACKS = [0, 1, 2000, 7000, 7610]


@pytest.fixture(scope="module")
def network():
    """The package's network for the short window, without a crop."""
    from borzoi_pytorch import Borzoi
    from borzoi_pytorch.config_borzoi import BorzoiConfig
    from borzoi_pytorch.pytorch_borzoi_transformer import Attention, get_positional_embed

    torch.manual_seed(4)
    network = Borzoi(BorzoiConfig(**SIZES, bins_to_return=CONTEXT // 32)).eval()
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = None
            module.train()
        if isinstance(module, Attention):
            module.positions = get_positional_embed(CONTEXT // 128, 32, "cpu")
        if name.endswith(("to_out", "to_rel_k")):
            torch.nn.init.normal_(module.weight, std=0.3)
    with torch.inference_mode():
        network(torch.eye(4)[torch.randint(4, (4, CONTEXT))].transpose(1, 2))
    return network.eval()


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("borzoi")
    network.save_pretrained(path)
    return path


def _model(folder, **options):
    return load_model("borzoi", folder, "cpu", **{"context": CONTEXT, "batch_size": 2} | options)


def _windows(number: int) -> np.ndarray:
    letters = np.frombuffer(b"ACGTACGTACGTN", np.uint8)
    return np.random.default_rng(5).choice(letters, (number, CONTEXT))


def _expected(network, windows, **options):
    """The package's own forward: (n, bins, tracks)."""
    x = torch.from_numpy(encoding_table(0.0)[windows]).transpose(1, 2)
    with torch.inference_mode():
        return network(x, **options).transpose(1, 2).numpy()


def _close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert np.ptp(expected) > 0.05 * np.abs(expected).max()


def test_all_bins_and_tracks_of_both_heads(network, folder):
    windows = _windows(3)
    for species, number in (("human", 7611), ("mouse", 2608)):
        expected = _expected(network, windows, is_human=species == "human")
        model = _model(folder, species=species)
        _close(model.predict(windows, range(32), range(number)), expected)
    assert model.tracks["description"][3] == "mouse track 3"


def test_a_crop_keeps_the_middle(network, folder):
    model = _model(folder, crop=12)
    assert model.layout == Layout(CONTEXT, 32, 12, first_base=320)
    found = model.predict(_windows(2), [11, 0], TRACKS)
    _close(found, _expected(network, _windows(2))[:, [21, 10]][:, :, TRACKS])


def test_the_published_layout():
    from howfar.models.zoo.borzoi import layout_of

    layout = layout_of(524_288, None)
    assert layout == Layout(524_288, 32, 6144, first_base=163_840)
    assert (524_288 // 2 - layout.first_base) // 32 == 3072


def test_stranded_tracks_change_places_in_the_reverse_complement(network, folder):
    from borzoi_pytorch.pytorch_borzoi_model import TRACKS_DF

    pairs = TRACKS_DF["strand_pair"].to_numpy()
    assert pairs[0] == 1 and (pairs[pairs] == np.arange(7611)).all()
    windows = _windows(2)
    ahead = _expected(network, windows)
    back = _expected(network, reverse_complement(windows))[:, ::-1][:, :, pairs]
    found = _model(folder, rc=True).predict(windows, [15, 16], TRACKS)
    _close(found, ((ahead + back) / 2)[:, [15, 16]][:, :, TRACKS])


def test_the_inverse_of_the_squashed_scale_is_the_packages(network, folder, tmp_path):
    """Its predict_gene_count does the same for the tracks of one strand, averaged over strands."""
    from borzoi_pytorch import AnnotatedBorzoi
    from borzoi_pytorch.pytorch_borzoi_model import TRACKS_DF
    from safetensors.torch import save_file

    state = network.state_dict()
    state["human_head.weight"] = 8 * state["human_head.weight"]  # some values are soft-clipped
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    annotated = AnnotatedBorzoi(network.config, TRACKS_DF.copy()).eval()
    annotated.load_state_dict(state)
    for mine, its in zip(annotated.transformer, network.transformer, strict=True):
        mine[0].fn[1].positions = its[0].fn[1].positions
    windows, bins = _windows(1), torch.tensor([3, 15, 16])
    x = torch.from_numpy(encoding_table(0.0)[windows]).transpose(1, 2)
    with torch.inference_mode():
        expected = annotated.predict_gene_count(x, [bins], log1p=False).numpy()
    model = _model(tmp_path, rc=True, unsquash=True)
    tracks = annotated.sense_tracks.tolist()
    found = model.predict(windows, bins.tolist(), tracks)
    assert (found > 384).any() and model.units == "coverage per 32-bp bin, linear"
    np.testing.assert_allclose(found.sum(axis=1), expected, rtol=1e-4)


def test_what_the_model_says_of_itself(folder):
    model = _model(folder, rc=True)
    assert "squashed" in model.units and "both strands" in model.notes[1]
    wanted = {"index": 1, "description": model.tracks["description"][1]}
    assert model.track_indices([wanted]) == [1] and len(model.weights_sha256) == 64
    assert model.tss_bin("+") == model.tss_bin("-") == 16


def test_a_windows_values_depend_on_no_other_window(folder):
    windows, model = _windows(3), _model(folder)
    every = model.predict(windows, [15], TRACKS)
    assert (model.predict(windows[::-1], [15], TRACKS) == every[::-1]).all()


def _changed(folder, path, **changes):
    path.mkdir()
    config = json.loads((folder / "config.json").read_text()) | changes
    (path / "config.json").write_text(json.dumps(config))
    (path / "model.safetensors").symlink_to(folder / "model.safetensors")
    return path


def test_wrong_input_is_named(folder, tmp_path):
    deeper = _changed(folder, tmp_path / "a", depth=3)
    other = _changed(folder, tmp_path / "b", model_type="enformer")
    flashed = _changed(folder, tmp_path / "c", flashed=True)
    table = tmp_path / "targets.txt"
    pd.DataFrame({"description": ["one"]}).to_csv(table, sep="\t")
    for message, (path, options) in {
        r"transformer\.2\..* is absent": (deeper, {}),
        "found the model type 'enformer'; expected 'borzoi'": (other, {}),
        "found weights for flash attention": (flashed, {}),
        "model borzoi: found no weights.*Set `weights`": (None, {}),
        "option context: found 1000": (folder, {"context": 1000}),
        "option crop: found 3": (folder, {"crop": 3}),
        "option species: found 'rat'; expected .*human, mouse": (folder, {"species": "rat"}),
        "option rc and unsquash: found no table": (
            folder, {"species": "mouse", "rc": True, "unsquash": True}),
        "found 1 track, without clip_soft": (folder, {"targets": str(table)}),
        "absent.txt: found .*No such file": (folder, {"targets": str(tmp_path / "absent.txt")}),
        "options that this model takes": (folder, {"colour": 1}),
    }.items():  # fmt: skip
        with pytest.raises(HowfarError, match=message):
            _model(path, **options)


def test_without_the_extra_the_message_says_how_to_get_it(folder, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "borzoi_pytorch", None)
    with pytest.raises(HowfarError, match=r"pip install 'howfar\[borzoi\]'"):
        _model(folder)
