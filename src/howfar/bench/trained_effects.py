"""Effects of single variants in a network before and after it was trained on people.

Beside them stand slopes of expression on each variant by itself, among the people who trained and
among all others. A variant that one person who trains carries, or nobody, is apart: what a network
makes of the first is that person, of the second what the sequence around it taught.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar import stats
from howfar.attribution.variant_effects import gene_effects
from howfar.cohort.opened import OpenCohort
from howfar.core.progress import track
from howfar.core.project import resolve
from howfar.eqtl.lead import covariate_basis, filled, minor_frequency, scan
from howfar.prediction.run import open_model
from howfar.prediction.store import outputs_of
from howfar.stats.blocks import blocks_of
from howfar.study.schema import Run
from howfar.training.fine_tune import load

#: Classes of variants by who carries the rarer allele among the people who train.
KINDS = {
    "common": "minor allele frequency of 5 % or more",
    "rare": "below 5 %, two people or more",
    "private": "one person who trains",
    "absent": "nobody who trains",
}
#: What is correlated with what, within each gene.
_PAIRS = [(e, s) for e in ("before", "after") for s in ("slope", "slope_others", "truth")]


def measure(cohort: OpenCohort, folder: Path) -> pd.DataFrame:
    """Return a row for each variant in the windows of a training's genes.

    folder: that `howfar finetune` wrote. before, after: effects of the alternative allele, each
    network's over its SD over all variants. slope, slope_others: of z-scored expression per copy
    among people who train and all others who aren't validated; NaN without variation. truth: the
    simulation's effect, where there is one.
    """
    config = load(folder).config
    base = cohort.study.run(config["base"]["run"])
    tuned = Run(
        id="after",
        label="after",
        model="fine-tuned",
        weights=folder,
        tracks=["expression"],
        bins="centre1",
        transform=["mean_bins", "mean_tracks", "mean_haplotypes"],
    )
    networks = {"before": base, "after": tuned}
    opened = {name: (run, open_model(run)) for name, run in networks.items()}
    splits, samples = config["splits"], np.array(cohort.samples)
    values = cohort.require_expression("for slopes of variants").values
    file = resolve(cohort.study.cohort.reference).parent / "truth_variants.csv"
    known = (
        pd.read_csv(file).set_index(["gene_id", "variant"])["effect_a"] if file.is_file() else None
    )
    trained = [gene for gene, kind in splits["genes"].items() if kind != "unseen"]
    parts = []
    for gene_id in track(trained, len(trained), "effects: genes"):
        gene, people = cohort.gene(gene_id), splits["people"][splits["genes"][gene_id]]
        found = {
            name: gene_effects(cohort, run, model, outputs_of(run, model), gene)
            .drop_duplicates("variant")
            .set_index("variant")["effect"]
            for name, (run, model) in opened.items()
        }
        table = pd.DataFrame(found).dropna()
        y = values.loc[gene_id, samples].to_numpy(float)
        who = np.isin(samples, people["train"]) & np.isfinite(y)
        others = ~np.isin(samples, [*people["train"], *people["validation"]]) & np.isfinite(y)
        context = opened["before"][1].layout.context
        dosages, variants = cohort.dosages(gene, context)
        at = pd.Index([str(v) for v in variants]).get_indexer(table.index)
        table, x = table[at >= 0], filled(dosages[:, at[at >= 0]])
        z = (y - y[who].mean()) / y[who].std()
        for name, rows in (("slope", who), ("slope_others", others)):
            table[name] = scan(x[rows], z[rows], covariate_basis(None, int(rows.sum()))).slope
        table["kind"] = kinds(x[who])
        if known is not None:
            table["truth"] = known[gene_id].reindex(table.index).to_numpy(float)
        parts.append(table.rename_axis("variant").reset_index().assign(gene_id=gene_id))
    every = pd.concat(parts, ignore_index=True)
    every[list(networks)] /= every[list(networks)].std()
    return every


def kinds(x: np.ndarray) -> np.ndarray:
    """Class each variant of `KINDS` by dosages (people, variants) of those who train."""
    copies = np.where(x.mean(axis=0) > 1, 2 - x, x)
    carriers = (copies > 0).sum(axis=0)
    found = np.where(minor_frequency(x) >= 0.05, "common", "rare")
    return np.where(carriers == 0, "absent", np.where(carriers == 1, "private", found))


def summarised(table: pd.DataFrame, genes: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Mean over genes of r within a gene, and mean size of effects, by class of variants.

    Columns kind ('all' too), network, against (a slope, 'truth' or 'size'), value, ci_low, ci_high,
    genes, variants. Of r, a gene counts that has three variants of the class with both.
    """
    config, rows = load(folder).config, []
    for kind in ("all", *KINDS):
        part = table if kind == "all" else table[table["kind"] == kind]
        for network, against in [*_PAIRS, ("before", "size"), ("after", "size")]:
            if against != "size" and against not in part:
                continue
            found: dict[str, float] = {}
            count = 0
            for gene_id, of_gene in part.groupby("gene_id"):
                if against == "size":
                    found[str(gene_id)], n = float(of_gene[network].abs().mean()), len(of_gene)
                else:
                    both = of_gene[[network, against]].dropna()
                    n = len(both)
                    if n < 3 or both.nunique().min() < 2:
                        continue
                    found[str(gene_id)] = float(both.corr().iloc[0, 1])
                count += n
            if not found:
                continue
            r = np.array(list(found.values()))
            low, high = stats.block_bootstrap(r, blocks_of(genes, list(found))[0])
            row: dict[str, Any] = {"kind": kind, "network": network, "against": against}
            row |= {"value": r.mean(), "ci_low": low, "ci_high": high}
            rows.append(row | {"genes": len(found), "variants": count})
    people = next(p for p in config["splits"]["people"].values() if p.get("train"))
    return pd.DataFrame(rows).assign(
        training=folder.name,
        trained_people=len(people["train"]),
        epochs=config["epochs"],
        date=time.strftime("%Y-%m-%d"),
    )
