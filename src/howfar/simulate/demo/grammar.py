"""The regulatory grammar of the demo world: expression as a known function of sequence.

A dozen factors (activators and repressors) and two core-promoter motifs bind sites of ten bases.
Their motifs are palindromes (each equals its reverse complement), as those of factors that bind
as symmetric dimers. With `occ` the occupancy of a site, `w` the factor's weight in a cell type,
and `d` the distance in bp, on the haplotype, from the site's middle to the TSS base:

    e(site) = w_f occ + sum over pairs (f, g) of  w_fg occ tanh(sum of occ_g within 100 bp)
    P = sum of e for d <= 320           D = sum of e exp(-d / 1500) for 320 < d <= 3,900
    log expression = level + a_P z(P) + a_D z(D) + a_G z(GC content for d <= 250)

`z` subtracts the mean and divides by the SD over the promoters of the reference. Core motifs
count only for d <= 40. Values are natural logarithms. The function is symmetric under reverse
complement, so the strand is not needed: only where the TSS lies in the window.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from howfar.core import sealed
from howfar.core.errors import HowfarError

WIDTH = 10  # bases of a motif
MIDDLE = (WIDTH - 1) / 2  # of a site, from its first base; half-integer, the same on both strands
FACTORS = 12
CORE = ("TATA", "INR")
CELL_TYPES = ("A", "B")
UNIT = 1 << 16  # occupancies are whole multiples of 1/65,536, so that sums are exact
CORE_REACH, GC_REACH, PROXIMAL, DISTAL, NEIGHBOUR, DECAY = 40, 250, 320, 3_900, 100, 1_500.0
REACH = DISTAL + NEIGHBOUR + WIDTH  # bp either side of the TSS that matter
_CODES = np.full(256, 4, np.uint8)
_CODES[[ord(b) for b in "ACGTacgt"]] = [0, 1, 2, 3] * 2


@dataclass(frozen=True)
class Grammar:
    """All parameters of the function; written to and read from ``grammar.json``.

    `motifs`: consensus per factor (12 factors, then the core motifs). `penalties`: per motif
    and position, the score lost by a mismatch. `weights`: per cell type and motif. `pairs`:
    (f, g, weight). `shares`: a_P, a_D, a_G. `centre`, `scale`: per cell type, of P, D and GC.
    """

    motifs: list[str]
    penalties: list[list[float]]
    weights: list[list[float]]
    pairs: list[tuple[int, int, float]]
    level: float = 0.0
    shares: tuple[float, float, float] = (0.75, 0.45, 0.35)
    margin: float = 1.3
    steepness: float = 2.5
    centre: list[list[float]] = field(default_factory=lambda: [[0.0, 0.0, 0.0]] * 2)
    scale: list[list[float]] = field(default_factory=lambda: [[1.0, 1.0, 1.0]] * 2)

    @property
    def names(self) -> list[str]:
        """Names of the motifs, core motifs last."""
        return [f"F{i + 1:02d}" for i in range(FACTORS)] + list(CORE)

    @cached_property
    def table(self) -> np.ndarray:
        """int32 (4**10, motifs): occupancy of each 10-mer in 1/65,536."""
        made = np.zeros((4**WIDTH, len(self.motifs)), np.int32)
        for motif in range(len(self.motifs)):
            kmers, occupancy = self._occupied(motif)
            made[kmers, motif] = occupancy
        return made

    @cached_property
    def bound(self) -> np.ndarray:
        """bool (4**10 + 1,): whether any motif binds the 10-mer; False at -1, a 10-mer with N."""
        return np.append(self.table.any(axis=1), False)

    def _occupied(self, motif: int) -> tuple[np.ndarray, np.ndarray]:
        """10-mers that a motif binds, and how often in 1/65,536."""
        lost = np.zeros(1)
        for k, base in enumerate(self.motifs[motif]):
            cost = np.full(4, self.penalties[motif][k])
            cost["ACGT".index(base)] = 0
            lost = np.add.outer(lost, cost).ravel()
        near = np.flatnonzero(lost < self.margin + 4 / self.steepness)  # beyond, less than 0.02
        occupancy = 1 / (1 + np.exp(-self.steepness * (self.margin - lost[near])))
        sites = occupancy >= 0.05  # what is weaker than this is no site
        return near[sites], np.round(occupancy[sites] * UNIT).astype(np.int32)


def draw(rng: np.random.Generator) -> Grammar:
    """A random grammar: 8 activators, 4 repressors, two core motifs, four pairs."""
    motifs = _distinct_motifs(rng, FACTORS + len(CORE))
    signs = np.array([1.0] * 8 + [-1.0] * 4)
    weights = [signs * rng.uniform(0.5, 1.2, FACTORS)]
    # Cell type B: a third of the factors are silent in it, the others differ in strength.
    weights.append(signs * rng.uniform(0.5, 1.2, FACTORS) * (rng.permutation(FACTORS) >= 4))
    pairs = rng.permutation(FACTORS)[:8].reshape(4, 2)
    half = rng.uniform(1, 2, (len(motifs), WIDTH // 2)).round(4)
    return Grammar(
        motifs=motifs,
        penalties=np.hstack([half, half[:, ::-1]]).tolist(),
        weights=[[*w.round(4).tolist(), 1.0, 1.0] for w in weights],
        pairs=[(int(f), int(g), 0.8 * s) for (f, g), s in zip(pairs, (1, 1, -1, -1), strict=True)],
    )


def _distinct_motifs(rng: np.random.Generator, count: int) -> list[str]:
    """Random palindromic 10-mers at Hamming distance of at least 4 from each other."""
    kept: list[np.ndarray] = []
    while len(kept) < count:
        half = rng.integers(0, 4, WIDTH // 2)
        new = np.concatenate([half, 3 - half[::-1]])
        if all(int((new != old).sum()) >= 4 for old in kept):
            kept.append(new)
    return ["".join("ACGT"[b] for b in motif) for motif in kept]


def save(grammar: Grammar, path: str | Path) -> None:
    """Write the grammar as JSON."""
    sealed.write_json(path, asdict(grammar))


def load(path: str | Path) -> Grammar:
    """Read a grammar; HowfarError where the file is not one."""
    try:
        fields = sealed.read_json(path)
        fields["pairs"] = [tuple(p) for p in fields["pairs"]]
        return Grammar(**fields | {"shares": tuple(fields["shares"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HowfarError(
            str(path),
            found=f"no grammar ({error})",
            expected="the grammar.json that the simulation writes",
            do="Simulate the demo cohort again (`howfar simulate`).",
        ) from error


def kmer_codes(windows: np.ndarray) -> np.ndarray:
    """int64 (n, length - 9): the number of each 10-mer in base 4 (A 0 ... T 3); -1 with N.

    windows: uint8 ASCII (n, length).
    """
    codes = _CODES[windows]
    size = codes.shape[1] - WIDTH + 1
    numbers, unknown = np.zeros((len(codes), size), np.int64), np.zeros((len(codes), size), bool)
    for k in range(WIDTH):
        part = codes[:, k : k + size]
        numbers = numbers * 4 + (part & 3)
        unknown |= part == 4
    numbers[unknown] = -1
    return numbers


@dataclass(frozen=True)
class Sites:
    """Occupied sites, sorted by window and place: which window, first base, motif, occupancy.

    `start` is the 0-based index in the window; the middle is `start` + 4.5. `occupancy` is in
    units of 1/65,536.
    """

    window: np.ndarray
    start: np.ndarray
    motif: np.ndarray
    occupancy: np.ndarray


def sites(windows: np.ndarray, grammar: Grammar) -> Sites:
    """All occupied sites of uint8 ASCII windows (n, length); a palindrome is read once."""
    numbers = kmer_codes(windows)
    window, start = np.nonzero(grammar.bound[numbers])
    rows = grammar.table[numbers[window, start]]
    hit, motif = np.nonzero(rows)
    return Sites(window[hit], start[hit], motif, rows[hit, motif])


def components(windows: np.ndarray, grammar: Grammar, tss_index: int | None = None) -> np.ndarray:
    """float64 (n, 2 cell types, 3): P, D and GC content of each window, not scaled.

    windows: uint8 ASCII (n, length), the TSS base at `tss_index` (default length // 2).
    """
    tss = windows.shape[1] // 2 if tss_index is None else tss_index
    first = max(0, tss - REACH)
    cut = np.ascontiguousarray(windows[:, first : tss + REACH + 1])
    tss -= first
    found = sites(cut, grammar)
    distance = np.abs(found.start + MIDDLE - tss)
    out = np.empty((len(windows), len(CELL_TYPES), 3))
    out[:, :, 2] = _gc(cut[:, max(0, tss - GC_REACH) : tss + GC_REACH + 1])[:, None]
    for cell, effect in enumerate(site_effects(found, grammar)):
        effect[(found.motif >= FACTORS) & (distance > CORE_REACH)] = 0
        near = np.where(distance <= PROXIMAL, effect, 0)
        far = np.where(distance > PROXIMAL, effect * np.exp(-distance / DECAY), 0)
        far[distance > DISTAL] = 0
        for column, part in enumerate((near, far)):
            out[:, cell, column] = np.bincount(found.window, part, len(windows))
    return out


def site_effects(found: Sites, grammar: Grammar) -> np.ndarray:
    """float64 (cell types, sites): the effect e of each site, its pairs included."""
    weights = np.asarray(grammar.weights)[:, found.motif]
    return weights * (found.occupancy / UNIT) + _interactions(found, grammar)


def _gc(windows: np.ndarray) -> np.ndarray:
    codes = _CODES[windows]
    return ((codes == 1) | (codes == 2)).mean(axis=1)


def _interactions(found: Sites, grammar: Grammar) -> np.ndarray:
    """Per site, the sum over its pairs of weight * occ * tanh(neighbouring occupancy)."""
    place = found.window.astype(np.int64) * (1 << 20) + found.start
    out = np.zeros(len(place))
    for f, g, weight in grammar.pairs:
        mine, theirs = found.motif == f, found.motif == g
        total = np.concatenate([[0], np.cumsum(found.occupancy[theirs], dtype=np.int64)])
        left = np.searchsorted(place[theirs], place[mine] - NEIGHBOUR, side="left")
        right = np.searchsorted(place[theirs], place[mine] + NEIGHBOUR, side="right")
        around = (total[right] - total[left]) / UNIT
        out[mine] += weight * (found.occupancy[mine] / UNIT) * np.tanh(around)
    return out


def calibrate(grammar: Grammar, reference: np.ndarray) -> Grammar:
    """The grammar with `centre` and `scale` of the promoters' reference windows (n, length)."""
    parts = components(reference, grammar)
    return replace(grammar, centre=parts.mean(axis=0).tolist(), scale=parts.std(axis=0).tolist())


def log_expression(
    windows: np.ndarray, grammar: Grammar, tss_index: int | None = None, chunk: int = 64
) -> np.ndarray:
    """Natural log expression of haplotype windows in the two cell types: float64 (n, 2).

    windows: uint8 ASCII (n, length) on either strand, the TSS base at `tss_index` (default
    length // 2, as in a forward-strand window). Up to 4,010 bp either side are read where
    they exist; sites beyond the window's end are not seen. Values do not depend on `chunk`.
    """
    shares = np.asarray(grammar.shares)
    centre, scale = np.asarray(grammar.centre), np.asarray(grammar.scale)
    out = np.empty((len(windows), len(CELL_TYPES)))
    for start in range(0, len(windows), chunk):
        parts = components(windows[start : start + chunk], grammar, tss_index)
        out[start : start + chunk] = ((parts - centre) / scale * shares).sum(axis=2)
    return out + grammar.level
