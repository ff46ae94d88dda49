"""Windows read a second time: from what howfar keeps, and from a dataset of GenVarLoader.

Both are asked for the same windows of everybody, from VCF and from PGEN, one after the other in one
process. GenVarLoader anchors a window on its first base and takes biallelic variants, so both do;
a record that overlaps one before is left out, as the two have different rules for it. GenVarLoader
pins older libraries than this project, so it is measured only where it is installed beside it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from cyvcf2 import VCF, Writer

from howfar.bench.clock import cpu_seconds
from howfar.bench.haplotypes import Consensus
from howfar.cohort.opened import OpenCohort, open_cohort
from howfar.core.errors import HowfarError
from howfar.genome.genes import read_genes
from howfar.genome.intervals import Gene
from howfar.genome.windows import Windows
from howfar.results.kept_windows import keep_windows

OTHER = "GenVarLoader"
_JUDGED = 3  # windows of a gene that differ, given to bcftools


def measure(
    reference: str | Path,
    variants: str | Path,
    genes: str | Path,
    contexts: Sequence[int] = (16_384, 196_608),
    *,
    repeats: int = 3,
    say: Callable[[str], None] = lambda text: None,
) -> pd.DataFrame:
    """Measure the first pass over everybody's windows, and later ones; on one thread.

    reference, variants, genes: FASTA, VCF, gene table. contexts: window lengths, bp. repeats:
    passes, of which the fastest counts.

    Returns one row for each source ("VCF", "PGEN"), length and method with the columns source,
    context, method, genes, people, records, windows (haplotypes of everybody), first_seconds (CPU:
    reading, keeping, building), kept_bytes, again_seconds (CPU: a later pass, all windows built),
    equal (windows that are the same as howfar's without keeping), judged (of those that differ, up
    to three of a gene that `bcftools consensus` made as well), judged_as_howfar (how many of them
    it made as howfar does), again_ratio (over howfar's).
    HowfarError without bcftools and plink2.
    """
    for program in ("bcftools", "plink2"):
        if shutil.which(program) is None:
            raise HowfarError(
                "bench windows",
                found=f"no {program}",
                expected="bcftools and plink2, which make the files that are read",
                do="Install Debian's packages bcftools and plink2.",
            )
    rows = []
    with TemporaryDirectory() as folder:
        files, records = _plain_files(Path(variants), Path(folder))
        for source, path in files.items():
            for context in contexts:
                say(f"{source}, {context:,} bp")
                found = _compare(Path(reference), path, genes, context, repeats, Path(folder))
                rows += [
                    {"source": source, "context": context, "records": records, **r} for r in found
                ]
    table = pd.DataFrame(rows)
    ours = table["again_seconds"].where(table["method"] == "howfar").ffill()
    return table.assign(again_ratio=table["again_seconds"] / ours)


def _plain_files(variants: Path, folder: Path) -> tuple[dict[str, Path], int]:
    """Write the biallelic records that overlap none before, as VCF and PGEN; and their number."""
    vcf, records, behind = folder / "plain.vcf.gz", 0, ("", 0)
    with VCF(str(variants)) as source:
        writer = Writer(str(vcf), source, "wz")
        for record in source:
            letters = record.REF + "".join(record.ALT)
            past = behind[0] != record.CHROM or record.start >= behind[1]
            if len(record.ALT) == 1 and past and set(letters.upper()) <= set("ACGT"):
                writer.write_record(record)
                records, behind = records + 1, (record.CHROM, record.end)
        writer.close()
    pgen = folder / "plain"
    for command in (
        ["bcftools", "index", vcf],
        ["plink2", "--vcf", vcf, "--make-pgen", "--out", pgen],
    ):
        subprocess.run([str(word) for word in command], check=True, capture_output=True)
    return {"VCF": vcf, "PGEN": pgen.with_suffix(".pgen")}, records


def _compare(
    reference: Path, variants: Path, genes: str | Path, context: int, repeats: int, folder: Path
) -> list[dict[str, Any]]:
    asked = [
        replace(gene, tss=max(gene.start0 - context // 2, 0) + 1, strand="+")
        for gene in read_genes(genes)
    ]
    shutil.rmtree(folder / "kept", ignore_errors=True)
    cohort = open_cohort(reference=reference, variants=variants, genes=genes, alleles="all")
    plain = [[_digest(w) for w in _haplotypes(b)] for b in _read(cohort, asked, context)]
    kept = keep_windows(cohort, folder / "kept")
    first, _ = cpu_seconds(lambda: _read_anew(cohort, asked, context, kept), 2)
    again, windows = cpu_seconds(lambda: _read(cohort, asked, context), repeats)
    different = [
        _find_different(p, _haplotypes(built)) for p, built in zip(plain, windows, strict=True)
    ]
    rows = [_row("howfar", first, kept, again, different)]
    if find_spec(OTHER.lower()):
        data = folder / "data.gvl"
        first, dataset = cpu_seconds(
            lambda: _write_dataset(data, reference, variants, asked, context)
        )
        again, read = cpu_seconds(lambda: [dataset[i] for i in range(len(asked))], repeats)
        order = [dataset.samples.index(sample) for sample in cohort.samples]
        letters = [
            np.asarray(each)
            .view(np.uint8)
            .reshape(len(order), 2, context)[order]
            .reshape(-1, context)
            for each in read
        ]
        different = [_find_different(p, each) for p, each in zip(plain, letters, strict=True)]
        row = _row(f"{OTHER} {version(OTHER)}", first + again, data, again, different)
        judged = [(g, i) for g, rows in enumerate(different) for i in rows[:_JUDGED]]
        with Consensus(reference, folder / "plain.vcf.gz", context, "all") as consensus:
            same = [
                _digest(consensus.from_start(asked[g], cohort.samples[i // 2], i % 2 + 1))
                == plain[g][i]
                for g, i in judged
            ]
        rows.append(row | {"judged": len(judged), "judged_as_howfar": sum(same)})
    shared = {"genes": len(asked), "people": len(cohort.samples)}
    shared["windows"] = shared["genes"] * shared["people"] * 2
    return [shared | {"equal": shared["windows"] - row.pop("different")} | row for row in rows]


def _row(
    method: str, first: float, kept: Path, again: float, different: Sequence[Sequence[int]]
) -> dict[str, Any]:
    size = sum(path.stat().st_size for path in kept.rglob("*") if path.is_file())
    return {
        "method": method,
        "first_seconds": first,
        "kept_bytes": size,
        "again_seconds": again,
        "different": sum(map(len, different)),
    }


def _read(cohort: OpenCohort, genes: Sequence[Gene], context: int) -> list[Windows]:
    windows = [cohort.windows(gene, context, 0) for gene in genes]
    for built in windows:
        _ = built.sequences  # built on first use: every window belongs inside the clock
    return windows


def _read_anew(cohort: OpenCohort, genes: Sequence[Gene], context: int, kept: Path) -> None:
    shutil.rmtree(kept, ignore_errors=True)
    keep_windows(cohort, kept.parents[1])
    _read(cohort, genes, context)


def _haplotypes(windows: Windows) -> Iterator[np.ndarray]:
    """Each person's two windows, person by person."""
    return (windows.sequences[row] for row in windows.index.reshape(-1))


def _digest(window: np.ndarray | bytes) -> bytes:
    return blake2b(window).digest()


def _find_different(plain: Sequence[bytes], others: Iterable[np.ndarray]) -> list[int]:
    """The haplotypes whose windows differ from `plain`."""
    pairs = zip(plain, others, strict=True)
    return [i for i, (ours, other) in enumerate(pairs) if ours != _digest(other)]


def _write_dataset(
    path: Path, reference: Path, variants: Path, genes: Sequence[Gene], context: int
) -> Any:
    import genvarloader
    import polars

    regions = polars.DataFrame(
        {
            "chrom": [gene.chrom for gene in genes],
            "chromStart": [gene.start0 for gene in genes],
            "chromEnd": [gene.start0 + context for gene in genes],
        }
    )
    genvarloader.write(path, regions, variants=variants, overwrite=True)
    opened = genvarloader.Dataset.open(path, reference)
    return opened.with_len(context).with_seqs("haplotypes")
