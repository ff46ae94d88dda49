"""What any sequence-to-expression model must offer; the rest of the package knows no more.

A model reads fixed-length windows of DNA, given as upper-case ASCII bytes on the strand that
`oriented` says, and returns values for the output bins and tracks asked for, nothing else, so
that an engine may skip the rest.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from howfar.core.errors import HowfarError

#: A track as a study file names it: number, description, {index, description}, or {match: words,
#: count: how many}, which stands for several.
TrackName = str | int | Mapping[str, Any]


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


@dataclass(frozen=True)
class Card:
    """What a user wants to know of a model before its weights are there.

    `reads`, `gives`: input and output in words. `checked`: what its numbers were verified
    against. `licence`: of the weights. `sources`: ids of ``data/sources.csv`` that `howfar fetch
    <name>` brings; the first is, or lies in the folder of, the weights. `published`: the model's
    column in the published reference predictions of Huang et al. 2023, which `howfar doctor
    --verify <name>` reproduces. `iupac`: the model's option of that name for IUPAC letters beyond
    ACGTN as its authors read them.
    `extra`, `package`: the extra of howfar that the model needs, and its module, if any. `run`:
    the keys of a study file's run that it needs, as lines of YAML, for `howfar template`.
    """

    reads: str
    gives: str
    checked: str
    licence: str
    sources: tuple[str, ...] = ()
    published: str = ""
    iupac: str = ""
    extra: str = ""
    package: str = ""
    run: str = ""


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
    #: Whether a model that shares has compared its first windows with the plain way.
    compared: bool = False
    #: Whether a person is predicted from both haplotypes together, by
    #: ``predict_people(reference, windows, index)``: float32 (people, bins, tracks).
    whole_people: bool = False
    #: Rule for bins where a run names none; empty: three around the TSS, or the one there is.
    usual_bins: str = ""
    #: Versions of the code that decides values: kept predictions of another version are stale.
    version: Mapping[str, int | str] = MappingProxyType({})

    def tss_index(self, strand: str) -> int:
        """Return the 0-based index of the TSS base in the window as the model reads it.

        The window is cut to fit. A model that is `oriented` reads that of a '-' gene reverse
        complemented, and the index counts in what it reads.
        """
        return self.layout.context // 2

    def tss_offset(self, strand: str) -> int:
        """Return the 0-based index of the TSS base in the forward-strand window."""
        index = self.tss_index(strand)
        flipped = self.oriented and strand == "-"
        return self.layout.context - 1 - index if flipped else index

    def tss_bin(self, strand: str) -> int:
        """Return the output bin that holds the TSS base."""
        return (self.tss_index(strand) - self.layout.first_base) // self.layout.bin_size

    def tss_edge(self, strand: str) -> int:
        """Return the bin whose left edge is nearest to the TSS base (of two, the left one).

        It is the middle of an even number of bins.

        The TSS is the last base of a bin where a window is cut one base further to the right
        (Basenji2, '+' genes); the bins around it are then the same as on the other strand.
        """
        size = self.layout.bin_size
        return (2 * (self.tss_index(strand) - self.layout.first_base) + size - 1) // (2 * size)

    def orient(self, window: NDArray[np.uint8], strand: str) -> NDArray[np.uint8]:
        """Return forward-strand windows (..., context) of a gene on `strand` as the model reads."""
        return reverse_complement(window) if self.oriented and strand == "-" else window

    @abstractmethod
    def predict(
        self, windows: NDArray[np.uint8], bins: Sequence[int], tracks: Sequence[int]
    ) -> NDArray[np.float32]:
        """Predict values for `windows`.

        windows: uint8 (n, context), ASCII A C G T N (IUPAC codes stand for equal mixtures), in
        the model's orientation. bins: 0-based output bins. tracks: track numbers, of the index of
        `tracks`. Returns float32 (n, len(bins), len(tracks)) in `units`.
        """

    def predict_substitutions(
        self,
        window: NDArray[np.uint8],
        positions: NDArray[np.int64],
        letters: NDArray[np.int64],
        bins: Sequence[int],
        tracks: Sequence[int],
    ) -> Iterator[NDArray[np.float64]]:
        """Yield values (n, bins, tracks) of one window's single substitutions, in parts, in order.

        window: uint8 (context,), in the model's orientation. positions: 0-based indices in it;
        letters: 0..3 for A, C, G, T, -1 for the one that is there, one for each position. An
        engine may compute no more than what a substitution changes.
        """
        room = max(1, self.windows_at_once)
        for first in range(0, len(positions), room):
            at, letter = positions[first : first + room], letters[first : first + room]
            mutated = np.tile(window, (len(at), 1))
            mutated[np.arange(len(at)), at] = np.where(letter < 0, window[at], _ACGT[letter])
            yield self.predict(mutated, bins, tracks).astype(np.float64)

    @classmethod
    def published_tracks(cls) -> pd.DataFrame | None:
        """Return the tracks of the published weights, without them; None where no table says."""
        return None

    def region_of(self, gene_id: str) -> str | None:
        """Return 'train', 'valid' or 'test', the gene's part in training; None if not known."""
        return None

    def track_indices(self, wanted: Sequence[TrackName] | None) -> list[int]:
        """Return track numbers for names, numbers, ``{index, description}`` or ``{match, count}``.

        None: the only track of a model with one. A bare string must equal exactly one description;
        a pair's index must carry the description given; `match`, words of `TrackTable.find` (with
        assay, tissue or strand beside it), must give as many as `count` says. Raises HowfarError
        for any other, and for a track twice or none.
        """
        if wanted is None:
            if len(self.tracks) > 1:
                found = f"no choice among {len(self.tracks):,} tracks"
                do = "Name the tracks that stand for the gene's expression in your tissue."
                raise self._bad_track("s", found, "`tracks`: numbers or descriptions", do)
            wanted = [int(self.tracks.index[0])]
        numbers: list[int] = []
        for item in wanted:
            if isinstance(item, Mapping) and "match" in item:
                numbers += self._matching(item)
            else:
                numbers.append(self._track_index(item))
        if not numbers or len(set(numbers)) < len(numbers):
            found = f"tracks {', '.join(map(str, numbers))}" if numbers else "no track"
            raise self._bad_track("s", found, "one track at least, and each once")
        return numbers

    def _matching(self, item: Mapping[str, Any]) -> list[int]:
        """Return the tracks of ``{match: words, count: number}``; HowfarError for another number.

        `assay`, `tissue` and `strand` may stand beside them.
        """
        from howfar.models.tracks import TrackTable, listed

        narrow = {name: str(item[name]) for name in ("assay", "tissue", "strand") if name in item}
        if set(item) - set(narrow) != {"match", "count"}:
            expected = "`match` and `count`, and assay, tissue or strand if wanted"
            raise self._bad_track("s", f"the keys {', '.join(map(str, item))}", expected)
        found = TrackTable(self.tracks).find(str(item["match"]), **narrow)
        if len(found) != item["count"]:
            words = f"{len(found):,} tracks" + (
                ": " + "; ".join(listed(found)) if len(found) else ""
            )
            do = "Correct `match` or `count`: `howfar models NAME --tracks WORDS` shows what fits."
            raise self._bad_track(f"s {item['match']!r}", words, f"{item['count']}, by `count`", do)
        return [int(number) for number in found.index]

    def _track_index(self, item: TrackName) -> int:
        index: Any = item
        description = None
        if isinstance(item, Mapping):
            if not {"index"} <= set(item) <= {"index", "description"}:
                found = f"the keys {', '.join(map(str, item)) or 'none'}"
                expected = "`index`, and `description` if it is to be checked"
                raise self._bad_track("s", found, expected)
            index, description = item["index"], item.get("description")
        if isinstance(index, str):
            hits = self.tracks.index[self.tracks["description"] == index]
            if len(hits) != 1:
                do = "Name the track by its full description or by {index, description}."
                found = f"{len(hits)} tracks of that description"
                raise self._bad_track(f" {index!r}", found, "exactly one", do)
            index = hits[0]
        elif type(index) is bool or not isinstance(index, (int, float, np.integer, type(None))):
            raise self._bad_track("s", repr(index), "a track's number or its description")
        self._check_track(index, description)
        return int(index)

    def _check_track(self, index: Any, description: str | None) -> None:
        found = self.tracks["description"].get(index)
        if found is None:
            numbers = self.tracks.index
            raise self._bad_track(
                f" {index}",
                f"{len(self.tracks)} tracks, none with that number",
                f"a number from {numbers.min()} to {numbers.max()}",
            )
        if description is not None and found != description:
            do = "Correct the index or the description in the study file."
            expected = f"{description!r}, as the study file says"
            raise self._bad_track(f" {index}", f"the description {found!r}", expected, do)

    def _bad_track(
        self,
        which: str,
        found: str,
        expected: str,
        do: str = "Correct the run's `tracks` in the study file.",
    ) -> HowfarError:
        where = f"model {self.name}, track{which}"
        return HowfarError(where, found=found, expected=expected, do=do)


