"""Borzoi's class against borzoi-pytorch itself, with random weights at a reduced size.

The convolutions have the published widths, which the package fixes; the transformer is narrow,
and the window short, for which the package's position features are made anew.
"""

import json
import os

import numpy as np
import pandas as pd
import pytest
import torch

from howfar.core.errors import HowfarError
from howfar.models.base import encoding_table, reverse_complement
from howfar.models.registry import Layout, load_model
from howfar.models.zoo import borzoi

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


def _windows(number: int, context: int = CONTEXT) -> np.ndarray:
    letters = np.frombuffer(b"ACGTACGTACGTN", np.uint8)
    return np.random.default_rng(5).choice(letters, (number, context))


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


def test_sharing_gives_what_each_window_alone_gives(folder):
    """Haplotypes with an indel; bins in the middle and at both ends."""
    windows = np.tile(_windows(1, 2048), (3, 1))
    windows[1, 700] = ord("A") if windows[1, 700] != ord("A") else ord("C")
    windows[2, 900:-7] = windows[2, 907:].copy()
    kinds = {"context": 2048, "rc": True}
    plain = _model(folder, engine="plain", **kinds).predict(windows, range(64), TRACKS)
    shared = _model(folder, **kinds)
    assert (shared.engine, shared._parts.halo) == ("shared", 3)
    for bins in ([0], [63], [31, 32, 33, 47], list(range(64))):
        found = shared.predict(windows, bins, TRACKS)
        np.testing.assert_allclose(found, plain[:, bins], rtol=1e-5, atol=1e-5 * plain.max())
    assert plain.std(axis=0).max() > 0.01 * plain.max()


@pytest.mark.skipif(os.getenv("HOWFAR_LONG") != "1", reason="a pass in float64 takes long")
def test_what_it_declares_is_found_again(folder):
    from howfar.models.engine.locality import look

    network = _model(folder, context=2048).network
    for tower in (borzoi._tokens, borzoi._skips):
        view = look(_AsModule(network, tower), torch.eye(4)[torch.randint(4, (2, 2048))])
        assert view.reaches[view.whole.nodes.index(view.whole.outputs[0])] == 384


