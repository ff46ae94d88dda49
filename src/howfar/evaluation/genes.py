"""Table `genes`: name, place and strand of each gene."""

from __future__ import annotations

from howfar.evaluation.inputs import Inputs, Table
from howfar.results import tables


def make(inputs: Inputs) -> Table:
    """Table `genes` of the cohort's genes."""
    return Table("genes", tables.validate("genes", inputs.panel.genes, "evaluation"))
