"""A long VCF: one window with records, and as many as asked for behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pysam

CONTIG = "7"
PEOPLE = tuple(f"p{i}" for i in range(20))
WINDOW = 200_000  # bp from the contig's start that hold the first records
_COLUMNS = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
_INSIDE = 1_000  # records of the window; those behind it lie as dense


def write_long_vcf(
    path: Path, outside: int, edit: Callable[[list[str]], None] | None = None, bcf: bool = False
) -> Path:
    """Write a bgzipped VCF (or BCF) and its CSI index: `outside` records behind the window.

    edit: changes the lines of the records, in place, once the index is made of the right ones; it
    must keep their lengths, so that the index fits on.
    """
    draw = np.random.default_rng(1)
    number = _INSIDE + outside
    calls = draw.integers(0, 2, (number, len(PEOPLE), 2))
    step = WINDOW // _INSIDE
    pairs = np.array(["0|0", "0|1", "1|0", "1|1"])[calls @ (2, 1)]
    rows = [
        f"{CONTIG}\t{1 + step * i}\t.\tA\tC\t.\t.\t.\tGT\t" + "\t".join(people)
        for i, people in enumerate(pairs.tolist())
    ]
    head = [
        "##fileformat=VCFv4.2",
        f"##contig=<ID={CONTIG},length={step * number + 1}>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "\t".join([*_COLUMNS, *PEOPLE]),
    ]
    _write(path, head + rows)
    if bcf:
        other = path.with_name("v.bcf")
        with (
            pysam.VariantFile(str(path)) as source,
            pysam.VariantFile(str(other), "wb", header=source.header) as sink,
        ):
            for record in source:
                sink.write(record)
        path = other
    pysam.tabix_index(str(path), preset="bcf" if bcf else "vcf", csi=True, force=True)
    if edit:
        edit(rows)
        index = path.with_name(f"{path.name}.csi").read_bytes()
        _write(path, head + rows)
        path.with_name(f"{path.name}.csi").write_bytes(index)
    return path


def _write(path: Path, lines: list[str]) -> None:
    """Write lines in blocks that aren't compressed, so that equal lengths have equal offsets."""
    plain = path.with_name("plain.vcf")
    plain.write_text("\n".join(lines) + "\n")
    with pysam.BGZFile(str(path), "w0") as handle:
        handle.write(plain.read_bytes())
    plain.unlink()
