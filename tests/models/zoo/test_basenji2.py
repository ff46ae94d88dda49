"""Basenji2 against an independent computation and the authors' own outputs."""

import copy
import json
import math

import numpy as np
import pandas as pd
import pysam
import pytest
import torch

from helpers.keras_files import random_layers, write_keras
from howfar.core.errors import HowfarError
from howfar.models.base import encoding_table
from howfar.models.registry import load_model
from howfar.models.zoo import basenji2
from howfar.prediction.fasta import IUPAC, predict_fasta

pytestmark = pytest.mark.usefixtures("one_thread")
CONTEXT, BINS, CROP, TRACKS = 8192, 64, 6, 5
KEPT = BINS - 2 * CROP
PLAIN = {"rc": False, "shifts": [0], "engine": "plain"}
ENSEMBLES = {
    "forward": {"rc": False, "shifts": [0]},
    "ensemble_rc": {"rc": True, "shifts": [0]},
    "ensemble_shifts": {"rc": False, "shifts": [1, 0, -1]},
    "ensemble_rc_shifts": {},
}


def _small() -> dict:
    """Parameters of a narrow network, in the form of the authors' file."""
    model = copy.deepcopy(basenji2.PUBLISHED)
    model |= {"seq_length": CONTEXT, "target_length": BINS, "bn_momentum": 0.9}
    model |= {"augment_rc": True, "augment_shift": 3}  # of training, as newer files have them
    stem, tower, dilated, crop, last = model["trunk"]
    stem["filters"], tower["filters_init"], dilated["filters"] = 8, 9, 6
    last |= {"filters": 12, "dropout": 0.05}
    crop["cropping"], model["head_human"]["units"] = CROP, TRACKS
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("basenji2")
    (made / "params.json").write_text(json.dumps({"train": {}, "model": _small()}))
    return made


@pytest.fixture(scope="module")
def layers():
    return random_layers(basenji2.architecture_of(_small()).shapes(), seed=2, gain=1.1)


@pytest.fixture(scope="module")
def weights(layers, folder):
    return write_keras(folder / "whole.h5", layers, optimizer=True)


def _load(weights, **options):
    options = {"params": weights.parent / "params.json"} | options
    return load_model("basenji2", weights, "cpu", **options)


@pytest.fixture(scope="module")
def windows():
    draw = np.random.default_rng(0)
    return draw.choice(np.frombuffer(b"ACGTacgtN", np.uint8), (3, CONTEXT))


def _all(model, windows) -> np.ndarray:
    return model.predict(windows, range(model.layout.n_bins), list(model.tracks.index))


# The network once more, in float64 and NumPy alone, channels last.


def _activation(x):
    return x / (1 + np.exp(-1.702 * x))


def _block(x, convolution, norm, dilation=1, pool=False):
    """Activation, convolution with zeros around, batch normalisation, pooling by two."""
    x, kernel = _activation(x), convolution["kernel"].astype(np.float64)
    reach = (len(kernel) - 1) * dilation // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (0, 0)))
    steps = range(len(kernel))
    x = sum(padded[:, k * dilation : k * dilation + x.shape[1]] @ kernel[k] for k in steps)
    x = (x - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + np.float64(1e-3))
    x = x * norm["gamma"] + norm["beta"]
    return x.reshape(len(x), -1, 2, x.shape[2]).max(2) if pool else x


def _by_numpy(one_hot, layers) -> np.ndarray:
    """(n, 52 bins, 5 tracks) of (n, 8192, 4), as the oracle's table of layers says."""
    x, rest = one_hot.astype(np.float64), iter(layers)
    for _ in range(7):
        x = _block(x, next(rest), next(rest), pool=True)
    for dilation in (1, 2, 3, 4, 6, 9, 14, 21, 32, 48, 72):
        inner = _block(x, next(rest), next(rest), dilation)
        x = x + _block(inner, next(rest), next(rest))
    x = _activation(_block(x[:, CROP:-CROP], next(rest), next(rest)))
    last = next(rest)
    return np.log1p(np.exp(x @ last["kernel"] + last["bias"]))


@pytest.fixture(scope="module")
def expected(windows, layers):
    return _by_numpy(encoding_table(0.25)[windows], layers)


