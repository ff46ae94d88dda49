"""Options of networks: those that several share, and the checks that each value must pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import pandas as pd

from howfar.core.errors import HowfarError
from howfar.models.base import Layout

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """Options that networks share; a network's own class adds others and its defaults.

    batch_size: windows at once. precision: 'float32', 'bfloat16', or on CUDA 'tf32'. engine:
    'shared' computes the convolution tower once for each distinct stretch of sequence, much the
    less work for the haplotypes of a cohort; 'plain' for each window, less work for sequences
    that have nothing in common. iupac: 'mixture', IUPAC letters are equal mixtures, as for
    unphased genotypes; 'n', they are as N; 'zero', they are nothing. n_value: each channel of N
    and of bases that a shift leaves empty. rc, shifts: mean over both strands and over shifts in
    bp, such as [-1, 0, 1]. context: window in bp. crop: output bins kept, in the middle. species:
    'human' or 'mouse', whose head is read. targets: table of tracks. pretrained: a Hugging Face
    name in the place of weights.
    """

    batch_size: int = 8
    precision: str = "float32"
    engine: str = "plain"
    iupac: str = "mixture"
    n_value: float = 0.0
    rc: bool = False
    shifts: Iterable[int] = (0,)
    context: int = 0
    crop: int | None = None
    species: str = "human"
    targets: str | Path | None = None
    pretrained: str | None = None

    #: Names of the shared options that the network takes, beside `batch_size` and its own.
    takes: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def names(cls) -> list[str]:
        """List all options that the network takes."""
        refused = ALL_SHARED - cls.takes - {"batch_size"}
        return [field.name for field in fields(cls) if field.name not in refused]

    @classmethod
    def read(cls, model: str, given: Mapping[str, Any]) -> Self:
        """Read a run's options of `model`; HowfarError for one that the network doesn't take."""
        for name in given:
            if name not in cls.names():
                raise refused(f"model {model}", f"the option {name!r}")
        return cls(**given)


ALL_SHARED = frozenset(field.name for field in fields(NetworkOptions))


def refused(where: str, found: str) -> HowfarError:
    """Return the error for options that a model doesn't take."""
    return HowfarError(
        f"{where}, options",
        found=found,
        expected="options that this model takes",
        do="Correct the run's `options` in the study file.",
    )


def bad_option(model: str, option: str, found: object, expected: str, do: str = "") -> HowfarError:
    """Return the error for the value `found` of an option of `model`."""
    return HowfarError(
        f"model {model}, option {option}",
        found=repr(found),
        expected=expected,
        do=do or f"Correct `{option}` in the run's `options` of the study file.",
    )


def choose(model: str, option: str, value: Any, choices: Mapping[str, T]) -> T:
    """Return what `value` stands for among `choices`; HowfarError where it is none of them."""
    if isinstance(value, str) and value in choices:
        return choices[value]
    raise bad_option(model, option, value, " or ".join(map(repr, choices)))


def check_shifts(model: str, shifts: Iterable[int], context: int) -> tuple[int, ...]:
    """Return the option `shifts` as a tuple; HowfarError where it makes no sense."""
    chosen = tuple(shifts) if isinstance(shifts, Iterable) else (shifts,)
    if chosen and all(type(s) is int and abs(s) < context for s in chosen):
        return chosen
    words = f"one or more whole numbers of bases below {context:,}, such as [-1, 0, 1]"
    raise bad_option(model, "shifts", list(chosen), words)


def check_n_value(model: str, n_value: float) -> float:
    """Return the option `n_value`, N in each channel; HowfarError outside 0 to 1."""
    if type(n_value) in (int, float) and 0 <= n_value <= 1:
        return float(n_value)
    words = "a number from 0 to 1, such as 0.25 (equal shares) or 0 (nothing)"
    raise bad_option(model, "n_value", n_value, words)


def check_switch(model: str, option: str, value: bool) -> bool:
    """Return a switch; HowfarError for a word such as "no", which would count as true."""
    if isinstance(value, bool):
        return value
    raise bad_option(model, option, value, "true or false")


def check_context(model: str, context: int, unit: int, longest: int, remark: str = "") -> None:
    """HowfarError unless `context`, bp, is a multiple of `unit` up to `longest`.

    remark: what else to say of windows that are refused.
    """
    if type(context) is int and context % unit == 0 and unit <= context <= longest:
        return
    words = f"a multiple of {unit} bp up to {longest:,}{remark}"
    raise bad_option(model, "context", context, words)


def middle(model: str, whole: Layout, crop: int | None, usual: dict[int, int]) -> Layout:
    """Return the layout of the bins kept, equally far from both ends of the window.

    whole: the layout before the crop. crop: bins kept; None: `usual` for this number of bins,
    else all. Raises HowfarError where so many bins can't lie in the middle.
    """
    bins = whole.n_bins
    kept = usual.get(bins, bins) if crop is None else crop
    if type(kept) is int and 1 <= kept <= bins and (bins - kept) % 2 == 0:
        first = (bins - kept) // 2 * whole.bin_size
        return Layout(whole.context, whole.bin_size, kept, first_base=first)
    raise bad_option(model, "crop", crop, f"{bins} bins or fewer, by an even number")


def check_species(model: str, species: str, heads: Iterable[str]) -> None:
    """HowfarError unless the network has a head of that species."""
    if species not in (known := list(heads)):
        words = f"a head of these weights: {', '.join(known)}"
        do = "Correct `species`, or take weights that have the head."
        raise bad_option(model, "species", species, words, do)


def numbered_tracks(kind: str, number: int) -> pd.DataFrame:
    """Return tracks that only numbers tell apart: ``<kind> 0``, ``<kind> 1``, ..."""
    return pd.DataFrame({"description": [f"{kind} {k}" for k in range(number)]})
