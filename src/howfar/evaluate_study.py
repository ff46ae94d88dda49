"""A computed study's result tables: its cohort, its predictions, and the rivals, evaluated."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from . import agreement, effects, eqtl_agreement, eqtl_map, evaluate, predict, stacking, tables
from .cohort import OpenCohort, input_files, unphased_rule
from .errors import HowfarError, about
from .evaluate import Panel, Predictions
from .intervals import Gene, Variant
from .linear import baseline, transfer
from .models.base import SequenceModel
from .study import Run, Study, resolve

LEAD_SNP, TRUTH = "lead_snp", "truth"
_FEWEST = 3  # people that a correlation needs
_CACHE_BYTES = 1 << 29  # of dosages kept in memory; more are read again when asked for


def frames_of(study: Study, results: str | Path) -> tuple[dict[str, pd.DataFrame], Counter]:
    """A computed study's tables (all but `numbers`), and the counts of what was left out."""
    cohort = OpenCohort(study)
    options = study.evaluation
    panel = make_panel(cohort)
    opened = {run.id: predict.open_model(run) for run in study.runs}
    runs = [_predictions(study, run, opened[run.id], cohort, results) for run in study.runs]
    linear = baseline.finished(cohort, results)
    rivals, held = _rivals(study, panel, linear)
    runs += rivals
    truth = true_values(study)
    if truth is not None:
        runs.append(Predictions(TRUTH, truth, pd.Series(np.nan, index=truth.index)))
    frames = evaluate.evaluate(
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
        study, opened, [each.run for each in linear], with_truth=truth is not None
    )
    frames["individuals"] = evaluate.individuals_table(panel, runs, held)
    kinds = frames["runs"].set_index("run_id")["kind"]
    models = {r.run_id: r.people for r in runs if kinds[r.run_id] in agreement.KINDS}
    frames["agreement"] = agreement.agreement_table(models)
    frames["effects"] = _effects(study, opened, cohort, results)
    reach = {run: model.layout.context for run, model in opened.items()}
    summary = [effects.linear_approximation(cohort, frames["effects"], models, reach)]
    summary += _comparisons(cohort, results, opened)
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
    study: Study, panel: Panel, linear: list[baseline.Baseline]
) -> tuple[list[Predictions], dict[str, pd.DataFrame]]:
    """Predictions learned from the cohort itself, and the folds in which each was held out."""
    options = study.evaluation
    lead, folds = evaluate.lead_snp_run(
        panel, LEAD_SNP, options.folds, options.seed, options.min_maf, options.cis_window
    )
    held = {each.run["run_id"]: each.folds for each in linear}
    return [lead, *(each.predictions for each in linear)], {LEAD_SNP: folds} | held


def _comparisons(
    cohort: OpenCohort, results: str | Path, opened: dict[str, SequenceModel]
) -> list[pd.DataFrame]:
    """Rows of `summary` that `howfar transfer` and `howfar stack` have made; not outdated ones."""
    found = [transfer.load(cohort, results), stacking.load(cohort, results, opened)]
    paths = (
        path_of(results, cohort.study.name) for path_of in (transfer.path_of, stacking.path_of)
    )
    outdated = sum(path.is_file() and rows.empty for path, rows in zip(paths, found, strict=True))
    cohort.warnings["comparisons out of date (`howfar transfer`, `howfar stack`)"] += outdated
    return found


def eqtl_map_of(
    study: Study, cohort: OpenCohort, panel: Panel, results: str | Path
) -> eqtl_map.Map | None:
    """The study's cis-eQTL map: what `howfar eqtl` has made, or made now if the study says how."""
    found = eqtl_map.load(study, results)
    if found is None and study.eqtl is not None:
        return eqtl_map.compute(study, cohort, panel, results, study.eqtl)
    there = eqtl_map.path_of(results, study.name, "lead").is_file()
    cohort.warnings["cis-eQTL maps that are out of date"] += found is None and there
    return found


