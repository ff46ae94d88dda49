"""ExPecto and Beluga against the original code's outputs and an implementation by hand."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import expit

from howfar.core.errors import HowfarError
from howfar.models.base import Layout, reverse_complement
from howfar.models.registry import load_model
from howfar.models.zoo import expecto
from howfar.models.zoo.beluga import BelugaModel
from howfar.models.zoo.expecto import ExpectoModel, spatial_features

torch = pytest.importorskip("torch")

FEATURES = 7
BASES = np.frombuffer(b"ACGT", np.uint8)
LONG = os.environ.get("HOWFAR_LONG")  # the real width over all genes takes minutes


# ---- a small network and linear model, and what they give, written from the description alone


def small_state(seed=0):
    """A Beluga of few channels: float32 tensors by name."""
    widths, hidden = (4, 3, 4, 5, 4, 3, 4), 6
    shapes = {
        f"model.0.{i}": (out, into, 1, 8)
        for i, into, out in zip((0, 2, 6, 8, 12, 14), widths, widths[1:], strict=False)
    }
    shapes |= {"model.1.2.1": (hidden, 4 * 106), "model.1.4.1": (FEATURES, hidden)}
    rng, state = np.random.default_rng(seed), {}
    for name, shape in shapes.items():
        scale = np.sqrt(2 / np.prod(shape[1:])) * (1 if "model.0" in name else 3)
        state[f"{name}.weight"] = torch.from_numpy(rng.normal(0, scale, shape).astype(np.float32))
        state[f"{name}.bias"] = torch.from_numpy(rng.normal(0, 0.1, shape[:1]).astype(np.float32))
    return state


def chromatin_by_hand(state, x):
    """Outputs (n, features) of x (n, 4, 2000), one strand, in float64."""
    weights = {name: tensor.numpy().astype(float) for name, tensor in state.items()}
    for i in (0, 2, 6, 8, 12, 14):
        if i in (6, 12):
            whole = x.shape[2] // 4
            x = x[:, :, : 4 * whole].reshape(*x.shape[:2], whole, 4).max(3)
        kernel = weights[f"model.0.{i}.weight"][:, :, 0]
        y = np.tensordot(sliding_window_view(x, 8, axis=2), kernel, ([1, 3], [1, 2]))
        x = np.maximum(y + weights[f"model.0.{i}.bias"], 0).transpose(0, 2, 1)
    h = x.reshape(len(x), -1) @ weights["model.1.2.1.weight"].T + weights["model.1.2.1.bias"]
    h = np.maximum(h, 0) @ weights["model.1.4.1.weight"].T + weights["model.1.4.1.bias"]
    return expit(h)


def expecto_by_hand(state, linear, forward, t, strand, channels="AGCT", turn=True):
    """A gene's prediction from the forward strand as bytes; t: 0-based index of the TSS."""
    o = -1 if strand == "-" and turn else 1
    shifts = np.arange(-20000, 20000, 200)
    windows = np.stack([forward[t + s * o - 999 : t + s * o + 1001] for s in shifts])
    x = np.stack([windows == ord(letter) for letter in channels], axis=1).astype(float)
    turned = x[:, ::-1, ::-1]  # in both orders the complement is the channel from the other end
    both = (chromatin_by_hand(state, x) + chromatin_by_hand(state, turned)) / 2
    total = linear["base_score"] + linear["bias"]
    for j, a in enumerate((0.01, 0.02, 0.05, 0.1, 0.2) * 2):
        weight = np.exp(-a * np.abs(shifts) / 200) * (shifts <= 0 if j < 5 else shifts >= 0)
        total += linear["coefficients"][j] @ (weight @ both)
    return total


def write_linear(path, coefficients, bias, base_score):
    """A linear model as xgboost's JSON."""
    weights = [float(w) for w in np.float32([*np.ravel(coefficients), bias])]
    shape = {"base_score": f"[{base_score}E0]", "num_feature": str(len(weights) - 1)}
    booster = {"name": "gblinear", "model": {"weights": weights}}
    objective = {"name": "reg:squarederror"}
    learner = {"learner_model_param": shape, "gradient_booster": booster, "objective": objective}
    path.write_text(json.dumps({"learner": learner}))


