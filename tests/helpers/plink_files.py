"""Small PLINK 1 files, written by hand."""

from __future__ import annotations

from pathlib import Path

CODES = {2: 0b00, None: 0b01, 1: 0b10, 0: 0b11}  # copies of A1


def write_bed(
    prefix: Path, variants: list[tuple], copies: list[list[int | None]], people: tuple[str, ...]
) -> Path:
    """prefix.bed, .bim and .fam. variants: (contig, 1-based position, A1, A2). copies: of A1."""
    body = bytearray(b"\x6c\x1b\x01")
    for row in copies:
        packed = bytearray((len(row) + 3) // 4)
        for i, n in enumerate(row):
            packed[i // 4] |= CODES[n] << (2 * (i % 4))
        body += packed
    bed = prefix.with_name(prefix.name + ".bed")
    bed.write_bytes(body)
    lines = [f"{c}\tv{i}\t0\t{p}\t{a}\t{b}\n" for i, (c, p, a, b) in enumerate(variants)]
    bed.with_suffix(".bim").write_text("".join(lines))
    bed.with_suffix(".fam").write_text("".join(f"f {name} 0 0 0 -9\n" for name in people))
    return bed
