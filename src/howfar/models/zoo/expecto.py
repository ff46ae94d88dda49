"""ExPecto (Zhou et al. 2018, Nature Genetics 50:1171): expression from 40 kb around a TSS.

200 windows of 2,000 bp, 200 bp apart, go through Beluga (`beluga`); the 2,002 probabilities of
each are summed with ten exponential weights of the distance from the TSS, five for either side;
a linear model per tissue (`gblinear`) reads the 10 x 2,002 sums.

The authors read the forward strand and turn the sign of the shift for genes on the '-' strand.
Here the model reads the gene's strand instead, where the shift always grows along the gene: the
same windows, those of '-' genes reverse complemented, which changes nothing, as Beluga's outputs
are averaged over both strands.

The weights carry Princeton's academic-use licence; nothing of them is part of this package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError
from howfar.core.project import resolve
from howfar.core.provenance import digest
from howfar.models import engine
from howfar.models.base import Card, Layout, encoding_table
from howfar.models.engine.agreement import ROUNDING, difference, ended
from howfar.models.engine.network import NetworkModel
from howfar.models.engine.options import NetworkOptions, bad_option, choose
from howfar.models.weights import gblinear
from howfar.models.zoo.beluga import LETTERS, STEP, WINDOW, BelugaModel, check_letters

#: Raised when this network's values change by its own code (see `models.engine.VERSION`).
VERSION = 1
#: Shifts of the windows from the TSS along the gene, bp; base 999 of window 0 is the TSS.
SHIFTS = np.arange(-20_000, 20_000, STEP)
_CONTEXT = WINDOW + STEP * (len(SHIFTS) - 1)
_TSS_IN_WINDOW = 999
_DECAYS = (0.01, 0.02, 0.05, 0.1, 0.2)  # per 200 bp
#: Published checksum of the model of lymphoblastoid cells, which Huang et al. 2023 used.
LCL_SHA256 = "e525632cdb4fb8ba4103db265ba472577831f083879a2eddb733705442895122"
_REMEMBERED = 100_000  # blocks of sequence, with one number a tissue


def spatial_weights() -> np.ndarray:
    """Return float64 (10, 200): weight of each window in each sum, five decays upstream, five down.

    exp(-a |shift| / 200), a = 0.01, 0.02, 0.05, 0.1, 0.2; the window on the TSS counts in both.
    """
    decay = np.exp(-np.outer(_DECAYS, np.abs(SHIFTS) / STEP))
    return np.concatenate([decay * (SHIFTS <= 0), decay * (SHIFTS >= 0)])


def spatial_features(chromatin: np.ndarray) -> np.ndarray:
    """Compute float64 (..., 10, features) of Beluga's outputs (..., 200, features)."""
    return spatial_weights() @ np.asarray(chromatin, np.float64)


@dataclass(frozen=True, kw_only=True)
class ExpectoOptions(NetworkOptions):
    """Options of ExPecto, beside the shared ones.

    tissues: files of linear models, or folders of them; by default the ``.save`` files beside the
    weights. base_score: for text dumps (`gblinear.read`). engine: 'shared' computes each content
    of a block of `block` neighbouring windows once, over all windows and calls; 'plain' computes
    every window of 2,000 bp by itself, to compare with. block: a divisor of 200. batch_size:
    blocks given to Beluga at once. iupac: see `BelugaOptions`.
    """

    engine: str = "shared"
    tissues: str | Path | Sequence[str | Path] | None = None
    base_score: float | None = None
    block: int = 10

    takes = frozenset({"engine", "iupac"})


