"""Simulate the demo cohort: the files a real study has, and the truth behind them.

Expression is in natural-log units. A person's genetic value is the log of the mean of the two
haplotypes' expression, exp of `grammar.log_expression`; the environment adds normal noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as arrow

from howfar.core import sealed
from howfar.simulate import files, peaks
from howfar.simulate.demo import genome as genome_module
from howfar.simulate.demo import grammar as g
from howfar.simulate.demo import people as people_module
from howfar.simulate.demo.genome import Genome
from howfar.simulate.demo.people import Variants
from howfar.stats.svd import thin_svd

CONTEXT = 8_192
_MARGIN = 256  # bp beyond the window from which indels can pull bases in
_H2 = (0.005, 0.5)  # limits of broad heritability
_CAUSAL = 0.01  # smallest |effect| on log expression that is called causal


@dataclass(frozen=True)
class Locus:
    """One gene's window in the people.

    `rows`: indices into the contig's variants. `windows`: uint8 (distinct, CONTEXT), forward
    strand, TSS-anchored. `index`: int (people, 2), the row of `windows` of each haplotype.
    """

    gene: pd.Series
    rows: np.ndarray
    windows: np.ndarray
    index: np.ndarray


def simulate(folder: str | Path, seed: int = 1, people: int = 300, genes: int = 240) -> None:
    """Write the demo cohort into `folder`; the same arguments give the same bytes.

    Files: reference.fa (+ .fai), variants.vcf.gz (phased, + .tbi), genes.csv, samples.csv,
    expression.bed.gz (cell type A), expression_b.bed.gz (B), expression_null.bed.gz (as A, but
    independent of genotype); the truth: grammar.json, promoters.csv, truth_genes.csv,
    truth_variants.csv, truth_values.parquet; peaks beside the genes (`simulate.peaks`), of random
    numbers of their own; world.json (the arguments) is written last.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    genome = genome_module.build(rng, genes)
    samples = people_module.sample_table(people)
    variants = {
        chrom: people_module.variants(rng, chrom, contig, _strong_sites(genome, chrom), samples)
        for chrom, contig in genome.contigs.items()
    }
    table = _gene_table(genome)
    truth = _truth(rng, genome, table, variants)
    _write_genome(folder, genome, table, samples, variants)
    _write_truth(folder, truth, samples)
    expression = _expression(rng, truth)
    for name, values in expression.items():
        files.write_bed(folder / f"{name}.bed.gz", table, samples, values)
    _write_peaks(np.random.default_rng([seed, 1]), folder, genome, table, variants, samples)
    arguments = {"seed": seed, "people": people, "genes": genes}
    sealed.write_json(folder / "world.json", arguments)