@pytest.fixture(scope="module")
def state():
    return small_state()


@pytest.fixture(scope="module")
def linear():
    coefficients = np.random.default_rng(1).normal(size=(10, FEATURES)).astype(np.float32)
    return {"coefficients": coefficients.astype(float), "bias": 0.25, "base_score": 2.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, state, linear):
    """Weights and two tissues."""
    place = tmp_path_factory.mktemp("expecto")
    torch.save(state, place / "beluga.pth")
    write_linear(place / "round.basescore2.Liver.json", *linear.values())
    write_linear(place / "round.basescore2.Lung.json", -linear["coefficients"], 0.5, 2)
    return place


@pytest.fixture
def load(folder):
    return lambda **options: load_model("expecto", folder / "beluga.pth", "cpu", **options)


def random_bases(*shape, seed=0):
    return BASES[np.random.default_rng(seed).integers(0, 4, shape)]


@pytest.fixture(scope="module")
def haplotypes():
    """Six windows of 41,800 bp: two the same, three others of one or two changes, one with N."""
    rows = np.repeat(random_bases(1, 41_800), 6, axis=0)
    for row, place in ((2, 5_000), (3, 5_000), (3, 30_001), (4, 20_999)):
        rows[row, place] = ord("A") if rows[row, place] == ord("C") else ord("C")
    rows[5, :7_000] = ord("N")
    return rows


@pytest.fixture(scope="module")
def plain(folder, haplotypes):
    """What each haplotype gives with every window computed by itself."""
    model = load_model("expecto", folder / "beluga.pth", "cpu", engine="plain", batch_size=20)
    return model.predict(haplotypes, [0], [0, 1])


def oracle(shared, name):
    """Windows and expected values of a Beluga oracle."""
    text = (shared / "oracles" / "expecto" / f"{name}.fa").read_text().split(">")[1:]
    records = {r.split()[0]: "".join(r.split("\n")[1:]) for r in text}
    expected = np.load(shared / "oracles" / "expecto" / f"{name}_expected.npz")
    rows = [np.frombuffer(records[i].encode(), np.uint8) for i in expected["ids"]]
    return np.stack(rows), expected


# ---- Beluga


def test_beluga_equals_the_network_by_hand(folder, state):
    windows = random_bases(5, 2000)
    windows[1, 300:900], windows[2] = ord("N"), windows[2] + 32  # N, soft-masked
    x = np.stack([(windows & 0xDF) == ord(c) for c in "AGCT"], axis=1).astype(float)
    strands = {"forward": x, "reverse": x[:, ::-1, ::-1]}
    by_hand = {name: chromatin_by_hand(state, one) for name, one in strands.items()}
    by_hand["both"] = (by_hand["forward"] + by_hand["reverse"]) / 2
    assert np.abs(by_hand["forward"] - by_hand["reverse"]).max() > 1e-2
    for name, expected in by_hand.items():
        model = BelugaModel(folder / "beluga.pth", device="cpu", batch_size=2, strands=name)
        found = model.predict(windows, [0], range(FEATURES))[:, 0]
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("windows", [2, 3, 10])
def test_overlapping_windows_equal_each_by_itself(folder, windows):
    together = BelugaModel(folder / "beluga.pth", device="cpu", windows=windows)
    alone = BelugaModel(folder / "beluga.pth", device="cpu")
    sequence = random_bases(2, together.layout.context)
    found = together.predict(sequence, range(windows), range(FEATURES))
    for k in range(windows):
        part = alone.predict(sequence[:, 200 * k : 200 * k + 2000], [0], range(FEATURES))
        np.testing.assert_allclose(found[:, k], part[:, 0], atol=1e-6)
    assert np.abs(np.diff(found, axis=1)).max() > 1e-3  # the windows do differ


