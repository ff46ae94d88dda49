"""Table `runs`: one row per run, with all that defines its predictions."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from howfar.cohort.files import unphased_rule
from howfar.prediction.store import RunDescription, Store
from howfar.results import tables
from howfar.study.schema import Run, Study

LEAD_SNP, TRUTH = "lead_snp", "truth"


def runs_table(
    study: Study,
    stores: dict[str, Store],
    rivals: Sequence[dict] = (),
    *,
    with_truth: bool,
) -> pd.DataFrame:
    """Table `runs`: the study's runs, the lead-SNP rival, linear ones, the truth where known."""
    rows = [_run_row(study, run, stores[run.id].description) for run in study.runs]
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


def _run_row(study: Study, run: Run, network: RunDescription) -> dict:
    return {
        "run_id": run.id,
        "study": study.name,
        "label": _label(study, run),
        "kind": "network",
        "model": run.model,
        "weights_sha256": network.weights_sha256,
        "tracks": "; ".join(network.tracks),
        "bins": str(run.bins),
        "transform": " > ".join(run.transform),
        "units": _units(run, network),
        "context": network.context,
        "alleles": run.alleles or study.cohort.alleles,
        "precision": network.precision,
        "engine": network.engine,
    }


def _label(study: Study, run: Run) -> str:
    """The run's label; it says so where a prediction isn't the mean of two haplotypes."""
    return f"{run.label} (unphased dosage)" if unphased_rule(study) == "dosage" else run.label


def _units(run: Run, network: RunDescription) -> str:
    """Units of a prediction: the model's, or their logarithm where the transform takes one."""
    if not any(step.startswith("log") for step in run.transform):
        return network.units
    return f"log of {network.units.split(',')[0]}"