def _strong_sites(genome: Genome, chrom: str) -> np.ndarray:
    """Sorted 0-based first bases of sites at least half occupied, promoters' cores left out."""
    found = g.sites(genome.contigs[chrom][None], genome.grammar)
    return found.start[(found.occupancy >= g.UNIT // 2) & (found.motif < g.FACTORS)]


def _gene_table(genome: Genome) -> pd.DataFrame:
    """gene_id, name, chrom, tss (1-based), strand, split."""
    table = genome.promoters[genome.promoters["gene_id"] != ""].reset_index(drop=True)
    table = table.assign(
        name=table["gene_id"].str.replace("GENE", "demo", regex=False),
        split=[genome_module.split_of(chrom) for chrom in table["chrom"]],
    )
    return table[["gene_id", "name", "chrom", "tss", "strand", "split"]]


# --- haplotypes ---------------------------------------------------------------------------------


def locus(gene: pd.Series, contig: np.ndarray, variants: Variants) -> Locus:
    """The people's distinct haplotypes of one gene's window."""
    tss = int(gene["tss"]) - 1
    low, high = tss - CONTEXT // 2 - _MARGIN, tss + CONTEXT // 2 + _MARGIN
    rows = np.nonzero((variants.pos - 1 >= low) & (variants.pos - 1 < high))[0]
    patterns, index = _distinct(variants.alleles[rows].T)
    windows, again = _distinct(haplotype_windows(contig, variants, rows, patterns, tss))
    return Locus(gene, rows, windows, again[index].reshape(-1, 2))


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows in order of first appearance, and the index back to them."""
    seen: dict[bytes, int] = {}
    index = np.array([seen.setdefault(row.tobytes(), len(seen)) for row in rows])
    _, first = np.unique(index, return_index=True)
    return rows[first], index


def haplotype_windows(
    contig: np.ndarray,
    variants: Variants,
    rows: np.ndarray,
    patterns: np.ndarray,
    tss: int,
    length: int = CONTEXT,
) -> np.ndarray:
    """uint8 (patterns, length): windows of haplotypes that carry patterns (n, rows) of 0/1.

    tss: 0-based. The TSS base, or the next retained reference base to the right where it is
    deleted, is at length // 2; each side is filled from the haplotype; N past contig ends.
    """
    reach = length // 2 + 2 * _MARGIN
    low = tss - reach
    padded = np.full(2 * reach, ord("N"), np.uint8)
    start, end = max(low, 0), min(tss + reach, len(contig))
    padded[start - low : end - low] = contig[start:end]
    starts = variants.pos[rows] - 1 - low
    edits = [
        (int(s), len(variants.ref[r]), np.frombuffer(variants.alt[r].encode(), np.uint8))
        for s, r in zip(starts, rows, strict=True)
    ]
    out = np.empty((len(patterns), length), np.uint8)
    for row, pattern in enumerate(patterns):
        out[row] = _window(padded, reach, [edits[i] for i in np.nonzero(pattern)[0]], length)
    return out


def _window(
    reference: np.ndarray, tss: int, edits: list[tuple[int, int, np.ndarray]], length: int
) -> np.ndarray:
    """Apply edits (start, REF length, ALT), sorted and disjoint, then cut around the TSS."""
    bases, shift, anchor, pieces, done = reference.copy(), 0, tss, [], 0
    for start, ref_length, alt in edits:
        if len(alt) == ref_length:
            bases[start : start + ref_length] = alt
            continue
        pieces += [bases[done:start], alt]
        done = start + ref_length
        if start + ref_length <= tss:
            shift += len(alt) - ref_length
        elif start + 1 <= tss:  # the TSS base is deleted; the anchor base of REF is kept
            anchor, shift = start + ref_length, shift + len(alt) - ref_length
    haplotype = np.concatenate([*pieces, bases[done:]])
    first = anchor + shift - length // 2
    return haplotype[first : first + length]


# --- truth --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """What the simulation knows. `values`: cell type -> (genes, people) genetic values."""

    genes: pd.DataFrame
    variants: pd.DataFrame
    values: dict[str, np.ndarray]


def _truth(
    rng: np.random.Generator, genome: Genome, table: pd.DataFrame, variants: dict[str, Variants]
) -> Truth:
    values: dict[str, list[np.ndarray]] = {cell: [] for cell in g.CELL_TYPES}
    effects, additive, distinct = [], [], []
    for _, gene in table.iterrows():
        contig, here = genome.contigs[gene["chrom"]], variants[gene["chrom"]]
        place = locus(gene, contig, here)
        level = np.exp(g.log_expression(place.windows, genome.grammar))
        person = np.log(level[place.index].mean(axis=1))
        for cell, name in enumerate(g.CELL_TYPES):
            values[name].append(person[:, cell])
        dosages = here.alleles[place.rows].reshape(len(place.rows), -1, 2).sum(axis=2).T
        additive.append([projected_variance(person[:, c], dosages) for c in range(2)])
        effects.append(_variant_effects(genome, here, place))
        distinct.append(len(place.windows))
    stacked = {cell: np.array(rows) for cell, rows in values.items()}
    genes = _heritability(rng, table, stacked["A"], np.array(additive)[:, 0])
    genes = genes.assign(sd_b=stacked["B"].std(axis=1), haplotypes=distinct)
    return Truth(genes, pd.concat(effects, ignore_index=True), stacked)


def projected_variance(value: np.ndarray, dosages: np.ndarray) -> float:
    """Variance of the least-squares projection of value (people) on dosages (people, variants).

    Both are centred; variances are of the cohort (divided by n).
    """
    y = value - value.mean()
    x = dosages - dosages.mean(axis=0)
    u, s, _ = thin_svd(x)
    u = u[:, s > 1e-9 * max(s.max(initial=0), 1)]
    return float(((u.T @ y) ** 2).sum() / len(y))


def _heritability(
    rng: np.random.Generator, table: pd.DataFrame, values: np.ndarray, additive: np.ndarray
) -> pd.DataFrame:
    """truth_genes: broad heritability drawn from U(0, 0.5), the noise that gives it, and h2."""
    genetic, varies, noise = peaks.noise_variance(rng, values, *_H2)
    total = genetic + noise
    return table[["gene_id", "split"]].assign(
        h2_additive=np.where(varies, additive, 0) / total,
        h2_broad=np.where(varies, genetic, 0) / total,
        sd_genetic=np.sqrt(genetic),
        sd_noise=np.sqrt(noise),
        mean_genetic=values.mean(axis=1),
    )


def _variant_effects(genome: Genome, variants: Variants, place: Locus) -> pd.DataFrame:
    """Each variant's effect alone on the reference: log expression with ALT minus without."""
    tss = int(place.gene["tss"]) - 1
    rows = place.rows
    patterns = np.vstack([np.zeros((1, len(rows)), np.uint8), np.eye(len(rows), dtype=np.uint8)])
    contig = genome.contigs[place.gene["chrom"]]
    windows = haplotype_windows(contig, variants, rows, patterns, tss)
    level = g.log_expression(windows, genome.grammar)
    effect = level[1:] - level[0]
    sign = 1 if place.gene["strand"] == "+" else -1
    distance = sign * (variants.pos[rows] - 1 - tss)
    names = variants.names()
    kind = np.where(np.abs(distance) <= g.PROXIMAL, "promoter", "enhancer")
    return pd.DataFrame(
        {
            "gene_id": place.gene["gene_id"],
            "variant": [names[r] for r in rows],
            "effect_a": effect[:, 0],
            "effect_b": effect[:, 1],
            "class": np.where((effect == 0).all(axis=1), "none", kind),
            "distance": distance,
            "causal": np.abs(effect[:, 0]) >= _CAUSAL,
            "alt_frequency": variants.alleles[rows].mean(axis=1),
        }
    )


def _expression(rng: np.random.Generator, truth: Truth) -> dict[str, np.ndarray]:
    """Observed log expression (genes, people) of A, of B, and of A's null."""
    noise = truth.genes["sd_noise"].to_numpy()[:, None]
    a, b = truth.values["A"], truth.values["B"]
    total = np.sqrt(truth.genes["sd_genetic"].to_numpy()[:, None] ** 2 + noise**2)
    return {
        "expression": a + noise * rng.normal(size=a.shape),
        "expression_b": b + noise * rng.normal(size=b.shape),
        "expression_null": a.mean(axis=1, keepdims=True) + total * rng.normal(size=a.shape),
    }


# --- files --------------------------------------------------------------------------------------


def _write_genome(
    folder: Path,
    genome: Genome,
    table: pd.DataFrame,
    samples: pd.DataFrame,
    variants: dict[str, Variants],
) -> None:
    files.write_fasta(folder / "reference.fa", genome.contigs)
    g.save(genome.grammar, folder / "grammar.json")
    files.write_csv(folder / "promoters.csv", genome.promoters)
    files.write_csv(folder / "genes.csv", table)
    files.write_csv(folder / "samples.csv", samples)
    files.write_vcf(folder / "variants.vcf.gz", genome.contigs, samples, variants)


def _write_truth(folder: Path, truth: Truth, samples: pd.DataFrame) -> None:
    files.write_csv(folder / "truth_genes.csv", truth.genes)
    files.write_csv(folder / "truth_variants.csv", truth.variants)
    names = truth.genes["gene_id"].to_numpy()
    long = pd.DataFrame(
        {
            "gene_id": np.repeat(names, len(samples)),
            "sample": np.tile(samples["sample"].to_numpy(), len(names)),
            "value_a": truth.values["A"].ravel(),
            "value_b": truth.values["B"].ravel(),
        }
    )
    table = arrow.Table.from_pandas(long, preserve_index=False)
    sealed.write_parquet(folder / "truth_values.parquet", table)


# --- peaks --------------------------------------------------------------------------------------


def _write_peaks(
    rng: np.random.Generator,
    folder: Path,
    genome: Genome,
    table: pd.DataFrame,
    variants: dict[str, Variants],
    samples: pd.DataFrame,
) -> None:
    """Write peaks of the promoters and of the stretches densest in sites around them."""
    rows, values = [], []
    for gene in table.itertuples():
        contig = genome.contigs[gene.chrom]
        centres = peak_centres(contig, gene.tss - 1, genome.grammar)
        total = [
            _occupancy(contig, variants[gene.chrom], gene.tss - 1 + centre, reach, genome.grammar)
            for centre, reach in zip(centres, peaks.REACH, strict=True)
        ]
        values.append(peaks.of_people(np.stack(total, axis=-1)).T)
        rows += peaks.rows_of(gene.gene_id, gene.chrom, gene.tss, centres)
    peaks.write(rng, folder, rows, np.concatenate(values), samples, _H2)


def peak_centres(contig: np.ndarray, tss: int, grammar: g.Grammar) -> np.ndarray:
    """Centres of a gene's peaks, bp from the TSS base (0-based `tss`): the promoter's, 0, first.

    Then the places of the reference with the most occupancy within reach, one after the other; the
    stretches lie within the enhancers' 3,900 bp and don't overlap.
    """
    window = genome_module.windows_at(
        {"": contig}, pd.DataFrame({"chrom": [""], "tss": [tss + 1]}), CONTEXT
    )
    found = g.sites(window, grammar)
    factor, reach = found.motif < g.FACTORS, peaks.ENHANCER_REACH
    away = found.start[factor] + g.MIDDLE - CONTEXT // 2
    places = np.arange(reach - g.DISTAL, g.DISTAL - reach + 1, 10)
    inside = np.abs(places[:, None] - away) <= reach
    total = inside @ found.occupancy[factor].astype(np.int64)
    total[np.abs(places) <= peaks.PROMOTER_REACH + reach] = -1
    chosen = [0]
    for _ in range(peaks.ENHANCERS):
        chosen.append(int(places[total.argmax()]))
        total[np.abs(places - chosen[-1]) < 2 * reach] = -1
    return np.array(chosen)


def _occupancy(
    contig: np.ndarray, variants: Variants, centre: int, reach: int, grammar: g.Grammar
) -> np.ndarray:
    """(people, 2): occupancy of factors within reach of a centre (0-based), on the haplotype."""
    half = reach + g.WIDTH
    near = np.abs(variants.pos - 1 - centre) < half + _MARGIN
    rows = np.flatnonzero(near)
    patterns, index = _distinct(variants.alleles[rows].T)
    windows = haplotype_windows(contig, variants, rows, patterns, centre, 2 * half)
    found = g.sites(windows, grammar)
    counts = (np.abs(found.start + g.MIDDLE - half) <= reach) & (found.motif < g.FACTORS)
    occupancy = np.where(counts, found.occupancy / g.UNIT, 0)
    return np.bincount(found.window, occupancy, len(windows))[index].reshape(-1, 2)
