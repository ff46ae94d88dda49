"""Table `numbers`: each number that the figures show, under an id, with its definition.

One module per question; each has functions `(rows, result)` that add rows made from the study's
other tables. Ids are ``<study>.<run>.<question>.<what>``. A figure computes nothing itself: what
it prints is one of these rows, or a row of table `summary`.
"""

from __future__ import annotations

import pandas as pd

from howfar.core.threads import one_thread
from howfar.evaluation.numbers import (
    agreement,
    correlations,
    drivers,
    gene_detail,
    heritability,
    lead_eqtl,
    locus,
    pairs,
    populations,
    row_zero,
    significance,
    trends,
)
from howfar.evaluation.run_comparison import with_judged
from howfar.results import tables
from howfar.results.number_rows import Rows

#: Each adds rows from the tables of a study.
MAKERS = (
    correlations.add_reference,
    correlations.add_across,
    significance.add_numbers,
    correlations.add_within,
    trends.add_numbers,
    agreement.add_numbers,
    pairs.add_numbers,
    pairs.add_common_genes,
    pairs.add_classes,
    populations.add_numbers,
    heritability.add_numbers,
    lead_eqtl.add_numbers,
    lead_eqtl.add_map,
    drivers.add_numbers,
    drivers.add_fine_mapped,
    gene_detail.add_numbers,
    locus.add_numbers,
    row_zero.add_numbers,
)


def headline(result: tables.Tables) -> str:
    """Say in one line each run's mean correlation across people, as `numbers` has it."""
    found = result["numbers"].set_index("id")
    runs = result["runs"]["run_id"]
    ids = {run: f"{result.study}.{run}.across.pooled.mean_r" for run in runs}
    said = [
        f"{run} {found['value'][key]:.3f} ({found['n'][key]:,.0f} genes)"
        for run, key in ids.items()
        if key in found.index
    ]
    return f"mean Pearson r across people: {', '.join(said) or 'of no run'}"


def numbers_table(result: tables.Tables, draws: int = 2000, seed: int = 1) -> pd.DataFrame:
    """Table `numbers` of a study, from its other tables.

    Intervals are 95 %, by `draws` block bootstraps over `blocks_of` the genes, unless the
    definition says otherwise.
    """
    rows = Rows(result["genes"], seed, result.study, draws)
    result = with_judged(result)
    with one_thread():
        for add in MAKERS:
            add(rows, result)
    return rows.frame()
