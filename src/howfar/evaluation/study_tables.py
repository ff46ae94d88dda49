"""A computed study's result tables: its cohort, its predictions, and the rivals, evaluated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from howfar.attribution import variant_effects
from howfar.attribution.variant_effects import linear_approximation
from howfar.cohort.files import input_files
from howfar.cohort.known_values import true_values
from howfar.cohort.opened import OpenCohort
from howfar.cohort.panel import Panel
from howfar.core import provenance
from howfar.core.project import resolve
from howfar.eqtl import network_agreement, study_map
from howfar.eqtl.network_agreement import FEATURES, lead_only, with_slopes
from howfar.eqtl.study_map import Map
from howfar.evaluation import model_agreement as agreement
from howfar.evaluation import transfer
from howfar.evaluation.across import across_table
from howfar.evaluation.features import features_table
from howfar.evaluation.individuals import individuals_table
from howfar.evaluation.lead_snp import lead_snp_run
from howfar.evaluation.numbers import numbers_table
from howfar.evaluation.reference import reference_table
from howfar.evaluation.runs import LEAD_SNP, TRUTH, runs_table
from howfar.evaluation.within import within_table
from howfar.linear import baseline
from howfar.prediction.store import Store, collect, finished_genes, require_store
from howfar.results import tables
from howfar.results.predictions import Predictions
from howfar.stacking import compare
from howfar.study.schema import Run, Study


def write_tables(study: Study, results: str | Path) -> Counter:
    """Write a computed study's result tables; return the counts of what was left out."""
    frames, warnings = frames_of(study, results)
    block = provenance.block(
        {"study": study.model_dump(mode="json")},
        input_files(study),
        seed=study.evaluation.seed,
        warnings=warnings,
    )
    for name, frame in frames.items():
        tables.write(tables.path_of(results, study.name, name), name, frame, block)
    write_numbers(study, results)
    return warnings


def write_numbers(study: Study, results: str | Path, own: pd.DataFrame | None = None) -> None:
    """Write table `numbers`: of the tables as they are on disk, and the study's `own`."""
    options = study.evaluation
    frame = numbers_table(tables.load(study.name, results), options.bootstrap, options.seed)
    frame = frame if own is None else pd.concat([frame, own])
    names = [n for n in tables.SCHEMAS if n not in ("individuals", "numbers")]
    # by name only: a table's digest holds its time, and the table says itself what it comes from
    used = [n for n in names if tables.path_of(results, study.name, n).exists()]
    parameters = {"study": study.name, "bootstrap": options.bootstrap, "tables": used}
    block = provenance.block(parameters, seed=options.seed)
    tables.write(tables.path_of(results, study.name, "numbers"), "numbers", frame, block)


def frames_of(study: Study, results: str | Path) -> tuple[dict[str, pd.DataFrame], Counter]:
    """A computed study's tables (all but `numbers`), and the counts of what was left out."""
    cohort = OpenCohort(study)
    options = study.evaluation
    panel = cohort.panel()
    stores = {run.id: require_store(cohort, run, results) for run in study.runs}
    runs = [_predictions(cohort, run, stores[run.id]) for run in study.runs]
    linear = baseline.finished(cohort, results)
    rivals, held = _rivals(study, panel, linear)
    runs += rivals
    truth = true_values(study)
    if truth is not None:
        runs.append(Predictions(TRUTH, truth, pd.Series(np.nan, index=truth.index)))
    frames = evaluate(
        panel,
        runs,
        study.name,
        draws=options.null_draws,
        min_maf=options.min_maf,
        window=options.cis_window,
        seed=options.seed,
    )
    features = [frames["features"], known_heritability(study)]
    frames["features"] = tables.stack("features", features, f"study {study.name}")
    frames["runs"] = runs_table(
        study, stores, [each.run_row for each in linear], with_truth=truth is not None
    )
    frames["individuals"] = individuals_table(panel, runs, held)
    kinds = frames["runs"].set_index("run_id")["kind"]
    models = {r.run_id: r.people for r in runs if kinds[r.run_id] in agreement.KINDS}
    frames["agreement"] = agreement.agreement_table(models)
    frames["effects"] = _effects(cohort, stores, results)
    reach = {run: store.description.context for run, store in stores.items()}
    summary = [linear_approximation(cohort, frames["effects"], models, reach)]
    summary += _comparisons(cohort, results)
    _add_summary(frames, summary, cohort, panel, results)
    return frames, cohort.warnings


