"""Gradients along a gene's reference window, base by base, and what they say of its variants.

One pass back through the network for each gene (Sasse et al. 2023, figures 2G, S7, S12): the
derivative of the mean over the run's bins and tracks by the one-hot sequence, before the run's
transform.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.cluster import hierarchy

from howfar.attribution.gradients import gradient
from howfar.attribution.variant_effects import effects_key
from howfar.cohort.opened import OpenCohort
from howfar.core.progress import track
from howfar.genome.intervals import Gene
from howfar.models.engine.network import NetworkModel
from howfar.prediction.run import open_model
from howfar.prediction.spans import bins_on
from howfar.prediction.store import Outputs, Store, open_store, outputs_of
from howfar.results.cache import Key, Units
from howfar.study.schema import Run, Study

LETTERS = "ACGT"
_BYTES = np.frombuffer(LETTERS.encode(), np.uint8)
#: Bases of a window whose SD is one number of a gene's profile.
WINDOW = 128


def of_gene(
    cohort: OpenCohort, model: NetworkModel, outputs: Outputs, gene: Gene
) -> tuple[np.ndarray, np.ndarray]:
    """Return the reference window (uint8) and its gradient (bases, 4), on the forward strand."""
    window = gene.window(model.layout.context, model.tss_offset(gene.strand))
    bases = cohort.reference.fetch(window)
    seen = model.orient(bases[None], gene.strand)[0]
    found = gradient(model, outputs.at(gene.strand), outputs.tracks_on(gene.strand), seen)
    turned = model.oriented and gene.strand == "-"
    return bases, found[::-1, ::-1] if turned else found


def of_bases(bases: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return each base's own gradient less the mean of the other three; of N their sum."""
    there = bases[:, None] == _BYTES
    own = np.where(there, found, 0).sum(axis=1)
    rest = (found.sum(axis=1) - own) / 3
    return np.where(there.any(axis=1), own - rest, found.sum(axis=1))


def _letter(allele: str) -> int:
    return LETTERS.find(allele) if len(allele) == 1 else -1


def key_of(run: Run, store: Store) -> Key:
    """Return the cache key of a run's gradients."""
    key = effects_key(run, store)
    return Key("gradients", key.inputs, key.settings, key.options, key.versions)


def folder_of(results: str | Path, study: str) -> Path:
    """Where a study's gradients lie, below those of its effects."""
    return Path(results) / study / "effects" / "gradients"


def compute(
    cohort: OpenCohort,
    run: Run,
    model: NetworkModel,
    store: Store,
    results: str | Path,
    genes: Sequence[Gene],
) -> Units:
    """Keep each gene's gradient, and the difference that each SNV makes in it.

    Arrays of a gene: base float32 (bases,), see `of_bases`; first, 0-based position of the first;
    variant and difference (SNVs,), gradient at ALT less that at REF. Finished genes are kept.
    """
    units = Units.open(folder_of(results, cohort.study.name), run.id, key_of(run, store))
    outputs, context = outputs_of(run, model), model.layout.context
    todo = [gene for gene in genes if not units.has(gene.gene_id)]
    for gene in track(iter(todo), len(todo), f"{run.id}: gradients"):
        bins = {gene.strand: bins_on(cohort, run, model, outputs, gene)}
        bases, found = of_gene(cohort, model, Outputs(bins, outputs.tracks_on(gene.strand)), gene)
        first = gene.start0 - model.tss_offset(gene.strand)
        names, differences = [], []
        for v in cohort.dosages(gene, 2 * context)[1]:
            at, letters = v.start0 - first, [_letter(v.ref), _letter(v.alt)]
            if min(letters) >= 0 and 0 <= at < context and bases[at] == ord(v.ref):
                names.append(str(v))
                differences.append(found[at, letters[1]] - found[at, letters[0]])
        arrays = {
            "base": of_bases(bases, found).astype(np.float32),
            "first": np.array([first]),
            "variant": np.array(names, dtype=str),
            "difference": np.array(differences, dtype=float),
        }
        units.write(gene.gene_id, arrays)
    return units


def compute_study(
    study: Study, run: Run, results: str | Path, genes: Sequence[str] | None = None
) -> None:
    """Keep the gradients of a run for `genes` (ids or names; None: all), and as many more, evenly
    spaced along the gene table, as the study says.
    """
    cohort, model = OpenCohort(study), open_model(run)
    if isinstance(model, NetworkModel):
        store = open_store(cohort, run, model, results)
        every, more = cohort.genes_to_run(), study.gradients
        named = [g for n in genes or () for g in cohort.genes_to_run(n)]
        spaced = every if genes is None else every[:: max(1, len(every) // more)] if more else []
        unique = {gene.gene_id: gene for gene in [*named, *spaced]}
        compute(cohort, run, model, store, results, list(unique.values()))


def find(cohort: OpenCohort, run: Run, store: Store, results: str | Path) -> Units | None:
    """Return a run's current gradients; None where there are none."""
    folder = folder_of(results, cohort.study.name)
    units = Units(folder / f"{run.id}-{key_of(run, store).digest}")
    return units if units.key else None


def profile(base: np.ndarray) -> np.ndarray:
    """Return the SD of each 128 bases in a row, of a gene's gradient divided by its own SD."""
    scaled = base / max(float(base.std()), 1e-300)
    return np.array([part.std() for part in np.split(scaled, range(WINDOW, len(base), WINDOW))])


def clusters(profiles: np.ndarray, count: int) -> np.ndarray:
    """Cluster profiles (genes, windows) by complete linkage, euclidean: numbers from 1 by size."""
    if len(profiles) < 2:
        return np.ones(len(profiles), int)
    tree = hierarchy.linkage(profiles, "complete")
    group = hierarchy.fcluster(tree, min(count, len(profiles)), "maxclust")
    order = pd.Series(group).value_counts(sort=True).index
    return np.array([1 + order.get_loc(number) for number in group])
