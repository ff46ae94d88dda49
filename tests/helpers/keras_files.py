"""Small files of weights in the layout of Keras' HDF5, for the tests of the models that read it."""

from pathlib import Path

import h5py
import numpy as np

SUFFIX = ":0"


def random_layers(architecture, seed: int, gain: float = 1.0) -> list[dict[str, np.ndarray]]:
    """Random arrays of those shapes, of unit gain through a layer; variances are positive."""
    draw = np.random.default_rng(seed)
    layers = []
    for shapes in architecture:
        layer = {}
        for name, shape in shapes.items():
            scale = gain / np.sqrt(np.prod(shape[:-1])) if name == "kernel" else 0.3
            array = scale * draw.standard_normal(shape)
            layer[name] = (np.exp(array) if "variance" in name else array).astype(np.float32)
            if name == "gamma":
                layer[name] += 1
        layers.append(layer)
    return layers


def layer_name(layer: dict[str, np.ndarray], place: int) -> str:
    """As Keras names layers, with a running number that doesn't begin at zero."""
    kernel = layer.get("kernel")
    kind = "norm" if kernel is None else {2: "dense", 3: "conv1d"}.get(kernel.ndim, "other")
    return f"{kind}_{place + 7}"


def write_keras(
    path: Path,
    layers: list[dict[str, np.ndarray]],
    *,
    under: str = "model_weights",
    optimizer: bool = False,
    suffix: str = SUFFIX,
    cut: int = 0,
) -> Path:
    """Write the layers, with layers between them that own nothing.

    under: '' for a file of weights only. optimizer: with the state of an optimiser beside them.
    suffix: of the arrays' names. cut: names per attribute where the list is cut into pieces.
    """
    with h5py.File(path, "w") as file:
        top = file.create_group(under) if under else file
        names = ["input_1"]
        for place, layer in enumerate(layers):
            name = layer_name(layer, place)
            names += [name, f"activation_{place}"]
            group = top.create_group(name)
            full = [f"{name}/{array}{suffix}" for array in layer]
            group.attrs["weight_names"] = np.array([n.encode() for n in full])
            for key, array in zip(full, layer.values(), strict=True):
                group[key] = array
        for name in set(names) - set(top):
            top.create_group(name).attrs["weight_names"] = np.array([], "S1")
        _list_names(top, names, cut)
        if optimizer:
            file["optimizer_weights/Adam/iterations:0"] = 3
    return path


def _list_names(top, names: list[str], cut: int) -> None:
    if not cut:
        top.attrs["layer_names"] = names  # strings; Keras of old wrote bytes
    for piece in range(0, len(names), cut) if cut else ():
        part = np.array([n.encode() for n in names[piece : piece + cut]])
        top.attrs[f"layer_names{piece // cut}"] = part
