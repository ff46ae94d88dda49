"""The files of a simulated cohort: FASTA, phased VCF, expression or peaks as BED, tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pysam

from howfar.simulate.demo.people import Variants


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table; the same values give the same bytes."""
    frame.to_csv(path, index=False, float_format="%.8g", lineterminator="\n")


def write_fasta(path: Path, contigs: dict[str, np.ndarray], width: int = 60) -> None:
    """Write contigs, name to uint8 letters (length,), as FASTA with its index."""
    with open(path, "wb") as handle:
        for chrom, bases in contigs.items():
            text = bases.tobytes()
            lines = [text[i : i + width] for i in range(0, len(text), width)]
            handle.write(b">" + chrom.encode() + b"\n" + b"\n".join(lines) + b"\n")
    pysam.faidx(str(path))


def write_vcf(
    path: Path,
    contigs: dict[str, np.ndarray],
    samples: pd.DataFrame,
    variants: dict[str, Variants],
) -> None:
    """Write phased calls of all people, one contig after the other, as bgzipped VCF with index."""
    head = ["##fileformat=VCFv4.2", "##source=howfar demo cohort (simulated)"]
    head += [f"##contig=<ID={chrom},length={len(bases)}>" for chrom, bases in contigs.items()]
    head += ['##FILTER=<ID=PASS,Description="All filters passed">']
    head += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="Phased genotype">']
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    plain = path.with_suffix("")
    with open(plain, "wb") as handle:
        handle.write("\n".join([*head, "\t".join([*columns, *samples["sample"]])]).encode() + b"\n")
        for group in variants.values():
            _write_records(handle, group)
    _compress(plain, path, preset="vcf")


def _write_records(handle, group: Variants) -> None:
    cells = np.full((len(group.pos), group.alleles.shape[1] // 2, 4), ord("\t"), np.uint8)
    cells[:, :, 1] = ord("|")
    cells[:, :, 0] = ord("0") + group.alleles[:, 0::2]
    cells[:, :, 2] = ord("0") + group.alleles[:, 1::2]
    for row, (pos, ref, alt) in enumerate(zip(group.pos, group.ref, group.alt, strict=True)):
        lead = f"{group.chrom}\t{pos}\t.\t{ref}\t{alt}\t.\tPASS\t.\tGT\t".encode()
        handle.write(lead + cells[row].tobytes()[:-1] + b"\n")


def write_bed(path: Path, table: pd.DataFrame, samples: pd.DataFrame, values: np.ndarray) -> None:
    """FastQTL's layout: #chr, start (0-based TSS), end, gene_id, one column per sample."""
    order = table.sort_values(["chrom", "tss"], kind="stable").index
    plain = path.with_suffix("")
    with open(plain, "w", newline="\n") as handle:
        handle.write("\t".join(["#chr", "start", "end", "gene_id", *samples["sample"]]) + "\n")
        for i in order:
            gene = table.loc[i]
            cells = [gene["chrom"], str(gene["tss"] - 1), str(gene["tss"]), gene["gene_id"]]
            handle.write("\t".join(cells + [f"{v:.6f}" for v in values[i]]) + "\n")
    _compress(plain, path, preset="bed")


def _compress(plain: Path, path: Path, preset: str) -> None:
    pysam.tabix_compress(str(plain), str(path), force=True)
    pysam.tabix_index(str(path), preset=preset, force=True)
    plain.unlink()