def test_values_equal_an_independent_computation(weights, windows, expected):
    found = _all(_load(weights, **PLAIN), windows)
    assert found.shape == (3, KEPT, TRACKS) and found.dtype == np.float32
    assert expected.std(axis=(0, 1)).min() > 0.01 and np.ptp(expected, axis=0).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_small_networks_sizes():
    sizes = basenji2.architecture_of(_small())
    assert sizes.tower == ((8, 15), (9, 5), (11, 5), (12, 5), (15, 5), (17, 5), (20, 5))
    assert sizes.layout.first_base == CROP * 128 and sizes.layout.n_bins == KEPT


def _erf(x):
    return torch.nn.functional.gelu(x)


MISTAKES = {
    "the usual GELU": ("activation", _erf),
    "half up": ("_round", lambda value: math.floor(value + 0.5)),
    "PyTorch's epsilon": ("EPSILON", 1e-5),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_would_be_seen(monkeypatch, weights, windows, expected, mistake):
    monkeypatch.setattr(basenji2, *MISTAKES[mistake])
    assert np.abs(_all(_load(weights, **PLAIN), windows) - expected).max() > 1e-3


def test_leaving_out_the_first_activation_would_be_seen(monkeypatch, weights, windows, expected):
    kept = basenji2.activation
    monkeypatch.setattr(basenji2, "activation", lambda x: x if x.shape[1] == 4 else kept(x))
    assert np.abs(_all(_load(weights, **PLAIN), windows) - expected).max() > 1e-2


def _moved(one_hot, shift):
    out = np.full_like(one_hot, 0.25)
    for place in range(one_hot.shape[1]):
        if 0 <= place - shift < one_hot.shape[1]:
            out[:, place] = one_hot[:, place - shift]
    return out


@pytest.mark.parametrize("engine", ["plain", "shared"])
@pytest.mark.parametrize("options", ENSEMBLES.values(), ids=ENSEMBLES)
def test_strands_and_shifts_are_averaged(weights, windows, layers, options, engine):
    """The bins asked for are chosen before the head, those of the reverse complement mirrored."""
    chosen = {"rc": True, "shifts": [1, 0, -1]} | options
    one_hot, parts = encoding_table(0.25)[windows[:2]], []
    for shift in chosen["shifts"]:
        view = _moved(one_hot, shift)
        parts.append(_by_numpy(view, layers))
        if chosen["rc"]:
            parts.append(_by_numpy(view[:, ::-1, ::-1], layers)[:, ::-1])
    bins, tracks = [40, 3, 4], [4, 0]
    wanted = np.mean(parts, axis=0)[:, bins][:, :, tracks]
    found = _load(weights, engine=engine, **options).predict(windows[:2], bins, tracks)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_a_cohort_shares_the_tower(weights, windows):
    """Haplotypes that differ at a base and by a deletion, N at an end: both engines agree."""
    people = np.repeat(windows[:1], 6, axis=0)
    people[1, 3000] = ord("A") if people[1, 3000] != ord("A") else ord("C")
    people[2, 4000:-5] = people[2, 4005:].copy()
    people[3, :700] = people[4, -300:] = ord("N")
    shared, plain = (_load(weights, engine=e, batch_size=4) for e in ("shared", "plain"))
    found, wanted = _all(shared, people), _all(plain, people)
    assert (found[5] == found[0]).all() and np.abs(wanted[1:5] - wanted[0]).max() > 1e-2
    np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_a_windows_values_depend_on_no_other_window(weights, windows):
    model = _load(weights, **PLAIN, batch_size=2)
    assert (_all(model, windows[::-1])[::-1] == _all(model, windows)).all()
    assert (_all(model, windows[1:2])[0] == _all(model, windows)[1]).all()


def test_n_and_iupac_letters_follow_the_options(weights, windows, layers):
    mixed = windows[:1].copy()
    mixed[:, ::7] = ord("R")
    blank = mixed.copy()
    blank[mixed == ord("R")] = ord("N")
    as_n = _all(_load(weights, iupac="n", **PLAIN), mixed)
    np.testing.assert_allclose(as_n, _all(_load(weights, **PLAIN), blank), atol=1e-6)
    mixture = _by_numpy(encoding_table(0.25)[mixed], layers)
    np.testing.assert_allclose(_all(_load(weights, **PLAIN), mixed), mixture, atol=1e-4)
    assert np.abs(as_n - mixture).max() > 1e-2
    zeros = _by_numpy(encoding_table(0.0)[blank], layers)
    np.testing.assert_allclose(_all(_load(weights, n_value=0, **PLAIN), blank), zeros, atol=1e-4)


def test_every_form_of_the_file_gives_the_same_values(weights, layers, folder, windows):
    only = write_keras(folder / "only.h5", layers, under="")
    assert (_all(_load(only, **PLAIN), windows) == _all(_load(weights, **PLAIN), windows)).all()
    named = write_keras(folder / "model_human.h5", layers)
    model = _load(named.parent / "model_human.h5", **PLAIN)
    inside = load_model("basenji2", folder, "cpu", params=folder / "params.json", **PLAIN)
    assert model.weights_sha256 == inside.weights_sha256


def test_the_published_sizes():
    sizes = basenji2.architecture_of(basenji2.PUBLISHED)
    assert [filters for filters, _ in sizes.tower] == [288, 339, 399, 470, 554, 652, 768]
    assert sizes.dilations == (1, 2, 3, 4, 6, 9, 14, 21, 32, 48, 72)
    layout = sizes.layout
    assert (layout.context, layout.bin_size, layout.n_bins) == (131_072, 128, 896)
    assert layout.first_base == 8192
    shapes = sizes.shapes()
    assert len(shapes) == 61 and sum("gamma" in s for s in shapes) == 30
    numbers = {name: 0 for s in shapes for name in s}
    for owned in shapes:
        for name, shape in owned.items():
            numbers[name] += math.prod(shape)
    assert sum(numbers.values()) == 30_123_584
    assert numbers["moving_mean"] + numbers["moving_variance"] == 35_356


def test_where_the_tss_lies(weights):
    """At the published size, base 65,535 or 65,536, bin 447 or 448: either side of the middle."""
    model = _load(weights)
    model.layout = basenji2.architecture_of(basenji2.PUBLISHED).layout
    assert not model.oriented
    assert (model.tss_index("+"), model.tss_index("-")) == (65_535, 65_536)
    assert (model.tss_offset("+"), model.tss_offset("-")) == (65_535, 65_536)
    assert (model.tss_bin("+"), model.tss_bin("-")) == (447, 448)


def test_the_average_is_said(weights):
    assert "both strands and shifts of 1, 0, -1 bp" in _load(weights).notes[0]
    assert "the forward strand and shifts of 0 bp" in _load(weights, **PLAIN).notes[0]


def _changed(change) -> dict:
    model = _small()
    change(model)
    return model


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("activation: found 'relu'; expected 'gelu'", lambda m: m.update(activation="relu")),
        (r"trunk\[1\], pool_size: found 3", lambda m: m["trunk"][1].update(pool_size=3)),
        (r"trunk\[0\], kernel_size: found 14", lambda m: m["trunk"][0].update(kernel_size=14)),
        (r"trunk\[2\], round: found absent", lambda m: m["trunk"][2].pop("round")),
        (r"trunk\[4\], kernel_size: found present", lambda m: m["trunk"][4].update(kernel_size=3)),
        ("units: found '5'", lambda m: m["head_human"].update(units="5")),
        ("filters: found -1", lambda m: m["trunk"][0].update(filters=-1)),
        ("whole bins", lambda m: m.update(seq_length=8193)),
        ("whole bins", lambda m: m["trunk"][3].update(cropping=32)),
        (r"trunk\[1\], repeat: found 10,000,000", lambda m: m["trunk"][1].update(repeat=10**7)),
        (r"trunk\[2\], repeat: found 10,000,000", lambda m: m["trunk"][2].update(repeat=10**7)),
        ("filters_mult: found 1e\\+300", lambda m: m["trunk"][1].update(filters_mult=1e300)),
        ("rate_mult: found nan", lambda m: m["trunk"][2].update(rate_mult=float("nan"))),
        ("target_length: found 65; expected 64", lambda m: m.update(target_length=65)),
        ("trunk: found", lambda m: m["trunk"].pop()),
        ("head_human: found absent", lambda m: m.pop("head_human")),
    ],
)
def test_parameters_of_another_network_are_refused(tmp_path, words, change):
    path = tmp_path / "params.json"
    path.write_text(json.dumps({"model": _changed(change)}))
    with pytest.raises(HowfarError, match=words):
        basenji2.read_params(path)


