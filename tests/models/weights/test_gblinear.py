"""Linear models of xgboost: three formats, two layouts, damaged files."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from howfar.core.errors import HowfarError
from howfar.models.weights import gblinear

FLOATS = st.floats(-1e6, 1e6, width=32)
WEIGHTS = np.float32([0.5, -1.25, 3e-7, 0.125])  # three coefficients, then the bias


def legacy(weights, base_score=2.0, objective=b"reg:linear", booster=b"gblinear", **other):
    """A file in the legacy binary format, from its description."""
    inputs = other.get("inputs", len(weights) - 1)
    parts = [b"binf", struct.pack("<fIi124x", base_score, inputs, other.get("classes", 0))]
    parts += [struct.pack("<Q", len(name)) + name for name in (objective, booster)]
    parts.append(struct.pack("<Ii128x", other.get("again", inputs), other.get("groups", 1)))
    parts.append(struct.pack("<Q", other.get("count", len(weights))))
    return b"".join([*parts, np.asarray(weights, "<f4").tobytes()])


def as_json(weights, base_score="[2E0]", booster="gblinear", objective="reg:squarederror"):
    shape = {"base_score": base_score, "num_feature": str(len(weights) - 1)}
    boosted = {"name": booster, "model": {"weights": [float(w) for w in weights]}}
    learner = {"learner_model_param": shape, "gradient_booster": boosted}
    return json.dumps({"learner": {**learner, "objective": {"name": objective}}}).encode()


def dump(weights):
    *coefficients, bias = (f"{w:g}" for w in weights)
    return "\n".join(["booster[0]:", "bias:", bias, "weight:", *coefficients, ""]).encode()


@pytest.fixture
def read(tmp_path):
    """Reads bytes as the file `m.save`."""

    def read_bytes(data, base_score=None):
        (tmp_path / "m.save").write_bytes(data)
        return gblinear.read(tmp_path / "m.save", base_score)

    return read_bytes


@given(st.lists(FLOATS, min_size=1, max_size=40), FLOATS)
def test_a_legacy_file_keeps_every_number(tmp_path_factory, weights, base_score):
    path = tmp_path_factory.getbasetemp() / "round.save"
    path.write_bytes(legacy(weights, base_score))
    model = gblinear.read(path)
    assert model.coefficients.tolist() == weights[:-1]
    assert (model.bias, model.base_score) == (weights[-1], base_score)


def test_the_three_formats_hold_the_same_model(read):
    models = [read(legacy(WEIGHTS)), read(as_json(WEIGHTS)), read(dump(WEIGHTS), 2.0)]
    models.append(read(as_json(WEIGHTS, "2E0")))  # before xgboost 3.1
    for model in models:
        np.testing.assert_allclose(model.coefficients, WEIGHTS[:-1], rtol=1e-6)
        assert (model.bias, model.base_score, model.intercept) == (0.125, 2.0, 2.125)


@pytest.mark.parametrize("data", [legacy(WEIGHTS), as_json(WEIGHTS), dump(WEIGHTS)])
def test_a_file_cut_anywhere_is_refused(read, data):
    base_score = 2.0 if data.startswith(b"booster") else None
    for size in range(len(data)):
        # a text dump cut between two lines is a whole dump of fewer inputs: `blocks` refuses it
        if base_score and data[:size].endswith(b"\n") and data[:size].count(b"\n") > 3:
            assert len(read(data[:size], base_score).coefficients) < 3
            continue
        with pytest.raises(HowfarError, match=r"m\.save"):
            read(data[:size], base_score)


def test_a_truncated_file_is_told_by_its_bytes(read):
    whole = legacy(WEIGHTS)
    with pytest.raises(
        HowfarError, match=rf"end of the file at byte {len(whole) - 3}; .* 16 bytes"
    ):
        read(whole[:-3])
    with pytest.raises(HowfarError, match=f"{len(whole) + 4} bytes; expected the file's end"):
        read(whole + b"\0\0\0\0")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (legacy(WEIGHTS, objective=b"reg:logistic"), "objective 'reg:logistic' at byte 140"),
        (legacy(WEIGHTS, booster=b"gbtree"), "booster 'gbtree' at byte 158"),
        (legacy(WEIGHTS, again=4), "4 inputs"),
        (legacy(WEIGHTS, groups=2), "2 output groups"),
        (legacy(WEIGHTS, count=5), "5 numbers"),
        (legacy(WEIGHTS, classes=3), "3 classes"),
        (legacy([1, np.nan, 0]), "not finite"),
        (legacy(WEIGHTS, base_score=np.inf), "not finite"),
        (as_json(WEIGHTS, booster="gbtree"), "gbtree"),
        (as_json(WEIGHTS, objective="reg:gamma"), "reg:gamma"),
        (as_json(WEIGHTS, base_score="[1E0, 2E0]"), "no readable JSON"),
        (b'{"learner": 3}', "no readable JSON"),
        (b"\x89HDF\r\n\x1a\n", "begins with"),
        (b"", "begins with b''"),
    ],
)
def test_other_models_are_refused(read, data, found):
    with pytest.raises(HowfarError, match=found):
        read(data)


def test_two_outputs_are_not_one(read):
    data = json.loads(as_json(WEIGHTS))
    data["learner"]["learner_model_param"]["num_feature"] = "1"
    with pytest.raises(HowfarError, match="4 numbers for 1 inputs"):
        read(json.dumps(data).encode())


def test_the_base_score_goes_with_dumps_only(read, tmp_path):
    with pytest.raises(HowfarError, match="base_score"):
        read(dump(WEIGHTS))
    with pytest.raises(HowfarError, match="holds its own"):
        read(legacy(WEIGHTS), 2.0)
    with pytest.raises(HowfarError, match=r"m\.save, line 6: found 'x'"):
        read(b"booster[0]:\nbias:\n1\nweight:\n2\nx\n", 2.0)
    with pytest.raises(HowfarError, match="no such file"):
        gblinear.read(tmp_path / "absent.save")


@pytest.mark.parametrize("base_score", ["x", True, [1.0]])
def test_a_base_score_that_is_no_number_is_refused(tmp_path, base_score):
    (tmp_path / "m.dump").write_text("booster[0]:\nbias:\n1\nweight:\n2\n")
    with pytest.raises(HowfarError, match="option `base_score`: found"):
        gblinear.read(tmp_path / "m.dump", base_score)


def test_both_layouts_give_the_same_blocks(read):
    wanted = np.arange(1, 31).reshape(10, 3)
    padded = np.concatenate([np.zeros((10, 1)), wanted], axis=1)
    assert (read(legacy([*wanted.ravel(), 7])).blocks(3) == wanted).all()
    assert (read(legacy([*padded.ravel(), 7])).blocks(3) == wanted).all()
    padded[4, 0] = 1e-3
    with pytest.raises(HowfarError, match="isn't zero"):
        read(legacy([*padded.ravel(), 7])).blocks(3)
    with pytest.raises(HowfarError, match=r"30 inputs; expected 10 x 4 inputs, or 10 x 5"):
        read(legacy([*wanted.ravel(), 7])).blocks(4)


@pytest.mark.parametrize(
    ("file", "tissue"),
    [
        ("a/b.pseudocount0.0001.round100.basescore2.Cells_X-y.save", "Cells_X-y"),
        ("Whole_Blood.json", "Whole_Blood"),
        ("v1.2.dump", "v1.2"),
    ],
)
def test_the_tissue_is_read_from_the_name(file, tissue):
    assert gblinear.tissue_of(file) == tissue


def test_what_xgboost_trains_and_saves_is_read(tmp_path):
    xgboost = pytest.importorskip("xgboost")
    x = np.random.default_rng(0).normal(size=(80, 6)).astype(np.float32)
    data = xgboost.DMatrix(x, x @ np.arange(6) + 3)
    options = {"booster": "gblinear", "base_score": 1.5, "nthread": 1}
    booster = xgboost.train({**options, "updater": "coord_descent"}, data, 5)
    booster.save_model(tmp_path / "m.json")
    model = gblinear.read(tmp_path / "m.json")
    ours = model.intercept + x @ model.coefficients
    np.testing.assert_allclose(ours, booster.predict(data), rtol=1e-5, atol=1e-5)
    text = tmp_path / "m.dump"
    text.write_text("booster[0]:\n" + booster.get_dump()[0])
    np.testing.assert_allclose(gblinear.read(text, 1.5).coefficients, model.coefficients, rtol=1e-5)


def test_the_oracles_files_hold_the_oracles_model(shared):
    folder = shared / "oracles" / "expecto"
    expected = np.load(folder / "synthetic_gblinear_coef.npz")
    for name in ("synthetic_legacy_gblinear.save", "synthetic_gblinear.json"):
        model = gblinear.read(folder / name)
        assert (model.blocks(2002) == expected["coef"]).all()
        assert (model.bias, model.base_score) == (expected["bias"], expected["base_score"])
    text = gblinear.read(folder / "synthetic_legacy_gblinear.dump", 1.75)
    np.testing.assert_allclose(text.blocks(2002), expected["coef"], rtol=1e-5)


def test_xgboost_predicts_the_same_from_the_oracles_json(shared):
    xgboost = pytest.importorskip("xgboost")
    folder = shared / "oracles" / "expecto"
    booster = xgboost.Booster(model_file=folder / "synthetic_gblinear.json")
    inputs = np.random.default_rng(3).random((4, 20_030)).astype(np.float32) * 10
    model = gblinear.read(folder / "synthetic_legacy_gblinear.save")
    ours = model.intercept + inputs @ model.coefficients
    assert np.abs(ours - booster.predict(xgboost.DMatrix(inputs))).max() < 5e-4
