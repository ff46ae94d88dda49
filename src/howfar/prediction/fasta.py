"""Predictions for plain sequences: a FASTA file in, a table of values out.

Each sequence is one window of the model's own input length, read as it stands: already on the
strand that the model reads.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pysam
import yaml

from howfar.core.atomic import whole
from howfar.core.errors import HowfarError, about
from howfar.core.progress import track
from howfar.core.text import is_gzip
from howfar.genome.genotypes.bgzf import check_whole, is_bgzf
from howfar.models.base import SequenceModel, parse_bins
from howfar.models.registry import MODELS, load_model

PLAIN, IUPAC = "ACGTN", "ACGTNRYSWKMBDHV"
MOST_COLUMNS = 100_000
_BATCH = 16  # sequences in memory at once


def predict_file(
    name: str,
    weights: str | Path | None,
    fasta: str | Path,
    out: str | Path,
    *,
    tracks: Sequence[str] = ("all",),
    bins: str = "all",
    device: str = "auto",
    options: Sequence[str] = (),
) -> tuple[int, SequenceModel]:
    """`predict_fasta` with the model of that name; returns the rows, and the model.

    weights: a path; None: what `howfar fetch` brought. options: "key=value", values as in YAML.
    Letters beyond ACGTN are read as the model's authors read them (`Card.iupac`, or the option
    `iupac`), and refused where that isn't known. Raises HowfarError as `load_model` does.
    """
    given = parse_options(options)
    authors = MODELS[name].card.iupac if name in MODELS else ""
    if authors:
        given = {"iupac": authors} | given
    letters = IUPAC if "iupac" in given else PLAIN
    with about(f"--model {name}"):
        model = load_model(name, weights, device, **given)
    rows = predict_fasta(model, fasta, out, tracks=tracks, bins=bins, letters=letters)
    return rows, model


def parse_options(words: Sequence[str]) -> dict[str, Any]:
    """{key: value} of "key=value" words, values as in YAML; HowfarError for another word."""
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError:
            equals = ""
        if key in ("name", "weights", "device"):
            raise _bad(
                f"--options {word!r}",
                f"the key {key}",
                "an option of the model itself",
                "Give --model, --weights or --device.",
            )
        if not (equals and key.isidentifier()):
            raise _bad(
                f"--options {word!r}",
                "no key=value",
                "e.g. rc=true or shifts=[1,0,-1]",
                "Write a key of the model's options, '=', and a value.",
            )
        found[key] = parsed
    return found


def predict_fasta(
    model: SequenceModel,
    fasta: str | Path,
    out: str | Path,
    *,
    tracks: Sequence[str] = ("all",),
    bins: str = "all",
    letters: str = PLAIN,
) -> int:
    """Write the model's values for each sequence of `fasta` to the CSV `out`; returns the rows.

    Columns: `sequence` (its name), then one per track (its description), per bin where there are
    several; see `column_names`. tracks, bins: see `chosen_tracks` and `chosen_bins`. letters:
    what a sequence may hold, in either case; the model gets them as they are. All sequences are
    checked before the first is predicted; they are read one after the other, and `out` appears
    whole or not at all. Raises HowfarError, naming the sequence, for another length, a letter
    that isn't one of `letters`, and a name that occurs twice.
    """
    fasta = Path(fasta)
    with about("--tracks"):
        chosen = chosen_tracks(model, tracks)
    with about("--bins"):
        places = chosen_bins(model, bins)
    header = ["sequence", *column_names(model, chosen, places)]
    total = _survey(fasta, model, letters)
    with whole(out) as part, part.open("w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(header)
        batches = track(_batches(fasta), -(-total // _BATCH), "sequences in batches")
        for names, windows in batches:
            values = _predict(model, fasta, names, windows, places, chosen)
            rows = zip(names, values.reshape(len(names), -1), strict=True)
            writer.writerows([name, *(f"{v:.9g}" for v in row)] for name, row in rows)
    return total


def chosen_tracks(model: SequenceModel, wanted: Sequence[str]) -> list[int]:
    """Track numbers for words, each 'all', numbers ("5110" or "5110,4980"), a description, or a
    regular expression that descriptions contain; HowfarError for a word that fits no track.
    """
    found: dict[int, None] = {}  # in order, each once
    for word in wanted:
        found |= dict.fromkeys(_tracks_of(model, word))
    return list(found)


def _tracks_of(model: SequenceModel, word: str) -> list[int]:
    descriptions = model.tracks["description"]
    if not word:
        raise _bad("--tracks ''", "no word", "'all', numbers, or words", "Correct --tracks.")
    if word == "all":
        return list(descriptions.index)
    if re.fullmatch(r"\d+(,\d+)*", word):
        return model.track_indices(list(dict.fromkeys(int(n) for n in word.split(","))))
    hits = list(descriptions.index[descriptions == word])
    problem = "no track whose description is, or contains, that"
    try:
        pattern = re.compile(word)
        hits = hits or [i for i, d in descriptions.items() if pattern.search(str(d))]
    except re.error as error:
        problem = f"neither a description nor a regular expression ({error})"
    if not hits:
        raise HowfarError(
            f"--tracks {word!r}",
            found=problem,
            expected=f"'all', numbers, or words of the model's {len(descriptions):,} tracks",
            do=f"The first tracks are {', '.join(map(repr, descriptions.head(3)))}.",
        )
    return [int(i) for i in hits]


def chosen_bins(model: SequenceModel, rule: str) -> list[int]:
    """Output bins for 'all', 'centreK' (see `parse_bins`), a range "443..452", or "447,448"."""
    n_bins = model.layout.n_bins
    if rule == "all":
        return list(range(n_bins))
    pair = re.fullmatch(r"(\d+)\.\.(\d+)", rule)
    if pair:
        first, last = map(int, pair.groups())
        parse_bins(sorted({first, last}), 0, n_bins)  # the ends, before all between them
        return parse_bins(range(first, last + 1), 0, n_bins)
    if re.fullmatch(r"\d+(,\d+)*", rule):
        return parse_bins([int(number) for number in rule.split(",")], 0, n_bins)
    return parse_bins(rule, model.tss_bin("+"), n_bins, model.tss_edge("+"))


def column_names(model: SequenceModel, tracks: Sequence[int], bins: Sequence[int]) -> list[str]:
    """A name per value, bin by bin and in each track by track.

    A track's description, with its number where several have the same ("CAGE:liver (track 12)"),
    and the bin where there are several ("CAGE:liver, bin 447").
    """
    if len(tracks) * len(bins) > MOST_COLUMNS:
        raise HowfarError(
            f"model {model.name}, --tracks and --bins",
            found=f"{len(tracks):,} tracks in {len(bins):,} bins",
            expected=f"at most {MOST_COLUMNS:,} columns",
            do="Choose tracks (a number, a description) or bins (centre1, centre10, 443..452).",
        )
    named = model.tracks["description"].loc[list(tracks)].astype(str)
    twice = named.duplicated(keep=False)
    names = [f"{d} (track {i})" if twice[i] else d for i, d in named.items()]
    if len(bins) == 1:
        return names
    return [f"{name}, bin {b}" for b in bins for name in names]


def _records(fasta: Path) -> Iterator[tuple[str, str]]:
    """(name, sequence) of each record; HowfarError for a file that is no FASTA."""
    if not fasta.is_file():
        raise _bad(str(fasta), "no such file", "a FASTA file of sequences", "Correct the path.")
    try:
        with pysam.FastxFile(str(fasta)) as records:
            for record in records:
                if record.quality is not None:
                    raise OSError("a FASTQ record")
                yield record.name or "", record.sequence or ""
    except (OSError, ValueError) as error:
        raise _bad(str(fasta), f"no FASTA ({error})", "a FASTA file", "Check the file.") from error


def _survey(fasta: Path, model: SequenceModel, letters: str) -> int:
    """The number of sequences, each of them checked."""
    length, names = model.layout.context, set()
    _check_packed(fasta)
    alien = re.compile(f"[^{letters}]", re.IGNORECASE | re.ASCII)
    for number, (name, sequence) in enumerate(_records(fasta), 1):
        where = f"{fasta}, sequence {name!r} (number {number})"
        if not name or name in names:
            raise _bad(
                where,
                "a name that is empty or used before",
                "names that differ",
                "Give each sequence its own name.",
            )
        if len(sequence) != length:
            raise _bad(
                where,
                f"{len(sequence):,} bases",
                f"{length:,}, as {model.name} reads",
                "Cut or extend the sequence to the model's window.",
            )
        odd = alien.search(sequence)
        if odd:
            raise _bad(
                f"{where}, base {odd.start() + 1:,}",
                f"the letter {odd.group()!r}",
                f"one of {letters}, in either case",
                "Correct the sequence, or write N.",
            )
        names.add(name)
    if not names:
        raise _bad(str(fasta), "no sequence", "a FASTA file of sequences", "Check the file.")
    return len(names)


def _check_packed(fasta: Path) -> None:
    """HowfarError for a compressed file that is cut short: its reader would take what is left."""
    if not fasta.is_file() or not is_gzip(fasta):
        return
    if is_bgzf(fasta):
        check_whole(fasta)
        return
    try:
        with gzip.open(fasta) as data:
            while data.read(1 << 20):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise _bad(
            str(fasta),
            f"damaged gzip-compressed data ({error})",
            "a whole file",
            "Copy or compress the file again.",
        ) from error


def _bad(where: str, found: str, expected: str, do: str) -> HowfarError:
    return HowfarError(where, found=found, expected=expected, do=do)


def _batches(fasta: Path) -> Iterator[tuple[list[str], np.ndarray]]:
    """(names, uint8 windows (n, context)) of up to `_BATCH` sequences."""
    records = _records(fasta)
    while batch := list(islice(records, _BATCH)):
        windows = [np.frombuffer(sequence.encode("ascii"), np.uint8) for _, sequence in batch]
        yield [name for name, _ in batch], np.stack(windows)


def _finite(model: SequenceModel, values: np.ndarray) -> np.ndarray:
    odd = int((~np.isfinite(values)).sum())
    if odd:
        raise _bad(
            f"model {model.name}",
            f"{odd} values that are not finite",
            "finite values",
            "Check the weights; with reduced precision, try precision=float32.",
        )
    return values


def _predict(
    model: SequenceModel,
    fasta: Path,
    names: Sequence[str],
    windows: np.ndarray,
    bins: Sequence[int],
    tracks: Sequence[int],
) -> np.ndarray:
    """The model's values; what it refuses is named by the sequence, not by its place in a batch."""
    try:
        return _finite(model, model.predict(windows, bins, tracks))
    except HowfarError as error:
        if len(names) == 1:
            where = f"{fasta}, sequence {names[0]!r} ({error.where})"
            raise _bad(where, error.found, error.expected, error.do) from error
    singly = zip(names, windows, strict=True)
    rows = [_predict(model, fasta, [name], row[None], bins, tracks) for name, row in singly]
    return np.concatenate(rows)
