"""Simulate the hard setting's cohort: the files a real study has, and the truth behind them.

Expression is in natural-log units. A person's genetic value is the log of the mean of the two
haplotypes' expression; the environment adds normal noise. Variants are single bases, so a
haplotype's parts are the reference's plus those of its groups of neighbouring variants.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.core import sealed
from howfar.core.errors import HowfarError
from howfar.simulate import files, peaks
from howfar.simulate.demo import genome as demo
from howfar.simulate.demo import grammar as g
from howfar.simulate.demo import people as demo_people
from howfar.simulate.demo.people import Variants
from howfar.simulate.demo.world import projected_variance
from howfar.simulate.hard import genome as genome_module
from howfar.simulate.hard import people, rules
from howfar.simulate.hard.genome import SLOT, Genome
from howfar.simulate.hard.setting import Setting

_CAUSAL = 0.01  # smallest |effect| on log expression that is called causal
_LEAST_H2 = 0.002


@dataclass(frozen=True)
class Locus:
    """One gene's variants and what they change.

    rows: indices into the contig's variants. haplotypes: float64 (haplotypes, 3 + peaks), P, C, F
    and the peaks' total occupancy minus the reference's. singles: the same of each variant alone
    (variants, 3 + peaks).
    """

    rows: np.ndarray
    haplotypes: np.ndarray
    singles: np.ndarray

    def people(self) -> np.ndarray:
        """float64 (people, 3): the mean of the two haplotypes' parts."""
        return self.haplotypes[:, :3].reshape(-1, 2, 3).mean(axis=1)


@dataclass(frozen=True)
class Population:
    """A reference and its people, before any expression.

    table: genes with people, as in genes.csv; loci: their variants, in its order.
    """

    genome: Genome
    samples: pd.DataFrame
    variants: dict[str, Variants]
    table: pd.DataFrame
    loci: list[Locus]


@dataclass(frozen=True)
class Expression:
    """The people's expression: float64 (genes, people) in log units, and the truth behind it.

    genome: with the rules of the setting. truth, effects: as in truth_genes.csv and
    truth_variants.csv. null: independent of genotype.
    """

    genome: Genome
    truth: pd.DataFrame
    effects: pd.DataFrame
    values: np.ndarray
    observed: np.ndarray
    null: np.ndarray


def simulate(
    folder: str | Path,
    seed: int = 1,
    people: int = 300,
    genes: int = 240,
    setting: Setting | None = None,
) -> None:
    """Write the cohort into `folder`; the same arguments give the same bytes.

    Files: as `demo.world.simulate`, of one cell type.
    """
    setting, folder = setting or Setting(), Path(folder)
    rng = np.random.default_rng(seed)
    population = populate(rng, people, genes, setting)
    write(folder, rng, population, express(rng, population, setting), setting)
    arguments = {"seed": seed, "people": people, "genes": genes, "setting": asdict(setting)}
    sealed.write_json(folder / "world.json", arguments)


def populate(rng: np.random.Generator, people: int, genes: int, setting: Setting) -> Population:
    """Draw a reference and its people; the knobs `coin`, `promoter`, `distal` change nothing."""
    genome = genome_module.build(rng, genes, setting)
    samples = demo_people.sample_table(people)
    variants = _variants(rng, genome, samples)
    genome, _ = _with_levels(genome)
    loci = [_locus(genome, row, variants[row.chrom]) for row in listed(genome).itertuples()]
    return Population(genome, samples, variants, _gene_table(genome), loci)


def express(rng: np.random.Generator, population: Population, setting: Setting) -> Expression:
    """Draw the people's expression under a setting."""
    loci, table = population.loci, population.table
    fixed = _scaled(population.genome.rules, [x.people() for x in loci], setting.shares)
    genome = replace(population.genome, rules=fixed)
    switch = switches(rng, table["split"].to_numpy(), setting.coin)
    values = _values(genome, loci, switch)
    truth = _truth_genes(rng, table, genome, loci, population.variants, switch, values, setting)
    effects = [
        _effects(genome, row, x, population.variants[row.chrom], s)
        for row, x, s in zip(listed(genome).itertuples(), loci, switch, strict=True)
    ]
    noise = truth["sd_noise"].to_numpy()[:, None]
    total = np.hypot(truth["sd_genetic"].to_numpy()[:, None], noise)
    draw = rng.normal(size=(2, *values.shape))
    observed = values + noise * draw[0]
    null = values.mean(axis=1, keepdims=True) + total * draw[1]
    effects = pd.concat(effects, ignore_index=True)
    return Expression(genome, truth, effects, values, observed, null)


