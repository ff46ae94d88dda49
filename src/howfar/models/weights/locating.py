"""Where a network's weights are, and whether fetched ones are as published."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from howfar.core.errors import HowfarError
from howfar.core.project import results_root
from howfar.core.provenance import digest
from howfar.fetch import catalogue
from howfar.models.base import Card

#: Names of files of tensors in the folder of a Hugging Face repository, the first preferred.
TENSORS = ("model.safetensors", "pytorch_model.bin")


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its kind where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def locate(
    model: str,
    weights: Path | None,
    source: str,
    files: Sequence[str] = (),
    pretrained: str | None = None,
) -> Path:
    """Find the file of weights of `model`; HowfarError where there is none.

    weights: a file, or a folder with one of `files`. source: id, in ``data/sources.csv``, of the
    published file, which is used where no weights are given, '' if none; its name is the default of
    `files`.
    pretrained: name of a Hugging Face repository, from the user's cache or the network.
    """
    if weights is not None and pretrained is not None:
        raise HowfarError(
            f"model {model}",
            found="both `weights` and the option `pretrained`",
            expected="one of them",
            do="Remove one from the run of the study file.",
        )
    if pretrained is not None:
        return download_pretrained(model, pretrained)
    place = weights
    if weights is None and source:
        fetched = results_root() / "sources" / source
        place = fetched.parent if files else fetched
    names = files or [Path(source).name]
    chosen = [place] if place is None or place.is_file() else [place / name for name in names]
    for file in chosen:
        if file is not None and file.is_file():
            return file
    fetch = f"Run `howfar fetch {model}`, or set" if source else "Set"
    hub = " or the option `pretrained` (a Hugging Face name)" if files else ""
    raise HowfarError(
        f"model {model}" if place is None else str(place),
        found="no weights",
        expected=f"a file of weights, or a folder with {' or '.join(names)}",
        do=f"{fetch} `weights` (a path){hub}.",
    )


def download_pretrained(model: str, repository: str) -> Path:
    """Return the repository's file of tensors, with its config.json beside it.

    What is in the user's cache is taken from there, so that no network is needed for it.
    """
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    problem = Exception()
    for cached in (True, False):
        try:
            return _download_tensors(repository, cached)
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            problem = error
    raise HowfarError(
        f"model {model}, option pretrained {repository!r}",
        found=f"no weights ({first_line(problem)})",
        expected="a Hugging Face repository in the cache, or a network that reaches it",
        do="Correct the name, go online once, or give `weights` as a local folder.",
    ) from problem


def _download_tensors(repository: str, cached: bool) -> Path:
    """Return the first of `TENSORS` that the repository has; `cached`: from the cache only."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    hf_hub_download(repository, "config.json", local_files_only=cached)
    *others, last = TENSORS
    for file in others:
        with suppress(EntryNotFoundError):
            return Path(hf_hub_download(repository, file, local_files_only=cached))
    return Path(hf_hub_download(repository, last, local_files_only=cached))


def check_fetched(model: str, sources: Sequence[str]) -> None:
    """HowfarError where a fetched file of the model, if it is there, isn't as it was published."""
    folder = results_root() / "sources"
    for source in sources:
        file, known = folder / source, catalogue.checksum(source, folder)
        if known and file.is_file() and (found := digest(file)) != known:
            raise HowfarError(
                str(file),
                found=f"another content than was fetched (SHA-256 {found})",
                expected=f"SHA-256 {known}",
                do=f"Run `howfar fetch {model}` again, or name a file of your own in `weights`.",
            )


def check_package(model: str, card: Card) -> None:
    """HowfarError where the package that the model needs isn't installed."""
    if not card.package:
        return
    try:
        import_module(card.package)
    except ImportError as error:
        raise HowfarError(
            f"model {model}",
            found=str(error),
            expected=f"the package {card.package.replace('_', '-')}",
            do=f"Run `pip install 'howfar[{card.extra}]'`.",
        ) from error