@pytest.mark.parametrize(
    ("strands", "kind"), [("forward",) * 2, ("reverse",) * 2, ("both", "strand_mean")]
)
def test_the_reduced_network_of_the_oracle(shared, strands, kind):
    windows, expected = oracle(shared, "beluga_reduced")
    weights = shared / "oracles" / "expecto" / "beluga_reduced.pth"
    model = load_model("howfar.models.zoo.beluga:BelugaModel", weights, "cpu", strands=strands)
    found = model.predict(windows, [0], range(12))[:, 0]
    np.testing.assert_allclose(found, expected[kind], atol=1e-5)


def test_iupac_letters_are_mixtures_or_errors(folder, state):
    windows = random_bases(1, 2000)
    windows[0, 777] = ord("R")
    x = np.stack([windows == ord(c) for c in "AGCT"], axis=1).astype(float)
    x[0, :2, 777] = 0.5
    model = BelugaModel(folder / "beluga.pth", device="cpu", strands="forward")
    found = model.predict(windows, [0], range(FEATURES))[:, 0]
    np.testing.assert_allclose(found, chromatin_by_hand(state, x), atol=1e-6)
    strict = BelugaModel(folder / "beluga.pth", device="cpu", iupac="error")
    with pytest.raises(HowfarError, match="sequence 1, base 778: found 'R'; expected one of ACGTN"):
        strict.predict(windows, [0], [0])
    windows[0, 3] = ord("X")
    with pytest.raises(HowfarError, match="base 4: found 'X'"):
        model.predict(windows, [0], [0])


@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_weights_are_refused(tmp_path, state, zipped):
    path = tmp_path / "w.pth"
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    windows = random_bases(1, 2000)
    values = BelugaModel(path, device="cpu").predict(windows, [0], range(FEATURES))
    assert np.isfinite(values).all()
    for size in [0, 1, 64, *np.linspace(100, len(whole) - 1, 12).astype(int)]:
        path.write_bytes(whole[:size])
        with pytest.raises(HowfarError, match=r"w\.pth: found a file that can't be read"):
            BelugaModel(path, device="cpu")


def changed(state, **changes):
    return {**state, **{key.replace("_", "."): value for key, value in changes.items()}}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            {"model_0_6_weight": torch.zeros(5, 9, 1, 8)},
            r"model.0.6.weight is of shape \(5, 9, 1, 8\); expected .* \(5, 4, 1, 8\)",
        ),
        (
            {"model_1_2_1_weight": torch.zeros(6, 4 * 105)},
            r"model.1.2.1.weight is of shape \(6, 420\); expected .* \(6, 424\)",
        ),
        ({"model_0_0_bias": torch.zeros(4)}, r"0.0.bias is of shape \(4,\); expected .* \(3,\)"),
        ({"model_0_0_weight": torch.full((3, 4, 1, 8), torch.nan)}, "not finite"),
        (
            {"model_2_weight": torch.zeros(1)},
            "model.2.weight is of shape .* expected model.2.weight absent",
        ),
        ({"model_0_0_weight": "text"}, "something else than named tensors"),
    ],
)
def test_another_architecture_is_named(tmp_path, state, change, found):
    torch.save(changed(state, **change), tmp_path / "w.pth")
    with pytest.raises(HowfarError, match=found):
        BelugaModel(tmp_path / "w.pth", device="cpu")


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.mark.parametrize(
    "change", [torch.Tensor.int, torch.Tensor.bool, torch.Tensor.to_sparse, lambda t: t.to("meta")]
)
def test_tensors_that_are_no_plain_numbers_are_refused(tmp_path, state, change):
    torch.save({name: change(tensor) for name, tensor in state.items()}, tmp_path / "w.pth")
    with pytest.raises(
        HowfarError, match=r"w.pth: found 1\d tensors that don't fit; model.0.0.weight is of torch"
    ):
        BelugaModel(tmp_path / "w.pth", device="cpu")


