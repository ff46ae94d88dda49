"""Values of the simulated cohorts don't change without a new version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from helpers import golden
from howfar import simulate
from howfar.genome.intervals import Gene
from howfar.simulate import region
from howfar.simulate.demo import grammar, people, train, world


def demo_values(folder: Path) -> dict[str, object]:
    world.simulate(folder, seed=5, people=12, genes=8)
    drawn = train.read_world(folder)
    found: dict[str, object] = {"motifs": drawn.grammar.motifs}
    found["promoters"] = drawn.promoters["tss"].to_numpy()[::7]
    found["levels"] = drawn.promoters["log_a"].to_numpy()[::7]
    sites = grammar.sites(drawn.contigs["chr1"][None, :2_000], drawn.grammar)
    found["sites"], found["occupancy"] = sites.start[:5], sites.occupancy[:5]
    variants = pd.read_csv(folder / "truth_variants.csv")
    found["variants"], found["effects"] = variants["variant"][::9], variants["effect_a"][::9]
    genes = pd.read_csv(folder / "truth_genes.csv")
    found["truth"] = genes[["h2_additive", "h2_broad", "sd_noise"]].to_numpy()
    expression = pd.read_csv(folder / "expression_null.bed.gz", sep="\t")
    found["expression"] = expression.iloc[:, 4:].to_numpy()[::3, ::5]
    tracks = train.Tracks(drawn).window("chr1", 3_000)
    found["tracks"] = tracks[::40, [0, 5, 12, 13]].astype(float)
    found["samples"] = people.sample_table(5)["population"].to_numpy(str)
    return found


def region_values() -> dict[str, object]:
    places, alleles = region.simulated_mutations(seed=1)
    sites = [
        region.Site(pos, ".", "A", ("T",), {"EUR_AF": f"{share}", "AFR_AF": "0.3"})
        for pos, share in zip(
            range(400_000, 600_000, 5_000), np.linspace(0.1, 0.5, 40), strict=True
        )
    ]
    carried = region.assign_carriers(sites, places, alleles)
    names = [f"P{i}" for i in range(carried.shape[1] // 2)]
    genes = [Gene("g", "g", "20", 500_000, "+")]
    made = region.simulated_expression(genes, sites, carried, names, seed=3)
    return {
        "mutations": len(places),
        "carriers": carried.sum(axis=1),
        "causal": made.causal["variant"].to_numpy(str),
        "effect": made.causal["effect"].to_numpy(),
        "values": made.values.to_numpy()[0, ::60],
    }


def test_values_change_only_with_the_version(tmp_path):
    values = {f"demo.{name}": value for name, value in demo_values(tmp_path).items()}
    values |= {f"region.{name}": value for name, value in region_values().items()}
    golden.check(Path(__file__).with_name("golden.csv"), simulate.VERSION, values)
