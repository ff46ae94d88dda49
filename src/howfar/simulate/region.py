"""A real megabase with a cohort: GRCh37 chr20:1,000,001-2,000,000.

The reference, the sites, their alleles and their frequencies in Europeans and Africans are those
of the 1000 Genomes Project, phase 3 (fetched, source `region`). Who carries what is simulated:
every allele takes the carriers of a mutation of like frequency nearby in a coalescent of two
populations, so that linkage is realistic and no real person is described. Expression is simulated
from a few of these variants per gene, drawn without regard to any model: whatever a model predicts
from the sequence has nothing to do with it, which makes the cohort a negative control.
"""

from __future__ import annotations

import gzip
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as arrow
import pysam

from howfar.core import sealed
from howfar.core.atomic import whole
from howfar.core.errors import HowfarError
from howfar.core.project import project_root, results_root
from howfar.fetch import catalogue
from howfar.genome.genes import read_genes
from howfar.genome.intervals import Gene, Variant
from howfar.simulate.demo.people import coalescent

CONTIG, LENGTH = "20", 1_000_000
PEOPLE = {"EUR": 344, "AFR": 77}  # as many Europeans and Yoruba as in Geuvadis's 421
_FIXED_COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT")
_NEARBY = 50_000  # bp
_MUTATION_RATE = 6e-8  # many more mutations than sites, so that a like frequency is near
HERITABILITY = 0.2  # of expression, by the causal variants together
CAUSAL = 3  # variants per gene
WITHIN = 98_304  # bp of the TSS either side, as far as Enformer reads
_COMMON = 0.05  # frequency of the rarer allele from which on a variant may be causal
_LEVEL, _SPREAD = (3.0, 1.5), 0.4  # log units: mean and SD of genes' means; SD over people


@dataclass(frozen=True)
class Site:
    """A VCF record's fixed part; `pos` 1-based, frequencies per alternative allele."""

    pos: int
    name: str
    ref: str
    alts: tuple[str, ...]
    info: dict[str, str]

    def frequencies(self) -> np.ndarray:
        """float64 (alternative alleles, 2): in Europeans and in Africans."""
        columns = [self.info[f"{pop}_AF"].split(",") for pop in PEOPLE]
        return np.array(columns, dtype=float).T


def read_sites(path: str | Path) -> list[Site]:
    """Read the sites of the published VCF with an allele seen in Europeans or Africans."""
    sites = []
    with gzip.open(path, "rt") as lines:
        for number, line in enumerate(lines, 1):
            if not line.startswith("#"):
                sites.append(_site(line.rstrip("\n").split("\t"), f"{path}, line {number}"))
    return [site for site in sites if site.frequencies().max() > 0]


def _site(fields: list[str], where: str) -> Site:
    info = dict(item.split("=", 1) for item in fields[7].split(";") if "=" in item)
    if not {"EUR_AF", "AFR_AF"} <= info.keys():
        raise HowfarError(
            where,
            found=f"INFO without {sorted({'EUR_AF', 'AFR_AF'} - info.keys())}",
            expected="the frequencies EUR_AF and AFR_AF",
            do="Fetch the file again with `howfar fetch region`.",
        )
    return Site(int(fields[1]), fields[2], fields[3], tuple(fields[4].split(",")), info)


