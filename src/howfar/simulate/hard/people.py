"""The hard setting's people: the kind setting's history, single-base variants moved into sites."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from howfar.simulate.demo import grammar as g
from howfar.simulate.demo import people
from howfar.simulate.demo.people import Variants

#: Distances from the TSS (bp) from which variants move into the sites of each part.
REACH = {"promoter": (0, 1_500), "enhancer": (0, 4_096), "distal": (4_200, 16_384)}
MIN_MAF = 0.01  # of variants that are moved
_DRAWN = 5  # sites drawn, of which the nearest is taken


def variants(
    rng: np.random.Generator,
    chrom: str,
    contig: np.ndarray,
    sites: Mapping[int, Mapping[str, np.ndarray]],
    samples: pd.DataFrame,
) -> Variants:
    """Simulate a contig's variants in the people of `samples`, some of them moved into sites.

    contig: uint8 ASCII; where a moved variant's reference carries the weaker base it is changed in
    place. sites: by TSS (0-based) and part, the first bases of sites at least half occupied.
    """
    counts = samples["population"].value_counts(sort=False)
    seeds = rng.integers(1, 2**31, 2)
    place, alleles = people.coalescent(counts, len(contig), people.MUTATION_RATE, seeds)
    place, first = np.unique(place.astype(np.int64), return_index=True)
    alleles = alleles[first]
    carried = alleles.mean(axis=1)
    kept = (carried > 0) & (carried < 1)
    place, alleles, carried = place[kept], alleles[kept], carried[kept]
    common = np.minimum(carried, 1 - carried) >= MIN_MAF
    moved = np.zeros(len(place), bool)
    for tss, here in sites.items():
        _move(rng, place, common, moved, tss, here)
    ref, alt = _alleles(rng, contig, place, moved)
    order = np.argsort(place)
    return Variants(
        chrom,
        place[order] + 1,
        [ref[i] for i in order],
        [alt[i] for i in order],
        alleles[order],
    )


def _move(
    rng: np.random.Generator,
    place: np.ndarray,
    common: np.ndarray,
    moved: np.ndarray,
    tss: int,
    sites: Mapping[str, np.ndarray],
) -> None:
    """Move some of a gene's variants to a base of a site near them; place, moved: changed."""
    wanted = (rng.binomial(1, 0.4), 1 + rng.poisson(2), 1 + rng.poisson(3))
    for (part, (low, high)), count in zip(REACH.items(), wanted, strict=True):
        away = np.abs(place - tss)
        near = np.flatnonzero(common & ~moved & (away >= low) & (away < high))
        for i in rng.permutation(near)[:count]:
            if not len(sites[part]):
                break
            drawn = rng.choice(sites[part], _DRAWN)
            target = drawn[np.abs(drawn - place[i]).argmin()] + rng.integers(g.WIDTH)
            if target not in place:
                place[i], moved[i] = target, True


def _alleles(
    rng: np.random.Generator, contig: np.ndarray, place: np.ndarray, moved: np.ndarray
) -> tuple[list[str], list[str]]:
    """REF and ALT; of half of the moved ones the reference gets the other base."""
    pairs = [people._snv(rng, contig, int(p))[1:] for p in place]
    turned = moved & (rng.random(len(place)) < 0.5)
    for i in np.flatnonzero(turned):
        pairs[i] = pairs[i][::-1]
        contig[place[i]] = ord(pairs[i][0])
    ref, alt = zip(*pairs, strict=True) if pairs else ((), ())
    return list(ref), list(alt)
