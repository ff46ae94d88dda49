"""How fast haplotype windows are made, against the two ways in use.

(a) ``samtools faidx | bcftools consensus`` once per window, and (b) a plain loop in Python with
pyfaidx and cyvcf2. All three make the same windows, which is checked in the same run; the slow
two are timed on a random subset of windows and scaled, which the table says.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyfaidx
from cyvcf2 import VCF

from howfar.core.atomic import whole
from howfar.core.errors import HowfarError
from howfar.genome.edits import edit_of, is_anchored_indel
from howfar.genome.genes import read_genes
from howfar.genome.genotypes.base import is_resolved, is_snv_site
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.intervals import Gene
from howfar.genome.reference import Reference
from howfar.genome.windows import Windows, build_windows

_MARGIN = 5_000  # bp beyond the window that the two loops read on each side
_Job = tuple[Gene, str, int]  # gene, sample, haplotype (1 or 2)


def run(
    reference: str | Path,
    variants: str | Path,
    genes: str | Path | Sequence[Gene],
    samples: Sequence[str] | None = None,
    context: int = 196_608,
    alleles: str = "all",
    *,
    n_consensus: int = 40,
    n_loop: int = 40,
    seed: int = 1,
    json_path: str | Path | None = None,
) -> pd.DataFrame:
    """Measure windows per second of howfar and of the two other ways, on one core.

    Every haplotype of `samples` (default all) of every gene is made by howfar, VCF and FASTA
    reading included. `n_consensus` and `n_loop` windows, drawn with `seed`, are made by each of
    the others; none of (a) where samtools or bcftools are missing. Columns: method,
    windows_timed, windows_total, scaled (whether the rate comes from a subset), seconds (measured),
    windows_per_s, seconds_for_all, equal (number of windows compared, all equal to howfar's, as
    one that differs is an error), speedup (howfar's rate over this one).
    """
    gene_list = read_genes(genes) if isinstance(genes, str | Path) else list(genes)
    with VariantFile(variants) as file:
        people = list(samples) if samples is not None else list(file.samples)
    every = [(gene, sample, h) for gene in gene_list for sample in people for h in (1, 2)]
    picked = _pick(every, max(n_consensus, n_loop), seed)
    seconds, sequences = _time_howfar(
        reference, variants, gene_list, people, context, alleles, picked
    )
    rows = [_row("howfar", len(every), len(every), seconds, len(picked))]
    if shutil.which("samtools") and shutil.which("bcftools"):
        maker = Consensus(reference, variants, context, alleles)
        rows.append(_time_other(maker, picked[:n_consensus], sequences, len(every)))
    loop = _Loop(reference, variants, context, alleles)
    rows.append(_time_other(loop, picked[:n_loop], sequences, len(every)))
    table = pd.DataFrame(rows)
    table["speedup"] = table["windows_per_s"].iloc[0] / table["windows_per_s"]
    if json_path is not None:
        record = {"context": context, "alleles": alleles, "seed": seed, "genes": len(gene_list)}
        record |= {"people": len(people), "methods": table.to_dict("records")}
        with whole(json_path) as part:
            part.write_text(json.dumps(record, indent=1) + "\n")
    return table


def _pick(every: list[_Job], n: int, seed: int) -> list[_Job]:
    return random.Random(seed).sample(every, min(n, len(every)))


def _row(method: str, timed: int, total: int, seconds: float, equal: int) -> dict:
    return {
        "method": method,
        "windows_timed": timed,
        "windows_total": total,
        "scaled": timed < total,
        "seconds": seconds,
        "windows_per_s": timed / seconds,
        "seconds_for_all": seconds * total / timed,
        "equal": equal,
    }


def _time_howfar(
    reference: str | Path,
    variants: str | Path,
    genes: list[Gene],
    people: list[str],
    context: int,
    alleles: str,
    picked: list[_Job],
) -> tuple[float, dict[_Job, bytes]]:
    """Return seconds for all windows, opening and reading included, and the picked windows."""
    sequences: dict[_Job, bytes] = {}
    seconds = 0.0
    begin = time.perf_counter()
    with Reference(reference) as fasta, VariantFile(variants) as file:
        for gene in genes:
            windows = build_windows(fasta, file, gene, context, samples=people, alleles=alleles)
            _ = windows.sequences  # built on first use: every window belongs inside the clock
            seconds += time.perf_counter() - begin
            for job in picked:
                if job[0] == gene:
                    sequences[job] = _sequence(windows, job)
            begin = time.perf_counter()
    return seconds, sequences


def _sequence(windows: Windows, job: _Job) -> bytes:
    _, sample, haplotype = job
    row = windows.index[windows.samples.index(sample), haplotype - 1]
    return windows.sequences[row].tobytes()


def _time_other(maker, picked: list[_Job], sequences: dict[_Job, bytes], total: int) -> dict:
    """Time `maker` on the picked windows; a window that differs from howfar's is an error."""
    with maker:
        begin = time.perf_counter()
        windows = [maker.window(*job) for job in picked]
        seconds = time.perf_counter() - begin
    different = [job for job, w in zip(picked, windows, strict=True) if w != sequences[job]]
    if different:
        raise HowfarError(
            f"benchmark of {maker.name}, gene {different[0][0].gene_id}",
            found=f"{len(different)} of {len(picked)} windows that differ from howfar's",
            expected="the same windows",
            do="Report this with the two sequences; the times mean nothing until it is mended.",
        )
    return _row(maker.name, len(picked), total, seconds, len(picked))


class Consensus:
    """Windows by ``samtools faidx | bcftools consensus``, anchored with the chain file."""

    name = "samtools faidx | bcftools consensus"

    def __init__(
        self, reference: str | Path, variants: str | Path, context: int, alleles: str
    ) -> None:
        self._reference, self._variants, self._context = str(reference), str(variants), context
        self._exclude = (
            'ALT~"<"' if alleles == "all" else 'TYPE!="snp" || ALT~"<"'
        )  # symbolic alleles stop bcftools

    def __enter__(self) -> Consensus:
        self._folder = tempfile.TemporaryDirectory()
        self._fasta = str(Path(self._folder.name) / "reference.fa")
        os.symlink(Path(self._reference).resolve(), self._fasta)
        subprocess.run(["samtools", "faidx", self._fasta], check=True, capture_output=True)
        with Reference(self._reference) as fasta:
            self._lengths = fasta.contigs
            self._contig = fasta.contig
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def window(self, gene: Gene, sample: str, haplotype: int) -> bytes:
        """Make one window, as bytes."""
        wanted = gene.window(self._context)
        start = max(wanted.start - _MARGIN, 0)
        chain = Path(self._folder.name) / "window.chain"
        bases = self._apply(gene.chrom, start, wanted.end, sample, haplotype, chain)
        anchor = anchor_by_chain(chain.read_text(), gene.start0 - start, start)
        return cut(bases, anchor, self._context)

    def from_start(self, gene: Gene, sample: str, haplotype: int) -> bytes:
        """Make the window that begins with the TSS base, as bytes."""
        start, chain = gene.start0, Path(self._folder.name) / "window.chain"
        end = start + self._context
        return self._apply(gene.chrom, start, end, sample, haplotype, chain)[: self._context]

    def _apply(
        self, contig: str, start: int, end: int, sample: str, haplotype: int, chain: Path
    ) -> bytes:
        chrom = self._contig(contig)
        region = f"{chrom}:{start + 1}-{min(end + _MARGIN, self._lengths[chrom])}"
        command = (
            'samtools faidx "$1" "$2" | bcftools consensus -s "$3" -H "$4" -e "$5" -c "$6" "$7"'
        )
        arguments = [self._fasta, region, sample, str(haplotype), self._exclude, str(chain)]
        done = subprocess.run(
            ["bash", "-c", command, "bash", *arguments, self._variants],
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise HowfarError(
                "bcftools consensus",
                found=f"exit status {done.returncode}: {done.stderr.decode()[-200:].strip()}",
                expected="a consensus sequence",
                do="Check that bcftools reads the file, or time without it.",
            )
        return b"".join(done.stdout.upper().split(b"\n")[1:])


def anchor_by_chain(chain: str, tss: int, start: int) -> int:
    """Return the index in the consensus of reference index `tss`, or of the next base kept.

    chain: text of a ``bcftools consensus -c`` file of one region that starts at `start`; its
    blocks are lines ``size deleted inserted``.
    """
    old = new = 0
    lines = [line.split() for line in chain.splitlines() if line]
    if not lines:
        return tss
    head, *blocks = lines
    first = int(head[5])
    old = first - start if first >= start else first
    for block in blocks:
        size, deleted, inserted = (*map(int, block), 0, 0)[:3]
        if tss < old + size:
            return new + max(tss - old, 0)
        old, new = old + size + deleted, new + size + inserted
    return new + max(tss - old, 0)


def cut(haplotype: bytes, anchor: int, length: int) -> bytes:
    """Return `length` bases with `anchor` at index ``length // 2``; N beyond the ends."""
    start = anchor - length // 2
    left = b"N" * max(-start, 0)
    inside = haplotype[max(start, 0) : max(start + length, 0)]
    return (left + inside).ljust(length, b"N")


class _Loop:
    """Windows by a plain loop over the records, with pyfaidx and cyvcf2."""

    name = "pyfaidx + cyvcf2 loop"

    def __init__(
        self, reference: str | Path, variants: str | Path, context: int, alleles: str
    ) -> None:
        self._reference, self._variants = str(reference), str(variants)
        self._context, self._alleles = context, alleles

    def __enter__(self) -> _Loop:
        self._folder = tempfile.TemporaryDirectory()
        index = str(Path(self._folder.name) / "reference.fai")
        self._fasta = pyfaidx.Fasta(self._reference, indexname=index, as_raw=True)
        self._vcf = VCF(self._variants)
        self._samples = self._vcf.samples
        return self

    def __exit__(self, *_: object) -> None:
        self._fasta.close()
        self._vcf.close()
        self._folder.cleanup()

    def window(self, gene: Gene, sample: str, haplotype: int) -> bytes:
        """Make one window, as bytes."""
        wanted = gene.window(self._context)
        start, end = max(wanted.start - _MARGIN, 0), wanted.end + _MARGIN
        column = self._samples.index(sample)
        bases = [bytes([b]) for b in self._fasta[gene.chrom][start:end].upper().encode()]
        kept = [True] * len(bases) + [False]
        bases.append(b"")  # takes what is inserted after the last base
        last, after_insertion = -1, False
        for record in self._vcf(f"{gene.chrom}:{start + 1}-{end}"):
            names = [a.upper().encode() for a in (record.REF, *record.ALT)]
            call = record.genotypes[column][haplotype - 1]
            if call < 1 or not is_resolved(names[call]) or record.start < start:
                continue
            if self._alleles == "snv" and not is_snv_site(names):
                continue
            ref, alt = names[0], names[call]
            shares = record.start == last and is_anchored_indel(ref, alt) and not after_insertion
            if record.start <= last and not shares:
                continue
            last, after_insertion = record.start + len(ref) - 1, len(alt) > len(ref)
            _write_edit(bases, kept, record.start - start, ref, alt)
        anchor = gene.start0 - start
        while anchor < len(kept) and not kept[anchor]:
            anchor += 1
        before = sum(map(len, bases[:anchor]))
        own = len(bases[anchor]) - 1 if anchor < len(bases) else 0
        return cut(b"".join(bases), before + own, self._context)


def _write_edit(bases: list[bytes], kept: list[bool], at: int, ref: bytes, alt: bytes) -> None:
    """Put an allele into `bases`, one entry a reference base: what is inserted before it, it."""
    edit = edit_of(ref, alt)
    for offset, byte in edit.substitutions:
        if at + offset < len(bases):
            bases[at + offset] = bases[at + offset][:-1] + bytes([byte])
    if edit.gap is None:
        return
    offset, deleted, inserted = edit.gap.offset, edit.gap.deleted, edit.gap.inserted
    for i in range(at + offset, min(at + offset + deleted, len(bases))):
        bases[i], kept[i] = bases[i][:-1], False
    if inserted and at + offset < len(bases):
        cell, own = bases[at + offset], int(kept[at + offset])
        bases[at + offset] = cell[: len(cell) - own] + inserted + cell[len(cell) - own :]
