"""The hard setting's reference: one gene in each slot of 32,768 bp, and a gene-free contig.

Genes with people lie on eight contigs, of which five train the network, as in the kind setting.
More genes, whose expression is known of the reference alone, lie on `EXTRA`; `FREE` has no gene
and is dense in sites.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from howfar.simulate.demo import genome as demo
from howfar.simulate.demo import grammar as g
from howfar.simulate.hard import rules as r
from howfar.simulate.hard.setting import Setting
from howfar.simulate.peaks import ENHANCER_REACH, ENHANCERS

SLOT = 32_768
EXTRA, FREE = "chr9", "genefree"
FREE_WINDOW = 2_048
FREE_SITES = 30  # bp a site of the gene-free contig
GRID = 12  # sites are planted on multiples of this, so that none overlap
_SUBSTITUTIONS = 0.3  # mean number in a planted site
_CORE = (-60, 20)  # bp around the TSS kept free for the core promoter


@dataclass(frozen=True)
class Genome:
    """Contigs as uint8 ASCII, and the promoters on them.

    `promoters`: chrom, tss (1-based), strand, gene_id ('' without people), gene_class (s), noise
    (the .1 e of L), and the centres of the enhancers, 0-based (`enhancer1`, ...).
    """

    contigs: dict[str, np.ndarray]
    promoters: pd.DataFrame
    rules: r.Rules


def build(rng: np.random.Generator, genes: int, setting: Setting) -> Genome:
    """A reference of `genes` genes with people, and what the setting asks for beside them."""
    rules = r.draw(rng, setting.slope)
    promoters = _lay_out(rng, genes, setting.extra)
    contigs = {}
    for chrom, rows in promoters.groupby("chrom", sort=False):
        bases = _background(rng, len(rows) * SLOT)
        for row in rows.itertuples():
            _slot(rng, rules, setting, bases, row)
        contigs[chrom] = demo._LETTERS[bases]
    bases = _background(rng, setting.free * FREE_WINDOW)
    count = len(bases) // FREE_SITES
    places = rng.choice(len(bases) // GRID - 1, count, replace=False) * GRID
    _plant(rng, rules, bases, places, rng.integers(0, g.FACTORS, count))
    contigs[FREE] = demo._LETTERS[bases]
    return Genome(contigs, promoters, rules)


def _background(rng: np.random.Generator, length: int) -> np.ndarray:
    return rng.choice(4, length, p=demo._BACKGROUND).astype(np.uint8)


def _lay_out(rng: np.random.Generator, genes: int, extra: int) -> pd.DataFrame:
    per_contig = int(np.ceil(genes / demo.CONTIGS))
    homes = [
        (f"chr{k // per_contig + 1}", k % per_contig, f"GENE{k + 1:04d}") for k in range(genes)
    ]
    homes += [(EXTRA, k, "") for k in range(extra)]
    rows = []
    for chrom, slot, name in homes:
        tss = slot * SLOT + SLOT // 2
        sides = rng.choice([-1, 1], ENHANCERS)
        centres = tss + sides * rng.integers(700, 3_800, ENHANCERS)
        kind, noise = rng.normal(), 0.1 * rng.normal()
        rows.append((chrom, tss + 1, "+-"[rng.integers(2)], name, kind, noise, *centres))
    names = [f"enhancer{i + 1}" for i in range(ENHANCERS)]
    columns = ["chrom", "tss", "strand", "gene_id", "gene_class", "noise", *names]
    return pd.DataFrame(rows, columns=columns)


def enhancers(promoter) -> np.ndarray:
    """0-based centres of a promoter's enhancers; promoter: a row of `Genome.promoters`."""
    return np.array([int(getattr(promoter, f"enhancer{i + 1}")) for i in range(ENHANCERS)])


def _slot(
    rng: np.random.Generator, rules: r.Rules, setting: Setting, bases: np.ndarray, promoter
) -> None:
    """Write one gene's sites into the bases of its contig."""
    tss = promoter.tss - 1
    near = _grid(tss - 300, tss + 300)
    near = near[(near + g.WIDTH <= tss + _CORE[0]) | (near > tss + _CORE[1])]
    _some(rng, rules, bases, near, {(0, r.CONFOUNDED): rng.poisson(6)})
    spans = [_grid(c - ENHANCER_REACH, c + ENHANCER_REACH) for c in enhancers(promoter)]
    mean = setting.sites * np.exp(setting.confounding * promoter.gene_class)
    counts = {
        (r.CONFOUNDED, g.FACTORS): rng.poisson(mean),
        (0, r.CONFOUNDED): rng.poisson(4),
    }
    _some(rng, rules, bases, np.unique(np.concatenate(spans)), counts)
    first, last = r.DISTAL
    far = np.concatenate([_grid(tss - last, tss - first - 20), _grid(tss + first + 20, tss + last)])
    _some(rng, rules, bases, far, {(0, g.FACTORS): 2 * (last - first) // 150})
    demo._core(rules.grammar, bases, tss, promoter.strand)


def _grid(low: int, high: int) -> np.ndarray:
    return np.arange(-(-low // GRID), (high - g.WIDTH) // GRID + 1) * GRID


def _some(
    rng: np.random.Generator,
    rules: r.Rules,
    bases: np.ndarray,
    places: np.ndarray,
    counts: dict[tuple[int, int], int],
) -> None:
    """Plant so many sites of each range of factors at distinct places, as far as there are any."""
    motifs = np.concatenate([rng.integers(*span, count) for span, count in counts.items()])
    motifs = motifs[: len(places)]
    _plant(rng, rules, bases, rng.permutation(places)[: len(motifs)], motifs)


def _plant(
    rng: np.random.Generator,
    rules: r.Rules,
    bases: np.ndarray,
    places: np.ndarray,
    motifs: np.ndarray,
) -> None:
    words = np.stack([demo._word(m) for m in rules.grammar.motifs])[motifs]
    changed = np.repeat(np.arange(len(places)), rng.poisson(_SUBSTITUTIONS, len(places)))
    words[changed, rng.integers(0, g.WIDTH, len(changed))] = rng.integers(0, 4, len(changed))
    bases[places[:, None] + np.arange(g.WIDTH)] = words
