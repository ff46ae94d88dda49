"""Variants of a table (a GWAS, credible sets) scored for every gene in reach.

Each variant is put into the reference alone, whether or not people of the cohort carry it. Its
effect on a gene's prediction stands beside a percentile among matched common variants of the
cohort, and beside the eQTL's slope where people carry it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.attribution.variant_effects import (
    SingleAlleles,
    find_units,
    raw_effects,
    read_units,
)
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.core.progress import track
from howfar.core.text import cells_of, lines_of, separator_of
from howfar.eqtl.lead import covariate_basis, filled, scan
from howfar.genome.genotypes.base import Genotypes
from howfar.genome.intervals import Gene, Interval, Variant
from howfar.genome.reference import NoSuchContig, Reference
from howfar.models.base import SequenceModel
from howfar.prediction.run import open_model
from howfar.prediction.store import Outputs, find_store, outputs_of
from howfar.study.schema import Run, Study

#: Names of columns, first come first taken.
_COLUMNS = {
    "rsid": ("rsid", "snp", "rs_id", "variant_id", "id"),
    "chrom": ("chrom", "chr", "chromosome"),
    "pos": ("pos", "position", "bp", "base_pair_location"),
    "effect_allele": ("effect_allele", "alt", "a1", "risk_allele"),
    "other_allele": ("other_allele", "ref", "a2", "non_effect_allele"),
    "trait": ("trait", "disease", "phenotype"),
}
_COMMON = 0.05
_PEOPLE = 10  # with expression, that a slope is taken over
#: Matched variants that a percentile is among, and the fewest.
NEAREST, FEWEST = 200, 50
_EXPECTED = "a table with rsid, or chrom and pos; effect_allele, other_allele; trait"


@dataclass(frozen=True)
class Listed:
    """A variant of the table on the reference. sign: 1 where its effect allele is the ALT, else -1,
    as effects are those of one more copy of the effect allele."""

    variant: Variant
    sign: int
    rsid: str
    trait: str


@dataclass
class ListedAlleles:
    """A `VariantFile` in appearance: each of its people carries one of the variants."""

    variants: Sequence[Variant]

    def __post_init__(self) -> None:
        self.frequencies = dict.fromkeys(map(str, self.variants), np.nan)

    def cluster_start(self, chrom: str, position: int) -> int:
        """No record reaches over another, as each window carries one."""
        return position

    def read(self, interval: Interval, reference: Reference, **options) -> Genotypes:
        """One person per variant that lies in `interval` with all of its REF."""
        here = [v for v in self.variants if v.start0 >= interval.start and v.end0 <= interval.end]
        calls = np.zeros((len(here), len(here), 2), np.int8)
        calls[range(len(here)), range(len(here))] = 1
        return Genotypes(
            interval.chrom,
            np.array([v.start0 for v in here], np.int64),
            np.array([v.end0 for v in here], np.int64),
            [(v.ref.encode(), v.alt.encode()) for v in here],
            calls,
            tuple(str(v) for v in here),
        )


def read_listed(path: Path, cohort: OpenCohort) -> tuple[list[Listed], Counter[str]]:
    """Read a table of variants; return those on the reference, and counts of the others.

    CSV or TSV with names of columns as GWAS summary statistics have them. rsids without a position
    are looked up among the cohort's variants around its genes. HowfarError for a table without
    rsid or place, or without alleles.
    """
    lines = list(lines_of(path, _EXPECTED))
    separator = separator_of(lines[0]) or "," if lines else ","
    rows = [cells_of(line, separator, f"{path}, line {i}") for i, line in enumerate(lines, 1)]
    header = [name.strip().lower() for name in rows[0]] if rows else []
    place = {
        key: next((header.index(n) for n in names if n in header), None)
        for key, names in _COLUMNS.items()
    }
    placed = place["chrom"] is not None and place["pos"] is not None
    alleles = place["effect_allele"] is not None and place["other_allele"] is not None
    if not alleles or not (placed or place["rsid"] is not None):
        raise HowfarError(
            f"{path}, line 1",
            found=f"the columns {', '.join(header) or 'none'}",
            expected=_EXPECTED,
            do="Rename or add the columns.",
        )
    ids = {} if placed else _positions(cohort)
    counts: Counter[str] = Counter()
    listed: dict[tuple[str, str], Listed] = {}
    for number, cells in enumerate(rows[1:], start=2):
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise HowfarError(
                f"{path}, line {number}",
                found=f"{len(cells)} values",
                expected=f"{len(header)}, one for each column",
                do="Correct the line.",
            )
        row = {k: "" if i is None else cells[i].strip() for k, i in place.items()}
        found = _on_reference(row, cohort.reference, ids, f"{path}, line {number}")
        if isinstance(found, str):
            counts[found] += 1
        else:
            listed.setdefault((str(found.variant), found.trait), found)
    return list(listed.values()), counts


def _positions(cohort: OpenCohort) -> dict[str, tuple[str, int]]:
    """Place of each id among the cohort's variants around its genes, 100 kb either side."""
    found = {}
    for gene in cohort.genes:
        length = cohort.reference.length(gene.chrom)
        ends = max(gene.start0 - 100_000, 0), min(gene.start0 + 100_000, length)
        ids = cohort.variants.ids(Interval(gene.chrom, *ends))
        found |= {name: (gene.chrom, position) for name, position in ids.items()}
    return found


