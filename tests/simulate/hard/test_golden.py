"""Values of the hard setting don't change without a new version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from helpers import golden
from howfar import simulate
from howfar.simulate.hard import train
from howfar.simulate.hard.genome import FREE


def test_values_change_only_with_the_version(folder):
    drawn = train.read_world(folder)
    variants = pd.read_csv(folder / "truth_variants.csv").query("causal")
    genes = pd.read_csv(folder / "truth_genes.csv")
    peaks = pd.read_csv(folder / "peaks.bed.gz", sep="\t")
    tracks = train.tracks_of(drawn.contigs[FREE][:4_096], drawn.rules)
    found = {
        "scales": np.array(drawn.rules.scales),
        "levels": drawn.promoters["log_a"].to_numpy(),
        "variants": variants["variant"].to_numpy(str)[::9],
        "effects": variants["effect_a"].to_numpy()[::9],
        "truth": genes[["h2_broad", "sd_noise", "switch"]].to_numpy(float),
        "peaks": peaks.iloc[::9, 4::9].to_numpy(),
        "tracks": tracks[::40, [0, 12, 13]].astype(float),
    }
    golden.check(Path(__file__).with_name("golden.csv"), simulate.VERSION, found)
