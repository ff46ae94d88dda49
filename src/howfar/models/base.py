"""What any sequence-to-expression model must offer; the rest of the package knows no more.

A model reads fixed-length windows of DNA, given as upper-case ASCII bytes on the strand that
`oriented` says, and returns values for the output bins and tracks asked for, nothing else, so
that an engine may skip the rest.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError


@dataclass(frozen=True)
class Layout:
    """Where a model's input and output lie.

    `context`: input length, bp. `bin_size`: bp of an output bin. `n_bins`: output bins.
    `first_base`: 0-based index, in the window as the model reads it, of the first base of
    output bin 0 (more than 0 where the model crops its output).
    """

    context: int
    bin_size: int
    n_bins: int
    first_base: int = 0


class SequenceModel(ABC):
    """A sequence-to-expression model: layout, named tracks, and values for windows.

    Subclasses set `name`, `layout`, `tracks` (DataFrame indexed by track number with the column
    `description`), `units` (of the values, e.g. "CAGE counts per bin, linear"),
    `weights_sha256`, `precision` and `device`. `oriented` is True where the model reads the
    gene's strand (Xpresso): the window of a '-' gene is then reverse complemented.
    """

    name: str
    layout: Layout
    tracks: pd.DataFrame
    units: str
    weights_sha256: str
    precision: str = "float32"
    device: str = "cpu"
    oriented: bool = False
    #: How many windows `predict` had best be given at once: a few batches.
    windows_at_once: int = 128
    #: 'shared' where work is shared between windows, 'plain' where each is computed alone.
    engine: str = "plain"

    def tss_index(self, strand: str) -> int:
        """0-based index of the TSS base in the window as the model reads it."""
        return self.layout.context // 2

    def tss_offset(self, strand: str) -> int:
        """0-based index of the TSS base in the forward-strand window."""
        index = self.tss_index(strand)
        flipped = self.oriented and strand == "-"
        return self.layout.context - 1 - index if flipped else index

    def tss_bin(self, strand: str) -> int:
        """The output bin that holds the TSS base."""
        return (self.tss_index(strand) - self.layout.first_base) // self.layout.bin_size

    def tss_edge(self, strand: str) -> int:
        """The bin whose left edge is nearest to the TSS base (of two, the left one): the middle
        of an even number of bins.

        The TSS is the last base of a bin where a window is cut one base further to the right
        (Basenji2, '+' genes); the bins around it are then the same as on the other strand.
        """
        size = self.layout.bin_size
        return (2 * (self.tss_index(strand) - self.layout.first_base) + size - 1) // (2 * size)

    @abstractmethod
    def predict(
        self, windows: np.ndarray, bins: Sequence[int], tracks: Sequence[int]
    ) -> np.ndarray:
        """Values for `windows`.

        windows: uint8 (n, context), ASCII A C G T N (IUPAC codes stand for equal mixtures), in
        the model's orientation. Returns float32 (n, len(bins), len(tracks)) in `units`.
        """

    def region_of(self, gene_id: str) -> str | None:
        """'train', 'valid' or 'test' if the model's training region of the gene is known."""
        return None

    def track_indices(self, wanted: Sequence[str | int | dict]) -> list[int]:
        """Track numbers for names, numbers or ``{index, description}`` pairs.

        A bare string must equal exactly one description; a pair's index must carry the
        description given.
        """
        found = [self._track_index(item) for item in wanted]
        if not found or len(set(found)) < len(found):
            raise HowfarError(
                f"model {self.name}, tracks",
                found=f"tracks {', '.join(map(str, found))}" if found else "no track",
                expected="one track at least, and each once",
                do="Correct the run's `tracks` in the study file.",
            )
        return found

    def _track_index(self, item: str | int | dict) -> int:
        if isinstance(item, dict) and not {"index"} <= set(item) <= {"index", "description"}:
            raise HowfarError(
                f"model {self.name}, tracks",
                found=f"the keys {', '.join(map(str, item)) or 'none'}",
                expected="`index`, and `description` if it is to be checked",
                do="Correct the run's `tracks` in the study file.",
            )
        index, description = (
            (item["index"], item.get("description")) if isinstance(item, dict) else (item, None)
        )
        if isinstance(index, str):
            hits = self.tracks.index[self.tracks["description"] == index]
            if len(hits) != 1:
                raise HowfarError(
                    f"model {self.name}, track {index!r}",
                    found=f"{len(hits)} tracks of that description",
                    expected="exactly one",
                    do="Name the track by its full description or by {index, description}.",
                )
            index = int(hits[0])
        elif type(index) is bool or not isinstance(index, (int, float, np.integer, type(None))):
            raise HowfarError(
                f"model {self.name}, tracks",
                found=repr(index),
                expected="a track's number or its description",
                do="Correct the run's `tracks` in the study file.",
            )
        self._check_track(index, description)
        return int(index)

    def _check_track(self, index: int, description: str | None) -> None:
        found = self.tracks["description"].get(index)
        if found is None:
            raise HowfarError(
                f"model {self.name}, track {index}",
                found=f"{len(self.tracks)} tracks, none with that number",
                expected=f"a number from {self.tracks.index.min()} to {self.tracks.index.max()}",
                do="Correct the run's `tracks` in the study file.",
            )
        if description is not None and found != description:
            raise HowfarError(
                f"model {self.name}, track {index}",
                found=f"the description {found!r}",
                expected=f"{description!r}, as the study file says",
                do="Correct the index or the description in the study file.",
            )


