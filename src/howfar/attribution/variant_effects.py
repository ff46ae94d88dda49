"""Variant effects: what each variant of a cohort does to a prediction, by itself.

The effect of an alternative allele is the prediction from the reference with this allele alone put
in, less the prediction from the reference. Windows are those of `genome.windows`, made for people
of whom each carries one allele and no other, so that the rules (anchor on the TSS, sides filled
from the haplotype) are the same as for real people.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar import stats
from howfar.cohort.files import input_files
from howfar.cohort.opened import OpenCohort
from howfar.core import provenance
from howfar.core.errors import HowfarError
from howfar.core.progress import track
from howfar.core.versions import versions_of
from howfar.genome.genotypes.base import Genotypes, is_resolved
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.intervals import Gene, Interval, Variant
from howfar.genome.reference import Reference
from howfar.genome.windows import Windows, build_windows
from howfar.models.base import SequenceModel
from howfar.prediction import transform
from howfar.prediction.run import open_model, predict_genes, run_in_memory
from howfar.prediction.store import Outputs, Store, open_store, outputs_of
from howfar.results import tables
from howfar.results.cache import Key, Units
from howfar.study.schema import Run, Study

#: Name of these effects in the column `source` of table `effects`.
SOURCE = "model"
# Phase plays no part in what a single allele does; any rule but 'error' reads unphased calls.
_ANY_PHASE = "random(0)"


@dataclass
class OneAlleleEach:
    """A `VariantFile` in appearance: each of its people carries one allele of the real file.

    file, samples: the real variants, and whose alleles are meant. An allele that none of them
    carries is left out. `frequencies`: of each allele among their calls, by its name, filled by
    `read`.
    """

    file: VariantFile
    samples: Sequence[str]
    frequencies: dict[str, float] = field(default_factory=dict)

    def cluster_start(self, chrom: str, position: int) -> int:
        """As `VariantFile.cluster_start`: a record is read whole or not at all."""
        return self.file.cluster_start(chrom, position)

    def read(self, interval: Interval, reference: Reference, **options) -> Genotypes:
        """One person per allele carried in `interval`; `options` as for `VariantFile.read`."""
        options |= {"samples": self.samples, "unphased": _ANY_PHASE}
        return self._one_each(self.file.read(interval, reference, **options))

    def _one_each(self, real: Genotypes) -> Genotypes:
        places: dict[Variant, tuple[int, int]] = {}
        for v, k, share in _carried(real):
            names = real.alleles[v]
            position = int(real.starts[v]) + 1
            variant = Variant(real.chrom, position, names[0].decode(), names[k].decode())
            if variant not in places:  # a record that stands in the file twice counts once
                places[variant] = v, k
                self.frequencies[str(variant)] = share
        calls = np.zeros((len(real), len(places), 2), real.calls.dtype)
        for person, (v, k) in enumerate(places.values()):
            calls[v, person] = k
        return Genotypes(
            real.chrom,
            real.starts,
            real.ends,
            real.alleles,
            calls,
            tuple(str(variant) for variant in places),
            real.counts,
        )


def _carried(real: Genotypes) -> Iterator[tuple[int, int, float]]:
    """(record, allele, frequency) of each sequence-resolved alternative allele that is carried."""
    for v, alleles in enumerate(real.alleles):
        called = max(int((real.calls[v] >= 0).sum()), 1)
        for k in range(1, len(alleles)):
            copies = int((real.calls[v] == k).sum())
            if copies and is_resolved(alleles[k]):
                yield v, k, copies / called


@dataclass
class SingleAlleles:
    """A cohort in appearance: its windows carry one allele each (see `OneAlleleEach`).

    The last gene's windows are kept in `built`, with the frequencies of their alleles.
    """

    cohort: OpenCohort
    built: Windows | None = None
    frequencies: dict[str, float] = field(default_factory=dict)
    people: Any = None  # whose windows; None: `OneAlleleEach` of the cohort

    def windows(self, gene: Gene, length: int, tss_offset: int, alleles: str | None) -> Windows:
        """Windows of `length` bp around the gene's TSS, one per allele; `samples` names them."""
        people = self.people or OneAlleleEach(self.cohort.variants, self.cohort.samples)
        settings = self.cohort.settings
        self.built = build_windows(
            self.cohort.reference,
            people,
            gene,
            length,
            tss_offset=tss_offset,
            alleles=alleles or settings.alleles,
            max_ref_mismatch=settings.max_ref_mismatch,
        )
        self.frequencies = people.frequencies
        return self.built


