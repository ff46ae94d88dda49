"""A computed study's result tables, each by the maker that is registered under its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from howfar.cohort.files import input_files
from howfar.cohort.opened import OpenCohort
from howfar.cohort.panel import Panel
from howfar.core import provenance
from howfar.core.registry import TABLES
from howfar.evaluation import row_zero, tissues
from howfar.evaluation.across import across_table
from howfar.evaluation.features import features_table
from howfar.evaluation.individuals import individuals_table
from howfar.evaluation.inputs import LEAD_SNP, Evaluable, Inputs, read_inputs
from howfar.evaluation.lead_snp import lead_snp_run
from howfar.evaluation.numbers import numbers_table
from howfar.evaluation.reference import reference_table
from howfar.evaluation.runs import lead_snp_row
from howfar.evaluation.within import within_table
from howfar.results import policy, tables
from howfar.results.predictions import Predictions
from howfar.study.schema import Study


def write_tables(study: Study, results: str | Path, inputs: Inputs | None = None) -> Counter:
    """Write a computed study's result tables; return the counts of what was left out.

    inputs: of `read_inputs`; None: read now.
    """
    inputs = inputs or read_inputs(study, results)
    frames, warnings = _frames(inputs)
    mapped = None if inputs.eqtl_map is None else inputs.eqtl_map.key
    block = provenance.block(
        {"study": study.model_dump(exclude={"style"}), "eqtl_map": mapped},
        input_files(study),
        seed=study.evaluation.seed,
        warnings=warnings,
        policy=policy.record(study),
    )
    tables.write_all(results, study.name, frames, block)
    write_numbers(study, results)
    policy.remove_points(study, Path(results) / study.name / "figures")
    for other in tissues.further(inputs):
        counts = write_tables(other.study, other.results, other)
        warnings |= {f"{what}, {other.study.name}": n for what, n in counts.items()}
    return warnings


def write_numbers(study: Study, results: str | Path, own: pd.DataFrame | None = None) -> None:
    """Write table `numbers`: of the tables as they are on disk, and the study's `own`."""
    options = study.evaluation
    left_out = (*tables.PERSON_LEVEL, "numbers")
    made = tables.load_but(left_out, study.name, results)
    frame = numbers_table(made, options.bootstrap, options.seed)
    frame = frame if own is None else pd.concat([frame, own])
    # by name only: a table's digest holds its time, and the table says itself what it comes from
    used = [n for n in tables.names_of(results, study.name) if n not in left_out]
    parameters = {"study": study.name, "bootstrap": options.bootstrap, "tables": used}
    block = provenance.block(parameters, seed=options.seed)
    tables.write(tables.path_of(results, study.name, "numbers"), "numbers", frame, block)


def frames_of(study: Study, results: str | Path) -> tuple[dict[str, pd.DataFrame], Counter[str]]:
    """A computed study's tables (all but `numbers`), and the counts of what was left out.

    Rows that `howfar.results.policy` lets not leave are left out of all but `individuals`.
    """
    return _frames(read_inputs(study, results))


def _frames(inputs: Inputs) -> tuple[dict[str, pd.DataFrame], Counter[str]]:
    made = [inputs.table(name) for name in TABLES]
    counts = sum((table.counts for table in made), Counter())
    every = {table.name: table.frame for table in made}
    frames, few = policy.shareable(inputs.study, every, inputs.panel)
    return frames, inputs.cohort.warnings + counts + few


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
        ...) to a checked DataFrame. Of private people, values of fewer than the study's
        `min_people` are left out, as from files.

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
    rows = [*(each.run_row for each in predictions), lead_snp_row(cohort.study)]
    frames["runs"] = tables.validate("runs", pd.DataFrame(rows), cohort.study.name)
    held = {each.predictions.run_id: each.folds for each in predictions if each.folds is not None}
    zero = row_zero.rows(panel, options)
    frames["summary"] = tables.stack("summary", [zero], cohort.study.name)
    frames["individuals"] = individuals_table(panel, runs, held | {LEAD_SNP: folds})
    frames, few = policy.shareable(cohort.study, frames, panel)
    cohort.warnings += few
    made = tables.Tables(cohort.study.name, frames)
    frames["numbers"] = numbers_table(made, options.bootstrap, options.seed)
    return made
