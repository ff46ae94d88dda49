"""Effects of variants where people carry them: on each carrier's own haplotype, and averaged.

Beside the rule of `variant_effects` (the allele alone, put into the reference), the other rule of
"effect": the prediction from a haplotype that carries the allele, less that from the same haplotype
without it. Where a network is additive both are one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.attribution.listed_variants import finished_effects, percentiles
from howfar.attribution.variant_effects import SingleAlleles, raw_effects
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.genome.genotypes.base import Genotypes, VariantSource, is_resolved
from howfar.genome.intervals import Gene, Interval, Variant
from howfar.genome.reference import Reference
from howfar.models.base import SequenceModel
from howfar.prediction import transform
from howfar.prediction.run import open_model, predict_genes
from howfar.prediction.store import Outputs, outputs_of
from howfar.study.schema import Run, Study


@dataclass
class WithoutOne:
    """A `VariantFile` in appearance: each of its people is a haplotype, whole or less one allele.

    file, samples: the real variants and people. unphased: as for `VariantSource.read`. made: for
    each of its people the haplotype's number, how many people's chromosomes are that haplotype, and
    the allele that is left out ('': none); filled by `read`.
    """

    file: VariantSource
    samples: Sequence[str]
    unphased: str
    made: pd.DataFrame = field(default_factory=pd.DataFrame)
    frequencies: dict[str, float] = field(default_factory=dict)  # none: its people are no alleles

    def cluster_start(self, chrom: str, position: int) -> int:
        """As `VariantFile.cluster_start`."""
        return self.file.cluster_start(chrom, position)

    def read(self, interval: Interval, reference: Reference, **options) -> Genotypes:
        """One person per distinct haplotype, and per allele that it carries; both copies equal."""
        options |= {"samples": self.samples, "unphased": self.unphased}
        real = self.file.read(interval, reference, **options)
        flat = real.calls.reshape(len(real), -1)
        distinct, counts = np.unique(flat, axis=1, return_counts=True)
        columns, rows = [], []
        for j, (column, copies) in enumerate(zip(distinct.T, counts, strict=True)):
            columns.append(column)
            rows.append((j, copies, ""))
            for v in np.flatnonzero(column > 0):
                names = real.alleles[v]
                if not is_resolved(names[column[v]]):
                    continue
                less = column.copy()
                less[v] = 0
                ref, alt = names[0].decode(), names[column[v]].decode()
                allele = Variant(real.chrom, int(real.starts[v]) + 1, ref, alt)
                columns.append(less)
                rows.append((j, copies, str(allele)))
        self.made = pd.DataFrame(rows, columns=["haplotype", "copies", "variant"])
        calls = np.repeat(np.array(columns).T[:, :, None], 2, axis=2)
        samples = tuple(map(str, range(len(rows))))
        return Genotypes(
            real.chrom, real.starts, real.ends, real.alleles, calls, samples, real.counts
        )


def effects_on(study: Study, run: Run, results: Path, gene: str, on: str) -> pd.DataFrame:
    """Return a gene's variants with the run's raw values, effect and percentile.

    on: 'reference', or 'people' for the columns of `own_effects` beside them. Columns run_id,
    gene_id, variant, maf, distance, reference, alternate (predictions), effect, percentile (of
    |effect| among common variants of the run's finished effects; see `listed_variants`).
    """
    cohort, model = OpenCohort(study), open_model(run)
    (chosen,) = cohort.genes_to_run(gene)
    outputs = outputs_of(run, model)
    table = raw_effects(SingleAlleles(cohort), run, model, outputs, chosen)
    table.insert(0, "gene_id", chosen.gene_id)
    table.insert(0, "run_id", run.id)
    table["percentile"] = percentiles(table, finished_effects(cohort, run, results))
    if on == "people":
        table = table.merge(own_effects(cohort, run, model, outputs, chosen), "left", "variant")
    return table


def own_effects(
    cohort: OpenCohort, run: Run, model: SequenceModel, outputs: Outputs, gene: Gene
) -> pd.DataFrame:
    """Predict what each allele does on the haplotypes that carry it.

    Returns one row per allele whose REF reaches into the gene's window: variant, own (mean over the
    chromosomes that carry it, in the units of the run's prediction), own_sd (over them),
    haplotypes (distinct in the window), copies (chromosomes). HowfarError for unphased calls.
    """
    if cohort.unphased == "dosage":
        raise HowfarError(
            f"{cohort.study.place}, key cohort.unphased",
            found="'dosage': calls without phase",
            expected="phased calls, as effects on people's own haplotypes are asked for",
            do="Phase the genotypes (SHAPEIT, Beagle), or leave out --on people.",
        )
    people = WithoutOne(cohort.variants, cohort.samples, cohort.unphased)
    single = SingleAlleles(cohort, people=people)
    ((_, values, index),) = predict_genes(single, run, model, outputs, [gene])
    predicted = transform.transform(values[:, None], run.transform)[index[:, 0]]
    table = people.made.assign(value=predicted, window=index[:, 0])
    whole = table[table["variant"] == ""].set_index("haplotype")["value"]
    less = table[table["variant"] != ""]
    window = gene.window(model.layout.context, model.tss_offset(gene.strand))
    rows = []
    for name, part in less.groupby("variant", sort=False):
        chrom, position, ref, alt = str(name).rsplit(":", 3)
        allele = Variant(chrom, int(position), ref, alt)
        if allele.start0 >= window.end or allele.end0 <= window.start:
            continue
        effect = whole[part["haplotype"]].to_numpy() - part["value"].to_numpy()
        copies = part["copies"].to_numpy(float)
        mean = float(np.average(effect, weights=copies))
        spread = float(np.sqrt(np.average((effect - mean) ** 2, weights=copies)))
        rows.append((name, mean, spread, part["window"].nunique(), int(copies.sum())))
    return pd.DataFrame(rows, columns=["variant", "own", "own_sd", "haplotypes", "copies"])