def gene_effects(
    cohort: OpenCohort, run: Run, model: SequenceModel, outputs: Outputs, gene: Gene
) -> pd.DataFrame:
    """Rows of table `effects` of one gene: each allele whose REF reaches into its window.

    effect: in the units of the run's prediction, transformed on one haplotype. maf: the lower of
    the allele's frequency and the rest, among the cohort's people. distance: position - TSS in bp,
    not signed by strand. outputs: bins by strand and tracks.
    """
    found = raw_effects(SingleAlleles(cohort), run, model, outputs, gene)
    found = found.drop(columns=["reference", "alternate"])
    return found.assign(run_id=run.id, gene_id=gene.gene_id, source=SOURCE)


def raw_effects(
    single: SingleAlleles, run: Run, model: SequenceModel, outputs: Outputs, gene: Gene
) -> pd.DataFrame:
    """Return variant, maf, distance, reference, alternate (predictions) and effect, by allele."""
    found, values, rows = _single_values(single, run, model, outputs, gene)
    on_one = transform.transform(values[:, None], run.transform)
    found["reference"], found["alternate"] = on_one[0], on_one[rows]
    found["effect"] = on_one[rows] - on_one[0]
    return found


#: How the differences of several tracks become one score of a variant.
SCORES = {
    "mean": lambda difference: difference.mean(axis=1),
    "abs": lambda difference: np.abs(difference).mean(axis=1),
}


def track_scores(
    cohort: OpenCohort,
    run: Run,
    model: SequenceModel,
    outputs: Outputs,
    gene: Gene,
    wanted: str,
    score: str,
) -> pd.DataFrame:
    """One score per variant of a gene's window over many tracks.

    wanted: 'all', or a regular expression that a track's description must contain. score: 'mean',
    the mean over tracks of alternative less reference, each the mean over the run's bins on the
    linear scale; 'abs', the mean of the size. Columns variant, maf, distance (position - TSS, bp),
    score, reference and alternate (means over tracks), tracks (how many), top_track (description
    of the one that changes most).
    """
    tracks = matching_tracks(model, wanted)
    if score not in SCORES:
        raise HowfarError(
            "--score",
            found=f"{score!r}",
            expected=" or ".join(SCORES),
            do="Correct --score.",
        )
    several = replace(outputs, tracks=tracks, minus=None)
    found, values, rows = _single_values(SingleAlleles(cohort), run, model, several, gene)
    of_bins = values.mean(axis=1, dtype=np.float64)
    difference = of_bins[rows] - of_bins[0]
    top = np.asarray(tracks)[np.abs(difference).argmax(axis=1)]
    found["score"] = SCORES[score](difference)
    found["reference"], found["alternate"] = of_bins[0].mean(), of_bins[rows].mean(axis=1)
    found["tracks"] = len(tracks)
    return found.assign(top_track=model.tracks["description"].loc[top].to_numpy())


