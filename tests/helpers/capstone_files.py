"""Made-up files in the shape of the capstone's tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from howfar.published import capstone2025

SNPS = 120


def names() -> list[str]:
    return [f"rs{i}" for i in range(SNPS)]


def make_capstone(folder: Path, rng: np.random.Generator) -> None:
    """SNPs 10 kb apart up to the start of APOE; the second SNP has no p; 30 SNPs elsewhere."""
    (folder / "capstone2025").mkdir(parents=True, exist_ok=True)
    position = capstone2025.APOE_START - 10_000 * np.arange(SNPS)[::-1]
    p = rng.uniform(0.001, 1, SNPS)
    scan = pd.DataFrame({"SNP": names(), "Beta": rng.normal(size=SNPS), "P-value": p})
    scan = scan.assign(position=position)
    scan["-log10(P-value)"] = -np.log10(p)
    scan.loc[1, ["Beta", "P-value", "-log10(P-value)"]] = np.nan
    scan.to_csv(folder / capstone2025.EQTL, sep="\t", index=False)
    for name in capstone2025.RESULTS.values():
        rows = pd.DataFrame({"Chrom": 19, "SNP": names(), "Position": position})
        rows = rows.assign(Allele1="A", Allele2="C", Result=rng.normal(size=SNPS))
        # the order of rows is free
        rows.iloc[::-1].to_csv(folder / name, sep="\t", index=False)
    other = pd.DataFrame({"SNP": names()[:30], "P-value": np.linspace(0.01, 0.9, 30)})
    other = other.assign(Beta=0.1, position=np.arange(30) * 100 + 5000)
    other.to_csv(folder / capstone2025.CIS_117)
    both = other.iloc[:20].assign(Position=other["position"] - 7)
    both.to_csv(folder / capstone2025.CIS_117_SNPS, sep="\t", index=False)
