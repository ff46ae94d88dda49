"""Numbers of how far two runs agree: on people gene by gene, on genes, and on variants."""

from __future__ import annotations

from howfar import stats
from howfar.evaluation import model_agreement
from howfar.evaluation.numbers.correlations import add_averages
from howfar.results import tables
from howfar.results.number_rows import Rows


def add_numbers(rows: Rows, result: tables.Tables) -> None:
    """Correlation of two runs' predictions over people, over genes, and of variants' effects."""
    table = result["agreement"].dropna(subset=["pearson"])
    for (run, other), part in table.groupby(["run_id", "other_id"]):
        over = "over genes of Pearson r over people of the two runs' predictions"
        key = f"{run}.agreement.{other}"
        names = {
            f"{key}.median": (1, f"Median {over}"),
            f"{key}.share_negative": (3, f"Share below 0 {over}"),
        }
        r = part["pearson"].to_numpy(float)
        add_averages(rows, r, part["gene_id"], names, "agreement.parquet")
    for each in model_agreement.comparisons(result):
        ids = each.both.iloc[:, 0]
        rows.over_genes(
            each.id,
            each.both[["first", "second"]],
            ids,
            stats.weighted_spearman,
            f"Spearman rho of {each.words}",
            each.source,
            each.blocks,
        )
        if each.source == "effects.parquet":
            same = (each.both["first"] * each.both["second"] > 0).sum()
            text = f"Variants with the same sign of {each.words}."
            rows.add(f"{each.id}.same_sign", same, len(ids), text, each.source)