def test_a_changed_byte_is_not_taken_for_a_weight(tmp_path, state):
    torch.save(state, tmp_path / "w.pth")
    content = bytearray((tmp_path / "w.pth").read_bytes())
    content[content.index(state["model.1.4.1.weight"].numpy().tobytes()[:64]) + 2] ^= 1
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(HowfarError, match="w.pth: found other bytes than were written"):
        BelugaModel(tmp_path / "w.pth", device="cpu")


@pytest.mark.parametrize("windows", [0, -3, 2.5, "x", True, 1001])
def test_a_number_of_windows_is_one(folder, windows):
    with pytest.raises(HowfarError, match="option windows: found"):
        BelugaModel(folder / "beluga.pth", device="cpu", windows=windows)


def test_nothing_in_a_weights_file_is_executed(tmp_path, state):
    torch.save({**state, "more": Trap(tmp_path / "sprung")}, tmp_path / "w.pth")
    with pytest.raises(HowfarError, match="a file that can't be read"):
        BelugaModel(tmp_path / "w.pth", device="cpu")
    assert not (tmp_path / "sprung").exists()


# ---- spatial sums and the linear part


def test_spatial_sums_and_linear_models_of_the_oracle(shared):
    path = shared / "oracles" / "expecto"
    expected = np.load(path / "features_expected.npz")
    model = expecto.gblinear.read(path / "synthetic_legacy_gblinear.save")
    blocks = model.blocks(2002)
    for k in range(12):
        chromatin = np.random.default_rng([20240611, k]).random((200, 2002)) ** 3
        found = spatial_features(chromatin)
        np.testing.assert_allclose(found.sum(1), expected["feature_row_sums"][k], rtol=1e-9)
        if k == 0:
            np.testing.assert_allclose(found, expected["features_case0"], rtol=1e-9)
        value = model.intercept + (blocks * found).sum()
        assert abs(value - expected["synthetic_prediction"][k]) < 5e-4
        assert value == pytest.approx(expected["synthetic_prediction_float64"][k], rel=1e-5)
    assert model.intercept == pytest.approx(
        expected["synthetic_prediction_zero_features"][0], abs=1e-6
    )


def test_the_lcl_model_is_known_by_its_checksum(tmp_path):
    (tmp_path / "lcl.save").write_bytes(b"binf")
    with pytest.raises(HowfarError, match=r"lcl\.save: found sha256 .*expected e525632c"):
        expecto.check_lcl(tmp_path / "lcl.save")


# ---- ExPecto


@pytest.mark.parametrize("strand", ["+", "-"])
def test_windows_are_the_authors_windows(load, strand):
    model, o = load(), {"+": 1, "-": -1}[strand]
    forward = np.arange(60_000)  # a chromosome on which each base is its own place
    t = 30_000
    start = t - model.tss_offset(strand)
    window = forward[start : start + model.layout.context][::o]
    assert window[model.tss_index(strand)] == t and model.tss_bin(strand) == 0
    for k, s in enumerate(range(-20_000, 20_000, 200)):
        part = window[200 * k : 200 * k + 2000]
        assert (part[::o] == np.arange(t + s * o - 999, t + s * o + 1001)).all()
    assert len(window) == 200 * 199 + 2000


@pytest.mark.parametrize("strand", ["+", "-"])
def test_a_gene_equals_the_prediction_by_hand(load, state, linear, strand):
    forward, t = random_bases(60_000, seed=5), 30_000
    model = load(tissues=None)
    start = t - model.tss_offset(strand)
    window = forward[start : start + model.layout.context]
    oriented = reverse_complement(window) if strand == "-" else window
    liver, lung = model.predict(oriented[None], [0], [0, 1])[0, 0]

    def by_hand(**perturbed):
        given = {"forward": forward, "t": t, "strand": strand} | perturbed
        return expecto_by_hand(state, linear, **given)

    assert liver == pytest.approx(by_hand(), abs=2e-5)
    assert lung == pytest.approx(2 + 0.5 - (by_hand() - 2.25), abs=2e-5)
    # what each mistake costs
    assert abs(liver - by_hand(t=t + 1)) > 1e-3
    assert abs(liver - by_hand(channels="ACGT")) > 1e-2
    if strand == "-":
        assert abs(liver - by_hand(turn=False)) > 1e-2
        assert abs(liver - model.predict(window[None], [0], [0])[0, 0, 0]) > 1e-2


