"""The model registry and the small Enformer behind the interface."""

import dataclasses
import json
import resource
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from howfar.core import sealed
from howfar.core.errors import HowfarError
from howfar.doctor import verdicts
from howfar.doctor.reproduce import RECIPES
from howfar.models import base, engine
from howfar.models.base import encoding_table, parse_bins
from howfar.models.engine.options import ALL_SHARED
from howfar.models.registry import MODELS, load_model, version_of
from howfar.simulate.demo import train, world

BINS = [127, 128, 129]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo")
    world.simulate(root / "world", seed=2, people=12, genes=8)
    recipe = train.Recipe(epochs=2)
    train.train(root / "world", root / "weights", recipe=recipe, threads=1, say=lambda line: None)
    return root / "weights"


@pytest.fixture(scope="module")
def model(weights):
    return load_model("demo-enformer", weights, "cpu")


@pytest.fixture(scope="module")
def windows():
    return np.random.default_rng(0).choice(np.frombuffer(b"ACGTN", np.uint8), (11, 8192))


def test_values_equal_the_package_networks(weights, model, windows):
    import torch
    from enformer_pytorch import Enformer
    from safetensors.torch import load_file

    config = json.loads((weights / "config.json").read_text())
    network = Enformer.from_hparams(**config["hparams"])
    kept = load_file(weights / "weights.safetensors")
    assert not network.load_state_dict(kept, strict=False).unexpected_keys
    network.eval()
    with torch.inference_mode():
        x = torch.from_numpy(encoding_table()[windows])
        expected = network(x, head="human")[:, BINS][:, :, [3, 15]].numpy()
    found = model.predict(windows, BINS, [3, 15])
    assert found.dtype == np.float32 and found.shape == (11, 3, 2)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-7)


def test_a_windows_values_depend_on_no_other_window(model, windows):
    every = model.predict(windows, BINS, [15, 16])
    order = np.random.default_rng(1).permutation(len(windows))
    assert (model.predict(windows[order], BINS, [15, 16]) == every[order]).all()
    for i in (0, 7, 10):
        assert (model.predict(windows[i : i + 1], BINS, [15, 16]) == every[i : i + 1]).all()
    assert model.predict(windows[:0], BINS, [15]).shape == (0, 3, 1)


def test_batch_sizes_agree(weights, windows, model):
    small = load_model("demo-enformer", weights, batch_size=3)
    np.testing.assert_allclose(
        small.predict(windows, BINS, [15]), model.predict(windows, BINS, [15]), rtol=2e-5
    )


def test_what_the_model_says_of_itself(model, weights):
    assert (model.layout.context, model.layout.bin_size, model.layout.n_bins) == (8192, 32, 256)
    assert model.track_indices(["CAGE:cell type A"]) == [15]
    assert parse_bins("centre3", model.tss_bin("-"), 256) == BINS
    assert len(model.weights_sha256) == 64 and not model.oriented
    config = json.loads((weights / "config.json").read_text())
    gene, region = next(iter(config["regions"].items()))
    assert model.region_of(gene) == region and model.region_of("no such gene") is None


def test_the_values_move_with_the_sequence(model, windows):
    assert np.ptp(model.predict(windows, BINS, [15])[:, 1, 0]) > 0


def _broken(weights, folder, change):
    shutil.copytree(weights, folder)
    config = sealed.read_json(folder / "config.json")
    change(config)
    sealed.write_json(folder / "config.json", config)
    return folder


def test_wrong_input_is_named(weights, model, windows, tmp_path):
    wider = _broken(weights, tmp_path / "a", lambda c: c["hparams"].update(depth=1))
    keyless = _broken(weights, tmp_path / "b", lambda c: c.pop("tracks"))
    short = _broken(weights, tmp_path / "c", lambda c: None)
    (short / "weights.safetensors").write_bytes(b"nothing")
    for message, call in {
        "one of alphagenome, basenji2, beluga, borzoi": lambda: load_model("enformr", weights),
        "no `weights`": lambda: load_model("demo-enformer"),
        r"config\.json: found no such file": lambda: load_model("demo-enformer", tmp_path),
        "tensors that don't fit": lambda: load_model("demo-enformer", wider),
        "found no tracks": lambda: load_model("demo-enformer", keyless),
        "a file that can't be read": lambda: load_model("demo-enformer", short),
        "options that this model takes": lambda: load_model("demo-enformer", weights, depth=3),
        "device 'cuda:99'": lambda: load_model("demo-enformer", weights, "cuda:99"),
        "device 'abacus'": lambda: load_model("demo-enformer", weights, "abacus"),
        r"uint8 of shape \(n, 8192\)": lambda: model.predict(windows[:, :-1], BINS, [0]),
        "float64 of shape": lambda: model.predict(windows.astype(float), BINS, [0]),
    }.items():
        with pytest.raises(HowfarError, match=message):
            call()