def test_wrong_files_and_options_are_named(weights, layers, windows, folder, tmp_path):
    for content in ("", "[]", '{"train": {}}'):
        (tmp_path / "p.json").write_text(content)
        with pytest.raises(HowfarError, match="no JSON with a block `model`"):
            _load(weights, params=tmp_path / "p.json")
    with pytest.raises(HowfarError, match=r"kernel of shape \(15, 4, 8\); expected \(15, 4, 288\)"):
        load_model("basenji2", weights, "cpu")
    with pytest.raises(HowfarError, match="60 layers with weights; expected 61"):
        _load(write_keras(folder / "headless.h5", layers[:-1]))
    with pytest.raises(HowfarError, match="howfar fetch basenji2"):
        load_model("basenji2", None, "cpu")
    for option, value in (("shifts", [CONTEXT]), ("iupac", "x"), ("engine", "x")):
        with pytest.raises(HowfarError, match=f"option {option}"):
            _load(weights, **{option: value})
    with pytest.raises(HowfarError, match=r"uint8 of shape \(n, 8192\)"):
        _load(weights).predict(windows[:, :-1], [0], [0])


def test_tracks_are_named_by_the_table_or_by_number(weights, tmp_path):
    assert list(_load(weights).tracks["description"]) == [f"track {k}" for k in range(TRACKS)]
    rows = pd.DataFrame({"description": [f"CAGE:{k}" for k in "abcde"]}).rename_axis("index")
    rows.to_csv(tmp_path / "targets.txt", sep="\t")
    model = _load(weights, targets=tmp_path / "targets.txt")
    assert model.track_indices(["CAGE:c", {"index": 4, "description": "CAGE:e"}]) == [2, 4]
    rows.head(4).to_csv(tmp_path / "targets.txt", sep="\t")
    with pytest.raises(HowfarError, match="4 tracks; expected 5"):
        _load(weights, targets=tmp_path / "targets.txt")


