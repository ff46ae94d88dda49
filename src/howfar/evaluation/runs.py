"""Table `runs`: one row per run, with all that defines its predictions."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from howfar.prediction.store import Store, network_row
from howfar.results import tables
from howfar.study.schema import Study

LEAD_SNP, TRUTH = "lead_snp", "truth"


def runs_table(
    study: Study,
    stores: dict[str, Store],
    rivals: Sequence[dict] = (),
    *,
    with_truth: bool,
) -> pd.DataFrame:
    """Table `runs`: the study's runs, the lead-SNP rival, linear ones, the truth where known."""
    rows = [
        network_row(study, run, stores[run.id].description)
        for run in study.runs
        if run.id in stores
    ]
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