def write(
    folder: Path,
    rng: np.random.Generator,
    population: Population,
    expression: Expression,
    setting: Setting,
) -> None:
    """Write the files of a cohort; its peaks' noise is drawn here."""
    folder.mkdir(parents=True, exist_ok=True)
    table, samples, genome = population.table, population.samples, expression.genome
    _write_genome(folder, genome, table, samples, population.variants)
    files.write_csv(folder / "truth_genes.csv", expression.truth)
    files.write_csv(folder / "truth_variants.csv", expression.effects)
    ids = table["gene_id"]
    peaks.write_values(folder / "truth_values.parquet", ids, samples, value_a=expression.values)
    files.write_bed(folder / "expression.bed.gz", table, samples, expression.observed)
    files.write_bed(folder / "expression_null.bed.gz", table, samples, expression.null)
    _write_peaks(rng, folder, genome, population.loci, samples, setting)


def listed(genome: Genome) -> pd.DataFrame:
    """Return the promoters of genes with people, one row a gene."""
    return genome.promoters[genome.promoters["gene_id"] != ""].reset_index(drop=True)


def _gene_table(genome: Genome) -> pd.DataFrame:
    table = listed(genome)
    return table.assign(
        name=table["gene_id"].str.replace("GENE", "hard", regex=False),
        split=[demo.split_of(chrom) for chrom in table["chrom"]],
    )[["gene_id", "name", "chrom", "tss", "strand", "split"]]


def switches(rng: np.random.Generator, split: np.ndarray, coin: float) -> np.ndarray:
    """Draw +1 or -1 for each gene: + in exactly the share `coin`, of all and of those held out.

    A free coin would give another share in each world, which decides how wrong a network is.
    """
    out = np.full(len(split), -1.0)
    held = np.flatnonzero(split != "train")
    trained = np.flatnonzero(split == "train")
    in_held = round(coin * len(held))
    out[rng.permutation(held)[:in_held]] = 1
    out[rng.permutation(trained)[: round(coin * len(split)) - in_held]] = 1
    return out


# --- the reference and its variants -------------------------------------------------------------


def _slot_of(genome: Genome, promoter) -> tuple[int, np.ndarray]:
    start = promoter.tss - 1 - SLOT // 2
    return start, genome.contigs[promoter.chrom][start : start + SLOT]


def _variants(rng: np.random.Generator, genome: Genome, samples: pd.DataFrame):
    """The variants of each contig with people; changes some of the reference's bases."""
    out = {}
    for chrom, rows in listed(genome).groupby("chrom", sort=False):
        sites = {row.tss - 1: _strong_sites(genome, row) for row in rows.itertuples()}
        out[chrom] = people.variants(rng, chrom, genome.contigs[chrom], sites, samples)
    return out


def _strong_sites(genome: Genome, promoter) -> dict[str, np.ndarray]:
    """By part, the first bases (0-based) of sites that count in it, at least half occupied."""
    start, slot = _slot_of(genome, promoter)
    found = g.sites(slot[None], genome.rules.grammar)
    distance = found.start + g.MIDDLE - SLOT // 2
    counts = rules.contributions(distance, found.motif, found.occupancy, genome.rules) != 0
    counts &= found.occupancy >= g.UNIT // 2
    return {name: found.start[row] + start for name, row in zip(rules.PARTS, counts, strict=True)}


def _with_levels(genome: Genome) -> tuple[Genome, np.ndarray]:
    """The genome with rules calibrated and the promoters' log_a; P, C, F of every promoter."""
    slots = [_slot_of(genome, row)[1] for row in genome.promoters.itertuples()]
    parts = np.vstack([rules.components(slot[None], genome.rules) for slot in slots])
    fixed = genome.rules.calibrated(parts[:, 0])
    z = (parts[:, 0] - fixed.centre) / fixed.spread
    table = genome.promoters
    table = table.assign(log_a=table["gene_class"] + fixed.slope * z + table["noise"])
    return Genome(genome.contigs, table, fixed), parts


