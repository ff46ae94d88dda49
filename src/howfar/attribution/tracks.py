"""Tracks to expression: an elastic net on all tracks of a network (SAGE-net's published recipe).

Fitted across genes: x is what the network predicts of the reference around each TSS (see
`models.readout`), y the mean of measured expression over people. The penalty is chosen on the
genes of the network's validation regions, the weights are fitted on those of its training regions,
and the genes of its test regions show what came of it. People are then predicted by a run with
the key `readout`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from howfar import stats
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.core.text import lines_of
from howfar.genome.intervals import Gene
from howfar.models.base import SequenceModel, parse_bins
from howfar.models.readout import RECIPES, Readout, features
from howfar.results.policy import require_fitting
from howfar.stats.blocks import blocks_of

TRAIN, VALID, TEST = "train", "valid", "test"
_SPLITS = (TRAIN, VALID, TEST)
_PLACES = ["gene_id", "chrom", "tss"]
#: Genes of a split, as r is taken over them.
FEWEST = 3
_REACH = 20_000  # bp either side of a TSS that lie in one record of a network's regions


@dataclass(frozen=True)
class Reference:
    """What a network says of the reference, gene by gene, and what was measured.

    x: (genes, tracks); y: (genes,), mean over people; split: 'train', 'valid', 'test', or None.
    """

    genes: list[Gene]
    x: np.ndarray
    y: np.ndarray
    split: np.ndarray

    @property
    def fewest(self) -> int:
        """Genes of the smallest split."""
        return min(int((self.split == name).sum()) for name in _SPLITS)


@dataclass(frozen=True)
class Fitted:
    """The weights, r across genes by split with its interval, and whether the fit converged."""

    readout: Readout
    r: pd.DataFrame
    penalty: float
    converged: bool


def reference_features(
    cohort: OpenCohort,
    model: SequenceModel,
    recipe: str,
    regions: Path | None = None,
    bins: str | list[int] | None = None,
) -> Reference:
    """Predict all tracks around each measured gene's TSS on the reference.

    regions: BED of the network's training data (chrom, start, end, split), of which a gene has the
    split in whose one record 20 kb either side of its TSS lie; None: the network knows its own.
    """
    require_fitting(cohort.study, [model], "weights of tracks")
    genes = cohort.measured(cohort.genes, "to weigh a network's tracks by")
    rule, layout = bins or RECIPES[recipe][0], model.layout
    known = None if regions is None else regions_of(regions, genes)
    rows = []
    for strand in dict.fromkeys(gene.strand for gene in genes):
        these = [gene for gene in genes if gene.strand == strand]
        chosen = parse_bins(rule, model.tss_bin(strand), layout.n_bins, model.tss_edge(strand))
        step = model.windows_at_once
        for block in (these[i : i + step] for i in range(0, len(these), step)):
            windows = [g.window(layout.context, model.tss_offset(g.strand)) for g in block]
            bases = np.stack([cohort.reference.fetch(window) for window in windows])
            raw = model.predict(model.orient(bases, strand), chosen, list(model.tracks.index))
            rows += list(zip(block, features(raw, recipe), strict=True))
    by_gene = {gene.gene_id: x for gene, x in rows}
    values = cohort.require_expression("to weigh a network's tracks by").values
    y = values.loc[[gene.gene_id for gene in genes], cohort.samples].mean(axis=1)
    of_gene = model.region_of if known is None else known.get
    split = np.array([of_gene(gene.gene_id) for gene in genes], dtype=object)
    there = y.notna().to_numpy()
    x = np.stack([by_gene[gene.gene_id] for gene in genes])
    kept = [gene for gene, measured in zip(genes, there, strict=True) if measured]
    return Reference(kept, x[there], y.to_numpy(float)[there], split[there])


def regions_of(path: Path, genes: Sequence[Gene]) -> dict[str, str]:
    """Return each gene's split by a BED of a network's training data; genes across records none."""
    rows = []
    for number, line in enumerate(lines_of(path, "a BED of chrom, start, end, split"), start=1):
        cells = line.split("\t")
        good = len(cells) >= 4 and cells[1].isdecimal() and cells[2].isdecimal()
        if not good or cells[3].strip() not in _SPLITS:
            raise HowfarError(
                f"{path}, line {number}",
                found=repr(line[:60]),
                expected=f"chrom, start, end and one of {', '.join(_SPLITS)}, tabs between",
                do="Give the network's regions as its authors publish them (sequences.bed).",
            )
        rows.append((cells[0].removeprefix("chr"), int(cells[1]), int(cells[2]), cells[3].strip()))
    bed = pd.DataFrame(rows, columns=["chrom", "start", "end", "split"])
    found = {}
    for gene in genes:
        here = bed[bed["chrom"] == gene.chrom.removeprefix("chr")]
        low, high = gene.start0 - _REACH, gene.start0 + _REACH
        whole = here[(here["start"] <= low) & (here["end"] >= high)]
        # Records overlap; a gene in records of two splits is of neither.
        if whole["split"].nunique() == 1:
            found[gene.gene_id] = str(whole["split"].iloc[0])
    return found


def fit(
    reference: Reference,
    recipe: str,
    bins: str | list[int] | None = None,
    tracks: Sequence[int] | None = None,
) -> Fitted:
    """Fit the elastic net: half lasso, one of 100 penalties, features as they are.

    tracks: places of those that may have a weight; None: all. HowfarError where a split has fewer
    than three genes.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import ElasticNet, ElasticNetCV

    rows = {name: np.flatnonzero(reference.split == name) for name in _SPLITS}
    if reference.fewest < FEWEST:
        raise HowfarError(
            "genes by the network's training regions",
            found=", ".join(f"{len(place)} of split {name}" for name, place in rows.items()),
            expected=f"{FEWEST} of each at least",
            do="Add genes, or give the network's regions by --regions.",
        )
    chosen = np.arange(reference.x.shape[1]) if tracks is None else np.asarray(tracks)
    x, y = reference.x[:, chosen], reference.y
    train, both = rows[TRAIN], np.concatenate([rows[TRAIN], rows[VALID]])
    inner = [(np.arange(len(train)), np.arange(len(train), len(both)))]
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always", ConvergenceWarning)
        search = ElasticNetCV(l1_ratio=0.5, cv=inner).fit(x[both], y[both])
        net = ElasticNet(alpha=search.alpha_, l1_ratio=0.5).fit(x[train], y[train])
    weights = np.zeros(reference.x.shape[1])
    weights[chosen] = net.coef_
    readout = Readout(weights, float(net.intercept_), recipe, bins or RECIPES[recipe][0])
    converged = not any(issubclass(each.category, ConvergenceWarning) for each in noted)
    return Fitted(readout, across_genes(reference, readout), float(search.alpha_), converged)


def across_genes(reference: Reference, readout: Readout, seed: int = 1) -> pd.DataFrame:
    """Correlate the readout's predictions with mean expression across genes, split by split.

    Columns split, r, n (genes), and 95 % ends by bootstrap over blocks of neighbouring genes.
    """
    predicted = reference.x @ readout.weights + readout.offset
    rows = []
    for name in _SPLITS:
        here = reference.split == name
        pairs = np.column_stack([predicted[here], reference.y[here]])
        kept = [gene for gene, chosen in zip(reference.genes, here, strict=True) if chosen]
        places = pd.DataFrame([(g.gene_id, g.chrom, g.tss) for g in kept], columns=_PLACES)
        blocks, _ = blocks_of(places, places["gene_id"])
        r = float(stats.weighted_pearson(pairs, np.ones((1, len(pairs))))[0])
        low, high = stats.block_bootstrap(
            pairs, blocks, stats.weighted_pearson, seed=seed, weighted=True
        )
        rows.append((name, r, len(pairs), low, high))
    return pd.DataFrame(rows, columns=["split", "r", "n", "ci_low", "ci_high"])