def score_tracks(
    study: Study, runs: Sequence[Run], gene: str, wanted: str, score: str
) -> pd.DataFrame:
    """Return `track_scores` of a gene (id or name) for each run, with run_id and gene_id."""
    cohort, parts = OpenCohort(study), []
    (chosen,) = cohort.genes_to_run(gene)
    for run in runs:
        model = open_model(run)
        table = track_scores(cohort, run, model, outputs_of(run, model), chosen, wanted, score)
        table.insert(0, "gene_id", chosen.gene_id)
        table.insert(0, "run_id", run.id)
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def matching_tracks(model: SequenceModel, wanted: str) -> list[int]:
    """Return the numbers of tracks: 'all', or those in whose description a pattern is found."""
    descriptions = model.tracks["description"].astype(str)
    found = f"no track of {len(descriptions):,} that it fits"
    try:
        fits = re.compile("" if wanted == "all" else wanted).search
        chosen = np.array([fits(text) is not None for text in descriptions])
    except re.error as error:
        chosen, found = np.zeros(1, bool), f"no regular expression ({error})"
    if not chosen.any():
        raise HowfarError(
            f"--tracks {wanted!r}",
            found=f"model {model.name}: {found}",
            expected="'all', or a regular expression found in descriptions of tracks",
            do="Correct --tracks.",
        )
    return [int(number) for number in model.tracks.index[chosen]]


