"""Prepare an expression file by a recipe, and write the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from howfar.cohort.expression import read_expression
from howfar.cohort.people import read_covariates
from howfar.cohort.preprocess.base import Prepared
from howfar.core.atomic import whole
from howfar.core.errors import HowfarError, about
from howfar.core.registry import RECIPES


def prepare_expression(
    recipe: str,
    source: str | Path,
    covariates: str | Path | None = None,
    genotype_pcs: str | Path | None = None,
    pcs: int | None = None,
    tpm: str | Path | None = None,
) -> Prepared:
    """Prepare the matrix in the file `source` by a recipe of `howfar.core.registry.RECIPES`.

    source, tpm: files that `read_expression` reads, gene x sample. covariates, genotype_pcs: files
    that `read_covariates` reads. pcs: components of expression to remove; None: the recipe's
    number. HowfarError for a recipe that isn't there or has no use for what is given.
    """
    if recipe not in RECIPES or (tpm is not None and recipe != "gtex"):
        raise HowfarError(
            "howfar preprocess",
            found=f"recipe {recipe!r}" + (" with --tpm" if tpm else ""),
            expected=f"one of {', '.join(RECIPES)}; --tpm with gtex alone",
            do="Correct the recipe.",
        )
    options: dict[str, Any] = {} if pcs is None else {"pcs": pcs}
    if tpm is not None:
        options["tpm"] = read_expression(tpm).values
    values = read_expression(source).values
    people = list(values.columns)
    files = (covariates, genotype_pcs)
    tables = [None if path is None else read_covariates(path, people) for path in files]
    with about(source):
        prepared: Prepared = RECIPES.load(recipe)(values, *tables, **options)
    return prepared


def write_expression(
    values: pd.DataFrame, out: str | Path, positions_from: str | Path | None = None
) -> None:
    """Write `values` (gene x sample) atomically as .csv, .tsv or .bed, with .gz compressed.

    A BED file takes the genes' positions from the BED file `positions_from`.
    """
    out = Path(out)
    kind = Path(out.name.removesuffix(".gz")).suffix
    if kind not in (".csv", ".tsv", ".bed"):
        ends = f"a name that ends in {kind or 'nothing'}"
        formats = ".csv, .tsv or .bed, or these with .gz"
        raise HowfarError(str(out), found=ends, expected=formats, do="Rename the file.")
    table = values.rename_axis("gene_id").reset_index()
    if kind == ".bed":
        table = _positioned(table, positions_from)
    sep = "," if kind == ".csv" else "\t"
    packing = "gzip" if out.suffix == ".gz" else None
    with whole(out) as part:
        table.to_csv(part, index=False, sep=sep, lineterminator="\n", compression=packing)


def _positioned(table: pd.DataFrame, source: str | Path | None) -> pd.DataFrame:
    positions = None if source is None else read_expression(source).positions
    if positions is None:
        none = "no positions of genes"
        raise HowfarError(str(source), found=none, expected="a BED file", do="Write .csv or .tsv.")
    columns = {"chrom": "#chr", "start0": "start", "end": "end"}
    spans = positions.loc[table["gene_id"], list(columns)].rename(columns=columns)
    return pd.concat([spans.reset_index(drop=True), table], axis=1)