class _AsModule(torch.nn.Module):
    def __init__(self, network, run):
        super().__init__()
        self.network, self.run = network, run

    def forward(self, x):
        return self.run(self.network, x)


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
    table = tmp_path / "targets.txt"
    pd.DataFrame({"description": ["one"]}).to_csv(table, sep="\t")
    for message, (path, options) in {
        r"transformer\.2\..* is absent": (deeper, {}),
        "found the model type 'enformer'; expected 'borzoi'": (other, {}),
        "borzoi/replicate-0: found no weights.*Run `howfar fetch borzoi`": (None, {}),
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


@pytest.fixture(scope="module")
def replicates(network, folder, tmp_path_factory):
    """Two replicates in one folder, the second with another head."""
    from safetensors.torch import save_file

    place = tmp_path_factory.mktemp("both")
    for k in range(2):
        path = _changed(folder, place / f"replicate-{k}")
    state = network.state_dict()
    state["human_head.weight"] = state["human_head.weight"].flip(0).contiguous()
    (path / "model.safetensors").unlink()
    save_file(state, path / "model.safetensors")
    return place


def test_replicates_are_averaged_as_linear_coverage(replicates, folder):
    windows, keys = _windows(1), {"unsquash": True, "rc": True}
    parts = [_model(replicates / f"replicate-{k}", **keys) for k in range(2)]
    expected = [part.predict(windows, [3, 15], TRACKS) for part in parts]
    both = _model(replicates, **keys)
    np.testing.assert_allclose(
        both.predict(windows, [3, 15], TRACKS), np.mean(expected, 0), rtol=1e-6
    )
    assert np.abs(expected[0] - expected[1]).max() > 0.1 * np.abs(expected[0]).max()
    assert both.notes[0] == "Mean over 2 replicates." and both.usual_bins == "exons"
    assert both.weights_sha256 not in {part.weights_sha256 for part in parts}
    assert both.tracks.find("lcl rna").index[0] == 6112
    at, letters = np.array([500, 501]), np.array([0, 1])
    (changed,) = both.predict_substitutions(windows[0], at, letters, [15], TRACKS)
    mutated = np.tile(windows[0], (2, 1))
    mutated[[0, 1], at] = [ord("A"), ord("C")]
    np.testing.assert_allclose(changed, both.predict(mutated, [15], TRACKS), rtol=1e-5)


def test_fetched_replicates_are_taken_all_or_none(replicates, results_folder):
    place = results_folder / "sources" / "borzoi"
    place.mkdir(parents=True)
    for k in range(4):
        if k == 3:
            with pytest.raises(HowfarError, match="replicate-3: found no weights"):
                _model(None)
        (place / f"replicate-{k}").symlink_to(replicates / f"replicate-{k % 2}")
    assert _model(None).notes[0] == "Mean over 4 replicates."


def test_a_gene_is_read_as_predict_gene_count_reads_it(network, replicates, tmp_path):
    """Sum over the package's own bins of a gene's exons, on a window of the reference."""
    from borzoi_pytorch.gene_utils import Transcriptome

    from howfar.genome.exons import read_exons_of
    from howfar.models.engine.gene_bins import carried, covered

    text = 'gene_id "g"; transcript_id "t"; gene_name "g";'
    lines = [f"1\tx\texon\t{a}\t{b}\t.\t+\t.\t{text}" for a, b in ((2100, 2190), (2500, 2560))]
    (tmp_path / "a.gtf").write_text("\n".join(lines) + "\n")
    bins = Transcriptome(str(tmp_path / "a.gtf")).genes["g"].output_slice(2000, CONTEXT, 32)
    model, windows = _model(replicates / "replicate-0"), _windows(1)
    exons = read_exons_of(tmp_path / "a.gtf").of("g")
    found = covered(carried(np.arange(2000, 2000 + CONTEXT), exons), model.layout, False)
    total = model.predict(windows, np.flatnonzero(found).tolist(), TRACKS).sum(axis=1)
    expected = _expected(network, windows)[:, bins][:, :, TRACKS].sum(axis=1)
    np.testing.assert_allclose(total, expected, rtol=1e-5)


def test_flashzois_attention_is_grouped_and_rotary_as_gpt_neoxs():
    from transformers.models.gpt_neox.modeling_gpt_neox import GPTNeoXConfig, GPTNeoXRotaryEmbedding
    from transformers.models.gpt_neox.modeling_gpt_neox import apply_rotary_pos_emb as turn

    from howfar.models.engine.rotary_attention import RotaryAttention

    torch.manual_seed(1)
    mine = RotaryAttention(48, 4, 2, 12**-0.5, 8, 20000.0, causal=False)
    x = torch.randn(2, 7, 48)
    qkv = mine.Wqkv(x)
    q, k, v = (part.unflatten(-1, (-1, 12)).transpose(1, 2) for part in qkv.split([48, 24, 24], -1))
    config = GPTNeoXConfig(
        hidden_size=48, num_attention_heads=4, rotary_pct=8 / 12, rotary_emb_base=20000
    )
    q, k = turn(q, k.contiguous(), *GPTNeoXRotaryEmbedding(config)(x, torch.arange(7)[None]))
    k, v = (part.repeat_interleave(2, dim=1) for part in (k, v))
    weights = torch.softmax(q @ k.transpose(-1, -2) * 12**-0.5, dim=-1)
    expected = mine.out_proj((weights @ v).transpose(1, 2).flatten(-2))
    torch.testing.assert_close(mine(x), expected)


def test_flashzoi_runs_without_flash_attn(tmp_path):
    from borzoi_pytorch import Borzoi
    from borzoi_pytorch.config_borzoi import BorzoiConfig

    from howfar.models.engine.rotary_attention import RotaryAttention, in_place_of_flash_attn

    torch.manual_seed(2)
    sizes = {"dim": 320, "depth": 1, "heads": 2, "flashed": True}
    with in_place_of_flash_attn():
        network = Borzoi(BorzoiConfig(**sizes, bins_to_return=CONTEXT // 32)).eval()
    torch.nn.init.normal_(network.transformer[0][0].fn[1].mha.out_proj.weight, std=0.05)
    network.save_pretrained(tmp_path)
    model = load_model("flashzoi", tmp_path, "cpu", context=CONTEXT, batch_size=1)
    assert isinstance(model.network.transformer[0][0].fn[1].mha, RotaryAttention)
    found, expected = model.predict(_windows(1), [3, 15], TRACKS), _expected(network, _windows(1))
    np.testing.assert_allclose(found, expected[:, [3, 15]][:, :, TRACKS], rtol=1e-5)
    assert (found[:, 0] != found[:, 1]).all()
    with pytest.raises(HowfarError, match="Run `howfar fetch flashzoi`"):
        load_model("flashzoi", None, "cpu")


def test_without_the_extra_the_message_says_how_to_get_it(folder, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "borzoi_pytorch", None)
    with pytest.raises(HowfarError, match=r"pip install 'howfar\[borzoi\]'"):
        _model(folder)