def _with_map(
    frames: dict[str, pd.DataFrame], mapped: eqtl_map.Map, study: Study
) -> list[pd.DataFrame]:
    """Put the map into `features` and `effects`, and give its rows of `summary`."""
    own = frames["features"]
    own = own[~own["feature"].isin(eqtl_agreement.FEATURES)]
    features = eqtl_agreement.features(mapped.lead, mapped.conditional, study.name)
    frames["features"] = tables.stack("features", [own, features], "cis-eQTL map")
    genes, pairs = frames["genes"], mapped.pairs(frames["effects"]["gene_id"])
    found = eqtl_agreement.with_slopes(frames["effects"], pairs)
    frames["effects"] = tables.stack("effects", [found], "cis-eQTL map")
    seed = study.evaluation.seed
    return [
        eqtl_agreement.signals(mapped.lead, mapped.conditional),
        eqtl_agreement.signs(found, genes, seed),
        eqtl_agreement.overlaps(found, genes, seed=seed),
        eqtl_agreement.lead_only(found, mapped.lead),
    ]


def _effects(
    study: Study, opened: dict[str, SequenceModel], cohort: OpenCohort, results: str | Path
) -> pd.DataFrame:
    """Table `effects`: what `howfar effects` has made; of an older definition, left out."""
    parts = []
    for run in study.runs:
        path = effects.path_of(results, study.name, run.id)
        if path.is_file():
            definition = effects.definition_of(study, run, opened[run.id], cohort, results)
            parts.append(effects.read(path, definition))
            cohort.warnings["runs whose variant effects are out of date"] += parts[-1].empty
    return tables.stack("effects", parts, "variant effects")


def make_panel(cohort: OpenCohort) -> Panel:
    """Expression, genes, populations and dosages of the people and genes in all inputs."""
    genes = cohort.measured(cohort.genes, "to evaluate predictions against")
    values = cohort.expression.values
    strangers = len(values) - len(genes)
    cohort.warnings["genes of the expression file that the gene table lacks"] += strangers
    _check_values(cohort, values.loc[[g.gene_id for g in genes], cohort.samples])
    columns = ("gene_id", "name", "chrom", "tss", "strand")
    table = pd.DataFrame([{c: getattr(g, c) for c in columns} for g in genes])
    populations = cohort.populations
    with about(input_files(cohort.study).get("samples", cohort.study.place)):
        return Panel(
            expression=values.loc[[g.gene_id for g in genes], cohort.samples],
            genes=table,
            populations=populations if populations is None else populations.loc[cohort.samples],
            dosages=_dosage_reader(cohort, {g.gene_id: g for g in genes}),
            units=cohort.settings.expression_units,
            log_scale=cohort.settings.log_base is not None,
            log_base=cohort.settings.log_base or math.e,
        )


def _check_values(cohort: OpenCohort, values: pd.DataFrame) -> None:
    """Too few people stop the evaluation; genes without variation are counted."""
    if values.shape[1] < _FEWEST:
        files = input_files(cohort.study)
        raise HowfarError(
            f"{files['variants']} against {files['expression']}",
            found=f"{values.shape[1]} person(s) with genotypes and expression",
            expected=f"at least {_FEWEST}, as correlations are taken across people",
            do="Add people; `howfar predict` works with one.",
        )
    seen, ranged = values.notna().any(axis=1), values.max(axis=1) > values.min(axis=1)
    cohort.warnings["genes with one expression value for everybody"] += int((seen & ~ranged).sum())
    cohort.warnings["genes whose expression is missing for everybody"] += int((~seen).sum())


def _dosage_reader(
    cohort: OpenCohort, genes: dict[str, Gene]
) -> Callable[[str], tuple[np.ndarray, list[Variant]]]:
    """A reader of dosages by gene id that keeps what fits in memory."""
    kept: dict[str, tuple[np.ndarray, list[Variant]]] = {}
    room = _CACHE_BYTES

    def read(gene_id: str) -> tuple[np.ndarray, list[Variant]]:
        """Dosages and variants of a gene, kept while there is room."""
        nonlocal room
        if gene_id not in kept:
            found = cohort.dosages(genes[gene_id], cohort.study.evaluation.cis_window)
            if found[0].nbytes > room:
                return found
            room -= found[0].nbytes
            kept[gene_id] = found
        return kept[gene_id]

    return read