@pytest.mark.parametrize("block", [1, 10, 200])
def test_each_content_is_computed_once(load, haplotypes, plain, block, monkeypatch):
    model = load(block=block, batch_size=3)
    model.compared = True  # with what is computed without memory, which is for the next test
    computed, predict = [], model.beluga.predict

    def counting(blocks, *rest):
        computed.extend(bytes(b) for b in blocks)
        return predict(blocks, *rest)

    monkeypatch.setattr(model.beluga, "predict", counting)
    found = model.predict(haplotypes, [0], [0, 1])
    length = 2000 + 200 * (block - 1)
    starts = range(0, 40_000, 200 * block)
    contents = {(start, bytes(h[start : start + length])) for h in haplotypes for start in starts}
    assert sorted(computed) == sorted(content for _, content in contents)
    assert (model.predict(haplotypes[::-1], [0], [0, 1]) == found[::-1]).all()
    assert len(computed) == len(contents)  # nothing was computed again
    np.testing.assert_allclose(found, plain, atol=2e-5)
    assert np.ptp(plain[2:, 0, 0]) > 1e-3 and (found[0] == found[1]).all()


def test_a_memory_of_something_else_ends_sharing(load, haplotypes, monkeypatch, capsys):
    model = load(block=10)
    monkeypatch.setattr(model, "_key", lambda window, place: place.to_bytes(2))
    found = model.predict(haplotypes, [0], [0, 1])
    np.testing.assert_allclose(found, load(block=10).predict(haplotypes, [0], [0, 1]), atol=2e-5)
    assert model.engine == "plain" and "first windows differed" in capsys.readouterr().err


def test_a_windows_value_depends_on_no_other_window(load, haplotypes, plain, monkeypatch):
    every = load().predict(haplotypes, [0], [0, 1])
    for i in (2, 5):
        assert (load().predict(haplotypes[i : i + 1], [0], [0, 1]) == every[i : i + 1]).all()
    alone = load(engine="plain", batch_size=20).predict(haplotypes[5:], [0], [0, 1])
    assert (alone == plain[5:]).all()
    monkeypatch.setattr(expecto, "_REMEMBERED", 0)
    forgetful = load()
    parts = [forgetful.predict(haplotypes[i : i + 2], [0], [1])[:, 0, 0] for i in (0, 2, 4)]
    assert (np.concatenate(parts) == every[:, 0, 1]).all()
    assert forgetful.predict(haplotypes[:0], [0], [1]).shape == (0, 1, 1)


def test_tissues_are_tracks(load, folder):
    model = load()
    assert list(model.tracks["description"]) == ["Liver", "Lung"]
    assert model.track_indices(["Lung"]) == [1] and model.oriented
    one = load(tissues=str(folder / "round.basescore2.Lung.json"))
    assert list(one.tracks["description"]) == ["Lung"]
    two = load(tissues=[folder / "round.basescore2.Lung.json"])
    assert one.weights_sha256 == two.weights_sha256 != model.weights_sha256
    assert one.units == "ln(RPKM + 0.0001)"