def _add_summary(
    frames: dict[str, pd.DataFrame],
    parts: list[pd.DataFrame],
    cohort: OpenCohort,
    panel: Panel,
    results: str | Path,
) -> None:
    """Add table `summary` of `parts` and of the cis-eQTL map."""
    study, parts = cohort.study, list(parts)
    mapped = eqtl_map_of(study, cohort, panel, results)
    if mapped is not None:
        parts += _with_map(frames, mapped, study)
    frames["summary"] = tables.stack("summary", parts, f"study {study.name}")


def _rivals(
    study: Study, panel: Panel, linear: list[baseline.LinearPredictions]
) -> tuple[list[Predictions], dict[str, pd.DataFrame]]:
    """Predictions learned from the cohort itself, and the folds in which each was held out."""
    options = study.evaluation
    lead, folds = lead_snp_run(
        panel, LEAD_SNP, options.folds, options.seed, options.min_maf, options.cis_window
    )
    held = {each.run_row["run_id"]: each.folds for each in linear}
    return [lead, *(each.predictions for each in linear)], {LEAD_SNP: folds} | held


def _comparisons(cohort: OpenCohort, results: str | Path) -> list[pd.DataFrame]:
    """Rows of `summary` that `howfar transfer` and `howfar stack` have made; not outdated ones."""
    found = [transfer.load(cohort, results), compare.load(cohort, results)]
    paths = (path_of(results, cohort.study.name) for path_of in (transfer.path_of, compare.path_of))
    outdated = sum(path.is_file() and rows.empty for path, rows in zip(paths, found, strict=True))
    cohort.warnings["comparisons out of date (`howfar transfer`, `howfar stack`)"] += outdated
    return found


def eqtl_map_of(study: Study, cohort: OpenCohort, panel: Panel, results: str | Path) -> Map | None:
    """The study's cis-eQTL map: what `howfar eqtl` has made, or made now if the study says how."""
    found = study_map.load(study, results)
    if found is None and study.eqtl is not None:
        return study_map.compute(study, cohort, panel, results, study.eqtl)
    there = study_map.path_of(results, study.name, "lead").is_file()
    cohort.warnings["cis-eQTL maps that are out of date"] += found is None and there
    return found


def _with_map(frames: dict[str, pd.DataFrame], mapped: Map, study: Study) -> list[pd.DataFrame]:
    """Put the map into `features` and `effects`, and give its rows of `summary`."""
    own = frames["features"]
    own = own[~own["feature"].isin(FEATURES)]
    features = network_agreement.features(mapped.lead, mapped.conditional, study.name)
    frames["features"] = tables.stack("features", [own, features], "cis-eQTL map")
    genes, pairs = frames["genes"], mapped.pairs(frames["effects"]["gene_id"])
    found = with_slopes(frames["effects"], pairs)
    frames["effects"] = tables.stack("effects", [found], "cis-eQTL map")
    seed = study.evaluation.seed
    return [
        network_agreement.signals(mapped.lead, mapped.conditional),
        network_agreement.signs(found, genes, seed),
        network_agreement.overlaps(found, genes, seed=seed),
        lead_only(found, mapped.lead),
    ]


def _effects(cohort: OpenCohort, stores: dict[str, Store], results: str | Path) -> pd.DataFrame:
    """Table `effects`: what `howfar effects` has made; stale effects are left out and counted."""
    parts = []
    for run in cohort.study.runs:
        units = variant_effects.find_units(cohort, run, stores[run.id], results)
        if units is not None:
            parts.append(variant_effects.read_units(cohort, run, units))
        elif variant_effects.path_of(results, cohort.study.name, run.id).is_file():
            cohort.warnings["runs whose variant effects are out of date"] += 1
    return tables.stack("effects", parts, "variant effects")


