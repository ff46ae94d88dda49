"""A small cohort for linear models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pysam

from howfar.study.schema import Study

PEOPLE, LENGTH = 40, 2_000


NAMES = [f"P{i}" for i in range(PEOPLE)]


GENES = {"near": 300, "flat": 500, "alone": 1_900}


def write_cohort(folder, rng):
    """Twelve SNPs around base 300; expression of `near` follows the third of them."""
    (folder / "ref.fa").write_text(">1\n" + "A" * LENGTH + "\n")
    haplotypes = rng.random((12, PEOPLE, 2)) < rng.uniform(0.2, 0.5, (12, 1, 1))
    fixed = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    lines = [
        "##fileformat=VCFv4.2",
        f"##contig=<ID=1,length={LENGTH}>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "\t".join([*fixed, *NAMES]),
    ]
    for i, calls in enumerate(haplotypes.astype(int)):
        site = ["1", str(250 + 10 * i), ".", "A", "G", ".", ".", ".", "GT"]
        lines.append("\t".join([*site, *(f"{a}|{b}" for a, b in calls)]))
    (folder / "v.vcf").write_text("\n".join(lines) + "\n")
    pysam.tabix_compress(str(folder / "v.vcf"), str(folder / "v.vcf.gz"), force=True)
    pysam.tabix_index(str(folder / "v.vcf.gz"), preset="vcf", force=True)
    rows = [f"{g},{g},1,{tss},+" for g, tss in GENES.items()]
    (folder / "genes.csv").write_text("\n".join(["gene_id,name,chrom,tss,strand", *rows]) + "\n")
    groups = pd.DataFrame({"sample": NAMES, "population": ["X", "Y"] * (PEOPLE // 2)})
    groups.to_csv(folder / "samples.csv", index=False)
    x = haplotypes.sum(axis=2).T.astype(float)
    values = {
        "near": 5 + 2 * x[:, 2] + rng.normal(size=PEOPLE),
        "flat": np.ones(PEOPLE),
        "alone": rng.normal(size=PEOPLE),
    }
    return x, pd.DataFrame(values, index=NAMES).T.rename_axis("gene_id")


def small_study(folder):
    """(study, dosages, expression) of files below `folder`."""
    x, expression = write_cohort(folder, np.random.default_rng(4))
    expression.to_csv(folder / "expression.csv")
    names = {
        "reference": "ref.fa",
        "variants": "v.vcf.gz",
        "genes": "genes.csv",
        "expression": "expression.csv",
        "samples": "samples.csv",
    }
    study = Study.model_validate(
        {
            "name": "linear",
            "title": "Linear",
            "reality": {"genotypes": "made up", "expression": "made up", "weights": "none"},
            "cohort": {role: str(folder / name) for role, name in names.items()},
            "baselines": {"models": ["top1"], "window": 400, "folds": 4},
        }
    )
    return study, x, expression
