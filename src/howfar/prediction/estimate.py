"""Estimate forward passes, hours and disk of a run."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.cohort.files import input_files, is_here
from howfar.cohort.opened import OpenCohort
from howfar.core.project import resolve, results_folder
from howfar.genome.windows import Windows
from howfar.models.base import SequenceModel
from howfar.study.schema import Run, Study

#: CPU seconds after which no further block is timed, and blocks at most.
_BUDGET, _BLOCKS = 10.0, 4
#: CPU seconds until this module was there: what modules take to load, in a step too.
_STARTED = time.process_time()


def estimate(studies: list[Study], results: str | Path = "results") -> pd.DataFrame:
    """Return forward passes, hours and disk of what remains of every run of the studies.

    Estimated from a few genes of each run, at the rate that this machine has now: on a CPU by its
    time and the threads in use, so that other work on it doesn't count. results: the results
    folder, with finished genes.
    """
    return pd.DataFrame(
        [_estimate(study, run, results_folder(results)) for study in studies for run in study.runs]
    )


def _estimate(study: Study, run: Run, results: str | Path, genes_tried: int = 8) -> dict:
    """Distinct windows per gene counted on a few genes, some blocks timed, both scaled up."""
    from howfar.prediction.run import open_model
    from howfar.prediction.store import find_store, outputs_of

    row = {"study": study.name, "run": run.id}
    missing = [p.name for p in input_files(study).values() if not is_here(p)]
    weights = run.weights and resolve(run.weights)
    if missing or (weights and not weights.exists()):
        absent = missing or [f"weights {weights.name}"]
        return row | {"passes": "unknown", "note": f"not here yet: {', '.join(absent)}"}
    begun = time.process_time()
    cohort = OpenCohort(study)
    store, every = find_store(cohort, run, results), cohort.genes_to_run()
    genes = [gene for gene in every if store is None or not store.has(gene)]
    if not genes:
        return row | {"genes": 0, "passes": "0", "note": f"all {len(every):,} genes are finished"}
    model = open_model(run)
    model.compared = True  # with the plain engine, once: no part of a window's time
    step = max(1, len(genes) // genes_tried)
    tried = genes[::step]
    context, alleles = model.layout.context, run.alleles
    opened = time.process_time()
    built = [cohort.windows(g, context, model.tss_offset(g.strand), alleles) for g in tried]
    building = (time.process_time() - opened) / len(tried) * len(genes)
    passes = sum(len(w) + 1 for w in built) / len(tried) * len(genes)
    outputs = outputs_of(run, model, every=True)
    # Those of a gene aren't known here: all take about as long.
    bins = list(range(model.layout.n_bins)) if outputs.rule else outputs.bins["+"]
    tracks = outputs.tracks
    each, spread = _seconds_a_window(model, run, built, bins, tracks)
    # The start of a step is as this command's has been: modules, weights, files.
    seconds = _STARTED + (opened - begun) + building + each * passes
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
        f"windows counted on {len(tried)} genes; {spread}",
    }


def _seconds_a_window(
    model: SequenceModel, run: Run, built: list[Windows], bins: list[int], tracks: list[int]
) -> tuple[float, str]:
    """(seconds of a window at the rate of whole blocks, as a run has them; how it was timed).

    On a CPU its time over the threads, else the clock's. A network so slow that one batch takes
    longer than `_BUDGET` is timed on that alone, without what windows share.
    """
    cpu = model.device == "cpu"
    clock = time.process_time if cpu else time.perf_counter

    def timed(windows: np.ndarray) -> float:
        """Return the seconds of predicting `windows`."""
        begun = clock()
        model.predict(windows, bins, tracks)
        return clock() - begun

    first = built[0].rows(0, run.batch_size)
    spent, done = timed(first), len(first)
    blocks = [each.rows(0, model.windows_at_once) for each in built[:_BLOCKS]]
    if spent < _BUDGET:  # the first batch warms up
        spent, done = 0.0, 0
        for block in blocks:
            spent, done = spent + timed(block), done + len(block)
            if spent > _BUDGET:
                break
    threads = _threads() if cpu else 1
    how = f"CPU time over {threads} threads" if cpu else "the clock"
    return spent / done / threads, f"{how}, {done} windows timed"


def _threads() -> int:
    """Threads that a network uses here; 1 where there is no PyTorch."""
    torch = sys.modules.get("torch")
    return 1 if torch is None else int(torch.get_num_threads())
