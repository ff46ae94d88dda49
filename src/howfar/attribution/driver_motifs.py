"""Sequence patterns at a run's drivers: groups by S10's rule, their enrichment, JASPAR's nearest.

Windows of 13 bases of the reference around each driver, the driver's base in the middle (see
`stretches`). A group's pattern is compared with JASPAR's motifs by TOMTOM (memelite, which comes
with tangermeme).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from howfar.attribution import stretches
from howfar.core.errors import HowfarError
from howfar.core.extras import require_module
from howfar.genome.intervals import Interval, Variant
from howfar.genome.reference import Reference
from howfar.stats import benjamini_hochberg

_REACH = 6  # bases either side of a driver
#: JASPAR's release that pyjaspar ships, and the motifs taken from it.
RELEASE, COLLECTION, TAXA = "JASPAR2024", "CORE", ("vertebrates",)


def windows(reference: Reference, variants: Sequence[str]) -> list[str]:
    """Return 13 bases of the reference around each variant (chrom:pos:ref:alt)."""
    found = []
    for name in variants:
        chrom, position, ref, alt = name.rsplit(":", 3)
        middle = Variant(chrom, int(position), ref, alt).start0
        place = Interval(reference.contig(chrom), middle - _REACH, middle + _REACH + 1)
        found.append(reference.fetch(place).tobytes().decode())
    return found


def groups(
    sequences: Sequence[str], types: Sequence[str]
) -> tuple[pd.DataFrame, dict[int, np.ndarray]]:
    """Group windows by common stretches; test each group for unsupported against supported drivers.

    types: 'supported', 'unsupported' or another word, of which no test knows. Windows with N are
    left out. Returns one row per group of two at least (group, by size; n, supported,
    unsupported, p_more, p_fewer, q_more, q_fewer: Fisher's exact test, one-sided, of more and of
    fewer unsupported ones), and patterns (columns, 4) by group. HowfarError for fewer than two.
    """
    kept = [
        (s, t)
        for s, t in zip(sequences, types, strict=True)
        if set(s) <= set("ACGT") and t in ("supported", "unsupported")
    ]
    if len(kept) < 2:
        raise HowfarError(
            "drivers to group",
            found=f"{len(kept)} with a sequence and an eQTL's slope",
            expected="two at least",
            do="Find drivers in more genes: `howfar effects`, then `howfar evaluate`.",
        )
    letters = [s for s, _ in kept]
    found = stretches.compare(letters)
    group = stretches.groups(found.score)
    order = pd.Series(group).value_counts(sort=True).index
    group = np.array([order.get_loc(number) for number in group])
    tested = stretches.enrichment(group, np.array([t == "unsupported" for _, t in kept]))
    table = pd.DataFrame(tested).assign(group=np.arange(1, group.max() + 2))
    table["supported"] = table["n"] - table["unsupported"]
    table = table[table["n"] >= 2]
    patterns = {
        int(number): stretches.pattern(letters, found, np.flatnonzero(group == number - 1))[0]
        for number in table["group"]
    }
    ends = ["p_more", "p_fewer", "q_more", "q_fewer"]
    columns = ["group", "n", "supported", "unsupported", *ends]
    return table[columns].reset_index(drop=True), patterns


def jaspar() -> dict[str, np.ndarray]:
    """Return JASPAR's motifs of vertebrates, as pyjaspar ships them: name to (length, 4) shares."""
    require_module("pyjaspar")
    from pyjaspar import jaspardb

    motifs = jaspardb(release=RELEASE).fetch_motifs(collection=COLLECTION, tax_group=list(TAXA))
    found = {}
    for motif in motifs:
        counts = np.array([motif.counts[letter] for letter in "ACGT"], float).T
        found[f"{motif.name} ({motif.matrix_id})"] = counts / counts.sum(axis=1, keepdims=True)
    return found


def nearest(patterns: Mapping[int, np.ndarray], targets: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Compare each pattern with each target by TOMTOM, both strands; keep the nearest.

    Patterns are counts (columns, 4), targets shares. Columns group, motif, p, q (over groups, of
    the best of all targets: p x targets), strand.
    """
    require_module("tangermeme")  # which brings memelite
    from memelite import tomtom

    names = list(targets)
    queries = [np.where(p.sum(axis=1, keepdims=True) > 0, p, 1) for p in patterns.values()]
    queries = [(q / q.sum(axis=1, keepdims=True)).T for q in queries]
    p, _, _, _, strand = tomtom(queries, [targets[name].T for name in names], n_jobs=1)[:5]
    best = p.argmin(axis=1)
    rows = np.arange(len(best))
    least = np.minimum(1, p[rows, best] * len(names))
    return pd.DataFrame(
        {
            "group": list(patterns),
            "motif": [names[i] for i in best],
            "p": p[rows, best],
            "q": benjamini_hochberg(least),
            "strand": np.where(strand[rows, best] > 0, "-", "+"),
        }
    )