# Against the original code's outputs, where they lie beside the project.


@pytest.fixture(scope="module")
def oracle(shared):
    """The folder, the windows and the expected values."""
    where = shared / "oracles" / "basenji2"
    with pysam.FastxFile(str(where / "reduced.fa")) as records:
        found = np.stack([np.frombuffer(r.sequence.encode(), np.uint8) for r in records])
    return where, found, np.load(where / "reduced_expected.npz")


def _reduced(oracle, file="reduced.h5", **options):
    return load_model(
        "basenji2", oracle[0] / file, "cpu", params=oracle[0] / "params_reduced.json", **options
    )


@pytest.mark.parametrize("file", ["reduced.h5", "reduced_weights_only.h5"])
@pytest.mark.parametrize("engine", ["plain", "shared"])
def test_the_authors_values(oracle, file, engine):
    same = ["ensemble_rc_shifts"]  # the views of all; the other file has all four
    for key in same if "only" in file else ENSEMBLES:
        model = _reduced(oracle, file, engine=engine, **ENSEMBLES[key])
        assert np.abs(_all(model, oracle[1]) - oracle[2][key]).max() < 1e-5, key
    centre = model.predict(oracle[1], range(51, 61), range(17)).mean(axis=1)
    assert np.abs(centre - oracle[2]["ensemble_rc_shifts_center10_mean"]).max() < 1e-5


def test_the_authors_inner_values(oracle):
    model = _reduced(oracle)
    one_hot = torch.from_numpy(encoding_table(0.25)[oracle[1][:2]])
    with torch.inference_mode():
        x = basenji2.trunk(model.network, basenji2.tower(model.network, one_hot))[:, 8:-8]
        found = basenji2.final(model.network, x).numpy()
    assert np.abs(found - oracle[2]["trunk_after_gelu"]).max() < 1e-4


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_authors_values_refute_mistakes(monkeypatch, oracle, mistake):
    monkeypatch.setattr(basenji2, *MISTAKES[mistake])
    found = _all(_reduced(oracle, **PLAIN), oracle[1][:2])
    assert np.abs(found - oracle[2]["forward"][:2]).max() > 1e-2


def test_plain_sequences_give_the_authors_values(oracle, tmp_path):
    out = tmp_path / "out.csv"
    predict_fasta(_reduced(oracle, iupac="n"), oracle[0] / "reduced.fa", out, letters=IUPAC)
    found = pd.read_csv(out, index_col="sequence")
    assert list(found.index) == list(oracle[2]["ids"].astype(str))
    wanted = oracle[2]["ensemble_rc_shifts"].reshape(7, -1)
    assert np.abs(found.to_numpy() - wanted).max() < 1e-5


def test_the_published_parameters_are_those_of_the_package(shared):
    (path,) = (shared / "mirror").rglob("params_human.json")
    assert basenji2.read_params(path) == basenji2.architecture_of(basenji2.PUBLISHED)
