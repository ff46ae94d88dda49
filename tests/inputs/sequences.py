"""Plain sequences."""

from __future__ import annotations

import gzip

from inputs.case import Commands, Prepare, makers
from inputs.cohort import Files
from inputs.models import write_weights

good, bad = makers("sequences")


def _predict(files: Files, name: str, *more: str) -> Commands:
    words = ["--model", f"{Files.__module__}:letter_counts", "--fasta", str(files.folder / name)]
    return [["predict-sequences", *words, "--csv", str(files.folder / "values.csv"), *more]]


def sequences_of(text: str, *more: str) -> Prepare:
    """A FASTA file of sequences, and options of the command."""

    def prepare(files: Files) -> Commands:
        files.put("s.fa", text)
        return _predict(files, "s.fa", *more)

    return prepare


def absent_device(files: Files) -> Commands:
    write_weights(files, fitting=True)
    files.put("s.fa", f">a\n{'ACGT' * 64}\n")
    words = _predict(
        files, "s.fa", "--device", "cuda:99", "--weights", str(files.folder / "weights")
    )[0]
    return [[("demo-enformer" if "letter_counts" in w else w) for w in words]]


def compressed_file_cut_short(files: Files) -> Commands:
    records = "".join(f">{i}\n{'ACGT' * 64}\n" for i in range(4))
    files.put("s.fa.gz", gzip.compress(records.encode(), mtime=0)[:-8])
    return _predict(files, "s.fa.gz")


CASES = [
    good(
        "sequences of the model's length",
        sequences_of(f">a\n{'ACGT' * 64}\n>b\n{'ACGN' * 64}\n"),
        "2 sequences",
    ),
    bad("a sequence too short", sequences_of(">a\nACGT\n"), "4 bases"),
    bad(
        "a letter that is no base",
        sequences_of(f">a\n{'ACGJ' * 64}\n"),
        "base 4: found the letter 'J'",
    ),
    bad("a name twice", sequences_of(f">a\n{'ACGT' * 64}\n>a\n{'ACGT' * 64}\n"), "used before"),
    bad("FASTQ", sequences_of("@a\nACGT\n+\nIIII\n"), "no FASTA"),
    bad("an empty file", sequences_of(""), "no sequence"),
    bad(
        "a word that fits no track",
        sequences_of(f">a\n{'ACGT' * 64}\n", "--tracks", "liver"),
        "no track",
    ),
    bad("a device that isn't there", absent_device, "cuda:99"),
    bad("a compressed file cut short", compressed_file_cut_short, "gzip-compressed data"),
]
