"""Drivers, their features and attributions for the made-up study of `synthetic`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from helpers import synthetic
from howfar.results import tables

WITH = 30  # genes with drivers


def write(results: Path, study: str, seed: int = 3) -> None:
    """All tables of `synthetic.write` and, for the run 'net', drivers and what goes with them."""
    synthetic.write(results, study)
    rng = np.random.default_rng(seed)
    genes = [f"GENE{i:03d}" for i in range(WITH)]
    found = tables.load(study, results)
    r = found["across"].query("run_id == 'net' and population == 'pooled'")
    side = np.sign(r.set_index("gene_id")["pearson"].reindex(genes).to_numpy())
    frames = {
        "drivers": _drivers(genes, side, rng),
        "features": pd.concat([found["features"], _features(genes, rng)]),
        "summary": pd.concat([_profile(rng), _motifs(rng)], ignore_index=True),
    }
    for name, frame in frames.items():
        tables.write(tables.path_of(results, study, name), name, frame, {})


def _drivers(genes: list[str], side: np.ndarray, rng) -> pd.DataFrame:
    rows = []
    for i, (gene, sign) in enumerate(zip(genes, side, strict=True)):
        for k in range(1 + i % 4):
            effect = rng.normal()
            slope = abs(rng.normal()) * np.sign(effect) * (sign if k == 0 else rng.choice([-1, 1]))
            far = int(rng.integers(-5000, 5000))
            rows.append((gene, f"1:{1000 * i + k}", effect, slope, far, k == 0))
    names = ["gene_id", "variant", "effect", "eqtl_slope", "distance", "is_main"]
    return pd.DataFrame(rows, columns=names).assign(run_id="net", gain=0.1, carriers=10)


def _features(genes: list[str], rng) -> pd.DataFrame:
    values = {
        "main_driver_relative_size": rng.uniform(0, 0.4, WITH),
        "linear_approximation_r": np.full(WITH, 0.9),
        "fine_mapped_distance_brain": rng.uniform(0, 9000, WITH),
    }
    parts = [pd.DataFrame({"gene_id": genes, "feature": f, "value": v}) for f, v in values.items()]
    return pd.concat(parts).assign(source="made up")


def _profile(rng) -> pd.DataFrame:
    parts = []
    for group in ("supported", "unsupported"):
        for method in ("reference", "variant"):
            value = rng.uniform(0.02, 0.1, 41)
            part = pd.DataFrame({"x": np.arange(-20, 21), "value": value, "group": group})
            part = part.assign(ci_low=value * 0.8, ci_high=value * 1.2, method=method)
            parts.append(part.assign(n=15 if group == "supported" else 9))
    return pd.concat(parts).assign(set="driver_profile", replicate=1, units="share")


def _motifs(rng) -> pd.DataFrame:
    parts = []
    for method, n in (("sequence", 90), ("attribution", 30)):
        for rank in (1, 2):
            value = rng.dirichlet(np.ones(4), 13)
            wide = pd.DataFrame(value, columns=list("ACGT")).assign(x=np.arange(-6, 7))
            part = wide.melt("x", var_name="group", value_name="value")
            part = part.assign(set="driver_motif", method=method, replicate=rank, n=20 - rank)
            parts.append(part)
        counts = pd.DataFrame({"group": ["drivers", "shuffled"], "value": [37, 11], "n": n})
        parts.append(
            counts.assign(set="driver_motif_grouped", method=method, x=np.nan, replicate=1)
        )
    return pd.concat(parts).assign(units="made up")