def test_bad_options_and_files_are_refused(load, tmp_path, haplotypes):
    with pytest.raises(HowfarError, match="`howfar fetch expecto`"):
        load_model("expecto", None, "cpu")
    with pytest.raises(HowfarError, match="no linear model"):
        load(tissues=tmp_path)
    with pytest.raises(HowfarError, match="option block: found 7; expected a divisor of 200"):
        load(block=7)
    with pytest.raises(HowfarError, match="option engine: found 'quick'"):
        load(engine="quick")
    write_linear(tmp_path / "x.json", np.zeros((10, 9)), 0, 0)
    with pytest.raises(HowfarError, match="found 90 inputs; expected 10 x 7"):
        load(tissues=tmp_path)
    with pytest.raises(HowfarError, match=r"expected uint8 of shape \(n, 41800\)"):
        load().predict(haplotypes[:, 1:], [0], [0])
    wrong = haplotypes.copy()
    wrong[2, 40_000] = ord("-")
    with pytest.raises(HowfarError, match="model expecto, sequence 3, base 40001: found '-'"):
        load().predict(wrong, [0], [0])


# ---- the full width, with seeded weights (600 MB)


def memory_free():
    """GB that may be had without swapping, where the system says it."""
    lines = Path("/proc/meminfo").read_text() if Path("/proc/meminfo").is_file() else ""
    sizes = [float(x.split()[1]) / 1e6 for x in lines.split("\n") if x.startswith("MemAvailable")]
    return sizes[0] if sizes else float("inf")


@pytest.fixture(scope="module")
def full(shared, tmp_path_factory):
    """ExPecto of the published width: seeded weights and the synthetic linear model."""
    if memory_free() < 3:
        pytest.skip("the network of full width needs 3 GB of free memory")
    folder = shared / "oracles" / "expecto"
    recipe = json.loads((folder / "beluga_full_weights_check.json").read_text())["tensors"]
    state = {}
    for i, (name, tensor) in enumerate(recipe.items()):
        rng, shape = np.random.default_rng([20240610, i]), tensor["shape"]
        values = rng.standard_normal(shape, dtype=np.float32)
        scale = np.sqrt(2 / np.prod(shape[1:])) if name.endswith("weight") else 0.1
        values *= np.float32(scale)
        assert hashlib.sha256(values).hexdigest() == tensor["sha256"]
        state[name] = torch.from_numpy(values)
    path = tmp_path_factory.mktemp("full") / "beluga.pth"
    torch.save(state, path)
    tissue = folder / "synthetic_legacy_gblinear.save"
    yield ExpectoModel(path, device="cpu", batch_size=5, tissues=tissue)
    path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("turns", "kind"),
    [((False,), "forward"), ((True,), "reverse"), ((False, True), "strand_mean")],
)
def test_the_full_network_of_the_oracle(shared, full, turns, kind, monkeypatch):
    monkeypatch.setattr(full.beluga, "_turns", turns)
    monkeypatch.setattr(full.beluga, "layout", Layout(2000, 200, 1))  # one window, not ten
    windows, expected = oracle(shared, "beluga_full")
    found = full.beluga.predict(windows, [0], range(2002))[:, 0]
    np.testing.assert_allclose(found, expected[kind], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("gene", ["fkbp1a", *(["psmf1", "snph", "sdcbp2-as1"] if LONG else [])])
def test_reference_predictions_of_the_oracle(shared, full, gene):
    """One gene, as each takes some 10 s; all four where HOWFAR_LONG is set."""
    expected = pd.read_csv(shared / "oracles" / "expecto" / "end_to_end_reference.csv")
    genes = pd.read_csv(shared / "realregion" / "genes.csv")
    row = genes[genes["name"].str.lower() == gene].iloc[0]
    lines = (shared / "realregion" / "chr20_1Mb.fa").read_text().split("\n")[1:]
    forward = np.frombuffer("".join(lines).upper().encode(), np.uint8)
    start = row["tss"] - 1 - full.tss_offset(row["strand"])
    window = forward[start : start + full.layout.context]
    window = reverse_complement(window) if row["strand"] == "-" else window
    found = full.predict(window[None], [0], [0])[0, 0, 0]
    assert found == pytest.approx(expected.set_index("gene").loc[gene, "prediction"], abs=5e-4)
