"""Looks at a study before it is run: whether its files, people, genes and networks fit together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from howfar.cohort.files import input_files, is_here
from howfar.cohort.opened import OpenCohort
from howfar.cohort.panel import FEWEST
from howfar.core.errors import HowfarError, no_such_file
from howfar.core.project import resolve
from howfar.genome.genes import strip_version
from howfar.prediction.run import open_model
from howfar.prediction.store import outputs_of, stores_of
from howfar.study.schema import Run, Study


@dataclass(frozen=True)
class Look:
    """What was looked at, what was seen, and the error where something lacks."""

    what: str
    seen: str
    error: HowfarError | None = None


def look_at(study: Study) -> Iterator[Look]:
    """Look at contigs, people and genes of a study's files, and at its networks; one line each.

    Nothing of a study of published tables, and of files that aren't there (see
    `cohort.files.require_inputs`).
    """
    files = input_files(study)
    if not files or not all(map(is_here, files.values())):
        return
    cohort = OpenCohort(study)
    yield _look("contigs", lambda: _contigs(cohort))
    yield _look("people", lambda: _people(cohort))
    yield _look("genes", lambda: _genes(cohort))
    if study.eqtl is not None and study.eqtl.covariates is not None:
        yield _look("covariates", lambda: _covariates(study))
    for run in study.runs:
        yield _look(f"run {run.id}", lambda run=run: _network(run))


def require_looks(study: Study, results: Path, runs: Sequence[Run] | None = None) -> None:
    """Raise HowfarError for the first thing that a study lacks, before its first prediction.

    runs: those that are to be predicted; None: all. Nothing is looked at where one of them has
    been begun (it was then), where files are yet to be simulated, and at networks that the study
    trains.
    """
    runs = study.runs if runs is None else runs
    if any(stores_of(study.name, run, results) for run in runs):
        return
    trained = study.trained_weights
    runs = [run for run in runs if run.weights is None or resolve(run.weights) not in trained]
    # On the CPU: a network that is only looked at is not to hold a GPU while others run.
    runs = [run.model_copy(update={"device": "cpu"}) for run in runs]
    for look in look_at(study.model_copy(update={"runs": runs})):
        if look.error is not None:
            raise look.error


def _look(what: str, see: Callable[[], str]) -> Look:
    try:
        return Look(what, see())
    except HowfarError as error:
        return Look(what, f"LACKING: {error}", error)


def _contigs(cohort: OpenCohort) -> str:
    genes = cohort.genes
    names = ", ".join(dict.fromkeys(gene.chrom for gene in genes))
    left = [f"{words}: {n}" for words, n in cohort.warnings.items() if "left out" in words]
    return "; ".join([f"{len(genes):,} genes on contigs of all files ({names})", *left])


def _genes(cohort: OpenCohort) -> str:
    genes = cohort.genes_to_run()
    if cohort.expression is None:
        return f"{len(genes):,}; no expression, so nothing to evaluate or to train on"
    ids, rows = {gene.gene_id for gene in cohort.genes}, set(cohort.expression.values.index)
    plain = {strip_version(name) for name in ids} & {strip_version(name) for name in rows}
    seen = f"{len(ids):,} in the gene table, {len(rows):,} with expression, {len(genes):,} in both"
    more = len(plain) - len(genes)
    return f"{seen}; {more:,} more without versions (`gene_versions: strip`)" if more > 0 else seen


def _people(cohort: OpenCohort) -> str:
    kept = cohort.samples
    parts = [f"{len(cohort.variants.samples):,} with genotypes"]
    if cohort.expression is not None:
        parts.append(f"{cohort.expression.values.shape[1]:,} with expression")
        if len(kept) < FEWEST:
            parts.append(f"too few to evaluate, which takes {FEWEST}")
    return ", ".join([*parts, f"{len(kept):,} in all files"])


def _covariates(study: Study) -> str:
    path = resolve(study.eqtl.covariates)
    if not path.is_file():
        raise no_such_file(path, "covariates of an eQTL map", "Correct `eqtl.covariates`.")
    return "here"


def _network(run: Run) -> str:
    model = open_model(run)
    outputs = outputs_of(run, model)
    bins = outputs.rule or ",".join(map(str, outputs.bins["+"]))
    names = model.tracks.loc[outputs.tracks, "description"]
    tracks = "; ".join(str(text) for text in names[:3]) + (" ..." if len(names) > 3 else "")
    weights = model.weights_sha256[:12]
    return f"{model.name} on {model.device}, bins {bins}, tracks {tracks}, weights {weights}"
