"""PrediXcan as trained by the SAGE-net study (2024) on ROSMAP: r across people per gene.

The elastic nets were trained on 80 % of the people of ROSMAP, their penalty chosen on 10 % and
tested on the last 10 %, and tested on GTEx as they were. How many people that are isn't in the
tables, so that p and intervals of single genes are missing.
"""

from __future__ import annotations

import pandas as pd

from howfar import stats
from howfar.published.files import Files
from howfar.results.number_rows import Rows
from howfar.study.schema import Study

ROSMAP = "sagenet2024/rosmap_pearson_corr.csv"
GTEX = "sagenet2024/gtex_pearson_corr.csv"
POSITIONS = "sasse2023/gene-ids-and-positions.tsv"
_COLUMNS = {"train_pearson": "training", "val_pearson": "validation", "test_pearson": "pooled"}
_LABELS = {"predixcan": "PrediXcan, ROSMAP test people", "predixcan_gtex": "PrediXcan, GTEx people"}


def load(study: Study, files: Files) -> dict[str, pd.DataFrame]:
    """Tables runs, genes, across and numbers.

    Population 'pooled': the people on whom nothing was fitted (ROSMAP's test people, all of GTEx);
    'training' and 'validation': the others of ROSMAP. Genes without r in a column have no row.
    """
    rosmap = _correlations(files, ROSMAP, "ensgs", list(_COLUMNS))
    gtex = _correlations(files, GTEX, "Unnamed: 0", ["pearson"])
    parts = [_rows("predixcan", name, rosmap[column]) for column, name in _COLUMNS.items()]
    across = pd.concat([*parts, _rows("predixcan_gtex", "pooled", gtex["pearson"])])
    genes = _genes(files, rosmap.index.union(gtex.index))
    return {
        "runs": _runs(study.name),
        "genes": genes,
        "across": across,
        "numbers": _numbers(rosmap["test_pearson"].dropna(), genes),
    }


def _correlations(files: Files, name: str, key: str, columns: list[str]) -> pd.DataFrame:
    """Columns of r by gene id; HowfarError for repeated genes and r beyond 1."""
    frame = files.table(name, [key], columns).set_index(key).rename_axis("gene_id")
    outside = int((frame.abs() > 1).to_numpy().sum())
    if frame.index.duplicated().any() or frame.index.isna().any() or outside:
        raise files.bad(name, f"repeated genes, {outside} r beyond 1", "one row per gene")
    return frame


def _rows(run: str, population: str, r: pd.Series) -> pd.DataFrame:
    given = r.dropna()
    return pd.DataFrame(
        {"run_id": run, "gene_id": given.index, "population": population, "pearson": given}
    )


def _genes(files: Files, wanted: pd.Index) -> pd.DataFrame:
    """Name, chromosome, TSS (hg38, 1-based) and strand; missing where the list has no such gene."""
    text = ["gene_id", "gene_name", "chr_hg38", "strand_hg38"]
    frame = files.table(POSITIONS, text, ["tss_hg38"], sep="\t").set_index("gene_id")
    if frame.index.duplicated().any() or not len(wanted.intersection(frame.index)):
        raise files.bad(POSITIONS, "repeated genes, or none of the study's", "one row per gene")
    frame.columns = ["name", "chrom", "strand", "tss"]
    return frame.reindex(wanted).rename_axis("gene_id").reset_index()


def _runs(study: str) -> pd.DataFrame:
    common = {
        "study": study,
        "kind": "linear",
        "model": "PrediXcan",
        "transform": "dosages > elastic net",
        "context": 40_000,
        "alleles": "all",
        "split": "80 % of ROSMAP's people trained, 10 % chose the penalty, 10 % and GTEx tested",
    }
    rows = [common | {"run_id": run, "label": label} for run, label in _LABELS.items()]
    return pd.DataFrame(rows).assign(population=["ROSMAP, test people", "GTEx"])


def _numbers(test: pd.Series, genes: pd.DataFrame) -> pd.DataFrame:
    rows = Rows(genes)
    rows.over_genes(
        "G.rosmap.test",
        test,
        test.index,
        stats.weighted_mean,
        "Mean over genes of "
        "PrediXcan's r across the test people of ROSMAP, genes without r left out",
        ROSMAP.split("/")[1],
    )
    return rows.frame()
