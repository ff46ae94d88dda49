"""The example cohort: 20 simulated people and 6 genes that come with the package.

It is a corner of the demo world (`simulate.demo`): two of its contigs. Documentation and tests use
it, as it needs no network, no weights and no results folder.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
import pysam

from howfar.cohort.opened import OpenCohort, open_cohort
from howfar.genome.reference import Reference

FOLDER = Path(__file__).with_name("example_data")
_CONTIGS = ("chr1", "chr2")
_WORLD = {"seed": 1, "people": 20, "genes": 24}


def example_cohort() -> OpenCohort:
    """Open the example cohort: 20 people of two populations, 6 genes, on two contigs of 61 kb.

    Returns
    -------
    OpenCohort
        Genotypes are phased and simulated, and so is expression (log scale, arbitrary units).

    Examples
    --------
    >>> import howfar as hf
    >>> cohort = hf.example_cohort()
    >>> len(cohort.samples), len(cohort.genes)
    (20, 6)
    >>> windows = cohort.windows(cohort.genes[0], 2_048)
    >>> windows.sequences.shape[1], windows.index.shape
    (2048, (20, 2))
    """
    return open_cohort(
        reference=FOLDER / "reference.fa",
        variants=FOLDER / "variants.vcf.gz",
        genes=FOLDER / "genes.csv",
        expression=FOLDER / "expression.csv",
        samples=FOLDER / "samples.csv",
        name="example",
        individuals="public",
        alleles="all",
    )


def write_example(folder: str | Path) -> None:
    """Write the files of the example cohort anew, from the demo world's simulation."""
    from howfar.simulate.demo.world import simulate

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as world:
        simulate(world, **_WORLD)
        _write_corner(Path(world), folder)


def _write_corner(world: Path, folder: Path) -> None:
    genes = pd.read_csv(world / "genes.csv").drop(columns="split")
    genes = genes[genes["chrom"].isin(_CONTIGS)]
    genes.to_csv(folder / "genes.csv", index=False)
    (folder / "samples.csv").write_bytes((world / "samples.csv").read_bytes())
    expression = pd.read_csv(world / "expression.bed.gz", sep="\t").set_index("gene_id")
    expression.loc[genes["gene_id"]].iloc[:, 3:].to_csv(folder / "expression.csv")
    with Reference(world / "reference.fa") as reference:
        text = "".join(f">{c}\n{_wrapped(reference, c)}" for c in _CONTIGS)
    (folder / "reference.fa").write_text(text)
    pysam.faidx(str(folder / "reference.fa"))
    path = folder / "variants.vcf.gz"
    with (
        pysam.VariantFile(str(world / "variants.vcf.gz")) as source,
        pysam.VariantFile(str(path), "w", header=source.header) as target,
    ):
        for record in source:
            if record.contig in _CONTIGS:
                target.write(record)
    pysam.tabix_index(str(path), preset="vcf", force=True)


def _wrapped(reference: Reference, contig: str, width: int = 60) -> str:
    from howfar.genome.intervals import Interval

    whole = Interval(contig, 0, reference.length(contig))
    letters = reference.fetch(whole).tobytes().decode()
    return "".join(letters[i : i + width] + "\n" for i in range(0, len(letters), width))
