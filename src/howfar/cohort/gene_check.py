"""Whether the genes of the expression file are those of the gene table, by id and by place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache

import pandas as pd

from howfar.cohort.expression import Expression
from howfar.core.errors import HowfarError
from howfar.genome.genes import strip_version
from howfar.genome.intervals import Gene
from howfar.genome.reference import NoSuchContig, match_contig

#: bp between two places of a TSS up to which they are two annotations' view of one gene.
_FAR = 1_000
_NAMED = 3  # genes that a count names


def compare_genes(genes: Sequence[Gene], expression: Expression, where: str) -> Counter[str]:
    """Compare a gene table with an expression file, and count what differs, some genes by name.

    where: both files, for messages. Raises HowfarError where they have no gene id in common, and
    where most places that the expression file states lie elsewhere than the gene table's TSS.
    """
    rows = set(expression.values.index)
    common = [gene for gene in genes if gene.gene_id in rows]
    bare = {strip_version(row) for row in rows}
    absent = [gene.gene_id for gene in genes if gene.gene_id not in rows]
    others = [gene for gene in absent if strip_version(gene) in bare]
    if not common:
        raise HowfarError(
            where,
            found=f"no gene id in common between {len(genes)} genes and {len(rows)} rows of "
            "expression"
            + (f"; {len(others)} differ by their version alone, as {others[0]}" if others else ""),
            expected="the same gene ids in both files",
            do="Compare the ids; `gene_versions: strip` removes version numbers.",
        )
    what = f"genes whose id has another version in the expression file: {_named(others)}"
    return Counter({what: len(others)}) + _compare_places(common, expression.positions, where)


def _named(genes: Sequence[str]) -> str:
    return ", ".join(genes[:_NAMED]) + ", ..." * (len(genes) > _NAMED)


def _compare_places(
    genes: Sequence[Gene], positions: pd.DataFrame | None, where: str
) -> Counter[str]:
    if positions is None:
        return Counter()
    places = positions.loc[[gene.gene_id for gene in genes]]
    away = {
        gene.gene_id: _distance(gene, place)
        for gene, place in zip(genes, places.itertuples(index=False), strict=True)
    }
    # A BED may state the TSS or the whole gene, and ends of intervals are often off by one.
    elsewhere = [gene for gene, bp in away.items() if bp is None or bp > 1]
    far = [gene for gene, bp in away.items() if bp is None or bp > _FAR]
    if 2 * len(far) > len(genes):
        bp = away[far[0]]
        raise HowfarError(
            where,
            found=f"{len(far)} of {len(genes)} genes on another contig or more than {_FAR:,} bp "
            f"from their TSS, such as {far[0]}"
            + (" on another contig" if bp is None else f", {bp:,} bp away"),
            expected="genes at the same places in both files",
            do="Use a gene table and an expression file of the reference's genome build; if only "
            "the expression file's places are old, give it as a matrix without them.",
        )
    known = [bp for gene in elsewhere if (bp := away[gene]) is not None]
    upto = f" (up to {max(known):,} bp)" if known else ""
    what = f"genes whose TSS lies elsewhere in the expression file{upto}: {_named(elsewhere)}"
    return Counter({what: len(elsewhere)})


@cache
def _are_one(chrom: str, other: str) -> bool:
    """Whether two names are of one contig, as files of a cohort may name it."""
    try:
        return match_contig(chrom, [other], "") == other
    except NoSuchContig:
        return False


def _distance(gene: Gene, place: tuple[str, int, int]) -> int | None:
    """bp from the TSS to the interval (chrom, start0, end), 0 inside; None on another contig."""
    chrom, start0, end = place
    if not _are_one(chrom, gene.chrom):
        return None
    return int(max(start0 - gene.start0, gene.start0 - (end - 1), 0))
