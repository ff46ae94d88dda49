"""The arithmetic of a model's network, as a run states it, whatever the process had set before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from howfar.models.engine.options import bad_option

#: float32: full single precision, TensorFloat-32 off everywhere. tf32: products of convolutions
#: and matrices on a CUDA device with 10 bits of mantissa. bfloat16: PyTorch's autocast, with
#: weights, sums and softmax kept in float32.
PRECISIONS = ("float32", "tf32", "bfloat16")


def check_precision(name: str, precision: str, device: str) -> str:
    """Return `precision` if the resolved `device` has it, else raise. name: the model's."""
    possible = [p for p in PRECISIONS if p != "tf32" or device.startswith("cuda")]
    if precision in possible:
        return precision
    do = "Correct `precision` in the run's `options` of the study file, or its `device`."
    raise bad_option(f"{name} on {device}", "precision", precision, " or ".join(possible), do)


@contextmanager
def arithmetic(precision: str, device: str) -> Iterator[None]:
    """Run what is inside in `precision` (of `PRECISIONS`), and leave the process as it was.

    PyTorch uses TensorFloat-32 in CUDA convolutions unless told otherwise, so that plain
    "float32" needs this too.
    """
    import torch

    switches = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [switch.allow_tf32 for switch in switches]
    half = precision == "bfloat16"
    try:
        for switch in switches:
            switch.allow_tf32 = precision == "tf32"
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half):
            yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.allow_tf32 = value
