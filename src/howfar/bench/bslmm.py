"""BSLMM on every gene of a study, beside the study's other linear models on the same people.

It costs as much as all of them together, so the book draws its committed table.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from howfar import stats
from howfar.cohort.opened import OpenCohort
from howfar.core.atomic import whole
from howfar.evaluation.alignment import align
from howfar.evaluation.run_comparison import summarise_pair
from howfar.linear import baseline
from howfar.stats.blocks import blocks_of
from howfar.study.schema import Study

MODEL = "bslmm"


def measure(
    studies: list[Study],
    results: str | Path,
    out: str | Path,
    cores: int = 1,
    say: Callable[[str], object] = print,
) -> pd.DataFrame:
    """Fit BSLMM and the study's other linear models on all genes, and write rows of each study.

    What is fitted is kept gene by gene in the results folder. Rows of other studies in `out` (CSV)
    stay. Columns date, study, model, genes, mean_r, ci_low, ci_high (block bootstrap), difference,
    difference_low, difference_high (BSLMM less the model, paired), wins, losses; a constant
    prediction has r = 0.
    """
    out = Path(out)
    table = pd.read_csv(out) if out.is_file() else pd.DataFrame(columns=["study"])
    for study in studies:
        models = [name for name in study.baselines.models if name != MODEL]
        for model in (*models, MODEL):
            baseline.run(study, baseline.plan_of(study, model), results, cores=cores)
            say(f"{study.name}: {model}")
        rows = compared(study, results, models)
        table = pd.concat([table[table["study"] != study.name], rows], ignore_index=True)
        with whole(out) as part:
            table[[*rows.columns]].to_csv(
                part, index=False, float_format="%.6g", lineterminator="\n"
            )
    return table


def compared(study: Study, results: str | Path, models: list[str]) -> pd.DataFrame:
    """Rows of a study whose models are fitted; genes whose expression varies between people."""
    cohort = OpenCohort(study)
    panel = cohort.panel()
    r = {}
    for model in (*models, MODEL):
        predictions = baseline.read_finished(cohort, model, results).predictions
        predicted, observed, _ = align(panel, predictions)
        found, n = stats.pearson_rows(predicted.to_numpy(float), observed.to_numpy(float))
        judged = (n >= stats.MIN_PAIRS) & (np.nanstd(observed.to_numpy(float), axis=1) > 0)
        r[model] = pd.Series(found, predicted.index)[judged]
    wide = pd.DataFrame(r).fillna(0)
    blocks, _ = blocks_of(panel.genes, wide.index)
    day, rows = datetime.now(UTC).date().isoformat(), []
    for model in wide:
        values = wide[model].to_numpy()
        low, high = stats.block_bootstrap(values, blocks, stats.weighted_mean, weighted=True)
        row = {"date": day, "study": study.name, "model": model, "genes": len(wide)}
        row |= {"mean_r": values.mean(), "ci_low": low, "ci_high": high}
        pair = wide[[MODEL, model]].set_axis(["first", "second"], axis=1)
        pair = pair.rename_axis("gene_id").reset_index()
        pair["difference"] = pair["first"] - pair["second"]
        found = summarise_pair(pair, panel.genes)
        ends = found.difference_ci if model != MODEL else (np.nan, np.nan)
        row |= {"difference": found.difference, "wins": found.wins, "losses": found.losses}
        rows.append(row | {"difference_low": ends[0], "difference_high": ends[1]})
    return pd.DataFrame(rows)
