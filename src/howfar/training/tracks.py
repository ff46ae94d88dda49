"""Windows of Basenji2's training records, as long as Enformer reads."""

from __future__ import annotations

import numpy as np

from howfar.core.errors import HowfarError
from howfar.genome.intervals import Interval
from howfar.genome.reference import Reference

#: Bases added on either side: 131,072 to 196,608.
EXTRA = 32_768


def expanded(
    reference: Reference, interval: Interval, stored: np.ndarray, extra: int = EXTRA
) -> np.ndarray:
    """Return the record's window, `extra` bases longer on either side: uint8 (length,), ASCII.

    interval: 0-based half-open, a line of the split's `sequences.bed`. stored: uint8 (length, 4),
    the record's one-hot. Beyond the contig's ends there is N. Targets stay as they are: they lie
    in the middle of both windows. HowfarError where the record is of another place or build.
    """
    bases = reference.fetch(Interval(interval.chrom, interval.start - extra, interval.end + extra))
    here = bases[extra : len(bases) - extra]
    known = (here != ord("N")) & stored.any(axis=1)
    letters = np.frombuffer(b"ACGT", np.uint8)[stored.argmax(axis=1)]
    wrong = np.flatnonzero(known & (letters != here))
    if len(here) != len(stored) or len(wrong):
        first = f", first at {interval.start + int(wrong[0]) + 1:,}" if len(wrong) else ""
        raise HowfarError(
            f"training record at {interval}",
            found=f"{len(stored):,} bases, {len(wrong):,} unlike {reference.path.name}{first}",
            expected="the reference's own bases",
            do="Use the genome build and `sequences.bed` that the records were made with.",
        )
    return bases
