"""Weights that Keras wrote as HDF5: whole models, with or without their optimiser, or weights only.

Layers come in the order of the attribute `layer_names` (HDF5 itself lists names alphabetically,
so conv1d_10 before conv1d_2), and only layers that own weights count. They are matched to an
architecture by that order and by their shapes, because their names carry a running number that
depends on what else the process that trained them had built.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np

from howfar.core.errors import HowfarError

#: What a layer owns: array name ('kernel', 'bias', 'gamma', ...) to shape, as Keras stores it.
Shapes = Mapping[str, tuple[int, ...]]


def read_weights(path: Path, architecture: Sequence[Shapes]) -> list[dict[str, np.ndarray]]:
    """Read the arrays of each layer that owns weights: float32 by name, in the network's order.

    architecture: what each such layer must own. Raises HowfarError for a file that is absent, cut
    off, or no Keras HDF5, and, naming the layer, for another number of layers, other arrays or
    shapes, and values that are not finite. Nothing in the file is executed.
    """
    with _opened(path) as file:
        group = file.get("model_weights", file)
        names = [name for name in _layer_names(path, group) if _words(group[name], "weight_names")]
        if len(names) != len(architecture):
            raise _misfit(
                path, f"{len(names)} layers with weights", f"{len(architecture)} of the network"
            )
        layers = zip(names, architecture, strict=True)
        return [_layer(f"{path}, layer {name}", group[name], shapes) for name, shapes in layers]


def fill(module: Any, **arrays: np.ndarray) -> None:
    """Put arrays into the parameters and buffers of a PyTorch module, by their names there."""
    import torch

    with torch.no_grad():
        for name, array in arrays.items():
            getattr(module, name).copy_(torch.from_numpy(np.ascontiguousarray(array)))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open the file; whatever HDF5 reports becomes a HowfarError."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            _check_inside(path, file)
            yield file
    except HowfarError:
        raise
    except FileNotFoundError as error:
        raise _misfit(path, "no such file", "a Keras HDF5 file of weights") from error
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        words = " ".join(str(error).split())[:160]
        raise _misfit(path, f"a file that can't be read ({words})", "a whole HDF5 file") from error


def _check_inside(path: Path, group: Any, seen: frozenset[int] = frozenset()) -> None:
    """HowfarError where a group leads to values outside the file, which no checksum covers."""
    import h5py

    here = h5py.h5o.get_info(group.id).addr
    if here in seen:
        return  # a group linked into itself
    for name in group:
        link = group.get(name, getlink=True)
        where = f"{path}, {group.name.rstrip('/')}/{name}"
        if isinstance(link, h5py.ExternalLink):
            raise _misfit(where, f"a link to another file, {link.filename}", "values in the file")
        if isinstance(link, h5py.SoftLink):
            continue  # to a name in this file, which is met by itself
        each = group[name]
        if isinstance(each, h5py.Group):
            _check_inside(path, each, seen | {here})
        elif isinstance(each, h5py.Dataset) and (each.external or each.is_virtual):
            raise _misfit(where, "values that lie in other files", "values in the file")


def _layer_names(path: Path, group: Any) -> list[str]:
    names = _words(group, "layer_names")
    if names:
        return names
    raise _misfit(path, "an HDF5 file without the attribute layer_names", "one that Keras wrote")


def _words(group: Any, name: str) -> list[str]:
    """Read an attribute that is a list of names; Keras cuts long ones into name0, name1, ..."""
    pieces = takewhile(group.attrs.__contains__, (f"{name}{i}" for i in count()))
    parts = [name] if name in group.attrs else list(pieces)
    found = [word for part in parts for word in group.attrs[part]]
    return [word.decode() if isinstance(word, bytes) else str(word) for word in found]


def _layer(where: str, group: Any, shapes: Shapes) -> dict[str, np.ndarray]:
    """Read the arrays of a layer, by the last part of their names ("conv1d_3/kernel:0": kernel)."""
    names = {n.rsplit("/", 1)[-1].split(":")[0]: n for n in _words(group, "weight_names")}
    if set(names) != set(shapes):
        raise _misfit(where, f"the arrays {', '.join(names)}", ", ".join(shapes))
    arrays = {role: np.asarray(group[names[role]], np.float32) for role in shapes}
    for role, shape in shapes.items():
        if arrays[role].shape != tuple(shape):
            raise _misfit(where, f"{role} of shape {arrays[role].shape}", f"{tuple(shape)}")
        if not np.isfinite(arrays[role]).all():
            raise _misfit(where, f"a {role} that isn't finite", "numbers")
    return arrays


def _misfit(where: str | Path, found: str, expected: str) -> HowfarError:
    return HowfarError(
        str(where),
        found=found,
        expected=expected,
        do="Give the model's own weights (fetch them again if the file may have been cut off), "
        "with the sizes that belong to them.",
    )