def _predictions(cohort: OpenCohort, run: Run, store: Store) -> Predictions:
    genes = finished_genes(cohort, run, store)
    people, reference, regions = collect(store, genes, cohort.samples, run.transform)
    return Predictions(run.id, people, reference, None if regions.isna().all() else regions)


def known_heritability(study: Study) -> pd.DataFrame:
    """Rows of `features`: h2 of a simulated study, additive and broad-sense; empty for others.

    Additive: of the projection of the true value on the dosages of the gene's variants.
    """
    path = resolve(study.cohort.reference).parent / "truth_genes.csv" if study.simulate else None
    if path is None or not path.is_file():
        return tables.empty("features")
    truth = pd.read_csv(path)
    known = {
        "Known additive h² of the simulation": truth["h2_additive"],
        "Known broad-sense H² of the simulation": truth["h2_broad"],
    }
    parts = [
        pd.DataFrame({"gene_id": truth["gene_id"], "feature": "h2", "source": source, "value": h2})
        for source, h2 in known.items()
    ]
    return pd.concat(parts, ignore_index=True)


def evaluate(
    panel: Panel,
    runs: Sequence[Predictions],
    source: str,
    draws: int = 10_000,
    min_maf: float = 0.05,
    window: int | None = None,
    seed: int = 1,
) -> dict[str, pd.DataFrame]:
    """The tables genes, reference, across, within and features of a study, by name."""
    return {
        "genes": tables.validate("genes", panel.genes, "evaluation"),
        "reference": reference_table(panel, runs),
        "across": across_table(panel, runs, draws, seed),
        "within": within_table(panel, runs),
        "features": features_table(panel, source, min_maf, window),
    }


class Evaluable(Protocol):
    """What an evaluation takes: predictions, their row of table `runs`, folds where held out."""

    @property
    def predictions(self) -> Predictions: ...

    @property
    def run_row(self) -> dict[str, Any]: ...

    @property
    def folds(self) -> pd.DataFrame | None: ...


def evaluate_cohort(
    cohort: OpenCohort, predictions: Sequence[Evaluable], *, draws: int = 1_000
) -> tables.Tables:
    """Evaluate predictions of a cohort's people, beside the lead-SNP baseline.

    Parameters
    ----------
    cohort
        With expression.
    predictions
        What `howfar.predict` and `howfar.fit_linear` return.
    draws
        Random weightings of the gene-specific null.

    Returns
    -------
    Tables
        A mapping from table name ("runs", "genes", "reference", "across", "within", "numbers",
        ...) to a checked DataFrame.

    Examples
    --------
    >>> import howfar as hf
    >>> cohort = hf.example_cohort()
    >>> linear = hf.fit_linear(cohort, "blup", folds=2)
    >>> tables = hf.evaluate(cohort, [linear], draws=100)
    >>> tables["across"].query("population == 'pooled'")["run_id"].unique().tolist()
    ['blup', 'lead_snp']
    """
    options, panel = cohort.study.evaluation, cohort.panel()
    lead, folds = lead_snp_run(
        panel, LEAD_SNP, options.folds, options.seed, options.min_maf, options.cis_window
    )
    runs = [*(each.predictions for each in predictions), lead]
    frames = {name: tables.empty(name) for name in tables.SCHEMAS}
    frames |= evaluate(
        panel,
        runs,
        cohort.study.name,
        draws=draws,
        min_maf=options.min_maf,
        window=options.cis_window,
        seed=options.seed,
    )
    frames["runs"] = runs_table(
        cohort.study, {}, [each.run_row for each in predictions], with_truth=False
    )
    held = {each.predictions.run_id: each.folds for each in predictions if each.folds is not None}
    frames["individuals"] = individuals_table(panel, runs, held | {LEAD_SNP: folds})
    made = tables.Tables(cohort.study.name, frames)
    frames["numbers"] = numbers_table(made, options.bootstrap, options.seed)
    return made