@pytest.mark.parametrize(
    ("found", "key", "value"),
    [
        ("`bin_size` 64 for 5 halvings", "bin_size", 64),
        ("`bin_size` 32.0 for 5", "bin_size", 32.0),
        ("`context` 8191", "context", 8191),
        ("`context` '8192'", "context", "8192"),
        ("`context` 0", "context", 0),
        ("`tracks` that aren't the names", "tracks", ["one"]),
        ("`tracks` that aren't the names", "tracks", None),
        ("`units` or `regions`", "regions", ["g1"]),
        ("`hparams` of no network", "hparams", None),
        ("`depth` 100000", "hparams", train.HPARAMS | {"depth": 100_000}),
    ],
)
def test_lengths_and_tracks_that_do_not_fit_the_network_are_named(
    weights, tmp_path, found, key, value
):
    """The tensors fit all the same: values would be those of other bases, or of other tracks."""
    odd = _broken(weights, tmp_path / "odd", lambda c: c.update({key: value}))
    with pytest.raises(HowfarError, match=f"config.json: found {found}"):
        load_model("demo-enformer", odd, "cpu")


@pytest.mark.parametrize(
    ("track", "found"),
    [
        ({"index": train.TRACKS[0], "description": train.TRACKS[1]}, "the description"),
        ([1], r"found \[1\]"),
        (True, "found True"),
    ],
)
def test_a_track_is_named_once_and_rightly(model, track, found):
    with pytest.raises(HowfarError, match=found):
        model.track_indices([track])
    first = train.TRACKS[0]
    assert model.track_indices([{"index": first, "description": first}]) == [0]


@pytest.mark.parametrize("size", [0, -1, 2.5, "8", True, None])
def test_a_batch_size_that_is_no_number_of_windows_is_refused(weights, size):
    with pytest.raises(HowfarError, match="model demo-enformer, batch_size: found"):
        load_model("demo-enformer", weights, "cpu", batch_size=size)


@pytest.mark.parametrize("device", [None, 0, "meta", "mps", "cuda:²", "CPU"])
def test_a_device_that_is_not_there_is_named(weights, device):
    with pytest.raises(HowfarError, match=f"device '{device}': found"):
        load_model("demo-enformer", weights, device)


def test_every_entry_says_what_a_user_must_know():
    for name, entry in MODELS.items():
        card = entry.card
        assert entry.title and card.reads and card.gives and card.checked and card.licence, name
        assert card.published or "unverified" in verdicts.state(name, "nowhere")
    assert set(RECIPES) == {name for name, entry in MODELS.items() if entry.card.published}


def test_a_loader_is_imported_only_when_it_is_called():
    words = "import sys, howfar.models; sys.exit(any('torch' in m for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == 0


@pytest.mark.parametrize(("index", "strand"), [(65535, "+"), (65536, "-"), (65536, "+")])
def test_the_ten_central_bins_are_the_same_on_both_strands(index, strand):
    """Basenji2's TSS is the last base of bin 447 on '+' and the first of bin 448 on '-'."""

    class Model(base.SequenceModel):
        layout = base.Layout(131_072, 128, 896, 8_192)

        def tss_index(self, strand):
            return index

        def predict(self, *given): ...

    model = Model()
    bins = parse_bins("centre10", model.tss_bin(strand), 896, model.tss_edge(strand))
    assert bins == list(range(443, 453))


NETWORKS = [name for name in MODELS if name not in ("gc-content", "table")]


@pytest.mark.parametrize("name", NETWORKS)
def test_versions_of_a_network_are_known_without_its_weights(name):
    version = version_of(name)
    assert version["engine"] == engine.VERSION and version[name] >= 1
    assert list(version)[-1] == name and MODELS[name].network.name == name


def test_a_network_that_is_made_of_another_has_its_version(weights, model):
    assert version_of("expecto") == {"engine": 1, "beluga": 1, "expecto": 1}
    assert model.version == version_of("demo-enformer") == {"engine": 1, "demo-enformer": 1}
    assert version_of("gc-content") == {"gc-content": 1}
    with pytest.raises(HowfarError, match="no model of that name"):
        version_of("enformr")


@pytest.mark.parametrize("name", NETWORKS)
def test_options_that_a_network_does_not_take_are_refused_before_anything_is_read(name):
    options = MODELS[name].network.option_class
    unknown = {*ALL_SHARED, "colour"} - set(options.names())
    assert "batch_size" not in unknown
    for option in sorted(unknown):
        with pytest.raises(HowfarError, match=f"{name}, options: found the option '{option}'"):
            load_model(name, "nowhere", "cpu", **{option: 1})
    with pytest.raises(dataclasses.FrozenInstanceError):
        options().batch_size = 2


def test_too_little_address_space_is_said_before_libraries_try_for_ever(monkeypatch):
    limit = (900_000 * 1024, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: limit)
    for name, device in (("xpresso", "cpu"), ("helpers.tiny:count_letters", "auto")):
        with pytest.raises(HowfarError, match=r"found 0\.9 GB; expected at least 2\.5 GB"):
            load_model(name, None, device)
    assert load_model("helpers.tiny:count_letters", None, "cpu")  # no library of networks


def test_tracks_left_out_mean_the_only_one():
    model = load_model("gc-content", context=1_024)
    assert model.track_indices(None) == [0]
    model.tracks = pd.DataFrame({"description": ["CAGE:liver", "CAGE:brain"]})
    with pytest.raises(HowfarError, match="found no choice among 2 tracks"):
        model.track_indices(None)