_ACGT = np.frombuffer(b"ACGT", np.uint8)
#: Bases that an IUPAC letter stands for.
_BASES = {
    **{base: base for base in "ACGT"},
    **{"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"},
    **{"B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG"},
}
_COMPLEMENT = bytes.maketrans(b"ACGTRYSWKMBDHVNacgtn", b"TGCAYRSWMKVHDBNtgcan")


def encoding_table(n_value: float = 0.0) -> NDArray[np.float32]:
    """Return float32 (256, 4): the one-hot row (A, C, G, T) of each ASCII byte.

    IUPAC codes are equal mixtures, N is `n_value` in each channel, other bytes are zero.
    """
    table = np.zeros((256, 4), np.float32)
    for letter, bases in _BASES.items():
        for byte in (ord(letter), ord(letter.lower())):
            table[byte, ["ACGT".index(b) for b in bases]] = 1 / len(bases)
    table[[ord("N"), ord("n")]] = n_value
    return table


def reverse_complement(windows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the reverse complement of uint8 ASCII windows (..., length)."""
    table = np.frombuffer(_COMPLEMENT, np.uint8)
    return np.ascontiguousarray(table[windows[..., ::-1]])


def shift_windows(windows: NDArray[np.uint8], shift: int) -> NDArray[np.uint8]:
    """Move windows to the right by `shift` bases (left if negative), filled up with N."""
    if shift == 0:
        return windows
    moved = np.full_like(windows, ord("N"))
    if shift > 0:
        moved[:, shift:] = windows[:, :-shift]
    else:
        moved[:, :shift] = windows[:, -shift:]
    return moved


#: Rules for `bins` that depend on a gene's exons, in each haplotype's own coordinates.
GENE_RULES = ("gene", "exons")


def default_bins(n_bins: int) -> str:
    """Return the rule for `bins` where none is given: three around the TSS, or the one there is."""
    return "centre3" if n_bins >= 3 else "centre1"


def parse_bins(
    bins: str | Sequence[int], tss_bin: int, n_bins: int, tss_edge: int | None = None
) -> list[int]:
    """Return the 0-based output bins that a rule chooses; HowfarError where it chooses none.

    `tss`: the bin that holds the haplotype's TSS base, which indels don't move in its window.
    `centreK` with odd K: the TSS bin and (K-1)/2 either side; with even K: the K bins around the
    left edge of bin `tss_edge` (default: the TSS bin; see `SequenceModel.tss_edge`), so centre10
    of Enformer's and Basenji2's 896 bins is 443..452 on both strands, as Huang et al. 2023 took
    them. A list is taken as it is.
    """
    if isinstance(bins, str):
        bins = "centre1" if bins == "tss" else bins
        if not re.fullmatch(r"centre0*[1-9][0-9]{0,8}", bins):
            do = "Correct the run's `bins` in the study file."
            words = "tss, centreK (K = 1, 2, 3, ...) or a list of bin numbers"
            if bins in GENE_RULES:
                words += " here, where no gene's exons are known"
            raise _bad_bins(f"{bins!r}", words, do)
        k = int(bins[6:])
        middle = tss_bin if k % 2 or tss_edge is None else tss_edge
        first = middle - k // 2
        # Of more bins than there are, both ends are enough to refuse them.
        chosen = [first, first + k - 1] if k > n_bins else list(range(first, first + k))
    else:
        chosen = [int(b) for b in bins]
    if not chosen or min(chosen) < 0 or max(chosen) >= n_bins:
        span = f"{min(chosen)} to {max(chosen)}" if chosen else "none at all"
        found = f"{bins if isinstance(bins, str) else 'a list'}: {span}"
        do = "Choose bins inside the model's output."
        raise _bad_bins(found, f"bins from 0 to {n_bins - 1}", do)
    if twice := len(chosen) - len(set(chosen)):
        raise _bad_bins(
            f"{twice} bins more than once", "each bin once", "Correct the list of bins."
        )
    return chosen


def _bad_bins(found: str, expected: str, do: str) -> HowfarError:
    return HowfarError("bins", found=found, expected=expected, do=do)