class ExpectoModel(NetworkModel):
    """ExPecto with one track a tissue model; ln(RPKM + 0.0001).

    Weights are Beluga's state dict (``deepsea.beluga.pth``).
    """

    name = "expecto"
    units = "ln(RPKM + 0.0001)"
    version = BelugaModel.version | engine.versions("expecto", VERSION)
    option_class = ExpectoOptions
    options: ExpectoOptions
    card = Card(
        reads="41,800 bp (200 windows of 2,000 bp), the gene's strand",
        gives="1 number per tissue model, ln(RPKM + 0.0001)",
        checked="arithmetic verified against the original code with seeded weights; published "
        "weights against published predictions by `howfar doctor --verify expecto`",
        licence="Princeton Academic Use",
        sources=(*BelugaModel.card.sources, "expecto/Cells_EBV-transformed_lymphocytes.save"),
        published="ExPecto",
        iupac="error",
        run="""
tracks: [0] # of the tissues' models
bins: centre1 # the one that there is
transform: [mean_bins, mean_tracks, mean_haplotypes]
batch_size: 1
""",
    )
    oriented = True
    layout = Layout(_CONTEXT, _CONTEXT, 1)
    windows_at_once = 128

    def _describe(self, file: Path) -> None:
        ways = {"shared": self._shared, "plain": self._plain}
        self._sums = choose(self.name, "engine", self.options.engine, ways)
        self.engine = self.options.engine
        self._block = 1 if self.engine == "plain" else _checked_block(self.options.block)

    def _letters(self) -> np.ndarray:
        self._known_letters = choose(self.name, "iupac", self.options.iupac, LETTERS)
        return encoding_table()

    def _build(self, file: Path) -> Any:
        options = self.options
        models = [
            gblinear.read(p, options.base_score) for p in _tissue_files(options.tissues, file)
        ]
        self.beluga = BelugaModel(
            file, self.device, batch_size=options.batch_size, windows=self._block
        )
        features = len(self.beluga.tracks)
        #: float64 (10, features, tissues)
        self.coefficients = np.stack([m.blocks(features) for m in models], axis=-1)
        self.intercepts = np.array([m.intercept for m in models])
        self.tracks = pd.DataFrame({"description": [m.name for m in models]})
        self._sums_of_files = [self.beluga.weights_sha256, *(digest(m.where) for m in models)]
        self._known: dict[bytes, np.ndarray] = {}
        return self.beluga.network

    def _checksum(self, file: Path) -> str:
        return hashlib.sha256("\n".join(self._sums_of_files).encode()).hexdigest()

    def tss_index(self, strand: str) -> int:
        """Return the TSS base's 0-based index on the gene's strand: 20,999 ('+') or 21,000 ('-').

        The authors' windows have it at base 999 of the forward strand, whichever the gene's.
        """
        forward = _TSS_IN_WINDOW if strand == "+" else WINDOW - 1 - _TSS_IN_WINDOW
        return forward - int(SHIFTS[0])

    def predict(
        self, windows: np.ndarray, bins: Sequence[int], tracks: Sequence[int]
    ) -> np.ndarray:
        """Predict ln(RPKM + 0.0001), float32 (n, bins, tracks); the one bin is 0."""
        self._check(windows)
        check_letters(self.name, windows, self._known_letters)
        sums = self._sums(windows)
        if self._sums == self._shared and not self.compared and len(windows) > 1:
            self.compared = True
            some = [0, len(windows) - 1]
            reason = difference(sums[some], self._plain(windows[some]), ROUNDING)
            if reason:
                self._sums, self.engine = self._plain, "plain"
                self.notes = (ended(self, reason), *self.notes)
                sums = self._plain(windows)
        values = (self.intercepts + sums)[:, None, list(tracks)]
        return values[:, list(bins)].astype(np.float32)

    def features(self, window: np.ndarray) -> np.ndarray:
        """Compute float64 (10, features): the weighted sums of one window, uint8 (41,800,)."""
        length = self.beluga.layout.context
        starts = range(0, _CONTEXT - WINDOW + 1, STEP * self._block)
        blocks = np.stack([window[start : start + length] for start in starts])
        return spatial_features(np.concatenate(self._chromatin(blocks)))

    def _plain(self, windows: np.ndarray) -> np.ndarray:
        """Compute the linear part, float64 (n, tissues), each window of 2,000 bp by itself."""
        shape = len(windows), *self.coefficients.shape[:2]
        features = np.array([self.features(window) for window in windows]).reshape(shape)
        return np.tensordot(features, self.coefficients, 2)

    def _shared(self, windows: np.ndarray) -> np.ndarray:
        """Compute the linear part, float64 (n, tissues), each content of a block computed once."""
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        places = len(SHIFTS) // self._block
        keys = [[self._key(window, place) for place in range(places)] for window in windows]
        new = {
            key: (row, place)
            for row, of_row in enumerate(keys)
            for place, key in enumerate(of_row)
            if key not in self._known
        }
        todo, size = list(new.items()), 4 * self.beluga.batch_size
        for start in range(0, len(todo), size):
            self._learn(windows, dict(todo[start : start + size]))
        sums = [np.sum([self._known[key] for key in of_row], axis=0) for of_row in keys]
        return np.array(sums).reshape(len(windows), len(self.intercepts))

    def _key(self, window: np.ndarray, place: int) -> bytes:
        """Return what a block's share in the sums depends on: its place and its content."""
        content = hashlib.blake2b(self._cut(window, place).tobytes(), digest_size=16)
        return place.to_bytes(2) + content.digest()

    def _cut(self, window: np.ndarray, place: int) -> np.ndarray:
        start = place * self._block * STEP
        return window[start : start + self.beluga.layout.context]

    def _learn(self, windows: np.ndarray, new: dict[bytes, tuple[int, int]]) -> None:
        """Keep the share of each new block in the linear part, float64 (tissues,)."""
        blocks = np.stack([self._cut(windows[row], place) for row, place in new.values()])
        weights = spatial_weights().reshape(len(self.coefficients), -1, self._block)
        chromatin = self._chromatin(blocks)
        for (key, (_, place)), probabilities in zip(new.items(), chromatin, strict=True):
            sums = weights[:, place] @ probabilities.astype(np.float64)
            self._known[key] = np.tensordot(sums, self.coefficients, 2)

    def _chromatin(self, blocks: np.ndarray) -> np.ndarray:
        """Compute Beluga's outputs, float32 (n, windows of a block, features)."""
        return self.beluga.predict(blocks, range(self._block), range(len(self.beluga.tracks)))


def check_lcl(path: str | Path) -> None:
    """HowfarError unless the file is the published model of lymphoblastoid cells."""
    found = digest(path)
    if found != LCL_SHA256:
        raise HowfarError(
            str(path),
            found=f"sha256 {found}",
            expected=LCL_SHA256,
            do="Fetch the published model again.",
        )


def _checked_block(block: int) -> int:
    if isinstance(block, int) and block > 0 and len(SHIFTS) % block == 0:
        return block
    raise bad_option("expecto", "block", block, f"a divisor of {len(SHIFTS)}")


def _tissue_files(given: str | Path | Sequence[str | Path] | None, weights: Path) -> list[Path]:
    """List the files of linear models, sorted within a folder; .json only where no .save is.

    Paths count from the current folder, ``results/...`` from the results folder.
    """
    if given is None or isinstance(given, (str, Path)):
        given = [weights.parent if given is None else given]
    files = []
    for path in map(Path, given):
        path = resolve(path)
        folder = sorted(path.rglob("*.save")) or sorted(path.rglob("*.json"))
        files += folder if path.is_dir() else [path]
    if files:
        return files
    raise HowfarError(
        ", ".join(map(str, given)),
        found="no linear model (*.save)",
        expected="at least one tissue's",
        do="Run `howfar fetch expecto`, or give files or a folder in the option `tissues`.",
    )
