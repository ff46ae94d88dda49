"""Table `runs`: one row per run, with all that defines its predictions."""

from __future__ import annotations

import pandas as pd

from howfar.evaluation.inputs import LEAD_SNP, TRUTH, Inputs, Table
from howfar.prediction.store import network_row
from howfar.results import tables
from howfar.study.schema import Study


def make(inputs: Inputs) -> Table:
    """Table `runs`: networks, the lead SNP, linear models, the truth where known."""
    study = inputs.study
    rows = [network_row(study, run, inputs.stores[run.id].description) for run in inputs.predicted]
    rows.append(lead_snp_row(study))
    rows += [each.run_row for each in inputs.linear]
    if inputs.truth is not None:
        truth = {"run_id": TRUTH, "label": "True genetic value", "kind": "truth"}
        rows.append(_common(study) | truth | {"model": "the simulation's own function"})
    return Table("runs", tables.validate("runs", pd.DataFrame(rows), study.name))


def _common(study: Study) -> dict:
    return {"study": study.name, "units": study.cohort.expression_units}


def lead_snp_row(study: Study) -> dict:
    """The row of the lead-SNP predictions."""
    return _common(study) | {
        "run_id": LEAD_SNP,
        "label": "Lead SNP",
        "kind": "lead_snp",
        "model": "ordinary least squares on the lead cis-eQTL",
        "context": study.evaluation.cis_window,
        "split": f"out of fold, {study.evaluation.folds} folds of people",
        "seed": study.evaluation.seed,
    }