def _locus(genome: Genome, promoter, variants: Variants) -> Locus:
    """What a gene's variants change, alone and on the people's haplotypes.

    Sites of ten bases read variants fewer than ten bases apart together: they form a group, whose
    patterns are read from the changed sequence; groups add up.
    """
    start, slot = _slot_of(genome, promoter)
    rows = np.flatnonzero((variants.pos - 1 >= start) & (variants.pos - 1 < start + SLOT))
    at = variants.pos[rows] - 1 - start
    alt = np.array([ord(variants.alt[i]) for i in rows], np.uint8)
    groups = np.split(np.arange(len(rows)), np.flatnonzero(np.diff(at) >= g.WIDTH) + 1)
    windows, starts, owners, haplotypes = [], [], [], []
    for group in groups if len(rows) else []:
        alleles = variants.alleles[rows[group]].T
        patterns, index = _distinct(alleles)
        patterns = np.vstack([np.zeros((1, len(group))), np.eye(len(group)), patterns])
        first, last = max(0, at[group[0]] - g.WIDTH + 1), at[group[-1]] + g.WIDTH
        cut = np.repeat(slot[None, first:last], len(patterns), axis=0)
        for k, i in enumerate(group):
            cut[patterns[:, k] == 1, at[i] - first] = alt[i]
        owners.append((len(starts), group))
        haplotypes.append(len(starts) + 1 + len(group) + index)
        windows += list(cut)
        starts += [first] * len(cut)
    parts = _parts(genome, promoter, windows, np.array(starts, int))
    total = np.zeros((variants.alleles.shape[1], parts.shape[1]))
    singles = np.zeros((len(rows), parts.shape[1]))
    for (zero, group), index in zip(owners, haplotypes, strict=True):
        total += parts[index] - parts[zero]
        singles[group] = parts[zero + 1 : zero + 1 + len(group)] - parts[zero]
    return Locus(rows, total, singles)


