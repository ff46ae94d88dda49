"""Basenji2's training records with windows as long as Enformer reads, in one HDF5 file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from howfar.core.atomic import whole
from howfar.core.errors import HowfarError
from howfar.core.progress import track
from howfar.genome.intervals import Interval
from howfar.genome.reference import Reference
from howfar.training.records import read_records

#: Bases added on either side: 131,072 to 196,608.
EXTRA = 32_768
#: Bins of a record's targets.
BINS = 896


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


def read_places(bed: Path, split: str) -> list[Interval]:
    """Read the windows of a split (train, valid, test) in the order of its records."""
    places = []
    for number, line in enumerate(bed.read_text().splitlines(), 1):
        chrom, *rest = line.split("\t")
        try:
            start, end, name = int(rest[0]), int(rest[1]), rest[2]
        except (IndexError, ValueError) as error:
            raise HowfarError(
                f"{bed}, line {number}",
                found=repr(line[:60]),
                expected="contig, start, end and split, separated by tabs",
                do="Use `sequences.bed` of the same data.",
            ) from error
        if name == split:
            places.append(Interval(chrom, start, end))
    return places


def in_order(folder: Path, split: str) -> list[Path]:
    """List a split's record files, <split>-0-0.tfr or <split>-0.tfr and so on, by their numbers."""
    files = [p for p in folder.glob(f"{split}-*.tfr") if p.stem.removeprefix(split)[1:]]
    return sorted(files, key=lambda p: [int(n) for n in p.stem.split("-")[1:]])


def expanded_records(
    files: Sequence[Path], places: Sequence[Interval], reference: Reference, extra: int = EXTRA
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield windows uint8 (length,), ASCII, and targets float16 (bins, tracks), record by record.

    HowfarError where a record isn't of its place, or where there are more or fewer records.
    """
    count = 0
    for path in files:
        for record in read_records(path):
            if count == len(places) or not {"sequence", "target"} <= set(record):
                raise _other_number(path, f"record {count + 1:,}", len(places))
            stored = np.frombuffer(record["sequence"], np.uint8).reshape(-1, 4)
            targets = np.frombuffer(record["target"], "<f2").reshape(BINS, -1)
            yield expanded(reference, places[count], stored, extra), targets
            count += 1
    if count < len(places):
        raise _other_number(files[-1] if files else "no file", f"{count:,} records", len(places))


def _other_number(place: object, found: str, places: int) -> HowfarError:
    return HowfarError(
        str(place),
        found=found,
        expected=f"{places:,} with `sequence` and `target`, as many as the split has lines",
        do="Fetch all record files of the split, and `sequences.bed` of the same data.",
    )


def write_tracks(
    out: Path,
    records: dict[str, tuple[Sequence[Path], Sequence[Interval], Reference]],
    extra: int = EXTRA,
) -> dict[str, int]:
    """Write records by species ("human", "mouse") for joint training; return how many of each.

    A group for each species, with `sequences` uint8 (n, length), ASCII, and `targets` float16 (n,
    bins, tracks). One record is in memory at a time; progress is printed.
    """
    import h5py

    counts = {}
    with whole(out) as part, h5py.File(part, "w") as file:
        for species, (files, places, reference) in records.items():
            made = expanded_records(files, places, reference, extra)
            for k, (window, targets) in enumerate(track(made, len(places), f"{species}: records")):
                if k == 0:
                    group = file.create_group(species)
                    for name, value in (("sequences", window), ("targets", targets)):
                        group.create_dataset(
                            name,
                            (len(places), *value.shape),
                            value.dtype,
                            chunks=(1, *value.shape),
                            compression="gzip",
                            compression_opts=1,
                        )
                group["sequences"][k], group["targets"][k] = window, targets
            counts[species] = len(places)
    return counts
