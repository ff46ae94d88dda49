"""Reference genomes: FASTA."""

from __future__ import annotations

import gzip

from inputs.case import Commands, makers, written
from inputs.cohort import Files

good, bad = makers("reference")


def lower_case_and_iupac(files: Files) -> Commands:
    files.change("reference.fa", r"^[ACGT]{60}\Z|^[ACGT]+$", lambda m: m.group().lower(), count=0)
    files.change("reference.fa", r"\A(>20\n(?:[a-z]+\n){15}[a-z]{9})[acgt]", r"\1R")
    return files.sequences()


def empty_lines_at_its_end(files: Files) -> Commands:
    files.change("reference.fa", r"\Z", "\n\n")
    return files.sequences()


def index_that_belongs_to_another_fasta(files: Files) -> Commands:
    files.put("reference.fa.fai", "20\t900\t4\t50\t51\n")
    return files.sequences()


def no_such_file(files: Files) -> Commands:
    return files.sequences(reference="absent.fa")


def letters_beyond_the_iupac_codes(files: Files) -> Commands:
    files.change("reference.fa", r"\A(>20\n(?:[A-Z]+\n){16}[A-Z]{9})[ACGT]", r"\1J")
    return files.sequences()


def too_many_n(files: Files) -> Commands:
    files.change("reference.fa", r"^[ACGT]+$", lambda m: "N" * len(m.group()), count=0)
    files.settings(cohort__max_ref_mismatch=1.0)
    return files.predict()


CASES = [
    good("lower-case bases, IUPAC letters, and no index", lower_case_and_iupac, "36 haplotype"),
    good("empty lines at its end", empty_lines_at_its_end, "36 haplotype"),
    good(
        "an index that belongs to another FASTA",
        index_that_belongs_to_another_fasta,
        "36 haplotype",
    ),
    bad("an empty file", written("reference.fa", "", Files.sequences), "instead of '>'"),
    bad(
        "no FASTA file",
        written("reference.fa", "chrom,bases\n20,ACGT\n", Files.sequences),
        "instead of '>'",
    ),
    bad(
        "compressed",
        written("reference.fa", gzip.compress(b">20\nACGT\n", mtime=0), Files.sequences),
        "a compressed file",
    ),
    bad(
        "a contig twice",
        written("reference.fa", ">20\nACGT\n>20\nACGT\n", Files.sequences),
        "reference.fa",
    ),
    bad(
        "lines of unequal length",
        written("reference.fa", ">20\nACGT\nAC\nACGT\n", Files.sequences),
        "lines of equal length",
    ),
    bad("a contig without bases", written("reference.fa", ">20\n", Files.sequences), "0 bp long"),
    bad(
        "another contig",
        written("reference.fa", ">21\nACGTACGT\n", Files.sequences),
        "no such contig",
    ),
    bad("no such file", no_such_file, "no such file"),
    bad("letters beyond the IUPAC codes", letters_beyond_the_iupac_codes, "the letter 'J'"),
    bad("more N than the stated share of a window", too_many_n, "a share of 1.00 of N"),
]