def simulated_mutations(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Simulate places (bp) and 0/1 alleles (mutations, haplotypes; EUR first) of a coalescent."""
    return coalescent(PEOPLE, LENGTH, _MUTATION_RATE, [seed, seed])


def assign_carriers(sites: list[Site], places: np.ndarray, alleles: np.ndarray) -> np.ndarray:
    """Assign carriers, int8 (sites, haplotypes): the number of the allele carried, 0 = REF.

    An alternative allele takes the carriers of the mutation within 50 kb whose frequencies in
    the two populations are closest (sum of differences of arcsine-rooted frequencies), or of
    that mutation's ancestral allele; a later alternative leaves earlier carriers alone.
    """
    cut = 2 * PEOPLE["EUR"]
    derived = np.stack([alleles[:, :cut].mean(1), alleles[:, cut:].mean(1)], axis=1)
    rooted = np.arcsin(np.sqrt(np.stack([derived, 1 - derived])))  # (flipped, mutations, pops)
    carried = np.zeros((len(sites), alleles.shape[1]), np.int8)
    for row, site in zip(carried, sites, strict=True):
        near = slice(*np.searchsorted(places, [site.pos - _NEARBY, site.pos + _NEARBY]))
        for number, frequency in enumerate(site.frequencies(), 1):
            wanted = np.arcsin(np.sqrt(frequency))
            apart = np.abs(rooted[:, near] - wanted).sum(2)
            if wanted.sum() <= apart.min():
                continue  # so rare that nobody among so few is expected to carry it
            flipped, which = np.unravel_index(apart.argmin(), apart.shape)
            carriers = alleles[near][which] != flipped
            row[carriers & (row == 0)] = number
    return carried


@dataclass(frozen=True)
class Simulated:
    """Expression and what it was made from.

    values, genetic: gene_id x sample, log units; genetic is the part due to the causal variants.
    causal: gene_id, variant, effect (log units per copy of the alternative allele), frequency.
    """

    values: pd.DataFrame
    genetic: pd.DataFrame
    causal: pd.DataFrame


def simulated_expression(
    genes: list[Gene], sites: list[Site], carried: np.ndarray, samples: list[str], seed: int
) -> Simulated:
    """Simulate each gene's expression: a mean, `CAUSAL` effects of common SNVs, and noise.

    carried: as `assign_carriers` gives it. Causal SNVs lie within `WITHIN` bp of the TSS; each has
    the same expected share of the genetic variance, and one effect in everybody. Scaled so that the
    genetic part has `HERITABILITY` of the variance expected of expression over these people.
    """
    rng = np.random.default_rng([seed, 1])
    snvs = [i for i, s in enumerate(sites) if len(s.ref) == 1 and [len(a) for a in s.alts] == [1]]
    dosages = carried[snvs].reshape(len(snvs), -1, 2).sum(axis=2)
    kept = [sites[i] for i in snvs]
    drawn = [_genetic(gene, kept, dosages, rng) for gene in genes]
    names = [gene.gene_id for gene in genes]
    genetic = pd.DataFrame([part for part, _ in drawn], index=names, columns=samples)
    noise = rng.normal(scale=np.sqrt(1 - HERITABILITY) * _SPREAD, size=genetic.shape)
    level = rng.normal(*_LEVEL, size=(len(genes), 1))
    causal = pd.concat([frame for _, frame in drawn], ignore_index=True)
    return Simulated(genetic + noise + level, genetic, causal)


def _genetic(
    gene: Gene, sites: list[Site], dosages: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, pd.DataFrame]:
    """Draw the genetic part of one gene's expression over people, and its causal variants."""
    frequency = dosages.mean(axis=1) / 2
    common = np.minimum(frequency, 1 - frequency) >= _COMMON
    apart = np.array([abs(site.pos - 1 - gene.start0) for site in sites])
    chosen = rng.choice(np.flatnonzero(common & (apart <= WITHIN)), CAUSAL, replace=False)
    effects = rng.normal(size=CAUSAL) / dosages[chosen].std(axis=1)
    effects *= np.sqrt(HERITABILITY) * _SPREAD / (effects @ dosages[chosen]).std()
    part = effects @ dosages[chosen]
    variants = [str(Variant(CONTIG, s.pos, s.ref, s.alts[0])) for s in (sites[i] for i in chosen)]
    causal = {"gene_id": gene.gene_id, "variant": variants, "effect": effects}
    return part - part.mean(), pd.DataFrame(causal | {"frequency": frequency[chosen]})


def simulate(folder: str | Path, seed: int = 20, sources_folder: str | Path | None = None) -> None:
    """Write the megabase's cohort and its truth.

    chr20_1Mb.fa, .vcf.gz with .csi, genes.csv, samples.csv, expression.csv; causal_variants.csv and
    truth_values.parquet say what the expression was made from.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fetched = Path(sources_folder or results_root() / "sources")
    sites = read_sites(catalogue.path("region/z.vcf.gz", folder=fetched))
    carried = assign_carriers(sites, *simulated_mutations(seed))
    polymorphic = [i for i in range(len(sites)) if carried[i].any()]
    samples = [f"{pop}{i:03d}" for pop, n in PEOPLE.items() for i in range(n)]
    populations = [pop for pop, n in PEOPLE.items() for _ in range(n)]
    _write_fasta(catalogue.path("region/z.fa", folder=fetched), folder / "chr20_1Mb.fa")
    _write_vcf(
        folder / "chr20_1Mb.vcf.gz", [sites[i] for i in polymorphic], carried[polymorphic], samples
    )
    table = pd.DataFrame({"sample": samples, "population": populations})
    table.to_csv(folder / "samples.csv", index=False)
    shutil.copyfile(project_root() / "data" / "region_genes.csv", folder / "genes.csv")
    genes = read_genes(folder / "genes.csv")
    _write_expression(folder, simulated_expression(genes, sites, carried, samples, seed))


def _write_expression(folder: Path, made: Simulated) -> None:
    made.values.rename_axis("gene_id").to_csv(folder / "expression.csv", float_format="%.5f")
    made.causal.to_csv(folder / "causal_variants.csv", index=False, float_format="%.6g")
    long = made.genetic.rename_axis("gene_id").reset_index()
    long = long.melt("gene_id", var_name="sample", value_name="value_a")
    table = arrow.Table.from_pandas(long, preserve_index=False)
    sealed.write_parquet(folder / "truth_values.parquet", table)


def _write_fasta(source: Path, target: Path) -> None:
    _, sequence = source.read_text().split("\n", 1)
    with whole(target) as part:
        part.write_text(f">{CONTIG}\n{sequence}")


def _header(sites: list[Site], samples: list[str]) -> str:
    symbolic = sorted({a for s in sites for a in s.alts if a.startswith("<")})
    lines = [
        "##fileformat=VCFv4.2",
        "##source=1000 Genomes phase 3 sites, simulated carriers",
        f"##contig=<ID={CONTIG},length={LENGTH}>",
        *(f'##ALT=<ID={a[1:-1]},Description="Copy number allele">' for a in symbolic),
        '##INFO=<ID=EUR_AF,Number=A,Type=Float,Description="1000 Genomes European frequency">',
        '##INFO=<ID=AFR_AF,Number=A,Type=Float,Description="1000 Genomes African frequency">',
        '##INFO=<ID=END,Number=1,Type=Integer,Description="End of the variant">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "\t".join([*_FIXED_COLUMNS, *samples]),
    ]
    return "\n".join(lines) + "\n"


def _record(site: Site, carried: np.ndarray) -> str:
    kept = [f"{k}={site.info[k]}" for k in ("EUR_AF", "AFR_AF", "END") if k in site.info]
    calls = [f"{a}|{b}" for a, b in carried.reshape(-1, 2).tolist()]
    fixed = [CONTIG, str(site.pos), site.name, site.ref, ",".join(site.alts), ".", "PASS"]
    return "\t".join([*fixed, ";".join(kept), "GT", *calls]) + "\n"


def _write_vcf(path: Path, sites: list[Site], carried: np.ndarray, samples: list[str]) -> None:
    part = path.with_name(f".{path.name}")
    with pysam.BGZFile(str(part), "wb") as out:
        out.write(_header(sites, samples).encode())
        for site, row in zip(sites, carried, strict=True):
            out.write(_record(site, row).encode())
    pysam.tabix_index(str(part), preset="vcf", csi=True, force=True)
    os.replace(f"{part}.csi", f"{path}.csi")
    os.replace(part, path)
