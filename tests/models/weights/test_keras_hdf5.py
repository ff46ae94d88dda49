"""Files of weights that Keras wrote: what is read, in which order, and what is refused."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.keras_files import layer_name, random_layers, write_keras
from howfar.core.errors import HowfarError
from howfar.models.weights.keras_hdf5 import read_weights
from howfar.models.weights.locating import locate

NORM = {name: (3,) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
# More than ten of one shape: sorted by name, conv1d_10 would come before conv1d_9.
SHAPES = [{"kernel": (5, 3, 3)}, NORM] * 8 + [{"kernel": (3, 2), "bias": (2,)}]


@pytest.fixture
def layers():
    return random_layers(SHAPES, seed=1)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"optimizer": True},
        {"under": ""},
        {"under": "", "suffix": "", "cut": 4},
        {"cut": 100},
    ],
)
def test_layers_come_in_the_networks_order(tmp_path, layers, form):
    found = read_weights(write_keras(tmp_path / "w.h5", layers, **form), SHAPES)
    assert len(found) == len(layers)
    for got, wanted in zip(found, layers, strict=True):
        assert set(got) == set(wanted)
        for name, array in wanted.items():
            assert got[name].dtype == np.float32 and (got[name] == array).all()


def test_the_order_of_names_would_be_another(layers):
    names = [layer_name(layer, place) for place, layer in enumerate(layers)]
    assert sorted(names) != names


def _refused(path, shapes=SHAPES) -> str:
    with pytest.raises(HowfarError) as caught:
        read_weights(path, shapes)
    assert str(path) in str(caught.value)
    return str(caught.value)


@settings(max_examples=40)
@given(share=st.floats(0, 0.999))
def test_a_file_cut_off_anywhere_is_refused(tmp_path_factory, share):
    folder = tmp_path_factory.mktemp("cut")
    whole = write_keras(folder / "w.h5", random_layers(SHAPES, seed=1))
    data = whole.read_bytes()
    (folder / "cut.h5").write_bytes(data[: int(share * len(data))])
    assert "can't be read" in _refused(folder / "cut.h5")


def test_other_files_are_refused(tmp_path):
    assert "no such file" in _refused(tmp_path / "absent.h5")
    assert "can't be read" in _refused(tmp_path)
    (tmp_path / "text.h5").write_text("no weights\n" * 1000)
    assert "can't be read" in _refused(tmp_path / "text.h5")
    with h5py.File(tmp_path / "keras3.h5", "w") as file:
        file["layers/dense/vars/0"] = np.ones(3)
    assert "layer_names" in _refused(tmp_path / "keras3.h5")


def test_another_network_is_refused_with_the_layer(tmp_path, layers):
    path = write_keras(tmp_path / "w.h5", layers)
    assert "17 layers with weights; expected 15" in _refused(path, SHAPES[:-2])
    wider = [*SHAPES[:4], {"kernel": (7, 3, 3)}, *SHAPES[5:]]
    found = _refused(path, wider)
    assert "conv1d_11" in found and "(5, 3, 3)" in found and "(7, 3, 3)" in found
    biased = [{"kernel": (5, 3, 3), "bias": (3,)}, *SHAPES[1:]]
    assert "arrays kernel; expected kernel, bias" in _refused(path, biased)


def test_damaged_content_is_refused(tmp_path, layers):
    layers[3]["beta"][1] = np.nan
    assert "norm_10: found a beta that isn't finite" in _refused(
        write_keras(tmp_path / "nan.h5", layers)
    )
    lost = write_keras(tmp_path / "lost.h5", random_layers(SHAPES, seed=1))
    with h5py.File(lost, "r+") as file:
        del file["model_weights/conv1d_9/conv1d_9/kernel:0"]
    assert "can't be read" in _refused(lost)
    with h5py.File(lost, "r+") as file:
        del file["model_weights/conv1d_7"]
    assert "can't be read" in _refused(lost)


def test_weights_are_a_file_a_folder_or_what_was_fetched(tmp_path, results_folder, layers):
    path = write_keras(tmp_path / "w.h5", layers)
    assert locate("some", path, "models/other.h5") == path
    assert locate("some", tmp_path, "models/w.h5") == path
    with pytest.raises(HowfarError, match="howfar fetch some"):
        locate("some", None, "models/w.h5")
    fetched = results_folder / "sources" / "models" / "w.h5"
    fetched.parent.mkdir(parents=True)
    fetched.write_bytes(b"")
    assert locate("some", None, "models/w.h5") == fetched


@pytest.mark.parametrize("kind", ["link", "storage", "virtual"])
def test_values_outside_the_file_are_refused(tmp_path, layers, kind):
    path = write_keras(tmp_path / "w.h5", layers, under="")
    write_keras(tmp_path / "other.h5", layers, under="")
    with h5py.File(path, "a") as file:
        name = next(n for n in file if "conv1d" in n)
        group = file[name]
        while not isinstance(group[next(iter(group))], h5py.Dataset):
            group = group[next(iter(group))]
        each = next(iter(group))
        place, shape = group[each].name, group[each].shape
        del group[each]
        if kind == "link":
            group[each] = h5py.ExternalLink("other.h5", place)
        elif kind == "storage":
            (tmp_path / "raw").write_bytes(bytes(4 * int(np.prod(shape))))
            group.create_dataset(each, shape, "f4", external=[(str(tmp_path / "raw"), 0, 10**6)])
        else:
            layout = h5py.VirtualLayout(shape, "f4")
            layout[...] = h5py.VirtualSource("other.h5", place, shape)
            group.create_virtual_dataset(each, layout)
    says = _refused(path)
    assert "another file" in says if kind == "link" else "lie in other files" in says
