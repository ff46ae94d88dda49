"""Published PyTorch weights: where they are, safe to read, and put into a network or refused.

Weights come as one file, as the folder of a Hugging Face repository (``config.json`` beside
``model.safetensors`` or ``pytorch_model.bin``), or by the repository's name. All end in the same
file and the same check, so that a network's values don't depend on where its weights came from.
"""

from __future__ import annotations

import json
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from howfar.core.errors import HowfarError
from howfar.core.project import results_root

FILES = ("model.safetensors", "pytorch_model.bin")


def locate(name: str, weights: Path | None, pretrained: str | None, source: str = "") -> Path:
    """The file of tensors for model `name`.

    weights: a file, or a folder with one of `FILES`. pretrained: name of a Hugging Face
    repository, taken from the user's cache or the network. source: id, in ``data/sources.csv``,
    of the file that `howfar fetch` brings and that is used where neither is given. Raises
    HowfarError where there is none.
    """
    if weights is not None and pretrained is not None:
        raise HowfarError(
            f"model {name}",
            found="both `weights` and the option `pretrained`",
            expected="one of them",
            do="Remove one from the run of the study file.",
        )
    if pretrained is not None:
        return _from_hub(name, pretrained)
    if weights is None and source:
        weights = (results_root() / "sources" / source).parent
    chosen = [weights] if weights is None or weights.is_file() else [weights / f for f in FILES]
    for file in chosen:
        if file is not None and file.is_file():
            return file
    fetch = f"Run `howfar fetch {name}`, or set" if source else "Set"
    raise HowfarError(
        f"model {name}" if weights is None else str(weights),
        found="no weights",
        expected=f"a file of weights, or a folder with {' or '.join(FILES)}",
        do=f"{fetch} `weights` (a path) or the option `pretrained` (a Hugging Face name).",
    )


def _from_hub(name: str, repository: str) -> Path:
    """The repository's file of tensors, with its config.json beside it.

    What is in the user's cache is taken from there, so that no network is needed for it.
    """
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    problem = Exception()
    for cached in (True, False):
        try:
            return _downloaded(repository, cached)
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            problem = error
    raise HowfarError(
        f"model {name}, option pretrained {repository!r}",
        found=f"no weights ({first_line(problem)})",
        expected="a Hugging Face repository in the cache, or a network that reaches it",
        do="Correct the name, go online once, or give `weights` as a local folder.",
    ) from problem


def _downloaded(repository: str, cached: bool) -> Path:
    """The first of `FILES` that the repository has; `cached`: look into the cache only."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    hf_hub_download(repository, "config.json", local_files_only=cached)
    *others, last = FILES
    for file in others:
        try:
            return Path(hf_hub_download(repository, file, local_files_only=cached))
        except EntryNotFoundError:
            continue
    return Path(hf_hub_download(repository, last, local_files_only=cached))


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its kind where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def read_config(file: Path, model_type: str) -> dict[str, Any]:
    """config.json beside the tensors of `file`, {} where there is none; its type is checked."""
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
    raise HowfarError(
        str(path),
        found=found,
        expected=f"{model_type!r}",
        do="Give the weights with the config.json that belongs to them.",
    )


def read_tensors(file: Path) -> dict[str, Any]:
    """Names and tensors of a .safetensors file or a PyTorch state dict; nothing is executed."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        check_sums(file)
        kept = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(kept, dict) or not all(map(torch.is_tensor, kept.values())):
            raise ValueError("something else than named tensors")
        return kept
    except (SafetensorError, pickle.PickleError, RuntimeError, ValueError, EOFError) as error:
        raise HowfarError(
            str(file),
            found=f"a file that can't be read ({first_line(error)})",
            expected="a whole .safetensors file, or a PyTorch file of named tensors",
            do="Fetch or make it again; it may have been cut off.",
        ) from error


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
    """The network that `make` makes, with the tensors of `file`; HowfarError as `place` says.

    No memory or time goes into first weights, which are replaced.
    """
    import torch

    try:
        with torch.device("meta"):
            network = make()
    except (TypeError, ValueError, ArithmeticError, RuntimeError, AttributeError) as error:
        raise HowfarError(
            str(file.parent / "config.json"),
            found=f"sizes of no network ({first_line(error)})",
            expected="sizes that fit each other",
            do="Give the weights with the config.json that belongs to them.",
        ) from error
    place(network, read_tensors(file), file)
    return network


def place(network: Any, tensors: dict[str, Any], file: Path) -> None:
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
        elif needed.is_floating_point() and not torch.isfinite(value).all():
            problems.append((given, "not finite throughout", needed))
        elif any(n in tensors and not torch.equal(tensors[n], value) for n in names):
            problems.append((given, "two different copies", needed))
        else:
            value = value.float() if needed.is_floating_point() else value
            chosen |= dict.fromkeys(names, value)
    problems += [(n, t, None) for n, t in tensors.items() if n not in known and not _is_counter(n)]
    if problems:
        raise _misfit(file, problems)
    network.load_state_dict(chosen, assign=True)


def _names(network: Any) -> list[tuple[list[str], Any]]:
    """(names, tensor) of each tensor of the network, whatever the number of its names."""
    groups: dict[int, tuple[list[str], Any]] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        groups.setdefault(id(tensor), ([], tensor))[0].append(name)
    return list(groups.values())


def _is_counter(name: str) -> bool:
    return name.endswith(".num_batches_tracked")


def _counter(name: str) -> Any:
    import torch

    return torch.zeros((), dtype=torch.long) if _is_counter(name) else None


def _misfit(file: Path, problems: list[tuple[str, Any, Any]]) -> HowfarError:
    """The error for tensors that don't fit: how many, and the first of them."""
    name, value, needed = problems[0]
    return HowfarError(
        str(file),
        found=f"{len(problems)} tensors that don't fit; {name} is {_words(value)}",
        expected=f"{name} {_words(needed)}",
        do="Give weights of this model, with the config.json that belongs to them if they have "
        "other sizes.",
    )


def _words(tensor: Any) -> str:
    """A tensor by its shape, None as 'absent'; a text as it is."""
    if tensor is None:
        return "absent"
    return tensor if isinstance(tensor, str) else f"of shape {tuple(tensor.shape)}"
