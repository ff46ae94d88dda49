"""Test-time averaging over strands and small shifts, the same for every network.

A network trained on both strands and on shifted windows gives slightly different values for the
two strands and for each shift; their plain mean is less noisy. As Basenji2's evaluation does it
(Kelley 2020, PLoS Computational Biology 16:e1008050): each shifted window is read forward and,
if asked for, as its reverse complement; outputs of the reverse complement are mirrored along the
bins; outputs of shifts are not moved back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from howfar.core.errors import HowfarError
from howfar.models.base import Layout
from howfar.models.engine.network import NetworkModel


def shifted(one_hot: Any, shift: int, fill: float) -> Any:
    """`one_hot` (batch, length, 4) moved to the right by `shift` bases, to the left if negative.

    The bases left empty are `fill` in each channel; what leaves the window is lost.
    """
    if shift == 0:
        return one_hot
    from torch.nn.functional import pad

    kept = one_hot[:, : one_hot.shape[1] - shift] if shift > 0 else one_hot[:, -shift:]
    return pad(kept, (0, 0, max(shift, 0), max(-shift, 0)), value=fill)


def mean_of_views(
    one_hot: Any,
    bins: Sequence[int],
    values: Callable[[Any, Sequence[int]], Any],
    *,
    n_bins: int,
    rc: bool = False,
    shifts: Sequence[int] = (0,),
    fill: float = 0.25,
    reverse_values: Callable[[Any, Sequence[int]], Any] | None = None,
) -> Any:
    """Mean of `values` over the strands and shifts of a window.

    one_hot: tensor (batch, length, 4), channels A, C, G, T. values(one_hot, bins) gives a tensor
    (batch, len(bins), tracks) for the bins asked for, in their order; of the reverse complement
    the mirrored bins, n_bins - 1 - bin, are asked for, so the output must lie symmetrically in
    the window. fill: the value, in each channel, of bases that a shift leaves empty.
    reverse_values: called in the place of `values` for reverse complements, where tracks of the
    two strands change places.
    """
    mirrored = [n_bins - 1 - b for b in bins]
    total, views = None, 0
    for shift in shifts:
        view = shifted(one_hot, shift, fill)
        parts = [values(view, bins)]
        if rc:
            parts.append((reverse_values or values)(view.flip(1, 2), mirrored))
        for part in parts:
            total, views = part if total is None else total + part, views + 1
    return total / views


def check_shifts(name: str, shifts: Iterable[int], context: int) -> tuple[int, ...]:
    """The option `shifts` of model `name` as a tuple; HowfarError where it makes no sense."""
    chosen = tuple(shifts) if isinstance(shifts, Iterable) else (shifts,)
    if chosen and all(type(s) is int and abs(s) < context for s in chosen):
        return chosen
    raise HowfarError(
        f"model {name}, option shifts",
        found=f"{list(chosen)}",
        expected=f"one or more whole numbers of bases below {context:,}, such as [-1, 0, 1]",
        do="Correct `shifts` in the run's `options` of the study file.",
    )


def check_n_value(name: str, n_value: float) -> float:
    """The option `n_value` of model `name`, N in each channel; HowfarError outside 0 to 1."""
    if type(n_value) in (int, float) and 0 <= n_value <= 1:
        return float(n_value)
    raise HowfarError(
        f"model {name}, option n_value",
        found=f"{n_value!r}",
        expected="a number from 0 to 1, such as 0.25 (equal shares) or 0 (nothing)",
        do="Correct `n_value` in the run's `options` of the study file.",
    )


def check_switch(name: str, option: str, given: bool) -> bool:
    """`given`, the option of model `name`; HowfarError for a word such as "no", which would count
    as true.
    """
    if isinstance(given, bool):
        return given
    raise HowfarError(
        f"model {name}, option {option}",
        found=f"{given!r}",
        expected="true or false",
        do=f"Correct `{option}` in the run's `options` of the study file.",
    )


def check_context(name: str, context: int, unit: int, longest: int, remark: str = "") -> None:
    """HowfarError unless `context` of model `name`, bp, is a multiple of `unit` up to `longest`.

    remark: what else to say of windows that are refused.
    """
    if type(context) is int and context % unit == 0 and unit <= context <= longest:
        return
    raise HowfarError(
        f"model {name}, option context",
        found=f"{context!r}",
        expected=f"a multiple of {unit} bp up to {longest:,}{remark}",
        do="Correct `context` in the run's `options` of the study file.",
    )


def middle(name: str, whole: Layout, crop: int | None, usual: dict[int, int]) -> Layout:
    """The layout of the bins that model `name` keeps, equally far from both ends of the window.

    whole: the layout before the crop. crop: bins kept; None: `usual` for this number of bins,
    else all. Raises HowfarError where so many bins can't lie in the middle.
    """
    bins = whole.n_bins
    kept = usual.get(bins, bins) if crop is None else crop
    if type(kept) is int and 1 <= kept <= bins and (bins - kept) % 2 == 0:
        first = (bins - kept) // 2 * whole.bin_size
        return Layout(whole.context, whole.bin_size, kept, first_base=first)
    raise HowfarError(
        f"model {name}, option crop",
        found=f"{crop!r}",
        expected=f"{bins} bins or fewer, by an even number",
        do="Correct `crop` in the run's `options` of the study file.",
    )


class AveragingModel(NetworkModel):
    """A `NetworkModel` whose values are means over strands and shifts of a window.

    A subclass sets its layout, calls `_average` before `_ready`, and gives `_values`.
    """

    def _average(self, rc: bool, shifts: Iterable[int], n_value: float) -> str:
        """Take the options of the average; says in words what a value is the mean of."""
        self._rc = check_switch(self.name, "rc", rc)
        self._fill = check_n_value(self.name, n_value)
        self._shifts = check_shifts(self.name, shifts, self.layout.context)
        strands = "both strands" if rc else "the forward strand"
        moved = ", ".join(map(str, self._shifts))
        return f"Mean over {strands} and shifts of {moved} bp; N is {self._fill:g} per channel."

    @property
    def _views(self) -> tuple[tuple[int, bool], ...]:
        """(shift, whether reverse complemented) of each reading of a window."""
        return tuple((s, turned) for s in self._shifts for turned in (False, True)[: 1 + self._rc])

    def _values(self, one_hot: Any, bins: Sequence[int], tracks: Any) -> Any:
        """(batch, context, 4) to (batch, len(bins), len(tracks)), as one strand is read."""
        raise NotImplementedError

    def _paired(self, tracks: Any) -> Any:
        """Of each track, the one that holds its values in a reverse complement: itself."""
        return tracks

    def _forward(self, bases: Any, bins: Sequence[int], tracks: Any) -> Any:
        paired = self._paired(tracks)
        return mean_of_views(
            self._one_hot(bases),
            bins,
            lambda one_hot, chosen: self._values(one_hot, chosen, tracks),
            n_bins=self.layout.n_bins,
            rc=self._rc,
            shifts=self._shifts,
            fill=self._fill,
            reverse_values=lambda one_hot, chosen: self._values(one_hot, chosen, paired),
        ).float()
