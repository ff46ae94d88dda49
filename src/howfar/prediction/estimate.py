"""Estimate forward passes, hours and disk of a run."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd

from howfar.cohort.files import input_files, is_here
from howfar.cohort.opened import OpenCohort
from howfar.core.project import resolve, results_folder
from howfar.study.schema import Run, Study


def estimate(studies: list[Study], results: str | Path = "results") -> pd.DataFrame:
    """Return forward passes, hours and disk of what remains of every run of the studies.

    Estimated from a few genes of each run. results: the results folder, with finished genes.
    """
    return pd.DataFrame(
        [_estimate(study, run, results_folder(results)) for study in studies for run in study.runs]
    )


def _estimate(study: Study, run: Run, results: str | Path, genes_tried: int = 8) -> dict:
    """Distinct windows per gene counted on a few genes, one batch timed, both scaled up."""
    from howfar.prediction.run import open_model
    from howfar.prediction.store import find_store, outputs_of

    row = {"study": study.name, "run": run.id}
    missing = [p.name for p in input_files(study).values() if not is_here(p)]
    weights = run.weights and resolve(run.weights)
    if missing or (weights and not weights.exists()):
        absent = missing or [f"weights {weights.name}"]
        return row | {"passes": "unknown", "note": f"not here yet: {', '.join(absent)}"}
    cohort = OpenCohort(study)
    store, every = find_store(cohort, run, results), cohort.genes_to_run()
    genes = [gene for gene in every if store is None or not store.has(gene)]
    if not genes:
        return row | {"genes": 0, "passes": "0", "note": f"all {len(every):,} genes are finished"}
    model = open_model(run)
    step = max(1, len(genes) // genes_tried)
    tried = genes[::step]
    context, alleles = model.layout.context, run.alleles
    built = [cohort.windows(g, context, model.tss_offset(g.strand), alleles) for g in tried]
    passes = sum(len(w) + 1 for w in built) / len(tried) * len(genes)
    outputs = outputs_of(run, model)
    # Those of a gene aren't known here: all take about as long.
    bins = list(range(model.layout.n_bins)) if outputs.rule else outputs.bins["+"]
    tracks = outputs.tracks
    batch = built[0].rows(0, run.batch_size)
    start = time.perf_counter()
    model.predict(batch, bins, tracks)
    seconds = (time.perf_counter() - start) / len(batch) * passes
    size = (
        passes * (1 if outputs.rule else len(bins)) * len(tracks) * 4
        + len(genes) * len(cohort.samples) * 8
    )
    return row | {
        "genes": len(genes),
        "people": len(cohort.samples),
        "passes": f"{passes:,.0f}",
        "hours": f"{seconds / 3600:.2g}",
        "disk_MB": f"{size / 1e6:.3g}",
        "memory_GB": f"{memory / 1e9:.2g}" if (memory := getattr(model, "memory", 0)) else "",
        "device": model.device,
        "note": f"{len(every) - len(genes):,} of {len(every):,} genes are finished; distinct "
        f"windows counted on {len(tried)} genes",
    }
