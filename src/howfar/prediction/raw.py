"""Raw outputs of a network as one table: each haplotype's beside those of the reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from howfar.genome.intervals import Gene
from howfar.prediction.store import Store

#: Columns of the table, and what they hold.
RAW = {
    "run_id": "the run",
    "gene_id": "the gene",
    "sample": "the person",
    "haplotype": "1 or 2, as the genotypes are phased",
    "bin": "0-based output bin of the network; missing where a gene's bins were summed",
    "track": "number of the track",
    "description": "the track",
    "reference": "the network's output for the reference, before the run's transform",
    "alternative": "its output for the haplotype",
}


def raw_table(
    store: Store, genes: Sequence[Gene], samples: Sequence[str], run_id: str
) -> pd.DataFrame:
    """Return the raw outputs of finished genes, a row per haplotype, bin and track (see `RAW`).

    Values are float32 in the units of the run's network, in the order of genes and people.
    """
    network = store.units.key["options"]["network"]
    tracks, names = network["tracks"], store.description.tracks
    parts = []
    for gene in genes:
        arrays = store.read(gene.gene_id).arrays
        values, index = arrays["values"], arrays["index"]
        bins = network["bins"].get(gene.strand, [None])
        numbers = network.get("minus") if gene.strand == "-" else None
        person, half, at, track = (
            axis.ravel() for axis in np.indices((*index.shape, *values.shape[1:]), dtype=np.int32)
        )
        rows = {
            "run_id": run_id,
            "gene_id": gene.gene_id,
            "sample": np.array(samples, dtype=object)[person],
            "haplotype": half + 1,
            "bin": pd.array(bins, "Int64")[at],
            "track": np.array(numbers or tracks)[track],
            "description": np.array(names, dtype=object)[track],
            "reference": values[0, at, track],
            "alternative": values[index].ravel(),
        }
        parts.append(pd.DataFrame(rows))
    return pd.concat(parts, ignore_index=True)