def _single_values(
    single: SingleAlleles, run: Run, model: SequenceModel, outputs: Outputs, gene: Gene
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """(variant, maf, distance of each allele that reaches into the window; raw values; its row).

    Row 0 of the values (windows, bins, tracks) is the reference's.
    """
    ((_, values, index),) = predict_genes(single, run, model, outputs, [gene])
    rows = [_row(name, single.frequencies[name], gene) for name in single.built.samples]
    found = pd.DataFrame(rows, columns=["variant", "maf", "distance", "start0", "end0"])
    window = gene.window(model.layout.context, model.tss_offset(gene.strand))
    inside = (found["start0"] < window.end) & (found["end0"] > window.start)
    kept = found[inside].drop(columns=["start0", "end0"])
    return kept, values, index[inside.to_numpy(), 0]


def _row(name: str, frequency: float, gene: Gene) -> tuple[str, float, int, int, int]:
    chrom, position, ref, alt = name.rsplit(":", 3)
    variant = Variant(chrom, int(position), ref, alt)
    minor = min(frequency, 1 - frequency)
    return name, minor, variant.start0 - gene.start0, variant.start0, variant.end0


def predict_effects(
    cohort: OpenCohort,
    model: SequenceModel,
    gene: str,
    *,
    tracks: Sequence[int | str | dict] = (0,),
    bins: str | Sequence[int] | None = None,
    transform: Sequence[str] = ("sum_bins", "mean_tracks", "mean_haplotypes"),
    alleles: str | None = None,
) -> pd.DataFrame:
    """Predict each variant of a gene's window by itself, in memory.

    Parameters
    ----------
    cohort, model, tracks, bins, transform, alleles
        As of `howfar.predict`.
    gene
        A gene id or name.

    Returns
    -------
    pandas.DataFrame
        variant (chrom:pos:ref:alt, pos 1-based), maf, distance (position - TSS, bp) and effect:
        the prediction with this allele alone, less that from the reference.

    Examples
    --------
    >>> import howfar as hf
    >>> cohort, model = hf.example_cohort(), hf.load_model("gc-content")
    >>> effects = hf.variant_effects(cohort, model, "demo0001", bins="centre1")
    >>> list(effects.columns)
    ['variant', 'maf', 'distance', 'effect']
    """
    run = run_in_memory(model, tracks, bins, transform, alleles)
    rows = gene_effects(cohort, run, model, outputs_of(run, model), cohort.gene(gene))
    return rows[list(_COLUMNS)].reset_index(drop=True)


def path_of(results: str | Path, study: str, run: str) -> Path:
    """Where a run's variant effects lie as one table."""
    return Path(results) / study / "effects" / f"{run}.parquet"


def open_units(cohort: OpenCohort, run: Run, store: Store, results: str | Path) -> Units:
    """Return the finished genes' effects of a run whose predictions are in `store`."""
    parent = path_of(results, cohort.study.name, run.id).parent
    return Units.open(parent, run.id, effects_key(run, store))


def effects_key(run: Run, store: Store) -> Key:
    """Return the key of a run's effects: that of its raw values, and its transform."""
    kept = store.units.key
    options = kept["options"] | {"transform": list(run.transform)}
    versions = kept["versions"] | versions_of("attribution")
    return Key("effects", kept["inputs"], kept["settings"], options, versions)


def compute(
    study: Study, run: Run, results: str | Path, genes: Sequence[str] | None = None
) -> tuple[pd.DataFrame, Counter]:
    """Write the variant effects of a run for `genes` (ids or names; None: all of the gene table).

    Finished genes are kept. Returns the table of all that are finished and what was counted.
    """
    cohort, model = OpenCohort(study), open_model(run)
    store = open_store(cohort, run, model, results)
    units = open_units(cohort, run, store, results)
    named = (
        cohort.genes_to_run()
        if genes is None
        else [g for n in genes for g in cohort.genes_to_run(n)]
    )
    chosen = list({g.gene_id: g for g in named}.values())  # named twice, or by id and by name
    todo = [g for g in chosen if not units.has(g.gene_id)]
    outputs = outputs_of(run, model)
    effects_of = ((g, gene_effects(cohort, run, model, outputs, g)) for g in todo)
    done = len(chosen) - len(todo)
    for gene, rows in track(effects_of, len(chosen), f"{run.id}: effects", done=done):
        units.write(gene.gene_id, _arrays(rows))
    table = read_units(cohort, run, units)
    block = provenance.block(units.key, input_files(study))
    tables.write(path_of(results, study.name, run.id), "effects", table, block)
    return table, cohort.warnings


_COLUMNS = ("variant", "maf", "distance", "effect")


def _arrays(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    kinds = {"variant": str} | dict.fromkeys(_COLUMNS[1:], float)
    return {name: rows[name].to_numpy(kind) for name, kind in kinds.items()}


def read_units(cohort: OpenCohort, run: Run, units: Units) -> pd.DataFrame:
    """Return table `effects` of the genes of the cohort that are finished."""
    parts = [
        pd.DataFrame(units.read(gene.gene_id).arrays).assign(
            run_id=run.id, gene_id=gene.gene_id, source=SOURCE
        )
        for gene in cohort.genes
        if units.has(gene.gene_id)
    ]
    return tables.stack("effects", parts, f"run {run.id}")


def find_units(
    cohort: OpenCohort, run: Run, store: Store | None, results: str | Path
) -> Units | None:
    """Return a run's current effects; None where there are none, or of older predictions only."""
    if store is None:
        return None
    parent = path_of(results, cohort.study.name, run.id).parent
    units = Units(parent / f"{run.id}-{effects_key(run, store).digest}")
    return units if units.key else None


def linear_approximation(
    cohort: OpenCohort,
    effects: pd.DataFrame,
    people: dict[str, pd.DataFrame],
    reach: dict[str, int],
) -> pd.DataFrame:
    """Does the sum of a person's variant effects give the person's prediction? Table `summary`.

    effects: table `effects`. people: run_id to predictions (gene_id x sample). reach: run_id to the
    model's context in bp. One row per run (`method`) and gene (`group`) of the set
    'linear_approximation': Pearson r over people of the sum of effects times copies with the
    prediction, with Fisher's interval. Missing calls count as reference, as in the windows.
    """
    rows = []
    genes = {gene.gene_id: gene for gene in cohort.genes}
    for (run, gene), part in effects.groupby(["run_id", "gene_id"]):
        if gene not in people[run].index:
            continue
        copies, variants = cohort.dosages(genes[gene], 2 * reach[run])
        effect = part.set_index("variant")["effect"].astype(float)
        names = pd.Index([str(v) for v in variants])
        effect = effect.reindex(names).fillna(0).to_numpy()
        effect = np.where(names.duplicated(), 0, effect)  # a record that stands twice counts once
        total = np.nan_to_num(copies.astype(float)) @ effect
        r, n = stats.pearson_rows(total, people[run].loc[gene, cohort.samples].to_numpy(float))
        low, high = stats.fisher_interval(r, n)
        rows.append(("linear_approximation", run, gene, r[0], n[0], low[0], high[0]))
    columns = ["set", "method", "group", "value", "n", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=columns).assign(units="Pearson r")