def _predictions(
    study: Study, run: Run, model: SequenceModel, cohort: OpenCohort, results: str | Path
) -> Predictions:
    store = predict.open_store(study, run, model, cohort.samples, results)
    genes = finished(study, run, store, cohort)
    people, reference = predict.collect(store, genes, cohort.samples, run.transform)
    regions = pd.Series({g.gene_id: model.region_of(g.gene_id) for g in genes}, dtype=object)
    return Predictions(run.id, people, reference, None if regions.isna().all() else regions)


def true_values(study: Study) -> pd.DataFrame | None:
    """Gene x sample true genetic values of a simulated study (cell type A), or None."""
    if not study.simulate:
        return None
    path = resolve(study.cohort.reference).parent / "truth_values.parquet"
    if not path.is_file():
        return None
    long = pd.read_parquet(path, columns=["gene_id", "sample", "value_a"])
    return long.pivot(index="gene_id", columns="sample", values="value_a")


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


def finished(study: Study, run: Run, store: predict.Store, cohort: OpenCohort) -> list[Gene]:
    """The cohort's genes; HowfarError where the run has not predicted them all."""
    genes = [g for g in cohort.genes if store.has(g)]
    if len(genes) < len(cohort.genes):
        raise HowfarError(
            f"{store.path}, run {run.id}",
            found=f"predictions of {len(genes)} genes",
            expected=f"of all {len(cohort.genes)}",
            do=f"Run `howfar predict --study {study.handle} --run {run.id}`.",
        )
    return genes


def runs_table(
    study: Study,
    opened: dict[str, SequenceModel],
    rivals: Sequence[dict] = (),
    *,
    with_truth: bool,
) -> pd.DataFrame:
    """Table `runs`: the study's runs, the lead-SNP rival, linear ones, the truth where known."""
    rows = [_run_row(study, run, opened[run.id]) for run in study.runs]
    common = {"study": study.name, "units": study.cohort.expression_units}
    rows.append(
        common
        | {
            "run_id": LEAD_SNP,
            "label": "Lead SNP",
            "kind": "lead_snp",
            "model": "ordinary least squares on the lead cis-eQTL",
            "context": study.evaluation.cis_window,
            "split": f"out of fold, {study.evaluation.folds} folds of people",
            "seed": study.evaluation.seed,
        }
    )
    rows += rivals
    if with_truth:
        truth = {"run_id": TRUTH, "label": "True genetic value", "kind": "truth"}
        rows.append(common | truth | {"model": "the simulation's own function"})
    return tables.validate("runs", pd.DataFrame(rows), study.name)


def _run_row(study: Study, run: Run, model: SequenceModel) -> dict:
    descriptions = model.tracks.loc[model.track_indices(run.tracks), "description"]
    return {
        "run_id": run.id,
        "study": study.name,
        "label": _label(study, run),
        "kind": "network",
        "model": run.model,
        "weights_sha256": model.weights_sha256,
        "tracks": "; ".join(descriptions),
        "bins": str(run.bins),
        "transform": " > ".join(run.transform),
        "units": _units(run, model),
        "context": model.layout.context,
        "alleles": run.alleles or study.cohort.alleles,
        "precision": model.precision,
        "engine": model.engine,
    }


def _label(study: Study, run: Run) -> str:
    """The run's label; it says so where a prediction isn't the mean of two haplotypes."""
    return f"{run.label} (unphased dosage)" if unphased_rule(study) == "dosage" else run.label


def _units(run: Run, model: SequenceModel) -> str:
    """Units of a prediction: the model's, or their logarithm where the transform takes one."""
    if not any(step.startswith("log") for step in run.transform):
        return model.units
    return f"log of {model.units.split(',')[0]}"
