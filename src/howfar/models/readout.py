"""From all tracks of a network to expression: one weighting of what it predicts around the TSS.

Two studies published weights of Enformer's 5,313 tracks, elastic nets fitted across genes on the
reference and on mean expression; `howfar tracks` fits others. By recipe:

- sagenet2024: x = the sum over bins (three at the TSS) of ln(1 + prediction), each haplotype;
  expression = x . weights + offset (Spiro, Tu et al., SAGE-net).
- sasse2023: x = log2 of the sum over bins; their window isn't published, five bins stand for it
  (Sasse et al. 2023). The study adds both haplotypes: `sum_haplotypes` in the run's `transform`.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from howfar.core.errors import HowfarError, damaged_file, no_such_file
from howfar.core.provenance import sha256_of
from howfar.models.base import Layout, SequenceModel, parse_bins

Array = NDArray[np.float64]

#: Last row of a table of weights.
OFFSET = "offset"


def _log2_of_sum(values: Array) -> Array:
    total = values.sum(axis=1)
    if not (total > 0).all():
        raise HowfarError(
            "recipe sasse2023",
            found=f"a track whose sum over bins is {total.min():.4g}",
            expected="sums above 0, as log2 is taken",
            do="Take the recipe sagenet2024, or a network whose tracks are positive.",
        )
    return np.asarray(np.log2(total))


def _sum_of_log1p(values: Array) -> Array:
    if not (values > -1).all():
        raise HowfarError(
            "recipe sagenet2024",
            found=f"a prediction of {values.min():.4g}",
            expected="predictions above -1, as ln(1 + prediction) is taken",
            do="Name a network whose tracks are counts.",
        )
    return np.asarray(np.log1p(values).sum(axis=1))


#: Recipe to (bins around the TSS, function of values (windows, bins, tracks)).
RECIPES: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "sagenet2024": ("centre3", _sum_of_log1p),
    "sasse2023": ("centre5", _log2_of_sum),
}


def features(values: NDArray[np.floating], recipe: str) -> Array:
    """Return one number per window and track from raw outputs (windows, bins, tracks)."""
    return RECIPES[recipe][1](np.asarray(values, np.float64))


@dataclass(frozen=True)
class Readout:
    """Weights (tracks,) in the order of the network's tracks, and what they are applied to.

    bins: rule around the TSS. digest: SHA-256 of the file.
    """

    weights: Array
    offset: float
    recipe: str
    bins: str | list[int]
    digest: str = "none"


def bins_of(readout: Readout, model: SequenceModel, strand: str) -> list[int]:
    """Return the bins of a network that a readout takes for a gene on `strand`."""
    edge = model.tss_edge(strand)
    return parse_bins(readout.bins, model.tss_bin(strand), model.layout.n_bins, edge)


def read_out(values: NDArray[np.floating], readout: Readout) -> Array:
    """Weigh raw outputs (windows, bins, all tracks) into one number per window."""
    return features(values, readout.recipe) @ readout.weights + readout.offset


def read_readout(
    path: Path, model: SequenceModel, recipe: str, bins: str | list[int] | None = None
) -> Readout:
    """Read weights of a network's tracks, in the order of its tracks.

    path: CSV with the columns tracks and weights and `offset` in its last row (Sasse et al. 2023,
    `howfar tracks`), or a .npy of weights beside ``intercept.npy`` (SAGE-net). bins: as a run's
    key, of the recipe where left out. HowfarError where the tracks aren't the network's.
    """
    if not path.is_file():
        do = "Run `howfar fetch sasse2023`, `howfar fetch sagenet2024`, or `howfar tracks`."
        raise no_such_file(path, "weights of a network's tracks", do)
    read = _read_arrays if path.suffix == ".npy" else _read_table
    weights, offset, names = read(path)
    known = [str(text) for text in model.tracks["description"]]
    differ = [
        f"{i}: {a!r} against {b!r}"
        for i, (a, b) in enumerate(zip(names or known, known, strict=False))
        if a.replace(",", ";") != b.replace(",", ";")
    ]
    if len(weights) != len(known) or differ:
        raise HowfarError(
            str(path),
            found=f"weights of {len(weights):,} tracks; "
            + (f"track {differ[0]}" if differ else f"{model.name} has {len(known):,}"),
            expected=f"one for each track of {model.name}, in its order",
            do="Name the weights that were fitted on this network.",
        )
    if not (np.isfinite(weights).all() and np.isfinite(offset)):
        raise damaged_file(path, "a value that isn't finite", "weights of tracks")
    return Readout(weights, offset, recipe, bins or RECIPES[recipe][0], sha256_of(path))


def _read_arrays(path: Path) -> tuple[Array, float, list[str]]:
    beside = path.with_name("intercept.npy")
    if not beside.is_file():
        raise no_such_file(beside, "the intercept of the weights", "Put it beside the weights.")
    try:
        weights, offset = (np.load(file, allow_pickle=False) for file in (path, beside))
        return weights.astype(float).ravel(), float(offset.ravel()[0]), []
    except (ValueError, OSError, EOFError, IndexError) as error:
        raise damaged_file(path, error, "arrays of weights", "Fetch both files again.") from error


def _read_table(path: Path) -> tuple[Array, float, list[str]]:
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.reader(lines))
        if rows[0] != ["tracks", "weights"] or rows[-1][0] != OFFSET:
            raise ValueError(f"header {rows[0]}, last row {rows[-1]}")
        values = [float(value) for _, value in rows[1:]]
        return np.array(values[:-1]), values[-1], [name for name, _ in rows[1:-1]]
    except (ValueError, IndexError, UnicodeDecodeError, csv.Error) as error:
        expected = f"the columns tracks and weights, `{OFFSET}` in the last row"
        raise damaged_file(path, error, expected, "Fetch or fit the weights again.") from error


def write_readout(path: Path, model: SequenceModel, readout: Readout) -> None:
    """Write weights as a table that `read_readout` reads."""
    names = [*map(str, model.tracks["description"]), OFFSET]
    values = [*readout.weights, readout.offset]
    frame = pd.DataFrame({"tracks": names, "weights": values})
    frame.to_csv(path, index=False, float_format="%.9g", lineterminator="\n")


class TrackReadout(SequenceModel):
    """A network whose tracks around the TSS are weighted into one number per window.

    Its one output bin per strand stands for the bins of the readout, which on some networks lie
    otherwise for genes on either strand. Only tracks whose weight isn't 0 are computed.
    """

    def __init__(self, network: SequenceModel, readout: Readout) -> None:
        """Wrap `network`; its window, device, precision and engine are kept."""
        self.network, self.readout = network, readout
        self.name, self.oriented = network.name, network.oriented
        self.units = "expression, as the weights of tracks were fitted"
        for each in ("precision", "device", "windows_at_once", "version"):
            setattr(self, each, getattr(network, each))
        both = f"{network.weights_sha256} {readout.digest} {readout.recipe} {readout.bins}"
        self.weights_sha256 = hashlib.sha256(both.encode()).hexdigest()
        rules = {strand: tuple(bins_of(readout, network, strand)) for strand in "+-"}
        self._bins = list(dict.fromkeys(rules.values()))
        self._of_strand = {s: self._bins.index(rule) for s, rule in rules.items()}
        context = network.layout.context
        self.layout = Layout(context, context // len(self._bins), len(self._bins))
        self._used = np.flatnonzero(readout.weights)
        text = f"weighted sum of {len(self._used):,} of {len(readout.weights):,} tracks "
        text += f"({readout.recipe}, bins {readout.bins})"
        self.tracks = pd.DataFrame({"description": [text]})

    @property
    def engine(self) -> str:
        """As of the network, which may stop sharing."""
        return self.network.engine

    @property
    def notes(self) -> tuple[str, ...]:
        """As of the network."""
        return getattr(self.network, "notes", ())

    def tss_index(self, strand: str) -> int:
        """Return the 0-based index of the TSS base in the network's window."""
        return self.network.tss_index(strand)

    def tss_bin(self, strand: str) -> int:
        """Return the output bin that stands for the strand's bins."""
        return self._of_strand["-" if strand == "-" else "+"]

    def tss_edge(self, strand: str) -> int:
        """Return the output bin that stands for the strand's bins."""
        return self.tss_bin(strand)

    def region_of(self, gene_id: str) -> str | None:
        """Return the gene's part in the network's training."""
        return self.network.region_of(gene_id)

    def predict(
        self, windows: NDArray[np.uint8], bins: Sequence[int], tracks: Sequence[int]
    ) -> NDArray[np.float32]:
        """Predict expression: float32 (windows, bins, 1)."""
        numbers = [int(self.network.tracks.index[i]) for i in self._used]
        out = np.full((len(windows), len(bins), len(tracks)), self.readout.offset)
        for k, each in enumerate(bins if len(self._used) else ()):
            raw = self.network.predict(windows, self._bins[each], numbers)
            x = features(raw, self.readout.recipe)
            out[:, k] += (x @ self.readout.weights[self._used])[:, None]
        return out.astype(np.float32)
