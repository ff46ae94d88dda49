"""Dosages of cis variants in linkage disequilibrium, and expression with a known heritability."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats


def dosages(people: int, variants: int, seed: int, correlation: float = 0.95) -> np.ndarray:
    """(people, variants) copies 0, 1, 2 of the alternative allele, frequency 5-95 %.

    Alleles are thresholds on a Gaussian walk along the chromosome: neighbours share most of it.
    """
    rng = np.random.default_rng(seed)
    walk = rng.standard_normal((2 * people, variants))
    for j in range(1, variants):
        walk[:, j] = correlation * walk[:, j - 1] + np.sqrt(1 - correlation**2) * walk[:, j]
    cut = stats.norm.ppf(rng.uniform(0.05, 0.95, variants))
    alleles = (walk < cut).astype(float)
    return alleles[:people] + alleles[people:]


def scaled(x: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and population SD 1; those that never vary are left out."""
    x = x[:, x.std(axis=0) > 0]
    return (x - x.mean(axis=0)) / x.std(axis=0)


def expression(x: np.ndarray, h2: float, causal: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Expression (people,) and its genetic part: `causal` variants of equal expected effect.

    The variances s_g = h2 and s_e = 1 - h2 are those of the model, on average over draws.
    """
    rng = np.random.default_rng(seed)
    z = scaled(x)
    chosen = rng.choice(z.shape[1], causal, replace=False)
    genetic = z[:, chosen] @ rng.standard_normal(causal) * np.sqrt(h2 / causal)
    return genetic + rng.standard_normal(len(z)) * np.sqrt(1 - h2), genetic


def write_bimbam(folder: Path, z: np.ndarray, y: np.ndarray) -> None:
    """GEMMA's input: one line a variant, one number a person; NaN in `y` is NA."""
    variants = [f"v{j}, A, C, " + ", ".join(f"{v:.9g}" for v in z[:, j]) for j in range(z.shape[1])]
    (folder / "z.bimbam").write_text("\n".join(variants) + "\n")
    values = ["NA" if np.isnan(v) else f"{v:.12g}" for v in y]
    (folder / "y.txt").write_text("\n".join(values) + "\n")


def gemma(folder: Path, *options: str) -> dict[str, str]:
    """Run GEMMA on the written files; the lines '## name = value' of its log."""
    files = ("-g", "z.bimbam", "-p", "y.txt", "-notsnp", "-outdir", ".", "-o", "out")
    done = subprocess.run(["gemma", *files, *options], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
    lines = (folder / "out.log.txt").read_text().splitlines()
    pairs = [line[2:].split("=", 1) for line in lines if "=" in line and line.startswith("##")]
    return {name.strip(): value.strip() for name, value in pairs}


def gemma_weights(folder: Path, variants: int) -> np.ndarray:
    """alpha + beta * gamma of each variant, 0 for those that GEMMA left out."""
    found = pd.read_csv(folder / "out.param.txt", sep="\t").set_index("rs")
    weights = found["alpha"] + found["beta"] * found["gamma"]
    return weights.reindex([f"v{j}" for j in range(variants)], fill_value=0.0).to_numpy()