def _on_reference(
    row: dict[str, str], reference: Reference, ids: dict[str, tuple[str, int]], where: str
) -> Listed | str:
    """The variant of a row; or why it is left out, to be counted."""
    chrom, pos = row["chrom"], row["pos"]
    if not (chrom and pos):
        if row["rsid"] not in ids:
            return "variants left out: their rsid is not among the cohort's variants near genes"
        chrom, place = ids[row["rsid"]]
        pos = str(place)
    if not pos.isdecimal() or pos == "0":
        raise HowfarError(
            where,
            found=f"position {pos!r}",
            expected="a whole number, 1-based",
            do="Correct the line.",
        )
    effect, other = row["effect_allele"].upper(), row["other_allele"].upper()
    if not all(a and set(a) <= set("ACGT") for a in (effect, other)) or effect == other:
        return "variants left out: alleles other than two of letters A, C, G, T"
    try:
        chrom, start = reference.contig(chrom), int(pos) - 1
    except NoSuchContig:
        return "variants left out: their contig is not in the reference"
    for ref, alt, sign in ((other, effect, 1), (effect, other, -1)):
        if reference.fetch(Interval(chrom, start, start + len(ref))).tobytes() == ref.encode():
            return Listed(Variant(chrom, int(pos), ref, alt), sign, row["rsid"], row["trait"])
    return "variants left out: neither allele is the reference's (another build, or strand)"


def score_listed(
    study: Study, run: Run, results: Path, path: Path
) -> tuple[pd.DataFrame, Counter[str]]:
    """Score a table's variants by a run, percentiles among the effects that are finished."""
    cohort, model = OpenCohort(study), open_model(run)
    listed, counts = read_listed(path, cohort)
    background = finished_effects(cohort, run, results)
    if background is None:
        counts["runs without effects (`howfar effects`) to take percentiles among"] += 1
    table = score(cohort, run, model, outputs_of(run, model), listed, background)
    reached = table["variant"].nunique() if len(table) else 0
    variants = len({each.variant for each in listed})
    counts["variants in no gene's window"] += variants - reached
    return table, cohort.warnings + counts


def finished_effects(cohort: OpenCohort, run: Run, results: Path) -> pd.DataFrame | None:
    """Return a run's finished effects of the cohort's variants; None where there are none."""
    store = find_store(cohort, run, results)
    units = None if store is None else find_units(cohort, run, store, results)
    return None if units is None else read_units(cohort, run, units)


