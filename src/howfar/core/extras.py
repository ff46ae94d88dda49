"""The extras of the package: which of them brings a module that is missing."""

from __future__ import annotations

import resource
from importlib.util import find_spec

from howfar.core.errors import HowfarError

#: Module to extra, for modules that the core doesn't need.
EXTRAS = {
    "borzoi_pytorch": "borzoi",
    "tangermeme": "attribution",
    "captum": "attribution",
    "pyjaspar": "attribution",
    "enformer_pytorch": "models",
    "h5py": "models",
    "huggingface_hub": "models",
    "safetensors": "models",
    "torch": "models",
    "xxhash": "models",
    "lightning": "training",
    "peft": "training",
    "msprime": "simulate",
    "ipykernel": "book",
    "jupyter_book": "book",
    "papermill": "book",
    "snakemake": "workflow",
    "snakemake_executor_plugin_slurm": "slurm",
    "pgenlib": "pgen",
    "zarr": "zarr",
    "xgboost": "trees",
    "rocrate": "archive",
}


def missing_extra(module: str) -> HowfarError | None:
    """Return the error for a module that is missing; None where no extra brings it."""
    extra = EXTRAS.get(module.split(".")[0])
    if extra is None:
        return None
    return HowfarError(
        f"the Python module {module}",
        found="no such module",
        expected=f"what the extra {extra!r} of howfar installs",
        do=f"Run `pip install 'howfar[{extra}]'`.",
    )


#: Bytes of address space that a network takes before its first window (1.6e9 measured with
#: PyTorch 2.13 on a CPU). With less, libraries fail when imported, or try for ever.
_LEAST_ADDRESSES = 2_500_000_000


def require_addresses() -> None:
    """Raise HowfarError where ``ulimit -v`` leaves too little address space for a network."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _LEAST_ADDRESSES:
        raise HowfarError(
            "the limit of this shell or job on address space (ulimit -v)",
            found=f"{limit / 1e9:.1f} GB",
            expected=f"at least {_LEAST_ADDRESSES / 1e9:.1f} GB, beside the model and its windows",
            do="Raise it (`ulimit -v unlimited`), or ask the cluster for more memory.",
        )


def is_installed(module: str) -> bool:
    """Whether a module can be imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def require_module(module: str) -> None:
    """Raise HowfarError unless a module of an extra can be imported."""
    if not is_installed(module) and (error := missing_extra(module)):
        raise error
