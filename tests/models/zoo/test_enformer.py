"""The published Enformer's class against enformer-pytorch itself, with random small networks.

The weights are random and the widths reduced, everything else is the published architecture:
seven halvings, relative positions, 5,313 and 1,643 tracks; windows of the full 196,608 bp where
it matters. Values with the published weights are the business of `howfar doctor --verify`.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from howfar.core.errors import HowfarError
from howfar.fetch import catalogue as sources
from howfar.models import base
from howfar.models.base import encoding_table, parse_bins, reverse_complement
from howfar.models.registry import load_model
from howfar.models.zoo.enformer import _say_once, layout_of, sizes_of

NAME = "EleutherAI/enformer-official-rough"
SIZES = {"dim": 192, "depth": 2, "heads": 1, "dim_divisible_by": 32}
SHORT = 1024  # bp, 8 bins


def _network():
    """Random weights under which values depend on the sequence as much as a trained network's.

    Batch normalisation is given the statistics of random sequences; layers that start as zeros
    are filled, and attention looks at positions.
    """
    from enformer_pytorch import Enformer

    torch.manual_seed(11)
    network = Enformer.from_hparams(**SIZES).eval()
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = None
            module.train()
        if name.endswith("to_out"):
            torch.nn.init.normal_(module.weight, std=0.2)
        if name.endswith("to_rel_k"):
            torch.nn.init.normal_(module.weight, std=0.5)
    with torch.inference_mode():
        network(torch.eye(4)[torch.randint(4, (4, 4096))], target_length=-1)
    network.set_target_length(896)
    return network.eval()


@pytest.fixture(scope="module")
def network():
    return _network()


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of 5,313 tracks in the form of the public one."""
    path = tmp_path_factory.mktemp("targets") / "targets.txt"
    lines = [f"{k}\t0\tI{k}\tf\t32\t2\tmean\tCAGE:tissue {k}" for k in range(5313)]
    head = "index\tgenome\tidentifier\tfile\tclip\tscale\tsum_stat\tdescription"
    path.write_text("\n".join([head, *lines]) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def hub(network, tmp_path_factory):
    """A Hugging Face cache that holds the network under the published name, as a .bin."""
    cache = tmp_path_factory.mktemp("hub")
    entry = cache / f"models--{NAME.replace('/', '--')}"
    (entry / "refs").mkdir(parents=True)
    (entry / "refs" / "main").write_text("0" * 40)
    network.save_pretrained(entry / "snapshots" / ("0" * 40), safe_serialization=False)
    return cache


@pytest.fixture(scope="module")
def folder(hub):
    return next(hub.glob("*/snapshots/*"))


@pytest.fixture
def offline(monkeypatch, hub):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return hub


def _windows(number: int, length: int) -> np.ndarray:
    letters = np.frombuffer(b"ACGTACGTACGTN", np.uint8)
    return np.random.default_rng(5).choice(letters, (number, length))


def _expected(network, windows, n_value=0.25, **options):
    with torch.inference_mode():
        return network(torch.from_numpy(encoding_table(n_value)[windows]), **options).numpy()


def _model(folder, table, **options):
    options = {"context": SHORT, "targets": table, "batch_size": 2} | options
    return load_model("enformer", folder, "cpu", **options)


def _close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.ptp(expected) > 0.05 * np.abs(expected).max()


@pytest.fixture(scope="module")
def full_length(hub, table):
    """At 196,608 bp: our values, and the package's loaded by name with its table on and off."""
    from enformer_pytorch import from_pretrained

    windows = _windows(1, 196_608)
    asked = ([447, 448, 0, 895], [5110, 4980])
    on, off = (
        from_pretrained(NAME, use_tf_gamma=flag, cache_dir=hub, local_files_only=True).eval()
        for flag in (None, False)
    )
    tower = []  # the table changes nothing before the transformer
    on.conv_tower.register_forward_hook(lambda module, given, made: tower.append(made))
    values = [_expected(on, windows, head="human")]
    with torch.inference_mode():
        x = off.crop_final(off.transformer(tower[0].transpose(1, 2)))
        values.append(off.heads["human"](off.final_pointwise(x)).numpy())
    model = _model(next(hub.glob("*/snapshots/*")), table, context=196_608, batch_size=1)
    picked = [each[:, asked[0]][:, :, asked[1]] for each in values]
    return model, model.predict(windows, *asked), *picked


def test_a_local_folder_gives_what_the_package_gives_by_name(full_length):
    """TensorFlow's gamma table is on although the folder has another name."""
    model, found, with_table, without = full_length
    _close(found, with_table)
    # The trap: from a folder the package leaves the table off, and values are others.
    assert np.abs(found / without - 1).max() > 0.01
    assert "TensorFlow's table for 1,536 bins, as the published" in model.notes[0]


def test_the_layout_is_the_published_one(full_length):
    layout = full_length[0].layout
    assert layout == base.Layout(196_608, 128, 896, first_base=320 * 128)
    assert full_length[0].tss_bin("+") == full_length[0].tss_bin("-") == 448
    assert parse_bins("centre10", 448, 896) == list(range(443, 453))
    model = layout_of(128, 49_152, None)
    assert model == base.Layout(49_152, 128, 384) and (49_152 // 2) // 128 == 192
    assert layout_of(128, 196_608, 1536).first_base == 0


def test_all_bins_and_tracks_of_both_heads(network, folder, table):
    windows = _windows(3, SHORT)
    for species, number, targets in (("human", 5313, table), ("mouse", 1643, None)):
        model = _model(folder, targets, species=species)
        expected = _expected(network, windows, head=species, target_length=-1)
        _close(model.predict(windows, range(8), range(number)), expected)
        plain = _model(folder, targets, species=species, engine="plain")
        _close(plain.predict(windows, range(8), range(number)), expected)
    assert model.tracks["description"][7] == "mouse track 7"


def test_tracks_have_the_names_of_the_fetched_tables(folder, table, results_folder):
    (results_folder / "sources" / "models").mkdir(parents=True)
    (results_folder / "sources" / "enformer").mkdir()
    lines = Path(table).read_text().splitlines(keepends=True)
    (results_folder / "sources" / "models" / "targets_human.txt").write_text("".join(lines))
    mouse = results_folder / "sources" / "enformer" / "targets_mouse.txt"
    mouse.write_text("".join(lines[:1644]))
    assert _model(folder, None).track_indices(["CAGE:tissue 5110"]) == [5110]
    assert _model(folder, None, species="mouse").track_indices(["CAGE:tissue 9"]) == [9]
    mouse.write_text("".join(lines[:1643]))
    with pytest.raises(HowfarError, match="found 1,642 tracks; expected 1,643"):
        _model(folder, None, species="mouse")


def test_a_crop_keeps_the_middle(network, folder, table):
    windows = _windows(2, SHORT)
    model = _model(folder, table, crop=4)
    expected = _expected(network, windows, head="human", target_length=4)
    assert expected.shape == (2, 4, 5313) and model.layout.first_base == 256
    _close(model.predict(windows, [3, 0], [9]), expected[:, [3, 0]][:, :, [9]])


def test_the_table_is_off_at_other_lengths_and_said_once(folder, table, capsys):
    _say_once.cache_clear()
    models = [_model(folder, table) for _ in range(2)]
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "this window has 8, so values are not the published" in said
    assert "computed by PyTorch; TensorFlow's table exists for 1,536" in models[0].notes[0]
    assert "(asked for)" in _model(folder, table, tf_gamma=False).notes[0]


def test_every_form_of_the_weights_gives_the_same_values(network, folder, table, tmp_path, offline):
    from safetensors.torch import save_file

    state = network.state_dict()
    # As the converter of Hugging Face writes it: of two names the alphabetically first.
    once = {n: t for n, t in state.items() if n.startswith("_")}
    once |= {n: t for n, t in state.items() if n.startswith(("stem", "conv_tower"))}
    save_file({n: t.clone() for n, t in once.items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    windows = _windows(2, SHORT)
    paths = [folder, folder / "pytorch_model.bin", tmp_path, tmp_path / "model.safetensors"]
    models = [_model(path, table) for path in paths] + [_model(None, table, pretrained=NAME)]
    values = [model.predict(windows, [3, 4], [5110]) for model in models]
    assert all((each == values[0]).all() for each in values)
    assert models[0].weights_sha256 == models[-1].weights_sha256 != models[2].weights_sha256


def test_the_fetched_file_is_the_default(folder, table, results_folder, monkeypatch):
    monkeypatch.setattr(sources, "checksum", lambda *_: "")  # the file is made up
    with pytest.raises(HowfarError, match="sources/enformer.* `howfar fetch enformer`"):
        _model(None, table)
    fetched = results_folder / "sources" / "enformer"
    fetched.parent.mkdir(parents=True)
    fetched.symlink_to(folder)
    assert _model(None, table).predict(_windows(1, SHORT), [0], [0]) > 0


@pytest.mark.parametrize("engine", ["shared", "plain"])
def test_strands_and_shifts_equal_explicit_loops(network, folder, table, engine):
    windows = _windows(3, SHORT)
    model = _model(folder, table, rc=True, shifts=[2, 0, -3], engine=engine)
    every = []
    for shift in (2, 0, -3):
        moved = np.full_like(windows, ord("N"))
        moved[:, max(shift, 0) : SHORT + min(shift, 0)] = windows[
            :, max(-shift, 0) : SHORT - max(shift, 0)
        ]
        ahead = _expected(network, moved, head="human", target_length=-1)
        back = _expected(network, reverse_complement(moved), head="human", target_length=-1)
        every += [ahead, back[:, ::-1]]
    expected = np.mean(every, axis=0)[:, [4, 1]][:, :, [5110]]
    _close(model.predict(windows, [4, 1], [5110]), expected)
    assert "both strands and shifts of 2, 0, -3 bp" in model.notes[1]
    plain = _model(folder, table).predict(windows, [4, 1], [5110])
    assert np.abs(plain / expected - 1).max() > 1e-3


def test_n_is_what_the_option_says(network, folder, table):
    windows = _windows(2, SHORT)
    values = {n: _model(folder, table, n_value=n).predict(windows, [4, 5], [1]) for n in (0.25, 0)}
    for n, found in values.items():
        expected = _expected(network, windows, n, head="human", target_length=-1)
        _close(found, expected[:, [4, 5]][:, :, [1]])
    assert np.abs(values[0] / values[0.25] - 1).min() > 1e-3


def test_a_windows_values_depend_on_no_other_window(folder, table):
    windows, model = _windows(5, SHORT), _model(folder, table, rc=True)
    every = model.predict(windows, [4], [0, 5110])
    assert (model.predict(windows[::-1], [4], [0, 5110]) == every[::-1]).all()
    assert (model.predict(windows[3:4], [4], [0, 5110]) == every[3:4]).all()


def test_what_is_computed_in_place_has_the_same_bits():
    from enformer_pytorch.modeling_enformer import GELU, AttentionPool

    from howfar.models.engine.enformer_network import _pair_pool, gelu

    torch.manual_seed(1)
    x = torch.randn(2, 8, 50)
    pool = _pair_pool(AttentionPool(8))
    torch.nn.init.normal_(pool.to_attn_logits.weight, std=0.3)
    with torch.no_grad():
        before = x.clone()
        found = [gelu()(x), pool(x)]
        assert torch.equal(x, before)
    for here, expected in zip(found, [GELU()(x), pool(x)], strict=True):
        assert torch.equal(here, expected)
    x.requires_grad_()
    ours, theirs = (torch.autograd.grad(act(x).sum(), x)[0] for act in (gelu(), GELU()))
    assert torch.equal(ours, theirs)


def test_faster_pooling_is_equal():
    """Softmax over two as a sigmoid, at the published width of the first layers."""
    from enformer_pytorch.modeling_enformer import AttentionPool

    from howfar.models.engine.enformer_network import _pair_pool

    torch.manual_seed(2)
    pool = AttentionPool(768)
    torch.nn.init.normal_(pool.to_attn_logits.weight, std=0.3)
    x = torch.randn(2, 768, 64, dtype=torch.float64)
    with torch.inference_mode():
        found, expected = _pair_pool(pool.double())(x), pool(x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_lower_precision_is_near_and_said(folder, table):
    windows = _windows(2, SHORT)
    full, half = _model(folder, table), _model(folder, table, precision="bfloat16")
    assert (full.precision, half.precision) == ("float32", "bfloat16")
    ratio = half.predict(windows, [4], [0]) / full.predict(windows, [4], [0])
    assert 0 < np.abs(ratio - 1).max() < 0.05


def _changed(folder, path, change_config=lambda c: None, change=lambda t: None):
    path.mkdir()
    config = json.loads((folder / "config.json").read_text())
    tensors = torch.load(folder / "pytorch_model.bin", weights_only=True)
    change_config(config), change(tensors)
    (path / "config.json").write_text(json.dumps(config))
    torch.save(tensors, path / "pytorch_model.bin")
    return path


def test_weights_that_do_not_fit_are_refused(folder, table, tmp_path):
    deeper = _changed(folder, tmp_path / "a", lambda c: c.update(depth=3))
    shallower = _changed(folder, tmp_path / "b", lambda c: c.update(depth=1))
    wider = _changed(folder, tmp_path / "c", lambda c: c.update(dim=384, heads=2))
    other = _changed(folder, tmp_path / "d", lambda c: c.update(model_type="borzoi"))
    sizes = _changed(folder, tmp_path / "i", lambda c: c.update(dim="wide"))
    heads, twice = {"human": 5000, "mouse": 1643}, "_trunk.1.0.bias"
    fewer = _changed(folder, tmp_path / "e", lambda c: c.update(output_heads=heads))
    two = _changed(folder, tmp_path / "f", change=lambda t: t.update({twice: t[twice] + 1}))
    bias = {"_heads.human.0.bias": torch.zeros(5000)}
    short = _changed(folder, tmp_path / "g", change=lambda t: t.update(bias))
    cut = _changed(folder, tmp_path / "h")
    whole = (cut / "pytorch_model.bin").read_bytes()
    (cut / "pytorch_model.bin").write_bytes(whole[: len(whole) // 2])
    (cut / "model.safetensors").write_bytes(whole[:100])
    (cut / "list.bin").write_bytes(b"")
    torch.save([1, 2], tmp_path / "other.bin")
    for message, path in {
        r"transformer\.2\.0\.fn\.0\.weight is absent; expected .* of shape \(192,\)": deeper,
        r"transformer\.1\.0\..* is of shape .*; expected .* absent": shallower,
        r"stem\.0\.weight is of shape \(96, 4, 15\); expected .* \(192, 4, 15\)": wider,
        "found the model type 'borzoi'; expected 'enformer'": other,
        "found 5,313 tracks; expected 5,000": fewer,
        r"stem\.0\.bias is two different copies": two,
        r"i/config\.json, dim: found 'wide'": sizes,
        r"_heads\.human\.0\.bias is of shape \(5000,\); expected .*\(5313,\)": short,
        "a file that can't be read": cut / "model.safetensors",
        r"pytorch_model\.bin: found a file that can't be read": cut / "pytorch_model.bin",
        r"list\.bin: found a file that can't be read": cut / "list.bin",
        "something else than named tensors": tmp_path / "other.bin",
        "nowhere: found no weights": tmp_path / "nowhere",
    }.items():
        with pytest.raises(HowfarError, match=message):
            _model(path, table)


def test_code_in_a_file_of_weights_is_not_run(table, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    torch.save({"stem.0.bias": Bomb()}, tmp_path / "weights.bin")
    with pytest.raises(HowfarError, match="a file that can't be read"):
        _model(tmp_path / "weights.bin", table)
    assert not (tmp_path / "ran").exists()


def test_wrong_options_are_named(folder, table, offline):
    for message, options in {
        "found 393216; expected .*only cut down to its central 196,608": {"context": 393_216},
        "option context: found 1000": {"context": 1000},
        "option crop: found 3": {"crop": 3},
        "option crop: found 10": {"crop": 10},
        "option species: found 'rat'; expected .*human, mouse": {"species": "rat"},
        "5,313 tracks; expected 1,643": {"species": "mouse"},
        "option shifts": {"shifts": [0.5]},
        "option n_value: found 'zero'": {"n_value": "zero"},
        "option engine: found 'steam'": {"engine": "steam"},
        "option precision: found 'tf32'": {"precision": "tf32"},
        "both `weights` and the option `pretrained`": {"pretrained": NAME},
        "options that this model takes": {"colour": 1},
    }.items():
        with pytest.raises(HowfarError, match=message):
            _model(folder, table, **options)
    with pytest.raises(HowfarError, match="'EleutherAI/none'.*or a network that reaches it"):
        _model(None, table, pretrained="EleutherAI/none")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("depth", 100_000),
        ("num_downsamples", 10**9),
        ("num_downsamples", "7"),
        ("dim", 0),
        ("output_heads", [3]),
        ("human", "3"),
        ("human", -3),
    ],
)
def test_sizes_that_are_none_are_named_before_anything_is_made(tmp_path, key, value):
    sizes = {"output_heads": {key: value}} if key == "human" else {key: value}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "enformer"} | sizes))
    with pytest.raises(HowfarError, match=f"config.json, {key}: found"):
        sizes_of(tmp_path / "model.safetensors")