def score(
    cohort: OpenCohort,
    run: Run,
    model: SequenceModel,
    outputs: Outputs,
    listed: Sequence[Listed],
    background: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Predict every listed variant's effect on every gene whose window it reaches into.

    background: rows of table `effects` of the run, to take percentiles among. Columns gene_id,
    gene, trait, rsid, variant, distance (position - TSS, bp), maf (in the cohort; NaN where
    nobody carries it), reference, alternate (predictions), effect (per copy of the effect
    allele), percentile (of |effect| among matched common variants), slope, p (of expression per
    copy of the effect allele, populations removed), ordered by gene.
    """
    context, parts = model.layout.context, []
    reached = []
    for gene in cohort.genes:
        window = gene.window(context, model.tss_offset(gene.strand))
        contig = cohort.reference.contig(gene.chrom)
        here = [
            each
            for each in listed
            if each.variant.chrom == contig
            and each.variant.start0 < window.end
            and each.variant.end0 > window.start
        ]
        reached += [(gene, here)] if here else []
    for gene, here in track(iter(reached), len(reached), f"{run.id}: genes in reach"):
        named = {
            str(each.variant): Variant(
                gene.chrom, each.variant.pos, each.variant.ref, each.variant.alt
            )
            for each in here
        }
        ordered = sorted(named.values(), key=lambda v: (v.start0, v.alt))
        single = SingleAlleles(cohort, people=ListedAlleles(ordered))
        every = run.model_copy(update={"alleles": "all"})
        found = raw_effects(single, every, model, outputs, gene).set_index("variant")
        measured = _measured(cohort, gene, context)
        for each in here:
            name = str(named[str(each.variant)])
            if name not in found.index:
                continue
            row = found.loc[name]
            slope, p, maf = measured.get(name, (np.nan, np.nan, np.nan))
            parts.append(
                {
                    "gene_id": gene.gene_id,
                    "gene": gene.name,
                    "trait": each.trait,
                    "rsid": each.rsid,
                    "variant": name,
                    "distance": int(row["distance"]),
                    "maf": maf,
                    "reference": row["reference"],
                    "alternate": row["alternate"],
                    "effect": each.sign * row["effect"],
                    "slope": each.sign * slope,
                    "p": p,
                }
            )
    table = pd.DataFrame(parts)
    if table.empty:
        return table
    place = list(table.columns).index("effect") + 1
    table.insert(place, "percentile", percentiles(table, background))
    return table


def _measured(
    cohort: OpenCohort, gene: Gene, context: int
) -> dict[str, tuple[float, float, float]]:
    """(slope, p, maf) of each of the cohort's variants on a gene's expression."""
    values = None if cohort.expression is None else cohort.expression.values
    if values is None or gene.gene_id not in values.index:
        return {}
    copies, variants = cohort.dosages(gene, 2 * context)
    y = values.loc[gene.gene_id, cohort.samples].to_numpy(float)
    there = np.isfinite(y)
    if not variants or there.sum() < _PEOPLE:
        return {}
    genotype = filled(copies[there].astype(float))
    covariates = cohort.panel().covariates()
    basis = covariate_basis(None if covariates is None else covariates[there], int(there.sum()))
    fit = scan(genotype, y[there], basis)
    share = genotype.mean(axis=0) / 2
    maf = np.minimum(share, 1 - share)
    rows = zip(variants, fit.slope, fit.p, maf, strict=True)
    return {str(v): (float(b), float(p), float(f)) for v, b, p, f in rows}


def percentiles(table: pd.DataFrame, background: pd.DataFrame | None) -> np.ndarray:
    """Rank |effect| among those of matched common variants, in percent: ties count half.

    The `NEAREST` common variants of the background by distance to the TSS (on a log scale) and by
    allele frequency (by distance alone where the table has none); the variant itself left out. NaN
    where there are fewer than `FEWEST`.
    """
    out = np.full(len(table), np.nan)
    if background is None:
        return out
    common = background[background["maf"] >= _COMMON].dropna(subset=["effect", "distance"])
    if len(common) <= FEWEST:
        return out
    away, size = _scaled(common["distance"]), common["effect"].abs().to_numpy(float)
    frequency = common["maf"].to_numpy(float)
    spread = max(float(away.std()), 1e-9), max(float(frequency.std()), 1e-9)
    keys = (common["gene_id"] + " " + common["variant"]).to_numpy(str)
    mine = (table["gene_id"] + " " + table["variant"]).to_numpy(str)
    for i, (d, f, effect) in enumerate(
        zip(_scaled(table["distance"]), table["maf"], table["effect"].abs(), strict=True)
    ):
        apart = ((away - d) / spread[0]) ** 2
        apart += 0 if np.isnan(f) else ((frequency - f) / spread[1]) ** 2
        apart[keys == mine[i]] = np.inf
        chosen = np.argsort(apart, kind="stable")[: min(NEAREST, len(common) - 1)]
        below, equal = (size[chosen] < effect).mean(), (size[chosen] == effect).mean()
        out[i] = 100 * (below + equal / 2)
    return out


def _scaled(distance: pd.Series) -> np.ndarray:
    return np.log10(100 + np.abs(distance.to_numpy(float)))


def agreement(table: pd.DataFrame, level: float = 0.05, draws: int = 10_000, seed: int = 1):
    """Count pairs of variant and gene whose effect has the slope's sign, of those with p <= level.

    Returns (agreeing, pairs, genes, p): p is the share of draws with as many, in each of which all
    effects on a gene keep or change their sign together, so that linkage between its variants
    stays. With few genes it can't be small.
    """
    rows = table[(table["p"] <= level) & (table["effect"] != 0)].dropna(subset=["slope"])
    sign = np.sign(rows["effect"] * rows["slope"]).to_numpy(float)
    code, names = pd.factorize(rows["gene_id"])
    by_gene = np.bincount(code, sign, minlength=len(names)) if len(rows) else np.zeros(0)
    tossed = np.random.default_rng(seed).choice([-1.0, 1.0], (draws, len(names))) @ by_gene
    p = float((1 + (tossed >= by_gene.sum() - 1e-9).sum()) / (1 + draws)) if len(rows) else np.nan
    return int((sign > 0).sum()), len(rows), len(names), p