def _distinct(alleles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows of 0 and 1 (rows, k), in order, and which of them each row is: (rows,)."""
    count = alleles.shape[1]
    if count > 62:
        patterns, index = np.unique(alleles, axis=0, return_inverse=True)
        return patterns, index.ravel()
    bits = 1 << np.arange(count)[::-1]
    codes, index = np.unique(alleles @ bits, return_inverse=True)  # whole rows sort slowly
    return codes[:, None] & bits > 0, index


def _parts(genome: Genome, promoter, windows: list[np.ndarray], starts: np.ndarray) -> np.ndarray:
    """(windows, 3 + peaks): P, C, F and the peaks' occupancy; starts: 0-based in the slot."""
    longest = max((len(w) for w in windows), default=0)
    padded = np.full((len(windows), max(longest, g.WIDTH)), ord("N"), np.uint8)
    for row, window in zip(padded, windows, strict=True):
        row[: len(window)] = window
    found = g.sites(padded, genome.rules.grammar)
    distance = starts[found.window] + found.start + g.MIDDLE - SLOT // 2
    parts = rules.contributions(distance, found.motif, found.occupancy, genome.rules)
    occupied = np.where(found.motif < g.FACTORS, found.occupancy / g.UNIT, 0)
    around = [
        np.where(np.abs(distance - centre) <= reach, occupied, 0)
        for centre, reach in zip(peak_centres(promoter), peaks.REACH, strict=True)
    ]
    rows = [np.bincount(found.window, part, len(windows)) for part in (*parts, *around)]
    return np.stack(rows, axis=1)


def peak_centres(promoter) -> np.ndarray:
    """Centres of a gene's promoter and enhancers, bp from the TSS base."""
    return np.concatenate([[0], genome_module.enhancers(promoter) - (promoter.tss - 1)])


# --- truth --------------------------------------------------------------------------------------


def shares_of(variances: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Mean shares (3,) of people's variance of P, C, F, over genes that vary.

    variances: (genes, 3), between people, of the parts' changes before they are scaled.
    """
    variances = variances * np.asarray(scales) ** 2
    total = variances.sum(axis=1)
    return (variances[total > 0] / total[total > 0, None]).mean(axis=0)


def _scaled(fixed: rules.Rules, people: list[np.ndarray], wanted: np.ndarray) -> rules.Rules:
    """Find the two constants a_C, a_F that bring the mean shares to `wanted`.

    HowfarError where so few genes vary in a part that its share of all can't be that large, or only
    by making the rest of no account.
    """
    scales = np.array(fixed.scales)
    variances = np.array([part.var(axis=0) for part in people])
    reach = (variances > 0).mean(axis=0)
    if (wanted > 0.8 * reach).any():
        raise HowfarError(
            "the hard setting's shares of variance",
            found=f"{len(people)} genes, of which the shares "
            f"{', '.join(f'{r:.2f} ({n})' for n, r in zip(rules.PARTS, reach, strict=True))} "
            "have a variant that acts",
            expected=f"enough of them for mean shares of {', '.join(f'{w:.2f}' for w in wanted)}",
            do="Simulate more genes or people, or another seed.",
        )
    for _ in range(500):
        ratio = np.sqrt(wanted / np.maximum(shares_of(variances, scales), 1e-6))
        scales[1:] *= (ratio[1:] / ratio[0]) ** 0.7
    return replace(fixed, scales=scales.tolist())


def _values(genome: Genome, loci: list[Locus], switch: np.ndarray) -> np.ndarray:
    """Genetic values (genes, people): log of the two haplotypes' mean expression."""
    rows = []
    for level, locus, sign in zip(listed(genome)["log_a"], loci, switch, strict=True):
        y = level + rules.change(locus.haplotypes[:, :3], sign, genome.rules)
        rows.append(np.log(np.exp(y).reshape(-1, 2).mean(axis=1)))
    return np.array(rows)


def _truth_genes(
    rng: np.random.Generator,
    table: pd.DataFrame,
    genome: Genome,
    loci: list[Locus],
    variants: dict[str, Variants],
    switch: np.ndarray,
    values: np.ndarray,
    setting: Setting,
) -> pd.DataFrame:
    genetic, varies, noise = peaks.noise_variance(rng, values, _LEAST_H2, setting.most_h2)
    additive = []
    for value, chrom, locus in zip(values, table["chrom"], loci, strict=True):
        alleles = variants[chrom].alleles[locus.rows]
        dosages = alleles.reshape(len(alleles), -1, 2).sum(axis=2).T
        additive.append(projected_variance(value, dosages) if len(alleles) else 0.0)
    parts = np.array([x.people().var(axis=0) for x in loci]) * np.array(genome.rules.scales) ** 2
    total = np.where(varies, parts.sum(axis=1), 1)
    shares = {f"share_{n}": parts[:, k] / total for k, n in enumerate(rules.PARTS)}
    return table[["gene_id", "split"]].assign(
        h2_additive=np.where(varies, additive, 0) / (genetic + noise),
        h2_broad=np.where(varies, genetic, 0) / (genetic + noise),
        sd_genetic=np.sqrt(genetic),
        sd_noise=np.sqrt(noise),
        mean_genetic=values.mean(axis=1),
        switch=switch.astype(int),
        gene_class=listed(genome)["gene_class"],
        **shares,
    )


def _effects(
    genome: Genome, promoter, locus: Locus, variants: Variants, switch: float
) -> pd.DataFrame:
    """Each variant's effect alone on the reference: log expression with ALT minus without."""
    parts = locus.singles[:, :3] * np.array(genome.rules.scales)
    effect = rules.change(locus.singles[:, :3], switch, genome.rules)
    kind = np.array(rules.PARTS)[np.abs(parts).argmax(axis=1)]
    names = variants.names()
    sign = 1 if promoter.strand == "+" else -1
    return pd.DataFrame(
        {
            "gene_id": promoter.gene_id,
            "variant": [names[i] for i in locus.rows],
            "effect_a": effect,
            "class": np.where((parts == 0).all(axis=1), "none", kind),
            "distance": sign * (variants.pos[locus.rows] - promoter.tss),
            "causal": np.abs(effect) >= _CAUSAL,
            "alt_frequency": variants.alleles[locus.rows].mean(axis=1),
        }
    )


# --- files --------------------------------------------------------------------------------------


def _write_genome(
    folder: Path,
    genome: Genome,
    table: pd.DataFrame,
    samples: pd.DataFrame,
    variants: dict[str, Variants],
) -> None:
    files.write_fasta(folder / "reference.fa", genome.contigs)
    rules.save(genome.rules, folder / "grammar.json")
    # What the network trains on: levels, not what they are made of.
    promoters = genome.promoters[["chrom", "tss", "strand", "gene_id", "log_a"]]
    files.write_csv(folder / "promoters.csv", promoters)
    files.write_csv(folder / "genes.csv", table)
    files.write_csv(folder / "samples.csv", samples)
    contigs = {chrom: genome.contigs[chrom] for chrom in variants}
    files.write_vcf(folder / "variants.vcf.gz", contigs, samples, variants)


def _write_peaks(
    rng: np.random.Generator,
    folder: Path,
    genome: Genome,
    loci: list[Locus],
    samples: pd.DataFrame,
    setting: Setting,
) -> None:
    """Write peaks of the promoters and enhancers."""
    rows, values = [], []
    for promoter, locus in zip(listed(genome).itertuples(), loci, strict=True):
        slot = _slot_of(genome, promoter)[1]
        reference = _parts(genome, promoter, [slot], np.zeros(1, int))[0, 3:]
        total = np.maximum(reference + locus.haplotypes[:, 3:], 0)
        values.append(peaks.of_people(total.reshape(-1, 2, len(peaks.REACH))).T)
        place = promoter.gene_id, promoter.chrom, promoter.tss
        rows += peaks.rows_of(*place, peak_centres(promoter))
    limits = _LEAST_H2, setting.most_h2
    peaks.write(rng, folder, rows, np.concatenate(values), samples, limits)