_BASES = {"A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT",
          "K": "GT", "M": "AC", "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG"}  # fmt: skip
_COMPLEMENT = bytes.maketrans(b"ACGTRYSWKMBDHVNacgtn", b"TGCAYRSWMKVHDBNtgcan")


def encoding_table(n_value: float = 0.0) -> np.ndarray:
    """float32 (256, 4): the one-hot row (A, C, G, T) of each ASCII byte.

    IUPAC codes are equal mixtures, N is `n_value` in each channel, other bytes are zero.
    """
    table = np.zeros((256, 4), np.float32)
    for letter, bases in _BASES.items():
        for byte in (ord(letter), ord(letter.lower())):
            table[byte, ["ACGT".index(b) for b in bases]] = 1 / len(bases)
    table[[ord("N"), ord("n")]] = n_value
    return table


def reverse_complement(windows: np.ndarray) -> np.ndarray:
    """The reverse complement of uint8 ASCII windows (..., length)."""
    table = np.frombuffer(_COMPLEMENT, np.uint8)
    return np.ascontiguousarray(table[windows[..., ::-1]])


def _range(numbers: Sequence[int]) -> str:
    return f"{min(numbers)} to {max(numbers)}" if numbers else "none at all"


def parse_bins(
    bins: str | Sequence[int], tss_bin: int, n_bins: int, tss_edge: int | None = None
) -> list[int]:
    """Output bins for a rule.

    `centreK` with odd K: the TSS bin and (K-1)/2 either side; with even K: the K bins around the
    left edge of bin `tss_edge` (default: the TSS bin; see `SequenceModel.tss_edge`), so centre10
    of Enformer's and Basenji2's 896 bins is 443..452 on both strands, as Huang et al. 2023 took
    them. A list is taken as it is.
    """
    if isinstance(bins, str):
        if not re.fullmatch(r"centre0*[1-9][0-9]{0,8}", bins):
            raise HowfarError(
                "bins",
                found=f"{bins!r}",
                expected="centreK (K = 1, 2, 3, ...) or a list of bin numbers",
                do="Correct the run's `bins` in the study file.",
            )
        k = int(bins[6:])
        middle = tss_bin if k % 2 or tss_edge is None else tss_edge
        first = middle - k // 2
        chosen = [first, first + k - 1] if k > n_bins else list(range(first, first + k))
    else:
        chosen = [int(b) for b in bins]
    if not chosen or min(chosen) < 0 or max(chosen) >= n_bins:
        raise HowfarError(
            "bins",
            found=f"{bins if isinstance(bins, str) else 'a list'}: {_range(chosen)}",
            expected=f"bins from 0 to {n_bins - 1}",
            do="Choose bins inside the model's output.",
        )
    if len(set(chosen)) < len(chosen):
        raise HowfarError(
            "bins",
            found=f"{len(chosen) - len(set(chosen))} bins more than once",
            expected="each bin once",
            do="Correct the list of bins.",
        )
    return chosen
