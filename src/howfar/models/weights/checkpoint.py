"""Published PyTorch weights: read safely, and put into a network or refused.

Weights come as one file, as the folder of a Hugging Face repository (``config.json`` beside
``model.safetensors`` or ``pytorch_model.bin``), or by the repository's name. All end in the same
file and the same check, so that a network's values don't depend on where its weights came from.
"""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from howfar.core import sealed
from howfar.core.errors import HowfarError
from howfar.core.text import HDF5, starts_with
from howfar.models.weights.locating import first_line


def read_config(file: Path, model_type: str) -> dict[str, Any]:
    """Read config.json beside the tensors of `file`, {} if there is none; its type is checked."""
    path = file.parent / "config.json"
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_text())
        found = f"the model type {config.get('model_type')!r}"
    except (ValueError, AttributeError) as error:
        config, found = {}, f"no readable JSON object ({error})"
    if config.get("model_type") == model_type:
        return config
    raise bad_config(path, found, f"{model_type!r}")


def bad_config(where: str | Path, found: str, expected: str) -> HowfarError:
    """Return the error for a config.json that isn't that of the weights beside it."""
    do = "Give the weights with the config.json that belongs to them."
    return HowfarError(str(where), found=found, expected=expected, do=do)


def read_tensors(file: Path) -> dict[str, Any]:
    """Read the tensors of a .safetensors file or PyTorch state dict; nothing is executed."""
    import torch
    from safetensors.torch import load_file

    try:
        if starts_with(file, HDF5):
            raise ValueError("HDF5, as Keras writes it")
        if _is_safetensors(file):
            sealed.check(file)
            return load_file(file)
        check_sums(file)
        with file.open("rb") as handle:  # of a name PyTorch would judge by the ending
            tensors = torch.load(handle, map_location="cpu", weights_only=True)
        if isinstance(tensors, dict) and isinstance(tensors.get("state_dict"), dict):
            tensors = tensors["state_dict"]  # a checkpoint of Lightning
        named = isinstance(tensors, dict) and all(isinstance(name, str) for name in tensors)
        if not named or not all(map(torch.is_tensor, tensors.values())):
            raise ValueError("something else than named tensors")
        return tensors
    except HowfarError:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        raise HowfarError(
            str(file),
            found=f"a file that can't be read ({first_line(error)})",
            expected="a whole .safetensors file, or a PyTorch file of named tensors",
            do="Fetch or make it again; it may have been cut off. Of a checkpoint with other "
            "objects, save its `state_dict` alone.",
        ) from error


def _is_safetensors(file: Path) -> bool:
    """Whether a file begins with the length of a JSON object and the object."""
    with file.open("rb") as handle:
        return handle.read(9)[8:] == b"{"


def check_sums(file: Path) -> None:
    """HowfarError where a part of a PyTorch file (a zip archive) isn't as it was written.

    PyTorch itself doesn't look at these checksums: a changed byte would be a changed weight.
    """
    if not zipfile.is_zipfile(file):
        return  # the older format, which has none
    with zipfile.ZipFile(file) as archive:
        try:
            damaged = archive.testzip()
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
            damaged = first_line(error)
    if damaged:
        raise HowfarError(
            str(file),
            found=f"other bytes than were written ({damaged})",
            expected="a part whose checksum fits",
            do="Fetch it again, or restore it from where it was made.",
        )


def is_plain(tensor: Any) -> bool:
    """Whether a tensor holds floating-point numbers in the usual way."""
    import torch

    return tensor.is_floating_point() and tensor.layout == torch.strided and not tensor.is_meta


def assemble(make: Callable[[], Any], file: Path) -> Any:
    """Make a network and put the tensors of `file` into it; HowfarError as `load_tensors` says.

    No memory or time goes into first weights, which are replaced.
    """
    import torch

    try:
        with torch.device("meta"):
            network = make()
    except (TypeError, ValueError, ArithmeticError, RuntimeError, AttributeError) as error:
        found = f"sizes of no network ({first_line(error)})"
        raise bad_config(file.parent / "config.json", found, "sizes that fit each other") from error
    load_tensors(network, of_network(read_tensors(file)), file)
    return network


#: How Rastogi, Reddy et al. 2024 (and `training`) name the network within a trained module.
BASE = "base."


def of_network(tensors: dict[str, Any]) -> dict[str, Any]:
    """Return a network's own tensors: of a module trained on people without its head there."""
    if not any(name.startswith(BASE) for name in tensors):
        return tensors
    return {n.removeprefix(BASE): t for n, t in tensors.items() if n.startswith(BASE)}


def load_tensors(network: Any, tensors: dict[str, Any], file: Path) -> None:
    """Put the tensors of `file` into `network`, float32; HowfarError unless every one fits.

    Where a network lists a tensor under several names, the file may use any of them. Counters of
    batch normalisation aren't needed.
    """
    import torch

    chosen, problems = {}, []
    groups = _names(network)
    known = {n for names, _ in groups for n in names}
    for names, needed in groups:
        given = next((n for n in names if n in tensors), None)
        value = tensors[given] if given else _counter(names[0])
        if value is None or value.shape != needed.shape:
            problems.append((given or names[0], value, needed))
        elif needed.is_floating_point() and not is_plain(value):
            problems.append((given, f"of {value.dtype}, {value.layout}, on {value.device}", needed))
        elif needed.is_floating_point() and not _finite(value):
            problems.append((given, "not finite throughout", needed))
        elif any(n != given and n in tensors and not torch.equal(tensors[n], value) for n in names):
            problems.append((given, "two different copies", needed))
        else:
            value = value.float() if needed.is_floating_point() else value
            chosen |= dict.fromkeys(names, value)
    problems += [(n, t, None) for n, t in tensors.items() if n not in known and not _is_counter(n)]
    if problems:
        raise _misfit(file, problems)
    network.load_state_dict(chosen, assign=True)


def _names(network: Any) -> list[tuple[list[str], Any]]:
    """List (names, tensor) of each tensor of the network, whatever the number of its names."""
    groups: dict[int, tuple[list[str], Any]] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        groups.setdefault(id(tensor), ([], tensor))[0].append(name)
    return list(groups.values())


def _is_counter(name: str) -> bool:
    return name.endswith(".num_batches_tracked")


def _counter(name: str) -> Any:
    import torch

    return torch.zeros((), dtype=torch.long) if _is_counter(name) else None


def _finite(tensor: Any) -> bool:
    """Whether all numbers of a tensor are finite, without a tensor of marks of its size."""
    return not tensor.numel() or all(math.isfinite(end) for end in tensor.aminmax())


def _misfit(file: Path, problems: list[tuple[str, Any, Any]]) -> HowfarError:
    """Return the error for tensors that don't fit: how many, and the first of them."""
    name, value, needed = problems[0]
    return HowfarError(
        str(file),
        found=f"{len(problems)} tensors that don't fit; {name} is {_words(value)}",
        expected=f"{name} {_words(needed)}",
        do="Give weights of this model, with the config.json that belongs to them if they have "
        "other sizes.",
    )


def _words(tensor: Any) -> str:
    """Describe a tensor by its shape, None as 'absent'; a text as it is."""
    if tensor is None:
        return "absent"
    return tensor if isinstance(tensor, str) else f"of shape {tuple(tensor.shape)}"
