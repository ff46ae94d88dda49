"""Check variant files in full: every block, line, record and call, whether a window asks or not.

A run reads and checks what its windows need (`regions`). This reads everything, which takes hours
for a biobank's files, and finds what no run would meet.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from howfar.core.errors import HowfarError
from howfar.core.progress import track
from howfar.core.text import is_gzip
from howfar.genome.genotypes.base import VariantSource
from howfar.genome.genotypes.bgzf import check_end, check_kind, check_whole, read_through
from howfar.genome.genotypes.open import SplitVariants, kind_of, open_variants, split_files


def check_variants(path: str | Path) -> Iterator[HowfarError]:
    """Read all of the variant files that `path` means; yield what is wrong, an error for each file.

    Checked are the blocks of bgzipped files, each line of a VCF, the index, the header, each record
    and its calls, PLINK's tables and calls, and that the files of a template have the same people.
    A file's first fault is told, with its line or record. Progress is written to standard error. A
    file found good is remembered, so that runs don't check what they read of it again.

    Parameters
    ----------
    path
        As `open_variants` takes it: a VCF or BCF, PLINK files, or a template with ``{chrom}``.
    """
    try:
        files = list(split_files(path).values()) if kind_of(path) == "template" else [Path(path)]
    except HowfarError as error:
        yield error
        return
    good = True
    for file in files:
        try:
            _check_file(file)
        except HowfarError as error:
            good = False
            yield error
    if good and len(files) > 1:
        try:
            _check_people(path)
        except HowfarError as error:
            yield error


def _check_file(path: Path) -> None:
    if kind_of(path) == "vcf":
        check_kind(path)
        if is_gzip(path):
            check_end(path)
            check_whole(path, shown=True)
        else:
            read_through(path, copied=True, shown=True)
    with open_variants(path) as source:
        _check_calls(source)


def _check_calls(source: VariantSource) -> None:
    total = source.record_count
    records = source.check_records()
    for _ in track(records, total, f"{source.path.name} records") if total else records:
        pass


def _check_people(template: str | Path) -> None:
    with SplitVariants(template) as files:
        for contig in files.contigs:
            files.file_of(contig)
