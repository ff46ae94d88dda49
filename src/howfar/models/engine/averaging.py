"""Test-time averaging over strands and small shifts, the same for every network.

A network trained on both strands and on shifted windows gives slightly different values for the
two strands and for each shift; their plain mean is less noisy. As Basenji2's evaluation does it
(Kelley 2020, PLoS Computational Biology 16:e1008050): each shifted window is read forward and,
if asked for, as its reverse complement; outputs of the reverse complement are mirrored along the
bins; outputs of shifts are not moved back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from howfar.models.engine.network import NetworkModel
from howfar.models.engine.options import check_n_value, check_shifts, check_switch


def shifted(one_hot: Any, shift: int, fill: float) -> Any:
    """Move `one_hot` (batch, length, 4) to the right by `shift` bases, to the left if negative.

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
    """Average `values` over the strands and shifts of a window.

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


class AveragingModel(NetworkModel):
    """A `NetworkModel` whose values are means over strands and shifts of a window.

    A subclass gives `_values`; `notes` say what a value is the mean of.
    """

    def _check_options(self) -> None:
        super()._check_options()
        options = self.options
        self._rc = check_switch(self.name, "rc", options.rc)
        self._fill = check_n_value(self.name, options.n_value)
        self._shifts = check_shifts(self.name, options.shifts, self.layout.context)

    def _notes(self, network: Any) -> tuple[str, ...]:
        strands = "both strands" if self._rc else "the forward strand"
        moved = ", ".join(map(str, self._shifts))
        average = f"Mean over {strands} and shifts of {moved} bp; N is {self._fill:g} per channel."
        return (*super()._notes(network), average)

    @property
    def _views(self) -> tuple[tuple[int, bool], ...]:
        """(shift, whether reverse complemented) of each reading of a window."""
        return tuple((s, turned) for s in self._shifts for turned in (False, True)[: 1 + self._rc])

    def _values(self, one_hot: Any, bins: Sequence[int], tracks: Any) -> Any:
        """Turn (batch, context, 4) into (batch, len(bins), len(tracks)), as one strand is read."""
        raise NotImplementedError

    def _paired(self, tracks: Any) -> Any:
        """Return, of each track, the one that holds its values in a reverse complement: itself."""
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
